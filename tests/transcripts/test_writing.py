"""Predictions written in every format, and read back as they were."""

import csv
import json
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.data.dialogue_files import load_dialogues
from joyful_hf.processing import DialogueError
from joyful_hf.transcripts.loading import load_transcript
from joyful_hf.transcripts.rows import make_rows
from joyful_hf.transcripts.writing import OUTPUT_SUFFIXES, to_frame, write_predictions

TABLES = (".csv", ".tsv", ".parquet")
TIMED = (".srt", ".vtt", ".TextGrid", ".eaf")
SCORES = {"joy": 0.83, "anger": 0.17}
MEETING = {
    "dialogue_id": "meeting",
    "utterances": [
        {"speaker": "Ana", "text": 'She said "hi" & <left>', "audio": "/m/a.wav", "start": 0.5, "end": 1.25,
         "channel": 1, "true_label": "joy", "label": "joy", "scores": SCORES},
        {"speaker": "Bob B.", "text": None, "audio": "/m/a.wav", "start": 1.0, "end": 2.125, "channel": 0,
         "label": None, "scores": None},
        {"speaker": "Ana", "text": "Übel, ja", "audio": "/m/a.wav", "start": 3601.0, "end": 3603.001, "channel": 1,
         "label": "anger", "scores": {"joy": 0.25, "anger": 0.75}},
    ],
}  # fmt: skip


def read_back(path):
    (dialogue,) = load_dialogues(path) if path.suffix == ".jsonl" else load_transcript(path)
    return dialogue


def core_of(dialogue):
    keys = ("speaker", "start", "end", "text", "label")
    return [tuple(utterance.get(key) for key in keys) for utterance in dialogue["utterances"]]


def test_a_frame_has_one_row_per_utterance():
    frame = to_frame(MEETING)
    assert list(frame) == [
        "dialogue_id", "index", "speaker", "start", "end", "text", "label", "score", "score_joy", "score_anger",
        "audio", "channel", "true_label",
    ]  # fmt: skip
    assert frame["index"].tolist() == [0, 1, 2]
    assert frame["score"].fillna(0).tolist() == [0.83, 0.0, 0.75]
    assert frame["label"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("suffix", [".jsonl", *TABLES, *TIMED])
def test_what_is_written_is_read_back(tmp_path, suffix):
    write_predictions(MEETING, tmp_path / f"meeting{suffix}")
    found = read_back(tmp_path / f"meeting{suffix}")
    assert found["dialogue_id"] == "meeting"
    assert core_of(found) == core_of(MEETING)


@pytest.mark.parametrize("suffix", TABLES)
def test_tables_keep_scores_and_other_keys(tmp_path, suffix):
    write_predictions([MEETING, MEETING | {"dialogue_id": "second"}], tmp_path / f"a{suffix}")
    again = to_frame(load_transcript(tmp_path / f"a{suffix}"))
    expected = to_frame([MEETING, MEETING | {"dialogue_id": "second"}])
    pd.testing.assert_frame_equal(again[list(expected)], expected, check_dtype=False)


def test_jsonl_keeps_all_keys_with_times_and_file_first_and_marks_what_is_unread(tmp_path):
    write_predictions(MEETING, tmp_path / "a.jsonl")
    first, second, _ = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))["utterances"]
    assert list(first)[:3] == ["start", "end", "audio"]
    assert first == MEETING["utterances"][0]
    assert second["label"] is None
    assert "text" not in second


def test_csv_is_as_spreadsheets_expect_it(tmp_path):
    write_predictions(MEETING, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[:3] == [
        "dialogue_id,index,speaker,start,end,text,label,score,score_joy,score_anger,audio,channel,true_label",
        'meeting,0,Ana,0.5,1.25,"She said ""hi"" & <left>",joy,0.83,0.83,0.17,/m/a.wav,1,joy',
        "meeting,1,Bob B.,1.0,2.125,,,,,,/m/a.wav,0,",
    ]


def test_subtitles_show_speaker_and_emotion(tmp_path):
    write_predictions(MEETING, tmp_path / "a.srt")
    write_predictions(MEETING, tmp_path / "a.vtt")
    assert (tmp_path / "a.srt").read_text(encoding="utf-8") == (
        '1\n00:00:00,500 --> 00:00:01,250\nAna [joy 83%]: She said "hi" & <left>\n\n'
        "2\n00:00:01,000 --> 00:00:02,125\nBob B. []:\n\n"
        "3\n01:00:01,000 --> 01:00:03,001\nAna [anger 75%]: Übel, ja\n\n"
    )
    assert (
        (tmp_path / "a.vtt")
        .read_text(encoding="utf-8")
        .startswith(
            'WEBVTT\n\n1\n00:00:00.500 --> 00:00:01.250\n<v Ana>[joy 83%] She said "hi" &amp; &lt;left&gt;\n\n'
        )
    )


def test_textgrid_has_a_tier_of_emotions_under_each_speaker(tmp_path):
    write_predictions(MEETING, tmp_path / "a.TextGrid")
    text = (tmp_path / "a.TextGrid").read_text(encoding="utf-8")
    names = [line.split('"')[1] for line in text.splitlines() if line.strip().startswith("name")]
    assert names == ["Ana", "emotion@Ana", "Bob B.", "emotion@Bob B."]
    assert "xmax = 3603.001" in text


def test_elan_has_a_tier_of_emotions_that_refer_to_each_utterance(tmp_path):
    write_predictions(MEETING, tmp_path / "a.eaf")
    root = ElementTree.parse(tmp_path / "a.eaf").getroot()
    assert root.find("HEADER").get("TIME_UNITS") == "milliseconds"
    assert root.find("HEADER/MEDIA_DESCRIPTOR").get("MEDIA_URL") == "file:///m/a.wav"
    tiers = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
    assert list(tiers) == ["Ana", "emotion@Ana", "Bob B.", "emotion@Bob B."]
    assert tiers["emotion@Ana"].get("PARENT_REF") == "Ana"
    types = {each.get("LINGUISTIC_TYPE_ID"): each.get("CONSTRAINTS") for each in root.iter("LINGUISTIC_TYPE")}
    assert types == {"utterance": None, "emotion": "Symbolic_Association"}
    identifiers = [each.get("ANNOTATION_ID") for each in root.iter() if each.get("ANNOTATION_ID")]
    assert len(set(identifiers)) == len(identifiers) == 6


def dialogue_of(label, scores, **more):
    return {"dialogue_id": "a", "utterances": [
        {"speaker": "A", "text": "x", "start": 0.0, "end": 1.0, "label": label, "scores": scores} | more,
        {"speaker": "A", "text": "y", "start": 1.0, "end": 2.0, "label": label, "scores": scores} | more,
    ]}  # fmt: skip


@pytest.mark.parametrize("suffix", [".jsonl", *TABLES, *TIMED])
@pytest.mark.parametrize("label", [["joy", "anger"], ["joy"], [], -1.25, {"valence": 0.5, "arousal": -1.25}], ids=str)
def test_several_labels_and_values_survive(tmp_path, suffix, label):
    scores = label if isinstance(label, dict) else {"sentiment": label}
    dialogue = dialogue_of(label, {"joy": 0.8, "anger": 0.6} if isinstance(label, list) else scores)
    write_predictions(dialogue, tmp_path / f"a{suffix}")
    assert core_of(read_back(tmp_path / f"a{suffix}")) == core_of(dialogue)


def test_one_speaker_may_overlap_himself(tmp_path):
    dialogue = dialogue_of("joy", SCORES)
    dialogue["utterances"][0]["end"] = 1.5
    for suffix in (".TextGrid", ".eaf"):
        write_predictions(dialogue, tmp_path / f"a{suffix}")
        assert core_of(read_back(tmp_path / f"a{suffix}")) == core_of(dialogue)


def test_an_existing_file_stays_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(DialogueError, match=r"a\.csv: exists already; choose another name, remove it, or pass"):
        write_predictions(MEETING, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "mine"
    write_predictions(MEETING, tmp_path / "a.csv", overwrite=True)
    assert len(load_transcript(tmp_path / "a.csv")[0]["utterances"]) == 3


@pytest.mark.parametrize(
    ("name", "predictions", "message"),
    [
        ("a.cvs", MEETING, r"unknown kind of file '\.cvs'; did you mean \.csv\?; known are \.jsonl, \.csv, \.tsv"),
        ("a", MEETING, "unknown kind of file ''; known are"),
        ("a.srt", dialogue_of("joy", SCORES, end=None), r"dialogue 'a', utterances\[0\]: no 'start' and 'end', which"),
        ("a.eaf", dialogue_of("joy", SCORES, end=-1.0), r"'end' \(-1 s\) is not after 'start'"),
        ("a.TextGrid", [MEETING, MEETING], "TextGrid holds one recording, and these are 2 dialogues; write one"),
        ("a.csv", [], "there are no dialogues"),
        ("a.jsonl", dialogue_of("joy", SCORES, audio=b"RIFF"), "JSONL cannot hold bytes"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_no_file(tmp_path, name, predictions, message):
    with pytest.raises(DialogueError, match=message):
        write_predictions(predictions, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_utterances_without_times_make_tables(tmp_path):
    dialogue = dialogue_of("joy", SCORES, start=None, end=None)
    write_predictions(dialogue, tmp_path / "a.csv")
    assert core_of(read_back(tmp_path / "a.csv")) == core_of(dialogue)


def test_every_suffix_is_tested():
    assert {suffix.lower() for suffix in (".jsonl", *TABLES, *TIMED)} == set(OUTPUT_SUFFIXES)


# Words of any script, without the characters that no text file keeps.
WORD = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
TEXT = st.lists(WORD, max_size=4).map(" ".join).map(lambda text: text or None)
NAME = st.lists(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=6), min_size=1, max_size=3).map(
    " ".join
)
LABEL = st.sampled_from(["joy", "anger", "très content", None])


@st.composite
def any_predictions(draw):
    """A dialogue of a few speakers, who may overlap each other, with times in whole milliseconds."""
    names = draw(st.lists(NAME, min_size=1, max_size=3, unique=True))
    utterances, start = [], 0
    for _ in range(draw(st.integers(1, 5))):
        start += draw(st.integers(1, 5_000_000))
        label = draw(LABEL)
        scores = None if label is None else {label: draw(st.floats(0, 1)), "other": 0.5}
        utterances.append(
            {"speaker": draw(st.sampled_from(names)), "text": draw(TEXT), "start": start / 1000,
             "end": (start + draw(st.integers(1, 90_000))) / 1000, "label": label, "scores": scores}
        )  # fmt: skip
    return {"dialogue_id": "any", "utterances": utterances}


@pytest.mark.parametrize("suffix", [*TABLES, *TIMED])
@given(dialogue=any_predictions())
def test_any_predictions_survive(tmp_path, suffix, dialogue):
    path = tmp_path / f"any{suffix}"
    write_predictions(dialogue, path, overwrite=True)
    assert core_of(read_back(path)) == core_of(dialogue)
    if suffix in TABLES:
        assert [row.scores for row in make_rows(read_back(path))] == [row.scores for row in make_rows(dialogue)]


@pytest.mark.parametrize(
    ("true_label", "cell"),
    [
        ({"joy": 3, "anger": None}, '{"joy": 3.0}'),
        ([0.5, -1.0], "[0.5, -1.0]"),
        (["joy", "fear"], '["joy", "fear"]'),
        ("joy", "joy"),
        (2, "2"),
    ],
    ids=repr,
)
def test_true_labels_of_every_kind_are_in_the_table(true_label, cell, tmp_path):
    utterance = {"speaker": "Ann", "label": "joy", "scores": {"joy": 1.0}, "true_label": true_label}
    write_predictions([{"dialogue_id": "d", "utterances": [utterance]}], tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["true_label"] == cell
