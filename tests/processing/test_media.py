"""Decoding: every format gives its sound and its pictures, cut where told, and every bad file is named."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf.processing import DialogueError, media
from joyful_hf.processing.feature_cache import FeatureCache
from joyful_hf.processing.media import MediaError
from joyful_hf.processing.media_pictures import decode_frames, get_pictures
from joyful_hf.processing.media_sound import decode_audio
from joyful_hf.processing.waveforms import get_waveform
from joyful_hf.transcripts.recording import Recording
from tests.support.media import (
    AUDIO_CODECS,
    RATE,
    VIDEO_CODECS,
    pictures_that_brighten,
    tone,
    wav_bytes,
    write_clip,
    write_recording,
)

SUFFIXES = [*AUDIO_CODECS, *VIDEO_CODECS]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> dict[str, Path]:
    """Four seconds of each format: a second each of 200, 400, 600 and 800 Hz; the videos brighten."""
    folder = tmp_path_factory.mktemp("recordings")
    sound = np.concatenate([tone(1, frequency, 48000) for frequency in (200, 400, 600, 800)])
    pictures = pictures_that_brighten(40)
    return {
        suffix: write_recording(folder / f"Ses01: a{suffix}", sound, pictures if suffix in VIDEO_CODECS else None)
        for suffix in SUFFIXES
    }


def main_frequency(waveform: np.ndarray, rate: int) -> float:
    return float(np.fft.rfftfreq(len(waveform), 1 / rate)[np.abs(np.fft.rfft(waveform)).argmax()])


def brightness(pictures: np.ndarray) -> np.ndarray:
    return pictures.mean((1, 2, 3)) / 255


class TestSound:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_of_every_format(self, recordings, suffix):
        waveform, rate = decode_audio(recordings[suffix])
        assert rate == 48000
        assert waveform.dtype == np.float32
        assert len(waveform) / rate == pytest.approx(4, abs=0.1)
        assert waveform.std() == pytest.approx(0.5 / 2**0.5, abs=0.02)

    @pytest.mark.parametrize("suffix", SUFFIXES)
    @pytest.mark.parametrize(("start", "frequency"), [(0, 200), (1, 400), (3, 800)])
    def test_a_cut_of_every_format(self, recordings, suffix, start, frequency):
        waveform, rate = decode_audio(recordings[suffix], start + 0.1, start + 0.9)
        assert len(waveform) / rate == pytest.approx(0.8, abs=0.01)
        for part in np.array_split(waveform, 4):
            assert main_frequency(part, rate) == pytest.approx(frequency, abs=10)

    def test_a_cut_is_that_part_of_the_whole(self, recordings):
        for suffix in (".wav", ".flac", ".mkv"):
            whole, rate = decode_audio(recordings[suffix])
            cut, _ = decode_audio(recordings[suffix], 1.5, 2.25)
            np.testing.assert_array_equal(cut, whole[round(1.5 * rate) : round(2.25 * rate)])

    @given(cut=st.tuples(st.floats(0, 0.9), st.floats(0.02, 1)))
    def test_a_cut_is_that_part_of_the_whole_wherever_it_lies(self, cut):
        start, end = cut[0], min(1.0, cut[0] + cut[1])
        noise = np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32)
        whole, _ = decode_audio(wav_bytes(noise))
        found, _ = decode_audio(wav_bytes(noise), start, end)
        np.testing.assert_array_equal(found, whole[round(start * RATE) : round(end * RATE)])

    def test_bytes_are_as_good_as_a_path(self, recordings):
        for suffix in SUFFIXES:
            expected, _ = decode_audio(recordings[suffix], 1, 2)
            np.testing.assert_array_equal(decode_audio(recordings[suffix].read_bytes(), 1, 2)[0], expected)

    def test_channels_are_averaged(self):
        stereo = np.stack([tone(0.1), -tone(0.1) / 2], axis=1)
        np.testing.assert_allclose(decode_audio(wav_bytes(stereo))[0], tone(0.1) / 4, atol=1e-4)

    def test_a_channel_is_heard_alone_and_cut_like_the_whole(self):
        stereo = wav_bytes(np.stack([tone(1, 200), tone(1, 800)], axis=1))
        for channel, frequency in enumerate((200, 800)):
            utterance = {"audio": stereo, "start": 0.2, "end": 0.7, "channel": channel}
            waveform = get_waveform(utterance, RATE)
            assert len(waveform) == RATE / 2
            assert main_frequency(waveform, RATE) == frequency
            assert waveform.std() == pytest.approx(0.5 / 2**0.5, abs=0.02)

    @pytest.mark.parametrize(
        ("channel", "message"),
        [
            (2, "'channel' is 2, counted from 0, and there are 1"),
            (-1, "counted from 0, got -1"),
            ("left", "counted from 0, got 'left'"),
            (True, "counted from 0, got True"),
        ],
    )
    def test_a_channel_that_cannot_be_is_refused(self, channel, message):
        with pytest.raises(MediaError, match=message):
            get_waveform({"audio": wav_bytes(tone(0.1)), "channel": channel}, RATE)
        with pytest.raises(MediaError, match="'channel'"):
            get_waveform({"audio": {"array": tone(0.1), "sampling_rate": RATE}, "channel": channel}, RATE)

    def test_two_speakers_of_one_recording_have_vectors_of_their_own_in_the_cache(self, tmp_path):
        cache, file = FeatureCache(tmp_path), tmp_path / "call.wav"
        file.write_bytes(wav_bytes(np.stack([tone(1, 200), tone(1, 800)], axis=1)))
        keys = {
            cache.key({"audio": str(file)} | own, "audio", "logmel") for own in ({}, {"channel": 0}, {"channel": 1})
        }
        assert len(keys) == 3

    def test_a_file_and_its_array_are_one(self):
        array = {"array": tone(0.5, rate=44100), "sampling_rate": 44100}
        utterances = [{"audio": audio} for audio in (array, wav_bytes(array["array"], 44100))]
        for cut in ({}, {"start": 0.1, "end": 0.3}, {"start": 0.2}):
            of_array, of_file = (get_waveform(one | cut, RATE) for one in utterances)
            assert of_array.shape == of_file.shape
            np.testing.assert_allclose(of_array, of_file, atol=1e-3)

    def test_it_is_brought_to_the_rate_that_is_asked_for(self):
        waveform = get_waveform({"audio": wav_bytes(tone(1, 300, 22050), 22050)}, RATE)
        assert len(waveform) == RATE
        assert main_frequency(waveform, RATE) == 300

    def test_a_video_brings_its_own(self, recordings):
        video = str(recordings[".mp4"])
        assert len(get_waveform({"video": video, "start": 1, "end": 2}, RATE)) == RATE
        audio = wav_bytes(tone(0.1))
        assert len(get_waveform({"video": video, "audio": audio}, RATE)) == RATE / 10

    def test_without_any(self):
        assert get_waveform({}, RATE) is None
        assert get_waveform({"video": pictures_that_brighten(3)}, RATE) is None
        assert get_waveform({"video": "openface.csv"}, RATE) is None

    def test_a_table_of_bytes_and_path_as_data_sets_hold_it(self, recordings):
        expected = get_waveform({"audio": str(recordings[".wav"])}, RATE)
        for audio in (
            {"bytes": recordings[".wav"].read_bytes(), "path": None},
            {"bytes": None, "path": str(recordings[".wav"])},
        ):
            np.testing.assert_array_equal(get_waveform({"audio": audio}, RATE), expected)

    def test_an_end_a_little_past_the_file_is_the_file_s(self):
        audio = wav_bytes(tone(1))
        assert len(decode_audio(audio, 0.5, 1 + media.END_TOLERANCE / 2)[0]) == RATE / 2


class TestPictures:
    @pytest.mark.parametrize("suffix", VIDEO_CODECS)
    def test_of_every_format(self, recordings, suffix):
        pictures = decode_frames(recordings[suffix], 4)
        assert (pictures.shape, pictures.dtype) == ((4, 32, 32, 3), np.uint8)
        np.testing.assert_allclose(brightness(pictures), [1 / 8, 3 / 8, 5 / 8, 7 / 8], atol=0.05)

    @pytest.mark.parametrize("suffix", VIDEO_CODECS)
    def test_a_cut_of_every_format(self, recordings, suffix):
        pictures = decode_frames(recordings[suffix], 2, 2, 3)
        np.testing.assert_allclose(brightness(pictures), [2.25 / 4, 2.75 / 4], atol=0.05)
        of_bytes = decode_frames(recordings[suffix].read_bytes(), 2, 2, 3)
        np.testing.assert_array_equal(of_bytes, pictures)

    def test_a_video_of_few_pictures_repeats_them(self, tmp_path):
        path = write_recording(tmp_path / "short.mp4", pictures=pictures_that_brighten(2))
        np.testing.assert_allclose(brightness(decode_frames(path, 4)), [0, 0, 1, 1], atol=0.05)

    @pytest.mark.parametrize(
        ("numbers", "shown"),
        [
            ((1, 0, 0, 1), lambda picture: picture),
            ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
            ((1, 0, 0, -1), lambda picture: picture[::-1]),
            ((-1, 0, 0, -1), lambda picture: picture[::-1, ::-1]),
            ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
            ((0, -1, 1, 0), lambda picture: np.rot90(picture)),
            ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
            ((0, -1, -1, 0), lambda picture: np.rot90(picture, 2).transpose(1, 0, 2)),
        ],
        ids=lambda value: str(value) if isinstance(value, tuple) else "shown",
    )
    def test_the_display_matrix_is_honoured_whole(self, numbers, shown, tmp_path):
        pictures = np.zeros((4, 32, 48, 3), np.uint8)
        pictures[:, :16, :24] = 255  # the top left
        pictures[:, :16, 24:, 0] = 255
        path = write_recording(tmp_path / "plain.mp4", pictures=pictures)
        (plain,) = decode_frames(path, 1)
        turned = bytearray(path.read_bytes())
        at = turned.index(b"tkhd") + 4 + 40
        a, b, c, d = (number << 16 for number in numbers)
        turned[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        np.testing.assert_array_equal(decode_frames(bytes(turned), 1)[0], shown(plain))

    def test_a_video_that_was_filmed_sideways_is_set_upright(self, tmp_path):
        pictures = np.zeros((5, 32, 64, 3), np.uint8)
        pictures[:, :16] = 255
        path = write_recording(tmp_path / "upright.mp4", pictures=pictures)
        turned = bytearray(path.read_bytes())
        matrix = turned.index(b"tkhd") + 4 + 40  # the track's header: what it is turned by for display
        numbers = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)  # clockwise by 90 degrees
        turned[matrix : matrix + 36] = struct.pack(">9i", *numbers)
        found = decode_frames(bytes(turned), 2)
        assert found.shape == (2, 64, 32, 3)
        np.testing.assert_array_equal(found, np.rot90(decode_frames(path, 2), -1, axes=(1, 2)))

    def test_an_array(self):
        video = pictures_that_brighten(80)
        for array in (video, video.tolist()):
            pictures = get_pictures({"video": array, "start": 100.0}, 4)
            np.testing.assert_array_equal(pictures, video[[10, 30, 50, 70]])


def bad_files(folder: Path) -> dict[str, tuple[str | bytes, str]]:
    """Case -> what `audio` and `video` hold, and what is said of it."""
    (folder / "empty.wav").touch()
    (folder / "text.mp4").write_text("not a video at all " * 100)
    write_recording(folder / "none.wav", np.zeros(0, np.float32))
    whole = write_clip(folder / "whole.mp4").read_bytes()
    (folder / "cut off.mp4").write_bytes(whole[: len(whole) // 3])
    return {
        "missing": (str(folder / "missing.wav"), "missing.wav: there is no such file"),
        "a folder": (str(folder), ": is no file"),
        "empty": (str(folder / "empty.wav"), "empty.wav: the file is empty"),
        "empty bytes": (b"", "the bytes given: are empty"),
        "unreadable": (str(folder / "text.mp4"), "text.mp4: cannot be decoded"),
        "unreadable bytes": (b"RIFF and so on", "the bytes given: cannot be decoded"),
        "cut off": (str(folder / "cut off.mp4"), "cut off.mp4: cannot be decoded"),
        "an address": ("https://example.org/clip.mp4", "clip.mp4: there is no such file"),
    }


CASES = ("missing", "a folder", "empty", "empty bytes", "unreadable", "unreadable bytes", "cut off", "an address")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return bad_files(tmp_path_factory.mktemp("bad"))


class TestBadFiles:
    @pytest.mark.parametrize("case", CASES)
    def test_are_named(self, files, case):
        medium, message = files[case]
        for read in (lambda: get_waveform({"audio": medium}, RATE), lambda: get_pictures({"video": medium}, 2)):
            with pytest.raises(MediaError) as caught:
                read()
            assert message in str(caught.value)

    def test_sound_of_no_length(self, tmp_path):
        path = write_recording(tmp_path / "none.wav", np.zeros(0, np.float32))
        with pytest.raises(MediaError, match=r"none\.wav: "):
            decode_audio(path)

    def test_a_video_without_a_sound_track(self, tmp_path):
        path = write_recording(tmp_path / "mute.mp4", pictures=pictures_that_brighten(5))
        with pytest.raises(MediaError, match=r"mute\.mp4: there is no sound track"):
            decode_audio(path)

    def test_a_sound_without_pictures(self, recordings):
        with pytest.raises(MediaError, match="there are no pictures"):
            decode_frames(recordings[".wav"], 2)

    @pytest.mark.parametrize("suffix", [".wav", ".mp4"])
    @pytest.mark.parametrize(
        ("cut", "message"),
        [
            ({"start": 2, "end": 1}, r"'end' \(1 s\) is not after 'start' \(2 s\)"),
            ({"start": 1, "end": 1}, r"'end' \(1 s\) is not after 'start' \(1 s\)"),
            ({"start": 9}, r"'start' \(9 s\) is past the end of the recording \(4\.\d+ s\)"),
            ({"start": 9, "end": 10}, r"'start' \(9 s\) is past the end of the recording \(4\.\d+ s\)"),
            ({"start": 3, "end": 10}, r"'end' \(10 s\) is past the end of the recording \(4\.\d+ s\)"),
            ({"start": -1}, "'start' must be a number of seconds of at least 0, got -1"),
            ({"end": float("nan")}, "'end' must be a number of seconds of at least 0, got nan"),
            ({"start": "1:30"}, "'start' must be a number of seconds of at least 0, got '1:30'"),
        ],
        ids=str,
    )
    def test_a_cut_that_is_not_there(self, recordings, suffix, cut, message):
        path = str(recordings[suffix])
        with pytest.raises(MediaError, match=message):
            get_waveform({"audio": path} | cut, RATE)
        if suffix == ".mp4":
            with pytest.raises(MediaError, match=message):
                get_pictures({"video": path} | cut, 2)

    @pytest.mark.parametrize(
        ("video", "message"),
        [
            (np.zeros((3, 8, 8), np.uint8), r"must be a path, bytes, or \(frames, height, width, 3\) uint8"),
            (np.zeros((3, 8, 8, 3), np.float32), "must be a path, bytes, or"),
            (np.zeros((0, 8, 8, 3), np.uint8), "is empty"),
            (np.full((1, 8, 8, 3), 256), "numbers from 0 to 255, got 256 to 256"),
            (3, "must be a path, bytes, or"),
        ],
        ids=["no colours", "floats", "empty", "too large", "a number"],
    )
    def test_an_array_that_is_no_video(self, video, message):
        with pytest.raises(MediaError, match=message):
            get_pictures({"video": video}, 2)

    def test_a_playlist_opens_no_address(self, tmp_path):
        playlist = tmp_path / "list.m3u8"
        playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
        with pytest.raises(MediaError, match="cannot be decoded"):
            decode_audio(playlist)


def test_without_pyav_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImportError) as caught:
        decode_audio(wav_bytes(tone(0.1)))
    assert str(caught.value) == (
        'decoding audio and video needs av, which is not installed: pip install "av>=15.0" "pillow>=11.0"'
    )


PCM = {
    "int8": lambda sound: (sound * 2**7).astype(np.int8),
    "uint8": lambda sound: (sound * 2**7 + 2**7).astype(np.uint8),
    "int16": lambda sound: (sound * 2**15).astype(np.int16),
    "uint16": lambda sound: (sound * 2**15 + 2**15).astype(np.uint16),
    "int32": lambda sound: (sound * 2**31).astype(np.int32),
}


class TestIntegerSamples:
    @pytest.mark.parametrize("kind", PCM)
    @pytest.mark.parametrize("as_list", [False, True])
    def test_are_scaled_by_their_type_as_a_file_s_are(self, kind, as_list):
        if as_list and kind in ("int8", "uint16"):
            pytest.skip("a list has no type, and no tool writes these")
        sound = tone(0.5, rate=RATE)
        array = PCM[kind](sound)
        audio = {"array": array.tolist() if as_list else array, "sampling_rate": RATE}
        step = 2.0 ** -(7 if "8" in kind else 14)
        np.testing.assert_allclose(get_waveform({"audio": audio}, RATE), sound, atol=step)

    def test_are_those_of_the_file(self):
        sound = tone(0.5, rate=RATE)
        audio = {"array": (sound * 32767).astype("<i2"), "sampling_rate": RATE}
        np.testing.assert_array_equal(get_waveform({"audio": audio}, RATE), decode_audio(wav_bytes(sound))[0])

    @pytest.mark.parametrize("bits", [8, 16, 32])
    def test_floats_of_an_integer_s_range_are_refused_with_the_divisor(self, bits):
        audio = {"array": tone(0.1, rate=RATE).astype(np.float64) * 2 ** (bits - 1), "sampling_rate": RATE}
        with pytest.raises(DialogueError, match=rf"their range \({2 ** (bits - 1)} for {bits}-bit"):
            get_waveform({"audio": audio}, RATE)

    def test_a_sound_that_overshoots_a_little_is_read(self):
        loud = tone(0.1, rate=RATE, loudness=1.5)
        np.testing.assert_array_equal(get_waveform({"audio": {"array": loud, "sampling_rate": RATE}}, RATE), loud)


def cut_off(path: Path, share: float = 0.5) -> Path:
    """Write the first part of a file beside it."""
    data = path.read_bytes()
    part = path.with_name(f"part of {path.name}")
    part.write_bytes(data[: int(share * len(data))])
    return part


class TestBreakingOff:
    @pytest.mark.parametrize("suffix", [".wav", ".mkv", ".webm"])
    def test_a_sound_that_breaks_off_is_refused_with_where(self, recordings, suffix, tmp_path):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(recordings[suffix].read_bytes())
        with pytest.raises(MediaError, match=r"breaks off after \d\.\d\d of 4\.0\d s"):
            decode_audio(cut_off(path))

    def test_so_are_bytes(self):
        with pytest.raises(MediaError, match=r"breaks off after 0\.50 of 1\.00 s"):
            decode_audio(wav_bytes(tone(1.0, rate=RATE))[: 44 + RATE])

    @pytest.mark.parametrize("suffix", [".mkv", ".webm"])
    def test_pictures_that_stop_are_refused_with_where(self, recordings, suffix, tmp_path):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(recordings[suffix].read_bytes())
        with pytest.raises(MediaError, match=r"breaks off after \d\.\d\d of 4\.0\d s"):
            decode_frames(cut_off(path), 8)

    def test_a_cut_before_the_break_is_read(self, recordings, tmp_path):
        path = tmp_path / "a.wav"
        path.write_bytes(recordings[".wav"].read_bytes())
        assert len(decode_audio(cut_off(path), 0.5, 1.5)[0]) == 48000

    def test_pictures_may_end_before_the_sound_and_the_other_way_round(self, tmp_path):
        sound, pictures = tone(2.0, rate=48000), pictures_that_brighten(20)
        for suffix in (".mkv", ".mp4", ".webm"):
            path = write_recording(tmp_path / f"short{suffix}", sound, pictures[:10])
            assert len(decode_frames(path, 4)) == 4
            path = write_recording(tmp_path / f"quiet{suffix}", sound[:48000], pictures)
            assert len(decode_audio(path)[0]) == pytest.approx(48000, abs=2500)

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
    def test_a_wav_file_from_a_pipe_says_no_size(self, size):
        data = bytearray(wav_bytes(tone(0.5, rate=RATE)))
        data[40:44] = struct.pack("<I", size)
        if size:
            assert len(decode_audio(bytes(data))[0]) == RATE // 2


class TestUnknownCodecs:
    @pytest.fixture
    def damaged(self, recordings, tmp_path):
        """A film whose sound, or whose pictures, nobody can decode."""

        def make(*boxes):
            data = recordings[".mp4"].read_bytes()
            for box in boxes:
                assert box in data
                data = data.replace(box, b"zzzz")
            path = tmp_path / "film.mp4"
            path.write_bytes(data)
            return path

        return make

    def test_of_sound(self, damaged):
        film = damaged(b"mp4a", b"esds")
        for read, error in ((decode_audio, MediaError), (Recording.of, DialogueError)):
            with pytest.raises(error, match=r"film\.mp4: its sound cannot be decoded: the codec is unknown"):
                read(film)
        assert len(decode_frames(film, 4)) == 4

    def test_of_pictures(self, damaged):
        film = damaged(b"avc1", b"avcC")
        with pytest.raises(MediaError, match=r"film\.mp4: its pictures cannot be decoded: the codec is unknown"):
            decode_frames(film, 4)
        assert len(decode_audio(film)[0])


class TestChannels:
    @pytest.mark.parametrize("second", [-1.0, -0.9])
    def test_in_opposite_phase_do_not_cancel_each_other(self, second):
        sound = tone(0.5, rate=RATE)
        heard, _ = decode_audio(wav_bytes(np.stack([sound, second * sound], axis=1)))
        np.testing.assert_allclose(heard, sound, atol=1e-4)

    @pytest.mark.parametrize("second", [0.0, 1.0, 0.5, -0.2])
    def test_are_averaged_otherwise(self, second):
        sound = tone(0.5, rate=RATE)
        heard, _ = decode_audio(wav_bytes(np.stack([sound, second * sound], axis=1)))
        np.testing.assert_allclose(heard, (1 + second) / 2 * sound, atol=1e-4)

    def test_that_have_nothing_in_common_are_averaged(self):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2)).astype(np.float32)
        np.testing.assert_allclose(decode_audio(wav_bytes(noise))[0], noise.mean(1), atol=1e-4)
