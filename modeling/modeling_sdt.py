"""SDT: a transformer for each pair of modalities, hierarchical gates, and self-distillation (Ma et al., 2024).

After Ma, Wang, Lin, Zhang, Zhang and Xu, "A Transformer-Based Model With Self-Distillation for Multimodal Emotion
Recognition in Conversations" (arXiv 2310.20494), and what is known of the authors' code.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import WholeDialogueAttention
from .batch_contract import MODALITIES, PackedBatch
from .configuration_sdt import SDTConfig
from .dropout import Dropout
from .modality_inputs import ModalityInputs, readable, softmax_over_modalities
from .modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from .outputs import EmotionRecognitionOutput
from .reach import Reach
from .speaker_vectors import SpeakerVectors
from .speech_encoder import SpeechEncoder
from .text_encoder import TextEncoder


def sinusoids(position: Tensor, size: int) -> Tensor:
    """PE[p, 2i] = sin(p / 10000^(2i / size)) and PE[p, 2i+1] = cos(same): (N,) -> (N, size), float32."""
    even = torch.arange(0, size, 2, dtype=torch.float32, device=position.device)
    angle = position.float()[:, None] * torch.exp(even * (-math.log(10000) / size))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class CrossModalEncoder(nn.Module):
    """E of one modality, which looks at another or at itself: one layer, not normalised before its attention."""

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.attention_output = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.intermediate = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def attend(self, target: Tensor, source: Tensor, attention: WholeDialogueAttention) -> Tensor:
        """c = W_o softmax((W_q x_m) (W_k x_s)^T / sqrt(d / h)) (W_v x_s), its heads side by side: (N, size)."""
        joined = torch.cat([self.query(target), self.key(source), self.value(source)], dim=-1)
        return self.attention_output(attention(joined, self.num_heads, self.dropout))

    def forward(self, target: Tensor, source: Tensor, attention: WholeDialogueAttention) -> Tensor:
        """y = c + x_m;  E = y + W_2 gelu(W_1 LN(y)): (N, size) of both modalities -> (N, size)."""
        looks_at_itself = target is source
        target = self.dropout(target)
        source = target if looks_at_itself else self.dropout(source)
        attended = self.dropout(self.attend(target, source, attention)) + target
        hidden = functional.gelu(self.intermediate(self.norm(attended)), approximate="tanh")
        return attended + self.dropout(self.output(self.dropout(hidden)))


class UnimodalGate(nn.Module):
    """G = sigmoid(U E) * E, with a matrix U or the identity."""

    def __init__(self, size: int, is_learned: bool) -> None:
        super().__init__()
        self.gate = nn.Linear(size, size, bias=False) if is_learned else nn.Identity()

    def forward(self, encoded: Tensor) -> Tensor:
        """(N, size) -> (N, size)."""
        return torch.sigmoid(self.gate(encoded)) * encoded


class SDTPreTrainedModel(SpeakerGraphPreTrainedModel):
    """The base of the SDT models."""

    config: SDTConfig
    base_model_prefix = "sdt"


class SDTModel(SDTPreTrainedModel):
    """Encoders of all pairs of modalities, and two levels of gates that fuse them."""

    def __init__(self, config: SDTConfig) -> None:
        super().__init__(config)
        dims, size = config.modality_dims, config.projection_size
        self.hidden_size = size
        self.text_encoder = TextEncoder.of(config)
        self.speech_encoder = SpeechEncoder.of(config)
        self.inputs = ModalityInputs.of(config)
        self.projections = nn.ModuleDict({name: nn.Linear(dim, size, bias=False) for name, dim in dims.items()})
        self.speakers = SpeakerVectors(config.max_speakers, size)
        # Own modality first, then the others: the order in which a reduction reads them.
        self.sources = {target: sorted(dims, key=lambda source: source != target) for target in dims}
        pairs = [f"{source}_to_{target}" for target, source in product(dims, dims)]
        self.encoders = nn.ModuleDict(
            {pair: CrossModalEncoder(size, config.num_attention_heads, config.hidden_dropout_prob) for pair in pairs}
        )
        self.unimodal_gates = nn.ModuleDict(
            {pair: UnimodalGate(size, config.unimodal_gate == "learned") for pair in pairs}
        )
        self.reductions = nn.ModuleDict({name: nn.Linear(len(dims) * size, size) for name in dims})
        self.multimodal_gate = nn.Linear(size, size, bias=False) if len(dims) > 1 else None
        self.post_init()

    @property
    def reach(self) -> Reach:
        """The whole dialogue."""
        return Reach(math.inf, math.inf)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the streams of the modalities and what the gates make of them.

        Returns:
            `fused` (N, modalities * projection_size): x_m side by side; `context`, of the same size: H_m, the reduced
            stream of each modality; `graph` (N, projection_size): H, the fused one.
        """
        features, present = self.inputs(batch.features, batch.modality_mask, self.dtype)
        seen = readable(present, self.config.absent_modality)
        attentions = {name: WholeDialogueAttention(batch.layout, None, keys=here) for name, here in seen.items()}
        place = self.place(batch)
        placed = {name: project(features[name]) + place for name, project in self.projections.items()}
        streams = {name: batch.layout.arrange(rows) for name, rows in placed.items()}
        reduced = {
            target: batch.layout.restore(self.reduce(target, streams, attentions)) for target in self.projections
        }
        return EmotionRecognitionOutput(
            features=torch.cat(list(features.values()), dim=-1),
            fused=torch.cat(list(placed.values()), dim=-1),
            context=torch.cat(list(reduced.values()), dim=-1),
            graph=self.fuse(reduced, seen),
        )

    def place(self, batch: PackedBatch) -> Tensor:
        """PE + S: where each utterance stands and who speaks, (N, size)."""
        if batch.speaker_ids is None:
            raise self.batch_error("the model knows speakers: the batch needs speaker_ids")
        position = sinusoids(batch.layout.position, self.hidden_size)
        return self.speakers(batch.speaker_ids) + position.to(self.dtype)

    def reduce(self, target: str, streams: dict[str, Tensor], attentions: dict[str, WholeDialogueAttention]) -> Tensor:
        """H_m = R_m [G of its own ; G of the others] + r_m: (N, size) of each modality -> (N, size)."""
        gated = []
        for source in self.sources[target]:
            pair = f"{source}_to_{target}"
            encoded = self.encoders[pair](streams[target], streams[source], attentions[source])
            gated.append(self.unimodal_gates[pair](encoded))
        return self.reductions[target](torch.cat(gated, dim=-1))

    def fuse(self, reduced: dict[str, Tensor], seen: dict[str, Tensor]) -> Tensor:
        """H = sum_m alpha_m * H_m, alpha the softmax over the modalities of F H_m, element by element."""
        stacked = torch.stack(list(reduced.values()))
        if self.multimodal_gate is None:
            return stacked[0]
        alpha = softmax_over_modalities(self.multimodal_gate(stacked), torch.stack(list(seen.values())))
        return (alpha * stacked).sum(0)


class SDTForEmotionRecognition(SpeakerGraphClassifierMixin, SDTPreTrainedModel):
    """SDT with a classifier on the fused stream, the teacher, and in training one on each modality's, the students.

    The loss is the teacher's classification, the sum of the students' and that of their distances from the teacher,
    each a mean over the utterances that have the student's modality.
    """

    reach = SpeakerGraphClassifierMixin.reach  # the losses change nothing of it

    def __init__(self, config: SDTConfig) -> None:
        super().__init__(config)
        num_labels = len(config.id2label or ())
        self.sdt = SDTModel(config)
        self.classifier = nn.Linear(self.sdt.hidden_size, num_labels)
        names = list(config.modality_dims) if len(config.modality_dims) > 1 else []
        self.students = nn.ModuleDict({name: self._student(num_labels) for name in names})
        self.post_init()

    def _student(self, num_labels: int) -> nn.Sequential:
        layers = OrderedDict[str, nn.Module](activation=nn.ReLU(), dropout=Dropout(self.config.hidden_dropout_prob))
        # By this name fine-tuning on other labels knows what begins anew.
        layers["classifier"] = nn.Linear(self.sdt.hidden_size, num_labels)
        return nn.Sequential(layers)

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        """Compute the teacher's logits and the losses: the distillation without labels too."""
        output = super().forward_batch(batch)
        if not (batch.return_loss and len(self.students)):
            return output
        assert output.logits is not None
        assert output.context is not None
        students = self.student_logits(output.context)
        has = _present(batch.modality_mask, output.logits)
        output.losses = (output.losses or {}) | {"distillation": self.distances(students, output.logits, has)}
        if batch.labels is not None:
            known = {name: self.task.known_where(batch.labels, has[name]) for name in students}
            losses = [self.task_loss(logits, known[name]) for name, logits in students.items()]
            output.losses["student"] = torch.stack(losses)
        return output

    def student_logits(self, context: Tensor) -> dict[str, Tensor]:
        """z_m = C_m relu(H_m) + c_m: (N, modalities * size) -> modality -> (N, num_labels)."""
        reduced = context.chunk(len(self.students), dim=-1)
        return {name: student(rows) for (name, student), rows in zip(self.students.items(), reduced, strict=True)}

    def distances(self, students: dict[str, Tensor], teacher: Tensor, has: dict[str, Tensor]) -> Tensor:
        """(students,) mean KL(teacher || student) of the logits of each, over the utterances with its modality."""
        config = self.config
        target = teacher.detach() if config.detach_teacher else teacher
        scale = config.distillation_temperature**2 if config.scale_by_temperature_squared else 1.0
        means = []
        for name, logits in students.items():
            distance = self.task.divergence(logits, target, config.distillation_temperature)
            means.append((distance * has[name]).sum() / has[name].sum().clamp(min=1) * scale)
        return torch.stack(means)

    def loss_weights(self) -> dict[str, float]:
        """Weight of each part of the loss."""
        weights = super().loss_weights()
        if len(self.students):
            weights |= {
                "student": self.config.student_loss_weight,
                "distillation": self.config.distillation_loss_weight,
            }
        return weights

    def loss_counts(self, batch: Mapping[str, Tensor], across_processes: bool = False) -> dict[str, Tensor]:
        """Count what each part of the loss is a mean over; the students' parts have a count for each of them."""
        counts = super().loss_counts(batch, across_processes)
        if not len(self.students):
            return counts
        has = _present(batch.get("modality_mask"), batch["speaker_ids"])
        counts["distillation"] = torch.stack([has[name].sum() for name in self.students]).float()
        counts["student"] = torch.zeros_like(counts["distillation"])
        labels = batch.get("labels")
        if labels is not None:
            known = [self.task.known_where(labels, has[name]) for name in self.students]
            counts["student"] = torch.stack([self.task.count(own, self.config.class_weights) for own in known])
        return counts


def _present(modality_mask: Tensor | None, rows: Tensor) -> dict[str, Tensor]:
    """Modality -> (N,) bool as the batch says, whatever training hides; `rows` (N, ...) tell how many there are."""
    if modality_mask is None:
        modality_mask = torch.ones(rows.size(0), len(MODALITIES), dtype=torch.bool, device=rows.device)
    return dict(zip(MODALITIES, modality_mask.bool().unbind(-1), strict=True))


__all__ = ["SDTForEmotionRecognition", "SDTModel", "SDTPreTrainedModel"]
