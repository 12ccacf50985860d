"""Recordings as phones, meetings and call centres make them: the right sound and pictures at the right time."""

import numpy as np
import pytest

from joyful_hf import JoyfulProcessor, extract_features
from joyful_hf.processing.media import MediaError
from joyful_hf.processing.media_pictures import decode_frames
from joyful_hf.processing.media_sound import MOST_RATE, decode_audio
from joyful_hf.processing.waveforms import get_waveform
from tests.processing.test_media import brightness, main_frequency
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

SECONDS = (200, 400, 600, 800)
"""Hz that is heard in each second."""


def scale(rate: int) -> np.ndarray:
    return np.concatenate([tone(1, frequency, rate) for frequency in SECONDS])


def with_channels(sound: np.ndarray, channels: int) -> np.ndarray:
    return np.repeat(sound[:, None], channels, axis=1)


ODD_SOUNDS = {
    "telephone.wav": {"rate": 8000, "codec": "pcm_alaw"},
    "telephone-mu.wav": {"rate": 8000, "codec": "pcm_mulaw"},
    "studio.wav": {"rate": 96000, "codec": "pcm_s24le"},
    "cinema.flac": {"rate": 48000, "layout": "5.1"},
    "cinema.m4a": {"rate": 48000, "layout": "5.1"},
    "browser.webm": {"rate": 48000, "options": {"live": "1"}},
    "late.mkv": {"rate": 48000, "sound_starts": 1.0},
    "late.mp4": {"rate": 48000, "sound_starts": 1.0},
}


@pytest.mark.parametrize("name", ODD_SOUNDS)
def test_each_second_sounds_as_it_was_recorded(name, tmp_path):
    settings = ODD_SOUNDS[name]
    late = settings.get("sound_starts", 0.0)
    sound = scale(settings["rate"])[round(late * settings["rate"]) :]
    if settings.get("layout") == "5.1":
        sound = with_channels(sound, 6)
    pictures = pictures_that_brighten(40) if late else None
    path = write_recording(tmp_path / name, sound, pictures, **settings)
    for second, frequency in enumerate(SECONDS):
        if second < late:
            continue
        waveform = get_waveform({"audio": path, "start": second + 0.1, "end": second + 0.9}, RATE)
        assert len(waveform) == pytest.approx(0.8 * RATE, abs=100)
        for part in np.array_split(waveform, 3):
            assert main_frequency(part, RATE) == pytest.approx(frequency, abs=15)


def test_before_a_late_sound_begins_there_is_nothing(tmp_path):
    path = write_recording(tmp_path / "late.mkv", tone(2, rate=48000), pictures_that_brighten(30), sound_starts=1.0)
    with pytest.raises(MediaError, match=r"late\.mkv: there is no sound from 'start' \(0 s\) on"):
        decode_audio(path, 0.0, 0.8)
    heard, rate = decode_audio(path, 0.5, 1.5)
    assert len(heard) / rate == pytest.approx(0.5, abs=0.03)


def test_pictures_that_come_at_uneven_times_are_those_seen_at_the_time(tmp_path):
    shown_at = [0, 0.1, 0.2, 0.3, 2.0, 2.1, 3.5, 3.9]
    levels = np.linspace(0, 255, len(shown_at)).astype(np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (len(levels), 32, 32, 3)).copy()
    for suffix in (".mp4", ".mkv", ".webm"):
        path = write_recording(tmp_path / f"uneven{suffix}", pictures=pictures, shown_at=shown_at)
        found = brightness(decode_frames(path, 4, 0.0, 3.6))  # at 0.45, 1.35, 2.25 and 3.15 s
        np.testing.assert_allclose(found, levels[[3, 3, 5, 5]] / 255, atol=0.05)


def test_pictures_of_a_browser_s_recording_without_a_duration(tmp_path):
    options = {"live": "1"}
    path = write_recording(tmp_path / "live.webm", tone(4, rate=48000), pictures_that_brighten(40), options=options)
    np.testing.assert_allclose(brightness(decode_frames(path, 2, 2, 3)), [2.25 / 4, 2.75 / 4], atol=0.05)


def test_the_end_of_pictures_that_begin_late_is_there(tmp_path):
    shown_at = [1 + index / 10 for index in range(20)]
    path = write_recording(tmp_path / "late.mp4", tone(3, rate=48000), pictures_that_brighten(20), shown_at=shown_at)
    np.testing.assert_allclose(brightness(decode_frames(path, 1, 2.7, 2.9)), [18 / 20], atol=0.07)


def of_rate(rate: int) -> bytes:
    """A WAV file whose header tells of a sampling rate."""
    data = bytearray(wav_bytes(tone(0.5)))
    data[24:28] = rate.to_bytes(4, "little")
    data[28:32] = (2 * rate % 2**32).to_bytes(4, "little")
    return bytes(data)


class TestDamageAndMalice:
    @pytest.mark.parametrize("rate", [1, 1999, MOST_RATE + 1, 2**31 - 1])
    def test_a_rate_that_no_recording_has_is_refused_before_memory_is_asked_for(self, rate):
        with pytest.raises(MediaError, match=r"sampling rate|cannot be decoded"):
            get_waveform({"audio": of_rate(rate)}, RATE)
        with pytest.raises(MediaError, match=f"a sampling rate of {rate} Hz, expected one from 2000 to 768000 Hz"):
            get_waveform({"audio": {"array": [0.1] * 100, "sampling_rate": rate}}, RATE)

    def test_a_damaged_file_is_masked_and_the_others_are_read(self, tmp_path):
        (tmp_path / "damaged.wav").write_bytes(of_rate(1))
        good = str(write_recording(tmp_path / "good.wav", tone(0.5, rate=48000)))
        utterances = [{"speaker": "A", "audio": audio} for audio in (good, str(tmp_path / "damaged.wav"), good)]
        processor = JoyfulProcessor(audio_extractor="logmel")
        (found,) = extract_features([{"utterances": utterances}], processor, cache_dir=tmp_path, verbose=False)
        assert [each["audio_features"] is None for each in found["utterances"]] == [False, True, False]

    def test_a_sound_of_hours_in_a_few_bytes_is_refused_with_a_way_out(self, tmp_path, monkeypatch):
        monkeypatch.setattr("joyful_hf.processing.media_sound._MOST_SAMPLES", 4 * 48000)
        path = write_recording(tmp_path / "hours.flac", np.zeros(8 * 48000, np.float32))
        with pytest.raises(MediaError, match="longer than the 0 minutes that one utterance may have"):
            decode_audio(path)
        assert len(decode_audio(path, 5.0, 7.0)[0]) == 2 * 48000

    def test_pictures_of_a_size_that_no_camera_makes_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("joyful_hf.processing.media_pictures.MOST_POINTS", 1000)
        path = write_recording(tmp_path / "large.mp4", pictures=pictures_that_brighten(5))
        with pytest.raises(MediaError, match=r"large\.mp4: pictures of 32 x 32 points, and 1000 points are the most"):
            decode_frames(path, 2)

    def test_a_long_sound_of_a_low_rate_is_refused_too(self, tmp_path, monkeypatch):
        monkeypatch.setattr("joyful_hf.processing.media_sound._MOST_SECONDS", 4)
        path = write_recording(tmp_path / "hours.flac", np.zeros(5 * 8000, np.float32), rate=8000)
        with pytest.raises(MediaError, match="longer than the 0 minutes that one utterance may have"):
            decode_audio(path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
            ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
            ("list.wav", "ffconcat version 1.0\nfile {}\n"),
        ],
        ids=["hls", "hls by another name", "concat"],
    )
    @pytest.mark.parametrize("form", ["{}", "file:{}", "../secret.mp4"])
    def test_a_list_of_files_opens_none_of_them(self, name, text, form, tmp_path):
        secret = write_clip(tmp_path / "secret.mp4")
        (tmp_path / "theirs").mkdir()
        path = tmp_path / "theirs" / name
        path.write_text(text.format(form.format(secret)))
        with pytest.raises(MediaError, match=rf"{name}: cannot be decoded"):
            decode_audio(path)

    def test_every_kind_of_recording_is_still_one(self, tmp_path):
        for suffix in (*AUDIO_CODECS, *VIDEO_CODECS):
            assert len(decode_audio(write_recording(tmp_path / f"sound{suffix}", tone(0.5, rate=48000)))[0]) > 20000
