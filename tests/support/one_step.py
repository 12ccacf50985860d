"""One step of training on the same examples, cut in different ways, and its gradient."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from transformers import TrainerCallback

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from joyful_hf.modeling import modeling_foal_net
from tests.support.helpers import FAMILY_CASES, LABELS, RIVAL_CASES, FamilyCase, make_dialogue, without_modality

LENGTHS = (2, 20, 3, 9, 5)  # an odd number of dialogues, of very different lengths


def some_labels(rng: Any) -> Any:
    """No label for a third of the utterances."""
    label = LABELS[rng.integers(len(LABELS))]
    return label if rng.random() < 2 / 3 else None


def several_labels(rng: Any) -> Any:
    """None, one or more of the labels."""
    labels = [label for label in LABELS if rng.random() < 0.4]
    return labels if rng.random() < 2 / 3 else None


def sentiment(rng: Any) -> Any:
    """A value."""
    value = float(rng.normal())
    return value if rng.random() < 2 / 3 else None


def dialogues_of(label: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """Dialogues of which one has no label at all, and some utterances lack a modality."""
    dialogues = [
        make_dialogue(length, seed=index, label=(lambda rng: None) if index == 2 else label)
        for index, length in enumerate(LENGTHS)
    ]
    for dialogue, modality in zip(dialogues, ("audio", "visual", "text", "audio", "visual"), strict=True):
        dialogue["utterances"] = [
            without_modality(utterance, modality) if index % 3 == 1 else utterance
            for index, utterance in enumerate(dialogue["utterances"])
        ]
    return dialogues


@dataclass(frozen=True)
class StepCase:
    """A model and a loss whose step is cut."""

    name: str
    family: FamilyCase
    settings: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    label: Callable[[Any], Any] = some_labels
    compares: bool = False
    """Whether a part of the loss compares the utterances of different dialogues: accumulation cannot give that."""


_FAMILY = {family.name: family for family in [*FAMILY_CASES, *RIVAL_CASES]}
_JOYFUL, _PAPER = _FAMILY["joyful-recommended"], _FAMILY["joyful-paper"]
_AR_IIGCN, _FOAL_NET = _FAMILY["ar-iigcn-recommended"], _FAMILY["foal-net"]
_NO_CONTRAST = {"intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0}
_NO_ALIGNMENT = {"avel_loss_weight": 0, "mem_loss_weight": 0}
_BALANCE = {"class_balance": 1, "label_smoothing_factor": 0.1}

STEP_CASES = [
    StepCase("joyful", _JOYFUL, {"plain_path_size": 8}),
    StepCase("joyful-balanced", _JOYFUL, arguments=_BALANCE),
    StepCase("joyful-grouped", _JOYFUL, arguments={"train_sampling_strategy": "group_by_length"}),
    StepCase("joyful-several-labels", _JOYFUL, label=several_labels),
    StepCase("joyful-regression", _JOYFUL, label=sentiment),
    StepCase("joyful-paper", _PAPER),
    StepCase("joyful-paper-over-the-batch", _PAPER, {"contrast_scope": "batch"}, compares=True),
    StepCase("joyful-released", _FAMILY["joyful-released"], compares=True),
    StepCase("joyful-released-by-dialogue", _FAMILY["joyful-released"], {"contrast_scope": "dialogue"}),
    StepCase("joyful-with-text-encoder", _FAMILY["joyful-with-text-encoder"]),
    StepCase("ar-iigcn", _AR_IIGCN, compares=True),
    StepCase("ar-iigcn-no-contrast", _AR_IIGCN, _NO_CONTRAST, _BALANCE),
    StepCase("ar-iigcn-paper", _FAMILY["ar-iigcn-paper"], compares=True),
    StepCase("foal-net", _FOAL_NET, compares=True),
    StepCase("foal-net-several-labels", _FOAL_NET, label=several_labels, compares=True),
    StepCase("foal-net-no-alignment", _FOAL_NET, _NO_ALIGNMENT, _BALANCE),
    StepCase("foal-net-with-text", _FAMILY["foal-net-with-text"], compares=True),
    StepCase("graph-smile", _FAMILY["graph-smile-recommended"]),
    StepCase("graph-smile-released", _FAMILY["graph-smile-released"], arguments=_BALANCE),
    StepCase("m3net", _FAMILY["m3net-recommended"]),
    StepCase("sdt", _FAMILY["sdt-recommended"], arguments=_BALANCE),
    StepCase("cogmen", _FAMILY["cogmen"]),
    *(
        StepCase(name, _FAMILY[f"{name}-recommended"])
        for name in ("dialogue-gcn", "dialogue-rnn", "gban", "jmt", "lmam", "m2fnet", "mmgcn")
    ),
]


class KeepGradients(TrainerCallback):
    """Keeps the gradients of the first step."""

    gradients: dict[str, torch.Tensor]

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Copy them."""
        parameters = getattr(model, "module", model).named_parameters()
        self.gradients = {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
            for name, weight in parameters
        }


@contextmanager
def most_similar_negatives() -> Iterator[None]:
    """Foal-Net draws its negatives in training; here it takes the most similar ones."""
    chosen = modeling_foal_net.hard_negatives
    with patch.object(
        modeling_foal_net, "hard_negatives", lambda similarity, candidates, draw: chosen(similarity, candidates, False)
    ):
        yield


def without_chance(config: Any) -> dict[str, Any]:
    """Fields that leave nothing to chance: a step is a function of the weights and the examples."""
    fields: dict[str, Any] = {name: 0 for name in config.to_dict() if name.endswith("_dropout_prob")}
    if hasattr(config, "views"):
        fields["views"] = [[], []]
    if getattr(config, "text_config", None) is not None:
        encoder = config.text_config.to_dict()
        fields["text_config"] = encoder | dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    return fields


def make_without_chance(family: FamilyCase, dialogues: list[dict[str, Any]], **settings: Any) -> tuple[Any, Any]:
    """A model whose step is the same however it is cut, and its processor."""
    settings |= without_chance(family.make(dialogues, **settings)[0].config)
    model, processor = family.make(dialogues, **settings)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):  # it normalises over a batch: no cut can leave that as it is
            module.train = lambda mode=True: None  # ty: ignore[invalid-assignment]
    return model, processor


def one_step(folder: Path, case: StepCase, batch_size: int, accumulation: int = 1) -> dict[str, Any]:
    """Make a step and return its gradients, one vector, and what the log has.

    Args:
        batch_size: dialogues of a batch on a process; for a family of utterances, eight times as many.
    """
    dialogues = dialogues_of(case.label)
    model, processor = make_without_chance(case.family, dialogues, **case.settings)
    size = batch_size if case.family.reads_dialogues else 8 * batch_size
    arguments = {"train_sampling_strategy": "sequential", "class_balance": 0} | case.arguments
    args = JoyfulTrainingArguments(
        str(folder),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
        optim="sgd",
        weight_decay=0,
        max_grad_norm=0,
        weight_averaging_decay=0,
        logging_strategy="steps",
        logging_steps=1,
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
        disable_tqdm=True,
        use_cpu=True,
        **arguments,
    )
    kept = KeepGradients()
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=dialogues, processing_class=processor, callbacks=[kept]
    )
    with most_similar_negatives():
        trainer.train()
    (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {
        "gradient": torch.cat([gradient.flatten() for gradient in kept.gradients.values()]),
        "log": {name: value for name, value in entry.items() if "loss" in name or "accuracy" in name},
    }
