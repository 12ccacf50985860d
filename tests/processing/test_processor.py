"""`JoyfulProcessor`: the packed graph batch, what is learnt from training dialogues, and saving."""

import inspect
import json
import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from transformers import AutoProcessor, BatchFeature

from joyful_hf import JoyfulConfig, JoyfulProcessor
from joyful_hf.processing import FEATURE_KEYS, MODALITIES
from joyful_hf.processing.labels import REGRESSION
from tests.support.helpers import (
    DIMS,
    LABELS,
    batches_of_lengths,
    make_dialogue,
    make_dialogues,
)

# Each parameter with a value that is not its default.
PARAMETERS = {
    "text_dim": 12,
    "audio_dim": 6,
    "visual_dim": 1,
    "window_past": -1,
    "window_future": 3,
    "relation_scheme": "same_or_other",
    "max_speakers": 9,
    "speaker_to_id": {"Ross": 1, "Zoë": 0},
    "label2id": {"neutral": 0, "joy": 2, "anger": 1},
    "problem_type": "multi_label_classification",
    "feature_statistics": {"visual": {"mean": [0.1], "std": [1e-3]}},
    "modality_weights": {"text": 1.0, "audio": 0.5, "visual": 0.0},
    "usual_inputs": {"text": {"share": 0.9}, "audio": {"share": 1.0, "distance": 1.5}},
    "text_extractor": "hashing",
    "audio_extractor": "user/model@main",
    "video_extractor": "openface",
    "sampling_rate": 8000,
    "max_audio_seconds": 2.5,
    "normalize_audio": False,
}
RESHAPING = ("text_dim", "audio_dim", "visual_dim")


def make_processor(**parameters) -> JoyfulProcessor:
    dims = {f"{modality}_dim": dim for modality, dim in DIMS.items()}
    label2id = {label: index for index, label in enumerate(LABELS)}
    return JoyfulProcessor(**(dims | {"label2id": label2id} | parameters))


def assert_same(batch, other):
    """Bit for bit, in the same order."""
    assert list(batch) == list(other)
    for key in batch:
        np.testing.assert_array_equal(batch[key], other[key], err_msg=key, strict=True)


# The batch: the contract between the two rooms.


def test_a_batch_has_these_keys_in_this_order_with_these_shapes_and_types(dialogues):
    batch = make_processor()(dialogues)
    assert isinstance(batch, BatchFeature)
    num_edges = batch["edge_index"].shape[1]
    assert [(key, value.shape, value.dtype) for key, value in batch.items()] == [
        ("dialogue_lengths", (4,), np.int64),
        ("text_features", (38, 12), np.float32),
        ("audio_features", (38, 6), np.float32),
        ("visual_features", (38, 8), np.float32),
        ("modality_mask", (38, 3), np.bool_),
        ("speaker_ids", (38,), np.int64),
        ("edge_index", (2, num_edges), np.int64),
        ("edge_type", (num_edges,), np.int64),
        ("labels", (38,), np.int64),
    ]
    assert batch["dialogue_lengths"].tolist() == [5, 9, 1, 23]


def test_a_batch_of_tensors_is_the_same_batch(dialogues):
    arrays, tensors = make_processor()(dialogues), make_processor()(dialogues, return_tensors="pt")
    assert all(isinstance(value, torch.Tensor) for value in tensors.values())
    assert_same({key: value.numpy() for key, value in tensors.items()}, arrays)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_of_size_0_is_not_read(modality, dialogues):
    for utterance in dialogues[0]["utterances"]:
        utterance[FEATURE_KEYS[modality]] = "never looked at"
    batch = make_processor(**{f"{modality}_dim": 0})(dialogues)
    assert FEATURE_KEYS[modality] not in batch
    assert batch["modality_mask"].all(axis=0).tolist() == [one != modality for one in MODALITIES]


def test_the_keys_are_those_that_the_processor_announces(dialogues):
    processor = make_processor(audio_dim=0)
    assert processor.model_input_names == list(processor(dialogues))


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_absent_modality_is_zeros_and_masked_out(modality, dialogues):
    key, column = FEATURE_KEYS[modality], MODALITIES.index(modality)
    del dialogues[0]["utterances"][1][key]
    dialogues[1]["utterances"][0][key] = None
    absent = [1, 5]
    batch = make_processor().fit(dialogues)(dialogues)
    assert np.flatnonzero(~batch["modality_mask"][:, column]).tolist() == absent
    assert not batch[key][absent].any()
    assert batch["modality_mask"].sum() == 38 * 3 - 2


def test_an_utterance_may_lack_everything_but_a_speaker(dialogues):
    batch = make_processor()([*dialogues, {"utterances": [{"speaker": "A"}]}])
    assert batch["modality_mask"][-1].tolist() == [False] * 3
    assert batch["labels"][-1] == -100


def test_features_are_taken_as_they_are_without_statistics(dialogues):
    expected = [utterance["audio_features"] for dialogue in dialogues for utterance in dialogue["utterances"]]
    np.testing.assert_array_equal(make_processor()(dialogues)["audio_features"], np.array(expected, np.float32))


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, torch.tensor, lambda value: np.array(value, np.float64)],
    ids=["list", "tuple", "numpy", "torch", "numpy of doubles"],
)
def test_vectors_may_be_lists_arrays_or_tensors(kind, dialogues):
    expected = make_processor()(dialogues)
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            utterance |= {key: kind(utterance[key]) for key in FEATURE_KEYS.values()}
    assert_same(make_processor()(dialogues), expected)


# Speakers.


@pytest.mark.parametrize(
    ("speaker_to_id", "ids"),
    [(None, [0, 1, 0, 2]), ({"C": 0, "A": 1, "B": 2}, [2, 1, 2, 0]), ({"A": 0, "B": 1, "C": 1}, [1, 0, 1, 1])],
    ids=repr,
)
def test_speakers_are_numbered_by_first_appearance_or_as_told(speaker_to_id, ids):
    dialogue = {"utterances": [{"speaker": speaker} for speaker in "BABC"]}
    processor = JoyfulProcessor(text_dim=1, max_speakers=3, speaker_to_id=speaker_to_id)
    assert processor(dialogue)["speaker_ids"].tolist() == ids


def test_each_dialogue_numbers_its_own_speakers():
    dialogues = [{"utterances": [{"speaker": speaker} for speaker in speakers]} for speakers in ("AB", "CAC")]
    assert JoyfulProcessor(text_dim=1)(dialogues)["speaker_ids"].tolist() == [0, 1, 0, 1, 0]


# Labels.


def dialogue_with(*labels):
    return {"utterances": [{"speaker": "A", "label": label} for label in labels]}


@pytest.mark.parametrize(
    ("labels", "expected", "dtype"),
    [
        (["joy", None, "anger"], [1, -100, 0], np.int64),
        ([3, -100, 0], [3, -100, 0], np.int64),
        ([["joy"], None, []], [[0, 1, 0, 0], [np.nan] * 4, [0] * 4], np.float32),
        ([0.5, None, -1], [0.5, np.nan, -1], np.float32),
        ([1, 0.5, None], [1, 0.5, np.nan], np.float32),
    ],
    ids=repr,
)
def test_labels_of_each_kind(labels, expected, dtype):
    encoded = make_processor()(dialogue_with(*labels))["labels"]
    assert encoded.dtype == dtype
    np.testing.assert_array_equal(encoded, expected)


@pytest.mark.parametrize("label", ["joy", ["joy"], 0.5], ids=repr)
def test_a_dialogue_without_labels_follows_the_others(label):
    alone = make_processor()(dialogue_with(label))["labels"]
    processor = make_processor()
    parts = [part for one in (None, label) for part in processor.encode(dialogue_with(one))]
    together = processor.pack(parts)["labels"]
    np.testing.assert_array_equal(together[1:], alone, strict=True)
    assert together[0] == -100 if label == "joy" else np.isnan(together[0]).all()


def test_labels_are_there_only_if_one_is_known():
    assert "labels" not in make_processor()(dialogue_with(None, -100, float("nan")))
    assert "labels" in make_processor()(dialogue_with(None, "joy"))


def test_labels_are_left_alone_on_demand():
    assert "labels" not in make_processor()(dialogue_with("a label of another corpus", 3.5), return_labels=False)


def test_the_problem_type_says_how_to_read_numbers():
    assert make_processor(problem_type=REGRESSION)(dialogue_with(1, 0))["labels"].dtype == np.float32


# One dialogue or many, records or data sets.


def test_one_dialogue_is_a_batch_of_one(dialogues):
    assert_same(make_processor()(dialogues[1]), make_processor()([dialogues[1]]))


@pytest.mark.parametrize(
    "as_other",
    [
        tuple,
        iter,
        Dataset.from_list,
        lambda dialogues: Dataset.from_list(dialogues).with_format("numpy"),
        lambda dialogues: Dataset.from_list(dialogues).with_format("torch"),
        lambda dialogues: Dataset.from_list(dialogues).to_iterable_dataset(),
    ],
    ids=["tuple", "iterator", "data set", "numpy data set", "torch data set", "stream"],
)
@pytest.mark.parametrize(
    "label",
    [lambda _: "joy", lambda rng: int(rng.integers(4)), lambda _: ["joy", "anger"], lambda rng: rng.random()],
    ids=["string", "int", "list", "float"],
)
def test_a_data_set_of_dialogues_is_as_good_as_a_list(as_other, label):
    dialogues = make_dialogues(label=label)
    del dialogues[0]["utterances"][1]["audio_features"], dialogues[0]["utterances"][2]["label"]
    processor = JoyfulProcessor.from_dialogues(dialogues)
    assert_same(processor(as_other(dialogues)), processor(dialogues))
    assert_same(JoyfulProcessor.from_dialogues(as_other(dialogues))(dialogues), processor(dialogues))


@pytest.mark.parametrize("format_name", ["numpy", "torch"])
def test_so_is_a_row_of_a_data_set_in_any_format(format_name, dialogues):
    dataset = Dataset.from_list(dialogues).with_format(format_name)
    assert_same(make_processor()(dataset[1]), make_processor()(dialogues[1]))
    assert_same(make_processor()(list(dataset)), make_processor()(dialogues))


@given(lengths=batches_of_lengths)
def test_a_dialogue_alone_has_the_rows_that_it_has_in_a_batch(lengths):
    dialogues = make_dialogues(lengths)
    processor = JoyfulProcessor.from_dialogues(dialogues, window_past=3, window_future=-1)
    batch = processor(dialogues)
    start = 0
    for dialogue, length in zip(dialogues, lengths, strict=True):
        rows = slice(start, start + length)
        edges = (batch["edge_index"][1] >= start) & (batch["edge_index"][1] < start + length)
        in_batch = {key: value[rows] for key, value in batch.items()} | {
            "dialogue_lengths": np.array([length]),
            "edge_index": batch["edge_index"][:, edges] - start,
            "edge_type": batch["edge_type"][edges],
        }
        assert_same(processor(dialogue), in_batch)
        start += length


def test_encoding_first_and_packing_later_is_the_same(dialogues):
    processor = make_processor()
    encoded = [one for dialogue in dialogues for one in processor.encode(dialogue)]
    assert [len(one) for one in encoded] == [5, 9, 1, 23]
    assert all(one.has_labels for one in encoded)
    assert_same(processor.pack(encoded), processor(dialogues))


def test_the_dialogues_are_left_as_they_were(dialogues):
    before = json.dumps(dialogues)
    make_processor().fit(dialogues)(dialogues)
    assert json.dumps(dialogues) == before


# Standardisation.


@pytest.mark.parametrize("modality", MODALITIES)
def test_standardised_training_features_have_mean_0_and_deviation_1_where_they_are(modality):
    dialogues = make_dialogues((30, 40))
    key, column = FEATURE_KEYS[modality], MODALITIES.index(modality)
    for index, utterance in enumerate(dialogues[1]["utterances"]):
        utterance[key] = None if index % 3 == 0 else (7 + 4 * np.array(utterance[key])).tolist()
    batch = make_processor().fit(dialogues)(dialogues)
    present = batch["modality_mask"][:, column]
    np.testing.assert_allclose(batch[key][present].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(batch[key][present].std(axis=0), 1, atol=1e-5)
    assert not batch[key][~present].any()


def test_a_dimension_that_never_varies_in_training_is_not_blown_up(dialogues):
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            utterance["audio_features"][2] = 0.1
    processor = make_processor().fit(dialogues)
    dialogues[0]["utterances"][0]["audio_features"][2] = 0.6
    values = processor(dialogues)["audio_features"][:, 2]
    assert values[0] == pytest.approx(0.5)
    assert not values[1:].any()


def test_fit_learns_from_the_given_dialogues_only(dialogues):
    processor = make_processor().fit(dialogues[:2])
    learnt = json.dumps(processor.feature_statistics)
    processor(dialogues)
    assert json.dumps(processor.feature_statistics) == learnt
    assert json.dumps(make_processor().fit(dialogues).feature_statistics) != learnt


def test_fit_learns_nothing_of_a_modality_that_is_not_read(dialogues):
    assert make_processor(audio_dim=0).fit(dialogues).feature_statistics.keys() == {"text", "visual"}


# A processor made to measure.


def test_everything_is_inferred_from_the_training_dialogues(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues)
    assert processor.dims == DIMS
    assert processor.relation_scheme == "same_or_other"
    assert processor.max_speakers == 2
    assert processor.label2id == {label: index for index, label in enumerate(LABELS)}
    assert processor.problem_type == "single_label_classification"
    assert processor.feature_statistics == make_processor().fit(dialogues).feature_statistics
    assert (processor.window_past, processor.window_future) == (8, 8)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name not in RESHAPING])
def test_what_is_given_is_not_inferred(name, dialogues):
    for dialogue in dialogues:
        for utterance in dialogue["utterances"]:
            utterance["visual_features"] = utterance["visual_features"][:1]
    processor = JoyfulProcessor.from_dialogues(dialogues, **{name: PARAMETERS[name]})
    assert getattr(processor, name) == PARAMETERS[name]


def test_weights_multiply_the_standardised_features(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues, modality_weights=None)
    alike = processor(dialogues)
    processor.modality_weights = {"audio": 0.25}
    weighted = processor(dialogues)
    np.testing.assert_allclose(weighted["audio_features"], 0.25 * alike["audio_features"])
    np.testing.assert_array_equal(weighted["text_features"], alike["text_features"])


def test_a_single_modality_needs_no_weight(dialogues):
    assert JoyfulProcessor.from_dialogues(dialogues, text_dim=0, audio_dim=0).modality_weights is None


def test_the_published_forms_weigh_all_modalities_alike(dialogues):
    assert JoyfulProcessor.published_parameters(dialogues)["modality_weights"] is None


def test_a_modality_can_be_switched_off(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues, text_dim=0)
    assert processor.dims == {"audio": DIMS["audio"], "visual": DIMS["visual"]}
    assert "text_features" not in processor(dialogues)


def test_standardisation_can_be_switched_off(dialogues):
    processor = JoyfulProcessor.from_dialogues(dialogues, feature_statistics=None)
    np.testing.assert_array_equal(processor(dialogues)["text_features"], make_processor()(dialogues)["text_features"])


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (lambda rng: LABELS[rng.integers(4)], {"problem_type": "single_label_classification", "num_labels": 4}),
        (lambda rng: int(rng.integers(3)), {"problem_type": "single_label_classification", "num_labels": 3}),
        (lambda rng: [LABELS[rng.integers(4)]], {"problem_type": "multi_label_classification", "num_labels": 4}),
        (lambda rng: rng.random(), {"problem_type": "regression", "num_labels": 1}),
    ],
    ids=["string", "int", "list", "float"],
)
def test_a_model_is_made_to_measure_from_the_processor(label, task):
    processor = JoyfulProcessor.from_dialogues(make_dialogues(label=label, modalities=["text", "audio"]))
    config = JoyfulConfig(**processor.model_kwargs())
    assert (config.text_dim, config.audio_dim, config.visual_dim) == (DIMS["text"], DIMS["audio"], 0)
    assert (config.relation_scheme, config.max_speakers) == (processor.relation_scheme, processor.max_speakers)
    assert config.num_relations == processor.num_relations
    assert {"problem_type": config.problem_type, "num_labels": config.num_labels} == task
    if processor.label2id:
        assert config.label2id == processor.label2id
        assert config.id2label == {index: name for name, index in processor.label2id.items()}


def test_whole_numbers_can_be_a_regression():
    dialogues = make_dialogues(label=lambda rng: int(rng.integers(-3, 4)))
    kwargs = JoyfulProcessor.from_dialogues(dialogues, problem_type=REGRESSION).model_kwargs()
    assert kwargs["num_labels"] == 1
    assert "label2id" not in kwargs


def test_names_of_labels_are_in_the_order_of_their_indices():
    assert list(make_processor(label2id={"b": 1, "c": 2, "a": 0}).model_kwargs()["id2label"].items()) == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]


# Saving and loading.


def test_the_table_above_has_every_parameter_and_no_default():
    defaults = {name: one.default for name, one in inspect.signature(JoyfulProcessor).parameters.items()}
    assert PARAMETERS.keys() == defaults.keys() - {"tokenizer", "text_max_length"}  # see test_tokens
    assert all(value != defaults[name] for name, value in PARAMETERS.items())


@pytest.mark.parametrize("load", [JoyfulProcessor.from_pretrained, AutoProcessor.from_pretrained], ids=["own", "auto"])
def test_every_parameter_survives_saving(load, tmp_path):
    JoyfulProcessor(**PARAMETERS).save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert type(loaded) is JoyfulProcessor
    assert {name: getattr(loaded, name) for name in PARAMETERS} == PARAMETERS


def test_defaults_survive_saving(tmp_path):
    JoyfulProcessor().save_pretrained(tmp_path)
    loaded = JoyfulProcessor.from_pretrained(tmp_path)
    assert all(getattr(loaded, name) == getattr(JoyfulProcessor(), name) for name in PARAMETERS)


def test_a_parameter_can_be_changed_while_loading(tmp_path):
    JoyfulProcessor(**PARAMETERS).save_pretrained(tmp_path)
    assert JoyfulProcessor.from_pretrained(tmp_path, window_future=5).window_future == 5


def test_transformers_restores_parameters_that_are_not_keyword_only():
    kinds = {one.kind for one in inspect.signature(JoyfulProcessor).parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_transformers_takes_no_parameter_for_a_part_of_its_own():
    """Any name that contains `tokenizer`, `feature_extractor`, ... would have to be one."""
    assert JoyfulProcessor.get_attributes() == []


def test_a_saved_processor_is_one_readable_file(tmp_path):
    JoyfulProcessor(**PARAMETERS).save_pretrained(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["processor_config.json"]
    saved = json.loads((tmp_path / "processor_config.json").read_text(encoding="utf-8"))
    assert saved == PARAMETERS | {"text_max_length": None, "processor_class": "JoyfulProcessor"}


@given(lengths=batches_of_lengths)
def test_a_loaded_processor_makes_the_same_batch_bit_for_bit(lengths, tmp_path):
    dialogues = make_dialogues(lengths)
    processor = JoyfulProcessor.from_dialogues(dialogues)
    processor.save_pretrained(tmp_path)
    assert_same(JoyfulProcessor.from_pretrained(tmp_path)(dialogues), processor(dialogues))


# Wrong parameters.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"text_dim": -1}, "text_dim must be an int of at least 0, got -1"),
        ({"audio_dim": 1.5}, "audio_dim must be an int of at least 0, got 1.5"),
        ({"visual_dim": None}, "visual_dim must be an int of at least 0, got None"),
        ({"window_past": -2}, "window_past must be an int of at least -1, got -2"),
        ({"window_future": "8"}, "window_future must be an int of at least -1, got '8'"),
        ({"max_speakers": 0}, "max_speakers must be an int of at least 1, got 0"),
        ({"max_speakers": True}, "max_speakers must be an int of at least 1, got True"),
        ({"relation_scheme": "pairs"}, "unknown relation_scheme 'pairs'; choose from speaker_pair, same_or_other"),
        ({"problem_type": "multi"}, "unknown problem_type 'multi'; choose from single_label_classification, multi"),
        ({"label2id": {"joy": 1, "anger": 2}}, "label2id must number the labels from 0 to 1, got"),
        ({"label2id": {"joy": 0, "anger": 0}}, "label2id must number the labels from 0 to 1, got"),
        ({"speaker_to_id": {"A": -1}}, "speaker_to_id gives 'A' the id -1; ids start at 0"),
        ({"speaker_to_id": {"A": 0, "B": 2}}, "speaker_to_id gives 'B' the id 2; ids start at 0, and 'speaker_pair'"),
        ({"modality_weights": {"smell": 1.0}}, "modality_weights give 'smell' 1.0; text, audio, visual get 0 or more"),
        ({"modality_weights": {"text": -1.0}}, "modality_weights give 'text' -1.0"),
        ({"modality_weights": {"text": float("nan")}}, "modality_weights give 'text' nan"),
        ({"feature_statistics": {"smell": {"mean": [], "std": []}}}, "feature_statistics hold 'smell'"),
        ({"feature_statistics": {"text": {"mean": [0.0]}}}, "feature_statistics hold 'text': 'mean'; they give"),
        ({"text_dim": 2, "feature_statistics": {"text": {"mean": [0.0], "std": [1.0]}}}, "of text have sizes {1}, te"),
        ({"text_dim": 1, "feature_statistics": {"text": {"mean": [0.0], "std": [0.0]}}}, "every 'std' must be above"),
        ({"text_dim": 1, "feature_statistics": {"text": {"mean": [[0.0]], "std": [1.0]}}}, "must be a finite number"),
        (
            {"text_dim": 1, "feature_statistics": {"text": {"mean": [0.0], "std": [math.inf]}}},
            "must be a finite number",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_parameter_is_refused(parameters, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - held against the message
        JoyfulProcessor(**parameters)
    assert message in str(caught.value)


def test_same_or_other_takes_speakers_of_any_number():
    processor = JoyfulProcessor(text_dim=1, relation_scheme="same_or_other", speaker_to_id={"A": 40})
    assert processor(make_dialogue(1, modalities=[]) | {"utterances": [{"speaker": "A"}]})["speaker_ids"] == [40]
