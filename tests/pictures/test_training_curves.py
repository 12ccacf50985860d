"""The training curves."""

import pytest

from joyful_hf import DialogueError
from joyful_hf.pictures import (
    plot_training_curves,
)
from tests.support.figures import drawn
from tests.support.training import make_trainer


def test_training_curves_are_those_of_the_log(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=3)
    trainer.train()
    trainer.evaluate()  # of the finished run: no point of its curves
    log, best = trainer.state.log_history, trainer.state.best_global_step
    panels = {axes.get_title(): axes for axes in drawn(plot_training_curves(log, best_step=best)).axes}
    loss, parts, metric, rate = panels.values()
    assert list(loss.get_legend_handles_labels()[1]) == ["training", "validation"]
    logged = [entry["loss"] for entry in log if "loss" in entry]
    assert list(loss.lines[0].get_ydata()) == logged
    assert len(loss.lines[1].get_ydata()) == 3
    assert parts.get_legend_handles_labels()[1] == ["classification", "fusion", "paths"]
    scores = [entry["eval_weighted_f1"] for entry in log if "eval_weighted_f1" in entry][:3]
    assert list(metric.lines[0].get_ydata()) == scores
    assert metric.get_title() == f"validation weighted F1, {max(scores):.3f} in the chosen epoch"
    assert rate.get_title() == "learning rate"


def test_panels_without_data_are_left_out_and_no_loss_is_refused():
    figure = drawn(plot_training_curves([{"epoch": 1, "step": 5, "loss": 1.0}]))
    assert [axes.get_title() for axes in figure.axes] == ["loss"]
    with pytest.raises(DialogueError, match="holds no loss"):
        plot_training_curves([])
