"""Joint modality fusion: the paper's contextual and specific branches, the released auto-encoders, COGMEN's join."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_joyful import JoyfulConfig
from .context_encoder import DialogueGRU, DialogueTransformer
from .modality_inputs import ZEROS, silence_absent
from .packing import DialogueLayout
from .reach import ALONE, Reach, in_sequence, side_by_side
from .scalar_attention import scalar_attention

RELEASED_ORDER = ("audio", "text", "visual")
"""The order in which released code joins the modalities."""


@dataclass
class FusionOutput:
    """N fused utterances."""

    fused: Tensor
    """(N, size)."""
    loss: Tensor | None
    """(N,) self-supervised loss of each utterance, if it was asked for."""


class FeatureProjections(nn.Module):
    """One linear layer and ReLU per modality (f_k in the paper, depth and activation are our reading).

    An absent modality yields zeros, whatever the bias, unless a learnt vector stands in for it.
    """

    reach = ALONE

    def __init__(self, dims: dict[str, int], sizes: dict[str, int], absent_modality: str = ZEROS) -> None:
        super().__init__()
        self.absent_modality = absent_modality
        self.layers = nn.ModuleDict({name: nn.Linear(dim, sizes[name]) for name, dim in dims.items()})

    def forward(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """Modality -> (N, dim), modality -> (N, 1) bool; returns modality -> (N, size)."""
        projected = {name: torch.relu(layer(features[name])) for name, layer in self.layers.items()}
        return {
            # In the features' type, which under autocast is not the layer's.
            name: silence_absent(rows.to(features[name].dtype), present[name], self.absent_modality)
            for name, rows in projected.items()
        }


def reconstruction_loss(reconstructed: Tensor, original: Tensor, present: Tensor, reduction: str = "mean") -> Tensor:
    """(N,) mean or sum of squared differences over the dimensions that are present (N, size) bool.

    The paper prints a squared norm, which is a sum; a mean keeps its weight alpha the same at every size.
    """
    difference = ((reconstructed - original).float().square() * present).sum(-1)
    return difference if reduction == "sum" else difference / present.sum(-1).clamp(min=1)


class ContextualBranch(nn.Module):
    """B1, section 3.3.1: projected modalities, joined and put into the dialogue's context (Eqs. 1 and 2)."""

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        self.config = config
        sizes = {name: config.contextual_size or dim for name, dim in config.modality_dims.items()}
        self.sizes = sizes
        self.hidden_size = sum(sizes.values())
        self.projections = FeatureProjections(config.modality_dims, sizes, config.absent_modality)
        self.encoder = make_context_encoder(config, self.hidden_size)

    @property
    def reach(self) -> Reach:
        """The context encoder's."""
        return in_sequence(self.projections, self.encoder)

    def forward(
        self,
        features: dict[str, Tensor],
        present: dict[str, Tensor],
        layout: DialogueLayout,
        return_loss: bool = True,
    ) -> FusionOutput:
        """Return z^g_m in context (N, hidden_size), and J_smooth + J^g_rec."""
        joined = torch.cat(list(self.projections(features, present).values()), dim=-1)
        contextual = self.encoder(joined, layout)
        if not return_loss:
            return FusionOutput(contextual, None)
        real = torch.cat([present[name].expand(-1, size) for name, size in self.sizes.items()], dim=-1)
        reduction = self.config.fusion_loss_reduction
        smooth = smoothing_loss(contextual, layout, self.config.smoothing_rate, reduction)
        return FusionOutput(contextual, smooth + reconstruction_loss(contextual, joined, real, reduction))


def smoothing_loss(contextual: Tensor, layout: DialogueLayout, rate: float, reduction: str = "mean") -> Tensor:
    """J_smooth (Eq. 1): (N,) squared distance of each utterance to the topic vector of those before it, mean or sum.

    The topic vector is the exponentially weighted mean z_con,i = sum_{j<i} e^{rate j} z_j / sum_{j<i} e^{rate j}.
    The paper's own update lacks the denominator and would grow without bound. A first utterance adds 0.
    """
    # The weights lie beside the vectors that they weigh.
    weighted = torch.cat([contextual.float(), torch.ones_like(contextual[:, :1], dtype=torch.float32)], dim=-1)
    step = 1
    # Under a compiler the number of doublings is the same for batches of all sizes.
    longest = math.inf if torch.compiler.is_compiling() and rate > 0 else layout.num_utterances
    # After k doublings each row holds its 2^k last utterances; older ones no longer count in float32.
    while step < longest and rate * step < 17:
        weighted = weighted + math.exp(-rate * step) * layout.shift(weighted, step)
        step *= 2
    topic = layout.shift(weighted[:, :-1] / weighted[:, -1:], 1)
    squares = (contextual.float() - topic).square()
    distance = squares.sum(-1) if reduction == "sum" else squares.mean(-1)
    return distance * (layout.position > 0)


class SpecificBranch(nn.Module):
    """B2, section 3.3.2: each modality expressed in one shared basis of q trainable vectors (Eqs. 3-7)."""

    reach = ALONE
    without_weight_decay = ("basis",)

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        self.config = config
        size = config.projection_size
        sizes = dict.fromkeys(config.modality_dims, size)
        self.hidden_size = sum(sizes.values())
        self.absent_modality = config.absent_modality
        self.projections = FeatureProjections(config.modality_dims, sizes, config.absent_modality)
        self.basis = nn.Parameter(torch.empty(config.basis_size, size))
        self.basis_transform = nn.Linear(size, size, bias=False)
        self.transforms = nn.ModuleDict({name: nn.Linear(size, size, bias=False) for name in config.modality_dims})
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw basis vectors of about unit length."""
        init.normal_(self.basis, std=self.basis.size(-1) ** -0.5)

    def forward(
        self, features: dict[str, Tensor], present: dict[str, Tensor], return_loss: bool = True
    ) -> FusionOutput:
        """Return the mixtures of basis vectors (N, modalities * projection_size), and J^l_rec."""
        projected = self.projections(features, present)
        basis = self.basis_transform(self.basis)
        mixtures = []
        for name, transform in self.transforms.items():
            similarity = transform(projected[name]) @ basis.T
            mixture = similarity.softmax(dim=-1) @ basis
            mixtures.append(silence_absent(mixture, present[name], self.absent_modality))
        mixed = torch.cat(mixtures, dim=-1)
        if not return_loss:
            return FusionOutput(mixed, None)
        original = torch.cat(list(projected.values()), dim=-1)
        size = basis.size(-1)
        real = torch.cat([present[name].expand(-1, size) for name in projected], dim=-1)
        return FusionOutput(mixed, reconstruction_loss(mixed, original, real, self.config.fusion_loss_reduction))


class ContextualBasisFusion(nn.Module):
    """The paper's fusion: h_m = [contextual ; specific] and L_mf = J_smooth + J^g_rec + J^l_rec (Eq. 8).

    Without a branch (Table 6, "w/o MF") the other stands alone; without both, the plain features are joined.
    """

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        branches = config.fusion_branches
        self.contextual = ContextualBranch(config) if "contextual" in branches else None
        self.specific = SpecificBranch(config) if "specific" in branches else None
        sizes = [branch.hidden_size for branch in (self.contextual, self.specific) if branch is not None]
        self.hidden_size = sum(sizes) or sum(config.modality_dims.values())

    @property
    def reach(self) -> Reach:
        """The branches', side by side."""
        return side_by_side(self.contextual, self.specific)

    def forward(
        self,
        features: dict[str, Tensor],
        present: dict[str, Tensor],
        layout: DialogueLayout,
        return_loss: bool = True,
    ) -> FusionOutput:
        """Modality -> (N, dim), modality -> (N, 1) bool."""
        outputs = []
        if self.contextual is not None:
            outputs.append(self.contextual(features, present, layout, return_loss))
        if self.specific is not None:
            outputs.append(self.specific(features, present, return_loss))
        if not outputs:
            joined = torch.cat(list(features.values()), dim=-1)
            return FusionOutput(joined, joined.new_zeros(len(joined), dtype=torch.float32) if return_loss else None)
        fused = torch.cat([output.fused for output in outputs], dim=-1)
        losses = [output.loss for output in outputs if output.loss is not None]
        return FusionOutput(fused, torch.stack(losses).sum(0) if losses else None)


class AutoencoderFusion(nn.Module):
    """The released fusion: two auto-encoders, one over the joined features, one over the attended projections."""

    reach = ALONE
    without_weight_decay = ("basis",)

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        self.config = config
        dims, size = config.modality_dims, config.projection_size
        self.dims = dims
        self.absent_modality = config.absent_modality
        self.hidden_size = 2 * config.bottleneck_size
        self.projections = nn.ModuleDict({name: nn.Linear(dim, size) for name, dim in dims.items()})
        self.basis = nn.Parameter(torch.empty(size))
        hidden, bottleneck = config.autoencoder_size, config.bottleneck_size
        joined, projected = sum(dims.values()), size * len(dims)
        self.global_encoder = _two_layers(joined, hidden, bottleneck, nn.ReLU())
        self.global_decoder = _two_layers(bottleneck, hidden, joined, nn.Identity())
        self.inter_encoder = _two_layers(projected, hidden, bottleneck, nn.ReLU())
        self.inter_decoder = _two_layers(bottleneck, hidden, projected, nn.Identity())
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the basis as the released code does, from the sum of a linear layer's weights and bias over ones."""
        init.normal_(self.basis, std=1 / math.sqrt(3))

    def forward(
        self,
        features: dict[str, Tensor],
        present: dict[str, Tensor],
        layout: DialogueLayout,
        return_loss: bool = True,
    ) -> FusionOutput:
        """Modality -> (N, dim), modality -> (N, 1) bool. `layout` is not needed: utterances stand alone."""
        names = [name for name in RELEASED_ORDER if name in self.dims]
        projected = torch.stack([self.projections[name](features[name]) for name in names])
        weighted = scalar_attention(self.basis, projected).to(projected.dtype)
        attended = silence_absent(weighted, torch.stack([present[name] for name in names]), self.absent_modality)
        joined, attended_all = torch.cat([features[name] for name in names], -1), attended.transpose(0, 1).flatten(1)
        global_code, inter_code = self.global_encoder(joined), self.inter_encoder(attended_all)
        fused = torch.cat([global_code, inter_code], dim=-1)
        if not return_loss:
            return FusionOutput(fused, None)
        size = self.basis.size(0)
        real = torch.cat([present[name].expand(-1, self.dims[name]) for name in names], -1)
        real_projected = torch.cat([present[name].expand(-1, size) for name in names], -1)
        reduction = self.config.fusion_loss_reduction
        of_features = reconstruction_loss(self.global_decoder(global_code), joined, real, reduction)
        of_attended = reconstruction_loss(self.inter_decoder(inter_code), attended_all, real_projected, reduction)
        return FusionOutput(fused, of_features + of_attended)


class JoinFusion(nn.Module):
    """COGMEN's fusion: the features side by side, in the order audio, text, visual; nothing to learn."""

    reach = ALONE

    def __init__(self, config: JoyfulConfig) -> None:
        super().__init__()
        self.hidden_size = sum(config.modality_dims.values())

    def forward(
        self,
        features: dict[str, Tensor],
        present: dict[str, Tensor],
        layout: DialogueLayout,
        return_loss: bool = True,
    ) -> FusionOutput:
        """Modality -> (N, dim). Nothing else is needed."""
        del present, layout, return_loss
        return FusionOutput(torch.cat([features[name] for name in RELEASED_ORDER if name in features], -1), None)


def make_context_encoder(config: JoyfulConfig, hidden_size: int) -> DialogueGRU | DialogueTransformer:
    """The encoder over a dialogue's utterances that the config asks for; it takes rows and layout and gives rows."""
    if config.context_encoder == "gru":
        return DialogueGRU(hidden_size, config.num_hidden_layers, config.hidden_dropout_prob, config.causal)
    return DialogueTransformer(
        hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_dropout_prob,
        config.norm_first,
        config.max_relative_distance,
        config.context_window,
        config.causal,
    )


def _two_layers(in_size: int, hidden_size: int, out_size: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, out_size), activation)
