"""What the encoders of all modalities share: where they come from, and the device that they run on."""

from pathlib import Path
from typing import Any

import torch
from transformers.utils.hub import cached_file, extract_commit_hash


def best_device() -> str:
    """A GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def split_revision(encoder: str) -> tuple[str, str | None]:
    """`user/model@revision` -> the id and its revision; a folder has none."""
    name, _, revision = encoder.partition("@")
    return (encoder, None) if Path(encoder).is_dir() else (name, revision or None)


def commit_of(name: str, revision: str | None) -> str | None:
    """The commit that a Hub id and a revision stand for, as the folder of its files in the cache is called.

    Raises:
        OSError: there is no such model.
    """
    return extract_commit_hash(cached_file(name, "config.json", revision=revision), None)


def encoder_of(model: Any, device: str) -> Any:
    """The part of a model that encodes, ready to run."""
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return model.eval().to(device)
