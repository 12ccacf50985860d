"""A model's prediction path for machines without this package: an exported program, or ONNX."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from .processing import DialogueError

EXPORT_FORMATS = {".pt2": "a program for torch.export.load", ".onnx": "ONNX, for onnxruntime and others"}
# What differs more from the model's own logits is not written.
TOLERANCE = 1e-4


class PredictionPath(nn.Module):
    """A packed graph batch in, logits out: what is exported."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        dialogue_lengths: Tensor,
        text_features: Tensor | None = None,
        audio_features: Tensor | None = None,
        visual_features: Tensor | None = None,
        modality_mask: Tensor | None = None,
        speaker_ids: Tensor | None = None,
        edge_index: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor:
        """The tensors of a batch, without labels -> logits (N, num_labels)."""
        output = self.model(
            dialogue_lengths=dialogue_lengths,
            text_features=text_features,
            audio_features=audio_features,
            visual_features=visual_features,
            modality_mask=modality_mask,
            speaker_ids=speaker_ids,
            edge_index=edge_index,
            edge_type=edge_type,
            return_loss=False,
        )
        return output.logits


def export_model(model: Any, output: str | Path) -> Path:
    """Write the prediction path of a model, with any number of dialogues, utterances and edges.

    Inputs are the tensors that the model's processor makes, under their names; the output is `logits`
    (num_utterances, num_labels). The file is tried on a batch of other sizes before it appears under its name.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        output: a file that ends in `.pt2` or `.onnx`.

    Raises:
        DialogueError: another ending.
        ImportError: ONNX without the packages that it needs.
        RuntimeError: the exported model does not give the model's logits.
    """
    output = Path(output)
    if output.suffix not in EXPORT_FORMATS:
        known = ", ".join(f"{suffix} ({meaning})" for suffix, meaning in EXPORT_FORMATS.items())
        raise DialogueError(f"{output}: the ending of the file says what to export; choose from {known}")
    path = PredictionPath(copy.deepcopy(model).eval().float().to("cpu"))
    # Longer than any window: what a tracer sees only once, it takes for a constant.
    many = 100 + 4 * getattr(model.config, "context_window", 0)
    batch, other = example_batch(model.config, (many, 5)), example_batch(model.config, (7, 1, 4))
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.stem}.part{output.suffix}")
    try:
        with torch.no_grad():
            program = torch.export.export(path, (), batch, dynamic_shapes=_dynamic_shapes(batch), strict=True)
            if output.suffix == ".pt2":
                torch.export.save(program, part)
                exported = torch.export.load(part).module()(**other)
            else:
                _save_onnx(program, part)
                exported = _run_onnx(part, other)
            difference = float((exported - path(**other)).abs().max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"the exported model differs from the model by {difference:.1e} in its logits")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return output


def example_batch(config: Any, lengths: tuple[int, ...]) -> dict[str, Tensor]:
    """A batch of random features for dialogues of these lengths, every utterance linked with its neighbours."""
    generator = torch.Generator().manual_seed(0)
    total = sum(lengths)
    batch = {"dialogue_lengths": torch.tensor(lengths)}
    for name, dim in config.modality_dims.items():
        batch[f"{name}_features"] = torch.randn(total, dim, generator=generator)
    dialogue = torch.repeat_interleave(batch["dialogue_lengths"])
    near = (dialogue[:, None] == dialogue) & ((torch.arange(total)[:, None] - torch.arange(total)).abs() <= 2)
    batch["modality_mask"] = torch.ones(total, 3, dtype=torch.bool)
    batch["speaker_ids"] = torch.arange(total) % min(2, config.max_speakers)
    batch["edge_index"] = near.nonzero().T.contiguous()
    batch["edge_type"] = torch.arange(batch["edge_index"].size(1)) % config.num_relations
    return batch


def _dynamic_shapes(batch: dict[str, Tensor]) -> dict[str, Any]:
    return {name: {1 if name == "edge_index" else 0: Dim.DYNAMIC} for name in batch}


def _save_onnx(program: torch.export.ExportedProgram, output: Path) -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f"ONNX needs {error.name}: pip install 'joyful-hf[export]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            program, (), output, dynamo=True, output_names=["logits"], external_data=False, verbose=False
        )


def _run_onnx(path: Path, batch: dict[str, Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    needed = {given.name for given in session.get_inputs()}
    (logits,) = session.run(None, {name: tensor.numpy() for name, tensor in batch.items() if name in needed})
    return torch.from_numpy(logits)
