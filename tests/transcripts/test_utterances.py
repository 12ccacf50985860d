"""Segments made into utterances: order, joining, and what is refused."""

import json

import pytest

from joyful_hf.processing import DialogueError


def subtitles(*cues):
    """WebVTT of cues (start, end, text), in whole milliseconds."""

    def clock(milliseconds):
        seconds, milliseconds = divmod(milliseconds, 1000)
        return f"{seconds // 60:02}:{seconds % 60:02}.{milliseconds:03}"

    return "WEBVTT\n" + "".join(f"\n{clock(start)} --> {clock(end)}\n{text}\n" for start, end, text in cues)


def test_neighbouring_segments_of_one_speaker_are_joined_if_the_pause_is_short(rows, report):
    text = subtitles((0, 1000, "<v A>One"), (1299, 2000, "<v A>two."), (2300, 3000, "<v A>Three."))
    assert rows("a.vtt", text) == [("A", 0.0, 2.0, "One two."), ("A", 2.3, 3.0, "Three.")]
    assert rows("a.vtt", text, merge_gap=0.5) == [("A", 0.0, 3.0, "One two. Three.")]
    assert len(rows("a.vtt", text, merge_gap=0)) == 3
    assert report("a.vtt", text).merged == 1


def test_joining_stops_at_another_speaker_and_at_max_seconds(rows):
    text = subtitles((0, 1000, "<v A>a"), (1000, 2000, "<v B>b"), (2000, 3000, "<v A>c"), (3000, 4000, "<v A>d"))
    assert [row[3] for row in rows("a.vtt", text)] == ["a", "b", "c d"]
    assert [row[3] for row in rows("a.vtt", text, max_seconds=1.9)] == ["a", "b", "c", "d"]


def test_speech_that_overlaps_is_two_utterances_in_the_order_of_their_starts(rows):
    text = subtitles((1000, 4000, "<v A>long"), (500, 1500, "<v B>short"), (3500, 5000, "<v B>again"))
    assert [row[:3] for row in rows("a.vtt", text)] == [("B", 0.5, 1.5), ("A", 1.0, 4.0), ("B", 3.5, 5.0)]


def test_a_cue_without_a_duration_is_left_out_and_counted(report):
    counts = report("a.vtt", subtitles((0, 1000, "a"), (2000, 2000, "b")))
    assert counts.left_out == {"without a duration": 1}


def test_the_report_reads_well(transcript, report):
    text = subtitles((0, 1000, "<v A>One"), (1000, 2000, "<v A>two."), (3000, 4000, "[noise]"), (5000, 6000, "Hm."))
    path = transcript("a.vtt", text)
    assert str(report("a.vtt", text)) == (
        f"{path} (WebVTT): 4 cues, 2 utterances\n"
        "  left out: 1 without speech, such as [music]\n"
        "  joined to the segment before: 1\n"
        "  of an unknown speaker: 1 utterance"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            subtitles((5000, 6000, "a"), (1000, 2000, "b")),
            r"a\.vtt, cue 2 \(line 6\): times run backwards, from 0:00:05.000 to 0:00:01.000; sort the cues",
        ),
        (
            subtitles((5000, 6000, "<v A>a"), (4500, 7000, "<v A>b")),
            r"cue 2 \(line 6\): times run backwards",
        ),
        (
            subtitles((0, 1000, "a"), (3000, 2000, "b")),
            r"cue 2 \(line 6\): the cue at 0:00:03.000 ends at 0:00:02.000, before it starts; correct its times",
        ),
        (
            "WEBVTT\n\n00:01.000 --> 9999999999:00:02.000\na\n",
            r"cue 1 \(line 3\): the cue from 1 s to 3.6e\+13 s lies past 1000 hours; are these milliseconds\?",
        ),
        ("WEBVTT\n\n00:01 -> 00:02\na\n", r"cue 1 \(line 3\): '00:01 -> 00:02' is no time line; write"),
        ("WEBVTT\n\n00:01.000 --> 00:75.000\na\n", r"cue 1 \(line 3\): .* is no time line"),
        ("WEBVTT\n\nNOTE nothing here\n", "no cue was found in this WebVTT file; is it the transcript, and complete"),
        (subtitles((0, 1, "[music]")), r"no cue holds speech \(1 without speech, such as \[music\]\)"),
    ],
)
def test_cues_that_cannot_be_are_refused(rows, text, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.vtt", text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.srt", b"", "the file is empty"),
        ("a.srt", b"\x01\x02\x00\x00\xff\xd8" * 50, "the file is binary, and no text"),
        ("a.txt", b"PK\x03\x04rest", r"a ZIP archive, such as \.docx"),
        ("a.txt", b"%PDF-1.7", "a PDF; export"),
        ("a.json", b"RIFF....WAVE", "a recording, not its transcript"),
        ("a.json", b"\0\0\0\x20ftypisom", "a recording, not its transcript"),
        ("a.srt", b"\x81 caf\xe9", "line 1: neither UTF-8 nor Windows-1252; name the file's `encoding`"),
        ("a.srt", b"\xff\xfea", r"not utf-16 .* may be truncated"),
        ("a.docx", b"PK\x03\x04", r"unknown kind of transcript '\.docx'; known are \.vtt, \.textgrid, \.eaf, \.json"),
        ("a.srtt", b"x", r"unknown kind of transcript '\.srtt'; did you mean \.srt"),
        ("a.txt", b"Dear diary, today was long.", "its text is of no known format; give the file that your tool"),
        ("a.srt", b"Dear diary, today was long.", "no cue was found in this SRT file"),
    ],
)
def test_files_that_are_no_transcripts_are_refused(rows, name, content, message):
    with pytest.raises(DialogueError, match=message):
        rows(name, content)


def test_a_missing_file_is_named(tmp_path):
    from joyful_hf.transcripts.loading import load_transcript

    with pytest.raises(DialogueError, match=r"none\.srt: there is no such file"):
        load_transcript(tmp_path / "none.srt")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"columns": {"start": "a"}}, "`columns` is for tables"),
        ({"tiers": ["a"]}, r"`tiers` is for TextGrid and \.eaf, and this is WebVTT"),
        ({"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(rows, option, message):
    with pytest.raises(DialogueError, match=message):
        rows("a.vtt", subtitles((0, 1000, "a")), **option)


def test_three_hours_of_words_take_seconds(rows, transcript):
    """Linear in the number of words and turns: a careless search would take minutes."""
    segments, turns = [], []
    for index in range(3000):
        start = index * 3.6
        words = [{"word": f"w{j}", "start": start + j * 0.3, "end": start + j * 0.3 + 0.2} for j in range(10)]
        segments.append({"start": start, "end": start + 3, "text": " ".join(each["word"] for each in words),
                         "words": words})  # fmt: skip
        turns.append(f"SPEAKER a 1 {start} 3.2 <NA> <NA> {'AB'[index % 2]} <NA> <NA>")
    found = rows("a.json", json.dumps({"segments": segments}), speakers=transcript("a.rttm", "\n".join(turns)))
    assert len(found) == 3000
    assert [row[0] for row in found[:3]] == ["A", "B", "A"]
