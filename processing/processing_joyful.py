"""`JoyfulProcessor`: dialogues -> one packed graph batch. Used by JOYFUL and AR-IIGCN."""

import math
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

import numpy as np
from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    MEDIA_KEYS,
    MODALITIES,
    TOKEN_KEYS,
    Dialogue,
    DialogueError,
    Utterance,
    as_dialogue_list,
    dialogue_name,
    get_features,
    get_utterances,
    utterance_name,
)
from .extractors import check_extractor, pinned
from .feature_extraction import add_features, needed_extractors, warn_of
from .feature_origin import check_origin, extractors_of
from .graph import num_relations, relation_ids, window_edges
from .labels import (
    REGRESSION,
    encode_labels,
    get_label,
    join_labels,
)
from .modality_weights import measure_modality_weights
from .packing_dialogues import EncodedDialogue, joined_tokens
from .processor_base import EmotionRecognitionProcessor, NamedUtterances
from .standardization import feature_statistics
from .summary import summarize_dialogues
from .tokens import DEFAULT_MAX_LENGTH, tokenize


class JoyfulProcessor(EmotionRecognitionProcessor):
    """Turns dialogues with utterance-level features into one packed graph batch, without padding.

    With extractors it reads `text`, `audio` and `video` of utterances that lack the features. What cannot be read is
    masked, with a warning; for whole data sets, `extract_features` does the same with a cache and a report.

    With a tokenizer it reads the utterances' raw `text`, for a model with an encoder of text; text_features are not
    read then. All parameters survive `save_pretrained` and `from_pretrained`, as plain JSON and, the tokenizer, in
    files of its own.

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
        modality_weights: modality -> factor of its standardised features, learnt by `from_dialogues`: how much each
            tells of the labels, see `modality_weights.py`. None weighs all alike.
        text_extractor: `"hashing"`, or folder or Hub id of a text encoder; None reads features only. Extractors
            are loaded when first needed, and a Hub id is saved with the commit that it stood for.
        audio_extractor: `"logmel"`, `"opensmile:eGeMAPSv02"` and the like, or folder or Hub id of a speech encoder.
        video_extractor: `"frame-statistics"`, `"openface"` (CSV files), or folder or Hub id of an image encoder.
        tokenizer: of transformers, the one of the model's encoder of text. It is kept as `text_tokenizer`: to
            `tokenizer`, which the Trainer asks for, it would fit the encoder's config.
        text_max_length: most tokens of an utterance that are read; by default 128, or the tokenizer's own maximum if
            that is less. Longer texts are cut.

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
        modality_weights: dict[str, float] | None = None,
        text_extractor: str | None = None,
        audio_extractor: str | None = None,
        video_extractor: str | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        text_max_length: int | None = None,
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
        self.modality_weights = modality_weights
        self.text_extractor = text_extractor
        self.audio_extractor = audio_extractor
        self.video_extractor = video_extractor
        self.text_tokenizer = tokenizer
        if tokenizer is not None and text_max_length is None:
            text_max_length = min(DEFAULT_MAX_LENGTH, tokenizer.model_max_length)
        self.text_max_length = text_max_length
        self._check_parameters()

    def _check_parameters(self) -> None:
        least = {"text_dim": 0, "audio_dim": 0, "visual_dim": 0, "window_past": -1, "window_future": -1}
        self._check_least(least | {"max_speakers": 1})
        if self.text_tokenizer is not None:
            self._check_least({"text_max_length": self.text_tokenizer.num_special_tokens_to_add() + 1})
            if self.text_dim:
                raise ValueError(
                    f"text_dim is {self.text_dim}, and with a tokenizer text_features are not read; leave text_dim out"
                )
            if self.text_extractor is not None:
                raise ValueError(
                    f"text_extractor is {self.text_extractor!r}, and with a tokenizer the model reads text itself; "
                    "leave one of the two out"
                )
        elif self.text_max_length is not None:
            raise ValueError("text_max_length is of a tokenizer, and there is none; give tokenizer or text_dim")
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
        for modality, weight in (self.modality_weights or {}).items():
            if modality not in MODALITIES or not 0 <= weight < math.inf:
                raise ValueError(f"modality_weights give {modality!r} {weight}; {', '.join(MODALITIES)} get 0 or more")
        for modality, extractor in self.extractors.items():
            check_extractor(modality, extractor)

    @property
    def dims(self) -> dict[str, int]:
        """Modality -> size of its feature vectors; 0 for text that is read as tokens."""
        return {modality: getattr(self, f"{modality}_dim") for modality in MODALITIES}

    @property
    def extractors(self) -> dict[str, str]:
        """Modality -> its extractor, where there is one."""
        named = {modality: getattr(self, key) for modality, key in EXTRACTOR_KEYS.items()}
        return {modality: extractor for modality, extractor in named.items() if extractor is not None}

    @property
    def _modalities_read(self) -> list[str]:
        return [modality for modality, dim in self.dims.items() if dim]

    @property
    def reads_anything(self) -> bool:
        """Whether at least one modality is part of the model."""
        return any(self.dims.values()) or self.text_tokenizer is not None

    @property
    def num_relations(self) -> int:
        """How many relation ids the edges of this processor's batches can have."""
        return num_relations(self.relation_scheme, self.max_speakers)

    @property
    def model_input_names(self) -> list[str]:
        """Keys of a batch, in order."""
        features = [FEATURE_KEYS[modality] for modality, dim in self.dims.items() if dim]
        tokens = [] if self.text_tokenizer is None else list(TOKEN_KEYS)
        graph = ["modality_mask", "speaker_ids", "edge_index", "edge_type"]
        return ["dialogue_lengths", *tokens, *features, *graph, "labels"]

    @classmethod
    def get_attributes(cls) -> list[str]:
        """None: what transformers finds here it asks for in every checkpoint, and the tokenizer is optional."""
        return []

    @classmethod
    def get_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in transformers, with the tokenizer if one was saved."""
        parameters, others = super().get_processor_dict(pretrained_model_name_or_path, **kwargs)
        if parameters.get("text_max_length") is not None:
            where = {name: value for name, value in kwargs.items() if name not in others}
            where["trust_remote_code"] = kwargs.get("trust_remote_code")  # of the config beside the tokenizer
            parameters["tokenizer"] = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, **where)
        return parameters, others

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs: Any) -> Any:
        """As in transformers; the tokenizer goes into its own files."""
        if self.text_tokenizer is not None:
            self.text_tokenizer.save_pretrained(save_directory)
        return super().save_pretrained(save_directory, push_to_hub, **kwargs)

    @classmethod
    def from_dialogues(cls, dialogues: Iterable[Dialogue], **parameters: Any) -> Self:
        """A processor made to measure for a training set: sizes, labels, task, standardisation and weights.

        Extractors that are given read raw media here; those of dialogues that come from `extract_features` are known.
        Relations default to `"same_or_other"`, which never meets a dialogue with too many speakers.

        Args:
            dialogues: the training dialogues.
            **parameters: any parameter of the processor; what is given is not inferred. `feature_statistics=None`
                leaves features as they are, `modality_weights=None` weighs all modalities alike.

        Raises:
            DialogueError: no features at all, no text with a tokenizer, or anything that `summarize_dialogues`
                refuses.
        """
        dialogue_list = as_dialogue_list(dialogues)
        known = extractors_of(dialogue_list)
        reads_text = parameters.get("tokenizer") is not None
        if reads_text:
            known.pop("text", None)
        extractors = {key: parameters.get(key, known.get(modality)) for modality, key in EXTRACTOR_KEYS.items()}
        reader = cls(**extractors)
        check_origin(dialogue_list, reader.extractors)
        switched_off = {modality for modality in MODALITIES if parameters.get(f"{modality}_dim") == 0}
        dialogue_list = reader._extracted(dialogue_list, reader.extractors.keys() - switched_off)
        summary = summarize_dialogues(dialogue_list)
        if reads_text and not summary.num_texts:
            raise DialogueError("no utterance has 'text', which a processor with a tokenizer reads")
        if not reads_text and not any(summary.feature_sizes.values()):
            raise DialogueError(
                "no utterance has text_features, audio_features or visual_features; "
                f"raw media are read with {', '.join(EXTRACTOR_KEYS.values())}"
            )
        inferred: dict[str, Any] = {f"{modality}_dim": size for modality, size in summary.feature_sizes.items()}
        if reads_text:
            inferred["text_dim"] = 0
        inferred |= {
            "relation_scheme": "same_or_other",
            "max_speakers": max(2, summary.max_speakers),
            "label2id": summary.label2id if parameters.get("problem_type") != REGRESSION else None,
            "problem_type": summary.problem_type,
        }
        sizes = {modality: (inferred | parameters)[f"{modality}_dim"] for modality in MODALITIES}
        parameters |= {
            EXTRACTOR_KEYS[modality]: extractor if sizes[modality] else None
            for modality, extractor in reader.extractors.items()
        }
        processor = cls(**(inferred | parameters))
        if "feature_statistics" not in parameters:
            processor._fit_extracted(dialogue_list)
            if "modality_weights" not in parameters and len(processor._modalities_read) > 1:
                processor.modality_weights = measure_modality_weights(processor._labelled_features(dialogue_list))
        return processor

    @classmethod
    def published_parameters(cls, dialogues: Iterable[Dialogue]) -> dict[str, Any]:
        """The published relations, with room for these dialogues; the papers weigh all modalities alike."""
        most = summarize_dialogues(dialogues).max_speakers
        return {"relation_scheme": "speaker_pair", "max_speakers": max(2, most), "modality_weights": None}

    def model_kwargs(self) -> dict[str, Any]:
        """What a model's config must share with this processor: `JoyfulConfig(**processor.model_kwargs())`.

        With a tokenizer it is the model's encoder that decides on text_dim: `from_encoders(encoder, **...)`.
        """
        shared: dict[str, Any] = {f"{modality}_dim": dim for modality, dim in self.dims.items()}
        if self.text_tokenizer is not None:
            del shared["text_dim"]
        shared |= {"relation_scheme": self.relation_scheme, "max_speakers": self.max_speakers}
        return shared | super().model_kwargs()

    def fit(self, dialogues: Dialogue | Iterable[Dialogue]) -> Self:
        """Learn each modality's mean and standard deviation from the training dialogues.

        Utterances that lack a modality take no part in its statistics. Returns the processor itself.
        """
        dialogue_list = as_dialogue_list(dialogues)
        check_origin(dialogue_list, self.extractors)
        return self._fit_extracted(self._extracted(dialogue_list, self._modalities_read))

    def _fit_extracted(self, dialogues: Sequence[Dialogue]) -> Self:
        self.feature_statistics = {
            modality: feature_statistics(self._raw_vectors(dialogues, modality), dim)
            for modality, dim in self.dims.items()
            if dim
        }
        return self

    def _labelled_features(
        self, dialogues: Sequence[Dialogue]
    ) -> list[tuple[dict[str, tuple[np.ndarray, np.ndarray]], list[Any]]]:
        """Of each dialogue, modality -> features and where they are present, and the utterances' labels."""
        labelled = []
        for position, dialogue in enumerate(dialogues):
            name = dialogue_name(dialogue, position)
            utterances = get_utterances(dialogue, name)
            features = {one: self._encode_features(utterances, one, name) for one in self._modalities_read}
            labelled.append((features, [get_label(utterance) for utterance in utterances]))
        return labelled

    def _raw_vectors(self, dialogues: Sequence[Dialogue], modality: str) -> Iterable[np.ndarray]:
        for position, dialogue in enumerate(dialogues):
            name = dialogue_name(dialogue, position)
            for index, utterance in enumerate(get_utterances(dialogue, name)):
                place = utterance_name(name, index)
                features = get_features(utterance, modality, self.dims[modality], place)
                if features is not None:
                    yield features

    def pin_extractors(self, modalities: Iterable[str] = MODALITIES) -> None:
        """Name the commit that the Hub id of each of these extractors stands for today, if it does not yet.

        Raises:
            DialogueError: there is no such extractor.
        """
        for modality in modalities:
            if modality in self.extractors:
                setattr(self, EXTRACTOR_KEYS[modality], pinned(modality, self.extractors[modality]))

    def _extracted(self, dialogues: Sequence[Dialogue], modalities: Collection[str]) -> Sequence[Dialogue]:
        """The dialogues with features of these modalities in place of raw media."""
        if not self.extractors:
            return dialogues
        names = [dialogue_name(dialogue, position) for position, dialogue in enumerate(dialogues)]
        named = [(name, get_utterances(one, name)) for name, one in zip(names, dialogues, strict=True)]
        filled = self._with_features(named, modalities)
        return [dict(one) | {"utterances": utterances} for one, (_, utterances) in zip(dialogues, filled, strict=True)]

    def _with_features(
        self, named: Sequence[NamedUtterances], modalities: Collection[str]
    ) -> Sequence[NamedUtterances]:
        """The utterances with features of these modalities where they have raw media; what fails is warned of."""
        needed = needed_extractors(named, self.extractors) & set(modalities)
        if not needed:
            return named
        self.pin_extractors(needed)
        filled, failures = add_features(named, {modality: self.extractors[modality] for modality in needed})
        warn_of(failures)
        return filled

    def encode(
        self, dialogues: Dialogue | Iterable[Dialogue], return_labels: bool = True, first_position: int = 0
    ) -> list[EncodedDialogue]:
        """As in every processor; raw media are read where there are extractors.

        Raises:
            DialogueError: bad input, or features of another extractor than this processor's.
        """
        dialogue_list = as_dialogue_list(dialogues)
        check_origin(dialogue_list, self.extractors, first_position)
        return super().encode(dialogue_list, return_labels, first_position)

    def __call__(
        self,
        dialogues: Dialogue | Iterable[Dialogue],
        return_tensors: str | None = None,
        return_labels: bool = True,
    ) -> BatchFeature:
        """One dialogue or a list of dialogues -> the packed graph batch.

        With N utterances, E edges and B dialogues, in this order: `dialogue_lengths` (B,); with a tokenizer
        `text_input_ids` and `text_attention_mask` (N, T), 1 = real, padded at the end to the longest text;
        `text_features`, `audio_features`, `visual_features` (N, dim), those with dim > 0; `modality_mask` (N, 3);
        `speaker_ids` (N,); `edge_index` (2, E); `edge_type` (E,); and `labels` if any utterance has one.

        Args:
            dialogues: records with `utterances`, see the README.
            return_tensors: `"pt"` for torch tensors, None for numpy arrays.
            return_labels: False leaves labels out, also such as the processor does not know.

        Raises:
            DialogueError: bad input; the message names the dialogue and the utterance.
        """
        return self.pack(self.encode(dialogues, return_labels), return_tensors)

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[EncodedDialogue]:
        named = self._with_features(named, self._modalities_read)
        encoded = [self._encode_one(name, utterances, problem_type) for name, utterances in named]
        if not any(one.modality_mask.any() for one in encoded):
            self._refuse_raw_media(named)
        return encoded

    def encode_next(self, utterance: Any, name: str, speakers: dict[str, int]) -> EncodedDialogue:
        """As in the base class: a dialogue of this utterance alone, whose speaker has the id of the whole."""
        begins = not speakers
        named = [(name, get_utterances({"utterances": [utterance]}, name))]
        ((_, utterances),) = self._with_features(named, self._modalities_read)
        encoded = self._encode_one(name, utterances, None, speakers)
        if begins and not encoded.modality_mask.any():
            self._refuse_raw_media(named)
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
                tokens=None if self.text_tokenizer is None else joined_tokens(encoded),
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
        tokens = None
        if self.text_tokenizer is not None and self.text_max_length is not None:
            tokens = tokenize(utterances, self.text_tokenizer, self.text_max_length, name)
            modality_mask[:, MODALITIES.index("text")] = tokens.lengths > 0
        return EncodedDialogue(
            features=features,
            modality_mask=modality_mask,
            speaker_ids=self._encode_speakers(utterances, name, {} if speakers is None else speakers),
            labels=encode_labels(utterances, problem_type, self.label2id, name) if problem_type else None,
            tokens=tokens,
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
        features *= (self.modality_weights or {}).get(modality, 1.0)
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
                    raw = utterance.get(MEDIA_KEYS[modality]) is not None and modality not in self.extractors
                    if dim and raw:
                        raise DialogueError(
                            f"{utterance_name(name, index)}: there is '{MEDIA_KEYS[modality]}' but no "
                            f"'{FEATURE_KEYS[modality]}', and this processor reads features of size {dim} only: "
                            f"it has no {EXTRACTOR_KEYS[modality]}"
                        )

    def pack(self, encoded: Sequence[EncodedDialogue], return_tensors: str | None = None) -> BatchFeature:
        """Join encoded dialogues into one graph batch; the keys and shapes are those of `__call__`."""
        dialogue_lengths = np.array([len(one) for one in encoded], np.int64)
        speaker_ids = np.concatenate([one.speaker_ids for one in encoded])
        edge_index = window_edges(dialogue_lengths, self.window_past, self.window_future)
        batch: dict[str, np.ndarray] = {"dialogue_lengths": dialogue_lengths}
        if self.text_tokenizer is not None:
            batch |= zip(TOKEN_KEYS, joined_tokens(encoded).pad(self.text_tokenizer.pad_token_id or 0), strict=True)
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
