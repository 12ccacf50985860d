"""`joyful push`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import hide_bars_in_files


def push(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a finished training.")],
    repo_id: Annotated[str, typer.Argument(help="user/name on the Hub, or just name for your own account.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.  [default: main]")] = None,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Also push the code, so that the model loads without this package.")
    ] = False,
    dataset_name: Annotated[str | None, typer.Option(help="Name of the training data on the model card.")] = None,
    other_runs: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a run with another seed, for mean and deviation on the card; repeatable."),
    ] = None,
) -> None:
    """Push a checkpoint and its card to the Hugging Face Hub.

    It is one commit. Log in with `hf auth login` first, or set HF_TOKEN.
    """
    from ..hub.push import push_folder

    hide_bars_in_files()
    commit = push_folder(
        checkpoint,
        repo_id,
        private=private or None,
        revision=revision,
        with_code=with_code,
        dataset_name=dataset_name,
        other_runs=other_runs or (),
    )
    print(f"checkpoint on the Hub: {commit.repo_url}" + (f"/tree/{revision}" if revision else ""))
