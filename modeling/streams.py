"""Sequences of frames with their masks, the padded half of the batch contract."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .batch_contract import WAY_OUT


@dataclass
class FrameStream:
    """One modality of B utterances: up to T frames each."""

    frames: Tensor
    """(B, T, dim), zeros where there is no frame."""
    mask: Tensor
    """(B, T) bool, True at real frames."""

    @classmethod
    def of(cls, frames: Tensor, mask: Tensor | None, dtype: torch.dtype) -> "FrameStream":
        """Frames (B, T, dim) with a mask (B, T) of any type, 1 = real; all are real without one."""
        kept = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device) if mask is None else mask.bool()
        # where, not a product: what stands in the padding may be anything, NaN too.
        return cls(torch.where(kept[..., None], frames.to(dtype), frames.new_zeros((), dtype=dtype)), kept)

    @property
    def present(self) -> Tensor:
        """(B,) bool: utterances that have this modality."""
        return self.mask.any(-1)

    def mean(self, frames: Tensor | None = None) -> Tensor:
        """(B, dim) mean over the real frames, zeros without any; of other `frames` (B, T, dim) with the same mask."""
        summed = self.frames if frames is None else frames
        total = torch.where(self.mask[..., None], summed.float(), 0.0).sum(1)
        return (total / self.mask.sum(-1, keepdim=True).clamp(min=1)).to(summed.dtype)


def check_frames(
    name: str, frames: Tensor | None, mask: Tensor | None, dim: int, error: type[ValueError] = ValueError
) -> None:
    """Compare one stream of a batch with the size that the model was made with.

    Raises:
        ValueError: (or `error`) it is missing, or its shape or its mask's does not fit.
    """
    if frames is None:
        raise error(f"the batch has no {name}_frames, and the model was made with {name}_dim={dim}; {WAY_OUT}")
    if frames.dim() != 3 or frames.size(-1) != dim:
        raise error(f"{name}_frames have shape {tuple(frames.shape)}, the model expects (B, T, {dim}); {WAY_OUT}")
    if mask is not None and mask.shape != frames.shape[:2]:
        raise error(f"{name}_frame_mask has shape {tuple(mask.shape)}, {name}_frames need {tuple(frames.shape[:2])}")
