"""Push to the Hub: what a reader needs and nothing else, in one commit, with a card."""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelCard,
    RepoUrl,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from .checkpoints import load_checkpoint
from .files import read_json, write_json
from .hub_errors import clear_hub_errors
from .processing import DialogueError
from .run_files import CONFUSION_MATRIX, MODEL_CARD, RUN_SUMMARY, TRAINER_STATE, TRAINING_ARGUMENTS

logger = logging.getLogger(__name__)

_CONFIGS = ("config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
_RESULTS = (RUN_SUMMARY, "*_results.json", TRAINER_STATE, TRAINING_ARGUMENTS, f"{CONFUSION_MATRIX}.*")
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
PUBLISHED = (*_CONFIGS, *_WEIGHTS, *_RESULTS, *_TOKENIZER, MODEL_CARD, "*.png", "*.svg")
"""The files of a checkpoint folder that are pushed. No optimizer state, no data, no log, and nothing pickled."""

# One after the other, in the order of the calls: a later push never ends up below an earlier one.
_BACKGROUND = ThreadPoolExecutor(max_workers=1, thread_name_prefix="push-to-hub")


@dataclass(frozen=True)
class _Destination:
    """Where a push goes; the arguments are those of transformers' `push_to_hub`."""

    repo_id: str
    private: bool | None = None
    token: str | bool | None = None
    revision: str | None = None
    create_pr: bool = False
    commit_message: str = "Upload model"
    commit_description: str | None = None

    def __post_init__(self) -> None:
        with clear_hub_errors(repr(self.repo_id)):
            validate_repo_id(self.repo_id)


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    commit_message: str = "Upload model",
    commit_description: str | None = None,
    create_pr: bool = False,
    with_code: bool = False,
    dataset_name: str | None = None,
    other_runs: Sequence[str | Path] = (),
    run_as_future: bool = False,
) -> Any:
    """Push the folder of a finished training, or one of its checkpoints.

    The files of `PUBLISHED` go there in one commit. Weights and results that an earlier push left there, and that the
    folder does not have, go away in the same one. The folder itself is not changed. The card is made anew, with the id
    of the repository, unless a person wrote the README.md of the folder, or else the one on the Hub: that stays.

    Args:
        folder: of a checkpoint; it is loaded first, so that nothing broken is pushed.
        repo_id: `user/name`, or `name` for the account of the token. A repository that is missing is created.
        private: of a new repository; by default as the account's settings say.
        token: by default that of `hf auth login`, or HF_TOKEN.
        revision: branch, created if it is missing; `main` by default.
        create_pr: open a pull request instead of changing the branch.
        with_code: also push the code, for `trust_remote_code=True` without this package; True of a folder that has it.
        dataset_name, other_runs: of the card, see `write_model_card`.
        run_as_future: return at once, when the files have been copied, and push in the background.

    Returns:
        The `CommitInfo`, or with `run_as_future` a `Future` of it.

    Raises:
        DialogueError: a folder that is missing or cannot be loaded, an id that is none, or what the Hub refuses.
    """
    from .model_card import write_model_card

    destination = _Destination(repo_id, private, token, revision, create_pr, commit_message, commit_description)
    folder = Path(folder)
    if not folder.is_dir():
        raise DialogueError(f"{folder}: there is no such checkpoint folder")
    load_checkpoint(folder)
    card = {"dataset_name": dataset_name, "other_runs": other_runs}
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and _matches(file.name, PUBLISHED)]

    temporary = TemporaryDirectory()
    try:
        for file in files:
            shutil.copyfile(file, Path(temporary.name, file.name))
        _forget_folders(Path(temporary.name, TRAINER_STATE))
        _add_code(Path(temporary.name), with_code)
        write_model_card(temporary.name, repo_id, **card)  # whatever is wrong with it is found before anything is sent
    except BaseException:
        temporary.cleanup()
        raise

    def send() -> CommitInfo:
        with temporary as copy:
            return _push(Path(copy), destination, replaced=(*_WEIGHTS, *_RESULTS), card=card)

    return _BACKGROUND.submit(send) if run_as_future else send()


def push_model(
    model: Any,
    repo_id: str,
    *,
    processor: Any = None,
    with_code: bool = False,
    tags: str | Iterable[str] | None = None,
    max_shard_size: int | str = "50GB",
    commit_message: str | None = None,
    **destination: Any,
) -> CommitInfo:
    """What `model.push_to_hub` does: push weights, configuration and a card in one commit.

    A card tells of model and processor. Until both are there it says what is missing; the push that brings the second
    of the two writes the whole of it, in whichever order they come. A card that a person wrote, and one with the
    results of a run, stay as they are: `push_folder` replaces the latter. A warning says so where the weights are not
    those that the run pushed.

    Args:
        processor: to push along.
        tags: to add to those of the card, if there is one.
        max_shard_size: of a file of weights, as in `save_pretrained`.
        with_code, destination: as in `push_folder`.

    Raises:
        DialogueError: an id that is none, or what the Hub refuses.
    """
    where = _Destination(repo_id, commit_message=commit_message or "Upload model", **destination)
    own_tags = [*(model.model_tags or ()), *([tags] if isinstance(tags, str) else tags or ())]
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        if processor is not None:
            processor.save_pretrained(folder)
        _add_code(Path(folder), with_code)
        return _push(Path(folder), where, replaced=_WEIGHTS, tags=own_tags)


def push_processor(
    processor: Any,
    repo_id: str,
    *,
    with_code: bool = False,
    tags: str | Iterable[str] | None = None,
    max_shard_size: int | str | None = None,
    commit_message: str | None = None,
    **destination: Any,
) -> CommitInfo:
    """What `processor.push_to_hub` does: push its files, and the card if the model is there already.

    Args:
        tags, max_shard_size: transformers knows them for models alone; they change nothing.
        with_code, destination: as in `push_folder`; the card follows the rule of `push_model`.

    Raises:
        DialogueError: an id that is none, or what the Hub refuses.
    """
    where = _Destination(repo_id, commit_message=commit_message or "Upload processor", **destination)
    with TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        _add_code(Path(folder), with_code)
        return _push(Path(folder), where)


def _forget_folders(trainer_state: Path) -> None:
    """Of the best checkpoint only its name is left, and not where on this machine it lay."""
    if trainer_state.exists():
        state = read_json(trainer_state)
        if state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = Path(state["best_model_checkpoint"]).name
            write_json(state, trainer_state)


def _add_code(folder: Path, wanted: bool) -> None:
    """Put the code there if it is wanted, or if a configuration names it already and would name nothing."""
    configs = [folder / name for name in _CONFIGS if (folder / name).exists()]
    if wanted or any("auto_map" in read_json(config) for config in configs):
        from .remote_code import add_code

        add_code(folder)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _push(
    folder: Path,
    destination: _Destination,
    replaced: Sequence[str] = (),
    card: dict[str, Any] | None = None,
    tags: Sequence[str] = (),
) -> CommitInfo:
    """One commit of all the files in a folder of our own.

    Args:
        replaced: patterns of files that go away from the repository where the folder has none of that name.
        card: further arguments of `write_model_card` if the folder is that of a run, else None.
    """
    with clear_hub_errors(f"{destination.repo_id}: the push failed, and left nothing half done"):
        repository = _Repository.open(destination)
        _settle_card(folder, repository, card)
        _add_tags(folder, repository, tags)
        operations: list[Any] = [
            CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in sorted(folder.iterdir())
        ]
        operations += [
            CommitOperationDelete(path_in_repo=name)
            for name in repository.files
            if _matches(name, replaced) and not (folder / name).exists()
        ]
        return repository.commit(operations)


class _Repository:
    """A repository that is there, and what it holds."""

    def __init__(self, api: HfApi, destination: _Destination, repo_id: str) -> None:
        self.api, self.destination, self.repo_id = api, destination, repo_id
        entries = api.list_repo_tree(repo_id, revision=destination.revision)
        self.files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    @classmethod
    def open(cls, destination: _Destination) -> "_Repository":
        """Creates the repository, and the branch, if there is none."""
        api = HfApi(token=destination.token, library_name="joyful-hf")
        url: RepoUrl = api.create_repo(destination.repo_id, private=destination.private, exist_ok=True)
        revision = destination.revision
        if revision is not None and not revision.startswith("refs/pr/") and not destination.create_pr:
            api.create_branch(url.repo_id, branch=revision, exist_ok=True)
        return cls(api, destination, url.repo_id)

    def fetch(self, name: str, folder: Path) -> Path:
        """A file of the repository, in this folder."""
        with TemporaryDirectory() as cache:
            found = self.api.hf_hub_download(self.repo_id, name, revision=self.destination.revision, cache_dir=cache)
            return Path(shutil.copyfile(found, folder / name))

    def commit(self, operations: Sequence[Any]) -> CommitInfo:
        return self.api.create_commit(
            self.repo_id,
            operations,
            commit_message=self.destination.commit_message,
            commit_description=self.destination.commit_description,
            revision=self.destination.revision,
            create_pr=self.destination.create_pr,
        )


def _settle_card(folder: Path, repository: _Repository, of_run: dict[str, Any] | None) -> None:
    """Leave in the folder the card that the repository is to have, or none where it is to keep its own."""
    from .model_card import write_card_without_processor, write_model_card

    if (folder / MODEL_CARD).exists() and _is_by_hand(folder / MODEL_CARD):
        return
    if MODEL_CARD in repository.files:
        with TemporaryDirectory() as other:
            by_hand = _is_by_hand(repository.fetch(MODEL_CARD, Path(other)))
        if by_hand:
            (folder / MODEL_CARD).unlink(missing_ok=True)
            logger.warning("%s: its README.md was written by a person, and stays as it is", repository.repo_id)
            return
    if of_run is None and RUN_SUMMARY in repository.files:
        if not _has_weights_of(folder, repository):
            logger.warning(
                "%s: README.md and the results there are of other weights than those pushed now; "
                "`joyful push` of the folder of a run replaces them",
                repository.repo_id,
            )
        return
    for name in _CONFIGS:
        if not (folder / name).exists() and name in repository.files:
            repository.fetch(name, folder)
    model, processor = ((folder / name).exists() for name in _CONFIGS)
    if model and processor:
        write_model_card(folder, model_id=repository.repo_id, **(of_run or {}))
    elif model:
        write_card_without_processor(folder, repository.repo_id)


def _is_by_hand(card: Path) -> bool:
    from .model_card import MARKER

    return MARKER not in card.read_text(encoding="utf-8", errors="replace").splitlines()


def _has_weights_of(folder: Path, repository: _Repository) -> bool:
    """Whether the weights in the folder, if there are any, are in the repository already."""
    for file in folder.glob("*.safetensors"):
        there = repository.files.get(file.name)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if there is None or there.lfs is None or there.lfs.sha256 != digest:
            return False
    return True


def _add_tags(folder: Path, repository: _Repository, tags: Sequence[str]) -> None:
    if not tags:
        return
    if not (folder / MODEL_CARD).exists():
        if MODEL_CARD not in repository.files:
            return
        repository.fetch(MODEL_CARD, folder)
    card = ModelCard.load(folder / MODEL_CARD)
    card.data.tags = list(dict.fromkeys([*(card.data.tags or ()), *tags]))
    card.save(folder / MODEL_CARD)


__all__ = ["PUBLISHED", "push_folder", "push_model", "push_processor"]
