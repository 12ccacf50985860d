"""Extractors of pictures: statistics of brightness, colour and movement, or the mean of an image encoder."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from transformers import AutoImageProcessor, AutoModel

from .dialogues import DialogueError, Utterance
from .encoders import encoder_of
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


class ImageEncoder(VideoExtractor):
    """The mean over pictures of an image encoder of transformers: CLIP, SigLIP, DINO, ...

    A model of images and texts gives the vector in which it compares the two, any other the mean over the picture.

    Args:
        name: folder or Hub id.
        revision: revision of a Hub id.
        device: as in torch.
    """

    def __init__(self, name: str, revision: str | None, device: str) -> None:
        import_optional("PIL", "media", "video_extractor with an image encoder")
        self._inputs: Any = AutoImageProcessor.from_pretrained(name, revision=revision)
        self._model = encoder_of(AutoModel.from_pretrained(name, revision=revision, dtype=torch.float32), device)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        return self._encode(pictures).mean(0).cpu().numpy()

    def encode_frames(self, pictures: np.ndarray) -> np.ndarray:
        return self._encode(pictures).cpu().numpy()

    @torch.inference_mode()
    def _encode(self, pictures: np.ndarray) -> Tensor:
        pixels = self._inputs(list(pictures), return_tensors="pt")["pixel_values"].to(self._model.device)
        return self._vectors(pixels)

    def _vectors(self, pixels: Tensor) -> Tensor:
        """Encode pictures (B, channels, height, width) as vectors (B, size)."""
        if hasattr(self._model, "get_image_features"):
            features = self._model.get_image_features(pixel_values=pixels)
            return features if isinstance(features, Tensor) else features.pooler_output
        places = self._model(pixel_values=pixels).last_hidden_state
        return places.mean((2, 3)) if places.dim() == 4 else places.mean(1)
