"""Pictures of predictions and of training: what each shows, and that `joyful plot` draws all that can be drawn."""

import ast
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from transformers import BatchFeature

from joyful_hf import DialogueError, JoyfulForEmotionRecognition
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.evaluation.calibration import expected_calibration_error
from joyful_hf.inference.representations import represent
from joyful_hf.pictures import (
    plot_confusion_matrix,
    plot_dialogue_graph,
    plot_f1_per_class,
    plot_reliability,
    plot_representations,
    plot_timeline,
    plot_training_curves,
    save_figure,
)
from joyful_hf.pictures import style as figures
from joyful_hf.pictures.gallery import PICTURES, draw_pictures, draw_training_curves
from joyful_hf.pictures.style import COLOURS, many_markers, plain
from joyful_hf.processing.graph import window_edges
from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    make_dialogue,
    make_dialogues,
)
from tests.support.training import TRAIN, make_trainer

TWENTY = [f"an emotion of a rather long name, number {index}" for index in range(20)]


def drawn(figure: Figure) -> Figure:
    """The figure, after everything that can only go wrong in drawing."""
    figure.draw_without_rendering()
    return figure


def texts_of(figure: Figure) -> list[str]:
    """Everything that is written in a picture."""
    drawn(figure)
    found = [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]
    return [text for text in found if text]


def predict(model, processor, dialogue):
    (prediction,) = model.predict(dialogue, processor)
    return prediction


def labels_of(dialogue):
    return [utterance["label"] for utterance in dialogue["utterances"]]


# The style.


def test_a_picture_is_saved_as_png_and_svg_and_the_same_one_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        save_figure(plot_confusion_matrix([[3, 1], [0, 2]], ["joy", "anger"]), tmp_path / name)
    for suffix, begin in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        one, other = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "other"))
        assert one.startswith(begin)
        assert one == other
    assert len(list(tmp_path.iterdir())) == 4


def test_colours_go_from_dark_to_light_in_grey_too():
    lightness = [
        np.dot([int(one[index : index + 2], 16) for index in (1, 3, 5)], [0.3, 0.59, 0.11]) for one in COLOURS
    ]
    assert np.diff(lightness).min() > 30


def test_twenty_kinds_have_a_shape_of_their_own():
    assert len(set(many_markers(20))) == 20


def test_a_users_text_is_one_short_line_and_no_formula():
    assert plain("it costs $5,\n not  $6") == r"it costs \$5, not \$6"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
    name = r"$\frac{1}{2"
    assert (
        name in texts_of(drawn(plot_confusion_matrix([[1]], [name])))[0] + name
    )  # matplotlib raises on such a formula


def test_the_package_does_not_need_matplotlib():
    folder = Path(figures.__file__).parent
    of_pictures = {"figures", "pictures", "plotting", *(path.stem for path in folder.glob("picture_*.py"))}
    for path in folder.glob("*.py"):
        if path.stem in of_pictures:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                assert node.module not in of_pictures, f"{path.name} imports pictures at once"
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            assert not any(str(name).startswith("matplotlib") for name in names), path.name


def test_no_picture_touches_the_global_state_of_pyplot():
    for path in Path(figures.__file__).parent.glob("*.py"):
        assert "matplotlib.pyplot" not in path.read_text(), path.name


def test_without_matplotlib_it_says_what_to_install(monkeypatch, fails):
    for name in [name for name in sys.modules if name.startswith("joyful_hf.pic")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = fails("plot", "out", "--data-file", "none.jsonl", "--output-dir", "pictures")
    assert 'pip install "matplotlib>=3.10"' in line


# The confusion matrix and the F1 scores.


def test_a_confusion_matrix_has_share_and_count_of_each_cell():
    texts = texts_of(plot_confusion_matrix([[3, 1], [0, 2000]], ["joy", "anger"]))
    assert {"0.75\n3", "0.25\n1", "0", "1.00\n2,000", "joy (4)", "anger (2,000)"} <= set(texts)


def test_a_class_that_does_not_occur_says_so():
    texts = texts_of(plot_confusion_matrix([[3, 1], [0, 0]], ["joy", "anger"]))
    assert "anger (none)" in texts
    assert not any("nan" in text for text in texts)


def test_many_long_names_are_shortened_and_do_not_overlap():
    counts = np.diag(range(20))
    figure = drawn(plot_confusion_matrix(counts, TWENTY))
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(above.y0 >= below.y1 or below.y0 >= above.y1 for above, below in pairwise(boxes))
    assert all(len(label.get_text()) < 35 for label in axes.get_xticklabels())


def test_counts_that_do_not_fit_the_names_are_refused():
    with pytest.raises(DialogueError, match=r"2 labels is square, got shape \(1, 2\)"):
        plot_confusion_matrix([[1, 2]], ["joy", "anger"])


def test_f1_bars_are_sorted_with_their_support():
    scores, support = {"joy": 0.5, "anger": 0.75, "fear": 0.0}, {"joy": 10, "anger": 30, "fear": 0}
    figure = drawn(plot_f1_per_class(scores, support))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fear (0)", "joy (10)", "anger (30)"]
    assert [patch.get_width() for patch in axes.patches] == [0, 0.5, 0.75]
    assert "0.688" in axes.get_title(), "the weighted F1"
    with pytest.raises(DialogueError, match="support of"):
        plot_f1_per_class(scores, {"joy": 1})


# Calibration.


def test_a_reliability_diagram_shows_the_error_before_and_after():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 200)
    sharper = scores**3 / (scores**3).sum(-1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in scores])
    labels[0] = -100
    titles = [axes.get_title() for axes in drawn(plot_reliability(scores, labels, sharper)).axes]
    before, after = (expected_calibration_error(one, labels) for one in (sharper, scores))
    assert titles[:2] == [f"before calibration: ECE {before:.3f}", f"after calibration: ECE {after:.3f}"]
    alone = drawn(plot_reliability(scores, labels))
    assert [axes.get_title() for axes in alone.axes] == [f"probabilities: ECE {after:.3f}", ""]
    assert sum(bar.get_height() for bar in alone.axes[1].patches) == 199, "each prediction in one bin"
    with pytest.raises(DialogueError, match="needs labels"):
        plot_reliability(scores, np.full(200, -100))


# The timeline.


def test_a_timeline_shows_what_a_model_found(family):
    dialogue = make_dialogue(6, speakers=3)
    model, processor = family.make([dialogue])
    prediction = predict(model, processor, dialogue)
    figure = drawn(plot_timeline(prediction, labels_of(dialogue)))
    lanes, probabilities, _ = figure.axes
    assert [label.get_text() for label in lanes.get_xticklabels()] == ["speaker 0", "speaker 1", "speaker 2"]
    found = [(text.get_position()[0] - 0.5, text.get_position()[1], text.get_text()) for text in lanes.texts]
    expected = [
        (int(utterance["speaker"][-1]), index, utterance["label"])
        for index, utterance in enumerate(prediction["utterances"])
    ]
    assert found == expected
    (image,) = probabilities.images
    assert image.get_array().tolist() == [list(utterance["scores"].values()) for utterance in prediction["utterances"]]
    (true,) = probabilities.lines
    names = list(prediction["utterances"][0]["scores"])
    assert [names[int(column)] for column in true.get_xdata()] == labels_of(dialogue)
    wrong = [patch.get_linestyle() != "-" for patch in lanes.patches]
    assert wrong == [
        one["label"] != true for one, true in zip(prediction["utterances"], labels_of(dialogue), strict=True)
    ]


def test_unknown_labels_are_not_marked():
    scores = {"joy": 0.6, "anger": 0.4}
    prediction = {"utterances": [{"speaker": "A", "label": "joy", "scores": scores}] * 3}
    marked = drawn(plot_timeline(prediction, ["anger", None, None]))
    assert len(marked.axes[1].lines[0].get_xdata()) == 1
    assert "diamond" in " ".join(texts_of(marked))
    assert "diamond" not in " ".join(texts_of(plot_timeline(prediction)))


def several_labels(rng):
    return [label for label in LABELS if rng.random() < 0.4]


def a_value(rng):
    return float(rng.normal())


def test_several_emotions_are_framed_and_marked_together():
    dialogue = make_dialogue(5, label=several_labels)
    prediction = {
        "utterances": [
            {
                "speaker": "A",
                "label": ["anger", "joy"],
                "scores": {"anger": 0.7, "joy": 0.6, "neutral": 0.1, "sadness": 0.2},
            }
            for _ in range(5)
        ]
    }
    axes = drawn(plot_timeline(prediction, labels_of(dialogue))).axes
    assert len(axes[1].patches) == 10
    assert len(axes[1].lines[0].get_xdata()) == sum(map(len, labels_of(dialogue)))
    assert {text.get_text() for text in axes[0].texts} == {"anger, joy"}


def test_a_regression_shows_values():
    prediction = {
        "utterances": [{"speaker": "A", "label": value, "scores": {"LABEL_0": value}} for value in (1.5, -0.25)]
    }
    axes = drawn(plot_timeline(prediction, [1.0, None])).axes
    assert [text.get_text() for text in axes[0].texts] == ["+1.50", "-0.25"]
    dots, diamonds, _ = axes[1].lines
    assert list(dots.get_xdata()) == [1.5, -0.25]
    assert list(diamonds.get_xdata()) == [1.0]


@pytest.mark.parametrize(("length", "is_written"), [(1, True), (40, True), (110, True), (400, False)])
def test_a_timeline_of_any_length_fits_a_page(length, is_written):
    utterance = {"speaker": "A", "text": "hello", "label": "joy", "scores": dict.fromkeys(LABELS, 0.25)}
    figure = drawn(plot_timeline({"utterances": [utterance] * length}))
    assert figure.get_figheight() < 14
    assert ("hello" in texts_of(figure)) == is_written


def test_a_timeline_refuses_what_no_model_has_predicted():
    dialogue = make_dialogue(3)
    with pytest.raises(DialogueError, match=r"as `model.predict` returns it"):
        plot_timeline(dialogue)
    scored = [utterance | {"scores": {"joy": 1.0}} for utterance in dialogue["utterances"]]
    with pytest.raises(DialogueError, match="there are 2 true labels for 3 utterances"):
        plot_timeline({"utterances": scored}, ["joy", "joy"])


# The dialogue graph.


def test_the_graph_of_a_dialogue_is_drawn_or_there_is_none(family):
    dialogue = make_dialogue(7)
    model, processor = family.make([dialogue])
    if not family.reads_dialogues:
        with pytest.raises(DialogueError, match="has no graph: it sees one utterance at a time"):
            plot_dialogue_graph(model, processor, dialogue)
        return
    figure = drawn(plot_dialogue_graph(model.train(), processor, dialogue, edges_per_utterance=2))
    assert model.training, "the mode that the model was in is lost"
    assert len(figure.axes[0].patches) == 2 * 7
    title = figure.texts[0].get_text()
    batch = processor(dialogue, return_tensors="pt", return_labels=False)
    attention = model.eval()(**batch, output_edge_attention=True).edge_attention
    if attention is None:
        assert "the graph has no attention: edges are drawn with equal weights" in title
    else:
        assert f"mean of {attention.size(1)} heads" in title
    predicted = [one["label"] for one in predict(model, processor, dialogue)["utterances"]]
    assert [text for text in texts_of(figure) if text in LABELS] == predicted


class ModelWithAttention(torch.nn.Module):
    """Three utterances that all hear each other, with these weights of the edges."""

    device = "cpu"
    config = SimpleNamespace(graph_num_layers=1)

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights).view(9, 1)

    def forward(self, **batch):
        return SimpleNamespace(edge_attention=self.weights, logits=torch.zeros(3, 2))

    def scores(self, logits):
        return logits

    def name_scores(self, scores):
        return [{"label": "joy"}] * len(scores)


def graph_with(weights):
    """The picture of its graph, with one edge drawn into each utterance."""
    dialogue = {"utterances": [{"speaker": speaker} for speaker in "ABA"]}
    processor = SimpleNamespace(
        encode=lambda *_, **__: None,
        pack=lambda *_, **__: BatchFeature({"edge_index": window_edges(np.array([3]), -1, -1)}, tensor_type="pt"),
    )
    return drawn(plot_dialogue_graph(ModelWithAttention(weights), processor, dialogue, edges_per_utterance=1))


def test_an_edge_lies_by_direction_and_is_drawn_by_relation_and_weight():
    #              to 0             to 1             to 2
    figure = graph_with([0.5, 0.1, 0.4, 0.6, 0.2, 0.2, 0.7, 0.3, 0.0])
    found = {}
    for patch in figure.axes[0].patches:
        (_, begin), (side, _), _, (_, end) = patch.get_path().vertices
        found[int(begin), int(end)] = (side < 0, patch.get_linestyle() == "-", patch.get_linewidth())
    assert set(found) == {(2, 0), (0, 1), (0, 2)}, "the strongest edge into each"
    assert {edge: from_past for edge, (from_past, _, _) in found.items()} == {
        (2, 0): False,
        (0, 1): True,
        (0, 2): True,
    }
    assert {edge: is_same for edge, (_, is_same, _) in found.items()} == {(2, 0): True, (0, 1): False, (0, 2): True}
    assert found[2, 0][2] < found[0, 1][2] < found[0, 2][2]
    assert {"50%", "20%", "0%"} <= set(texts_of(figure)), "the weight of each utterance's own edge"


def test_equal_edges_are_drawn_by_distance():
    figure = graph_with([1 / 3] * 9)
    ends = {tuple(patch.get_path().vertices[[0, -1], 1].astype(int)) for patch in figure.axes[0].patches}
    assert {(1, 0), (1, 2)} <= ends


def test_a_model_without_graph_layers_has_nothing_to_draw():
    dialogue = make_dialogue(4)
    with pytest.raises(DialogueError, match="graph_num_layers is 0"):
        plot_dialogue_graph(*FAMILY_CASES[0].make([dialogue], graph_num_layers=0), dialogue)


def test_an_utterance_alone_has_a_graph_too():
    dialogue = make_dialogue(1)
    figure = drawn(plot_dialogue_graph(*FAMILY_CASES[0].make(make_dialogues()), dialogue))
    assert "100%" in texts_of(figure)


# The representations.


def test_one_pass_gives_the_logits_and_every_stage(family):
    dialogues = make_dialogues((4, 3, 1))
    model, processor = family.make(dialogues)
    found = represent(model.train(), processor, processor.encode(dialogues))
    assert model.training, "the mode that the model was in is lost"
    model.eval()
    output = model(**processor(dialogues, return_tensors="pt", return_labels=False))
    assert np.allclose(found.logits, output.logits.detach(), atol=1e-5)
    assert np.allclose(found.stages["fused"], output.fused.detach(), atol=1e-5)
    assert all(len(rows) == 8 for rows in found.stages.values())
    assert ("graph" in found.stages) == (family.reads_dialogues)
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
    with pytest.raises(ImportError, match=r"joyful-hf\[umap\]"):
        plot_representations({"fused": clusters(labels, 1)}, labels, "umap")


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 30])
def test_umap_places_points(count):
    labels = (["joy", "anger"] * count)[:count]
    drawn(plot_representations({"fused": clusters(labels, 1)}, labels, "umap"))


# The training curves.


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
    assert parts.get_legend_handles_labels()[1] == ["classification", "contrastive", "fusion", "paths"]
    scores = [entry["eval_weighted_f1"] for entry in log if "eval_weighted_f1" in entry][:3]
    assert list(metric.lines[0].get_ydata()) == scores
    assert metric.get_title() == f"validation weighted F1, {max(scores):.3f} in the chosen epoch"
    assert rate.get_title() == "learning rate"


def test_panels_without_data_are_left_out_and_no_loss_is_refused():
    figure = drawn(plot_training_curves([{"epoch": 1, "step": 5, "loss": 1.0}]))
    assert [axes.get_title() for axes in figure.axes] == ["loss"]
    with pytest.raises(DialogueError, match="holds no loss"):
        plot_training_curves([])


# The command.


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a small run that was trained and saved."""
    folder = tmp_path_factory.mktemp("run")
    trainer = make_trainer(folder)
    trainer.train()
    trainer.save_model()
    return folder


def plot(joyful, checkpoint, dialogues, tmp_path, *options):
    """Picture -> what its line says."""
    write_dialogues(dialogues, tmp_path / "data.jsonl")
    result = joyful("plot", checkpoint, "--data-file", "data.jsonl", "--output-dir", "pictures", *options)
    assert (result.status, result.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert list(lines) == list(PICTURES)
    return lines


def test_plot_draws_everything_from_one_pass(joyful, checkpoint, tmp_path, monkeypatch):
    seen = []
    forward = JoyfulForEmotionRecognition.forward

    def counted(self, dialogue_lengths, **batch):
        seen.append(len(dialogue_lengths))
        return forward(self, dialogue_lengths, **batch)

    monkeypatch.setattr(JoyfulForEmotionRecognition, "forward", counted)
    lines = plot(joyful, checkpoint, TRAIN, tmp_path)
    assert lines == {name: f"pictures/{name}.png, .svg" for name in PICTURES}
    assert seen == [len(TRAIN), 1], "all dialogues once, and the graph of one"
    written = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert written == {f"{name}.{suffix}" for name in PICTURES for suffix in ("png", "svg")}


def test_the_dialogue_that_was_asked_for_is_shown(checkpoint, tmp_path):
    write_dialogues(TRAIN, tmp_path / "data.jsonl")
    found = draw_pictures(str(checkpoint), str(tmp_path / "data.jsonl"), dialogue_id=TRAIN[3]["dialogue_id"])
    model, processor = load_checkpoint(checkpoint)
    expected = predict(model, processor, TRAIN[3])["utterances"]
    scores = np.array([list(utterance["scores"].values()) for utterance in expected])
    assert np.allclose(found["timeline"].axes[1].images[0].get_array(), scores, atol=1e-5)
    labels = [utterance["label"] for utterance in expected]
    assert [text for text in texts_of(found["dialogue_graph"]) if text in LABELS] == labels


def test_without_labels_plot_draws_what_needs_none(joyful, checkpoint, tmp_path):
    bare = [one | {"utterances": [u | {"label": None} for u in one["utterances"]]} for one in TRAIN]
    lines = plot(joyful, checkpoint, bare, tmp_path)
    left_out = {name for name, line in lines.items() if line == "left out: not one utterance has a label"}
    assert left_out == {"confusion_matrix", "f1_per_class", "reliability"}
    assert len(list((tmp_path / "pictures").iterdir())) == 2 * (len(PICTURES) - 3)


def test_one_utterance_and_no_training_state_are_enough_for_some(joyful, checkpoint, tmp_path, family):
    dialogues = make_dialogues((1,))
    model, processor = family.make(make_dialogues())
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    lines = plot(joyful, tmp_path / "saved", dialogues, tmp_path)
    left_out = {name: line for name, line in lines.items() if line.startswith("left out")}
    without_graph = [] if family.reads_dialogues else ["dialogue_graph"]
    assert list(left_out) == [*without_graph, "representations", "training_curves"]
    assert left_out["training_curves"].startswith("left out: there is no trainer_state.json in ")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (several_labels, "several emotions at once have no single confusion matrix"),
        (a_value, "a regression has no classes"),
    ],
)
def test_every_kind_of_task_is_drawn(joyful, tmp_path, label, reason):
    dialogues = make_dialogues((5, 6), label=label)
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    lines = plot(joyful, tmp_path / "saved", dialogues, tmp_path)
    assert lines["confusion_matrix"] == f"left out: {reason}"
    of_classes = "pictures/" if label is several_labels else "left out"
    assert lines["f1_per_class"].startswith(of_classes)
    assert lines["reliability"].startswith(of_classes)
    for name in ("timeline", "dialogue_graph", "representations"):
        assert lines[name].startswith("pictures/")


def test_training_curves_come_from_the_newest_checkpoint_where_a_run_has_not_ended(checkpoint):
    assert not (checkpoint / "trainer_state.json").exists()
    assert list(checkpoint.glob("checkpoint-*/trainer_state.json"))
    assert "chosen checkpoint, epoch" in draw_training_curves(str(checkpoint))._suptitle.get_text()


def test_what_is_wrong_is_said_and_nothing_is_written(fails, checkpoint, tmp_path):
    write_dialogues(TRAIN, tmp_path / "data.jsonl")
    command = ["plot", checkpoint, "--data-file", "data.jsonl", "--output-dir", "pictures"]
    assert "has no dialogue 'd99'; it begins with d0, d1, d2" in fails(*command, "--dialogue", "d99")
    assert "unknown method 'pca'; choose from tsne, umap" in fails(*command, "--method", "pca")
    assert "none.jsonl" in fails(*command[:3], "none.jsonl", *command[4:])
    assert "there is no such checkpoint folder" in fails("plot", "./nowhere", *command[2:])
    assert not (tmp_path / "pictures").exists()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "timeline.svg").write_text("mine")
    assert "timeline.svg: exists already" in fails(*command)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["timeline.svg"]


@pytest.mark.parametrize("content", ["{", "[]", '{"log_history": []}', '{"log_history": [1]}'])
def test_a_trainer_state_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(DialogueError, match=r"is no trainer state|holds no loss"):
        draw_training_curves(str(tmp_path))
