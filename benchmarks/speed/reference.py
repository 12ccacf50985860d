"""Released JOYFUL as a careful newcomer would write it: the plain network that the speed benchmark compares with.

The same method as `JoyfulForEmotionRecognition(JoyfulConfig.released())` in the manner of the released code:
modalities fused one utterance at a time, a padded transformer, edges made by a double loop, and torch-geometric's
layers. Parameters have the released names, so that `convert_released_state_dict` can convert them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch_geometric.backend
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.nn import RGCNConv, TransformerConv

from joyful_hf import JoyfulConfig
from joyful_hf.processing import EncodedDialogue

# With pyg-lib, the other path of RGCNConv would take the mean over the edges of all relations at once.
torch_geometric.backend.use_segment_matmul = False


@dataclass
class PlainDialogue:
    """One dialogue of n utterances."""

    text: Tensor
    """(n, text_dim); so are the next two."""
    audio: Tensor
    visual: Tensor
    speakers: list[int]
    labels: Tensor
    """(n,) int64."""

    @classmethod
    def from_encoded(cls, encoded: EncodedDialogue, device: torch.device | str = "cpu") -> "PlainDialogue":
        """Convert a dialogue that the processor of the package has encoded into plain tensors."""
        features = {name: torch.from_numpy(rows).to(device) for name, rows in encoded.features.items()}
        assert encoded.labels is not None
        labels = torch.from_numpy(encoded.labels).to(device)
        return cls(**features, speakers=encoded.speaker_ids.tolist(), labels=labels)

    def __len__(self) -> int:
        return len(self.speakers)


@dataclass
class PlainOutput:
    """The output of the plain network for N utterances."""

    logits: Tensor
    """(N, num_labels)."""
    losses: dict[str, Tensor]
    """Parts of the loss, () and unweighted; empty if no loss was requested."""
    loss: Tensor | None


class AutoFusion(nn.Module):
    """The released fusion: two auto-encoders, over the joined features and over the attended projections."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        size, hidden, code = config.projection_size, config.autoencoder_size, config.bottleneck_size
        joined = config.audio_dim + config.text_dim + config.visual_dim
        self.projectA = nn.Linear(config.audio_dim, size)
        self.projectT = nn.Linear(config.text_dim, size)
        self.projectV = nn.Linear(config.visual_dim, size)
        self.projectB = nn.Sequential(nn.Linear(size, size))  # applied to ones: a single vector
        self.fuse_inGlobal = nn.Sequential(nn.Linear(joined, hidden), nn.Tanh(), nn.Linear(hidden, code), nn.ReLU())
        self.fuse_outGlobal = nn.Sequential(nn.Linear(code, hidden), nn.Tanh(), nn.Linear(hidden, joined))
        self.fuse_inInter = nn.Sequential(nn.Linear(3 * size, hidden), nn.Tanh(), nn.Linear(hidden, code), nn.ReLU())
        self.fuse_outInter = nn.Sequential(nn.Linear(code, hidden), nn.Tanh(), nn.Linear(hidden, 3 * size))

    def forward(
        self, audio: Tensor, text: Tensor, visual: Tensor, return_loss: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """One utterance, (dim,) each -> its fused vector (2 * bottleneck_size,) and its reconstruction loss ()."""
        projections = (self.projectA(audio), self.projectT(text), self.projectV(visual))
        basis = self.projectB(torch.ones_like(projections[0]))
        attended = []
        for projected in projections:
            attention = torch.softmax(torch.outer(basis, projected), dim=-1)
            attended.append(attention @ projected)
        joined, attended_all = torch.cat([audio, text, visual]), torch.cat(attended)
        global_code, inter_code = self.fuse_inGlobal(joined), self.fuse_inInter(attended_all)
        fused = torch.cat([global_code, inter_code])
        if not return_loss:
            return fused, None
        global_loss = (self.fuse_outGlobal(global_code) - joined).float().square().mean()
        inter_loss = (self.fuse_outInter(inter_code) - attended_all).float().square().mean()
        return fused, global_loss + inter_loss


class ContextEncoder(nn.Module):
    """Transformer over padded dialogues, and a projection to the graph's width."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        size = 2 * config.bottleneck_size
        layer = nn.TransformerEncoderLayer(
            size,
            config.num_attention_heads,
            config.intermediate_size,
            config.hidden_dropout_prob,
            batch_first=True,
        )
        self.transformer_encoder = nn.TransformerEncoder(layer, config.num_hidden_layers, enable_nested_tensor=False)
        self.transformer_out = nn.Linear(size, config.graph_hidden_size or size)

    def forward(self, block: Tensor, padding: Tensor) -> Tensor:
        """(B, longest, size), (B, longest) bool, True at padding -> (B, longest, graph_hidden_size)."""
        return self.transformer_out(self.transformer_encoder(block, src_key_padding_mask=padding))


class GraphEncoder(nn.Module):
    """Relational convolution, then attention over the same edges."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        size, heads = config.graph_hidden_size or 2 * config.bottleneck_size, config.graph_num_heads
        self.conv1 = RGCNConv(size, size, config.num_relations)  # ty: ignore[abstract-class-instantiation]
        self.transform_conv = TransformerConv(size, size, heads)  # ty: ignore[abstract-class-instantiation]
        self.bn = nn.BatchNorm1d(heads * size)

    def convolve(self, nodes: Tensor, edge_index: Tensor, edge_type: Tensor) -> Tensor:
        """(N, size) -> (N, size), the rows that the contrast compares."""
        return self.conv1(nodes, edge_index, edge_type)

    def attend(self, convolved: Tensor, edge_index: Tensor) -> Tensor:
        """(N, size) -> (N, heads * size)."""
        return functional.leaky_relu(self.bn(self.transform_conv(convolved, edge_index)))


class Classifier(nn.Module):
    """Two linear layers."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        size = config.graph_hidden_size or 2 * config.bottleneck_size
        hidden = config.classifier_hidden_size or size
        self.lin1 = nn.Linear(config.graph_num_heads * size, hidden)
        self.drop = nn.Dropout(config.hidden_dropout_prob)
        self.lin2 = nn.Linear(hidden, len(config.id2label or ()))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, heads * size) -> (N, num_labels)."""
        return self.lin2(self.drop(torch.relu(self.lin1(rows))))


class PlainModel(nn.Module):
    """Everything except the fusion, under the released names."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        self.rnn = ContextEncoder(config)
        self.gcl = GraphEncoder(config)
        self.clf = Classifier(config)


class PlainJoyful(nn.Module):
    """The whole plain network.

    Args:
        config: `JoyfulConfig.released()`, with any sizes.
        window_past, window_future: utterances that a node receives from.
    """

    def __init__(self, config: JoyfulConfig, window_past: int = 10, window_future: int = 10) -> None:
        super().__init__()
        self.config = config
        self.window_past = window_past
        self.window_future = window_future
        self.fusion = AutoFusion(config)
        self.model = PlainModel(config)

    def forward(self, dialogues: Sequence[PlainDialogue], return_loss: bool = True) -> PlainOutput:
        """Compute a batch of dialogues; `return_loss=False` leaves out the reconstruction and all losses."""
        fused, fusion_losses = self._fuse(dialogues, return_loss)
        lengths = torch.tensor([len(dialogue) for dialogue in dialogues], device=fused[0].device)
        block = pad_sequence(fused, batch_first=True)
        padding = torch.arange(block.size(1), device=block.device) >= lengths[:, None]
        context = self.model.rnn(block, padding)
        nodes = torch.cat([rows[: len(dialogue)] for rows, dialogue in zip(context, dialogues, strict=True)])

        speakers = [dialogue.speakers for dialogue in dialogues]
        edge_index, edge_type = edges_by_loop(
            speakers, self.window_past, self.window_future, self.config.max_speakers, block.device
        )
        anchor = self.model.gcl.convolve(nodes, edge_index, edge_type)
        logits = self.model.clf(self.model.gcl.attend(anchor, edge_index))
        if not return_loss:
            return PlainOutput(logits, {}, None)

        labels = torch.cat([dialogue.labels for dialogue in dialogues])
        losses = {
            "classification": functional.cross_entropy(logits.float(), labels),
            "fusion": torch.stack(fusion_losses).mean(),
        }
        if self.training:
            losses["contrastive"] = self._contrast(nodes, anchor, edge_index, edge_type, speakers, lengths)
        return PlainOutput(logits, losses, self._weighted_sum(losses))

    def _fuse(self, dialogues: Sequence[PlainDialogue], return_loss: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Return the fused utterances (n, size) of each dialogue, and the loss of each utterance."""
        fused, losses = [], []
        for dialogue in dialogues:
            rows = []
            for index in range(len(dialogue)):
                row, loss = self.fusion(
                    dialogue.audio[index], dialogue.text[index], dialogue.visual[index], return_loss
                )
                rows.append(row)
                if loss is not None:
                    losses.append(loss)
            fused.append(torch.stack(rows))
        return fused, losses

    def _contrast(
        self,
        nodes: Tensor,
        anchor: Tensor,
        edge_index: Tensor,
        edge_type: Tensor,
        speakers: list[list[int]],
        lengths: Tensor,
    ) -> Tensor:
        """Contrast the clean graph with each of two augmented views."""
        config = self.config
        speaker_ids = torch.tensor([speaker for dialogue in speakers for speaker in dialogue], device=nodes.device)
        losses = []
        for _ in range(2):
            keep = torch.rand_like(nodes, dtype=torch.float32) >= config.feature_mask_rate
            moved_index, moved_type = rewire(
                edge_index, edge_type, speaker_ids, lengths, config.max_speakers, config.edge_perturb_rate
            )
            view = self.model.gcl.convolve(nodes * keep, moved_index, moved_type)
            losses.append(info_nce(anchor, view, config.contrastive_temperature))
        return losses[0] + losses[1]

    def _weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        loss = losses["classification"] + self.config.fusion_loss_weight * losses["fusion"]
        if "contrastive" in losses:
            loss = loss + self.config.contrastive_loss_weight * losses["contrastive"]
        return loss


def edges_by_loop(
    speakers: Sequence[Sequence[int]],
    window_past: int,
    window_future: int,
    max_speakers: int,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Return edges (2, E) and their relations (E,), made in lists: an utterance receives from its window and itself.

    Args:
        speakers: the speaker of each utterance of each dialogue.
    """
    sources, targets, relations = [], [], []
    start = 0
    for dialogue in speakers:
        length = len(dialogue)
        for target in range(length):
            for source in range(max(0, target - window_past), min(length, target + window_future + 1)):
                direction = 0 if source < target else 1
                sources.append(start + source)
                targets.append(start + target)
                relations.append(2 * (dialogue[source] * max_speakers + dialogue[target]) + direction)
        start += length
    return torch.tensor([sources, targets], device=device), torch.tensor(relations, device=device)


def edges_by_tensors(
    speakers: Sequence[Tensor], window_past: int, window_future: int, max_speakers: int
) -> tuple[Tensor, Tensor]:
    """Do as `edges_by_loop` in the way of the released code: a tensor per edge, and speakers read from a tensor."""
    edges, relations = [], []
    start = 0
    for dialogue in speakers:
        length = len(dialogue)
        for target in range(length):
            for source in range(max(0, target - window_past), min(length, target + window_future + 1)):
                pair = dialogue[source].item() * max_speakers + dialogue[target].item()
                relations.append(2 * pair + (0 if source < target else 1))
                edges.append(torch.tensor([start + source, start + target]))
        start += length
    return torch.stack(edges, dim=1), torch.tensor(relations)


def rewire(
    edge_index: Tensor, edge_type: Tensor, speaker_ids: Tensor, lengths: Tensor, max_speakers: int, rate: float
) -> tuple[Tensor, Tensor]:
    """Copy the graph, and give a random share `rate` of the edges another target in the same dialogue."""
    edge_index, edge_type = edge_index.clone(), edge_type.clone()
    num_edges = edge_index.size(1)
    moved = torch.randperm(num_edges, device=edge_index.device)[: round(rate * num_edges)]
    source = edge_index[0, moved]
    dialogue = torch.repeat_interleave(lengths)[source]
    start = (lengths.cumsum(0) - lengths)[dialogue]
    target = start + (torch.rand(len(moved), device=edge_index.device) * lengths[dialogue]).long()
    edge_index[1, moved] = target
    edge_type[moved] = 2 * (speaker_ids[source] * max_speakers + speaker_ids[target]) + (source >= target).long()
    return edge_index, edge_type


def info_nce(view1: Tensor, view2: Tensor, temperature: float) -> Tensor:
    """InfoNCE over the whole batch in both directions, inter- and intra-view negatives in one denominator."""
    view1, view2 = functional.normalize(view1.float(), dim=-1), functional.normalize(view2.float(), dim=-1)
    return (_one_direction(view1, view2, temperature) + _one_direction(view2, view1, temperature)) / 2


def _one_direction(anchors: Tensor, others: Tensor, temperature: float) -> Tensor:
    with torch.autocast(anchors.device.type, enabled=False):
        inter = anchors @ others.T / temperature
        intra = anchors @ anchors.T / temperature
    itself = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    scores = torch.cat([inter, intra.masked_fill(itself, -torch.inf)], dim=1)
    return (scores.logsumexp(dim=1) - inter.diagonal()).mean()
