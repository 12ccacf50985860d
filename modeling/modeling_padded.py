"""The models on a padded batch of utterances: how its streams are read, and the loss of a classifier on them.

A family's `forward` names its inputs and hands them to `read`, which checks them; the rest is its equations on streams
of frames. A raw medium that the model encodes itself has inputs of its own, which `input_names` says, and is encoded
in `read_stream`.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .batch_contract import check_labels
from .configuration_padded import PaddedConfig
from .loss_parts import weigh
from .modeling_base import EmotionRecognitionPreTrainedModel
from .prediction import EmotionRecognitionMixin
from .streams import FrameStream, check_frames

# The stream of the batch that a model may call by its modality.
_STREAMS = {"visual": "video"}


class PaddedPreTrainedModel(EmotionRecognitionPreTrainedModel):
    """Base of the models that read single utterances as sequences of frames."""

    config: Any

    def __init__(self, config: PaddedConfig) -> None:
        super().__init__(config)
        self.main_input_name, _ = self.input_names(next(iter(config.frame_dims)))

    def input_names(self, name: str) -> tuple[str, str]:
        """Keys of the batch for a stream of the model and for its mask."""
        stream = _STREAMS.get(name, name)
        return f"{stream}_frames", f"{stream}_frame_mask"

    def read(self, batch: Mapping[str, Tensor | None]) -> dict[str, FrameStream]:
        """Check a batch, and give each stream of the model.

        Args:
            batch: the streams (B, T, ...) and their masks (B, T), each None where there is none.

        Raises:
            ValueError: it does not fit the model.
        """
        streams: dict[str, FrameStream] = {}
        for name in self.config.frame_dims:
            key, mask_key = self.input_names(name)
            streams[name] = self.read_stream(name, batch[key], batch[mask_key])
        first, *others = streams.values()
        if any(other.frames.size(0) != first.frames.size(0) for other in others):
            counts = ", ".join(f"{stream.frames.size(0)} of {name}" for name, stream in streams.items())
            raise self.batch_error(f"the streams of the batch differ in their number of utterances: {counts}")
        return streams

    def read_stream(self, name: str, rows: Tensor | None, mask: Tensor | None) -> FrameStream:
        """Check the frames (B, T, dim) of a stream and their mask (B, T), 1 = real."""
        stream = _STREAMS.get(name, name)
        check_frames(stream, rows, mask, self.config.frame_dims[name], self.batch_error)
        assert rows is not None
        return FrameStream.of(rows, mask, self.dtype)


class PaddedClassifierMixin(EmotionRecognitionMixin):
    """The loss of a classifier on each utterance of a padded batch.

    Goes before the family's `PreTrainedModel` among the base classes.
    """

    batch_error: type[ValueError]

    utterances_per_batch = 64

    def classification_loss(
        self,
        logits: Tensor,
        labels: Tensor,
        label_shares: Tensor | None = None,
        loss_shares: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """() the part "classification" of the loss of the logits (B, num_labels).

        Args:
            labels, label_shares, loss_shares: as in the model's `forward`.

        Raises:
            ValueError: labels that do not fit the model.
        """
        check_labels(self.config, labels, logits.size(0), self.batch_error, label_shares)
        loss = self.task_loss(logits, labels if label_shares is None else label_shares)
        return weigh("classification", loss, loss_shares)
