"""The timeline of a dialogue."""

import pytest

from joyful_hf import DialogueError
from joyful_hf.pictures import (
    plot_timeline,
)
from tests.support.figures import drawn, labels_of, predict, several_labels, texts_of
from tests.support.helpers import (
    LABELS,
    make_dialogue,
)


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


def test_several_values_have_a_mark_each():
    found = [{"valence": 1.5, "arousal": -0.5}, {"valence": -0.25, "arousal": 0.0}]
    prediction = {"utterances": [{"speaker": "A", "label": values, "scores": values} for values in found]}
    axes = drawn(plot_timeline(prediction, [{"arousal": 1.0}, None])).axes
    assert [text.get_text() for text in axes[0].texts] == ["+1.50 -0.50", "-0.25 +0.00"]
    valence, arousal, diamonds, _ = axes[1].lines
    assert (list(valence.get_xdata()), list(arousal.get_xdata())) == ([1.5, -0.25], [-0.5, 0.0])
    assert list(diamonds.get_xdata()) == [1.0]
    assert diamonds.get_ydata()[0] == arousal.get_ydata()[0]
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["valence", "arousal"]


@pytest.mark.parametrize(("length", "is_written"), [(1, True), (40, True), (110, True), (400, False)])
def test_a_timeline_of_any_length_fits_a_page(length, is_written):
    utterance = {"speaker": "A", "text": "hello", "label": "joy", "scores": dict.fromkeys(LABELS, 0.25)}
    figure = drawn(plot_timeline({"utterances": [utterance] * length}))
    assert figure.get_figheight() < 14
    assert ("hello" in texts_of(figure)) == is_written


def timed(*utterances):
    """A prediction of (speaker, start, end, label)."""
    return {
        "dialogue_id": "meeting",
        "utterances": [
            {"speaker": speaker, "start": start, "end": end, "label": label, "scores": {"joy": 0.75, "anger": 0.25}}
            for speaker, start, end, label in utterances
        ],
    }


def test_utterances_with_times_are_drawn_in_real_time_in_the_row_of_their_speaker():
    figure = drawn(plot_timeline(timed(("Ann", 1, 5, "joy"), ("Bob", 4, 9, "anger"), ("Ann", 30, 40, "joy"))))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Ann", "Bob"]
    boxes = [(box.get_x(), box.get_x() + box.get_width(), round(box.get_y())) for box in axes.patches]
    assert boxes == [(1, 5, 0), (4, 9, 1), (30, 40, 0)], "and speech that overlaps overlaps"
    assert [abs(box.get_height()) for box in axes.patches] == pytest.approx([0.9 * 0.75, 0.9 * 0.25, 0.9 * 0.75])
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["0:00", "0:05", "0:10"]
    joy, anger, again = axes.patches
    assert joy.get_hatch() == again.get_hatch() != anger.get_hatch(), "without colours they differ too"
    assert {"joy", "anger"} <= set(texts_of(figure))


def test_real_time_marks_what_is_not_true_and_what_could_not_be_read():
    figure = drawn(
        plot_timeline(timed(("A", 0, 20, "joy"), ("A", 20, 40, "joy"), ("A", 40, 59, None)), ["joy", "anger", None])
    )
    (axes,) = figure.axes
    assert [box.get_linestyle() for box in axes.patches] == ["-", "--", "-"]
    assert [text.get_text() for text in axes.texts] == ["joy", "joy", "?"]


def test_values_in_real_time_are_bars_above_and_below_the_middle_of_the_row():
    values = [
        {"speaker": "A", "start": at, "end": at + 3, "label": value, "scores": {"v": value}}
        for at, value in ((0, 2.0), (4, -1.0))
    ]
    (axes,) = drawn(plot_timeline({"utterances": values})).axes
    assert [box.get_height() for box in axes.patches] == pytest.approx([-0.45, 0.225]), "the axis points down"


@pytest.mark.parametrize("hours", [0.01, 0.1, 1, 3, 9])
def test_a_recording_of_any_length_fits_a_page(hours):
    count = 50
    step = 3600 * hours / count
    figure = drawn(plot_timeline(timed(*(("AB"[i % 2], i * step, (i + 0.8) * step, "joy") for i in range(count)))))
    assert figure.get_figheight() <= 14
    seen = {(axes.get_xlim()) for axes in figure.axes}
    assert max(end for _, end in seen) >= (count - 0.2) * step
    assert sum(len(axes.patches) for axes in figure.axes) >= count


def test_a_timeline_refuses_what_no_model_has_predicted():
    dialogue = make_dialogue(3)
    with pytest.raises(DialogueError, match=r"as `model.predict` returns it"):
        plot_timeline(dialogue)
    scored = [utterance | {"scores": {"joy": 1.0}} for utterance in dialogue["utterances"]]
    with pytest.raises(DialogueError, match="there are 2 true labels for 3 utterances"):
        plot_timeline({"utterances": scored}, ["joy", "joy"])
