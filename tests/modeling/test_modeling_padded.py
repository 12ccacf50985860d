"""What the models of single utterances share: how they read a padded batch, and how much they predict at once."""

import pytest
import torch

from joyful_hf import DialogueError
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, make_dialogue, make_dialogues

CASES = [case for case in [*FAMILY_CASES, *RIVAL_CASES] if not case.reads_dialogues]
each_family = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def made(case):
    model, processor = case.make(make_dialogues())
    return model, processor, processor(make_dialogues(), return_tensors="pt", return_labels=False)


@each_family
def test_streams_of_different_numbers_of_utterances_are_refused(made):
    model, _, batch = made
    batch["video_frames"], batch["video_frame_mask"] = batch["video_frames"][1:], batch["video_frame_mask"][1:]
    with pytest.raises(DialogueError, match=r"differ in their number of utterances: .*37 of vi"):
        model(**batch)


@each_family
def test_a_stream_that_is_missing_is_named(made):
    model, _, batch = made
    del batch["audio_frames"]
    with pytest.raises(DialogueError, match="the batch has no audio_frames"):
        model(**batch)


@each_family
def test_masks_may_be_left_out_where_everything_is_real(made):
    model, processor, _ = made
    one = [{**make_dialogue(1)["utterances"][0], "label": None}]
    batch = processor(one, return_tensors="pt")
    bare = {name: rows for name, rows in batch.items() if not name.endswith("_mask")}
    assert torch.equal(model(**bare, return_loss=False).logits, model(**batch, return_loss=False).logits)


@each_family
def test_the_main_input_is_the_first_stream(made):
    model, _, batch = made
    assert model.main_input_name in batch


@each_family
def test_a_batch_of_frames_is_small(made, monkeypatch):
    """Whole sequences take much more memory than vectors do."""
    model, processor, _ = made
    pack, sizes = processor.pack, []
    monkeypatch.setattr(processor, "pack", lambda rows, **given: sizes.append(len(rows)) or pack(rows, **given))
    model.predict(make_dialogues((60, 10, 60)), processor)
    assert max(sizes) <= 64
