"""Export the prediction path of a model for machines without this package: as a program of torch, or as ONNX."""

import copy
import inspect
import io
import json
import logging
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from ..evaluation.task import task_of
from ..io.disk import clear_write_errors
from ..processing import DialogueError
from ..processing.dialogues import FEATURE_KEYS, FRAME_KEYS, MEDIA_KEYS
from ..processing.extractors import names_for_others
from ..processing.optional_imports import EXTRAS, install_line
from ..version import __version__
from .exported import KEY

EXPORT_FORMATS = {".pt2": "a program for torch.export.load", ".onnx": "ONNX, for onnxruntime and others"}
# Largest difference from the logits of the model itself.
TOLERANCE = 1e-4


class PredictionPath(nn.Module):
    """The part of a model that is exported: a batch without labels in, logits out."""

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        super().__init__()
        self.model = model
        # An export names its inputs after the signature, and every family has its own.
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])

        def forward(**batch: Tensor) -> Tensor:
            """Return the logits of a batch, one row per utterance."""
            return self.model(**batch, return_loss=False).logits

        forward.__signature__ = signature  # ty: ignore[missing-attribute]
        self.forward = forward


def export_model(model: Any, processor: Any, output: str | Path) -> Path:
    """Export the prediction path of a model for batches of any size.

    The inputs are the tensors that the processor makes, under their names, and the output is `logits` (num_utterances,
    num_labels). Scores are the softmax of `logits / config.calibration_temperature`. The file only appears under its
    name after it has been tried on a batch of other sizes.

    The file says of itself what a user needs beside it, as JSON under `joyful_hf` in the metadata of ONNX and in the
    extra file `joyful_hf.json` of a `.pt2`: `labels`, `temperature`, `problem_type`, the `inputs` and how the
    `processor` makes them. `joyful_hf/inference/exported.py` reads it with numpy alone.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        processor: the processor that was saved with it; it makes the batches that the export is traced and tried with.
        output: a file that ends in `.pt2` or `.onnx`.

    Returns:
        The path of the file.

    Raises:
        DialogueError: the file has another ending, or cannot be written.
        ImportError: a package that ONNX needs is not installed.
        RuntimeError: the exported model does not give the logits of the model.
    """
    output = Path(output)
    if output.suffix not in EXPORT_FORMATS:
        known = ", ".join(f"{suffix} ({meaning})" for suffix, meaning in EXPORT_FORMATS.items())
        raise DialogueError(f"{output}: the ending of the file says in which format to export; choose from {known}")
    # Longer than any window: a tracer takes for a constant what it sees only once.
    many = 100 + 4 * getattr(model.config, "context_window", 0)
    batch, other = (example_batch(processor, lengths) for lengths in ((many, 5), (7, 1, 4)))
    path = PredictionPath(copy.deepcopy(model).eval().float().to("cpu"), batch)
    dynamic_shapes = {
        name: {axis: Dim.DYNAMIC for axis, size in enumerate(tensor.shape) if size != other[name].size(axis)}
        for name, tensor in batch.items()
    }
    settings = json.dumps(export_settings(model, processor, list(batch)))
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.stem}.part{output.suffix}")
    try:
        with torch.no_grad():
            program = torch.export.export(path, (), batch, dynamic_shapes=dynamic_shapes, strict=False)
            if output.suffix == ".pt2":
                saved = io.BytesIO()  # torch's own writing to a file ends the process when the disk is full
                torch.export.save(program, saved, extra_files={f"{KEY}.json": settings})
                with clear_write_errors(output):
                    part.write_bytes(saved.getbuffer())
                exported = torch.export.load(part).module()(**other)
            else:
                with clear_write_errors(output):
                    _save_onnx(program, part, settings)
                exported = run_onnx(part, other)
            difference = float((exported - path(**other)).abs().max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"the exported model differs from the model by {difference:.1e} in its logits")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return output


def export_settings(model: Any, processor: Any, inputs: list[str]) -> dict[str, Any]:
    """Return what an exported file says of itself, ready for JSON.

    Args:
        inputs: names of the tensors of a batch.
    """
    config, parameters = model.config, processor.to_dict()
    return {
        "joyful_hf_version": __version__,
        "model_type": config.model_type,
        "problem_type": task_of(config).problem_type,
        "labels": [config.id2label[index] for index in range(config.num_labels)],
        "temperature": config.calibration_temperature,
        "inputs": inputs,
        "sizes": {modality: size for modality, size in processor.dims.items() if size is not None},
        "raw": [MEDIA_KEYS[modality] for modality, size in processor.dims.items() if size is None],
        "processor": parameters | names_for_others(parameters),
    }


def example_batch(processor: Any, lengths: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the batch of random dialogues of these lengths, each of two speakers."""
    rng = np.random.default_rng(len(lengths))
    dialogues = [
        {"utterances": [_example_utterance(processor, index, length, rng) for index in range(length)]}
        for length in lengths
    ]
    return dict(processor(dialogues, return_tensors="pt", return_labels=False))


def _example_utterance(processor: Any, index: int, length: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return an utterance with each modality that the processor reads, as a vector and as frames, or as a waveform."""
    # A long dialogue has longer texts than a short one, so that their longest differ.
    words = " ".join(map(str, range(1 + index // 10)))
    utterance: dict[str, Any] = {"speaker": f"speaker {index % 2}", MEDIA_KEYS["text"]: words}
    for number, (modality, dim) in enumerate(processor.dims.items()):
        if dim is None and modality == "text":  # read as tokens: it is there already
            continue
        if dim is None:
            samples = (2 + index + length) * processor.sampling_rate // 20
            utterance[MEDIA_KEYS[modality]] = {
                "array": rng.normal(size=samples),
                "sampling_rate": processor.sampling_rate,
            }
        else:
            utterance[FEATURE_KEYS[modality]] = rng.normal(size=dim)
            frames = 2 + number + (index + length) % 20
            utterance[FRAME_KEYS[modality]] = rng.normal(size=(frames, dim))
    return utterance


def _save_onnx(program: torch.export.ExportedProgram, output: Path, settings: str) -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"ONNX needs {error.name}: {install_line(EXTRAS['export'])}") from error
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnx_ir"):
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program, (), dynamo=True, output_names=["logits"], verbose=False)
        assert made is not None
        made.model.metadata_props[KEY] = settings
        made.save(output, external_data=False)


@contextmanager
def _quiet(*names: str) -> Generator[None, None, None]:
    """Let only errors of these loggers through: the exporter mentions packages and types that do not matter here."""
    levels = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def run_onnx(path: Path, batch: dict[str, Tensor]) -> Tensor:
    """Return the logits that an ONNX file gives for a batch."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    needed = {value.name for value in session.get_inputs()}
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in batch.items() if name in needed})
    return torch.from_numpy(logits)
