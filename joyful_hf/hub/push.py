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
from ..model_card.card import write_model_card
from ..processing import DialogueError
from ..processing.encoder_folders import folder_name
from ..processing.extractors import names_for_others
from ..runs.folder import folder_of_weights
from ..runs.names import CONFIG_FILES, PROCESSOR_CONFIG, PUBLISHED, RESULT_FILES, TRAINER_STATE, WEIGHT_FILES
from .card_policy import add_tags, settle_card
from .remote_code import add_code
from .repository import Destination, Repository

logger = logging.getLogger(__name__)

# A single worker keeps the order of the calls: a later push never ends up below an earlier one.
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

    All files that match `joyful_hf.runs.names.PUBLISHED` are pushed in one commit, which also deletes the weights and
    results of an earlier push that the folder does not have. The folder itself is not changed. The card is written
    anew with the id of the repository, unless a person wrote the README.md of the folder or, failing that, the one on
    the Hub: a card written by a person is kept.

    Args:
        folder: folder of a checkpoint, or of a training that has left its weights in checkpoints alone, of which the
            best one is pushed. It is loaded first, so that nothing broken is pushed.
        repo_id: `user/name`, or `name` for the account of the token. The repository is created if it is missing.
        private: make a new repository private; by default the settings of the account decide.
        token: by default the one of `hf auth login`, or HF_TOKEN.
        revision: branch, created if it is missing; `main` by default.
        commit_message, commit_description: as in transformers' `push_to_hub`.
        create_pr: open a pull request instead of changing the branch.
        with_code: also push the code, so that `trust_remote_code=True` works without this package. A folder that
            holds the code already is always pushed with it.
        dataset_name, other_runs: arguments of `write_model_card`.
        run_as_future: return as soon as the files have been copied, and push in the background.

    Returns:
        The `CommitInfo`, or with `run_as_future` a `Future` of it.

    Raises:
        DialogueError: the folder is missing or cannot be loaded, `repo_id` is not an id, or the Hub refuses the push.
    """
    destination = Destination(repo_id, private, token, revision, create_pr, commit_message, commit_description)
    folder = Path(folder)
    if not folder.is_dir():
        raise DialogueError(f"{folder}: there is no such checkpoint folder")
    if (checkpoint := folder_of_weights(folder)) != folder:
        logger.warning("%s: has no model of its own; its best checkpoint is pushed, %s", folder, checkpoint.name)
        folder = checkpoint
    load_checkpoint(folder, "cpu")  # to see that it can be loaded
    card_of_run = {"dataset_name": dataset_name, "other_runs": other_runs}
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and _matches(file.name, PUBLISHED)]

    temporary = TemporaryDirectory()
    try:
        for file in files:
            shutil.copyfile(file, Path(temporary.name, file.name))
        _forget_local_paths(Path(temporary.name), repo_id)
        _add_code_if_wanted(Path(temporary.name), with_code)
        # To find mistakes before anything is sent; which card the repository gets is settled when its files are known.
        write_model_card(temporary.name, repo_id, **card_of_run)
    except BaseException:
        temporary.cleanup()
        raise

    def send() -> CommitInfo:
        with temporary as copy:
            return _push(Path(copy), destination, replaced=(*WEIGHT_FILES, *RESULT_FILES), card_of_run=card_of_run)

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
    """Push weights, configuration and a card in one commit: what `model.push_to_hub` does.

    A card describes model and processor. While one of them is missing it says so, and the push that brings it writes
    the full card, in whichever order they come. A card that a person wrote is kept, and so is one with the results of
    a run, which only `push_folder` replaces; a warning says so if the weights are not those of that run.

    Args:
        model: one of this package's `...ForEmotionRecognition`.
        repo_id: as in `push_folder`.
        processor: pushed in the same commit if given.
        with_code: as in `push_folder`.
        tags: added to those of the card, if there is one.
        max_shard_size: as in `save_pretrained`.
        commit_message: "Upload model" by default.
        **destination: further arguments of `push_folder`: private, token, revision, create_pr, commit_description.

    Raises:
        DialogueError: `repo_id` is not an id, or the Hub refuses the push.
    """
    where = Destination(repo_id, commit_message=commit_message or "Upload model", **destination)
    own_tags = [*(model.model_tags or ()), *([tags] if isinstance(tags, str) else tags or ())]
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        if processor is not None:
            processor.save_pretrained(folder)
        _forget_local_paths(Path(folder), repo_id)
        _add_code_if_wanted(Path(folder), with_code)
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
    """Push a processor, and the full card if its model is there already: what `processor.push_to_hub` does.

    Args:
        processor: one of this package's processors.
        repo_id, with_code: as in `push_folder`; the card follows the rules of `push_model`.
        tags, max_shard_size: accepted because transformers passes them; they concern models and have no effect here.
        commit_message: "Upload processor" by default.
        **destination: as in `push_model`.

    Raises:
        DialogueError: `repo_id` is not an id, or the Hub refuses the push.
    """
    where = Destination(repo_id, commit_message=commit_message or "Upload processor", **destination)
    with TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        _forget_local_paths(Path(folder), repo_id)
        _add_code_if_wanted(Path(folder), with_code)
        return _push(Path(folder), where)


def _forget_local_paths(folder: Path, repo_id: str) -> None:
    """Keep only the names of the best checkpoint and of encoders: where they lie here is nobody else's business."""
    trainer_state, processor_config = folder / TRAINER_STATE, folder / PROCESSOR_CONFIG
    if trainer_state.exists():
        state = read_json(trainer_state)
        if state.get("best_model_checkpoint"):
            state["best_model_checkpoint"] = Path(state["best_model_checkpoint"]).name
            write_json(state, trainer_state)
    if processor_config.exists():
        parameters = read_json(processor_config)
        changed = names_for_others(parameters)
        for key, name in changed.items():
            logger.warning(
                "%s: `%s` is a folder of this machine, which is not pushed; whoever loads the processor gives it "
                "features of this encoder, or the folder or Hub id of %r as `%s`",
                *(repo_id, key, folder_name(name), key),
            )
        if changed:
            write_json(parameters | changed, processor_config)


def _add_code_if_wanted(folder: Path, wanted: bool) -> None:
    """Copy the code into the folder if it is wanted, or if a configuration refers to it already."""
    configs = [folder / name for name in CONFIG_FILES if (folder / name).exists()]
    if wanted or any("auto_map" in read_json(config) for config in configs):
        add_code(folder)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _push(
    folder: Path,
    destination: Destination,
    replaced: Sequence[str] = (),
    card_of_run: dict[str, Any] | None = None,
    tags: Sequence[str] = (),
) -> CommitInfo:
    """Push all files of a temporary folder in one commit.

    Args:
        replaced: patterns of the files that are deleted from the repository if the folder does not have them.
        card_of_run: as in `settle_card`.
    """
    with clear_hub_errors(f"{destination.repo_id}: the push failed, and left nothing half done"):
        repository = Repository.open(destination)
        settle_card(folder, repository, card_of_run)
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


__all__ = ["push_folder", "push_model", "push_processor"]
