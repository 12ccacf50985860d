"""The recording beside the transcript: its length, its channels, one file for each speaker."""

import numpy as np
import pytest

from joyful_hf.processing import DialogueError
from tests.support.media import pictures_that_brighten, tone, write_recording

SRT = """1
00:00:01,000 --> 00:00:02,000
[Ana]: Hello.

2
00:00:03,000 --> 00:00:04,000
[Bob]: Hi.
"""


def test_a_recording_of_sound_is_audio(read, recording):
    path = recording()
    assert [each["audio"] for each in read("a.srt", SRT, path)] == [str(path)] * 2


def test_a_recording_with_pictures_is_video(read, tmp_path):
    path = write_recording(tmp_path / "a.mp4", tone(5.0, rate=48000), pictures_that_brighten(50))
    (first, _) = read("a.srt", SRT, path)
    assert first["video"] == str(path)
    assert "audio" not in first


def test_each_speaker_may_have_a_channel(read, recording):
    found = read("a.srt", SRT, recording(channels=2), channels=["Bob", "Ana"])
    assert [(each["speaker"], each["channel"]) for each in found] == [("Ana", 1), ("Bob", 0)]


def test_a_channel_may_be_silent(read, recording):
    found = read("a.srt", SRT, recording(channels=3), channels=["Bob", None, "Ana"])
    assert [each["channel"] for each in found] == [2, 0]


def test_each_speaker_may_have_a_file(read, recording):
    media = {"Ana": recording("ana.wav"), "Bob": recording("bob.wav")}
    found = read("a.srt", SRT, media)
    assert [each["audio"] for each in found] == [str(media["Ana"]), str(media["Bob"])]


def test_a_speaker_without_a_file_is_reported(report, recording):
    assert report("a.srt", SRT, {"Ana": recording()}).notes == ["`media` has no recording of: Bob"]


def test_a_speaker_without_a_channel_is_reported(report, recording):
    notes = report("a.srt", SRT, recording(), channels=["Ana"]).notes
    assert notes == ["on all channels, as `channels` does not name them: Bob"]


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (
            ["Ana", "Rob"],
            r"a\.srt: `channels` names 'Rob', who does not speak here; did you mean Bob\?",
        ),
        (["Ana", "Ana"], "`channels` must name one speaker for each channel"),
        ("Ana", "`channels` must name one speaker for each channel"),
        ([], "`channels` must name one speaker for each channel"),
        (["Ana", "Bob"], "puts 'Bob' on channel 2, and the recording has 1; give the recording as it was before"),
    ],
)
def test_channels_that_cannot_be_are_refused(read, recording, channels, message):
    with pytest.raises(DialogueError, match=message):
        read("a.srt", SRT, recording(), channels=channels)


def test_an_unknown_speaker_of_media_is_refused(read, recording):
    with pytest.raises(DialogueError, match="`media` names 'Eve', who does not speak here"):
        read("a.srt", SRT, {"Eve": recording()})


def test_channels_of_the_transcript_that_the_recording_lacks_are_left_out(read, report, recording):
    text = "start,end,speaker,text,channel\n0,1,Ana,Hello,0\n1,2,Bob,Hi,1\n"
    assert [each.get("channel") for each in read("a.csv", text)] == [0, 1]
    assert [each.get("channel") for each in read("a.csv", text, recording())] == [0, None]
    assert "has fewer channels than the transcript" in str(report("a.csv", text, recording()))


def test_a_cue_past_the_end_is_refused_with_both_times(read, recording):
    message = r"a\.srt, cue 2 \(line 6\): the cue from 3.000 s to 4.000 s lies past the end of .* \(2.500 s\)"
    with pytest.raises(DialogueError, match=message):
        read("a.srt", SRT, recording(seconds=2.5))


def test_a_last_cue_that_ends_a_little_late_is_cut_and_reported(read, report, recording):
    assert read("a.srt", SRT, recording(seconds=3.5))[-1]["end"] == 3.5
    assert "ends 0.500 s after the recording, and was cut there" in str(report("a.srt", SRT, recording(seconds=3.5)))


def test_the_transcript_of_another_recording_is_recognised(read, recording):
    message = r"2 of 2 cues start past the end of the recording \(0.500 s\); is it the transcript of another one\?"
    with pytest.raises(DialogueError, match=message):
        read("a.srt", SRT, recording(seconds=0.5))


def test_utterances_without_times_cannot_be_cut_from_a_recording(read, recording):
    with pytest.raises(DialogueError, match=r"a\.csv, line 2: no start and end, without which the recording cannot"):
        read("a.csv", "dialogue_id,text\nd,Hello\n", recording())


def test_a_missing_or_broken_recording_is_named(read, tmp_path):
    with pytest.raises(DialogueError, match=r"none\.wav: there is no such recording"):
        read("a.srt", SRT, tmp_path / "none.wav")
    (tmp_path / "bad.wav").write_bytes(np.arange(999, dtype=np.int16).tobytes())
    with pytest.raises(DialogueError, match=r"bad\.wav: cannot be decoded"):
        read("a.srt", SRT, tmp_path / "bad.wav")


class TestFaces:
    @pytest.fixture
    def openface(self, tmp_path):
        path = tmp_path / "meeting.csv"
        path.write_text("frame, face_id, timestamp\n")
        return path

    def test_the_table_of_openface_stands_in_for_the_pictures(self, read, tmp_path, openface):
        meeting = write_recording(tmp_path / "meeting.mp4", tone(4, rate=48000), pictures_that_brighten(40))
        ana, bob = read("a.srt", SRT, meeting, openface=openface, faces={"Bob": 1})
        assert (ana["audio"], ana["video"], ana.get("face")) == (str(meeting), str(openface), None)
        assert (bob["audio"], bob["video"], bob["face"]) == (str(meeting), str(openface), 1)

    def test_sound_without_pictures_has_faces_too(self, read, recording, openface):
        utterance, *_ = read("a.srt", SRT, recording(), openface=openface)
        assert (utterance["audio"][-11:], utterance["video"]) == ("meeting.wav", str(openface))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"faces": {"Ana": 0}}, "give the file as `openface`"),
            ({"openface": "gone.csv"}, r"gone\.csv: there is no such CSV file of OpenFace"),
            ({"openface": None, "faces": {"Anna": 0}}, r"`faces` names 'Anna', who does not speak here; did you mean"),
        ],
        ids=["without a table", "missing", "a misspelt name"],
    )
    def test_faces_that_cannot_be_are_refused(self, read, recording, openface, options, message):
        options = {key: openface if value is None else value for key, value in options.items()}
        with pytest.raises(DialogueError, match=message):
            read("a.srt", SRT, recording(), **options)
