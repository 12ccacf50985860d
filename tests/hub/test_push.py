"""The Hub: what is pushed and what never is, who may, what a broken connection leaves, and that it all comes back."""

import itertools
import json
import logging
import pickle
import zipfile
from concurrent.futures import Future
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from huggingface_hub import CommitInfo, HfApi, ModelCard, constants
from transformers import AutoModel, AutoProcessor, pipeline

from joyful_hf import (
    DialogueError,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    load_dialogues,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.hub.push import push_folder
from joyful_hf.hub.remote_code import add_code
from joyful_hf.model_card.card import MARKER
from joyful_hf.modeling.modeling_base import EmotionRecognitionPreTrainedModel
from joyful_hf.processing import EmotionRecognitionProcessor
from tests.support.helpers import FAMILY_CASES, LABELS, make_dialogues
from tests.support.run_summaries import make_summary

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "ada/joyful"
SHARDS = "40KB"
"""A size at which the small model's weights are several files."""


def logits_of(model, processor, dialogues):
    with torch.no_grad():
        return model(**processor(dialogues, return_tensors="pt", return_labels=False)).logits


def save(folder, dialogues, seed=0, **kwargs):
    """A checkpoint, as its model and its processor."""
    model, processor = FAMILY_CASES[0].make(dialogues, seed)
    model.save_pretrained(folder, **kwargs)
    processor.save_pretrained(folder)
    return model, processor


def weight_files(hub, repo=REPO):
    return [name for name in hub.files(repo) if name.endswith(".safetensors")]


def card_on(hub, repo=REPO):
    return hub.files(repo)["README.md"].decode()


def states(hub):
    """Everything that a reader of the Hub could see."""
    return {key: dict(repository.branches) for key, repository in hub.repositories.items()}


@pytest.fixture
def out(tmp_path, dialogues):
    """The folder of a run, with all that a run and its user may leave there."""
    folder = tmp_path / "out"
    save(folder, dialogues)
    (folder / "run_summary.json").write_text(json.dumps(make_summary()), encoding="utf-8")
    for name in ("training_args.json", "trainer_state.json", "test_results.json", "all_results.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "confusion_matrix.png").write_bytes(b"\x89PNG")
    (folder / "confusion_matrix.svg").write_text("<svg/>", encoding="utf-8")
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "scheduler.pkl", "weights.safetensors.bin"):
        (folder / name).write_bytes(pickle.dumps({"a": 1}))
    for name in ("step_weights.safetensors", "train.jsonl", "train.json", "metadata.json", "events.out.tfevents.1"):
        (folder / name).write_text("{}", encoding="utf-8")
    for name in ("notes.txt", "script.py", ".env", "log.txt", "data.parquet", "README.md.part"):
        (folder / name).write_text("secret", encoding="utf-8")
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3" / "model.safetensors").write_text("old", encoding="utf-8")
    return folder


PUSHED = [
    *("README.md", "all_results.json", "config.json", "confusion_matrix.png", "confusion_matrix.svg"),
    *("model.safetensors", "processor_config.json", "run_summary.json", "test_results.json"),
    *("trainer_state.json", "training_args.json"),
]


# What is pushed.


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


def test_the_card_tells_of_the_run_and_is_valid(hub, out):
    push_folder(out, REPO, dataset_name="A corpus of people")
    card = ModelCard(card_on(hub))
    card.validate()
    assert MARKER in card.content
    assert REPO in card.content
    assert "A corpus of people" in card.content
    assert card.data.eval_results
    assert not (out / "README.md").exists()


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


def test_the_card_of_a_model_alone_says_what_is_missing(hub, family, dialogues):
    model, _ = family.make(dialogues)
    model.push_to_hub(REPO)
    card = ModelCard.load(REPO)
    assert card.data.license == "apache-2.0"
    assert "emotion-recognition" in card.data.tags
    assert f'`processor.push_to_hub("{REPO}")`' in card.text


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
    first = save(tmp_path / "first", dialogues, seed=0)
    second = save(tmp_path / "second", dialogues, seed=1)
    revision = push_folder(tmp_path / "first", REPO).oid
    push_folder(tmp_path / "second", REPO)
    push_folder(tmp_path / "first", REPO, revision="older")
    for where, (model, processor) in ((revision, first), ("main", second), ("older", first)):
        loaded = JoyfulForEmotionRecognition.from_pretrained(REPO, revision=where).eval()
        read = JoyfulProcessor.from_pretrained(REPO, revision=where)
        assert torch.equal(logits_of(loaded, read, dialogues), logits_of(model, processor, dialogues))


def test_weights_in_other_files_take_the_place_of_those_before(hub, dialogues, tmp_path):
    model, processor = save(tmp_path / "whole", dialogues, seed=0)
    save(tmp_path / "shards", dialogues, seed=1, max_shard_size=SHARDS)
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
    save(tmp_path / "other", dialogues, seed=1)
    push_folder(tmp_path / "other", REPO)
    assert list(hub.files(REPO)) == ["README.md", "config.json", "model.safetensors", "processor_config.json"]
    assert not ModelCard(card_on(hub)).data.eval_results


def test_the_same_push_again_changes_nothing(hub, out):
    push_folder(out, REPO)
    before = states(hub)
    assert push_folder(out, REPO).oid == before["models", REPO]["main"]
    assert states(hub) == before


def test_a_pull_request_leaves_the_branch_alone(hub, out, monkeypatch):
    push_folder(out, REPO)
    before = hub.files(REPO)
    (out / "test_results.json").write_text('{"better": 1}', encoding="utf-8")
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    request = push_folder(out, REPO, create_pr=True)
    assert request.pr_num == 1
    assert hub.files(REPO) == before
    assert hub.files(REPO, revision="refs/pr/1")["test_results.json"] == b'{"better": 1}'


# Whose card it is.


def test_a_card_that_a_person_wrote_stays(hub, out, dialogues, caplog):
    model, processor = FAMILY_CASES[0].make(dialogues)
    push_folder(out, REPO)
    hub.write(REPO, "README.md", "# Mine")
    (out / "README.md").write_text(f"{MARKER}\nan earlier card", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        push_folder(out, REPO)
    assert "README.md was written by a person, and stays as it is" in caplog.text
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    assert card_on(hub) == "# Mine"
    (out / "README.md").write_text("# Mine, in the folder", encoding="utf-8")
    push_folder(out, REPO)
    assert card_on(hub) == "# Mine, in the folder"


def test_a_card_with_results_stays_when_a_model_is_pushed_and_a_warning_says_whose_they_are(
    hub, out, dialogues, caplog
):
    push_folder(out, REPO)
    card = card_on(hub)
    model, processor = load_checkpoint(out)
    with caplog.at_level(logging.WARNING, "joyful_hf"):
        model.push_to_hub(REPO)
        processor.push_to_hub(REPO)
        assert not [record for record in caplog.records if record.name.startswith("joyful_hf")]
        FAMILY_CASES[0].make(dialogues, seed=1)[0].push_to_hub(REPO)
    assert "README.md and the results there are of other weights" in caplog.text
    assert card_on(hub) == card


def test_a_card_without_results_follows_the_model(hub, dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    before = card_on(hub)
    FAMILY_CASES[0].make(dialogues, graph_num_layers=2)[0].push_to_hub(REPO)
    assert "graph_num_layers" not in before
    assert "graph_num_layers" in card_on(hub)


def test_tags_are_added_to_those_of_the_card(hub, dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    processor.push_to_hub(REPO)
    model.push_to_hub(REPO, tags="mine")
    assert {"mine", "emotion-recognition"} <= set(ModelCard(card_on(hub)).data.tags)


# Who may.


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


def test_a_card_that_cannot_be_written_is_found_before_anything_is_asked(hub, fails, out):
    assert str(out / "nowhere") in fails("push", out, REPO, "--other-runs", out / "nowhere")
    assert not hub.requests


def test_a_card_with_bad_metadata_is_refused(hub, fails, out):
    (out / "README.md").write_text("---\ntags: [\n---\n# Mine", encoding="utf-8")
    message = fails("push", out, REPO)
    assert "Invalid metadata in README.md. - invalid YAML" in message
    assert not hub.files(REPO)


# A connection that breaks.


def after(number, method="PUT"):
    """Lets so many requests of a method through, and cuts all that follow."""
    counter = itertools.count()
    return lambda one, path: one == method and next(counter) >= number


def test_a_push_that_broke_is_continued_and_never_seen_in_part(hub, fails, joyful, dialogues, tmp_path):
    save(tmp_path / "first", dialogues, seed=0, max_shard_size=SHARDS)
    save(tmp_path / "second", dialogues, seed=1, max_shard_size=SHARDS)
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


# The command line reads from the Hub.


def test_the_commands_take_ids_of_models_and_of_data_sets(hub, joyful, out, tmp_path, dialogues):
    push_folder(out, REPO)
    Dataset.from_list(dialogues).push_to_hub("ada/data", split="test")
    Dataset.from_list(dialogues).push_to_hub("ada/data", split="train")
    local, remote = tmp_path / "local.jsonl", tmp_path / "remote.jsonl"
    assert joyful("predict", REPO, "--data-file", "ada/data", "--output-file", remote).status == 0
    data = tmp_path / "data.jsonl"
    write_dialogues(dialogues, data)
    assert joyful("predict", out, "--data-file", data, "--output-file", local).status == 0
    assert remote.read_text() == local.read_text()
    scores = joyful("evaluate", REPO, "--data-file", "ada/data").out
    assert scores == joyful("evaluate", out, "--data-file", data).out
    assert "eval_weighted_f1" in scores


def test_a_revision_of_the_command_is_a_branch(hub, joyful, out):
    result = joyful("push", out, REPO, "--revision", "v2")
    assert result.out == f"checkpoint on the Hub: {constants.ENDPOINT}/{REPO}/tree/v2\n"
    assert not hub.files(REPO)
    assert "model.safetensors" in hub.files(REPO, revision="v2")


# Data sets.


def test_a_data_set_comes_back(hub, dialogues):
    Dataset.from_list(dialogues[:1]).push_to_hub("ada/data", split="train", private=True)
    Dataset.from_list(dialogues[1:]).push_to_hub("ada/data", split="test")
    assert list(load_dialogues("ada/data")) == list(Dataset.from_list(dialogues[:1]))
    assert (
        load_dialogues("ada/data", split="test")[1]["utterances"][0]["label"]
        == (dialogues[2]["utterances"][0]["label"])
    )
    with pytest.raises(DialogueError, match=r"gave no data set of this id and split 'dev'"):
        load_dialogues("ada/data", split="dev")


def test_a_data_set_that_is_not_there_or_private_is_one_line(hub, dialogues, monkeypatch):
    Dataset.from_list(dialogues).push_to_hub("ada/data", private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    for name in ("ada/data", "ada/nothing"):
        with pytest.raises(DialogueError, match=f"'{name}': there is no such file, and the Hub gave no data set") as e:
            load_dialogues(name)
        assert "\n" not in str(e.value)


def class_labels(dialogues):
    """The same dialogues, their labels and speakers as numbers that have names."""
    classes, speakers = ClassLabel(names=list(LABELS)), ClassLabel(names=["speaker 0", "speaker 1"])
    columns = {"speaker": speakers, "text": Value("string"), "label": classes, "several": List(classes)}
    features = Features({"dialogue_id": Value("string"), "utterances": List(columns)})
    rows = [
        {
            "dialogue_id": dialogue["dialogue_id"],
            "utterances": [
                {"speaker": one["speaker"], "text": one["text"], "label": one["label"], "several": [one["label"]]}
                for one in dialogue["utterances"]
            ],
        }
        for dialogue in dialogues
    ]
    rows[0]["utterances"][1]["label"] = None
    rows[0]["utterances"][2]["label"] = -1
    rows[1]["utterances"][0]["several"] = None
    rows[1]["utterances"][1]["several"] = []
    return rows, Dataset.from_list(rows, features=features)


def test_class_labels_come_back_as_their_names(hub, dialogues, tmp_path):
    rows, dataset = class_labels(dialogues)
    rows[0]["utterances"][2]["label"] = None
    assert isinstance(dataset[0]["utterances"][0]["label"], int)
    dataset.push_to_hub("ada/data")
    dataset.to_parquet(tmp_path / "data.parquet")
    for loaded in (load_dialogues("ada/data"), load_dialogues(tmp_path / "data.parquet")):
        assert list(loaded) == rows
        assert loaded.features["utterances"].feature["label"] == Value("string")
        assert loaded.features["utterances"].feature["several"] == List(Value("string"))
        assert loaded.features["dialogue_id"] == Value("string")


def test_a_number_that_is_no_class_is_refused(tmp_path, dialogues):
    _, dataset = class_labels(dialogues)
    file = tmp_path / "data.parquet"
    dataset.to_parquet(file)
    table = pyarrow.parquet.read_table(file)
    dialogues = table.column("utterances").combine_chunks()
    utterances = dialogues.values
    names = [one.name for one in utterances.type]
    columns = [utterances.field(name) for name in names]
    columns[names.index("label")] = pa.array(np.full(len(utterances), len(LABELS)))
    changed = pa.ListArray.from_arrays(dialogues.offsets, pa.StructArray.from_arrays(columns, names))
    pyarrow.parquet.write_table(table.set_column(1, "utterances", changed), file)
    with pytest.raises(DialogueError, match=f"data.parquet: 'label' holds a number that is none of its {len(LABELS)}"):
        load_dialogues(Path(file))
