"""A connection that breaks: one line says so, nothing is seen in part, and the next call goes on."""

import itertools
import json

import datasets
import pytest
from datasets import Dataset
from huggingface_hub import HfApi, constants

from joyful_hf import (
    DialogueError,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.hub.push import push_folder
from tests.support.helpers import make_dialogues
from tests.support.pushes import PUSHED, REPO, SHARDS, save_checkpoint, states, weight_files

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def after(number, method="PUT"):
    """Lets so many requests of a method through, and cuts all that follow."""
    counter = itertools.count()
    return lambda one, path: one == method and next(counter) >= number


def test_a_push_that_broke_is_continued_and_never_seen_in_part(hub, fails, joyful, dialogues, tmp_path):
    save_checkpoint(tmp_path / "first", dialogues, seed=0, max_shard_size=SHARDS)
    save_checkpoint(tmp_path / "second", dialogues, seed=1, max_shard_size=SHARDS)
    joyful("push", tmp_path / "first", REPO)
    before, count = states(hub), len(weight_files(hub))
    assert count > 2
    hub.requests.clear()
    hub.is_cut = after(1)
    message = fails("push", tmp_path / "second", REPO)
    assert f"the connection to {constants.ENDPOINT} failed" in message
    assert "the same call again goes on from where this one stopped" in message
    assert states(hub) == before
    arrived = len(hub.objects) - count
    assert arrived == 1

    hub.is_cut = after(0, "COMMIT")
    hub.requests.clear()
    assert joyful("push", tmp_path / "second", REPO).status == 0
    assert hub.uploads() == count - arrived
    for commit in hub.history(REPO)[1:]:
        weights = {name for name in commit.files if name.endswith(".safetensors")}
        assert set(json.loads(commit.files["model.safetensors.index.json"].content)["weight_map"].values()) == weights


def test_a_new_repository_is_never_without_weights_when_a_push_breaks(hub, fails, joyful, out):
    hub.is_cut = after(0)
    fails("push", out, REPO)
    assert not hub.files(REPO)
    hub.is_cut = lambda method, path: path.endswith("/commit/main")
    assert "the connection" in fails("push", out, REPO)
    assert not hub.files(REPO)
    hub.is_cut = lambda method, path: False
    hub.requests.clear()
    assert joyful("push", out, REPO).status == 0
    assert ("PUT", "/objects/" + hub.repositories["models", REPO].at("main").files["model.safetensors"].oid) not in (
        hub.requests
    )
    assert "model.safetensors" in hub.files(REPO)


def test_a_short_break_goes_unnoticed(hub, out):
    attempts = itertools.count()
    hub.is_cut = lambda method, path: method == "PUT" and next(attempts) == 0
    push_folder(out, REPO)
    assert list(hub.files(REPO)) == sorted(PUSHED)


@pytest.mark.parametrize("error", [ConnectionError("reset by peer"), TimeoutError("timed out")], ids=str)
def test_what_breaks_beside_the_http_client_is_told_alike(hub, out, monkeypatch, error):
    """Large files go to the real Hub by another library, whose errors are Python's own."""

    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(HfApi, "create_commit", broken)
    with pytest.raises(DialogueError, match=f"failed \\({error}\\); the same call again goes on"):
        push_folder(out, REPO)


def test_without_a_connection_one_line_says_so(hub, fails, out, tmp_path, monkeypatch):
    hub.is_cut = lambda method, path: True
    data = tmp_path / "data.jsonl"
    write_dialogues(make_dialogues(), data)
    broken = "the same call again goes on from where this one stopped"
    assert broken in fails("push", out, REPO)
    assert broken in fails("predict", REPO, "--data-file", data, "--output-file", tmp_path / "new.jsonl")
    assert broken in fails("predict", out, "--data-file", "ada/data", "--output-file", tmp_path / "new.jsonl")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    offline = "HF_HUB_OFFLINE is set"
    assert offline in fails("push", out, REPO)
    assert offline in fails("predict", REPO, "--data-file", data, "--output-file", tmp_path / "new.jsonl")
    assert offline in fails("predict", out, "--data-file", "ada/data", "--output-file", tmp_path / "new.jsonl")


def test_a_download_that_broke_is_one_line_too(hub, out, tmp_path, fails, dialogues):
    push_folder(out, REPO)
    Dataset.from_list(dialogues).push_to_hub("ada/data")
    hub.is_cut = lambda method, path: method == "GET" and path.endswith((".safetensors", ".parquet"))
    for model, data in ((REPO, "ada/data"), (out, "ada/data")):
        message = fails("predict", model, "--data-file", data, "--output-file", tmp_path / "new.jsonl")
        assert f"the connection to {constants.ENDPOINT} failed" in message
    with pytest.raises(DialogueError, match="the same call again goes on from where this one stopped"):
        load_checkpoint(REPO)
