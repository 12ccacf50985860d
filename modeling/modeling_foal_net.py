"""Foal-Net: fusion of audio and video after alignment, with label matching, for emotion recognition of utterances.

Li, Gao, Wen, Wang, Li (Interspeech 2024). `FoalNetModel` encodes, aligns and fuses the streams;
`FoalNetForEmotionRecognition` adds the matching heads, the classifier and the joint objective.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import can_return_tuple

from .alignment import EmotionAlignment, ProjectionHead
from .audio_encoder import AudioEncoder, audio_encoder_settings
from .configuration_foal_net import FoalNetConfig
from .cross_attention import CrossAttention, Direction, Memory, direction_name
from .emotion_pairs import EmotionPairs
from .inner_encoder import pretrained_model
from .loss_parts import weigh
from .matching import hard_negatives, matching_loss
from .modeling_padded import PaddedClassifierMixin, PaddedPreTrainedModel
from .outputs import FoalNetOutput
from .processes import Processes
from .reach import ALONE
from .streams import FrameStream


class FoalNetPreTrainedModel(PaddedPreTrainedModel):
    """The base of the Foal-Net models."""

    config: FoalNetConfig
    base_model_prefix = "foal_net"

    def input_names(self, name: str) -> tuple[str, str]:
        """As in the base class; waveforms have keys of their own."""
        if name == "audio" and self.config.audio_config is not None:
            return "input_values", "attention_mask"
        return super().input_names(name)


@dataclass
class FusedStreams:
    """The fused streams of a batch, and the memories with which the matching fuses other pairs."""

    pooled: dict[Direction, Tensor]
    """(B, size of the asking stream) each."""
    memories: dict[Direction, list[Memory]]


class FoalNetModel(FoalNetPreTrainedModel):
    """Encoder, alignment and cross-attention: from sequences of frames to one vector per utterance.

    With two streams each looks at the other. A stream that is alone looks at itself; with text as a third, each
    looks at both others.
    """

    reach = ALONE

    def __init__(self, config: FoalNetConfig) -> None:
        super().__init__(config)
        dims = config.frame_dims
        names = list(dims)
        self.pairs = list(combinations(names, 2))
        self.directions: list[Direction] = list(permutations(names, 2)) if self.pairs else [(names[0], names[0])]
        self.hidden_sizes = {direction: dims[direction[0]] for direction in self.directions}
        self.hidden_size = config.hidden_size
        self.audio_encoder: AudioEncoder | None = None
        if config.audio_config is not None:
            self.audio_encoder = AudioEncoder(config.audio_config, config.freeze_feature_encoder)
        self.projections = nn.ModuleDict()
        self.alignment: EmotionAlignment | None = None
        if self.pairs:
            for name, dim in dims.items():
                self.projections[name] = ProjectionHead(dim, config.projection_size, config.projection_dropout_prob)
            self.alignment = EmotionAlignment(config)
        self.cross_attention = nn.ModuleDict(
            {
                direction_name(direction): CrossAttention(
                    dims[direction[0]],
                    dims[direction[1]],
                    config.num_hidden_layers,
                    config.num_attention_heads or 1,  # a number once the config is made
                    config.hidden_dropout_prob,
                )
                for direction in self.directions
            }
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        audio_frames: Tensor | None = None,
        audio_frame_mask: Tensor | None = None,
        video_frames: Tensor | None = None,
        video_frame_mask: Tensor | None = None,
        text_frames: Tensor | None = None,
        text_frame_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> FoalNetOutput:
        """Compute a padded batch as `FoalNetProcessor` makes it; B utterances of up to S samples and T frames.

        Args:
            input_values, attention_mask: (B, S) waveforms and their mask, 1 = real, if the model has an encoder.
            audio_frames, audio_frame_mask: (B, T, audio_dim) and (B, T), if it has none.
            video_frames, video_frame_mask: (B, T, video_dim) and (B, T).
            text_frames, text_frame_mask: (B, T, text_dim) and (B, T).
            output_hidden_states: return `hidden_states`, here `fused` alone; the config's word by default.
            output_attentions: return `attentions`, here none: the cross-attention does not keep its weights.

        `return_dict=False` gives a tuple: the loss, if there is one, the logits, and the rest.

        Returns:
            `fused` (B, hidden size) and, with more than one stream, the embedding of each.

        Raises:
            ValueError: the batch does not fit the model.
        """
        streams = self.read(
            {
                "input_values": input_values,
                "attention_mask": attention_mask,
                "audio_frames": audio_frames,
                "audio_frame_mask": audio_frame_mask,
                "video_frames": video_frames,
                "video_frame_mask": video_frame_mask,
                "text_frames": text_frames,
                "text_frame_mask": text_frame_mask,
            }
        )
        output = self.output_of(self.fuse(streams), self.embed(streams))
        return self.complete(output, output_hidden_states, output_attentions)

    def output_of(self, fusion: FusedStreams, embeddings: dict[str, Tensor]) -> FoalNetOutput:
        """The output of `forward`, made of both."""
        classified = list(fusion.pooled.values())
        if self.config.classify_embeddings:
            classified += [embedding.to(self.dtype) for embedding in embeddings.values()]
        return FoalNetOutput(
            fused=torch.cat(classified, dim=-1),
            audio_embedding=embeddings.get("audio"),
            video_embedding=embeddings.get("video"),
            text_embedding=embeddings.get("text"),
        )

    def read_stream(self, name: str, rows: Tensor | None, mask: Tensor | None) -> FrameStream:
        """As in the base class; waveforms (B, S) are encoded."""
        if name != "audio" or self.audio_encoder is None:
            return super().read_stream(name, rows, mask)
        if rows is None:
            raise self.batch_error("the batch has no input_values, and the model reads waveforms")
        if mask is not None and mask.shape != rows.shape:
            raise self.batch_error(
                f"attention_mask has shape {tuple(mask.shape)}, input_values have {tuple(rows.shape)}"
            )
        return self.audio_encoder(rows, mask, self.dtype)

    def embed(self, streams: dict[str, FrameStream]) -> dict[str, Tensor]:
        """Stream -> (B, projection_size) unit vectors, zeros for an utterance without it."""
        embeddings = {}
        for name, head in self.projections.items():
            stream = streams[name]
            embeddings[name] = torch.where(stream.present[:, None], head(stream.mean()), 0.0)
        return embeddings

    def fuse(self, streams: dict[str, FrameStream]) -> FusedStreams:
        """Each direction's cross-attention on the utterances' own pairs."""
        fusion = FusedStreams({}, {})
        for direction in self.directions:
            asking, asked = (streams[name] for name in direction)
            attention: Any = self.cross_attention[direction_name(direction)]
            fusion.memories[direction] = attention.memory(asked)
            fusion.pooled[direction] = attention(asking, fusion.memories[direction], asked.mask)
        return fusion

    def fuse_with(
        self,
        direction: Direction,
        streams: dict[str, FrameStream],
        fusion: FusedStreams,
        chosen: Tensor,
        processes: Processes,
    ) -> Tensor:
        """(B, size of the asking stream): one direction again, with the stream of other utterances (B,).

        Args:
            chosen: numbers of utterances among those of all processes.
        """
        asking, asked = (streams[name] for name in direction)
        attention: Any = self.cross_attention[direction_name(direction)]
        if not processes.several:
            return attention(asking, fusion.memories[direction], asked.mask, chosen)
        frames = processes.gather_sequences(asked.frames).index_select(0, chosen)
        other = FrameStream(frames, processes.gather_sequences(asked.mask).index_select(0, chosen))
        return attention(asking, attention.memory(other), other.mask)


class FoalNetForEmotionRecognition(PaddedClassifierMixin, FoalNetPreTrainedModel):
    """Foal-Net with a classifier on each utterance, or a regressor for `problem_type="regression"`."""

    reach = ALONE
    batch_loss_parts = ("avel", "mem")

    def __init__(self, config: FoalNetConfig) -> None:
        super().__init__(config)
        self.foal_net = FoalNetModel(config)
        self.matching = nn.ModuleDict()
        if self.foal_net.pairs:
            for direction, size in self.foal_net.hidden_sizes.items():
                self.matching[direction_name(direction)] = nn.Linear(size, 2)
        self.classifier = nn.Linear(self.foal_net.hidden_size, len(config.id2label or ()))
        self.post_init()

    @classmethod
    def from_encoders(cls, audio_encoder: str | Path | PreTrainedModel, **settings: Any) -> Self:
        """A fresh model on a pretrained audio encoder, whose convolutional front is frozen.

        Args:
            audio_encoder: folder or Hub id of an encoder of waveforms, "microsoft/wavlm-large" in the paper, or the
                encoder itself.
            **settings: fields of `FoalNetConfig`.
        """
        pretrained = pretrained_model(audio_encoder)
        model = cls(FoalNetConfig(**(audio_encoder_settings(pretrained) | settings)))
        model.load_audio_encoder(pretrained)
        return model

    def load_audio_encoder(self, pretrained: PreTrainedModel) -> None:
        """Take over the weights of an encoder of the config's `audio_config`."""
        encoder = self.foal_net.audio_encoder
        assert encoder is not None
        encoder.load(pretrained)

    @property
    def may_leave_out_parameters(self) -> bool:
        """Also where "avel" or "mem" weighs nothing: it is not computed, and has parameters of its own."""
        return super().may_leave_out_parameters or 0 in self.loss_weights().values()

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss."""
        return super().loss_weights() | {"avel": self.config.avel_loss_weight, "mem": self.config.mem_loss_weight}

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over: "avel" has a count for each pair of streams, the labelled
        utterances that have both; "mem" one for each direction, those among them that have a negative."""
        counts = super().loss_counts(batch, across_processes)
        labels = batch.get("labels")
        if labels is None or not self.foal_net.pairs:
            return counts
        processes = Processes(labels.size(0), across_processes)
        pairs = EmotionPairs.of(self._present(batch), self.task.contrast_labels(labels), processes)
        counts["avel"] = torch.stack([pairs.takes_part(*pair)[pairs.own].sum() for pair in self.foal_net.pairs])
        counts["mem"] = torch.stack(
            [pairs.negatives(*direction).any(-1).sum() for direction in self.foal_net.directions]
        )
        return {name: count.float() for name, count in counts.items()}

    def _present(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Stream -> (B,) bool."""
        present = {}
        for name in self.config.frame_dims:
            key, mask_key = self.input_names(name)
            rows, mask = batch[key], batch.get(mask_key)
            everything = torch.ones(rows.size(0), dtype=torch.bool, device=rows.device)
            present[name] = everything if mask is None else mask.bool().any(-1)
        return present

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """The audio encoder with its learning rate, if the config gives one."""
        audio, rate = self.foal_net.audio_encoder, self.config.encoder_learning_rate
        return [] if audio is None or rate is None else [(audio.encoder, rate)]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        audio_frames: Tensor | None = None,
        audio_frame_mask: Tensor | None = None,
        video_frames: Tensor | None = None,
        video_frame_mask: Tensor | None = None,
        text_frames: Tensor | None = None,
        text_frame_mask: Tensor | None = None,
        labels: Tensor | None = None,
        negative_video_index: Tensor | None = None,
        negative_audio_index: Tensor | None = None,
        return_loss: bool = True,
        loss_shares: dict[str, Tensor] | None = None,
        batch_losses: bool = True,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        label_shares: Tensor | None = None,
    ) -> FoalNetOutput:
        """As `FoalNetModel.forward`, with labels and logits.

        Args:
            labels: (B,) int64 with -100 where unknown; (B, num_labels) float32 for several emotions at once and
                (B,) float32 for regression, with NaN where unknown.
            negative_video_index: (B,) whose video is the hard negative of each utterance's audio; drawn by default
                (in evaluation mode the most similar one of another emotion).
            negative_audio_index: (B,) whose audio is the hard negative of each utterance's video.
            loss_shares: as in JOYFUL's `forward`; "avel" and "mem" see the utterances of all processes.
            batch_losses: compute "avel" and "mem", which depend on who shares the batch.
            label_shares: (B, num_labels), as in JOYFUL's `forward`.

        Returns:
            `logits` (B, num_labels); with labels also `loss`: L_ce + L_avel + 0.1 L_mem, and the logits of the
            matching. Without another emotion in the batch there is no negative, and "mem" is 0.
        """
        model = self.foal_net
        streams = model.read(
            {
                "input_values": input_values,
                "attention_mask": attention_mask,
                "audio_frames": audio_frames,
                "audio_frame_mask": audio_frame_mask,
                "video_frames": video_frames,
                "video_frame_mask": video_frame_mask,
                "text_frames": text_frames,
                "text_frame_mask": text_frame_mask,
            }
        )
        fusion, embeddings = model.fuse(streams), model.embed(streams)
        output = model.output_of(fusion, embeddings)
        output.logits = self.classifier(output.fused)
        if labels is None or not return_loss:
            return self.complete(output, output_hidden_states, output_attentions)
        losses = {"classification": self.classification_loss(output.logits, labels, label_shares, loss_shares)}
        if model.pairs and batch_losses:
            given = {("audio", "video"): negative_video_index, ("video", "audio"): negative_audio_index}
            processes = Processes(labels.size(0), loss_shares is not None)
            present = {name: stream.present for name, stream in streams.items()}
            pairs = EmotionPairs.of(present, self.task.contrast_labels(labels), processes)
            similarities, avel = self._align(embeddings, pairs, processes)
            # Means over the pairs of streams and over the directions.
            if self.config.avel_loss_weight > 0:
                losses["avel"] = weigh("avel", avel, loss_shares).mean()
            if self.config.mem_loss_weight > 0:
                mem = self._match(streams, fusion, similarities, pairs, given, output, processes)
                losses["mem"] = weigh("mem", mem, loss_shares).mean()
        output.losses = losses
        output.loss = self.weighted_sum(losses)
        return self.complete(output, output_hidden_states, output_attentions)

    def _align(
        self, embeddings: dict[str, Tensor], pairs: EmotionPairs, processes: Processes
    ) -> tuple[dict[Direction, Tensor], Tensor]:
        """Similarities (B, all utterances) of each direction, and the alignment loss of each pair of streams."""
        alignment = self.foal_net.alignment
        assert alignment is not None
        of_all = {name: processes.gather(rows) for name, rows in embeddings.items()}
        similarities: dict[Direction, Tensor] = {}
        losses = []
        for first, second in self.foal_net.pairs:
            similarity = alignment.similarity(of_all[first], of_all[second])
            own = pairs.own
            similarities |= {(first, second): similarity[own], (second, first): similarity.T[own]}
            losses.append(alignment.loss(similarity, pairs.same, pairs.takes_part(first, second), own))
        return similarities, torch.stack(losses)

    def _match(
        self,
        streams: dict[str, FrameStream],
        fusion: FusedStreams,
        similarities: dict[Direction, Tensor],
        pairs: EmotionPairs,
        given: dict[Direction, Tensor | None],
        output: FoalNetOutput,
        processes: Processes,
    ) -> Tensor:
        """The matching loss of each direction; own pairs are those that the classifier has seen."""
        losses = []
        for direction in self.foal_net.directions:
            candidates = pairs.negatives(*direction)
            chosen = given.get(direction)
            if chosen is None:
                chosen = hard_negatives(similarities[direction], candidates, draw=self.training)
            else:
                chosen = chosen + pairs.first
            head = self.matching[direction_name(direction)]
            own = head(fusion.pooled[direction])
            other = head(self.foal_net.fuse_with(direction, streams, fusion, chosen, processes))
            losses.append(matching_loss(own, other, candidates.any(-1)))
            if direction == ("audio", "video"):
                output.match_logits_a2v = torch.cat([own, other])
            elif direction == ("video", "audio"):
                output.match_logits_v2a = torch.cat([own, other])
        return torch.stack(losses)


__all__ = ["FoalNetForEmotionRecognition", "FoalNetModel", "FoalNetPreTrainedModel"]
