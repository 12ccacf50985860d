"""Small recordings, made on the spot, and small encoders in folders, for tests of raw media."""

import io
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

RATE = 16000
AUDIO_CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac", ".ogg": "libopus"}
VIDEO_CODECS = {".mp4": ("libx264", "aac"), ".mkv": ("libx264", "pcm_s16le"), ".webm": ("libvpx", "libopus")}


def tone(seconds: float, frequency: float = 220.0, rate: int = RATE, loudness: float = 0.5) -> np.ndarray:
    """(samples,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (loudness * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def wav_bytes(sound: np.ndarray, rate: int = RATE) -> bytes:
    """(samples,) or (samples, channels) -> a WAV file."""
    samples = sound.reshape(len(sound), -1)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def pictures_that_brighten(count: int, size: int = 32) -> np.ndarray:
    """(count, size, size, 3) uint8: from black to white."""
    levels = np.linspace(0, 255, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, 3)).copy()


def write_recording(
    path: Path,
    sound: np.ndarray | None = None,
    pictures: np.ndarray | None = None,
    rate: int = 48000,
    fps: int = 10,
    *,
    codec: str | None = None,
    layout: str = "mono",
    sound_starts: float = 0.0,
    shown_at: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a file of the kind that its suffix says, by PyAV.

    Args:
        sound: (samples,) or (samples, channels).
        codec: of the sound, by default the usual one.
        layout: names of the channels.
        sound_starts: seconds before the sound begins.
        shown_at: the second of each picture, in place of `fps`.
        options: of the container.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec, audio_codec = VIDEO_CODECS.get(path.suffix) or ("", AUDIO_CODECS[path.suffix])
    with av.open(f"file:{path}", "w", options=options or {}) as container:
        streams: list[tuple[Any, Any]] = []
        if pictures is not None:
            stream: Any = container.add_stream(video_codec, rate=fps if shown_at is None else 1000)
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt = "yuv420p"
            frames = [av.VideoFrame.from_ndarray(one, format="rgb24") for one in pictures]
            for frame, seconds in zip(frames, shown_at or (), strict=shown_at is not None):
                frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
            streams.append((stream, frames))
        if sound is not None:
            stream = container.add_stream(codec or audio_codec, rate=rate, layout=layout)
            samples = (sound.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
            frame.sample_rate = rate
            frame.pts, frame.time_base = round(sound_starts * rate), Fraction(1, rate)
            streams.append((stream, [frame] if sound.size else []))
        for stream, frames in streams:
            for frame in [*frames, None]:
                for packet in stream.encode(frame):
                    container.mux(packet)
    return path


def write_clip(path: Path, seconds: float = 1.0) -> Path:
    """A video with its own sound, a tone of 220 Hz, that brightens from black to white at 10 pictures a second."""
    return write_recording(path, tone(seconds, rate=48000), pictures_that_brighten(round(10 * seconds)))


def make_text_encoder(folder: Path) -> Path:
    """A BERT of two layers with a vocabulary of characters, as a folder."""
    characters = {character: index for index, character in enumerate("[ abcdefghijklmnopqrstuvwxyz!?.")}
    tokenizer = Tokenizer(BPE(vocab=characters | {"[PAD]": 40, "[UNK]": 41}, merges=[], unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=42, max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return folder


def make_speech_encoder(folder: Path) -> Path:
    """A wav2vec 2.0 of one layer, whose front normalises over time, as a folder."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    convolutions = {"conv_dim": [8, 8], "conv_kernel": [10, 8], "conv_stride": [5, 4], "num_feat_extract_layers": 2}
    torch.manual_seed(0)
    config = Wav2Vec2Config(**sizes, **convolutions, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def make_image_encoder(folder: Path) -> Path:
    """A CLIP of one layer that sees pictures of 16 x 16, as a folder."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vision = sizes | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=sizes, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder
