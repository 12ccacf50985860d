"""A trainer that pushes: during training, at its end, and what it refuses to push."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from joyful_hf import DialogueError, JoyfulForEmotionRecognition
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.pictures.gallery import draw_training_curves
from joyful_hf.runs.summary import RunSummary
from tests.support.helpers import make_dialogues
from tests.support.training import (
    SMALL_SETTINGS,
    STEPS_PER_EPOCH,
    TRAIN,
    assert_same_weights,
    make_trainer,
    weights_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "ada/joyful"
TEST = make_dialogues((3, 5))


def pushing_trainer(folder, **arguments):
    return make_trainer(folder, push_to_hub=True, hub_model_id=REPO, **arguments)


def test_a_trained_model_is_pushed_with_its_results_and_without_pickles(hub, tmp_path):
    trainer = make_trainer(tmp_path / "joyful")
    trainer.train()
    trainer.calibrate()
    tested = trainer.evaluate(TEST, metric_key_prefix="test")
    trainer.push_to_hub(dataset="MELD")

    files = hub.files(REPO)
    assert {
        "model.safetensors",
        "config.json",
        "processor_config.json",
        "README.md",
        "run_summary.json",
    } <= files.keys()
    assert {"training_args.json", "trainer_state.json", "confusion_matrix.png"} <= files.keys()
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl")) or "/" in name]
    loaded = JoyfulForEmotionRecognition.from_pretrained(REPO)
    assert_same_weights(loaded.state_dict(), weights_of(trainer))
    (result, *_) = ModelCard.load(REPO).data.eval_results
    assert (result.dataset_name, result.metric_value) == ("MELD", round(tested["test_weighted_f1"], 4))


def test_what_is_pushed_names_no_folder_of_the_machine(hub, tmp_path):
    trainer = make_trainer(tmp_path / "joyful")
    trainer.train()
    trainer.push_to_hub()
    for name, content in hub.files(REPO).items():
        assert str(tmp_path).encode() not in content, name


def test_what_a_run_leaves_names_no_folder_of_the_machine(tmp_path):
    trainer = make_trainer(tmp_path / "joyful")
    trainer.train()
    trainer.save_state()
    trainer.create_model_card()
    assert Path(trainer.state.best_model_checkpoint).parent == tmp_path / "joyful"
    left = [file for file in (tmp_path / "joyful").rglob("*") if file.is_file()]
    assert {"README.md", "trainer_state.json", "config.json"} <= {file.name for file in left}
    assert [file for file in left if str(tmp_path).encode() in file.read_bytes()] == []


def test_a_folder_that_was_moved_ends_with_its_own_best_checkpoint(tmp_path):
    trainer = make_trainer(tmp_path / "first", num_train_epochs=3)
    trainer.train()
    (tmp_path / "first").rename(tmp_path / "moved")
    again = make_trainer(tmp_path / "moved", num_train_epochs=3)
    again.train(resume_from_checkpoint=True)
    assert Path(again.state.best_model_checkpoint).parent == tmp_path / "moved"
    assert_same_weights(weights_of(again), weights_of(trainer))


def test_the_training_curves_can_be_drawn_from_there(hub, tmp_path):
    trainer = make_trainer(tmp_path / "joyful")
    trainer.train()
    trainer.push_to_hub()
    assert len(draw_training_curves(REPO).axes) > 1


def test_checkpoints_are_pushed_while_training_goes_on(hub, tmp_path):
    trainer = pushing_trainer(tmp_path / "out", hub_always_push=True)
    trainer.train()
    titles = [commit.title for commit in hub.history(REPO)]
    assert titles[-2:] == [f"Training in progress, step {STEPS_PER_EPOCH * epoch}" for epoch in (1, 2)]
    assert not [name for name in hub.files(REPO) if name.endswith((".bin", ".pt", ".pth")) or "/" in name]


def test_a_push_in_the_background_that_fails_is_told_and_training_goes_on(hub, tmp_path, caplog):
    trainer = pushing_trainer(tmp_path / "out")
    hub.is_cut = lambda method, path: method == "PUT"
    outcome = trainer.train()
    assert outcome.global_step == 2 * STEPS_PER_EPOCH
    assert "a push in the background failed: ada/joyful" in caplog.text


def test_at_the_end_only_if_that_is_the_strategy(hub, tmp_path):
    trainer = pushing_trainer(tmp_path / "out", hub_strategy="end")
    trainer.train()
    assert "model.safetensors" not in hub.files(REPO)
    trainer.push_to_hub(blocking=False).result()
    assert "model.safetensors" in hub.files(REPO)


@pytest.mark.parametrize("strategy", ["checkpoint", "all_checkpoints"])
def test_a_strategy_that_pushes_pickles_is_refused(hub, tmp_path, strategy):
    with pytest.raises(ValueError, match=f"`hub_strategy`: '{strategy}' .* a pickle; choose 'every_save' or 'end'"):
        pushing_trainer(tmp_path / "out", hub_strategy=strategy)


def test_a_bad_token_is_found_before_training(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with pytest.raises(DialogueError, match="does not know your token"):
        pushing_trainer(tmp_path / "out")


def test_the_command_pushes_what_it_trained(hub, joyful, tmp_path, dialogues):
    write_dialogues(dialogues, tmp_path / "train.jsonl")
    write_dialogues(TEST, tmp_path / "test.jsonl")
    settings = json.dumps(SMALL_SETTINGS)
    options = ["--train-file", "train.jsonl", "--test-file", "test.jsonl", "--output-dir", "out", "--push-to-hub"]
    options += ["--hub-model-id", REPO, "--num-train-epochs", 1, "--config-json", settings]
    result = joyful("train", *options)
    assert result.status == 0, result.err
    assert "test" in json.loads(hub.files(REPO)["run_summary.json"])["results"]
    assert ModelCard.load(REPO).data.eval_results[0].dataset_split == "test"


class TestThePathInPython:
    """A run without `joyful train`: whatever is shared of it tells of the run."""

    @pytest.fixture
    def trainer(self, tmp_path):
        trainer = make_trainer(tmp_path / "out")
        trainer.train()
        return trainer

    def assert_tells_of_the_run(self, card, trainer):
        score = f"{trainer.state.best_metric:.3f}"
        assert "Nothing is known" not in card
        assert "chosen" in card
        assert score in card
        assert f"{sum(len(dialogue['utterances']) for dialogue in TRAIN)}" in card

    def test_a_folder_that_it_saves(self, hub, joyful, tmp_path, trainer):
        trainer.calibrate()
        trainer.evaluate(TEST, metric_key_prefix="test")
        trainer.save_model(str(tmp_path / "out" / "best"))
        result = joyful("push", tmp_path / "out" / "best", REPO)
        assert result.status == 0, result.err
        card = hub.files(REPO)["README.md"].decode()
        self.assert_tells_of_the_run(card, trainer)
        assert "On unknown" not in card
        assert ModelCard(card).data.eval_results[0].dataset_split == "test"

    def test_its_output_folder_stands_for_the_best_checkpoint(self, hub, joyful, tmp_path, trainer, caplog):
        best = Path(trainer.state.best_model_checkpoint)
        result = joyful("push", tmp_path / "out", REPO)
        assert result.status == 0, result.err
        assert f"out: has no model of its own; its best checkpoint is pushed, {best.name}" in caplog.text
        self.assert_tells_of_the_run(hub.files(REPO)["README.md"].decode(), trainer)
        assert_same_weights(JoyfulForEmotionRecognition.from_pretrained(REPO).state_dict(), weights_of(trainer))

    def test_a_card_that_it_writes_lies_beside_the_model(self, tmp_path, trainer):
        trainer.create_model_card()
        self.assert_tells_of_the_run((tmp_path / "out" / "README.md").read_text(), trainer)
        loaded, _ = load_checkpoint(tmp_path / "out")
        assert_same_weights(loaded.state_dict(), weights_of(trainer))

    def test_no_dialogue_is_evaluated_twice_for_it(self, trainer, monkeypatch):
        monkeypatch.setattr(trainer, "evaluation_loop", None)
        trainer.create_model_card()
        assert trainer.run_summary().results["validation"]["weighted_f1"] == trainer.state.best_metric

    def test_a_checkpoint_has_its_own_scores_and_is_not_said_to_be_chosen_if_it_was_not(self, tmp_path):
        trainer = make_trainer(tmp_path, save_total_limit=None)
        trainer.train()
        best = Path(trainer.state.best_model_checkpoint)
        scores = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
        for epoch, score in enumerate(scores, 1):
            checkpoint = tmp_path / f"checkpoint-{STEPS_PER_EPOCH * epoch}"
            summary = RunSummary.read(checkpoint)
            assert summary.results["validation"]["loss"] == score
            # The first one was the best when it was saved.
            assert (summary.chosen_by is not None) == (checkpoint == best or epoch == 1)
