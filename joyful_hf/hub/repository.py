"""One repository on the Hub: what it holds, and the commit that a push makes in it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import CommitInfo, HfApi, RepoUrl
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from ..io.hub_errors import clear_hub_errors


@dataclass(frozen=True)
class Destination:
    """Where a push goes, in the arguments of transformers' `push_to_hub`.

    Raises:
        DialogueError: `repo_id` is not an id.
    """

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


class Repository:
    """A repository that exists, on one of its branches.

    Attributes:
        repo_id: the full id, `user/name`, also where the destination gives the name alone.
        files: name -> file, of those at the top level of the branch.
    """

    def __init__(self, api: HfApi, destination: Destination, repo_id: str) -> None:
        self.api, self.destination, self.repo_id = api, destination, repo_id
        entries = api.list_repo_tree(repo_id, revision=destination.revision)
        self.files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    @classmethod
    def open(cls, destination: Destination) -> "Repository":
        """Return the repository of a destination; create it and its branch if they are missing."""
        api = HfApi(token=destination.token, library_name="joyful-hf")
        url: RepoUrl = api.create_repo(destination.repo_id, private=destination.private, exist_ok=True)
        revision = destination.revision
        if revision is not None and not revision.startswith("refs/pr/") and not destination.create_pr:
            api.create_branch(url.repo_id, branch=revision, exist_ok=True)
        return cls(api, destination, url.repo_id)

    def fetch(self, name: str, folder: Path) -> Path:
        """Download a file of the repository into a folder, past the cache."""
        with TemporaryDirectory() as cache:
            found = self.api.hf_hub_download(self.repo_id, name, revision=self.destination.revision, cache_dir=cache)
            return Path(shutil.copyfile(found, folder / name))

    def commit(self, operations: Sequence[Any]) -> CommitInfo:
        """Make one commit, or one pull request, of all these operations."""
        return self.api.create_commit(
            self.repo_id,
            operations,
            commit_message=self.destination.commit_message,
            commit_description=self.destination.commit_description,
            revision=self.destination.revision,
            create_pr=self.destination.create_pr,
        )
