"""Transcripts as each tool's documentation lays them out, through every output and back: speakers, times and text."""

import json
from typing import Any

import pytest

from joyful_hf import load_transcript, write_predictions
from joyful_hf.transcripts.writing import OUTPUT_SUFFIXES
from tests.transcripts.conftest import rows_of

HELLO, FINE = "Hello there.", "Fine."
TWO = [("A", 0.031, 1.234, HELLO), ("B", 2.0, 2.5, FINE)]
UNNAMED = [("unknown", *row[1:]) for row in TWO]


def named(one: str | None, two: str | None) -> list[tuple]:
    return [(one, *TWO[0][1:]), (two, *TWO[1][1:])]


def without_text(one: str, two: str) -> list[tuple]:
    return [(*row[:3], None) for row in named(one, two)]


def words(text: str, start: str, end: str, *times: float, **others: Any) -> list[dict]:
    """Words under the key `text` or `word`, with times under `start` and `end`."""
    return [
        {text: said, start: times[index], end: times[index + 1], **others}
        for index, said in enumerate((HELLO if len(times) == 3 else FINE).split())
    ]


def dump(**record: Any) -> str:
    return json.dumps(record, ensure_ascii=False, indent=2)


def aws_items(*items: tuple) -> list[dict]:
    return [
        {"id": index, "type": "pronunciation", "alternatives": [{"confidence": "0.99", "content": item[0]}]}
        | {"start_time": item[1], "end_time": item[2], "speaker_label": item[3]}
        if len(item) == 4
        else {"id": index, "type": "punctuation", "alternatives": [{"confidence": "0.0", "content": item[0]}]}
        for index, item in enumerate(items)
    ]


def textgrid(*tiers: tuple[str, list[tuple[float, float, str]]]) -> str:
    """The short form, as Praat's "Save as short text file..." writes it."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "8", "<exists>", str(len(tiers))]
    for name, intervals in tiers:
        lines += ['"IntervalTier"', f'"{name}"', "0", "8", str(len(intervals))]
        lines += [str(each) if not isinstance(each, str) else f'"{each}"' for part in intervals for each in part]
    return "\n".join(lines) + "\n"


def tier(start: float, end: float, text: str) -> list[tuple[float, float, str]]:
    return [(0, start, ""), (start, end, text), (end, 8, "")]


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+01:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><PROPERTY NAME="lastUsedAnnotationId">4</PROPERTY></HEADER>
<TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="31"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1234"/>
  <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2000"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="2500"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="A" TIER_ID="ref@A"><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
  <ANNOTATION_VALUE>story.001</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="text" PARENT_REF="ref@A" PARTICIPANT="A" TIER_ID="tx@A"><ANNOTATION>
  <REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>Hello there.</ANNOTATION_VALUE>
  </REF_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="utterance" TIER_ID="B"><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
  <ANNOTATION_VALUE>Fine.</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""

TOOLS: dict[str, tuple[str, str | bytes, list[tuple]]] = {
    "whisper": (
        "a.json",
        dump(
            text="",
            segments=[
                {"id": 0, "seek": 0, "start": 0.031, "end": 1.234, "text": " Hello there.", "no_speech_prob": 0.1},
                {"id": 1, "seek": 0, "start": 2.0, "end": 2.5, "text": " Fine.", "no_speech_prob": 0.1},
            ],
            language="en",
        ),
        UNNAMED,
    ),
    "whisperX": (
        "a.json",
        dump(
            segments=[
                {
                    "start": 0.031,
                    "end": 2.5,
                    "text": " Good old 1995, you see? Yes it is.",
                    "speaker": "SPEAKER_00",
                    "words": [
                        {"word": "Good", "start": 0.031, "end": 0.2, "score": 0.9, "speaker": "SPEAKER_00"},
                        {"word": "old", "start": 0.2, "end": 0.5, "score": 0.9, "speaker": "SPEAKER_00"},
                        {"word": "1995,"},
                        {"word": "you", "start": 0.9, "end": 1.0, "score": 0.9, "speaker": "SPEAKER_00"},
                        {"word": "see?", "start": 1.0, "end": 1.234, "score": 0.9, "speaker": "SPEAKER_00"},
                        {"word": "Yes", "start": 1.5, "end": 2.0, "score": 0.9, "speaker": "SPEAKER_01"},
                        {"word": "it", "start": 2.0, "end": 2.2, "score": 0.9, "speaker": "SPEAKER_01"},
                        {"word": "is.", "start": 2.2, "end": 2.5, "score": 0.9, "speaker": "SPEAKER_01"},
                    ],
                }
            ],
            word_segments=[],
            language="en",
        ),
        [("SPEAKER_00", 0.031, 1.234, "Good old 1995, you see?"), ("SPEAKER_01", 1.5, 2.5, "Yes it is.")],
    ),
    "whisper.cpp": (
        "a.json",
        dump(
            systeminfo="AVX = 1",
            result={"language": "en"},
            transcription=[
                {
                    "timestamps": {"from": "00:00:00,031", "to": "00:00:01,234"},
                    "offsets": {"from": 31, "to": 1234},
                    "text": " Hello there.",
                    "speaker": "0",
                },
                {
                    "timestamps": {"from": "00:00:02,000", "to": "00:00:02,500"},
                    "offsets": {"from": 2000, "to": 2500},
                    "text": " Fine.",
                    "speaker": "1",
                },
            ],
        ),
        named("0", "1"),
    ),
    "OpenAI's API, words": (
        "a.json",
        dump(
            task="transcribe",
            language="english",
            duration=2.5,
            text="",
            words=words("word", "start", "end", 0.031, 0.5, 1.234) + words("word", "start", "end", 2.0, 2.5),
        ),
        UNNAMED,
    ),
    "OpenAI's API, speakers": (
        "a.json",
        dump(
            task="transcribe",
            segments=[
                {"type": "transcript.text.segment", "id": "1", "start": 0.031, "end": 1.234, "text": HELLO}
                | {"speaker": "A"},
                {"type": "transcript.text.segment", "id": "2", "start": 2.0, "end": 2.5, "text": FINE, "speaker": "B"},
            ],
        ),
        TWO,
    ),
    "transformers": (
        "a.json",
        dump(
            text="",
            chunks=[
                {"timestamp": [0.031, 1.234], "text": " Hello there."},
                {"timestamp": [2.0, 2.5], "text": " Fine."},
                {"timestamp": [3.0, None], "text": " And"},
            ],
        ),
        UNNAMED,
    ),
    "insanely-fast-whisper": (
        "a.json",
        dump(
            speakers=[
                {"speaker": "SPEAKER_00", "timestamp": [0.031, 1.234], "text": " Hello there."},
                {"speaker": "SPEAKER_01", "timestamp": [2.0, 2.5], "text": " Fine."},
            ],
            chunks=[{"timestamp": [0.031, 2.5], "text": " Hello there. Fine."}],
            text="",
        ),
        named("SPEAKER_00", "SPEAKER_01"),
    ),
    "AssemblyAI": (
        "a.json",
        dump(
            id="x",
            status="completed",
            words=[],
            utterances=[
                {"speaker": "A", "text": HELLO, "start": 31, "end": 1234, "channel": None}
                | {"words": words("text", "start", "end", 31, 500, 1234, speaker="A", channel=None)},
                {"speaker": "B", "text": FINE, "start": 2000, "end": 2500, "channel": None}
                | {"words": words("text", "start", "end", 2000, 2500, speaker="B", channel=None)},
            ],
            speaker_labels=True,
        ),
        TWO,
    ),
    "Deepgram": (
        "a.json",
        dump(
            metadata={"request_id": "x", "channels": 1},
            results={
                "channels": [
                    {
                        "alternatives": [
                            {
                                "transcript": "hello there fine",
                                "words": words("punctuated_word", "start", "end", 0.031, 0.5, 1.234, speaker=0)
                                + words("punctuated_word", "start", "end", 2.0, 2.5, speaker=1),
                                "paragraphs": {"transcript": "", "paragraphs": []},
                            }
                        ]
                    }
                ]
            },
        ),
        named("0", "1"),
    ),
    "AWS Transcribe": (
        "a.json",
        dump(
            jobName="x",
            status="COMPLETED",
            results={
                "transcripts": [{"transcript": "Hello there. Fine."}],
                "items": aws_items(
                    ("Hello", "0.031", "0.5", "spk_0"),
                    ("there", "0.5", "1.234", "spk_0"),
                    (".",),
                    ("Fine", "2.0", "2.5", "spk_1"),
                    (".",),
                ),
                "audio_segments": [
                    {"id": 0, "transcript": HELLO, "start_time": "0.031", "end_time": "1.234", "items": [0, 1, 2]}
                    | {"speaker_label": "spk_0"},
                    {"id": 1, "transcript": FINE, "start_time": "2.0", "end_time": "2.5", "items": [3, 4]}
                    | {"speaker_label": "spk_1"},
                ],
            },
        ),
        named("spk_0", "spk_1"),
    ),
    "AWS Call Analytics": (
        "a.json",
        dump(
            JobStatus="COMPLETED",
            Transcript=[
                {"BeginOffsetMillis": 31, "EndOffsetMillis": 1234, "ParticipantRole": "AGENT", "Content": HELLO},
                {"BeginOffsetMillis": 2000, "EndOffsetMillis": 2500, "ParticipantRole": "CUSTOMER", "Content": FINE},
            ],
            Participants=[{"ParticipantRole": "AGENT"}, {"ParticipantRole": "CUSTOMER"}],
        ),
        named("AGENT", "CUSTOMER"),
    ),
    "whisperX, WebVTT": (
        "a.vtt",
        "WEBVTT\n\n00:00.031 --> 00:01.234\n[SPEAKER_00]: Hello there.\n\n00:02.000 --> 00:02.500\n"
        "[SPEAKER_01]: Fine.\n\n",
        named("SPEAKER_00", "SPEAKER_01"),
    ),
    "Teams": (
        "a.vtt",
        "\ufeffWEBVTT\r\n\r\n8f1c2a30-1f5e-4c5e-8d53-9a0b5d7f1e11/12-0\r\n00:00:00.031 --> 00:00:01.234\r\n"
        "<v Müller, Anna (DE)>Hello\r\nthere.</v>\r\n\r\n8f1c2a30-1f5e-4c5e-8d53-9a0b5d7f1e11/15-1\r\n"
        "00:00:02.000 --> 00:00:02.500\r\n<v Bob O&apos;Neil>Fine.</v>\r\n",
        named("Müller, Anna (DE)", "Bob O'Neil"),
    ),
    "Zoom": (
        "a.vtt",
        "WEBVTT\r\n\r\n1\r\n00:00:00.031 --> 00:00:01.234\r\nAnna Müller: Hello there.\r\n\r\n2\r\n"
        "00:00:02.000 --> 00:00:02.500\r\nBob (he/him): Fine.\r\n\r\n",
        named("Anna Müller", "Bob (he/him)"),
    ),
    "SRT of an editor": (
        "a.srt",
        '\ufeff1\r\n00:00:00,031 --> 00:00:01,234  X1:1 X2:2 Y1:1 Y2:2\r\n{\\an8}<font color="#fff">A: Hello\r\n'
        "<b>there.</b></font>\r\n2\r\n0:00:02,000 --> 0:00:02,500\r\nB: Fine.\r\n",
        TWO,
    ),
    "Praat, short, UTF-16": (
        "a.TextGrid",
        textgrid(("A", tier(0.031, 1.234, HELLO)), ("B", tier(2.0, 2.5, FINE))).encode("utf-16"),
        TWO,
    ),
    "WebMAUS": (
        "a.TextGrid",
        textgrid(
            ("ORT-MAU", [(0, 0.031, ""), (0.031, 0.5, "hello"), (0.5, 1.234, "there"), (1.234, 8, "")]),
            ("KAN-MAU", tier(0.031, 0.5, "h@loU")),
            ("MAU", [(0, 0.031, "<p:>"), (0.031, 0.1, "h"), (0.1, 8, "@")]),
        ),
        [("unknown", 0.031, 1.234, "hello there")],
    ),
    "ELAN": ("a.eaf", ELAN, TWO),
    "pyannote": (
        "a.rttm",
        "SPEAKER a 1 0.031 1.203 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
        "SPEAKER a 1 2.000 0.500 <NA> <NA> SPEAKER_01 <NA> <NA>\n",
        without_text("SPEAKER_00", "SPEAKER_01"),
    ),
    "NeMo": (
        "a.rttm",
        "SPEAKER a 1   0.031   1.203 <NA> <NA> speaker_0 <NA> <NA>\n"
        "SPEAKER a 1   2.000   0.500 <NA> <NA> speaker_1 <NA> <NA>\n",
        without_text("speaker_0", "speaker_1"),
    ),
    "whisper, TSV": ("a.tsv", "start\tend\ttext\n31\t1234\tHello there.\n2000\t2500\tFine.\n", UNNAMED),
    "Audacity": (
        "a.txt",
        "0.031000\t1.234000\tA: Hello there.\n\\\t0.000000\t8000.000000\n2.000000\t2.500000\tB: Fine.\n",
        TWO,
    ),
    "CSV of Otter": (
        "a.csv",
        'Speaker,Start Time,End Time,Transcript\n"Müller, Anna",0:00.031,0:01.234,Hello there.\nB,0:02,0:02.5,Fine.\n',
        named("Müller, Anna", "B"),
    ),
}


def test_an_srt_whose_cues_follow_without_an_empty_line_is_read(rows):
    assert rows(*TOOLS["SRT of an editor"][:2]) == TWO


@pytest.mark.parametrize("tool", TOOLS)
def test_speakers_times_and_text_reach_every_output(transcript, tmp_path, tool):
    name, content, expected = TOOLS[tool]
    (dialogue,) = load_transcript(transcript(name, content))
    utterances = [{key: value for key, value in each.items() if value is not None} for each in dialogue["utterances"]]
    assert rows_of(utterances) == expected
    predicted = [each | {"label": "joy", "scores": {"joy": 0.75, "anger": 0.25}} for each in utterances]
    for suffix in OUTPUT_SUFFIXES:
        path = tmp_path / f"out{suffix}"
        write_predictions({"dialogue_id": "a", "utterances": predicted}, path)
        if suffix == ".jsonl":
            back = json.loads(path.read_text(encoding="utf-8"))["utterances"]
        else:
            back = load_transcript(path)[0]["utterances"]
        assert rows_of(back) == expected, suffix
        assert [each["label"] for each in back] == ["joy"] * len(expected), suffix
