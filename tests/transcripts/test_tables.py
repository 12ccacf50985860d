"""Tables, whisper's TSV, Audacity's labels and RTTM."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joyful_hf.processing import DialogueError
from joyful_hf.transcripts.loading import load_transcript

ROWS = [("Ana", 0.5, 1.25, "Hello, you"), ("Bob", 2.0, 3.0, "Hi")]


@pytest.mark.parametrize(
    "text",
    [
        'start,end,speaker,text\n0.5,1.25,Ana,"Hello, you"\n2,3,Bob,Hi\n',
        "begin;stop;who;transcript\n0,5;1,25;Ana;Hello, you\n2;3;Bob;Hi\n",
        "Speaker\tStart Time\tDuration\tUtterance\nAna\t0.5\t0.75\tHello, you\nBob\t2\t1\tHi\n",
        'begin_ms,end_ms,participant,sentence\n500,1250,Ana,"Hello, you"\n2000,3000,Bob,Hi\n',
        'Tier,Begin Time - hh:mm:ss.ms,End Time - hh:mm:ss.ms,text\nAna,00:00:00.500,00:00:01.250,"Hello, you"\n'
        "Bob,00:00:02.000,0:03,Hi\n",
        'startTime,endTime,speaker,text\n0.5,1.25,Ana,"Hello, you"\n\n2,3,Bob,Hi\n',
    ],
)
def test_columns_are_known_by_their_usual_names(rows, text):
    assert rows("a.csv", text) == ROWS


def test_columns_can_be_named(rows, report):
    text = 'begin_s,to_s,who,words,end\n0.5,1.25,Ana,"Hello, you",x\n2,3,Bob,Hi,y\n'
    columns = {"start": "begin_s", "end": "to_s", "speaker": "who"}
    assert rows("a.csv", text, columns=columns) == ROWS
    assert "start = 'begin_s'" in str(report("a.csv", text, columns=columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"start": "begins"}, r"no column 'begins'; did you mean begin\? \(columns found: begin, end, txt\)"),
        ({"strat": "begin"}, "`columns`: there is no key 'strat'; did you mean start?"),
    ],
)
def test_a_misspelt_column_is_refused(rows, columns, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.csv", "begin,end,txt\n0,1,a\n", columns=columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "strat,end,text\n0,1,a\n",
            r"line 1: no column for start \(columns found: .*\); did you mean start",
        ),
        ("start,end,text\n0,1,a\nx,2,b\n", "line 3: 'start' is 'x', expected seconds or hh:mm:ss.mmm"),
        ("start,end,text\n0,1,a\n1,,b\n", "line 3: no end; fill in the cell or remove the row"),
        ("start,end,text\n0,1,a\n1,2,b,c\n", "line 3: 4 cells, but 3 columns; put texts that hold ',' into double"),
        ("start,end,text\n3,1,a\n", "line 2: the cue at 0:00:03.000 ends at 0:00:01.000, before it starts"),
        ("start,end,text\n3,4,a\n1,2,b\n", "line 3: times run backwards, from 0:00:03.000 to 0:00:01.000; sort"),
        ("start,end,text\n", "no cue was found in this CSV file"),
    ],
)
def test_bad_tables_are_refused(rows, text, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.csv", text)


def test_rows_may_be_grouped_by_speaker(rows):
    text = "start,end,speaker,text\n0,1,Ana,a\n4,5,Ana,c\n2,3,Bob,b\n"
    assert [row[3] for row in rows("a.csv", text)] == ["a", "b", "c"]


def test_other_columns_come_along(read):
    text = "start,end,speaker,text,age,label\n0,1,Ana,a,30,joy\n1,2,Bob,b,,\n"
    assert read("a.csv", text) == [
        {"speaker": "Ana", "text": "a", "start": 0.0, "end": 1.0, "age": "30", "label": "joy"},
        {"speaker": "Bob", "text": "b", "start": 1.0, "end": 2.0},
    ]


def test_a_table_of_several_dialogues_gives_each(transcript):
    path = transcript("a.csv", "dialogue_id,start,end,text\nd1,5,6,a\nd2,0,1,b\n")
    assert [dialogue["dialogue_id"] for dialogue in load_transcript(path)] == ["d1", "d2"]


def test_parquet_is_read_as_csv_is(tmp_path):
    path = tmp_path / "a.parquet"
    table = {"begin": [0.5, 2.0], "end": [1.25, 3.0], "speaker": ["Ana", "Bob"], "text": ["Hello, you", "Hi"]}
    pq.write_table(pa.table(table), path)
    (dialogue,) = load_transcript(path)
    assert [(each["speaker"], each["start"], each["end"], each["text"]) for each in dialogue["utterances"]] == ROWS
    whole = path.read_bytes()
    for damaged in (whole[:100], whole.replace(b"Ana", b"An\xe4"), whole.replace(b"text", b"te\xeet")):
        path.write_bytes(damaged)
        with pytest.raises(DialogueError, match=r"a\.parquet: not a readable Parquet file"):
            load_transcript(path)


def test_whisper_writes_tsv_in_milliseconds(rows, report):
    text = 'start\tend\ttext\n0\t2440\t"Hello," he said.\n4000\t5125\tFine.\n'
    assert rows("a.tsv", text) == [("unknown", 0.0, 2.44, '"Hello," he said.'), ("unknown", 4.0, 5.125, "Fine.")]
    assert report("a.tsv", text).notes == ["times are whole numbers: read as milliseconds"]
    assert rows("a.tsv", text.replace("\t5125", "\t5125.0"))[1][1:3] == (4000.0, 5125.0)


def test_audacity_writes_labels_without_a_head_line(rows):
    text = "0.500000\t1.250000\tAna: Hello\n\\\t100.0\t2000.0\n2.000000\t3.000000\tBob: Hi\n4\t4\tAna: a point\n"
    assert rows("a.txt", text) == [("Ana", 0.5, 1.25, "Hello"), ("Bob", 2.0, 3.0, "Hi")]
    with pytest.raises(DialogueError, match=r"a\.txt, line 2: 'Bob' is no label"):
        rows("a.txt", "0.5\t1\tAna\nBob\n")


RTTM = """;; a comment
SPKR-INFO meeting 1 <NA> <NA> <NA> unknown ana <NA> <NA>
SPEAKER meeting 1 0.031 1.969 <NA> <NA> ana <NA> <NA>
SPEAKER meeting 1 2.500 1.000 <NA> <NA> bob <NA>
SPEAKER meeting 1 3.000 1.000 <NA> <NA> ana <NA> <NA>
"""


def test_rttm_alone_gives_utterances_without_words(read, report):
    assert read("a.rttm", RTTM) == [
        {"speaker": "ana", "start": 0.031, "end": 2.0},
        {"speaker": "bob", "start": 2.5, "end": 3.5},
        {"speaker": "ana", "start": 3.0, "end": 4.0},
    ]
    assert report("a.rttm", RTTM).left_out == {"RTTM lines of type SPKR-INFO": 1}


def test_rttm_of_several_recordings_is_read_for_the_one_of_its_name(rows, report):
    text = RTTM + "SPEAKER other 1 0 1 <NA> <NA> eve <NA> <NA>\n"
    assert {row[0] for row in rows("other.rttm", text)} == {"eve"}
    assert report("other.rttm", text).left_out["RTTM lines of other recordings"] == 3
    with pytest.raises(DialogueError, match=r"holds 2 recordings \(meeting, other\); keep the lines of one"):
        rows("third.rttm", text)


@pytest.mark.parametrize(
    ("line", "message"),
    [("SPEAKER m 1 0 1", "line 1: 5 fields"), ("SPEAKER m 1 x 1 <NA> <NA> a <NA> <NA>", "start 'x' and duration '1'")],
)
def test_bad_rttm_is_refused(rows, line, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.rttm", line)


SRT = """1
00:00:00,000 --> 00:00:01,900
Hello.

2
00:00:02,400 --> 00:00:03,100
Hi.

3
00:00:08,000 --> 00:00:09,000
Who said that?
"""


def test_rttm_beside_a_transcript_names_the_speakers_by_overlap(rows, transcript):
    speakers = transcript("a.rttm", RTTM)
    assert [row[0] for row in rows("a.srt", SRT, speakers=speakers)] == ["ana", "bob", "unknown"]


def test_words_are_given_to_the_speakers_of_their_turns(rows, transcript):
    words = [("So", 0.1, 0.9), ("far?", 1.0, 1.9), ("Yes", 2.5, 2.8), ("indeed.", 2.9, 3.5)]
    segment = {"start": 0.1, "end": 3.5, "text": "So far? Yes indeed.",
               "words": [{"word": word, "start": start, "end": end} for word, start, end in words]}  # fmt: skip
    text = json.dumps({"segments": [segment]})
    assert rows("a.json", text, speakers=transcript("a.rttm", RTTM)) == [
        ("ana", 0.1, 1.9, "So far?"),
        ("bob", 2.5, 3.5, "Yes indeed."),
    ]


def test_a_file_without_speakers_cannot_name_them(rows, transcript):
    with pytest.raises(DialogueError, match=r"b\.srt: `speakers` needs a file that says who spoke when"):
        rows("a.srt", SRT, speakers=transcript("b.srt", SRT))


def test_a_table_may_say_whose_face_is_which(read):
    text = "start,end,speaker,video,face\n0,1,Ana,meeting.csv,1\n1,2,Bob,meeting.csv,\n"
    assert [each.get("face") for each in read("a.csv", text)] == [1, None]
    with pytest.raises(DialogueError, match=r"a\.csv, line 2: the face is 'left', expected a number"):
        read("a.csv", text.replace(",1\n", ",left\n"))
