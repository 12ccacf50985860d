"""Pushes: what goes to the Hub and what never does, and that it all comes back."""

import json
import zipfile
from concurrent.futures import Future

import pytest
import torch
from huggingface_hub import CommitInfo, ModelCard, constants
from transformers import AutoModel, AutoProcessor, pipeline

from joyful_hf import (
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.hub.push import push_folder
from joyful_hf.hub.remote_code import add_code
from joyful_hf.model_card.card import MARKER
from joyful_hf.modeling.modeling_base import EmotionRecognitionPreTrainedModel
from joyful_hf.processing import EmotionRecognitionProcessor
from tests.support.helpers import FAMILY_CASES
from tests.support.pushes import PUSHED, REPO, SHARDS, card_on, logits_of, save_checkpoint, states, weight_files

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


# The files.


def test_a_folder_is_pushed_in_one_commit_without_what_is_of_no_use_to_a_reader(hub, out):
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    commit = push_folder(out, REPO)
    assert isinstance(commit, CommitInfo)
    assert commit.repo_url == f"{constants.ENDPOINT}/{REPO}"
    assert [one.title for one in hub.history(REPO)] == ["initial commit", "Upload model"]
    assert list(hub.files(REPO)) == sorted(PUSHED)
    assert hub.files(REPO)["model.safetensors"] == (out / "model.safetensors").read_bytes()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_nothing_pickled_is_pushed_under_any_name(hub, out, tmp_path):
    push_folder(out, REPO)
    for name, content in hub.files(REPO).items():
        (tmp_path / "file").write_bytes(content)
        assert not zipfile.is_zipfile(tmp_path / "file"), name
        assert not content.startswith(b"\x80"), name


def test_a_model_comes_back_bit_for_bit(hub, family, dialogues):
    model, processor = family.make(dialogues)
    expected = logits_of(model, processor, dialogues)
    assert isinstance(model.push_to_hub(REPO), CommitInfo)
    assert isinstance(processor.push_to_hub(REPO), CommitInfo)
    assert list(hub.files(REPO)) == sorted(["README.md", "config.json", "model.safetensors", *family.processor_files])
    assert [one.title for one in hub.history(REPO)][1:] == ["Upload model", "Upload processor"]

    loaded = family.model_class.from_pretrained(REPO).eval()
    read = family.processor_class.from_pretrained(REPO)
    assert torch.equal(logits_of(loaded, read, dialogues), expected)
    loaded, read = AutoModel.from_pretrained(REPO).eval(), AutoProcessor.from_pretrained(REPO)
    assert torch.equal(logits_of(loaded, read, dialogues), expected)
    predicted = pipeline("emotion-recognition", model=REPO)(dialogues[0])
    assert predicted == model.predict(dialogues[0], processor)[0] | {"dialogue_id": "d0"}


def test_model_and_processor_may_be_pushed_in_any_order_or_at_once(hub, family, dialogues):
    model, processor = family.make(dialogues)
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    processor.push_to_hub("ada/reversed")
    assert list(hub.files("ada/reversed")) == sorted(family.processor_files)
    model.push_to_hub("ada/reversed")
    pipeline("emotion-recognition", model=model, processor=processor).push_to_hub("ada/pipeline")
    assert len(hub.history("ada/pipeline")) == 2
    expected = hub.files(REPO)
    assert MARKER in card_on(hub)
    for repo in ("ada/reversed", "ada/pipeline"):
        files = hub.files(repo)
        name = repo.removeprefix("ada/")
        files["README.md"] = files["README.md"].replace(repo.encode(), REPO.encode())
        files["README.md"] = files["README.md"].replace(name.encode(), b"joyful")
        assert files == expected


def test_saving_pushes_too_if_it_is_asked_to(hub, family, dialogues, tmp_path):
    model, processor = family.make(dialogues)
    model.save_pretrained(tmp_path / "mine", push_to_hub=True, private=True)
    processor.save_pretrained(tmp_path / "mine", push_to_hub=True, repo_id="ada/mine")
    assert hub.repositories["models", "ada/mine"].private
    assert list(hub.files("ada/mine")) == sorted(
        ["README.md", "config.json", "model.safetensors", *family.processor_files]
    )
    assert not (tmp_path / "mine" / "README.md").exists()


def test_code_goes_along_if_it_is_wanted_and_where_it_is_already(hub, out, dialogues):
    push_folder(out, REPO, with_code=True)
    code = {name for name in hub.files(REPO) if name.endswith(".py")}
    assert {"modeling_joyful.py", "processing_joyful.py"} <= code
    assert "script.py" not in code
    assert "auto_map" in json.loads(hub.files(REPO)["config.json"])
    assert "auto_map" not in (out / "config.json").read_text(encoding="utf-8")
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.push_to_hub("ada/code", with_code=True)
    processor.push_to_hub("ada/code", with_code=True)
    assert {name for name in hub.files("ada/code") if name.endswith(".py")} == code
    assert add_code(out)
    push_folder(out, "ada/again")
    assert {name for name in hub.files("ada/again") if name.endswith(".py")} == code


def test_without_this_package_transformers_pushes(hub, dialogues, monkeypatch):
    monkeypatch.setattr(EmotionRecognitionPreTrainedModel, "pusher", None)
    monkeypatch.setattr(EmotionRecognitionProcessor, "pusher", None)
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    assert "automatically generated" in card_on(hub)


def test_a_push_in_the_background_has_the_files_of_the_moment_of_the_call(hub, out, monkeypatch):
    expected = (out / "model.safetensors").read_bytes()
    pushed = push_folder(out, REPO, run_as_future=True)
    (out / "model.safetensors").write_bytes(b"the next step")
    assert isinstance(pushed, Future)
    assert isinstance(pushed.result(timeout=60), CommitInfo)
    assert hub.files(REPO)["model.safetensors"] == expected


# A second push.


def test_each_revision_is_its_own(hub, dialogues, tmp_path):
    first = save_checkpoint(tmp_path / "first", dialogues, seed=0)
    second = save_checkpoint(tmp_path / "second", dialogues, seed=1)
    revision = push_folder(tmp_path / "first", REPO).oid
    push_folder(tmp_path / "second", REPO)
    push_folder(tmp_path / "first", REPO, revision="older")
    for where, (model, processor) in ((revision, first), ("main", second), ("older", first)):
        loaded = JoyfulForEmotionRecognition.from_pretrained(REPO, revision=where).eval()
        read = JoyfulProcessor.from_pretrained(REPO, revision=where)
        assert torch.equal(logits_of(loaded, read, dialogues), logits_of(model, processor, dialogues))


def test_weights_in_other_files_take_the_place_of_those_before(hub, dialogues, tmp_path):
    model, processor = save_checkpoint(tmp_path / "whole", dialogues, seed=0)
    save_checkpoint(tmp_path / "shards", dialogues, seed=1, max_shard_size=SHARDS)
    push_folder(tmp_path / "shards", REPO)
    assert len(weight_files(hub)) > 2
    push_folder(tmp_path / "whole", REPO)
    assert weight_files(hub) == ["model.safetensors"]
    assert "model.safetensors.index.json" not in hub.files(REPO)
    model.push_to_hub(REPO, max_shard_size=SHARDS)
    assert "model.safetensors" not in hub.files(REPO)
    loaded, read = load_checkpoint(REPO)
    assert torch.equal(logits_of(loaded, read, dialogues), logits_of(model, processor, dialogues))


def test_results_of_an_earlier_run_do_not_stay_beside_other_weights(hub, out, dialogues, tmp_path):
    push_folder(out, REPO)
    save_checkpoint(tmp_path / "other", dialogues, seed=1)
    push_folder(tmp_path / "other", REPO)
    assert list(hub.files(REPO)) == ["README.md", "config.json", "model.safetensors", "processor_config.json"]
    assert not ModelCard(card_on(hub)).data.eval_results


def test_the_same_push_again_changes_nothing(hub, out):
    push_folder(out, REPO)
    before = states(hub)
    assert push_folder(out, REPO).oid == before["models", REPO]["main"]
    assert states(hub) == before


# What is broken is not pushed.


def test_a_folder_that_cannot_be_loaded_is_refused_before_anything_is_asked(hub, fails, out):
    assert "there is no such checkpoint folder" in fails("push", out / "nowhere", REPO)
    assert "there is no such checkpoint folder" in fails("push", "user/name", REPO)
    weights = out / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert str(out) in fails("push", out, REPO)
    weights.unlink()
    assert "model.safetensors (the weights) is missing" in fails("push", out, REPO)
    (out / "processor_config.json").unlink()
    assert "processor_config.json (the processor) is missing" in fails("push", out, REPO)
    assert not hub.requests
