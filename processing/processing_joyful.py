"""`JoyfulProcessor`: dialogues -> one packed graph batch. Used by JOYFUL and AR-IIGCN."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from transformers import BatchFeature

from .dialogues import (
    FEATURE_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    DialogueError,
    Utterance,
    as_dialogue_list,
    dialogue_name,
    get_features,
    get_utterances,
    utterance_name,
)
from .graph import num_relations, relation_ids, window_edges
from .labels import REGRESSION, encode_labels, join_labels
from .processor_base import EmotionRecognitionProcessor, EncodedExample, NamedUtterances
from .standardization import feature_statistics
from .summary import summarize_dialogues


@dataclass
class EncodedDialogue(EncodedExample):
    """One dialogue as arrays, ready to be packed with others. n is its number of utterances."""

    features: dict[str, np.ndarray]
    """Modality -> (n, dim) float32, standardised, zeros where absent."""
    modality_mask: np.ndarray
    """(n, 3) bool: text, audio, visual present."""
    speaker_ids: np.ndarray
    """(n,) int64."""
    labels: np.ndarray | None
    """As `labels` of the batch, or None where no label was asked for."""

    def __len__(self) -> int:
        return len(self.speaker_ids)

    @property
    def present(self) -> np.ndarray:
        """As in the base class."""
        return self.modality_mask

    def keep_modalities(self, kept: np.ndarray) -> Self:
        """As in the base class. The features stay: a model does not read them where the mask says they are absent."""
        return replace(self, modality_mask=self.modality_mask & kept)


class JoyfulProcessor(EmotionRecognitionProcessor):
    """Turns dialogues with utterance-level features into one packed graph batch, without padding.

    All parameters are plain JSON and survive `save_pretrained` and `from_pretrained`.

    Args:
        text_dim, audio_dim, visual_dim: size of each modality's feature vectors. A modality of size 0 is not
            part of the model, and its features are not read.
        window_past, window_future: utterances from which a node receives (besides itself); -1 is unlimited.
            8 is the paper's choice for IEMOCAP 4-way (section 4.2).
        relation_scheme: `"speaker_pair"` (the papers': 2 * max_speakers**2 relations) or `"same_or_other"`
            (4 relations, any number of speakers).
        max_speakers: most speakers in one dialogue that `"speaker_pair"` can tell apart.
        speaker_to_id: fixed speaker ids. By default a speaker's id is its order of appearance in the dialogue.
        label2id: class name -> index; string labels need it.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, and the
            rest is single-label.
        feature_statistics: modality -> {"mean": [...], "std": [...]}, learnt by `fit`; features are
            standardised with it. None leaves them as they are.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    def __init__(
        self,
        text_dim: int = 0,
        audio_dim: int = 0,
        visual_dim: int = 0,
        window_past: int = 8,
        window_future: int = 8,
        relation_scheme: str = "speaker_pair",
        max_speakers: int = 2,
        speaker_to_id: dict[str, int] | None = None,
        label2id: dict[str, int] | None = None,
        problem_type: str | None = None,
        feature_statistics: dict[str, dict[str, list[float]]] | None = None,
    ) -> None:
        super().__init__(label2id, problem_type)
        self.text_dim = text_dim
        self.audio_dim = audio_dim
        self.visual_dim = visual_dim
        self.window_past = window_past
        self.window_future = window_future
        self.relation_scheme = relation_scheme
        self.max_speakers = max_speakers
        self.speaker_to_id = speaker_to_id
        self.feature_statistics = feature_statistics
        self._check_parameters()

    def _check_parameters(self) -> None:
        least = {"text_dim": 0, "audio_dim": 0, "visual_dim": 0, "window_past": -1, "window_future": -1}
        self._check_least(least | {"max_speakers": 1})
        num_relations(self.relation_scheme, self.max_speakers)
        for speaker, speaker_id in (self.speaker_to_id or {}).items():
            if speaker_id < 0 or (self.relation_scheme == "speaker_pair" and speaker_id >= self.max_speakers):
                raise ValueError(
                    f"speaker_to_id gives {speaker!r} the id {speaker_id}; ids start at 0, "
                    f"and 'speaker_pair' holds max_speakers={self.max_speakers} of them"
                )
        for modality, statistics in (self.feature_statistics or {}).items():
            if modality not in MODALITIES or set(statistics) != {"mean", "std"}:
                raise ValueError(
                    f"feature_statistics hold {modality!r}: {', '.join(map(repr, statistics)) or 'nothing'}; "
                    f"they give 'mean' and 'std' of {', '.join(MODALITIES)}"
                )
            sizes = {len(statistics["mean"]), len(statistics["std"])}
            if sizes != {self.dims[modality]}:
                raise ValueError(
                    f"feature_statistics of {modality} have sizes {sizes}, {modality}_dim is {self.dims[modality]}"
                )
            if not all(deviation > 0 for deviation in statistics["std"]):
                raise ValueError(f"feature_statistics of {modality}: every 'std' must be above 0")

    @property
    def dims(self) -> dict[str, int]:
        """Modality -> size of its feature vectors."""
        return {modality: getattr(self, f"{modality}_dim") for modality in MODALITIES}

    @property
    def reads_anything(self) -> bool:
        """Whether at least one modality is part of the model."""
        return any(self.dims.values())

    @property
    def num_relations(self) -> int:
        """How many relation ids the edges of this processor's batches can have."""
        return num_relations(self.relation_scheme, self.max_speakers)

    @property
    def model_input_names(self) -> list[str]:
        """Keys of a batch, in order."""
        features = [FEATURE_KEYS[modality] for modality, dim in self.dims.items() if dim]
        return ["dialogue_lengths", *features, "modality_mask", "speaker_ids", "edge_index", "edge_type", "labels"]

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """A processor made to measure for a training set: sizes, labels, task and standardisation.

        Relations default to `"same_or_other"`, which never meets a dialogue with too many speakers.

        Args:
            dialogues: the training dialogues.
            **parameters: any parameter of the processor; what is given is not inferred. `feature_statistics=None`
                leaves features as they are.

        Raises:
            DialogueError: no features at all, or anything that `summarize_dialogues` refuses.
        """
        dialogue_list = as_dialogue_list(dialogues)
        summary = summarize_dialogues(dialogue_list)
        if not any(summary.feature_sizes.values()):
            raise DialogueError(
                "no utterance has text_features, audio_features or visual_features; "
                "this processor reads utterance-level features"
            )
        inferred: dict[str, Any] = {f"{modality}_dim": size for modality, size in summary.feature_sizes.items()}
        inferred |= {
            "relation_scheme": "same_or_other",
            "max_speakers": max(2, summary.max_speakers),
            "label2id": summary.label2id if parameters.get("problem_type") != REGRESSION else None,
            "problem_type": summary.problem_type,
        }
        processor = cls(**(inferred | parameters))
        return processor if "feature_statistics" in parameters else processor.fit(dialogue_list)

    @classmethod
    def published_parameters(cls, dialogues: Iterable[Dialogue]) -> dict[str, Any]:
        """The published relations, with room for these dialogues."""
        most = summarize_dialogues(dialogues).max_speakers
        return {"relation_scheme": "speaker_pair", "max_speakers": max(2, most)}

    def model_kwargs(self) -> dict[str, Any]:
        """What a model's config must share with this processor: `JoyfulConfig(**processor.model_kwargs())`."""
        shared: dict[str, Any] = {f"{modality}_dim": dim for modality, dim in self.dims.items()}
        shared |= {"relation_scheme": self.relation_scheme, "max_speakers": self.max_speakers}
        return shared | super().model_kwargs()

    def fit(self, dialogues: Dialogue | Iterable[Dialogue]) -> Self:
        """Learn each modality's mean and standard deviation from the training dialogues.

        Utterances that lack a modality take no part in its statistics. Returns the processor itself.
        """
        dialogue_list = as_dialogue_list(dialogues)
        self.feature_statistics = {
            modality: feature_statistics(self._raw_vectors(dialogue_list, modality), dim)
            for modality, dim in self.dims.items()
            if dim
        }
        return self

    def _raw_vectors(self, dialogues: Sequence[Dialogue], modality: str) -> Iterable[np.ndarray]:
        for position, dialogue in enumerate(dialogues):
            name = dialogue_name(dialogue, position)
            for index, utterance in enumerate(get_utterances(dialogue, name)):
                place = utterance_name(name, index)
                features = get_features(utterance, modality, self.dims[modality], place)
                if features is not None:
                    yield features

    def __call__(
        self,
        dialogues: Dialogue | Iterable[Dialogue],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """One dialogue or a list of dialogues -> the packed graph batch.

        With N utterances, E edges and B dialogues, in this order:
        `dialogue_lengths` (B,); `text_features`, `audio_features`, `visual_features` (N, dim), those with
        dim > 0; `modality_mask` (N, 3); `speaker_ids` (N,); `edge_index` (2, E); `edge_type` (E,); and
        `labels` if any utterance has one.

        Args:
            dialogues: records with `utterances`, see the README.
            return_tensors: `"pt"` for torch tensors, None for numpy arrays.
            return_labels: False leaves labels out, also such as the processor does not know.

        Raises:
            DialogueError: bad input; the message names the dialogue and the utterance.
        """
        return self.pack(self.encode(dialogues, return_labels), return_tensors)

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[EncodedDialogue]:
        encoded = [self._encode_one(name, utterances, problem_type) for name, utterances in named]
        if not any(one.modality_mask.any() for one in encoded):
            self._refuse_raw_media(named)
        return encoded

    def encode_next(self, utterance: Any, name: str, speakers: dict[str, int]) -> EncodedDialogue:
        """As in the base class: a dialogue of this utterance alone, whose speaker has the id of the whole."""
        begins = not speakers
        utterances = get_utterances({"utterances": [utterance]}, name)
        encoded = self._encode_one(name, utterances, None, speakers)
        if begins and not encoded.modality_mask.any():
            self._refuse_raw_media([(name, utterances)])
        return encoded

    def join(self, encoded: Sequence[EncodedDialogue]) -> list[EncodedDialogue]:
        """As in the base class: one dialogue."""
        features = {name: np.concatenate([one.features[name] for one in encoded]) for name in encoded[0].features}
        return [
            EncodedDialogue(
                features=features,
                modality_mask=np.concatenate([one.modality_mask for one in encoded]),
                speaker_ids=np.concatenate([one.speaker_ids for one in encoded]),
                labels=None,
            )
        ]

    def _encode_one(
        self,
        name: str,
        utterances: Sequence[Utterance],
        problem_type: str | None,
        speakers: dict[str, int] | None = None,
    ) -> EncodedDialogue:
        features: dict[str, np.ndarray] = {}
        modality_mask = np.zeros((len(utterances), len(MODALITIES)), bool)
        for column, (modality, dim) in enumerate(self.dims.items()):
            if dim:
                features[modality], modality_mask[:, column] = self._encode_features(utterances, modality, name)
        return EncodedDialogue(
            features=features,
            modality_mask=modality_mask,
            speaker_ids=self._encode_speakers(utterances, name, {} if speakers is None else speakers),
            labels=encode_labels(utterances, problem_type, self.label2id, name) if problem_type else None,
        )

    def _encode_features(
        self, utterances: Sequence[Utterance], modality: str, name: str
    ) -> tuple[np.ndarray, np.ndarray]:
        dim = self.dims[modality]
        features = np.zeros((len(utterances), dim), np.float32)
        present = np.zeros(len(utterances), bool)
        for index, utterance in enumerate(utterances):
            vector = get_features(utterance, modality, dim, utterance_name(name, index))
            if vector is not None:
                features[index], present[index] = vector, True
        statistics = (self.feature_statistics or {}).get(modality)
        if statistics is not None:
            mean = np.asarray(statistics["mean"], np.float32)
            std = np.asarray(statistics["std"], np.float32)
            features[present] = (features[present] - mean) / std
        return features, present

    def _encode_speakers(self, utterances: Sequence[Utterance], name: str, speakers: dict[str, int]) -> np.ndarray:
        speaker_ids = np.empty(len(utterances), np.int64)
        for index, utterance in enumerate(utterances):
            speaker = utterance["speaker"]
            place = utterance_name(name, index)
            if self.speaker_to_id is None:
                speaker_id = speakers.setdefault(speaker, len(speakers))
            elif speaker in self.speaker_to_id:
                speaker_id = speakers[speaker] = self.speaker_to_id[speaker]
            else:
                known = ", ".join(self.speaker_to_id)
                raise DialogueError(f"{place}: unknown speaker {speaker!r}; known speakers: {known}")
            if self.relation_scheme == "speaker_pair" and speaker_id >= self.max_speakers:
                raise DialogueError(
                    f"{place}: speaker {speaker!r} is number {speaker_id + 1}, and the relation scheme "
                    f"'speaker_pair' holds {self.max_speakers} speakers; raise max_speakers or choose "
                    "relation_scheme='same_or_other'"
                )
            speaker_ids[index] = speaker_id
        return speaker_ids

    def _refuse_raw_media(self, named: Sequence[NamedUtterances]) -> None:
        for name, utterances in named:
            for index, utterance in enumerate(utterances):
                for modality, dim in self.dims.items():
                    if dim and utterance.get(MEDIA_KEYS[modality]) is not None:
                        raise DialogueError(
                            f"{utterance_name(name, index)}: there is '{MEDIA_KEYS[modality]}' but no "
                            f"'{FEATURE_KEYS[modality]}', and this processor reads features of size {dim} only"
                        )

    def pack(self, encoded: Sequence[EncodedDialogue], return_tensors: str | None = None) -> BatchFeature:
        """Join encoded dialogues into one graph batch; the keys and shapes are those of `__call__`."""
        dialogue_lengths = np.array([len(one) for one in encoded], np.int64)
        speaker_ids = np.concatenate([one.speaker_ids for one in encoded])
        edge_index = window_edges(dialogue_lengths, self.window_past, self.window_future)
        batch: dict[str, np.ndarray] = {"dialogue_lengths": dialogue_lengths}
        for modality, dim in self.dims.items():
            if dim:
                batch[FEATURE_KEYS[modality]] = np.concatenate([one.features[modality] for one in encoded])
        batch["modality_mask"] = np.concatenate([one.modality_mask for one in encoded])
        batch["speaker_ids"] = speaker_ids
        batch["edge_index"] = edge_index
        batch["edge_type"] = relation_ids(edge_index, speaker_ids, self.relation_scheme, self.max_speakers)
        labels = join_labels([one.labels for one in encoded])
        if labels is not None:
            batch["labels"] = labels
        return BatchFeature(batch, tensor_type=return_tensors)
