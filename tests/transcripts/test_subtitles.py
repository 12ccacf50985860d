"""SRT and WebVTT as whisper, whisperX, Teams, Zoom and people write them."""

import pytest

SRT = """1
00:00:01,000 --> 00:00:03,500
Hello there.

2
00:01:05,020 --> 00:01:07,999
How are you?
"""


def test_srt_gives_times_to_the_millisecond(rows):
    assert rows("a.srt", SRT) == [
        ("unknown", 1.0, 3.5, "Hello there."),
        ("unknown", 65.02, 67.999, "How are you?"),
    ]


def test_the_dialogue_is_called_after_the_file(transcript):
    from joyful_hf.transcripts.loading import load_transcript

    assert load_transcript(transcript("monday.srt", SRT))[0]["dialogue_id"] == "monday"
    assert load_transcript(transcript("monday.srt", SRT), dialogue_id="d7")[0]["dialogue_id"] == "d7"


def test_whisperx_writes_speakers_in_brackets(rows):
    text = """1
00:00:00,100 --> 00:00:01,000
[SPEAKER_00]: Good morning.

2
00:00:01,200 --> 00:00:02,000
[SPEAKER_01]: Morning: all well?
"""
    assert rows("a.srt", text) == [
        ("SPEAKER_00", 0.1, 1.0, "Good morning."),
        ("SPEAKER_01", 1.2, 2.0, "Morning: all well?"),
    ]


def test_teams_writes_speakers_as_voices(rows):
    text = """WEBVTT

4f0d6b1c-1f2e/12-0
00:00:04.110 --> 00:00:06.830
<v Ana María López>Shall we begin?</v>

4f0d6b1c-1f2e/12-1
00:00:07.230 --> 00:00:09.410
<v Bob (Guest)>Yes,
let&#39;s &amp; go.</v>
"""
    assert rows("a.vtt", text) == [
        ("Ana María López", 4.11, 6.83, "Shall we begin?"),
        ("Bob (Guest)", 7.23, 9.41, "Yes, let's & go."),
    ]


def test_zoom_writes_speakers_before_a_colon(rows):
    text = """WEBVTT

1
00:00:03.210 --> 00:00:05.430
Alice O'Neil-Smith (she/her): Hello.

2
00:00:06.000 --> 00:00:07.000
Dr. Bob: Note: this is recorded.
"""
    assert rows("a.vtt", text) == [
        ("Alice O'Neil-Smith (she/her)", 3.21, 5.43, "Hello."),
        ("Dr. Bob", 6.0, 7.0, "Note: this is recorded."),
    ]


def test_a_colon_in_one_sentence_of_many_makes_no_speaker(rows):
    text = SRT + "\n3\n00:01:10,000 --> 00:01:12,000\nRemember: be kind.\n"
    assert {speaker for speaker, *_ in rows("a.srt", text)} == {"unknown"}


def test_speaker_numbers_are_speakers_even_where_others_have_none(rows):
    text = SRT.replace("How are", "Speaker 0: How are")
    assert [speaker for speaker, *_ in rows("a.srt", text)] == ["unknown", "Speaker 0"]


def test_webvtt_blocks_settings_and_missing_hours_are_understood(rows):
    text = """WEBVTT - a title
Kind: captions

STYLE
::cue { color: lime }

REGION
id:bill

NOTE
00:00 is no cue, this is a comment

intro
01:02.345 --> 01:03.000 align:start position:10% line:0
<c.yellow><i>Hi</i></c> <00:01:02.600><b>you</b>

NOTE the end
"""
    assert rows("a.vtt", text) == [("unknown", 62.345, 63.0, "Hi you")]


def test_two_voices_in_one_cue_speak_at_once(rows):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ana>Yes\n<v Bob>No\n"
    assert rows("a.vtt", text) == [("Ana", 1.0, 2.0, "Yes"), ("Bob", 1.0, 2.0, "No")]
    text = "1\n00:00:01,000 --> 00:00:02,000\n[A]: Yes\n[B]: No\n"
    assert rows("a.srt", text) == [("A", 1.0, 2.0, "Yes"), ("B", 1.0, 2.0, "No")]


def test_tags_of_srt_are_taken_out_and_other_angles_stay(rows):
    text = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>If</i> a < b, <font color=#fff>then</font>\n"
    assert rows("a.srt", text)[0][3] == "If a < b, then"


def test_an_empty_line_inside_a_cue_does_not_end_it(rows):
    text = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\ntwo.\n\n2\n00:00:05,000 --> 00:00:06,000\nThree.\n"
    assert [row[3] for row in rows("a.srt", text)] == ["One two.", "Three."]
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\n\ntwo."
    assert [row[3] for row in rows("a.vtt", text)] == ["One two."]


def test_karaoke_repeats_of_highlight_words_are_one_cue(rows):
    text = """1
00:00:00,000 --> 00:00:00,400
<u>No</u> way

2
00:00:00,400 --> 00:00:00,600
No way

3
00:00:00,600 --> 00:00:01,000
No <u>way</u>

4
00:00:01,000 --> 00:00:01,500
<u>No</u> way

5
00:00:01,500 --> 00:00:02,000
No <u>way</u>
"""
    assert rows("a.srt", text, merge_gap=0) == [("unknown", 0.0, 1.0, "No way"), ("unknown", 1.0, 2.0, "No way")]


def test_what_is_no_speech_is_left_out_and_counted(report, rows):
    text = SRT + "".join(
        f"\n{number}\n00:02:0{number},000 --> 00:02:0{number},500\n{cue}\n"
        for number, cue in enumerate(["[music]", "♪", "♪ la la ♪", "(laughs)", "...", "", "[laughs] Fine."], 3)
    )
    assert rows("a.srt", text)[-1][3] == "[laughs] Fine."
    counts = report("a.srt", text)
    assert (counts.cues, counts.utterances, counts.unknown_speakers) == (9, 3, 3)
    assert counts.left_out == {"without speech, such as [music]": 5, "empty": 1}
    assert "left out: 5 without speech, such as [music], 1 empty" in str(counts)
    assert "of an unknown speaker: 3 utterances" in str(counts)


def test_brackets_with_many_percentages_are_read_at_once(rows):
    text = "a 5% " * 200
    assert rows("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\nSo [{text}] x\n")[0][3] == f"So [{text}] x"


def test_the_content_counts_for_more_than_the_suffix(report, rows):
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n"
    assert rows("a.srt", text) == rows("a.txt", text) == [("unknown", 1.0, 2.0, "Hi")]
    assert report("a.srt", text).notes == ["the file is called .srt, and read as the WebVTT that it holds"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_of_unicode_are_read(rows, encoding):
    assert rows("a.srt", SRT.replace("Hello", "Grüß"), encoded=encoding)[0][3] == "Grüß there."


def test_windows_1252_is_a_guess_that_is_reported(rows, report):
    text = SRT.replace("Hello", "Café “olé”")
    assert rows("a.srt", text, encoded="cp1252")[0][3] == "Café “olé” there."
    (note,) = report("a.srt", text, encoded="cp1252").notes
    assert note.startswith("line 3 not in UTF-8: read as Windows-1252")


def test_lines_of_two_encodings_are_each_read_in_their_own(rows):
    data = SRT.replace("Hello", "Café").encode() + "\n3\n00:02:00,000 --> 00:02:01,000\nÖl\n".encode("cp1252")
    assert [row[3] for row in rows("a.srt", data)] == ["Café there.", "How are you?", "Öl"]


def test_an_encoding_can_be_named(rows):
    text = SRT.replace("Hello", "こんにちは")
    assert rows("a.srt", text, encoded="shift-jis", encoding="shift-jis")[0][3] == "こんにちは there."


def test_windows_line_ends_make_no_difference(rows):
    assert rows("a.srt", SRT.replace("\n", "\r\n")) == rows("a.srt", SRT)


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
{}
hello<00:00:00.480><c> and</c><00:00:00.640><c> welcome</c><00:00:01.120><c> to</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello and welcome to
{}

00:00:02.399 --> 00:00:04.550 align:start position:0%
hello and welcome to
the<00:00:02.560><c> show</c><00:00:02.800><c> today</c>

00:00:04.550 --> 00:00:04.560 align:start position:0%
the show today
{}

00:00:06.550 --> 00:00:09.550 align:start position:0%
so<00:00:07.560><c> nice</c>
""".replace("{}", " ")
ROLLED_SRT = """1
00:00:00,160 --> 00:00:02,389
hello and welcome to

2
00:00:02,389 --> 00:00:02,399
hello and welcome to
{}

3
00:00:02,399 --> 00:00:04,550
hello and welcome to
the show today

4
00:00:04,550 --> 00:00:04,560
the show today

5
00:00:06,550 --> 00:00:09,550
so nice
""".replace("{}", " ")


@pytest.mark.parametrize(("name", "text"), [("talk.en.vtt", ROLLING), ("talk.srt", ROLLED_SRT)], ids=["vtt", "srt"])
def test_captions_that_roll_up_the_screen_are_read_once(rows, report, name, text):
    assert rows(name, text) == [
        ("unknown", 0.16, 4.55, "hello and welcome to the show today"),
        ("unknown", 6.55, 9.55, "so nice"),
    ]
    assert "2 repeats of rolling captions" in str(report(name, text))


def test_times_of_words_in_a_cue_tell_who_says_which(rows, transcript):
    turns = transcript("who.rttm", "SPEAKER a 1 0 1.6 <NA> <NA> Ana\nSPEAKER a 1 1.6 3 <NA> <NA> Bob\n")
    text = "WEBVTT\n\n00:00.000 --> 00:03.000\none<00:00.800> two<00:01.700><c> three</c><00:02.000> four\n"
    assert rows("a.vtt", text, speakers=turns) == [("Ana", 0.0, 1.7, "one two"), ("Bob", 1.7, 3.0, "three four")]


def test_somebody_who_says_the_same_twice_is_heard_twice(rows):
    text = "1\n00:00:00,000 --> 00:00:01,000\nA: No.\n\n2\n00:00:01,000 --> 00:00:02,000\nA: No.\n\n"
    text += "3\n00:00:02,000 --> 00:00:03,000\nA: Well, yes.\n\n4\n00:00:03,000 --> 00:00:04,000\nA: Or not.\n"
    assert [text for *_, text in rows("a.srt", text, merge_gap=0)] == ["No.", "No.", "Well, yes.", "Or not."]


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (("我们今天", "开会。"), "我们今天开会。"),
        (("今日は", "いい天気ですね"), "今日はいい天気ですね"),
        (("สวัสดี", "ครับ"), "สวัสดีครับ"),
        (("我用", "Python"), "我用 Python"),
        (("안녕", "하세요"), "안녕 하세요"),
        (("good", "morning"), "good morning"),
    ],
    ids=["Chinese", "Japanese", "Thai", "mixed", "Korean", "English"],
)
def test_scripts_without_spaces_between_words_get_none(rows, lines, joined):
    one, two = lines
    assert rows("a.srt", f"1\n00:00:00,000 --> 00:00:01,000\n{one}\n{two}\n") == [("unknown", 0.0, 1.0, joined)]
    text = f"1\n00:00:00,000 --> 00:00:01,000\n{one}\n\n2\n00:00:01,100 --> 00:00:02,000\n{two}\n"
    assert rows("a.srt", text) == [("unknown", 0.0, 2.0, joined)]
