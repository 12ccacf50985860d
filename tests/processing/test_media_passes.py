"""Many utterances of one recording: it is opened once and decoded once, and each has its own sound and pictures."""

from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from joyful_hf import FoalNetProcessor
from joyful_hf.processing import media_files
from joyful_hf.processing.media import MediaError
from joyful_hf.processing.media_files import MediaFile
from joyful_hf.processing.media_pictures import get_pictures, pictures_of_all
from joyful_hf.processing.waveforms import get_waveform, waveforms_of_all
from tests.support.media import RATE, pictures_that_brighten, tone, wav_bytes, write_recording

OVERLAPPING = [(0.0, 1.0), (0.4, 2.6), (0.5, 0.9), (2.0, 3.0), (2.0, 2.5), (3.1, 4.0)]


@pytest.fixture(scope="module")
def meeting(tmp_path_factory) -> Path:
    """Four seconds of a tone that rises, and of a picture that brightens."""
    sound = np.concatenate([tone(0.5, 200 + 100 * step, 48000) for step in range(8)])
    path = tmp_path_factory.mktemp("meeting") / "meeting.mkv"
    return write_recording(path, sound, pictures_that_brighten(40), codec="flac")


@pytest.fixture
def decoded(monkeypatch) -> Counter[str]:
    """Counts the files that are opened, and the frames that are decoded."""
    counts: Counter[str] = Counter()
    opened, frames = MediaFile.__init__, MediaFile.frames

    def count_opened(self, *arguments):
        counts["files"] += 1
        opened(self, *arguments)

    def count_frames(self, *arguments):
        for frame in frames(self, *arguments):
            counts["frames"] += 1
            yield frame

    monkeypatch.setattr(MediaFile, "__init__", count_opened)
    monkeypatch.setattr(MediaFile, "frames", count_frames)
    return counts


def cut_out(path: Path, cuts) -> list[dict]:
    return [{"video": str(path), "start": start, "end": end} for start, end in cuts]


READERS = {
    "sound": (lambda utterances: waveforms_of_all(utterances, 48000), lambda one: get_waveform(one, 48000)),
    "pictures": (lambda utterances: pictures_of_all(utterances, 4), lambda one: get_pictures(one, 4)),
}


@pytest.mark.parametrize("kind", READERS)
class TestOnePass:
    def test_overlapping_utterances_are_each_what_they_are_alone(self, meeting, kind):
        of_all, of_one = READERS[kind]
        utterances = cut_out(meeting, OVERLAPPING)
        for utterance, found in zip(utterances, of_all(utterances), strict=True):
            np.testing.assert_array_equal(found, of_one(utterance))

    def test_the_file_is_opened_once_and_decoded_once(self, meeting, decoded, kind):
        of_all, _ = READERS[kind]
        with av.open(str(meeting)) as container:
            stream = container.streams.audio[0] if kind == "sound" else container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
        list(of_all(cut_out(meeting, OVERLAPPING)))
        assert decoded["files"] == 1
        assert frames - 4 <= decoded["frames"] <= frames

    def test_utterances_grouped_by_speaker_take_a_pass_each(self, meeting, decoded, kind):
        of_all, of_one = READERS[kind]
        utterances = cut_out(meeting, [*OVERLAPPING, *OVERLAPPING])
        found = list(of_all(utterances))
        assert decoded["files"] == 2
        for utterance, own in zip(utterances, found, strict=True):
            np.testing.assert_array_equal(own, of_one(utterance))

    def test_a_bad_cut_among_good_ones_fails_alone(self, meeting, kind):
        of_all, _ = READERS[kind]
        bad = [{"start": 9.0, "end": 9.5}, {"start": 2.0, "end": 1.0}]
        utterances = cut_out(meeting, [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)])
        mixed = [utterances[0] | bad[0], utterances[1], utterances[2] | bad[1], utterances[3]]
        first, second, third, fourth = of_all([utterances[0], *mixed[1:3], utterances[3]])
        assert isinstance(third, MediaError)
        assert not any(isinstance(each, MediaError) for each in (first, second, fourth))
        *_, last = of_all([utterances[1], utterances[3] | bad[0]])
        assert "meeting.mkv: 'start' (9 s) is past the end of the recording" in str(last)

    def test_a_bad_cut_inside_a_long_one_costs_no_second_pass(self, meeting, decoded, kind):
        of_all, of_one = READERS[kind]
        long, _, short = utterances = cut_out(meeting, [(0.0, 3.9), (0.5, 9.0), (1.0, 2.0)])
        found = list(of_all(utterances))
        assert decoded["files"] == 1
        assert "'end' (9 s) is past the end of the recording" in str(found[1])
        np.testing.assert_array_equal(found[0], of_one(long))
        np.testing.assert_array_equal(found[2], of_one(short))

    def test_files_that_alternate_stay_open_and_too_many_are_opened_again(self, tmp_path, decoded, kind, monkeypatch):
        of_all, _ = READERS[kind]
        names = ("alice.mkv", "bob.mkv", "carol.mkv")
        sound, pictures = tone(2, rate=48000), pictures_that_brighten(20)
        files = [write_recording(tmp_path / name, sound, pictures) for name in names]
        utterances = [
            utterance
            for start in (0.0, 0.5, 1.0, 1.5)
            for file in files
            for utterance in cut_out(file, [(start, start + 0.5)])
        ]
        expected = list(of_all(utterances))
        assert decoded["files"] == 3
        monkeypatch.setattr(media_files, "_MOST_OPEN_FILES", 2)
        for found, own in zip(of_all(utterances), expected, strict=True):
            np.testing.assert_allclose(found, own, atol=1e-6)

    def test_a_long_pause_is_jumped_over(self, tmp_path, decoded, kind, monkeypatch):
        of_all, of_one = READERS[kind]
        monkeypatch.setattr(media_files, "_LONG_PAUSE", 1.0)
        sound = np.concatenate([tone(1, 200 + 100 * step, 48000) for step in range(8)])
        path = write_recording(tmp_path / "pause.mkv", sound, pictures_that_brighten(80))
        utterances = cut_out(path, [(0.2, 0.6), (6.5, 7.0), (7.1, 7.5)])
        found = list(of_all(utterances))
        assert decoded["files"] == 1
        for utterance, own in zip(utterances, found, strict=True):
            np.testing.assert_array_equal(own, of_one(utterance))


def test_a_recording_that_breaks_off_fails_where_it_does(tmp_path):
    path = tmp_path / "half.wav"
    path.write_bytes(wav_bytes(tone(4))[: 44 + 4 * RATE])  # two seconds of four
    *heard, lost, later = waveforms_of_all(
        [{"audio": path, "start": start, "end": start + 1} for start in (0.0, 0.5, 1.0, 1.5, 3.0)], RATE
    )
    assert [len(each) for each in heard] == [RATE] * 3
    assert "half.wav: breaks off after 2.00 of 4.00 s" in str(lost)
    assert "half.wav: " in str(later)


def test_sound_whose_file_tells_no_times_is_cut_by_its_length(monkeypatch):
    frames = MediaFile.frames
    monkeypatch.setattr(MediaFile, "frames", lambda *given: ((None, frame) for _, frame in frames(*given)))
    sound = np.concatenate([tone(0.4, 200 + 100 * step) for step in range(4)])
    utterances = [{"audio": wav_bytes(sound), "start": 0.2, "end": 0.6}]
    (found,) = waveforms_of_all(utterances, RATE)
    np.testing.assert_allclose(found, sound[round(0.2 * RATE) : round(0.6 * RATE)], atol=1e-4)


def test_foal_net_opens_a_recording_of_many_utterances_once(meeting, decoded):
    utterances = [{"speaker": "A", "audio": str(meeting), "start": start, "end": start + 0.5} for start in range(4)]
    processor = FoalNetProcessor(video_dim=0)
    batch = processor([{"utterances": utterances}], return_labels=False)
    assert batch["attention_mask"].sum(1).tolist() == [8000] * 4
    assert decoded["files"] == 1
