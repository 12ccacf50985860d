"""Checkpoints appear whole, a full disk spoils none of them, and a run that is asked to stop saves where it is."""

import errno
import signal
from pathlib import Path

import pytest
from transformers import TrainerCallback

from joyful_hf import DialogueError
from joyful_hf.io.signals import Stopped, StopRequest
from joyful_hf.runs.folder import last_checkpoint
from joyful_hf.runs.manifest import find_damage
from tests.support.training import STEPS_PER_EPOCH, TRAIN, VALIDATION, assert_same_weights, make_trainer, weights_of

ENDS = 2 * STEPS_PER_EPOCH


class AskToStop(TrainerCallback):
    """Asks the run to stop in a step, or in the validation after it."""

    def __init__(self, step, during="on_step_begin"):
        self.request = StopRequest()
        self.step = step
        setattr(self, during, self._ask)

    def _ask(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.request(signal.SIGTERM, None)


class SeeWhatIsThere(TrainerCallback):
    """Looks at each checkpoint right after it was saved."""

    def __init__(self):
        self.seen = {}

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir)
        self.seen[state.global_step] = [
            find_damage(folder / f"checkpoint-{state.global_step}"),
            len(list(folder.iterdir())),
        ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    trainer = make_trainer(tmp_path_factory.mktemp("whole"))
    trainer.train()
    return trainer


def test_every_checkpoint_is_whole_and_nothing_else_is_left(tmp_path):
    look = SeeWhatIsThere()
    make_trainer(tmp_path, callbacks=[look], save_total_limit=None).train()
    assert look.seen == {STEPS_PER_EPOCH: [None, 1], ENDS: [None, 2]}


@pytest.mark.parametrize(
    ("step", "during", "saved"),
    [
        (1, "on_step_begin", 2),
        (STEPS_PER_EPOCH - 1, "on_step_begin", STEPS_PER_EPOCH),
        (STEPS_PER_EPOCH, "on_prediction_step", STEPS_PER_EPOCH),
        (ENDS - 1, "on_step_begin", ENDS),
    ],
    ids=["in an epoch", "at its end", "in a validation", "at the very end"],
)
def test_a_run_that_is_asked_to_stop_saves_and_goes_on_to_the_same_weights(tmp_path, whole, step, during, saved):
    ask = AskToStop(step, during)
    trainer = make_trainer(tmp_path, callbacks=[ask])
    trainer.stop_request = ask.request
    with pytest.raises(Stopped) as stopped:
        trainer.train()
    assert stopped.value.number == signal.SIGTERM
    assert stopped.value.checkpoint == last_checkpoint(tmp_path) == tmp_path / f"checkpoint-{saved}"
    resumed = make_trainer(tmp_path)
    resumed.train(resume_from_checkpoint=True)
    assert_same_weights(weights_of(resumed), weights_of(whole))
    assert resumed.state.best_metric == whole.state.best_metric


def test_a_run_whose_folder_was_moved_ends_with_its_best_checkpoint(tmp_path, whole):
    make_trainer(tmp_path / "there").train()
    (tmp_path / "there").rename(tmp_path / "here")
    resumed = make_trainer(tmp_path / "here")
    resumed.train(resume_from_checkpoint=True)
    assert Path(resumed.state.best_model_checkpoint).parent == tmp_path / "here"
    assert_same_weights(weights_of(resumed), weights_of(whole))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_run_does_not_go_on_with_other_dialogues(tmp_path, whole, split):
    data = {"train": TRAIN, "validation": VALIDATION}
    data[split] = data[split][::-1]
    resumed = make_trainer(Path(whole.args.output_dir), **data)
    with pytest.raises(DialogueError, match=f"an interrupted run on other {split}(ing)? dialogues"):
        resumed.train(resume_from_checkpoint=True)


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("writer", "file"),
    [
        ("torch.save", "model.safetensors"),
        ("joyful_hf.training.weight_averaging.save_file", "model.safetensors"),
        ("joyful_hf.training.saving.write_manifest", "trainer_state.json"),
    ],
)
def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_whole(tmp_path, monkeypatch, writer, file):
    class Fill(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            monkeypatch.setattr(writer, full)

    trainer = make_trainer(tmp_path, callbacks=[Fill()])
    with pytest.raises(DialogueError, match=r"checkpoint-10/\S+: cannot be written \(No space left on device\)$"):
        trainer.train()
    assert [path.name for path in tmp_path.iterdir()] == [f"checkpoint-{STEPS_PER_EPOCH}"]
    assert find_damage(tmp_path / f"checkpoint-{STEPS_PER_EPOCH}") is None


def test_too_little_room_is_said_before_the_first_step(whole, monkeypatch):
    model = whole.model
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    monkeypatch.setattr("joyful_hf.training.saving.size_of", lambda folder: 0)
    needed = whole.needed_room()
    # The model, and three checkpoints (the best, the last, the next) of the weights, their average and Adam's two.
    assert 0.9 < needed / (13 * weights) < 1.1
