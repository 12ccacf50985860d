"""A second device, "shadow", whose tensors lie in CPU memory and are treated as a GPU's are.

    accelerator.install()  # once in a process, which then has this device for good
    model.to("shadow")(**batch.to("shadow")).loss.backward()
    print(accelerator.WORK)  # who waited for the device, sent it numbers, gave it work

It refuses what CUDA refuses: operands on two devices, numbers of a CPU generator, `.numpy()`; and with
`DOUBLES.allowed = False` what Apple's MPS refuses, float64. It says nothing of speed, of rounding, or of kernels that
another device lacks. Autocast lowers matrix products only, and inference mode is `no_grad`.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "shadow"
DOUBLES = SimpleNamespace(allowed=True)
"""Whether the device computes in float64."""

ROOT = str(Path(__file__).parents[2])
aten = torch.ops.aten
CPU = torch.device("cpu")
_INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
_MASKS = (torch.bool, torch.uint8)
_SIZES_OR_VALUES_ON_CPU = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


@dataclass
class Work:
    """What the device was asked for since `clear`, each time under the line of this repository and the operator."""

    waits: Counter[str] = field(default_factory=Counter)
    """The CPU waits for the device's answer: `.item()`, `.cpu()`, `nonzero`, an index of booleans."""
    uploads: Counter[str] = field(default_factory=Counter)
    """Numbers go from the CPU to the device."""
    launches: Counter[str] = field(default_factory=Counter)
    """The device computes. A GRU does so step by step here."""

    def clear(self) -> None:
        """Forget all of it."""
        for counter in vars(self).values():
            counter.clear()

    def __str__(self) -> str:
        lines = []
        for kind, counter in vars(self).items():
            lines += [f"{counter.total()} {kind}", *(f"  {count} {place}" for place, count in counter.most_common(10))]
        return "\n".join(lines)


WORK = Work()


def _asking_line() -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(ROOT) and file != __file__ and "site-packages" not in file:
            return f"{file.removeprefix(ROOT)[1:]}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward pass"  # a thread without a line of Python


class Shadow(Tensor):
    """A tensor on the device; `memory` is the CPU tensor with its numbers."""

    memory: Tensor

    @staticmethod
    def __new__(cls, memory: Tensor) -> "Shadow":
        if memory.dtype is torch.float64 and not DOUBLES.allowed:
            raise TypeError(f"Cannot convert a {NAME} Tensor to float64: the device has no doubles")
        form = {"strides": memory.stride(), "storage_offset": memory.storage_offset(), "dtype": memory.dtype}
        shadow = torch.Tensor._make_wrapper_subclass(cls, memory.shape, device=torch.device(NAME, 0), **form)
        shadow.memory = memory
        return shadow

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy; use Tensor.cpu() first")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    @property
    def data(self) -> "Shadow":
        return self.detach()

    @data.setter
    def data(self, other: "Shadow") -> None:
        Tensor.data.__set__(self, other)  # ty: ignore[unresolved-attribute]
        self.memory = other.memory

    # What safetensors looks at, to find tensors that share memory.

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.memory.untyped_storage()

    def data_ptr(self) -> int:
        return self.memory.data_ptr()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shadow":
        copied = Shadow(self.memory.clone()).requires_grad_(self.requires_grad)
        vars(copied).update({name: value for name, value in vars(self).items() if name != "memory"})
        return memo.setdefault(id(self), copied)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _on_device, (self.memory, self.requires_grad)

    def __repr__(self) -> str:  # ty: ignore[invalid-method-override]
        return f"Shadow({self.memory!r})"


def _on_device(memory: Tensor, requires_grad: bool) -> Shadow:
    return Shadow(memory).requires_grad_(requires_grad)


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator on the tensors' memory, after what the device has to say about it."""
    operands = [*_tensors(args), *_tensors(tuple(kwargs.values()))]
    shadows = [operand for operand in operands if isinstance(operand, Shadow)]
    name = func.overloadpacket.__name__
    target = kwargs.get("device")
    makes_shadows = bool(shadows) if target is None else torch.device(target).type == NAME
    if name in ("is_pinned", "_pin_memory", "pin_memory"):
        return name != "is_pinned" and args[0].clone()
    if not shadows and not makes_shadows:
        return func(*args, **kwargs)
    is_copy = name in ("_to_copy", "copy_")
    if name == "copy_":
        makes_shadows = isinstance(args[0], Shadow)
    if not is_copy:
        _refuse_strangers(name, operands)
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != NAME:
        raise RuntimeError(f"Expected a '{NAME}' generator but found one of '{generator.device.type}'")
    _count(func, name, operands, shadows, is_copy, makes_shadows)

    own = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    if target is not None:
        own["device"] = CPU
    kernel = _KERNELS.get(name, func)
    found = kernel(*_each(Shadow, _memory, args), **{key: _each(Shadow, _memory, value) for key, value in own.items()})
    if not makes_shadows:
        return found
    made = _each(Tensor, Shadow, found)
    return return_and_correct_aliasing(func, args, kwargs, made) if func._schema.is_mutable else made


def _memory(shadow: Shadow) -> Tensor:
    return shadow.memory


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in the arguments of an operator, those in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _each(kind: type, change: Callable[[Any], Any], value: Any) -> Any:
    """Change what is of a kind, in lists too."""
    if isinstance(value, (list, tuple)):
        return type(value)([_each(kind, change, one) for one in value])
    return change(value) if isinstance(value, kind) else value


def _refuse_strangers(name: str, operands: list[Tensor]) -> None:
    """CUDA takes single numbers and indices from the CPU, and wants the lengths of a packed sequence there."""
    if name == "_pack_padded_sequence":
        is_refused = isinstance(operands[1], Shadow)
    else:
        is_refused = name not in _INDEXING and any(
            operand.dim() and not isinstance(operand, Shadow) for operand in operands
        )
    if is_refused:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found cpu and {NAME}:0 ({name})")


def _count(
    func: Any, name: str, operands: list[Tensor], shadows: list[Shadow], is_copy: bool, makes_shadows: bool
) -> None:
    if name in _INDEXING:
        indices = operands[1:]
        waits = any(index.dtype in _MASKS or not isinstance(index, Shadow) for index in indices if index.dim())
    else:
        waits = not makes_shadows or bool(_SIZES_OR_VALUES_ON_CPU.intersection(func.tags))
    if waits:
        counter = WORK.waits
    elif is_copy and len(shadows) < len(operands):
        counter = WORK.uploads
    elif name.startswith(("empty", "new_empty")) or _is_view(func):
        return
    else:
        counter = WORK.launches
    counter[f"{_asking_line()} {name}"] += 1


def _is_view(func: Any) -> bool:
    """Whether it only looks at the numbers of its operand in another way."""
    aliases = [returned.alias_info for returned in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases) or func is aten._unsafe_view.default


# Operators that exist for accelerators alone.


def _gru_cell(
    of_input: Tensor,
    of_hidden: Tensor,
    state: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A step of a GRU, from the products of input and state with their weights; keeps what its gradient needs."""
    of_input = of_input if input_bias is None else of_input + input_bias
    of_hidden = of_hidden if hidden_bias is None else of_hidden + hidden_bias
    (reset, update, new), (own_reset, own_update, own_new) = of_input.chunk(3, 1), of_hidden.chunk(3, 1)
    reset, update = (reset + own_reset).sigmoid(), (update + own_update).sigmoid()
    new = (new + reset * own_new).tanh()
    kept = torch.cat([reset, update, new, own_new, state], dim=1)
    return new + update * (state - new), kept


def _gru_cell_backward(gradient: Tensor, kept: Tensor, has_bias: bool) -> tuple[Tensor | None, ...]:
    reset, update, new, own_new, state = kept.chunk(5, dim=1)
    at_update = gradient * (state - new) * update * (1 - update)
    at_new = gradient * (1 - update) * (1 - new.square())
    at_reset = at_new * own_new * reset * (1 - reset)
    of_input = torch.cat([at_reset, at_update, at_new], dim=1)
    of_hidden = torch.cat([at_reset, at_update, at_new * reset], dim=1)
    biases = (of_input.sum(0), of_hidden.sum(0)) if has_bias else (None, None)
    return of_input, of_hidden, gradient * update, *biases


def _lstm_cell(
    of_input: Tensor,
    of_hidden: Tensor,
    cell: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """A step of an LSTM, as that of the GRU: hidden state, cell and what the gradient needs."""
    gates = of_input + of_hidden
    if input_bias is not None and hidden_bias is not None:
        gates = gates + input_bias + hidden_bias
    into, forget, new, out = gates.chunk(4, dim=1)
    into, forget, new, out = into.sigmoid(), forget.sigmoid(), new.tanh(), out.sigmoid()
    after = forget * cell + into * new
    return out * after.tanh(), after, torch.cat([into, forget, new, out], dim=1)


def _lstm_cell_backward(
    at_hidden: Tensor | None, at_cell: Tensor | None, before: Tensor, after: Tensor, kept: Tensor, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    into, forget, new, out = kept.chunk(4, dim=1)
    squashed = after.tanh()
    at_hidden = torch.zeros_like(after) if at_hidden is None else at_hidden
    at_after = at_hidden * out * (1 - squashed.square()) + (0 if at_cell is None else at_cell)
    gates = torch.cat(
        [
            at_after * new * into * (1 - into),
            at_after * before * forget * (1 - forget),
            at_after * into * (1 - new.square()),
            at_hidden * squashed * out * (1 - out),
        ],
        dim=1,
    )
    return gates, at_after * forget, gates.sum(0) if has_bias else None


_KERNELS: dict[str, Callable[..., Any]] = {
    "_thnn_fused_gru_cell": _gru_cell,
    "_thnn_fused_gru_cell_backward": _gru_cell_backward,
    "_thnn_fused_lstm_cell": _lstm_cell,
    "_thnn_fused_lstm_cell_backward_impl": _lstm_cell_backward,
}


# The device as torch, Accelerate and transformers see it.


class _NewTensors(TorchDispatchMode):
    """Tensors that are made on the device, from no tensor of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Numbers(TorchFunctionMode):
    """`torch.tensor(numbers, device="shadow")`, which goes around the dispatcher."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], Shadow):
            func, kwargs = torch.tensor, {"dtype": args[0].dtype, "device": args[0].device} | kwargs
            args = args[1:]
        made_here = func in (torch.tensor, torch.as_tensor, torch.asarray) and kwargs.get("device") is not None
        if made_here and torch.device(kwargs["device"]).type == NAME and not isinstance(args[0], Shadow):
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        return func(*args, **kwargs)


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass


def _device_module() -> SimpleNamespace:
    """`torch.shadow`; its random numbers are the CPU's."""
    return SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: 0,
        set_device=_nothing,
        synchronize=_nothing,
        empty_cache=_nothing,
        memory_allocated=lambda device=None: 0,
        max_memory_allocated=lambda device=None: 0,
        reset_peak_memory_stats=_nothing,
        _is_in_bad_fork=lambda: False,
        manual_seed=_nothing,
        manual_seed_all=_nothing,
        get_rng_state=lambda device=None: torch.get_rng_state(),
        set_rng_state=lambda state, device=None: torch.set_rng_state(state),
        get_rng_state_all=lambda: [torch.get_rng_state()],
        set_rng_state_all=lambda states: torch.set_rng_state(states[0]),
        is_bf16_supported=lambda including_emulation=True: True,
        get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
    )


_LOWERED = (aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.linear, aten.matmul, aten.scaled_dot_product_attention)
_LIBRARIES: list[torch.library.Library] = []  # what they register ends with them


def _register_autocast() -> None:
    key = "AutocastPrivateUse1"
    everything, products = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    everything.fallback(torch.library.fallthrough_kernel, key)
    _LIBRARIES.extend([everything, products])

    def lower(tensor: Tensor) -> Tensor:
        is_long = tensor.dtype is torch.float64 or not tensor.is_floating_point()
        return tensor if is_long else tensor.to(torch.get_autocast_dtype(NAME))

    def register(operator: Any) -> None:
        def lowered(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = _each(Tensor, lower, args), {key: _each(Tensor, lower, one) for key, one in kwargs.items()}
            with torch.autocast(NAME, enabled=False):
                return operator(*args, **kwargs)

        products.impl(operator, lowered, key)

    for packet in _LOWERED:
        register(packet.default)


def _no_grad(mode: Any = True) -> Any:
    """In place of inference mode, in which torch wants more of a tensor's memory than a `Shadow` has."""
    if callable(mode):  # a decorator
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else nullcontext()


def install() -> None:
    """Give this process the device. It stays: other tests must not run in the same process."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_device_module())
    torch.serialization.add_safe_globals([_on_device])
    _register_autocast()
    torch.inference_mode = _no_grad
    for mode in (_NewTensors(), _Numbers()):
        mode.__enter__()
