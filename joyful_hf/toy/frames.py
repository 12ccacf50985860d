"""A toy corpus of frame sequences whose best possible accuracy is known exactly, for models of single utterances.

Each utterance has one of four emotions with two parts, and each stream shows one part well and the other badly:

             arousal (audio shows it well)    valence (video shows it well)
  joy        excited                          pleasant
  anger      excited                          unpleasant
  calm       quiet                            pleasant
  sadness    quiet                            unpleasant

A part is shown by a cue: a few frames in a row, anywhere in the noise of the sequence, lean to one side of a direction
or to the other. The cue is right 19 times in 20 in the stream that shows it well, and 7 times in 10 in the other.

Because all of this is known, the posterior of every emotion given the frames is known too: `emotion_posteriors`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, Value
from datasets import List as ListFeature

EMOTIONS = ("joy", "anger", "calm", "sadness")
PARTS = np.array([[+1, +1], [+1, -1], [-1, +1], [-1, -1]])
"""(emotions, 2): arousal and valence of each emotion."""
STREAMS = {"audio_frames": 16, "video_frames": 12}
"""Key of an utterance -> size of its frames."""
RELIABILITY = {"audio_frames": (0.95, 0.7), "video_frames": (0.7, 0.95)}
"""Key of an utterance -> share of right cues, of arousal and of valence."""

_FRAMES = {"audio_frames": (12, 24), "video_frames": (6, 16)}  # fewest and most per utterance
_CUE_FRAMES = 3
_CUE_STRENGTH = 1.75
_DIRECTION_SEED = 4663  # belongs to the corpus, not to a draw: every split and every seed share the directions
_DIALOGUES = {"train": 60, "validation": 25, "test": 100}
_FEATURES = Features(
    {
        "dialogue_id": Value("string"),
        "utterances": ListFeature(
            {
                "speaker": Value("string"),
                "label": Value("string"),
                **{key: ListFeature(ListFeature(Value("float32"))) for key in STREAMS},
            }
        ),
    }
)


def make_toy_frame_corpus(seed: int = 0) -> DatasetDict:
    """Draw 60 training, 25 validation and 100 test dialogues of 4 to 12 utterances."""
    rng = np.random.default_rng(seed)
    return DatasetDict(
        {
            split: Dataset.from_list([_dialogue(rng, f"{split}-{index}") for index in range(size)], features=_FEATURES)
            for split, size in _DIALOGUES.items()
        }
    )


def _dialogue(rng: np.random.Generator, name: str) -> dict[str, Any]:
    speakers = ("Anna", "Ben")
    return {
        "dialogue_id": name,
        "utterances": [
            {"speaker": speakers[index % 2]} | _utterance(rng, int(rng.integers(len(EMOTIONS))))
            for index in range(rng.integers(4, 13))
        ],
    }


def _utterance(rng: np.random.Generator, emotion: int) -> dict[str, Any]:
    utterance: dict[str, Any] = {"label": EMOTIONS[emotion]}
    for key, size in STREAMS.items():
        fewest, most = _FRAMES[key]
        frames = rng.normal(size=(rng.integers(fewest, most + 1), size))
        for part, direction, reliability in zip(PARTS[emotion], directions(key), RELIABILITY[key], strict=True):
            start = rng.integers(len(frames) - _CUE_FRAMES + 1)
            side = part if rng.random() < reliability else -part
            frames[start : start + _CUE_FRAMES] += side * _CUE_STRENGTH * direction
        utterance[key] = frames.astype(np.float32)
    return utterance


def directions(key: str) -> np.ndarray:
    """Return (2, size) orthogonal unit vectors, along which the cues of arousal and of valence lean."""
    rng = np.random.default_rng((_DIRECTION_SEED, list(STREAMS).index(key)))
    return np.linalg.qr(rng.normal(size=(STREAMS[key], 2)))[0].T


def emotion_posteriors(utterances: Iterable[Mapping[str, Any]], streams: Iterable[str] = tuple(STREAMS)) -> np.ndarray:
    """Return (utterances, emotions) probabilities given the frames of these streams, by exact inference."""
    return np.array([_posterior(utterance, tuple(streams)) for utterance in utterances])


def _posterior(utterance: Mapping[str, Any], streams: tuple[str, ...]) -> np.ndarray:
    # Likelihood of the frames given that each part is +1 or -1; the directions are orthogonal, so the cues factorise.
    likelihood = np.ones((2, 2))
    for key in streams:
        frames = np.asarray(utterance[key], np.float64)
        for part, direction in enumerate(directions(key)):
            leaning = np.convolve(frames @ direction, np.ones(_CUE_FRAMES), mode="valid")
            of_side = np.array([np.exp(_CUE_STRENGTH * side * leaning).mean() for side in (+1, -1)])
            right = RELIABILITY[key][part]
            likelihood[part] *= np.array([[right, 1 - right], [1 - right, right]]) @ of_side
    columns = (1 - PARTS) // 2
    joint = likelihood[0, columns[:, 0]] * likelihood[1, columns[:, 1]]
    return joint / joint.sum()


def _utterances(dialogues: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [utterance for dialogue in dialogues for utterance in dialogue["utterances"]]


def best_possible_accuracy(dialogues: Iterable[Mapping[str, Any]], streams: Iterable[str] = tuple(STREAMS)) -> float:
    """Return the accuracy that exact inference expects on these dialogues; their labels are not read."""
    return float(emotion_posteriors(_utterances(dialogues), streams).max(-1).mean())


def accuracy_of_best_decisions(dialogues: Iterable[Mapping[str, Any]]) -> float:
    """Return the accuracy of exact inference on the labels of these dialogues."""
    utterances = _utterances(dialogues)
    found = emotion_posteriors(utterances).argmax(-1)
    return float(
        np.mean([EMOTIONS[index] == utterance["label"] for index, utterance in zip(found, utterances, strict=True)])
    )
