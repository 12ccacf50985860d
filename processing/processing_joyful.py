"""`JoyfulProcessor`: dialogues -> one packed graph batch. Used by all families that read dialogues.

One file because it is one class.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Self

from transformers import AutoTokenizer, BatchFeature, PreTrainedTokenizerBase

from .dialogues import (
    EXTRACTOR_KEYS,
    FEATURE_KEYS,
    MODALITIES,
    TOKEN_KEYS,
    WAVEFORM_KEYS,
    Dialogue,
    DialogueError,
    NamedUtterances,
    Utterance,
    as_dialogue_list,
    get_utterances,
    most_speakers,
    name_utterances,
    utterance_name,
)
from .encoder_layers import WEIGHTED, layers_of
from .extractors import check_extractor
from .feature_extraction import refuse_raw_media
from .feature_origin import check_origin, extractors_of
from .fitting import infer_parameters, learn_statistics, learn_usual_inputs, learn_weights
from .graph import check_speaker_ids, describe_graph, num_relations
from .media import audio_of
from .media_failures import ExtractionFailure, warn_of
from .modality_weights import check_weights, describe_weights
from .packing_dialogues import EncodedDialogue, encode_modalities, encode_speakers, join_dialogues, pack_dialogues
from .processor_base import EmotionRecognitionProcessor
from .reading import read_dialogues
from .standardization import check_statistics
from .summary import summarize_dialogues
from .tokens import DEFAULT_MAX_LENGTH, tokenize
from .usual_inputs import check_usual
from .votes import encode_targets
from .waveform_reading import WaveformReader


class JoyfulProcessor(EmotionRecognitionProcessor):
    """Turns dialogues with utterance-level features into one packed graph batch, without padding.

    With extractors it reads `text`, `audio` and `video` of utterances that lack the features. A medium that cannot be
    read is masked, with a warning; for whole data sets, `extract_features` does the same with a cache and a report.

    With a tokenizer it reads the utterances' raw `text`, for a model with a text encoder, and no text_features. All
    parameters survive `save_pretrained` and `from_pretrained`: as plain JSON, and the tokenizer in files of its own.

    Args:
        text_dim, audio_dim, visual_dim: size of each modality's feature vectors. A modality of size 0 is not
            part of the model, and its features are not read. With `audio_dim=None` recordings are read as waveforms,
            for a model with an encoder of speech, and no audio_features.
        window_past, window_future: number of utterances from which a node receives, besides itself; -1 is unlimited.
            8 is the paper's choice for IEMOCAP 4-way (section 4.2).
        relation_scheme: `"speaker_pair"` (the papers': 2 * max_speakers**2 relations) or `"same_or_other"`
            (4 relations, any number of speakers).
        max_speakers: most speakers in one dialogue that `"speaker_pair"` can tell apart.
        speaker_to_id: fixed speaker ids. By default a speaker's id is its order of appearance in the dialogue.
        label2id: class name -> index; needed for labels that are strings. With `problem_type="regression"` it names
            several values, such as valence and arousal.
        problem_type: as in transformers. By default a list is multi-label, a float is regression, as are floats by
            name, and the rest is single-label. Whole numbers are classes unless it says `"regression"`.
        feature_statistics: modality -> {"mean": [...], "std": [...]}, learnt by `fit`; features are
            standardised with it. None leaves them as they are.
        modality_weights: modality -> factor of its standardised features, learnt by `from_dialogues` from how much
            each modality tells of the labels, see `modality_weights.py`. None weighs all modalities alike.
        usual_inputs: what `fit` learns of the training utterances; inputs unlike it are told of (`usual_inputs.py`).
        text_extractor: `"hashing"`, or folder or Hub id of a text encoder; None reads features only. Extractors
            are loaded when first needed, and a Hub id is saved with the commit that it stood for. `#` and layers may
            follow an encoder, as in `"user/model#-4:"` or `"user/model#weighted"` (`encoder_layers.py`).
        audio_extractor: `"logmel"`, `"opensmile:eGeMAPSv02"` and the like, or folder or Hub id of a speech encoder.
        video_extractor: `"frame-statistics"`, `"openface"` (CSV files), or folder or Hub id of an image encoder.
        tokenizer: tokenizer of the model's text encoder, from transformers. It is kept as `text_tokenizer`: the
            Trainer would fit the special tokens of the model's config to a `tokenizer`.
        text_max_length: number of tokens of an utterance that are read; longer texts are cut. By default 128, or the
            tokenizer's own maximum if that is less.
        sampling_rate, max_audio_seconds, normalize_audio: of waveforms: Hz, the length to which longer ones are cut,
            and whether each gets mean 0 and variance 1, as most encoders were trained.

    Raises:
        ValueError: a parameter that is out of its range.
    """

    def __init__(
        self,
        text_dim: int = 0,
        audio_dim: int | None = 0,
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
        usual_inputs: dict[str, dict[str, float]] | None = None,
        text_extractor: str | None = None,
        audio_extractor: str | None = None,
        video_extractor: str | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        text_max_length: int | None = None,
        sampling_rate: int = 16000,
        max_audio_seconds: float | int = 6.0,
        normalize_audio: bool = True,
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
        self.usual_inputs = usual_inputs
        self.text_extractor = text_extractor
        self.audio_extractor = audio_extractor
        self.video_extractor = video_extractor
        self.text_tokenizer = tokenizer
        if tokenizer is not None and text_max_length is None:
            text_max_length = min(DEFAULT_MAX_LENGTH, tokenizer.model_max_length)
        self.text_max_length = text_max_length
        self.sampling_rate = sampling_rate
        self.max_audio_seconds = max_audio_seconds
        self.normalize_audio = normalize_audio
        self._check_parameters()

    def _check_parameters(self) -> None:
        least = {"text_dim": 0, "visual_dim": 0, "window_past": -1, "window_future": -1, "sampling_rate": 1}
        self._check_least(least | {"max_speakers": 1} | ({} if self.reads_waveforms else {"audio_dim": 0}))
        if not self.max_audio_seconds > 0:
            raise ValueError(f"max_audio_seconds must be above 0, got {self.max_audio_seconds!r}")
        if self.reads_waveforms and self.audio_extractor is not None:
            raise ValueError(
                f"audio_extractor is {self.audio_extractor!r}, and with audio_dim=None the model reads waveforms "
                "itself; leave one of the two out"
            )
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
            raise ValueError("text_max_length needs a tokenizer, and there is none; give tokenizer or text_dim")
        num_relations(self.relation_scheme, self.max_speakers)
        check_speaker_ids(self.speaker_to_id or {}, self._most_speakers)
        check_statistics(self.feature_statistics or {}, {name: self._vector_sizes.get(name, 0) for name in MODALITIES})
        check_weights(self.modality_weights or {})
        check_usual(self.usual_inputs or {})
        for modality, extractor in self.extractors.items():
            check_extractor(modality, extractor)

    @property
    def dims(self) -> dict[str, int | None]:
        """As in the base class; None for text that is read as tokens, and for waveforms."""
        sizes: dict[str, int | None] = {**self._vector_sizes}
        if self.text_tokenizer is not None:
            sizes["text"] = None
        if self.reads_waveforms:
            sizes["audio"] = None
        return {modality: sizes[modality] for modality in MODALITIES if modality in sizes}

    @property
    def _vector_sizes(self) -> dict[str, int]:
        """Modality -> size of its vectors, for the modalities that are read as vectors."""
        sizes = {modality: getattr(self, f"{modality}_dim") for modality in MODALITIES}
        return {modality: size for modality, size in sizes.items() if size}

    @property
    def reads_media(self) -> bool:
        """As in the base class: for waveforms; extractors open them too, for which there is `extract_features`."""
        return self.reads_waveforms

    def read_media(
        self, utterances: Sequence[Utterance], places: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], ExtractionFailure | None]]:
        """As in the base class: a waveform takes the place of `audio`, at the model's rate."""
        return self._waveforms.read(utterances, places)

    @property
    def reads_waveforms(self) -> bool:
        """Whether audio comes as waveforms, not as vectors."""
        return self.audio_dim is None

    @property
    def _waveforms(self) -> WaveformReader:
        return WaveformReader(self.sampling_rate, self.max_audio_seconds, self.normalize_audio)

    @property
    def num_relations(self) -> int:
        """Number of relation ids that the edges of this processor's batches can have."""
        return num_relations(self.relation_scheme, self.max_speakers)

    @property
    def _most_speakers(self) -> int | None:
        """Number of speakers that the relation scheme can tell apart; None for any number."""
        return self.max_speakers if self.relation_scheme == "speaker_pair" else None

    @property
    def model_input_names(self) -> list[str]:
        """Keys of a batch, in order."""
        features = [FEATURE_KEYS[modality] for modality in self._vector_sizes]
        encoded = [] if self.text_tokenizer is None else list(TOKEN_KEYS)
        encoded += WAVEFORM_KEYS if self.reads_waveforms else ()
        graph = ["modality_mask", "speaker_ids", "edge_index", "edge_type"]
        return ["dialogue_lengths", *encoded, *features, *graph, "labels"]

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Nothing: transformers demands what it finds here in every checkpoint; the tokenizer is optional."""
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
        """Make a processor to measure for a training set: sizes, labels, task, standardisation and weights.

        Extractors that are given read raw media here; the extractors of dialogues that come from `extract_features`
        are taken over. Relations default to `"same_or_other"`, which never meets a dialogue with too many speakers.

        Args:
            dialogues: the training dialogues. Where they are encoded too, `read_dialogues` saves reading them twice.
            **parameters: any parameter of the processor; what is given is not inferred. `feature_statistics=None`
                leaves features as they are, `modality_weights=None` weighs all modalities alike.

        Raises:
            DialogueError: no features at all, no text with a tokenizer, or anything that `summarize_dialogues`
                refuses.
        """
        dialogue_list = read_dialogues(dialogues)
        known = extractors_of(dialogue_list)
        reads_waveforms = parameters.get("audio_dim", 0) is None
        if parameters.get("tokenizer") is not None:
            known.pop("text", None)
        if reads_waveforms:
            known.pop("audio", None)
        extractors = {key: parameters.get(key, known.get(modality)) for modality, key in EXTRACTOR_KEYS.items()}
        reader = cls(**extractors, **({"audio_dim": None} if reads_waveforms else {}))
        if reads_waveforms and not any(_is_heard(dialogue) for dialogue in dialogue_list):
            raise DialogueError(
                "no utterance has 'audio' or 'video', which a processor with audio_dim=None listens to"
            )
        check_origin(dialogue_list, reader.extractors)
        reader.take_over(known)
        switched_off = {modality for modality in MODALITIES if parameters.get(f"{modality}_dim") == 0}
        dialogue_list = reader._extracted(dialogue_list, reader.extractors.keys() - switched_off)
        made = infer_parameters(summarize_dialogues(dialogue_list, parameters.get("problem_type")), parameters)
        for modality, extractor in reader.extractors.items():
            made[EXTRACTOR_KEYS[modality]] = extractor if made[f"{modality}_dim"] else None
        processor = cls(**made)
        named, sizes = name_utterances(dialogue_list), processor._vector_sizes
        if "feature_statistics" not in parameters:
            processor.feature_statistics = learn_statistics(named, sizes)
            if "modality_weights" not in parameters and len(sizes) > 1:
                processor.modality_weights = learn_weights(
                    named, sizes, processor.feature_statistics, processor.problem_type, processor.label2id
                )
        if "usual_inputs" not in parameters:
            processor.usual_inputs = learn_usual_inputs(named, processor.dims, processor.feature_statistics)
        return processor

    @classmethod
    def published_parameters(cls, dialogues: Iterable[Dialogue]) -> dict[str, Any]:
        """Return the published relations, with room for these dialogues; the papers weigh all modalities alike."""
        relations = {"relation_scheme": "speaker_pair", "max_speakers": max(2, most_speakers(dialogues))}
        return relations | {"modality_weights": None}

    def model_kwargs(self) -> dict[str, Any]:
        """Return what a model's config must share with this processor: `JoyfulConfig(**processor.model_kwargs())`.

        With a tokenizer the model's encoder decides on text_dim, and with waveforms on audio_dim:
        `from_encoders(encoder, **...)`.

        Raises:
            DialogueError: as in the base class; or the model is to weigh all layers of an encoder, and it is not known
                yet how many there are.
        """
        shared: dict[str, Any] = {f"{modality}_dim": getattr(self, f"{modality}_dim") for modality in MODALITIES}
        if self.text_tokenizer is not None:
            del shared["text_dim"]
        if layers := self._weighted_layers():
            shared["feature_layers"] = layers
        if self.reads_waveforms:
            del shared["audio_dim"]
        relations = {"relation_scheme": self.relation_scheme, "max_speakers": self.max_speakers}
        return shared | relations | super().model_kwargs()

    def _weighted_layers(self) -> dict[str, int]:
        """Modality -> how many layers of an encoder lie side by side in its features, for the model to weigh."""
        weighted: dict[str, int] = {}
        for modality in self._vector_sizes.keys() & self.extractors.keys():
            layers = layers_of(self.extractors[modality])
            if layers is None or layers.mix != WEIGHTED:
                continue
            if layers.number is None:
                raise DialogueError(
                    f"{EXTRACTOR_KEYS[modality]} is {self.extractors[modality]!r}, and it is not known how many "
                    f"layers lie in {FEATURE_KEYS[modality]}; say it, as in #weighted:0:13, or extract them with "
                    "`extract_features`, which does"
                )
            weighted[modality] = layers.number
        return weighted

    def fit(self, dialogues: Dialogue | Iterable[Dialogue]) -> Self:
        """Learn each modality's mean and standard deviation from the training dialogues.

        Utterances that lack a modality take no part in its statistics. Returns the processor itself.
        """
        dialogue_list = as_dialogue_list(dialogues)
        check_origin(dialogue_list, self.extractors)
        self.take_over(extractors_of(dialogue_list))
        named = name_utterances(self._extracted(dialogue_list, self._vector_sizes))
        self.feature_statistics = learn_statistics(named, self._vector_sizes)
        self.usual_inputs = learn_usual_inputs(named, self.dims, self.feature_statistics)
        return self

    def _extracted(self, dialogues: Sequence[Dialogue], modalities: Collection[str]) -> Sequence[Dialogue]:
        """Return the dialogues with features of these modalities in place of raw media."""
        if not self.extractors:
            return dialogues
        named = name_utterances(dialogues)
        filled = self._with_features(named, modalities)
        if filled is named:
            return dialogues
        return [
            {**dialogue, "utterances": utterances} for dialogue, (_, utterances) in zip(dialogues, filled, strict=True)
        ]

    def _encode(self, named: Sequence[NamedUtterances], problem_type: str | None) -> list[EncodedDialogue]:
        named = self._with_features(named, self._vector_sizes)
        encoded = self._encode_all([(name, utterances, {}) for name, utterances in named], problem_type)
        if not any(dialogue.modality_mask.any() for dialogue in encoded):
            refuse_raw_media(named, self._vector_sizes, self.extractors)
        return encoded

    def encode_next(self, utterance: Any, name: str, speakers: dict[str, int]) -> EncodedDialogue:
        """As in the base class: a dialogue of this utterance only, whose speaker has the id of the whole dialogue."""
        begins = not speakers
        named = [(name, get_utterances({"utterances": [utterance]}, name))]
        [(_, utterances)] = self._with_features(named, self._vector_sizes)
        [encoded] = self._encode_all([(name, utterances, speakers)], None)
        if begins and not encoded.modality_mask.any():
            refuse_raw_media(named, self._vector_sizes, self.extractors)
        return encoded

    def join(self, encoded: Sequence[EncodedDialogue]) -> list[EncodedDialogue]:
        """As in the base class: one dialogue."""
        return [join_dialogues(encoded)]

    def _encode_all(
        self, named: Sequence[tuple[str, Sequence[Utterance], dict[str, int]]], problem_type: str | None
    ) -> list[EncodedDialogue]:
        """Encode dialogues, each with its name and the ids of who has spoken before; warn of what is not read."""
        cuts, failures = 0, []
        encoded = []
        for name, utterances, speakers in named:
            dialogue = self._encode_dialogue(name, utterances, problem_type, speakers)
            if self.reads_waveforms:
                places = [utterance_name(name, index) for index in range(len(utterances))]
                dialogue.waveforms = []
                for read, failure in self.read_media(utterances, places):
                    waveform, is_cut = self._waveforms.prepare(read["audio"].samples)
                    dialogue.waveforms.append(waveform)
                    failures += [] if failure is None else [failure]
                    cuts += is_cut
                dialogue.modality_mask[:, MODALITIES.index("audio")] = [one is not None for one in dialogue.waveforms]
            encoded.append(dialogue)
        self._waveforms.warn_of_cuts(cuts, sum(map(len, encoded)))
        warn_of(failures)
        return encoded

    def _encode_dialogue(
        self, name: str, utterances: Sequence[Utterance], problem_type: str | None, speakers: dict[str, int]
    ) -> EncodedDialogue:
        features, modality_mask = encode_modalities(
            utterances, self._vector_sizes, name, self.feature_statistics, self.modality_weights
        )
        tokens = None
        if self.text_tokenizer is not None and self.text_max_length is not None:
            tokens = tokenize(utterances, self.text_tokenizer, self.text_max_length, name)
            modality_mask[:, MODALITIES.index("text")] = tokens.lengths > 0
        return EncodedDialogue(
            features=features,
            modality_mask=modality_mask,
            speaker_ids=encode_speakers(utterances, name, speakers, self.speaker_to_id, self._most_speakers),
            tokens=tokens,
            waveforms=None,
            **encode_targets(utterances, problem_type, self.label2id, name),
        )

    def pack(self, encoded: Sequence[EncodedDialogue], return_tensors: str | None = None) -> BatchFeature:
        """Join encoded dialogues into the packed graph batch.

        With N utterances, E edges and B dialogues, its keys are in this order: `dialogue_lengths` (B,); with a
        tokenizer `text_input_ids` and `text_attention_mask` (N, T), 1 = real, padded at the end to the longest text;
        with waveforms `audio_input_values` and `audio_attention_mask` (N, S), padded likewise;
        `text_features`, `audio_features`, `visual_features` (N, dim), those with dim > 0; `modality_mask` (N, 3);
        `speaker_ids` (N,); `edge_index` (2, E); `edge_type` (E,); `labels` if any utterance has one; `label_shares`
        (N, num_labels) if labels are votes.
        """
        batch = pack_dialogues(
            encoded,
            self.window_past,
            self.window_future,
            self.relation_scheme,
            self.max_speakers,
            padding_id=getattr(self.text_tokenizer, "pad_token_id", None) or 0,
        )
        return BatchFeature(batch, tensor_type=return_tensors)

    # Words for people.

    def _describe_encoder(self, modality: str, config: Any) -> tuple[str, str]:
        encoder = f"{getattr(config, f'{modality}_config').model_type}, an encoder inside the model"
        if modality == "audio":
            return f"at most {self.max_audio_seconds:g} s at {self.sampling_rate} Hz", encoder
        return f"at most {self.text_max_length} tokens", encoder

    def describe_context(self, config: Any) -> list[str]:
        """As in the base class."""
        sentences = []
        if getattr(config, "graph_num_layers", 0):
            sentences.append(
                describe_graph(self.window_past, self.window_future, self.relation_scheme, self.max_speakers)
            )
        if self.feature_statistics:
            sentences.append(
                "The processor standardises features by the mean and the standard deviation of the training set."
            )
        if self.modality_weights:
            sentences.append(describe_weights(self.modality_weights))
        return sentences

    def _example_speakers(self) -> Sequence[str]:
        return list(self.speaker_to_id or super()._example_speakers())[: self._most_speakers]


def _is_heard(dialogue: Dialogue) -> bool:
    """Whether an utterance of the dialogue has sound."""
    return any(audio_of(utterance) is not None for utterance in dialogue["utterances"])
