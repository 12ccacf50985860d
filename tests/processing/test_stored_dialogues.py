"""The dialogues of a data set are its rows, with arrays in place of vectors."""

import datasets
import numpy as np
import pytest
from datasets import Audio, Dataset, Features, List, Value

from joyful_hf.processing.dialogues import FEATURE_KEYS, FRAME_KEYS, as_dialogue_list
from joyful_hf.processing.stored_dialogues import StoredDialogues, is_stored

VECTORS = (*FEATURE_KEYS.values(), *FRAME_KEYS.values())


def in_plain_python(dialogue):
    return {
        key: [
            {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in utterance.items()}
            for utterance in value
        ]
        if key == "utterances" and value is not None
        else value
        for key, value in dialogue.items()
    }


def odd_ones():
    """Dialogues with gaps of every kind."""
    full = {"speaker": "A", "text_features": [1.0, 2.0], "video_frames": [[1.0], [2.0]], "note": {"by": "me"}}
    return [
        {"dialogue_id": "a", "utterances": [full, full | {"text_features": None, "video_frames": None}]},
        {"dialogue_id": "b", "utterances": None},
        {"dialogue_id": None, "utterances": []},
        {"dialogue_id": "d", "utterances": [full | {"text_features": [], "video_frames": []}, full]},
        {"dialogue_id": "e", "utterances": [full | {"text_features": [1.0, None]}]},
        {"dialogue_id": "f", "utterances": [full | {"video_frames": [[1.0], [2.0, 3.0]]}]},
    ]


@pytest.mark.parametrize(
    "select",
    [lambda data: data, lambda data: data.select([3, 0, 1]), lambda data: data.select(range(2, 4))],
    ids=["all", "some", "a range"],
)
@pytest.mark.parametrize("kind", ["float", "odd", "fixed", "int"])
def test_they_hold_what_the_rows_hold(dialogues, select, kind):
    data = Dataset.from_list(odd_ones() if kind == "odd" else dialogues)
    if kind in ("fixed", "int"):
        vector = List(Value("float64"), length=len(dialogues[0]["utterances"][0]["text_features"]))
        fields = data.features["utterances"].feature
        changed = {"text_features": vector} if kind == "fixed" else {"label": Value("string")}
        data = data.cast(Features(data.features | {"utterances": List(fields | changed)}))
    data = select(data)
    stored = as_dialogue_list(data) if kind != "odd" else StoredDialogues(data)
    assert isinstance(stored, StoredDialogues)
    assert list(map(in_plain_python, stored)) == list(data.with_format(None))
    assert in_plain_python(stored[-1]) == data[len(data) - 1]
    assert list(map(in_plain_python, stored[1:])) == list(data)[1:]


def test_vectors_are_arrays(dialogues):
    for dialogue in as_dialogue_list(Dataset.from_list(dialogues)):
        for utterance in dialogue["utterances"]:
            assert all(isinstance(utterance[key], np.ndarray) for key in VECTORS if utterance.get(key) is not None)


def test_a_data_set_that_decodes_media_decodes_them_itself():
    data = Dataset.from_list([{"utterances": [{"speaker": "A", "audio": None}]}])
    assert is_stored(data)
    assert not is_stored(data.cast(Features({"utterances": List({"speaker": Value("string"), "audio": Audio()})})))
    assert not is_stored(datasets.IterableDataset.from_generator(lambda: iter(())))
