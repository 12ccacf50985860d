"""Convert checkpoints of the authors' released code: any family's, and what the families' conversions share.

A family's row names its module here. That has `released_config(state, **known)`, which reads the sizes off the
weights, and `convert_released_..._state_dict(state)`, which gives them our names. Where the released code's processing
is not our processor's default, `PROCESSOR_SETTINGS` says so, and `READS_SPEAKERS` is False where who speaks does not
matter; `check_processor(processor, config)` refuses one that lacks what the weights do not tell.
"""

import logging
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from ..families import FAMILIES, Family, family_named
from ..io.messages import listed
from ..io.torch_checkpoint import CheckpointError, read_released_checkpoint
from ..processing import DialogueError
from ..training.building import split_settings

logger = logging.getLogger(__name__)

NUMBERS_UNKNOWN = (
    "%s does not say which speaker has which number; the first to speak in a dialogue will be number 0 "
    "(`speaker_to_id` tells them)"
)
_SUFFIXES = {".bin", ".ckpt", ".pkl", ".pt", ".pth"}


def convert_checkpoint(
    model_name: str,
    source: str | Path,
    output: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Read what the authors' code of a family saved, and write a checkpoint of this package: model and processor.

    Nothing in the released file is imported or called.

    Args:
        model_name: name of the family.
        source: a file of `torch.save` with the network or its state dict, alone or in a dict, or a folder of such.
        output: a folder that does not exist yet, or an empty one. It appears whole or not at all.
        settings: what the weights do not tell: fields of the configuration, such as the number of attention heads or
            `label2id`, and parameters of the processor, such as `window_past` or `speaker_to_id`.
        overwrite: replace the files of a checkpoint in `output`; other files stay.

    Raises:
        ValueError: no code of the family was published, an unknown setting, or anything that is wrong with the files;
            the message names it.
    """
    family, source, output = family_named(model_name), Path(source), Path(output)
    module = _module_of(family, source)
    if hasattr(module, "convert_released_checkpoint"):
        _convert_by_its_own(family, module, source, output, dict(settings or {}), overwrite)
        return
    config_settings, processor_settings = split_settings(family, dict(settings or {}))
    check_output(output, overwrite)
    try:
        known = _with_names(config_settings)
        state, config = _read_state(family, module, source, known)
        convert = _converter_of(module)
        # Some conversions depend on settings, such as whether a map is used.
        asked = signature(convert).parameters
        asks_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in asked.values())
        told = {name: value for name, value in known.items() if asks_all or name in asked}
        model = family.model_class(config)
        model.load_state_dict(convert(state, **told))
        processor = family.processor_class(**(_processor_of(family, module, config) | processor_settings))
        if hasattr(module, "check_processor"):
            module.check_processor(processor, config)
    except (TypeError, ValueError, RuntimeError, StrictDataclassError) as error:
        raise error if isinstance(error, CheckpointError) else CheckpointError(f"{source}: {_reason(error)}") from None
    reads_speakers = getattr(module, "READS_SPEAKERS", True)
    if reads_speakers and getattr(processor, "speaker_to_id", {}) is None and config.max_speakers > 1:
        logger.warning(NUMBERS_UNKNOWN, source)
    write_checkpoint(model, processor, output)


def check_output(output: Path, overwrite: bool) -> None:
    """Check that a checkpoint may be written to a folder.

    Raises:
        ValueError: it is a file, or it is not empty and nothing may be replaced.
    """
    if output.is_file():
        raise ValueError(f"{output}: is a file; choose a folder")
    if not overwrite and output.is_dir() and any(output.iterdir()):
        raise ValueError(f"{output}: is not empty; choose another folder, or give `overwrite` to replace it")


def files_of(source: Path) -> list[Path]:
    """Return the file, or those of a folder that may be checkpoints of `torch.save`.

    Raises:
        CheckpointError: the folder has none.
    """
    if not source.is_dir():
        return [source]
    files = sorted(file for file in source.iterdir() if file.suffix in _SUFFIXES)
    if not files:
        raise CheckpointError(f"{source}: no checkpoint in this folder ({', '.join(sorted(_SUFFIXES))})")
    return files


def write_checkpoint(model: Any, processor: Any, output: Path) -> None:
    """Save model and processor in a folder, which appears whole or not at all; files of other names in it stay."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
        whole = Path(folder, "checkpoint")
        model.save_pretrained(whole)
        processor.save_pretrained(whole)
        if output.is_dir() and any(output.iterdir()):
            for file in whole.iterdir():
                file.replace(output / file.name)
            return
        if output.is_dir():
            output.rmdir()
        whole.rename(output)


def _module_of(family: Family, source: Path) -> ModuleType:
    """Return the module that converts the network in a file: the family's, or that of another form of its network."""
    if family.released is None:
        known = ", ".join(name for name, other in FAMILIES.items() if other.released is not None)
        raise DialogueError(
            f"`model_name`: {family.title}'s authors published no code whose checkpoints could be converted; "
            f"choose from {known}"
        )
    module = import_module(f".{family.released}", __package__)
    forms = getattr(module, "OTHER_FORMS", {})
    for file in files_of(source) if forms else ():
        for state in read_released_checkpoint(file).states:
            for parameter, form in forms.items():
                if parameter in _unwrapped(state):
                    return import_module(f".{form}", __package__)
    return module


def _converter_of(module: ModuleType) -> Callable[..., dict[str, Tensor]]:
    names = [name for name in vars(module) if re.fullmatch(r"convert_released_\w+_state_dict", name)]
    return getattr(module, names[0])


def _convert_by_its_own(
    family: Family, module: ModuleType, source: Path, output: Path, settings: dict[str, Any], overwrite: bool
) -> None:
    """Convert a checkpoint of a family whose released code saves more than one network."""
    convert: Any = module.convert_released_checkpoint
    if "label2id" in settings:
        label2id = settings.pop("label2id")
        settings["labels"] = sorted(label2id, key=label2id.__getitem__)
    known = set(signature(convert).parameters) - {"source", "output", "overwrite"}
    if unknown := sorted(settings.keys() - known):
        raise DialogueError(
            f"`settings`: {family.title}'s checkpoints say themselves what {listed(unknown)} is; "
            f"it takes {', '.join(sorted(known))}"
        )
    convert(source, output, overwrite=overwrite, **settings)


def _with_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the names of the labels, if they are told, in both directions."""
    if not settings.get("label2id"):
        return settings
    return settings | {"id2label": {index: label for label, index in settings["label2id"].items()}}


def _read_state(
    family: Family, module: ModuleType, source: Path, known: Mapping[str, Any]
) -> tuple[dict[str, Tensor], Any]:
    """Return the one state of a released network, whatever the file calls it, and its config."""
    states = [_unwrapped(state) for file in files_of(source) for state in read_released_checkpoint(file).states]
    if not states:
        raise CheckpointError(f"{source}: holds no weights")
    found, reasons = [], []
    for state in sorted(states, key=len, reverse=True):
        try:
            found.append((state, module.released_config(state, **known)))
        except (TypeError, ValueError, StrictDataclassError) as error:
            reasons.append(error)
    if not found:
        raise CheckpointError(f"{source}: {_reason(reasons[0])}")  # of the largest, which must have been meant
    if len(found) > 1:
        raise CheckpointError(f"{source}: there are {len(found)} networks of {family.title}; give one checkpoint")
    return found[0]


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state without the prefix that training on several devices puts before each name."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _processor_of(family: Family, module: ModuleType, config: Any) -> dict[str, Any]:
    """Return the parameters of the processor that fits a converted model."""
    taken = set(signature(family.processor_class).parameters)
    shared = {name: getattr(config, name) for name in taken if hasattr(config, name) and name != "label2id"}
    names: Any = config.id2label  # index -> name, whatever transformers' annotation says
    labels = {"label2id": {label: index for index, label in names.items()}}
    return shared | labels | dict(getattr(module, "PROCESSOR_SETTINGS", {}))


def _reason(error: Exception) -> str:
    # A check of the config wraps the message that says what is wrong.
    reason = error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error
    return " ".join(str(reason).split())


_MAPS = ("query", "key", "value")
_THREE_MAPS = "query|key|value"
# Our layer -> that of torch.nn.TransformerEncoderLayer.
_ENCODER_LAYER = {
    "attention_output": "self_attn.out_proj",
    "attention_norm": "norm1",
    "intermediate": "linear1",
    "output": "linear2",
    "output_norm": "norm2",
}


def with_weight_and_bias(layers: Mapping[str, str]) -> dict[str, str]:
    """Map the weight and the bias of each released layer to those of ours."""
    return {f"{old}.{kind}": f"{new}.{kind}" for old, new in layers.items() for kind in ("weight", "bias")}


def check_names(title: str, state: Mapping[str, Tensor], expected: Iterable[str], unused: Iterable[str] = ()) -> None:
    """Check that a state has the parameters of a released network.

    Args:
        title: the system's name.
        unused: patterns of further names, which the released network has and never uses.

    Raises:
        ValueError: a parameter is missing or unknown; the message names it.
    """
    expected = set(expected)
    pattern = re.compile("|".join(unused) or r"(?!)")
    if missing := sorted(expected - state.keys()):
        raise ValueError(f"this is not a released {title}: it lacks {listed(missing)}")
    unknown = sorted(name for name in state if name not in expected and not pattern.fullmatch(name))
    if unknown:
        raise ValueError(f"this is not a released {title}, which has no parameters {listed(unknown)}")


def size(state: Mapping[str, Tensor], name: str, dim: int) -> int:
    """Return a size of a parameter.

    Raises:
        ValueError: the parameter is missing, or has no such dimension; the message names it.
    """
    if name not in state:
        raise ValueError(f"the released weights lack {name}")
    shape = state[name].shape
    if len(shape) <= dim or not shape[dim]:
        raise ValueError(f"{name} has shape {tuple(shape)}, which the released network does not have")
    return shape[dim]


def transformer_layer(released: str, ours: str, released_layers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map the parameters of a `torch.nn.TransformerEncoderLayer`, or of one of other names, to a `TransformerLayer`'s.

    Args:
        released_layers: our layer -> the released one.
    """
    layers = released_layers or _ENCODER_LAYER
    names = with_weight_and_bias({f"{released}.{theirs}": f"{ours}.{name}" for name, theirs in layers.items()})
    attention = layers["attention_output"].removesuffix(".out_proj")
    return names | {
        f"{released}.{attention}.in_proj_{kind}": f"{ours}.query_key_value.{kind}" for kind in ("weight", "bias")
    }


def multi_head_attention(released: str, ours: str, own_maps: bool = False) -> dict[str, str]:
    """Map the parameters of a `torch.nn.MultiheadAttention` to a `MultiHeadAttention`'s, for `renamed`.

    Args:
        own_maps: whether the weights of queries, keys and values are separate, since their widths differ.
    """
    names = with_weight_and_bias({f"{released}.out_proj": f"{ours}.output"})
    names[f"{released}.in_proj_bias"] = f"{ours}.{_THREE_MAPS}.bias"
    if own_maps:
        weights = {f"{released}.{name[0]}_proj_weight": f"{ours}.{name}.weight" for name in _MAPS}
        return names | weights
    return names | {f"{released}.in_proj_weight": f"{ours}.{_THREE_MAPS}.weight"}


def renamed(names: Mapping[str, str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state under our names; queries, keys and values of `multi_head_attention` are taken apart."""
    converted = {}
    for released, ours in names.items():
        if f".{_THREE_MAPS}." not in ours:
            converted[ours] = state[released]
            continue
        for name, own in zip(_MAPS, state[released].chunk(3), strict=True):
            converted[ours.replace(_THREE_MAPS, name)] = own.clone()
    return converted
