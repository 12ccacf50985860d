"""Repositories: who may write, and to which branch."""

import pytest
from huggingface_hub import constants

from joyful_hf import (
    DialogueError,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.hub.push import push_folder
from tests.support.pushes import REPO, card_on, states

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_private_model_is_for_those_who_have_a_token_for_it(hub, joyful, out, dialogues, tmp_path, monkeypatch):
    result = joyful("push", out, REPO, "--private")
    assert result.status == 0, result.err
    assert load_checkpoint(REPO)
    for token in (None, "hf_bob"):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(DialogueError) as error:
            load_checkpoint(REPO)
        assert "no such repository, or it is private and your token does not open it" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("token", "repo", "reason"),
    [
        ("hf_nobody", REPO, "the Hub does not know your token, or was given none; log in with `hf auth login`"),
        (None, REPO, "the Hub does not know your token, or was given none"),
        ("hf_ada_read", REPO, "your token may not do that"),
        ("hf_bob", REPO, "your token may not do that"),
    ],
    ids=["an unknown token", "no token", "a token that may only read", "somebody else's token"],
)
@pytest.mark.parametrize("exists", [False, True], ids=["a new repository", "an old one"])
def test_who_may_not_write_changes_nothing(hub, fails, joyful, out, monkeypatch, token, repo, reason, exists):
    if exists:
        joyful("push", out, REPO)
        (out / "test_results.json").write_text('{"changed": 1}', encoding="utf-8")
    before = states(hub)
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    message = fails("push", out, repo)
    assert message.startswith(f"{REPO}: the push failed, and left nothing half done: ")
    assert reason in message
    assert states(hub) == before
    assert bool(before) == exists


@pytest.mark.parametrize("repo", ["a/b/c", "ada/no spaces", "ada/.hidden", ""])
def test_an_id_that_is_none_is_refused_before_anything_is_asked(hub, fails, out, repo):
    assert "it is no id of a repository, which is user/name" in fails("push", out, repo)
    assert not hub.requests


def test_a_name_alone_is_of_the_account_of_the_token(hub, joyful, out):
    assert joyful("push", out, "mine").out == f"checkpoint on the Hub: {constants.ENDPOINT}/ada/mine\n"
    assert '"ada/mine"' in card_on(hub, "ada/mine")


def test_a_revision_of_the_command_is_a_branch(hub, joyful, out):
    result = joyful("push", out, REPO, "--revision", "v2")
    assert result.out == f"checkpoint on the Hub: {constants.ENDPOINT}/{REPO}/tree/v2\n"
    assert not hub.files(REPO)
    assert "model.safetensors" in hub.files(REPO, revision="v2")


def test_a_pull_request_leaves_the_branch_alone(hub, out, monkeypatch):
    push_folder(out, REPO)
    before = hub.files(REPO)
    (out / "test_results.json").write_text('{"better": 1}', encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    request = push_folder(out, REPO, create_pr=True)
    assert request.pr_num == 1
    assert hub.files(REPO) == before
    assert hub.files(REPO, revision="refs/pr/1")["test_results.json"] == b'{"better": 1}'
