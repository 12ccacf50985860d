"""Representations in the plane."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from joyful_hf import DialogueError
from joyful_hf.inference.representations import represent
from joyful_hf.pictures import (
    plot_representations,
)
from joyful_hf.pictures.style import plain
from tests.support.figures import TWENTY, drawn, labels_of
from tests.support.helpers import (
    LABELS,
    make_dialogues,
)


def test_one_pass_gives_the_logits_and_every_stage(family):
    dialogues = make_dialogues((4, 3, 1))
    model, processor = family.make(dialogues)
    found = represent(model.train(), processor, processor.encode(dialogues))
    assert model.training, "the mode that the model was in is lost"
    model.eval()
    output = model(**processor(dialogues, return_tensors="pt", return_labels=False))
    assert np.allclose(found.logits, output.logits.detach(), atol=1e-5)
    *_, last = found.stages.values()  # by another name where a layer changes nothing
    classified = output.fused if output.graph is None else output.graph
    assert np.allclose(last, classified.detach(), atol=1e-5)
    assert all(len(rows) == 8 for rows in found.stages.values())
    assert output.graph is not None or not family.reads_dialogues
    figure = drawn(plot_representations(found.stages, [label for one in dialogues for label in labels_of(one)]))
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == list(found.stages)


def clusters(labels, apart):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(len(labels), 5))
        + apart * np.array([sorted(set(labels)).index(one) for one in labels])[:, None]
    )


def silhouettes(figure):
    return [float(axes.get_title().split()[-1]) for axes in figure.axes]


def test_the_silhouette_tells_stages_apart_and_the_seed_fixes_it():
    labels = [LABELS[index % 2] for index in range(40)]
    stages = {"input": clusters(labels, 0), "graph": clusters(labels, 20)}
    apart, together = (silhouettes(drawn(plot_representations(stages, labels, seed=seed))) for seed in (1, 1))
    assert apart == together
    assert apart[0] < 0.2
    assert apart[1] > 0.6


def test_only_so_many_utterances_are_drawn_and_the_title_says_so():
    labels = [LABELS[index % 4] for index in range(60)] + [None]
    figure = drawn(
        plot_representations({"fused": clusters(labels[:60], 1).repeat(2, 0)[:61]}, labels, max_utterances=20)
    )
    assert "20 of 61 utterances" in figure._suptitle.get_text()
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == 20


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([["joy"], ["joy", "anger"], [], ["anger", "fear"]] * 3, ["joy", "no emotion", "several emotions"]),
        ([0.5, -0.5, 0.0] * 4, ["0", "above 0", "below 0"]),
        ([1, 0, None] * 4, ["0", "1"]),
        (["joy"] * 12, ["joy"]),
        (TWENTY, sorted(plain(name, 24) for name in TWENTY)),
    ],
)
def test_labels_of_every_kind_make_groups(labels, groups):
    figure = drawn(plot_representations({"fused": np.random.default_rng(0).normal(size=(len(labels), 3))}, labels))
    assert sorted(text.get_text() for text in figure.legends[0].texts) == groups


def test_too_few_utterances_and_unknown_methods_are_refused():
    with pytest.raises(DialogueError, match="needs at least 4 utterances with a label, got 3"):
        plot_representations({"fused": np.zeros((4, 2))}, ["joy", "joy", "joy", None])
    with pytest.raises(DialogueError, match="unknown method 'pca'; choose from tsne, umap"):
        plot_representations({"fused": np.zeros((4, 2))}, ["joy"] * 4, "pca")


def test_umap_is_asked_for_points_with_the_seed(monkeypatch):
    asked = {}

    class UMAP:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, values):
            return values[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    labels = ["joy", "anger"] * 5
    figure = drawn(plot_representations({"fused": clusters(labels, 1)}, labels, "umap", seed=3))
    assert asked["random_state"] == 3
    assert "UMAP of 10 utterances" in figure._suptitle.get_text()
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"needs umap.* pip install"):
        plot_representations({"fused": clusters(labels, 1)}, labels, "umap")


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 30])
def test_umap_places_points(count):
    labels = (["joy", "anger"] * count)[:count]
    drawn(plot_representations({"fused": clusters(labels, 1)}, labels, "umap"))


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_equal_utterances_are_one_point(method):
    equal = np.tile(np.arange(5.0), (6, 1))
    rounded = equal * (1 + 1e-7 * np.random.default_rng(0).normal(size=equal.shape))
    figure = drawn(plot_representations({"input": equal, "graph": rounded}, ["joy", "anger"] * 3, method))
    for axes in figure.axes:
        points = np.concatenate([drawn_points.get_offsets() for drawn_points in axes.collections])
        assert len(points) == 6
        assert not np.ptp(points, axis=0).any()
        assert axes.get_title().endswith("no silhouette: all points are the same")


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_no_scale_of_the_values_crashes_the_placing(size):
    values = (size * np.random.default_rng(0).normal(size=(8, 5))).astype(np.float32)
    (axes,) = drawn(plot_representations({"fused": values}, ["joy", "anger"] * 4)).axes
    assert all(np.isfinite(drawn_points.get_offsets()).all() for drawn_points in axes.collections)
