"""SDT as its authors compute it: nine encoders over padded dialogues, one after the other."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.reference import PlainOutput
from benchmarks.speed.rivals.padded import PaddedBatch, PlainNetwork
from joyful_hf import SDTConfig

MODALITIES = {"t": "text", "a": "audio", "v": "visual"}
PROJECTIONS = {"t": "textf_input", "a": "acouf_input", "v": "visuf_input"}
MOST_POSITIONS = 512


class Attention(nn.Module):
    """Attention with a mask of the keys."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v = (nn.Linear(size, size) for _ in range(3))
        self.linear = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """(B, L, size) each, (B, L) bool -> (B, L, size)."""
        maps = ((self.linear_q, target), (self.linear_k, source), (self.linear_v, source))
        query, key, value = (layer(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer, rows in maps)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.size(-1))
        weights = self.dropout(scores.masked_fill(~mask[:, None, None], -1e10).softmax(-1))
        return self.linear((weights @ value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """y + W_2 gelu(W_1 LN(y))."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(size, eps=1e-6)
        self.w_1, self.w_2 = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, L, size) -> (B, L, size)."""
        inner = self.dropout(functional.gelu(self.w_1(self.layer_norm(rows)), approximate="tanh"))
        return rows + self.dropout(self.w_2(inner))


class EncoderLayer(nn.Module):
    """One layer."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(size, heads, dropout)
        self.feed_forward = FeedForward(size, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """(B, L, size) each -> (B, L, size)."""
        return self.feed_forward(self.dropout(self.self_attn(target, source, mask)) + target)


class Encoder(nn.Module):
    """E of a modality that looks at another one, or at itself."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.transformer_inter = nn.ModuleList([EncoderLayer(size, heads, dropout)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """(B, L, size) each -> (B, L, size)."""
        looks_at_itself = target is source
        target = self.dropout(target)
        source = target if looks_at_itself else self.dropout(source)
        return self.transformer_inter[0](target, source, mask)


class Gate(nn.Module):
    """A linear map without bias."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fc = nn.Linear(size, size, bias=False)


class PlainSDT(PlainNetwork):
    """The whole network, with learnt gates."""

    def __init__(self, config: SDTConfig) -> None:
        super().__init__()
        size, dropout, labels = config.projection_size, config.hidden_dropout_prob, len(config.id2label or ())
        self.temperature = config.distillation_temperature
        for short, name in PROJECTIONS.items():
            dim = config.modality_dims[MODALITIES[short]]
            self.add_module(name, nn.Conv1d(dim, size, kernel_size=1, bias=False))
        self.speaker_embeddings = nn.Embedding(config.max_speakers + 1, size, padding_idx=config.max_speakers)
        for source in MODALITIES:
            for target in MODALITIES:
                self.add_module(f"{source}_{target}", Encoder(size, config.num_attention_heads, dropout))
                self.add_module(f"{source}_{target}_gate", Gate(size))
        for short in MODALITIES:
            self.add_module(f"features_reduce_{short}", nn.Linear(3 * size, size))
            head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(size, labels))
            self.add_module(f"{short}_output_layer", head)
        self.last_gate = Gate(size)
        self.all_output_layer = nn.Linear(size, labels)
        self.register_buffer("positions", sinusoids(size), persistent=False)

    def forward(self, batch: PaddedBatch, return_loss: bool = True) -> PlainOutput:
        """Compute the teacher's logits, and the losses of teacher, students and distillation."""
        mask = batch.mask
        speakers = torch.where(mask, batch.speakers, self.speaker_embeddings.num_embeddings - 1)
        place = self.get_buffer("positions")[: mask.size(1)] + self.speaker_embeddings(speakers)
        streams = {}
        for short, name in MODALITIES.items():
            rows = batch.features[name].transpose(1, 2)
            streams[short] = self.get_submodule(PROJECTIONS[short])(rows).transpose(1, 2) + place
        reduced = {target: self.reduce(target, streams, mask) for target in MODALITIES}
        stacked = torch.stack(list(reduced.values()), dim=-2)
        fused = (self.last_gate.fc(stacked).softmax(dim=-2) * stacked).sum(-2)
        logits = self.all_output_layer(fused)[mask]
        if not return_loss:
            return PlainOutput(logits, {}, None)
        students = [self.get_submodule(f"{short}_output_layer")(rows)[mask] for short, rows in reduced.items()]
        labels = batch.known_labels
        teacher = (logits / self.temperature).softmax(-1)
        losses = {
            "classification": functional.cross_entropy(logits, labels),
            "student": torch.stack([functional.cross_entropy(student, labels) for student in students]).sum(),
            "distillation": torch.stack([self.distance(student, teacher) for student in students]).sum(),
        }
        return PlainOutput(logits, losses, torch.stack(list(losses.values())).sum())

    def reduce(self, target: str, streams: dict[str, Tensor], mask: Tensor) -> Tensor:
        """H of a modality, (B, L, size)."""
        gated = []
        for source in [target, *(other for other in MODALITIES if other != target)]:
            encoded = self.get_submodule(f"{source}_{target}")(streams[target], streams[source], mask)
            gate = self.get_submodule(f"{source}_{target}_gate.fc")(encoded)
            gated.append(torch.sigmoid(gate) * encoded)
        return self.get_submodule(f"features_reduce_{target}")(torch.cat(gated, dim=-1))

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """() mean KL(teacher || student)."""
        own = (student / self.temperature).log_softmax(-1)
        return (teacher * (teacher.log() - own)).sum(-1).mean()


def sinusoids(size: int) -> Tensor:
    """(positions, size): sine and cosine in turn."""
    angle = torch.arange(MOST_POSITIONS)[:, None] * torch.exp(torch.arange(0, size, 2) * (-math.log(10000) / size))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
