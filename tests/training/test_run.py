"""A training run: which dialogues validate, what a folder holds, what is refused, and what is printed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from joyful_hf import DialogueError, JoyfulTrainingArguments
from joyful_hf.data.dialogue_files import load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.families import FAMILIES
from joyful_hf.runs.folder import last_checkpoint, prepare_output_dir
from joyful_hf.runs.manifest import write_manifest
from joyful_hf.training.building import make_model_and_processor, split_settings
from joyful_hf.training.run import run_training
from joyful_hf.training.run_data import RunData, hold_out, load_run_data
from tests.support.helpers import LABELS, make_dialogue, make_dialogues
from tests.support.training import SMALL_SETTINGS, TRAIN, VALIDATION

JOYFUL = FAMILIES["joyful"]


@pytest.fixture
def files(tmp_path):
    """Paths of three files: training, validation and test dialogues."""
    paths = []
    for name, dialogues in (("train", TRAIN), ("validation", VALIDATION), ("test", VALIDATION[:2])):
        path = tmp_path / f"{name}.jsonl"
        write_dialogues(dialogues, path)
        paths.append(str(path))
    return paths


@pytest.fixture
def data(files):
    return load_run_data(*files, seed=0)


def train(folder: Path, data: RunData, settings=None, **arguments):
    of_training = {"num_train_epochs": 2, "save_total_limit": 1}
    names = {*of_training, "metric_for_best_model"}
    of_training |= {name: arguments.pop(name) for name in names & arguments.keys()}
    args = JoyfulTrainingArguments(str(folder), **of_training)
    return run_training(args, data, settings=SMALL_SETTINGS | (settings or {}), **arguments)


def ids(dataset):
    return list(dataset["dialogue_id"])


# Which dialogues validate


def test_without_a_validation_file_a_tenth_is_held_out(tmp_path):
    path = tmp_path / "train.jsonl"
    write_dialogues(make_dialogues([2] * 30), path)
    data = load_run_data(str(path), None, None, seed=3)
    assert (len(data.train), len(data.validation), data.test) == (27, 3, None)
    assert sorted(ids(data.train) + ids(data.validation)) == sorted(ids(load_dialogues(path)))
    assert data.validation_source == "3 dialogues held out of 30 (seed 3)"
    assert data.sources == {"train": str(path), "validation": str(path)}


def test_the_seed_decides_which(data):
    held_out = [ids(hold_out(data.train, seed)[1]) for seed in (0, 0, 1, 2, 3)]
    assert held_out[0] == held_out[1]
    assert len(set(map(tuple, held_out))) > 1


FORMS = {
    "strings": ("calm", "joy", "disgust"),
    "ints": (0, 1, 2),
    "lists": (["calm"], ["joy", "calm"], ["disgust"]),
}


def labelled(*labels):
    """A dialogue for each list of labels."""
    return Dataset.from_list(
        [
            {"dialogue_id": str(index), "utterances": [{"speaker": "A", "label": label} for label in of_dialogue]}
            for index, of_dialogue in enumerate(labels)
        ]
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("calm", "joy", "rare"), FORMS.values(), ids=FORMS)
def test_a_label_that_occurs_nowhere_else_stays_with_the_training_dialogues(calm, joy, rare, seed):
    rest, held_out = hold_out(
        labelled([calm, joy], [joy, rare], [calm, joy, None], [calm], [joy, calm]), seed, share=0.4
    )
    assert len(held_out) == 2
    assert "1" in ids(rest)


@pytest.mark.parametrize("seed", range(6))
def test_the_split_never_takes_all_dialogues_of_a_label(seed):
    rest, held_out = hold_out(labelled(["calm"], ["calm"], ["calm"], ["joy"], ["joy"]), seed, share=0.6)
    assert {u["label"] for dialogue in rest for u in dialogue["utterances"]} == {"calm", "joy"}
    assert len(held_out) == 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("unknown", [None, "", "-100"], ids=repr)
def test_dialogues_without_a_label_are_not_held_out(unknown, seed):
    _, held_out = hold_out(
        labelled(["joy"], [unknown], [unknown, unknown], ["joy"], [unknown, "joy"]), seed, share=0.4
    )
    assert len(held_out) == 2
    assert {"1", "2"}.isdisjoint(ids(held_out))


def test_without_a_rare_label_the_split_is_the_one_that_the_seed_draws():
    order = np.random.default_rng(5).permutation(20)
    rest, held_out = hold_out(labelled(*[["joy", "calm"]] * 20), seed=5)
    assert ids(held_out) == list(map(str, sorted(order[:2].tolist())))
    assert ids(rest) == list(map(str, sorted(order[2:].tolist())))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([["joy"], ["calm"], ["fear"]], "each has a label that no other one has"),
        ([["joy"], [None], [None]], "one dialogue only has labels"),
    ],
    ids=["all rare", "one labelled"],
)
def test_where_no_dialogue_can_be_spared_a_file_is_asked_for(labels, reason):
    for seed in range(3):
        with pytest.raises(DialogueError, match=f"no dialogue can be held out.*: {reason}; give `validation_file`"):
            hold_out(labelled(*labels), seed)


def test_values_are_not_kept_together_as_classes_are():
    numbers = labelled([1, 2], [3], [-1, 5])
    assert len(hold_out(numbers, 0, problem_type="regression")[1]) == 1
    assert len(hold_out(labelled([0.5], [1.5], [2.5]), 0)[1]) == 1
    with pytest.raises(DialogueError, match="each has a label"):
        hold_out(numbers, 0)


def test_one_label_is_too_few_to_train_on(tmp_path, data):
    for label in ("joy", 1):
        one = [dialogue | {"utterances": [u | {"label": label} for u in dialogue["utterances"]]} for dialogue in TRAIN]
        with pytest.raises(DialogueError, match=f"^the training dialogues have one label only, '{label}'$"):
            train(
                tmp_path / "out",
                replace(data, train=Dataset.from_list(one), validation=Dataset.from_list(one), test=None),
            )


def test_lists_without_any_label_are_too_few_to_train_on(tmp_path, data):
    none = [dialogue | {"utterances": [u | {"label": []} for u in dialogue["utterances"]]} for dialogue in TRAIN]
    with pytest.raises(DialogueError, match=r"^no utterance of the training dialogues has a label in its list$"):
        train(tmp_path / "out", replace(data, train=Dataset.from_list(none)))


def test_a_metric_that_the_scale_of_the_labels_does_not_allow_is_refused_with_the_reason(tmp_path, data):
    def scaled(dataset):
        return dataset.map(
            lambda row: {"utterances": [u | {"label": 1.0 + len(u["label"])} for u in row["utterances"]]}
        )

    data = replace(data, train=scaled(data.train), validation=scaled(data.validation), test=None)
    with pytest.raises(DialogueError, match=r"'acc_7' is none .*\(acc_7 needs labels of both signs from -3 to 3, and"):
        train(tmp_path / "out", data, metric_for_best_model="acc_7")


def test_at_least_one_dialogue_is_held_out(data):
    rest, held_out = hold_out(data.train.select(range(2)), seed=0)
    assert (len(rest), len(held_out)) == (1, 1)


def test_one_dialogue_is_too_few_to_hold_any_out(tmp_path):
    path = tmp_path / "train.jsonl"
    write_dialogues(TRAIN[:1], path)
    with pytest.raises(DialogueError, match=r"`train_file`: .*one dialogue, too few.*`validation_file`"):
        load_run_data(str(path), None, None, seed=0)


def test_a_validation_file_validates(files, data):
    assert ids(data.train) == [dialogue["dialogue_id"] for dialogue in TRAIN]
    assert data.validation_source == f"3 dialogues of {files[1]}"


# The folder


def checkpoint(folder: Path, step: int, state: str | None = '{"global_step": 1}') -> Path:
    """A checkpoint as a run leaves it; the state is written last, but for the manifest."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (path / name).touch()
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    write_manifest(path)
    return path


def test_a_folder_that_is_new_or_holds_something_else_is_a_fresh_start(tmp_path):
    assert prepare_output_dir(tmp_path / "new", overwrite=False) is None
    (tmp_path / "notes.txt").touch()
    (tmp_path / "checkpoint-best").mkdir()
    assert prepare_output_dir(tmp_path, overwrite=False) is None


def test_an_interrupted_run_is_resumed_from_its_last_checkpoint(tmp_path):
    checkpoint(tmp_path, 9)
    last = checkpoint(tmp_path, 10)
    assert prepare_output_dir(tmp_path, overwrite=False) == str(last)


@pytest.mark.parametrize("state", [None, '{"epoch": 1.'], ids=["nothing", "half"])
def test_a_checkpoint_that_was_not_written_to_its_end_is_none(tmp_path, state):
    checkpoint(tmp_path, 20, state)
    assert last_checkpoint(tmp_path) is None
    last = checkpoint(tmp_path, 10)
    assert last_checkpoint(tmp_path) == last


@pytest.mark.parametrize("mark", ["train_results.json", "model.safetensors"])
def test_a_finished_run_is_refused(tmp_path, mark):
    (tmp_path / mark).touch()
    with pytest.raises(DialogueError, match=r"^`output_dir`: .*finished run.*`overwrite_output_dir`"):
        prepare_output_dir(tmp_path, overwrite=False)
    assert prepare_output_dir(tmp_path, overwrite=True) is None
    assert (tmp_path / mark).exists(), "whether it may be replaced is all that is asked"


def test_a_run_that_was_interrupted_while_it_was_tested_is_resumed(tmp_path):
    (tmp_path / "model.safetensors").touch()
    last = checkpoint(tmp_path, 10)
    assert prepare_output_dir(tmp_path, overwrite=False) == str(last)


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(DialogueError, match=r"^`output_dir`: .* is a file"):
        prepare_output_dir(tmp_path / "out", overwrite=True)


def test_overwriting_removes_the_earlier_run_and_nothing_else(tmp_path, data):
    out = tmp_path / "out"
    train(out, data, num_train_epochs=1)
    (out / "notes.txt").write_text("mine")
    (out / "checkpoint-best").mkdir()
    checkpoint(out, 999)
    # transformers' own limit counts whatever is called checkpoint-*.
    arguments = {"num_train_epochs": 1, "save_total_limit": None}
    train(out, RunData(data.train, data.validation, None), overwrite=True, **arguments)
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "checkpoint-best").is_dir()
    assert not (out / "checkpoint-999").exists()
    assert not (out / "test_results.json").exists(), "the new run had no test set"


def test_what_is_overwritten_stays_until_everything_is_checked(tmp_path, data):
    out = tmp_path / "out"
    train(out, data, num_train_epochs=1)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(DialogueError):
        train(out, data, settings={"graph_num_heads": 3}, overwrite=True)
    unlabelled = data.validation.map(lambda row: {"utterances": [u | {"label": None} for u in row["utterances"]]})
    with pytest.raises(DialogueError, match="validation dialogues has a label"):
        train(out, RunData(data.train, unlabelled, None), overwrite=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


# Settings


def test_settings_go_to_the_config_the_processor_or_both(data):
    settings = {"window_past": 3, "graph_num_layers": 0, "text_dim": 0, "max_speakers": 5}
    assert split_settings(JOYFUL, settings) == (
        {"graph_num_layers": 0, "text_dim": 0, "max_speakers": 5},
        {"window_past": 3, "text_dim": 0, "max_speakers": 5},
    )
    model, processor = make_model_and_processor(JOYFUL, None, SMALL_SETTINGS | settings, data)
    assert (processor.window_past, processor.text_dim, processor.max_speakers) == (3, 0, 5)
    assert (model.config.graph_num_layers, model.config.text_dim, model.config.max_speakers) == (0, 0, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"graph_num_layer": 1}, "unknown setting 'graph_num_layer'; did you mean graph_num_layers"),
        ({"xyz": 1}, "unknown setting 'xyz'$"),
        ({"id2label": {}}, "unknown setting 'id2label'; did you mean label2id"),
        ({"window_past": "three"}, "'window_past' expected int, got str"),
        ({"graph_num_layers": "two"}, "'graph_num_layers' expected int, got str"),
        ({"fusion": "sum"}, "fusion must be one of"),
        ({"num_labels": 7}, "num_labels is 7, the data have 4 labels"),
        ({"text_dim": 0, "audio_dim": 0, "visual_dim": 0}, "every modality has size 0"),
        ({"graph_num_heads": 3}, "graph_num_heads=3 does not divide"),
    ],
    ids=str,
)
def test_settings_of_which_no_model_can_be_made_are_named(data, settings, message):
    with pytest.raises(DialogueError, match=f"^`settings`: .*{message}"):
        make_model_and_processor(JOYFUL, None, SMALL_SETTINGS | settings, data)


@pytest.mark.parametrize("preset", JOYFUL.presets)
def test_a_preset_tells_apart_as_many_speakers_as_training_and_validation_have(data, preset):
    crowd = Dataset.from_list([make_dialogue(9, speakers=6)])
    settings = {"projection_size": 8, "intermediate_size": 24}
    model, processor = make_model_and_processor(JOYFUL, preset, settings, RunData(data.train, crowd, data.validation))
    assert (processor.relation_scheme, processor.max_speakers) == ("speaker_pair", 6)
    assert model.config.num_relations == processor.num_relations == 72


def test_the_test_dialogues_decide_on_nothing(tmp_path, data):
    crowd = Dataset.from_list([make_dialogue(9, speakers=6)])
    small = {"projection_size": 8, "basis_size": 4, "num_hidden_layers": 1, "intermediate_size": 24}
    with pytest.raises(
        DialogueError, match=r"speaker .* is number 3, and the relation scheme 'speaker_pair' holds 2 speakers"
    ):
        run_training(
            JoyfulTrainingArguments(str(tmp_path / "out")),
            RunData(data.train, data.validation, crowd),
            preset="paper",
            settings=small,
        )


# The run itself


def test_leaves_results_and_says_what_it_does(tmp_path, data, capsys):
    metrics = train(tmp_path / "out", data)
    out = tmp_path / "out"
    stored = json.loads((out / "eval_results.json").read_text()) | json.loads((out / "test_results.json").read_text())
    assert stored == metrics
    expected = {"test_weighted_f1", "test_accuracy", "test_unweighted_accuracy"} | {f"test_f1_{x}" for x in LABELS}
    assert expected <= metrics.keys()
    assert "train_loss" in json.loads((out / "train_results.json").read_text())
    state = json.loads((out / "trainer_state.json").read_text())
    assert state["best_metric"] == metrics["eval_weighted_f1"]

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("training:   9 dialogues, 45 utterances")
    assert printed[1] == f"validation: {data.validation_source}"
    assert printed[2].startswith("model:      joyful, ")
    assert re.fullmatch(r"epoch 1/2   training loss \d\.\d{4}   validation weighted f1 [01]\.\d{4}   best", printed[3])
    assert re.match(r"epoch 2/2   training loss \d\.\d{4}   validation weighted f1 [01]\.\d{4}", printed[4])
    best_epoch = r"best epoch: [12] \(weighted f1 [01]\.\d{4}\)"
    assert re.fullmatch(best_epoch, printed[5])
    assert len(printed) == 6


def test_without_validation_the_training_loss_is_printed(tmp_path, data, capsys):
    args = JoyfulTrainingArguments(
        str(tmp_path), num_train_epochs=1, eval_strategy="no", load_best_model_at_end=False, save_strategy="no"
    )
    run_training(args, data, settings=SMALL_SETTINGS)
    assert re.search(r"^epoch 1/1   training loss \d\.\d{4}$", capsys.readouterr().out, re.MULTILINE)


def test_the_best_before_a_resume_is_the_one_to_beat(tmp_path, data, capsys):
    out = tmp_path / "out"
    arguments = {"learning_rate": 0.0, "save_total_limit": None, "per_device_train_batch_size": len(TRAIN)}
    args = JoyfulTrainingArguments(str(out), num_train_epochs=3, validation_start=0, **arguments)
    run_training(args, data, settings=SMALL_SETTINGS)
    first = capsys.readouterr().out.splitlines()
    assert [line.endswith("best") for line in first[3:-1]] == [True, False, False]
    run_training(args, data, settings=SMALL_SETTINGS, resume_from=str(out / "checkpoint-1"))
    resumed = capsys.readouterr().out.splitlines()
    assert resumed[3] == f"resuming from {out / 'checkpoint-1'}"
    assert resumed[4:] == first[4:]


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"graph_hidden_size": 32}, "graph_hidden_size.*16 there, 32 here"),
        ({"window_past": 2}, "window_past.*8 there, 2 here"),
    ],
    ids=["model", "processor"],
)
def test_a_run_of_other_settings_is_not_resumed(tmp_path, data, settings, difference):
    out = tmp_path / "out"
    train(out, data, num_train_epochs=1)
    resume_from = str(last_checkpoint(out))
    with pytest.raises(DialogueError, match=f"interrupted run of other settings or data.*{difference}"):
        train(out, data, settings=settings, resume_from=resume_from)


def test_a_run_on_other_data_is_not_resumed(tmp_path, data):
    out = tmp_path / "out"
    train(out, data, num_train_epochs=1)
    fewer = RunData(data.train.select(range(5)), data.validation, None)
    with pytest.raises(DialogueError, match="of other settings or data, which differ in"):
        train(out, fewer, resume_from=str(last_checkpoint(out)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric_for_best_model": "f2"}, "`metric_for_best_model`: 'f2' is none of .*weighted_f1"),
        ({"metric_for_best_model": "mae"}, "'mae' is none of"),
        ({"report_to": "wandb"}, "wandb"),
    ],
    ids=str,
)
def test_what_would_fail_after_an_epoch_is_refused_before(tmp_path, data, monkeypatch, arguments, message):
    monkeypatch.setattr("transformers.integrations.integration_utils.is_wandb_available", lambda: False)
    args = JoyfulTrainingArguments(str(tmp_path), **arguments)
    with pytest.raises(DialogueError, match=message):
        run_training(args, data, settings=SMALL_SETTINGS)


def test_an_unknown_model_or_preset_is_named_with_those_there_are(tmp_path, data):
    args = JoyfulTrainingArguments(str(tmp_path))
    with pytest.raises(DialogueError, match="`model_name`: unknown model 'bert'; choose from joyful"):
        run_training(args, data, model_name="bert")
    with pytest.raises(DialogueError, match="`preset`: unknown preset 'best' of joyful; choose from paper, released"):
        run_training(args, data, preset="best")
