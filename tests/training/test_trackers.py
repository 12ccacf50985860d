"""A tracker that does not start ends a run with one line, wherever it fails."""

import gc

import pytest
from transformers import TrainerCallback

from joyful_hf import DialogueError
from tests.support.training import make_trainer


def tracker(fails_in: str, error: Exception) -> type[TrainerCallback]:
    """A tracker as transformers has them, of which one method fails."""

    def fail(*args, **kwargs):
        raise error

    def setup(self, *args, **kwargs):
        self.is_set_up = True

    def on_log(self, args, state, control, **kwargs):
        if not getattr(self, "is_set_up", False):
            self.setup(args, state)

    def end(self):
        assert fails_in != "__init__", "it is ended although it was never made"

    members = {"setup": setup, "on_log": on_log, "__del__": end, fails_in: fail}
    return type("WandbCallback", (TrainerCallback,), members)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a trainer with this tracker."""

    def make(kind: type[TrainerCallback]):
        monkeypatch.setattr(
            "transformers.trainer.get_reporting_integration_callbacks", lambda names: [kind] if names else []
        )
        return make_trainer(tmp_path, report_to="wandb", num_train_epochs=1)

    return make


@pytest.mark.parametrize(
    "error",
    [RuntimeError("WandbCallback requires wandb to be installed."), ImportError(), KeyError("WANDB"), OSError("full")],
    ids=["not-installed", "import", "environment", "disk"],
)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_when_it_is_made(make, error):
    with pytest.raises(DialogueError, match=r"^`report_to`: wandb does not start .*install it or set it up, or leave"):
        make(tracker("__init__", error))
    gc.collect()


@pytest.mark.parametrize("method", ["on_train_begin", "setup"])
def test_when_it_is_first_used(make, method):
    trainer = make(tracker(method, RuntimeError("No API key configured.\nUse `wandb login`.")))
    started = trainer.train if method == "on_train_begin" else trainer.evaluate
    with pytest.raises(DialogueError, match=r"^`report_to`: wandb does not start \(No API key configured\.\); log in"):
        started()
    assert trainer.state.global_step == 0


def test_an_unknown_one_is_named_with_those_there_are(tmp_path):
    with pytest.raises(DialogueError, match=r"^`report_to`: wandbb is not supported, only .*wandb"):
        make_trainer(tmp_path, report_to="wandbb")


def test_one_that_starts_follows_the_run_and_is_on_record(make):
    kind = tracker("on_predict", RuntimeError())
    trainer = make(kind)
    trainer.train()
    assert trainer.args.report_to == ["wandb"]
    (own,) = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, kind)]
    assert own.is_set_up
