"""Extractors of pictures: statistics of brightness, colour and movement, or the layers of an image encoder."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from transformers import AutoImageProcessor, AutoModel

from .dialogues import DialogueError, Utterance
from .encoder_layers import POOLED
from .encoders import PretrainedExtractor, encoder_of, hidden_states_of
from .extractor_base import FeatureExtractor
from .media import MediaError, is_table
from .media_pictures import pictures_of_all
from .optional_imports import import_optional

NUM_FRAMES = 8
"""Number of pictures of an utterance, spread evenly over its time."""
NUM_FRAMES_OF_SEQUENCE = 16
"""The same where each picture becomes a frame of a sequence."""


class VideoExtractor(FeatureExtractor):
    """Base of extractors of pictures."""

    example = {"video": np.zeros((1, 64, 64, 3), np.uint8)}

    def read(self, utterances: Sequence[Utterance], frames: bool = False) -> Iterator[np.ndarray | DialogueError]:
        count = NUM_FRAMES_OF_SEQUENCE if frames else NUM_FRAMES
        pictures = pictures_of_all([each for each in utterances if not is_table(each["video"])], count)
        for utterance in utterances:
            yield _no_video(utterance) if is_table(utterance["video"]) else next(pictures)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Turn pictures (pictures, height, width, 3) uint8 into a vector (size,) float32."""
        raise NotImplementedError

    def encode_frames(self, pictures: np.ndarray) -> np.ndarray:
        """Turn each of the pictures (pictures, height, width, 3) uint8 into a frame (pictures, size) float32."""
        raise NotImplementedError


def _no_video(utterance: Utterance) -> MediaError:
    return MediaError(f"{utterance['video']}: is no video; OpenFace's CSV files are for video_extractor='openface'")


class FrameStatistics(VideoExtractor):
    """198 statistics of a video; needs no download.

    Over a grid of 8 x 8 cells, from the top left on: the mean brightness, its standard deviation within the cell, and
    how much a cell's brightness changes from one picture to the next (64 numbers each); and the mean and standard
    deviation of red, green and blue (6). From 0 to 1. A frame has those of one picture, without changes, and the mean
    and deviation of its brightness as a whole (136).
    """

    _grid = (8, 8)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        colours = _colours(pictures)
        brightness, deviation = self._cells(colours)
        cells = [brightness.mean(0), deviation.mean(0), brightness.diff(dim=0).abs().mean(0)]
        return torch.cat(
            [*(cell.flatten() for cell in cells), colours.mean((0, 2, 3)), colours.std((0, 2, 3))]
        ).numpy()

    def encode_frames(self, pictures: np.ndarray) -> np.ndarray:
        colours = _colours(pictures)
        cells = [cell.flatten(1) for cell in self._cells(colours)]
        grey = colours.mean(1).flatten(1)
        whole = torch.stack([grey.mean(-1), grey.std(-1)], dim=-1)
        return torch.cat([*cells, colours.mean((2, 3)), colours.std((2, 3)), whole], dim=-1).numpy()

    def _cells(self, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation of the brightness of each cell, (pictures, 1, 8, 8)."""
        grey = colours.mean(1, keepdim=True)
        brightness = adaptive_avg_pool2d(grey, self._grid)
        variance = adaptive_avg_pool2d(grey**2, self._grid) - brightness**2
        return brightness, variance.clamp(min=0).sqrt()


def _colours(pictures: np.ndarray) -> Tensor:
    """Return pictures (pictures, height, width, 3) uint8 as (pictures, 3, height, width) from 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


class ImageEncoder(PretrainedExtractor, VideoExtractor):
    """Layers of an image encoder of transformers, averaged over places and pictures: CLIP, SigLIP, DINO, ViT, ...

    `pooled` is the vector in which a model of images and texts compares the two, and the last layer of any other.

    Args:
        name: folder or Hub id.
        revision: revision of a Hub id.
        device: as in torch.
    """

    modality = "visual"

    def __init__(self, name: str, revision: str | None, device: str) -> None:
        import_optional("PIL", "media", "video_extractor with an image encoder")
        self._inputs: Any = AutoImageProcessor.from_pretrained(name, revision=revision)
        self._model = encoder_of(AutoModel.from_pretrained(name, revision=revision, dtype=torch.float32), device)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        return self._vectors(pictures).mean(0).cpu().numpy()

    def encode_frames(self, pictures: np.ndarray) -> np.ndarray:
        return self._vectors(pictures, frames=True).cpu().numpy()

    @torch.inference_mode()
    def _vectors(self, pictures: np.ndarray, frames: bool = False) -> Tensor:
        """Encode pictures (B, height, width, channels) as vectors (B, size)."""
        if self.layers(frames).mix != POOLED:
            return self._join(self._states(pictures), frames, _mean_over_places)
        pixels = self._pixels(pictures)
        if not hasattr(self._model, "get_image_features"):
            return _mean_over_places(self._model(pixel_values=pixels).last_hidden_state)
        features = self._model.get_image_features(pixel_values=pixels)
        return features if isinstance(features, Tensor) else features.pooler_output

    @torch.inference_mode()
    def _states(self, pictures: np.ndarray) -> Sequence[Tensor]:
        """Return the hidden states (B, places, size) of pictures; some encoders have (B, size, height, width)."""
        # Of a model of images and texts, only the part for images reads images alone.
        model = getattr(self._model, "vision_model", self._model)
        return hidden_states_of(model(pixel_values=self._pixels(pictures), output_hidden_states=True))

    def _example_states(self) -> Sequence[Tensor]:
        states = self._states(self.example["video"])
        return [state.movedim(1, -1) if state.dim() == 4 else state for state in states]

    def _pixels(self, pictures: np.ndarray) -> Tensor:
        return self._inputs(list(pictures), return_tensors="pt")["pixel_values"].to(self._model.device)


def _mean_over_places(state: Tensor) -> Tensor:
    """Average (B, places, size) or (B, size, height, width) over a picture, to (B, size)."""
    return state.mean((2, 3)) if state.dim() == 4 else state.mean(1)
