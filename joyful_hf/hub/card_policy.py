"""Decide which model card a push keeps: a card that a person wrote stays."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import ModelCard

from ..model_card.card import MARKER, write_card_without_processor, write_model_card
from ..runs.names import CONFIG_FILES, MODEL_CARD, RUN_SUMMARY, TOKENIZER_FILES
from .repository import Repository

logger = logging.getLogger(__name__)


def settle_card(folder: Path, repository: Repository, card_of_run: dict[str, Any] | None) -> None:
    """Leave in the folder the card that the repository is to have, or none where the repository keeps its own.

    Args:
        folder: the files that are about to be pushed; it is changed.
        card_of_run: further arguments of `write_model_card` if the folder is that of a run; None for a model or a
            processor on its own, which never replaces a card with the results of a run.
    """
    if (folder / MODEL_CARD).exists() and _is_by_hand(folder / MODEL_CARD):
        return
    if MODEL_CARD in repository.files:
        with TemporaryDirectory() as other:
            by_hand = _is_by_hand(repository.fetch(MODEL_CARD, Path(other)))
        if by_hand:
            (folder / MODEL_CARD).unlink(missing_ok=True)
            logger.warning("%s: its README.md was written by a person and is kept", repository.repo_id)
            return
    if card_of_run is None and RUN_SUMMARY in repository.files:
        if not _has_weights_of(folder, repository):
            logger.warning(
                "%s: its README.md and results belong to other weights than those pushed now; push the folder of a "
                "run to replace them",
                repository.repo_id,
            )
        return
    for name in (*CONFIG_FILES, *TOKENIZER_FILES):  # the card is made of the processor itself
        if not (folder / name).exists() and name in repository.files:
            repository.fetch(name, folder)
    has_model, has_processor = ((folder / name).exists() for name in CONFIG_FILES)
    if has_model and has_processor:
        write_model_card(folder, model_id=repository.repo_id, **(card_of_run or {}))
    elif has_model:
        write_card_without_processor(folder, repository.repo_id)


def _is_by_hand(card: Path) -> bool:
    return MARKER not in card.read_text(encoding="utf-8", errors="replace").splitlines()


def _has_weights_of(folder: Path, repository: Repository) -> bool:
    """Whether the repository already has every file of weights in the folder, with the same content."""
    for file in folder.glob("*.safetensors"):
        pushed = repository.files.get(file.name)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if pushed is None or pushed.lfs is None or pushed.lfs.sha256 != digest:
            return False
    return True


def add_tags(folder: Path, repository: Repository, tags: Sequence[str]) -> None:
    """Add tags to the card in the folder, or to that of the repository, which then comes into the folder."""
    if not tags:
        return
    if not (folder / MODEL_CARD).exists():
        if MODEL_CARD not in repository.files:
            return
        repository.fetch(MODEL_CARD, folder)
    card = ModelCard.load(folder / MODEL_CARD)
    card.data.tags = list(dict.fromkeys([*(card.data.tags or ()), *tags]))
    card.save(folder / MODEL_CARD)
