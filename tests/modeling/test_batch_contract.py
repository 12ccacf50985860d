"""A batch that does not fit the model is refused, with both numbers, before anything is computed."""

import pytest
import torch

from joyful_hf import (
    DialogueError,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
)
from joyful_hf.modeling.batch_contract import MODALITIES, check_batch
from joyful_hf.processing import dialogues as processing
from tests.support.helpers import DIMS, LABELS, make_dialogues

LABEL2ID = {label: index for index, label in enumerate(LABELS)}


@pytest.fixture(scope="module")
def model():
    sizes = {f"{name}_dim": dim for name, dim in DIMS.items()}
    return JoyfulForEmotionRecognition(JoyfulConfig(**sizes, label2id=LABEL2ID, max_speakers=3))


@pytest.fixture
def batch():
    """17 utterances in 3 dialogues, 3 speakers; it fits."""
    sizes = {f"{name}_dim": dim for name, dim in DIMS.items()}
    processor = JoyfulProcessor(**sizes, label2id=LABEL2ID, max_speakers=3)
    return processor(make_dialogues((5, 9, 3), speakers=3), return_tensors="pt")


def changed(key, change):
    return lambda batch: batch.update({key: change(batch[key])})


def one_higher(index):
    def change(tensor):
        tensor = tensor.clone()
        tensor[index] = 100
        return tensor

    return change


MISFITS = {
    "feature size": (
        changed("audio_features", lambda rows: rows[:, :4]),
        r"audio_features have shape \(17, 4\), the model expects \(N, 6\)",
    ),
    "features of frames": (
        changed("text_features", lambda rows: rows[:, None]),
        r"text_features have shape \(17, 1, 12\), the model expects \(N, 12\)",
    ),
    "missing modality": (
        lambda batch: batch.pop("visual_features"),
        "no visual_features, and the model was made with visual_dim=8",
    ),
    "rows": (changed("audio_features", lambda rows: rows[:-1]), "audio_features have 16 rows, other features have 17"),
    "lengths": (
        changed("dialogue_lengths", lambda lengths: lengths + 1),
        "dialogue_lengths sum to 20, the features have 17 rows",
    ),
    "no utterance": (
        changed("dialogue_lengths", lambda lengths: torch.tensor([8, 9, 0])),
        "dialogue_lengths hold 0; a dialogue has at least 1 utterance",
    ),
    "relation": (
        changed("edge_type", one_higher(0)),
        r"relation id 100, the model holds 18 relations \(speaker_pair, max_speakers=3\); load the processor",
    ),
    "speaker": (
        changed("speaker_ids", one_higher(0)),
        r"speaker id 100, the model holds 3 speakers \(speaker_pair, max_speakers=3\); load the processor",
    ),
    "edge": (changed("edge_index", one_higher((0, 0))), "edge_index names utterance 100, the batch has 17"),
    "relations": (changed("edge_type", lambda types: types[:-2]), r"edge_type has shape \(\d+,\), .* needs \(\d+,\)"),
    "speakers": (changed("speaker_ids", lambda ids: ids[:-1]), r"speaker_ids has shape \(16,\), .* needs \(17,\)"),
    "mask": (
        changed("modality_mask", lambda mask: mask[:, :2]),
        r"modality_mask has shape \(17, 2\), .* needs \(17, 3\)",
    ),
    "no graph": (lambda batch: batch.pop("edge_index"), "needs speaker_ids, edge_index and edge_type"),
    "label": (changed("labels", one_higher(3)), "label 100, the model has num_labels=4"),
    "label shape": (
        changed("labels", lambda labels: labels[:, None].repeat(1, 4)),
        r"labels have shape \(17, 4\), single_label_classification of this batch needs \(17,\)",
    ),
}


def test_the_batch_fits(model, batch):
    assert model(**batch).logits.shape == (17, 4)


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("training", [False, True])
def test_a_misfit_is_refused_with_both_numbers(name, training, model, batch):
    spoil, message = MISFITS[name]
    spoil(batch)
    with pytest.raises(DialogueError, match=message):
        model.train(training)(**batch)


def test_a_modality_that_is_not_of_the_model_is_not_looked_at(batch):
    config = JoyfulConfig(text_dim=DIMS["text"], label2id=LABEL2ID, max_speakers=3)
    assert JoyfulForEmotionRecognition(config)(**batch).logits.shape == (17, 4)


def test_both_rooms_call_the_modalities_the_same():
    assert MODALITIES == processing.MODALITIES


def test_without_the_public_package_it_is_a_value_error(batch):
    config = JoyfulConfig(text_dim=9)
    features = {name: batch[f"{name}_features"] for name in DIMS}
    with pytest.raises(ValueError, match=r"\(17, 12\), the model expects \(N, 9\)") as caught:
        check_batch(config, batch["dialogue_lengths"], features)
    assert caught.type is ValueError
