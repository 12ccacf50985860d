"""The summary of a run: what it says is what the run did."""

import json

import pytest

from joyful_hf import DialogueError, JoyfulTrainer, compute_metrics
from joyful_hf.data.encoded import EncodedDialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.runs.names import RUN_SUMMARY
from joyful_hf.runs.summary import ChosenBy, RunSummary
from tests.support.helpers import FAMILY_CASES, LABELS, make_dialogues
from tests.support.run_summaries import data_summary, make_summary
from tests.support.training import TRAIN, VALIDATION, make_trainer, training_args

TEST = make_dialogues((3, 5), modalities=("text", "audio"))


@pytest.fixture(params=["joyful-recommended", "foal-net"])
def family(request):
    """A family that reads dialogues, and one that reads utterances."""
    return next(case for case in FAMILY_CASES if case.name == request.param)


@pytest.fixture
def trained(family, tmp_path):
    """A trainer whose run is over, tested."""
    trainer = make_trainer(tmp_path, family)
    trainer.train()
    trainer.calibrate()
    trainer.evaluate(TEST, metric_key_prefix="test")
    return trainer


def test_it_counts_the_data_that_the_run_saw(trained, family):
    summary = trained.run_summary()
    utterances = [utterance for dialogue in TRAIN for utterance in dialogue["utterances"]]

    assert (summary.train.num_dialogues, summary.train.num_utterances) == (len(TRAIN), len(utterances))
    assert summary.train.max_speakers == 2
    assert summary.train.label_counts == {
        label: sum(spoken["label"] == label for spoken in utterances) for label in LABELS
    }
    assert summary.train.modality_counts == dict.fromkeys(family.modalities, len(utterances))
    assert summary.validation.num_utterances == sum(len(dialogue["utterances"]) for dialogue in VALIDATION)
    assert summary.test.modality_counts.keys() == set(family.modalities) - {"visual"}


def test_its_results_are_those_of_the_weights_that_are_saved(trained):
    summary = trained.run_summary()
    for split, dialogues in (("validation", VALIDATION), ("test", TEST)):
        output = trained.predict(dialogues)
        scores = compute_metrics(
            output, trained.model.config.id2label, temperature=trained.model.config.calibration_temperature
        )
        assert {name: summary.results[split][name] for name in scores} == pytest.approx(scores)
        assert not {name for name in summary.results[split] if "second" in name or "runtime" in name}


def test_its_confusion_matrix_is_that_of_the_test_set(trained):
    confusions = trained.run_summary().confusion_matrix
    right = sum(row[index] for index, row in enumerate(confusions.counts))
    total = sum(map(sum, confusions.counts))

    assert (confusions.split, confusions.labels) == ("test", list(LABELS))
    assert total == sum(len(dialogue["utterances"]) for dialogue in TEST)
    assert right / total == trained.run_summary().results["test"]["accuracy"]


def test_it_says_what_chose_the_checkpoint(trained):
    chosen = trained.run_summary().chosen_by
    by_epoch = {
        entry["epoch"]: entry["eval_weighted_f1"] for entry in trained.state.log_history if "eval_weighted_f1" in entry
    }

    assert (chosen.metric, chosen.greater_is_better) == ("weighted_f1", True)
    assert chosen.value == max(by_epoch[1.0], by_epoch[2.0])
    assert chosen.epoch == min(epoch for epoch, score in by_epoch.items() if score == chosen.value)


def test_nothing_chooses_without_validation(tmp_path):
    trainer = make_trainer(tmp_path, validation=None, num_train_epochs=1)
    trainer.train()
    summary = trainer.run_summary()
    assert (summary.chosen_by, summary.validation, summary.confusion_matrix, summary.results) == (None, None, None, {})


def test_a_run_that_goes_on_forgets_the_results_of_earlier_weights(trained):
    trained.train()
    assert trained.run_summary().results.keys() == {"validation"}


def test_it_names_files_without_the_folders_of_the_machine(tmp_path, joyful):
    (tmp_path / "meld").mkdir()
    write_dialogues(TRAIN, tmp_path / "meld" / "train.jsonl")
    small = '{"graph_hidden_size": 8, "num_members": 1}'
    result = joyful("train", "--train-file", tmp_path / "meld" / "train.jsonl", "--output-dir", tmp_path / "out",
                    "--num-train-epochs", "1", "--config-json", small)  # fmt: skip
    assert result.status == 0, result.err
    summary = json.loads((tmp_path / "out" / RUN_SUMMARY).read_text())

    assert summary["train"]["source"] == "meld/train.jsonl"
    assert (summary["validation"]["source"], summary["validation"]["held_out"]) == ("meld/train.jsonl", True)
    assert "Validation: held out of meld/train.jsonl." in (tmp_path / "out" / "README.md").read_text()
    for file in ("config.json", "processor_config.json", "training_args.json", RUN_SUMMARY):
        assert str(tmp_path) not in (tmp_path / "out" / file).read_text(), file


def test_what_is_read_back_is_what_was_written(trained, tmp_path):
    summary = trained.run_summary()
    summary.save(tmp_path)
    assert RunSummary.read(tmp_path) == summary


def test_a_folder_without_a_summary_has_none(tmp_path):
    assert RunSummary.read(tmp_path) is None


def test_a_summary_of_before_is_read(tmp_path):
    """Then, the source said that validation was held out; and what is null now was so too."""
    before = make_summary(validation=data_summary("held out of train.jsonl", 12), device=None)
    del before["num_parameters"], before["test"]["max_speakers"]
    (tmp_path / RUN_SUMMARY).write_text(json.dumps(before))
    summary = RunSummary.read(tmp_path)
    assert (summary.validation.source, summary.validation.held_out) == ("train.jsonl", True)
    assert summary.validation_is_held_out
    assert (summary.num_parameters, summary.test.max_speakers, summary.device) == (None, None, "")
    assert summary.chosen_by == ChosenBy("weighted_f1", 0.85, 12.0, True)


def test_what_a_later_version_adds_is_no_obstacle(tmp_path):
    (tmp_path / RUN_SUMMARY).write_text(json.dumps(make_summary(carbon=1.5)))
    assert RunSummary.read(tmp_path).seed == 42


@pytest.mark.parametrize("change", [{"train": "train.jsonl"}, {"chosen_by": {"metric": "mae"}}, {"test": [1]}])
def test_a_summary_of_something_else_is_refused(tmp_path, change):
    (tmp_path / RUN_SUMMARY).write_text(json.dumps(make_summary(**change)))
    with pytest.raises(DialogueError, match=r"run_summary.json: is no summary of a run"):
        RunSummary.read(tmp_path)


def test_no_pickle_is_left_beside_a_checkpoint(trained, tmp_path):
    trained.save_model()
    assert not list(tmp_path.glob("*.bin"))
    assert not list(tmp_path.glob("checkpoint-*/training_args.bin"))
    arguments = json.loads((tmp_path / "training_args.json").read_text())
    assert arguments["learning_rate"] == trained.args.learning_rate
    assert arguments["output_dir"] == tmp_path.name


def test_values_have_a_range_and_what_it_leaves_out_has_a_reason(tmp_path):
    def rated(rng):
        return float(rng.integers(1, 6))

    train, validation = (make_dialogues(lengths, label=rated) for lengths in ((6, 8, 7), (9, 8)))
    case = FAMILY_CASES[0]
    model, processor = case.make(train)
    trainer = JoyfulTrainer(
        model=model,
        args=training_args(tmp_path, eval_strategy="no", load_best_model_at_end=False),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
    )
    summary = trainer.run_summary()
    summary.save(tmp_path)
    summary = RunSummary.read(tmp_path)
    assert (summary.train.label_counts, summary.train.label_ranges) == ({}, {"LABEL_0": [1.0, 5.0]})
    assert summary.left_out["validation"].keys() >= {"acc_2", "acc_7"}
    assert summary.left_out["validation"].keys().isdisjoint(summary.results["validation"])


def test_each_of_several_values_has_a_range(tmp_path):
    nan = float("nan")
    labels = iter([{"valence": 0.5, "arousal": nan}, {"valence": -2.0}, None, {"arousal": 1.5, "valence": 1.0}])
    dialogues = make_dialogues((4,), label=lambda rng: next(labels))
    model, processor = FAMILY_CASES[0].make(dialogues)
    summary = EncodedDialogues(dialogues, processor).summarize(model.config)
    assert summary.label_ranges == {"arousal": [1.5, 1.5], "valence": [-2.0, 1.0]}
    assert summary.label_counts == {}
