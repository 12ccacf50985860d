"""Push to the Hub: what a reader needs and nothing else, in one commit, with a card."""

import logging
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete

from ..checkpoints import load_checkpoint
from ..io.files import read_json, write_json
from ..io.hub_errors import clear_hub_errors
from ..processing import DialogueError
from ..runs.names import CONFIG_FILES, PUBLISHED, RESULT_FILES, TRAINER_STATE, WEIGHT_FILES
from .card_policy import add_tags, settle_card
from .repository import Destination, Repository

logger = logging.getLogger(__name__)

# One after the other, in the order of the calls: a later push never ends up below an earlier one.
_BACKGROUND = ThreadPoolExecutor(max_workers=1, thread_name_prefix="push-to-hub")


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
    from ..model_card.card import write_model_card

    destination = Destination(repo_id, private, token, revision, create_pr, commit_message, commit_description)
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
            return _push(Path(copy), destination, replaced=(*WEIGHT_FILES, *RESULT_FILES), card=card)

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
    where = Destination(repo_id, commit_message=commit_message or "Upload model", **destination)
    own_tags = [*(model.model_tags or ()), *([tags] if isinstance(tags, str) else tags or ())]
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        if processor is not None:
            processor.save_pretrained(folder)
        _add_code(Path(folder), with_code)
        return _push(Path(folder), where, replaced=WEIGHT_FILES, tags=own_tags)


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
    where = Destination(repo_id, commit_message=commit_message or "Upload processor", **destination)
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
    configs = [folder / name for name in CONFIG_FILES if (folder / name).exists()]
    if wanted or any("auto_map" in read_json(config) for config in configs):
        from .remote_code import add_code

        add_code(folder)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _push(
    folder: Path,
    destination: Destination,
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
        repository = Repository.open(destination)
        settle_card(folder, repository, card)
        add_tags(folder, repository, tags)
        operations: list[Any] = [
            CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in sorted(folder.iterdir())
        ]
        operations += [
            CommitOperationDelete(path_in_repo=name)
            for name in repository.files
            if _matches(name, replaced) and not (folder / name).exists()
        ]
        return repository.commit(operations)


__all__ = ["PUBLISHED", "push_folder", "push_model", "push_processor"]
