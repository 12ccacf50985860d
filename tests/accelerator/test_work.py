"""A training step asks the device for nothing that it would wait for, and gives it no more work than it must."""

import pytest
import torch
from transformers import TrainerCallback

from joyful_hf.data.encoded import DialogueCollator
from tests.support.accelerator import NAME, WORK
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, make_dialogues
from tests.support.training import make_trainer

# An encoder of transformers inside the model asks for the lengths of its texts.
FORMS = [case for case in [*FAMILY_CASES, *RIVAL_CASES] if case.name != "joyful-with-text-encoder"]
LONG = make_dialogues((40,) * 16)
# Launches of one step on 16 dialogues of 40 utterances, forward and backward, and the fields that matter for them.
# `benchmarks/README.md` has them in a table.
MOST_LAUNCHES = {
    "joyful-recommended": (1700, {"num_members": 4}),
    "joyful-paper": (750, {"num_hidden_layers": 4}),
    "joyful-released": (600, {"num_hidden_layers": 4}),
    "ar-iigcn-recommended": (2950, {}),
    "graph-smile-recommended": (470, {}),
    "sdt-recommended": (1000, {}),
}


def step(form, dialogues, **settings):
    """Loss of a training step; `WORK` has what it asked of the device, the second time after a first one."""
    model, processor = form.make(dialogues, **settings)
    model.to(NAME).train()
    batch = DialogueCollator(processor)(processor.encode(dialogues))
    batch = {name: value.to(NAME) for name, value in batch.items()}
    model(**batch)  # what a process sends once
    WORK.clear()
    loss = model(**batch).loss
    loss.backward()
    return loss


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_step_neither_waits_nor_uploads(form):
    loss = step(form, make_dialogues((5, 3, 1)), class_weights=[1.0, 2.0, 1.0, 1.0])
    assert (WORK.waits.total(), WORK.uploads.total()) == (0, 0), str(WORK)
    assert WORK.launches
    assert loss.isfinite().item()


@pytest.mark.parametrize("form", [form for form in FORMS if form.name in MOST_LAUNCHES], ids=lambda form: form.name)
def test_a_step_has_few_launches(form):
    most, settings = MOST_LAUNCHES[form.name]
    step(form, LONG, **settings)
    print(f"{form.name}: {WORK.launches.total()}")
    assert WORK.launches.total() <= most, str(WORK)


def test_a_batch_without_a_layout_has_the_same_losses_and_waits_once():
    form = FAMILY_CASES[0]
    model, processor = form.make(LONG[:2])
    model.to(NAME)
    batch = DialogueCollator(processor)(processor.encode(make_dialogues((5, 3, 1))))
    batch = {name: value.to(NAME) for name, value in batch.items()}
    expected = model(**batch).loss
    del batch["layout"]
    WORK.clear()
    assert torch.equal(model(**batch).loss, expected)
    assert WORK.waits.total() == 2  # and the comparison


def test_the_steps_of_a_training_do_not_wait(tmp_path):
    class Count(TrainerCallback):
        waits: list[int]

        def on_train_begin(self, *args, **kwargs):
            self.waits = []

        def on_step_end(self, *args, **kwargs):
            self.waits.append(WORK.waits.total())

    count = Count()
    settings = {"logging_strategy": "no", "save_strategy": "no", "num_train_epochs": 1}
    trainer = make_trainer(tmp_path, FAMILY_CASES[0], validation=None, callbacks=[count], **settings)
    assert trainer.args.accelerator_config.non_blocking
    trainer.train()
    first, *rest = count.waits
    assert set(rest[:-1]) == {first}, str(WORK)
