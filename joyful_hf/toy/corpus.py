"""A toy corpus of emotional two-party dialogues whose best possible accuracy is known exactly.

The corpus is drawn from a small hidden Markov model, `ToyDialogueModel`, that needs what real conversations need:

- *Context and speakers.* An utterance's emotion follows the speaker's own last emotion (inertia) and the other's last
  emotion (reaction). Turn taking is irregular, so one must know who speaks to tell the two apart.
- *All modalities.* Each modality shows one noisy part of the emotion: text its valence, audio its arousal, video
  whether the speaker approaches or withdraws. One part leaves three of the six emotions open, two parts leave up to
  two, all three name the emotion.

             text     audio    video                  text      audio    video
  joy        pleasant excited  approach   sadness     unpleasant quiet   withdraw
  affection  pleasant quiet    approach   fear        unpleasant excited withdraw
  calm       pleasant quiet    withdraw   anger       unpleasant excited approach

Because the model is known, the posterior of every emotion given a whole dialogue is computed exactly by
forward-backward: `emotion_posteriors`, `best_possible_accuracy`, `accuracy_of_best_decisions`. The same functions give
the ceilings of weaker observers: fewer modalities, no context, or context without speakers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from datasets import Dataset, DatasetDict, Features, Value

EMOTIONS = ("joy", "affection", "calm", "sadness", "fear", "anger")
MODALITIES = ("text", "audio", "visual")
FEATURE_DIMS = {"text": 8, "audio": 6, "visual": 4}

EMOTION_PARTS = {
    "text": np.array([+1, +1, +1, -1, -1, -1]),  # valence: pleasant, unpleasant
    "audio": np.array([+1, -1, -1, -1, +1, +1]),  # arousal: excited, quiet
    "visual": np.array([+1, +1, -1, -1, -1, +1]),  # direction: approach, withdraw
}
"""The part of each emotion, in the order of `EMOTIONS`, that a modality shows: (6,) of +1 and -1."""

COUNTERPARTS = {
    "joy": "affection",
    "affection": "joy",
    "calm": "sadness",
    "sadness": "calm",
    "fear": "anger",
    "anger": "fear",
}
"""The emotion that an emotion calls forth in the other speaker.

Counterparts come in pairs (anger frightens, fear invites anger), and the two of a pair differ in a single part, each
pair in another one. So a pair of speakers can stay in their two roles for a while; an observer who does not know who
speaks finds the pair but must tell its two emotions apart by one noisy modality.
"""

Context = Literal["speakers", "no_speakers", "none"]
"""The knowledge of an observer besides the features of the utterance itself: all other utterances and who speaks
each ("speakers"), the other utterances but not who speaks ("no_speakers"), or nothing ("none")."""

_NUM_EMOTIONS = len(EMOTIONS)
_NOT_YET = _NUM_EMOTIONS  # the "last emotion" of somebody who has not spoken yet
_NUM_STATES = _NUM_EMOTIONS * (_NUM_EMOTIONS + 1)
_SAME_SPEAKER, _OTHER_SPEAKER, _UNKNOWN_SPEAKER = range(3)
_DIRECTION_SEED = 20240  # belongs to the corpus, not to a draw: every split and every seed share the prototypes

_SPEAKERS = ("Anna", "Ben", "Clara", "David", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas")
_SENTENCES = {
    +1: (
        "That is good to hear.",
        "I really like it this way.",
        "This turned out well.",
        "What a lovely day we have.",
        "I am glad that we talk about it.",
        "It could not be better.",
    ),
    -1: (
        "That is hard to hear.",
        "I do not like it this way.",
        "This turned out badly.",
        "What an awful day we have.",
        "I wish that we did not have to talk about it.",
        "It could not be worse.",
    ),
}


@dataclass(frozen=True)
class ToyDialogueModel:
    """The hidden Markov model of the toy corpus. The defaults are the corpus; other values are for experiments.

    The numbers are chosen so that every missing ingredient is costly and yet a small network comes within a few
    percent of the best after a minute of training. The best possible accuracy of an observer, by exact inference on
    4000 dialogues:

    | sees | accuracy |
    |---|---|
    | everything | 0.88 |
    | the dialogue, but not who speaks | 0.81 |
    | one utterance without its context | 0.75 |
    | the dialogue in two modalities | 0.69 |
    | the dialogue in one modality | 0.47 |

    Attributes:
        inertia: probability that a speaker keeps their own last emotion.
        reaction: probability that a speaker shows the counterpart of the other's last emotion.
            In all other cases, and in place of a last emotion that does not exist yet, any of the six emotions is
            equally likely. Counterparts permute the emotions, so every utterance's marginal is exactly uniform.
        switch_probability: probability that the other speaker takes the next turn.
        min_utterances, max_utterances: a dialogue's length is uniform between the two, both included.
        noise: standard deviation of the isotropic Gaussian noise around a prototype, the same for all modalities. The
            two prototypes of a modality lie at distance 1 from the origin on opposite sides, so that a modality
            shows the wrong part with probability Phi(-1 / noise), 12 % by default.
    """

    inertia: float = 0.44
    reaction: float = 0.34
    switch_probability: float = 0.55
    min_utterances: int = 8
    max_utterances: int = 24
    noise: float = 0.85

    def __post_init__(self) -> None:
        if self.inertia < 0 or self.reaction < 0 or self.inertia + self.reaction >= 1:
            raise ValueError(
                f"inertia and reaction must be probabilities with a sum below 1, got {self.inertia}, {self.reaction}"
            )
        if not 0 <= self.switch_probability <= 1:
            raise ValueError(f"switch_probability must be a probability, got {self.switch_probability}")
        if not 1 <= self.min_utterances <= self.max_utterances:
            raise ValueError(
                f"1 <= min_utterances <= max_utterances is violated: {self.min_utterances}, {self.max_utterances}"
            )
        if self.noise <= 0:
            raise ValueError(f"noise must be positive, got {self.noise}")

    def emotion_table(self) -> np.ndarray:
        """Return P(emotion | own last emotion, other's last emotion): (own 7, other 7, emotion 6).

        The index 6 of the first two axes means that this speaker has not spoken yet.
        """
        table = np.zeros((_NUM_EMOTIONS + 1, _NUM_EMOTIONS + 1, _NUM_EMOTIONS))
        for emotion, counterpart in COUNTERPARTS.items():
            own = other = EMOTIONS.index(emotion)
            table[own, :, own] += self.inertia
            table[:, other, EMOTIONS.index(counterpart)] += self.reaction
        remainder = 1 - table.sum(axis=-1, keepdims=True)
        return table + remainder / _NUM_EMOTIONS

    def sample_dialogue(self, generator: np.random.Generator, dialogue_id: str) -> dict[str, Any]:
        """Draw one dialogue as a record of this package, with labels, sentences and features."""
        table = self.emotion_table()
        length = int(generator.integers(self.min_utterances, self.max_utterances + 1))
        switches = generator.random(length) < self.switch_probability
        speaker, listener = generator.choice(_SPEAKERS, size=2, replace=False).tolist()

        speakers, emotions = [], np.zeros(length, dtype=np.int64)
        own_last = other_last = _NOT_YET
        for position in range(length):
            if position > 0 and switches[position]:
                speaker, listener = listener, speaker
                own_last, other_last = other_last, own_last
            own_last = int(generator.choice(_NUM_EMOTIONS, p=table[own_last, other_last]))
            speakers.append(speaker)
            emotions[position] = own_last

        features = {}
        for modality in MODALITIES:
            prototypes = EMOTION_PARTS[modality][emotions, None] * part_direction(modality)
            noise = self.noise * generator.standard_normal(prototypes.shape)
            features[modality] = (prototypes + noise).astype(np.float32)

        # The sentence follows the observed features, not the emotion: it carries nothing beyond them.
        pleasant = features["text"] @ part_direction("text") > 0
        utterances = [
            {
                "speaker": speakers[position],
                "text": str(generator.choice(_SENTENCES[+1 if pleasant[position] else -1])),
                "label": EMOTIONS[emotions[position]],
                **{f"{modality}_features": features[modality][position].tolist() for modality in MODALITIES},
            }
            for position in range(length)
        ]
        return {"dialogue_id": dialogue_id, "utterances": utterances}

    def state_transitions(self) -> np.ndarray:
        """Return P(next state | state, who speaks next): (who 3, state 42, next state 42).

        A state is (emotion of this utterance, last emotion of the other speaker), flattened from (6, 7). The next
        speaker is the same one, the other one, or unknown, which mixes the two by `switch_probability`.
        """
        table = self.emotion_table()
        same = np.zeros((_NUM_EMOTIONS, _NUM_EMOTIONS + 1, _NUM_EMOTIONS, _NUM_EMOTIONS + 1))
        other = np.zeros_like(same)
        for current in range(_NUM_EMOTIONS):
            for other_last in range(_NUM_EMOTIONS + 1):
                same[current, other_last, :, other_last] = table[current, other_last]
                other[current, other_last, :, current] = table[other_last, current]
        unknown = (1 - self.switch_probability) * same + self.switch_probability * other
        return np.stack([same, other, unknown]).reshape(3, _NUM_STATES, _NUM_STATES)


DEFAULT_MODEL = ToyDialogueModel()


def part_direction(modality: str) -> np.ndarray:
    """Return the unit vector (feature,) of a modality; its two prototypes are this vector and its negative.

    A fixed random direction, so that the part is spread over all features as in real embeddings.
    """
    generator = np.random.default_rng([_DIRECTION_SEED, MODALITIES.index(modality)])
    direction = generator.standard_normal(FEATURE_DIMS[modality])
    return direction / np.linalg.norm(direction)


def make_toy_corpus(
    num_train: int = 800,
    num_validation: int = 100,
    num_test: int = 200,
    seed: int = 0,
    model: ToyDialogueModel = DEFAULT_MODEL,
) -> DatasetDict:
    """Draw the toy corpus: the splits train, validation and test, one dialogue per row.

    The same seed gives the same dialogues. Each split has its own random generator, so a split does not depend on the
    size of another one, and a larger split starts with the dialogues of a smaller one. The default sizes (about 8000
    utterances to train on) are enough to come within a few percent of the best possible accuracy and small enough
    for a minute of training on two CPU cores.

    Args:
        num_train, num_validation, num_test: number of dialogues in each split.
        seed: seed of the draw.
        model: the hidden Markov model to draw from.

    Returns:
        A `DatasetDict`; a row is `{"dialogue_id": …, "utterances": [{"speaker", "text", "label", "text_features" (8,),
        "audio_features" (6,), "visual_features" (4,)}, …]}`.
    """
    sizes = {"train": num_train, "validation": num_validation, "test": num_test}
    if min(sizes.values()) < 1:
        raise ValueError(f"Every split needs at least one dialogue, got {sizes}.")
    features = Features(
        {
            "dialogue_id": Value("string"),
            "utterances": [
                {
                    "speaker": Value("string"),
                    "text": Value("string"),
                    "label": Value("string"),
                    **{f"{modality}_features": [Value("float32")] for modality in MODALITIES},
                }
            ],
        }
    )
    splits = DatasetDict()
    for (split, size), split_seed in zip(sizes.items(), np.random.SeedSequence(seed).spawn(len(sizes)), strict=True):
        generator = np.random.default_rng(split_seed)
        dialogues = [model.sample_dialogue(generator, f"{split}-{index:04d}") for index in range(size)]
        splits[split] = Dataset.from_list(dialogues, features=features)
    return splits


def emotion_posteriors(
    dialogues: Iterable[Mapping[str, Any]],
    *,
    modalities: Sequence[str] = MODALITIES,
    context: Context = "speakers",
    model: ToyDialogueModel = DEFAULT_MODEL,
) -> list[np.ndarray]:
    """Return the exact posterior of every utterance's emotion, given what an observer sees of the whole dialogue.

    Forward-backward over the last emotions of the two speakers, vectorised over dialogues and states. A modality that
    an utterance lacks (absent or None) tells nothing about it.

    Args:
        dialogues: toy dialogues, drawn from `model`. Labels are not used.
        modalities: the modalities that the observer sees.
        context: what the observer knows beside the utterance itself.
        model: the hidden Markov model that the dialogues were drawn from.

    Returns:
        One array (utterance, emotion) per dialogue; its rows sum to 1, its columns are in the order of `EMOTIONS`.
    """
    if unknown := set(modalities) - set(MODALITIES):
        raise ValueError(f"Unknown modalities {sorted(unknown)}; the toy corpus has {MODALITIES}.")
    if context not in get_args(Context):
        raise ValueError(f"Unknown context {context!r}; choose one of {get_args(Context)}.")
    dialogues = list(dialogues)
    lengths = [len(dialogue["utterances"]) for dialogue in dialogues]
    if sum(lengths) == 0:
        raise ValueError("There are no utterances.")
    # Beyond the end of a dialogue, zeros: observations that tell nothing leave the utterances before them unchanged.
    log_likelihood = np.zeros((len(dialogues), max(lengths), _NUM_EMOTIONS))
    next_speaker = np.full((len(dialogues), max(lengths)), _UNKNOWN_SPEAKER)
    for index, (dialogue, length) in enumerate(zip(dialogues, lengths, strict=True)):
        for modality in modalities:
            log_likelihood[index, :length] += _log_likelihood(dialogue, modality, model)
        if context == "speakers":
            next_speaker[index, 1:length] = _turns(dialogue)

    if context == "none":
        posterior = _normalise(_likelihood(log_likelihood))  # the prior is exactly uniform
    else:
        posterior = _forward_backward(_likelihood(log_likelihood), next_speaker, model)
    return [posterior[index, :length] for index, length in enumerate(lengths)]


def best_possible_accuracy(
    dialogues: Iterable[Mapping[str, Any]],
    *,
    modalities: Sequence[str] = MODALITIES,
    context: Context = "speakers",
    model: ToyDialogueModel = DEFAULT_MODEL,
) -> float:
    """Return the expected accuracy of the best possible decisions on these dialogues: the ceiling of every classifier.

    The mean, over all utterances, of the largest posterior probability (`emotion_posteriors`, whose arguments these
    are). No classifier that sees the same can expect more. Labels are not used: on the labels that were actually
    drawn, a classifier may be a little luckier or unluckier; see `accuracy_of_best_decisions`.
    """
    posteriors = emotion_posteriors(dialogues, modalities=modalities, context=context, model=model)
    return float(np.concatenate(posteriors).max(axis=-1).mean())


def accuracy_of_best_decisions(
    dialogues: Iterable[Mapping[str, Any]],
    *,
    modalities: Sequence[str] = MODALITIES,
    context: Context = "speakers",
    model: ToyDialogueModel = DEFAULT_MODEL,
) -> float:
    """Return the accuracy that the best possible decisions reach on the labels of these dialogues.

    The arguments are those of `emotion_posteriors`. It scatters around `best_possible_accuracy` with the labels, as
    does every classifier's accuracy, so it is the figure to put beside a test score.
    """
    dialogues = list(dialogues)
    posteriors = emotion_posteriors(dialogues, modalities=modalities, context=context, model=model)
    labels = [EMOTIONS.index(utterance["label"]) for dialogue in dialogues for utterance in dialogue["utterances"]]
    return float((np.concatenate(posteriors).argmax(axis=-1) == labels).mean())


def _log_likelihood(dialogue: Mapping[str, Any], modality: str, model: ToyDialogueModel) -> np.ndarray:
    """Return log P(features of a modality | emotion) up to a constant per utterance: (utterance, emotion).

    Both prototypes have the same norm and the noise is isotropic: only the projection on their direction matters.
    """
    absent = np.zeros(FEATURE_DIMS[modality])
    vectors = [utterance.get(f"{modality}_features") for utterance in dialogue["utterances"]]
    features = np.array([absent if vector is None else vector for vector in vectors], dtype=np.float64)
    projection = features @ part_direction(modality)
    return np.outer(projection, EMOTION_PARTS[modality]) / model.noise**2


def _turns(dialogue: Mapping[str, Any]) -> list[int]:
    """Return who speaks the second and each later utterance, compared with the one before it: (utterance - 1,)."""
    speakers = [utterance["speaker"] for utterance in dialogue["utterances"]]
    if len(set(speakers)) > 2:
        raise ValueError(f"Dialogue {dialogue['dialogue_id']!r} has more than the two speakers of a toy dialogue.")
    return [_SAME_SPEAKER if speaker == previous else _OTHER_SPEAKER for previous, speaker in pairwise(speakers)]


def _likelihood(log_likelihood: np.ndarray) -> np.ndarray:
    """Return P(observation | emotion), scaled so that the largest along the last axis is 1."""
    return np.exp(log_likelihood - log_likelihood.max(axis=-1, keepdims=True))


def _normalise(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=-1, keepdims=True)


def _forward_backward(likelihood: np.ndarray, next_speaker: np.ndarray, model: ToyDialogueModel) -> np.ndarray:
    """Return the posterior of each utterance's emotion given its dialogue: (dialogue, utterance, emotion).

    Args:
        likelihood: P(observation | emotion) up to a factor per utterance, (dialogue, utterance, emotion).
        next_speaker: who speaks an utterance, compared with the one before it, (dialogue, utterance). The first column
            is not used.
        model: gives the transitions between states.
    """
    transitions = model.state_transitions()
    num_dialogues, num_utterances, _ = likelihood.shape
    emission = np.repeat(likelihood, _NUM_EMOTIONS + 1, axis=-1)  # (dialogue, utterance, state)
    # Normalised at every step, which cancels in the posterior and keeps the numbers in range.
    forward = np.zeros((num_dialogues, num_utterances, _NUM_STATES))
    backward = np.full((num_dialogues, num_utterances, _NUM_STATES), 1 / _NUM_STATES)

    start = np.zeros((_NUM_EMOTIONS, _NUM_EMOTIONS + 1))
    start[:, _NOT_YET] = model.emotion_table()[_NOT_YET, _NOT_YET]
    forward[:, 0] = _normalise(start.reshape(_NUM_STATES) * emission[:, 0])
    for step in range(1, num_utterances):
        predicted = forward[:, step - 1, None, :] @ transitions[next_speaker[:, step]]
        forward[:, step] = _normalise(predicted[:, 0] * emission[:, step])
    for step in range(num_utterances - 1, 0, -1):
        future = backward[:, step] * emission[:, step]
        backward[:, step - 1] = _normalise((transitions[next_speaker[:, step]] @ future[:, :, None])[:, :, 0])

    state_posterior = _normalise(forward * backward)
    return state_posterior.reshape(num_dialogues, num_utterances, _NUM_EMOTIONS, _NUM_EMOTIONS + 1).sum(axis=-1)
