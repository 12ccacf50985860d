"""The adversarial game: discriminators tell the modalities apart, generators make that impossible.

AR-IIGCN's abstract says no more than that there are "a generator and a discriminator for the three modal features";
the losses here are our reconstruction.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from .context_encoder import DialogueGRU
from .packing import DialogueLayout
from .reach import Reach, in_sequence


class Generator(nn.Module):
    """G_m: moves a modality's features into the space where all modalities are to look alike.

    One linear layer with ReLU, then, with `recurrent`, a GRU over the dialogue, in both directions unless `causal`:
    the sister paper AGF-IB, by the same group, has an LSTM there. The features are normalised:
    otherwise a generator could win by shrinking them.
    """

    def __init__(self, size: int, recurrent: bool, dropout: float, causal: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(size, size)
        self.context_encoder = DialogueGRU(size, 1, dropout, causal) if recurrent else None
        self.norm = nn.LayerNorm(size)

    @property
    def reach(self) -> Reach:
        """The GRU's, if there is one."""
        return in_sequence(self.layer, self.context_encoder, self.norm)

    def forward(self, rows: Tensor, layout: DialogueLayout) -> Tensor:
        """(N, size) -> (N, size)."""
        rows = torch.relu(self.layer(rows))
        if self.context_encoder is not None:
            rows = self.context_encoder(rows, layout)
        return self.norm(rows)


class Discriminator(nn.Sequential):
    """D_m: the logit of "this is modality m", (..., size) -> (..., 1)."""

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__(nn.Linear(size, hidden_size), nn.LeakyReLU(0.2), nn.Linear(hidden_size, 1))


@dataclass
class GameOutput:
    """The outcome of one round of the game."""

    generator_loss: Tensor
    """(discriminators, modalities) terms of L_G; its gradient reaches the features and no discriminator."""
    discriminator_loss: Tensor
    """(discriminators, modalities) terms of L_D; its gradient reaches the discriminators and nothing else."""
    accuracy: Tensor
    """(modalities,) share of features that are judged right, as own and as foreign ones, which count equally; 0.5 is
    chance."""


class AdversarialGame(nn.Module):
    """One discriminator per modality; both players' losses from one forward pass.

        L_D = sum over m of BCE(D_m(F_m), 1) + mean over k != m of BCE(D_m(F_k), 0), on detached features
        L_G = sum over m of mean over k != m of BCE(D_m(F_k), 1), against frozen discriminators

    Each term, a judge D_m and what it sees F_k, is a mean over the utterances that have the modality k.
    """

    def __init__(self, modalities: list[str], size: int, hidden_size: int) -> None:
        super().__init__()
        self.discriminators = nn.ModuleDict({name: Discriminator(size, hidden_size) for name in modalities})

    def forward(self, generated: dict[str, Tensor], present: dict[str, Tensor]) -> GameOutput:
        """Modality -> (N, size), modality -> (N, 1) bool."""
        names = list(self.discriminators)
        features = torch.stack([generated[name] for name in names])
        real = torch.stack([present[name].squeeze(-1) for name in names]).float()
        count = real.sum(-1)
        own = torch.eye(len(names), device=features.device)
        foreign = (1 - own) / (len(names) - 1)

        def mean(values: Tensor) -> Tensor:
            return (values * real).sum(-1) / count.clamp(min=1)

        generator_losses, discriminator_losses, hits = [], [], []
        for index, discriminator in enumerate(self.discriminators.values()):
            is_own, share = own[index], own[index] + foreign[index]
            judged = discriminator(features.detach()).squeeze(-1).float()
            # Frozen: its parameters take no gradient from the generators' loss.
            frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
            fooled = cast("Tensor", functional_call(discriminator, frozen, (features,))).squeeze(-1).float()
            target = is_own[:, None].expand_as(judged)
            wrong = functional.binary_cross_entropy_with_logits(judged, target, reduction="none")
            discriminator_losses.append(share * mean(wrong))
            generator_losses.append(foreign[index] * mean(functional.softplus(-fooled)))
            hits.append(share * mean(((judged > 0) == (target > 0)).float()))
        return GameOutput(
            generator_loss=torch.stack(generator_losses),
            discriminator_loss=torch.stack(discriminator_losses),
            accuracy=(torch.stack(hits).sum(0) / 2).detach(),  # each modality is its own once, and foreign once
        )


def judged_right(accuracy: Tensor, count: Tensor) -> Tensor:
    """() the discriminators' accuracy: the mean over the modalities (M,) that any utterance (M,) has; 0.5 if none."""
    judged = count > 0
    mean = (accuracy * judged).sum() / judged.sum().clamp(min=1)
    return torch.where(judged.any(), mean, torch.full_like(mean, 0.5))
