"""What a run tells a person while it trains."""

import itertools
import re
import sys
from io import StringIO
from types import SimpleNamespace

import pytest

from joyful_hf.training.callbacks import print_epoch_lines
from tests.support.command_line import Terminal
from tests.support.training import make_trainer


def trained(folder, **arguments):
    trainer = make_trainer(folder, **arguments)
    print_epoch_lines(trainer)
    trainer.train()
    return trainer


def test_epochs_without_a_score_are_explained_before_the_first(tmp_path, capsys):
    trained(tmp_path, num_train_epochs=4, eval_delay=2.5)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "no validation before epoch 3: an early score is more often lucky than good"
    assert [line.startswith(f"epoch {n}/4   training loss") for n, line in enumerate(lines[1:5], 1)] == [True] * 4
    assert ["validation weighted f1" in line for line in lines[1:5]] == [False, False, True, True]


@pytest.mark.parametrize(("seconds", "told"), [(0.001, False), (6.0, True)])
def test_a_long_training_is_announced_after_a_few_steps(tmp_path, capsys, monkeypatch, seconds, told):
    clock = itertools.count(step=seconds * 10)  # it is read twice, ten steps apart
    monkeypatch.setattr("joyful_hf.training.callbacks.time", SimpleNamespace(monotonic=lambda: next(clock)))
    trained(tmp_path, max_steps=32, eval_strategy="no", load_best_model_at_end=False)
    assert ("32 steps, about 2 minutes without validations" in capsys.readouterr().out) == told


def test_where_every_epoch_is_validated_nothing_is_explained(tmp_path, capsys):
    trained(tmp_path)
    assert "no validation" not in capsys.readouterr().out


def test_early_stopping_is_told_with_its_reason_and_the_best_epoch(tmp_path, capsys):
    trained(tmp_path, num_train_epochs=9, early_stopping_patience=2, learning_rate=0.0, weight_averaging_decay=0.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("epoch 3/9")
    assert re.fullmatch(
        r"stopped early: no better score in 2 validations; best epoch: 1 \(weighted f1 [01]\.\d{4}\)", lines[-1]
    )


def test_a_limit_of_steps_counts_as_the_end(tmp_path, capsys):
    trained(tmp_path, max_steps=5)
    lines = capsys.readouterr().out.splitlines()
    assert "stopped early" not in lines[-1]
    assert any(line.startswith("epoch 1/1") for line in lines)


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "file"])
def test_bars_are_shown_on_a_terminal_only(tmp_path, monkeypatch, is_terminal):
    stream = Terminal() if is_terminal else StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    trainer = trained(tmp_path)
    trainer.evaluate()
    shown = stream.getvalue()
    assert ("training:" in shown, "/10 [" in shown, "evaluation:" in shown) == (is_terminal,) * 3
