"""The layers that the name of an extractor chooses."""

import pytest

from joyful_hf.processing.encoder_layers import Layers, default_layers, layers_of, split_layers
from joyful_hf.processing.extractor_base import describe_extractor


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("6", [6]),
        ("-1", [6]),
        ("0", [0]),
        ("3,5,-1", [3, 5, 6]),
        ("-4:", [3, 4, 5, 6]),
        ("2:4", [2, 3]),
        ("4:", [4, 5, 6]),
        (":2", [0, 1]),
        ("mean", list(range(7))),
        ("mean:-2:", [5, 6]),
        ("weighted", list(range(7))),
        ("weighted:1:3", [1, 2]),
    ],
)
def test_a_choice_of_the_seven_hidden_states_of_six_layers(text, places):
    layers = Layers.parse(text)
    assert layers.indices(7) == places
    assert Layers.parse(str(layers)) == layers
    closed = layers.of(7)
    assert closed.number == len(places)
    assert closed.indices(7) == places
    assert Layers.parse(str(closed)) == closed
    assert layers.fits(closed)
    assert closed.fits(layers)


@pytest.mark.parametrize(
    "text", ["", ":", "last", "3;4", "5:3", "-4:-1", "-4:2", "weighted:x", "1.5", "Mean", "pooled:3", "3,"]
)
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(
        ValueError, match=r"is no choice of layers; write a layer \(6 or -1\)|holds no layer; write it"
    ):
        Layers.parse(text)


@pytest.mark.parametrize("text", ["7", "-8", "-8:", "5:9", "7:", "3,9", "mean:-8:", "weighted:0:8"])
def test_layers_that_an_encoder_does_not_have_are_refused(text):
    with pytest.raises(ValueError, match="in this encoder, which has layers 0, its embeddings, to 6"):
        Layers.parse(text).of(7)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-4:", "-3:"),
        ("mean", "weighted"),
        ("mean", "pooled"),
        ("2:", "3:7"),
        ("weighted:0:7", "weighted:0:6"),
        ("3", "4"),
    ],
)
def test_other_layers_do_not_fit(one, other):
    assert not Layers.parse(one).fits(Layers.parse(other))


@pytest.mark.parametrize(
    ("modality", "widths", "layers"),
    [
        ("text", [16] * 7, "-4:"),
        ("text", [16] * 3, "-3:"),
        ("audio", [16] * 13, "mean:0:13"),
        ("visual", [16] * 13, "mean:-4:"),
        ("visual", [64, 64, 128, 256, 512], "-1"),
        ("text", [], "pooled"),
    ],
    ids=["text", "few layers", "speech", "images", "stages of a convolutional network", "no hidden states"],
)
def test_the_default(modality, widths, layers):
    assert str(default_layers(modality, widths)) == layers
    assert str(default_layers(modality, widths, frames=True)) == ("-1" if widths else "pooled")


def test_a_folder_may_have_the_mark_in_its_name(tmp_path):
    folder = tmp_path / "encoder#2"
    folder.mkdir()
    assert split_layers(str(folder)) == (str(folder), None)
    assert split_layers(f"{folder}#-1") == (str(folder), "-1")
    assert layers_of("user/model@main") is None


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("-4:", "its last 4 layers side by side"),
        ("-1", "its last layer"),
        ("-1:", "its last layer"),
        ("6", "its layer 6"),
        ("3,5", "its layers 3, 5 side by side"),
        ("mean:0:13", "mean of its layers 0 to 12"),
        ("weighted:0:7", "its layers 0 to 6 weighed by the model"),
        ("pooled", "pooled as its authors do"),
    ],
)
def test_a_card_says_which_they_are(layers, words):
    assert describe_extractor(f"user/model@main#{layers}") == f"user/model@main: {words}"
