"""Numbers that the authors' code computed, and what the families of this package make of the same weights and inputs.

A module here is named after a family's `model_type` and says in `stages` what that family computes at each recorded
place. `JOYFUL_PARITY_DIR` names another folder of recordings, of the same systems at other sizes.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parents[2] / "parity" / "rivals"
TOLERANCE = 1e-5
_STATE = re.compile(r"(?:^|\.)state\.")
_INPUTS = re.compile(r"(?:^|\.)(?:text|audio|visual|speaker|labels)$")


@dataclass(frozen=True)
class Recording:
    """One file: what a network of the authors' code was made with, its weights, and what it computed."""

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def state(self, prefix: str = "state.") -> dict[str, Tensor]:
        """The weights below a prefix, under the authors' names."""
        return self.below(prefix)

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with a prefix, without it."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}

    @property
    def num_dialogues(self) -> int:
        """Number of dialogues, named `dialogue0`, `dialogue1`, ..."""
        return len({name.split(".")[0] for name in self.tensors if re.match(r"dialogue\d+\.", name)})

    def computed(self, inputs: tuple[str, ...] = ()) -> set[str]:
        """The names of what the network computed: neither weights nor inputs.

        Args:
            inputs: names, as regular expressions, that this family was given, in addition to features, speakers and
                labels.
        """
        given = re.compile("|".join([_INPUTS.pattern, *(f"(?:{name})$" for name in inputs)]))
        return {name for name in self.tensors if not _STATE.search(name) and not given.search(name)}


@cache
def read_recording(path: Path) -> Recording:
    """Read a file of recorded numbers."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    return Recording(path, config, load_file(path))


def recordings() -> list[Path]:
    """All files of the folder, in the order of their names."""
    folder = Path(os.environ.get("JOYFUL_PARITY_DIR", FOLDER))
    return sorted(folder.glob("*.safetensors"))


def family_module(path: Path) -> ModuleType:
    """The module here that knows the family of a file: the one whose name the file's name begins with."""
    known = sorted((file.stem for file in Path(__file__).parent.glob("[a-z]*.py")), key=len, reverse=True)
    for name in known:
        if path.stem.startswith(f"{name}_"):
            return import_module(f"{__name__}.{name}")
    raise LookupError(f"{path}: no module of tests.support.recorded has the family of this recording")


def packed(recording: Recording, dialogue: str, modalities: tuple[str, ...] = ("text", "audio", "visual")) -> dict:
    """One recorded dialogue as a packed batch without a graph."""
    part = recording.below(f"{dialogue}.")
    batch = {f"{name}_features": part[name] for name in modalities if name in part}
    length = len(part["labels"])
    batch["dialogue_lengths"] = torch.tensor([length])
    batch["labels"] = part["labels"].long()
    if "speaker" in part:
        speaker = part["speaker"]
        batch["speaker_ids"] = (speaker.argmax(-1) if speaker.dim() > 1 else speaker).long()
    return batch


def below(prefix: str, found: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The same stages under the names that they have below a prefix, such as `dialogue0`."""
    return ((f"{prefix}.{name}", ours) for name, ours in found.items())


def modules_outputs(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Any]:
    """The output of each module of a model, by its name, when the model computes a batch; its own is named ""."""
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: outputs.update({name: output})

    hooks = [module.register_forward_hook(keep(name)) for name, module in model.named_modules()]
    with torch.no_grad():
        model(**batch)
    for hook in hooks:
        hook.remove()
    return outputs


def differences(path: Path) -> Iterator[tuple[str, float, float]]:
    """What was recorded, its largest difference from ours, and the largest that is allowed.

    Raises:
        AssertionError: a recorded stage is compared with nothing, or ours has another shape.
    """
    recording, module = read_recording(path), family_module(path)
    tolerances: dict[str, float] = getattr(module, "TOLERANCES", {})
    compared = set()
    for name, ours in module.stages(recording):
        recorded = recording.tensors.get(name)
        if recorded is None:  # not every file holds every stage; a misspelt one leaves another without its like
            continue
        assert ours.shape == recorded.shape, f"{name}: {tuple(ours.shape)}, recorded {tuple(recorded.shape)}"
        compared.add(name)
        largest = (ours.detach().double() - recorded.double()).abs().max().item() if recorded.numel() else 0.0
        yield name, largest, tolerances.get(name, tolerances.get(name.split(".")[-1], TOLERANCE))
    missing = recording.computed(getattr(module, "INPUTS", ())) - compared
    assert not missing, f"{path.name}: nothing is compared with {sorted(missing)}"
