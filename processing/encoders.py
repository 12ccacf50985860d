"""Pretrained encoders of all modalities: where they come from, and what of them encodes."""

from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file, extract_commit_hash


def split_revision(encoder: str) -> tuple[str, str | None]:
    """Split `user/model@revision` into the id and its revision; a folder has none."""
    name, _, revision = encoder.partition("@")
    return (encoder, None) if Path(encoder).is_dir() else (name, revision or None)


def commit_of(name: str, revision: str | None) -> str | None:
    """Return the commit that a Hub id and a revision stand for: the name of the folder of its files in the cache.

    Raises:
        OSError: there is no such model.
    """
    return extract_commit_hash(cached_file(name, "config.json", revision=revision), None)


def encoder_of(model: Any, device: str) -> Any:
    """Return the part of a model that encodes, ready to run."""
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return model.eval().to(device)
