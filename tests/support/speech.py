"""Sounds that a detector of speech takes for speech, and a small model that recognises words."""

from pathlib import Path

import numpy as np
import torch
from scipy import signal
from transformers import (
    AddedToken,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from .media import RATE

_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240), (530, 1840, 2480))


def say(seconds: float, pitch: float = 120.0) -> np.ndarray:
    """Vowels of 0.2 s, as a throat and a mouth form them: (samples,) float32."""
    times = np.arange(round(seconds * RATE)) / RATE
    frequencies = pitch * (1 + 0.08 * np.sin(2 * np.pi * 1.3 * times))
    throat = signal.sawtooth(2 * np.pi * np.cumsum(frequencies) / RATE)
    throat += 0.05 * np.random.default_rng(0).normal(size=len(times))
    syllables = []
    for index, begin in enumerate(range(0, len(times), RATE // 5)):
        sound = throat[begin : begin + RATE // 5]
        for formant, width in zip(_VOWELS[3 * index % 5], (80, 90, 120), strict=True):
            radius = np.exp(-np.pi * width / RATE)
            turn = 2 * np.pi * formant / RATE
            sound = signal.lfilter([1 - radius], [1, -2 * radius * np.cos(turn), radius**2], sound)
        syllables.append(sound / np.abs(sound).max() * np.sqrt(np.hanning(len(sound) + 2)[1:-1]))
    return (0.5 * np.concatenate(syllables)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    """(samples,) float32."""
    return np.zeros(round(seconds * RATE), np.float32)


def save_whisper(folder: Path, with_word_times: bool = True) -> Path:
    """Save a whisper that hears "hello hello" whatever is said."""
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    vocab = {token: index for index, token in enumerate(["a", "b", "Ġ", "Ġhello", *special])}
    tokenizer = WhisperTokenizer(vocab=vocab, merges=[], additional_special_tokens=special[1:])
    times = [AddedToken(f"<|{index / 50:.2f}|>", special=False, normalized=False) for index in range(1501)]
    tokenizer.add_tokens(times)
    end, hello = vocab["<|endoftext|>"], vocab["Ġhello"]
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=8,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_target_positions=64,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=vocab["<|startoftranscript|>"],
        begin_suppress_tokens=[],
        suppress_tokens=[],
    )
    model = WhisperForConditionalGeneration(config)
    decoder = model.model.decoder
    with torch.no_grad():  # every state is that of "hello"
        decoder.layer_norm.weight.zero_()
        decoder.layer_norm.bias.copy_(
            50 * decoder.embed_tokens.weight[hello] / decoder.embed_tokens.weight[hello].norm()
        )
    generation = model.generation_config
    generation._from_model_config = False
    generation.suppress_tokens = generation.begin_suppress_tokens = None
    generation.max_new_tokens = 6
    generation.no_timestamps_token_id = vocab["<|notimestamps|>"]
    generation.is_multilingual = generation.return_timestamps = False
    if with_word_times:
        generation.alignment_heads = [[0, 0], [0, 1]]
    for part in (model, tokenizer, WhisperFeatureExtractor(feature_size=8)):
        part.save_pretrained(folder)
    return folder
