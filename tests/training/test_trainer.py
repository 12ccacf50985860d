"""`JoyfulTrainer`: what it takes, counts and logs, and what it leaves as `transformers.Trainer` has it."""

import copy
import logging
import math

import datasets
import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from joyful_hf import (
    DialogueError,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    JoyfulTrainer,
    JoyfulTrainingArguments,
)
from joyful_hf.training.callbacks import EarlyStopping
from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    make_dialogue,
    make_dialogues,
)
from tests.support.training import (
    STEPS_PER_EPOCH,
    TRAIN,
    VALIDATION,
    assert_same_weights,
    make_trainer,
    training_args,
    weights_of,
)

CASE = FAMILY_CASES[0]
NUM_UTTERANCES = sum(len(dialogue["utterances"]) for dialogue in TRAIN)

# No dropout and views that change nothing: the loss of a batch is a function of the weights.
DETERMINISTIC = {
    "input_dropout_prob": 0,
    "hidden_dropout_prob": 0,
    "plain_path_dropout_prob": 0,
    "modality_dropout_prob": 0,
    "views": [[], []],
}
NO_VALIDATION = {"eval_strategy": "no", "load_best_model_at_end": False}


def without_labels(dialogue):
    return {"dialogue_id": "x", "utterances": [utterance | {"label": None} for utterance in dialogue["utterances"]]}


def labels_of(dialogues):
    return [utterance["label"] for dialogue in dialogues for utterance in dialogue["utterances"]]


def loss_parts_of(entry, prefix=""):
    start = f"{prefix}loss_"
    return {name.removeprefix(start): value for name, value in entry.items() if name.startswith(start)}


def weighted_sum(model, parts):
    return model.weighted_sum({name: torch.tensor(value) for name, value in parts.items()}).item()


def multi_label(rng):
    return [name for name in LABELS if rng.random() < 0.4]


def sentiment(rng):
    return float(rng.uniform(-3, 3))


class MapStyle(Dataset):
    """The least that torch asks of a data set."""

    def __len__(self):
        return len(TRAIN)

    def __getitem__(self, index):
        return TRAIN[index]


class Stream(IterableDataset):
    """A torch data set without a length."""

    def __iter__(self):
        return iter(TRAIN)


# Inputs


@pytest.mark.parametrize("arguments", [TrainingArguments, JoyfulTrainingArguments])
def test_takes_the_arguments_of_transformers_and_its_own(tmp_path, family, arguments):
    args = arguments(str(tmp_path), max_steps=3, logging_strategy="steps", logging_steps=1, **NO_VALIDATION)
    model, processor = family.make(TRAIN)
    before = copy.deepcopy(model.state_dict())
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=TRAIN, processing_class=processor)
    trainer.train()
    assert trainer.state.global_step == 3
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    assert any(not torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())


@pytest.mark.parametrize("form", [datasets.Dataset.from_list, lambda _: MapStyle()], ids=["datasets", "torch"])
def test_every_form_of_a_data_set_trains_alike(tmp_path, form):
    trained = []
    for name, train in (("list", TRAIN), ("other", form(TRAIN))):
        trainer = make_trainer(tmp_path / name, train=train, validation=None, max_steps=3)
        trainer.train()
        trained.append(weights_of(trainer))
    assert_same_weights(*trained)


def test_streams_train_alike_in_their_own_order(tmp_path):
    # A stream cannot be shuffled, nor its labels be counted beforehand.
    in_order = {"train_sampling_strategy": "sequential", "class_balance": 0}
    trained = []
    for name, train in (
        ("list", TRAIN),
        ("torch", Stream()),
        ("datasets", datasets.IterableDataset.from_generator(lambda: iter(TRAIN))),
    ):
        trainer = make_trainer(tmp_path / name, train=train, validation=None, max_steps=7, **in_order)
        trainer.train()
        assert trainer.state.global_step == 7
        trained.append(weights_of(trainer))
    assert_same_weights(trained[0], trained[1])
    assert_same_weights(trained[0], trained[2])


def test_a_stream_without_max_steps_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_steps"):
        make_trainer(tmp_path, train=Stream(), validation=None)


def test_bad_dialogues_are_refused_before_the_first_step(tmp_path):
    bad = make_dialogue(2, label=lambda rng: "boredom", dialogue_id="d7")
    with pytest.raises(DialogueError, match=r"'d7', utterances\[0\].*'boredom'"):
        make_trainer(tmp_path, validation=[*VALIDATION, bad])


def test_a_missing_processor_is_named(tmp_path):
    model, _ = CASE.make(TRAIN)
    with pytest.raises(ValueError, match="processing_class"):
        JoyfulTrainer(model=model, args=training_args(tmp_path, **NO_VALIDATION), train_dataset=TRAIN)


def test_a_compiler_may_turn_recurrences_into_loops(tmp_path):
    with torch._dynamo.config.patch(capture_scalar_outputs=False):
        make_trainer(tmp_path)
        assert not torch._dynamo.config.capture_scalar_outputs
        make_trainer(tmp_path, torch_compile=True, use_cpu=True)
        assert torch._dynamo.config.capture_scalar_outputs


def test_the_arguments_of_the_caller_are_left_as_they_were(tmp_path):
    args = TrainingArguments(str(tmp_path))
    before = args.to_dict()
    model, processor = CASE.make(TRAIN)
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=TRAIN, processing_class=processor)
    assert args.to_dict() == before
    # The settings that dialogues need hold all the same.
    assert trainer.args.remove_unused_columns is False
    assert trainer.args.label_names == ["labels"]
    assert trainer.args.accelerator_config.dispatch_batches is False


def test_data_parallel_never_cuts_a_packed_batch(tmp_path):
    args = training_args(tmp_path, **NO_VALIDATION)
    args._n_gpu = 2  # as on a machine with two GPUs, without torchrun
    model, processor = CASE.make(TRAIN)
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=TRAIN, processing_class=processor)
    assert trainer.args.n_gpu == 1
    assert trainer.args.train_batch_size == args.per_device_train_batch_size


@pytest.mark.parametrize(("length", "batch_size"), [(4, 8), (24, 8), (48, 4), (1000, 1)])
def test_a_step_has_fewer_dialogues_where_they_are_long(tmp_path, length, batch_size):
    trainer = make_trainer(tmp_path, train=make_dialogues((length,) * 3), per_device_train_batch_size=-1)
    assert trainer.args.train_batch_size == batch_size
    assert make_trainer(tmp_path, per_device_train_batch_size=3).args.train_batch_size == 3


def test_needs_no_arguments_to_evaluate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, processor = CASE.make(TRAIN)
    trainer = JoyfulTrainer(model=model, processing_class=processor)
    assert "eval_weighted_f1" in trainer.evaluate(VALIDATION)


def test_a_collator_of_the_caller_gets_the_dialogues_as_they_are(tmp_path):
    seen = []
    _, processor = CASE.make(TRAIN)

    def collate(dialogues):
        seen.extend(dialogue["dialogue_id"] for dialogue in dialogues)
        return processor(dialogues, return_tensors="pt").data

    trainer = make_trainer(tmp_path, num_train_epochs=1, validation=None, trainer_kwargs={"data_collator": collate})
    trainer.train()
    assert sorted(seen) == sorted(dialogue["dialogue_id"] for dialogue in TRAIN)


def test_a_model_can_be_made_anew_for_each_training(tmp_path):
    trainer = JoyfulTrainer(
        model_init=lambda: CASE.make(TRAIN)[0],
        args=training_args(tmp_path, class_balance=1, label_smoothing_factor=0.1, num_train_epochs=1),
        train_dataset=TRAIN,
        eval_dataset=VALIDATION,
        processing_class=CASE.make(TRAIN)[1],
    )
    made_first = trainer.model
    trainer.train()
    assert trainer.model is not made_first
    for model in (made_first, trainer.model):
        assert len(model.config.class_weights) == len(LABELS)
        assert model.config.label_smoothing == 0.1


# Counting


@pytest.mark.parametrize("batch_size", [1, 2, 4, 64])
def test_every_utterance_counts_once_whatever_the_batch_size(tmp_path, family, batch_size):
    trainer = make_trainer(tmp_path, family, validation=None, per_device_eval_batch_size=batch_size)
    predicted = trainer.model.predict(TRAIN, trainer.processing_class)
    found, true = labels_of(predicted), labels_of(TRAIN)
    metrics = trainer.evaluate(TRAIN)
    assert metrics["eval_accuracy"] == pytest.approx(np.mean([f == t for f, t in zip(found, true, strict=True)]))
    assert metrics["eval_weighted_f1"] == pytest.approx(f1_score(true, found, average="weighted", zero_division=0))
    for label in LABELS:
        f1 = f1_score(true, found, labels=[label], average=None, zero_division=0)[0]
        assert metrics[f"eval_f1_{label}"] == pytest.approx(f1)


@pytest.mark.parametrize("batch_size", [2, 64])
def test_a_row_of_the_predictions_is_an_example(tmp_path, family, batch_size):
    trainer = make_trainer(tmp_path, family, validation=None, per_device_eval_batch_size=batch_size)
    output = trainer.predict(TRAIN)
    examples = family.examples(TRAIN)
    assert len(output.predictions) == len(output.label_ids) == len(examples)
    label2id = trainer.model.config.label2id
    for example, labels in zip(examples, output.label_ids.reshape(len(examples), -1), strict=True):
        assert labels[labels != -100].tolist() == [label2id[utterance["label"]] for utterance in example]


@pytest.mark.parametrize("batch_size", [2, 64])
def test_predictions_are_padded_to_the_longest_dialogue(tmp_path, family, batch_size):
    if not family.reads_dialogues:
        pytest.skip("an utterance is a row of its own")
    trainer = make_trainer(tmp_path, family, validation=None, per_device_eval_batch_size=batch_size)
    output = trainer.predict(TRAIN)
    longest = max(len(dialogue["utterances"]) for dialogue in TRAIN)
    assert output.predictions.shape == (len(TRAIN), longest, len(LABELS))
    assert output.label_ids.shape == (len(TRAIN), longest)
    assert (output.label_ids != -100).sum() == NUM_UTTERANCES
    for dialogue, logits, labels in zip(TRAIN, output.predictions, output.label_ids, strict=True):
        length = len(dialogue["utterances"])
        batch = trainer.processing_class(dialogue, return_tensors="pt")
        with torch.no_grad():
            alone = trainer.model(**batch).logits
        np.testing.assert_allclose(logits[:length], alone, atol=1e-5)
        assert labels[:length].tolist() == batch["labels"].tolist()
        assert (logits[length:] == -100).all()
        assert (labels[length:] == -100).all()


def test_a_stream_is_evaluated_whole(tmp_path):
    trainer = make_trainer(tmp_path, validation=None)
    from_list, from_stream = trainer.evaluate(TRAIN), trainer.evaluate(Stream())
    assert from_stream["eval_weighted_f1"] == from_list["eval_weighted_f1"]
    assert (trainer.predict(Stream()).label_ids != -100).sum() == NUM_UTTERANCES


def test_several_validation_sets_have_their_names(tmp_path):
    trainer = make_trainer(
        tmp_path,
        validation={"easy": VALIDATION, "hard": TRAIN[:2]},
        metric_for_best_model="hard_accuracy",
        num_train_epochs=1,
    )
    trainer.train()
    assert trainer.state.best_metric == trainer.evaluate()["eval_hard_accuracy"]
    assert trainer.evaluate()["eval_easy_accuracy"] == trainer.evaluate(VALIDATION)["eval_accuracy"]


@pytest.mark.parametrize("batch_size", [1, 64])
def test_only_labelled_utterances_are_scored(tmp_path, batch_size):
    trainer = make_trainer(tmp_path, validation=None, per_device_eval_batch_size=batch_size)
    mixed = [without_labels(TRAIN[1]), *TRAIN[2:]]
    metrics = trainer.evaluate(mixed)
    assert metrics["eval_accuracy"] == trainer.evaluate(TRAIN[2:])["eval_accuracy"]
    assert "eval_loss" in metrics


@pytest.mark.parametrize(
    ("task", "label"),
    [("single_label", None), ("multi_label", multi_label), ("regression", sentiment)],
    ids=["single_label", "multi_label", "regression"],
)
def test_dialogues_without_any_label_train_and_predict(tmp_path, task, label):
    train = TRAIN if label is None else make_dialogues((5, 3, 4), label=label)
    mixed = [without_labels(dialogue) for dialogue in TRAIN[:3]] + train
    model, processor = CASE.make(mixed)
    args = training_args(tmp_path, per_device_train_batch_size=1, num_train_epochs=1, **NO_VALIDATION)
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=mixed, processing_class=processor)
    assert math.isfinite(trainer.train().training_loss)

    unlabelled = [without_labels(dialogue) for dialogue in TRAIN[:3]]
    output = trainer.predict(unlabelled)
    assert output.predictions.shape == (3, 9, model.config.num_labels)
    assert (output.label_ids == -100).all()
    # There is nothing to score, and no loss that a label would have to give.
    assert not {name for name in output.metrics if "f1" in name or "mae" in name or name == "test_loss"}
    assert "test_loss_classification" not in output.metrics
    assert "test_loss_fusion" in output.metrics


# Tasks


def test_several_labels_at_once(tmp_path):
    train, validation = (make_dialogues(lengths, label=multi_label) for lengths in ((5, 9, 1, 7), (4, 3, 1)))
    model, processor = CASE.make(train)
    trainer = JoyfulTrainer(
        model=model,
        args=training_args(tmp_path),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=processor,
    )
    trainer.train()
    metrics = trainer.evaluate()
    true = np.array([[name in label for name in LABELS] for label in labels_of(validation)])
    found = labels_of(model.predict(validation, processor))
    found = np.array([[name in label for name in LABELS] for label in found])
    assert metrics["eval_accuracy"] == pytest.approx((found == true).all(1).mean())
    assert metrics["eval_weighted_f1"] == pytest.approx(f1_score(true, found, average="weighted", zero_division=0))
    assert trainer.state.best_metric == pytest.approx(metrics["eval_weighted_f1"])


def test_regression_keeps_the_checkpoint_of_the_lowest_error(tmp_path):
    train, validation = (make_dialogues(lengths, label=sentiment) for lengths in ((5, 9, 1, 7), (4, 3, 1)))
    model, processor = CASE.make(train)
    args = training_args(tmp_path, num_train_epochs=4, learning_rate=0.02)
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=train, eval_dataset=validation, processing_class=processor
    )
    assert (trainer.args.metric_for_best_model, trainer.args.greater_is_better) == ("mae", False)
    assert args.metric_for_best_model == "weighted_f1"
    trainer.train()
    errors = [entry["eval_mae"] for entry in trainer.state.log_history if "eval_mae" in entry]
    assert len(errors) == 4
    assert trainer.state.best_metric == min(errors)
    by_hand = np.abs(np.subtract(labels_of(model.predict(validation, processor)), labels_of(validation))).mean()
    assert trainer.evaluate()["eval_mae"] == pytest.approx(min(errors)) == pytest.approx(by_hand)


# Losses


def test_each_part_of_the_loss_is_logged(tmp_path, family):
    trainer = make_trainer(tmp_path, family)
    trainer.train()
    training = [entry for entry in trainer.state.log_history if "loss" in entry]
    validation = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(training) == len(validation) == 2
    for part in family.loss_parts:
        assert all(math.isfinite(entry[f"loss_{part}"]) for entry in training)
    assert all(math.isfinite(entry["eval_loss_classification"]) for entry in validation)


@pytest.mark.parametrize("arguments", [{}, {"gradient_accumulation_steps": 2}], ids=["plain", "accumulated"])
def test_the_parts_add_up_to_the_loss(tmp_path, arguments):
    trainer = make_trainer(tmp_path, logging_strategy="steps", logging_steps=1, **arguments)
    trainer.train()
    for entry in trainer.state.log_history:
        for prefix in ("", "eval_"):
            if f"{prefix}loss" in entry:
                parts = loss_parts_of(entry, prefix)
                assert parts.keys() >= {"classification", "fusion"}
                assert entry[f"{prefix}loss"] == pytest.approx(weighted_sum(trainer.model, parts), rel=1e-4)


def test_an_evaluation_leaves_the_training_log_alone(tmp_path):
    steps = {"logging_strategy": "steps", "logging_steps": STEPS_PER_EPOCH, "num_train_epochs": 1}
    logged = []
    for name, evaluation in (("without", NO_VALIDATION), ("with", {"eval_strategy": "steps", "eval_steps": 2})):
        evaluation = evaluation | {"load_best_model_at_end": False}
        # Deterministic: to go through a data set takes a random number, whatever it is for.
        trainer = make_trainer(tmp_path / name, settings=DETERMINISTIC, save_strategy="no", **steps, **evaluation)
        trainer.train()
        (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
        logged.append({name: value for name, value in entry.items() if name.startswith("loss")})
    assert logged[0] == logged[1]


@pytest.mark.parametrize(("arguments", "power"), [({"class_balance": 1}, 1), ({"class_balance": 0.5}, 0.5), ({}, 0.4)])
def test_classes_weigh_by_the_inverse_of_their_frequency_to_a_power(tmp_path, arguments, power):
    trainer = make_trainer(tmp_path, **arguments)
    labels = labels_of(TRAIN)
    expected = [(len(labels) / (len(LABELS) * labels.count(name))) ** power for name in LABELS]
    assert trainer.model.config.class_weights == pytest.approx(expected)
    trainer.save_model(str(tmp_path / "saved"))
    assert JoyfulConfig.from_pretrained(tmp_path / "saved").class_weights == pytest.approx(expected)


def test_class_weights_of_the_caller_are_kept_and_none_are_made_when_not_wanted(tmp_path):
    weights = [1.0, 2.0, 3.0, 4.0]
    trainer = make_trainer(tmp_path, settings={"class_weights": weights})
    assert trainer.model.config.class_weights == weights
    assert make_trainer(tmp_path, class_balance=0).model.config.class_weights is None


@pytest.mark.parametrize(
    "train", [make_dialogues((3, 4), label=multi_label), Stream()], ids=["several labels", "stream"]
)
def test_classes_are_balanced_only_where_there_are_classes_to_count(tmp_path, train):
    model, processor = CASE.make(TRAIN if isinstance(train, Stream) else train)
    args = {"max_steps": 1, **NO_VALIDATION}
    data = {"train_dataset": train, "processing_class": processor}
    assert JoyfulTrainer(model=model, args=training_args(tmp_path, **args), **data).model.config.class_weights is None
    with pytest.raises(ValueError, match=r"class_balance.*single-label.*stream"):
        JoyfulTrainer(model=model, args=training_args(tmp_path, class_balance=1, **args), **data)


def test_label_smoothing_is_the_models_own_and_keeps_the_other_parts(tmp_path):
    arguments = {"label_smoothing_factor": 0.2, "class_balance": 0, "per_device_eval_batch_size": 64}
    settings = {"num_members": 1, "contrastive_loss_weight": 0.3}
    trainer = make_trainer(tmp_path, settings=settings, **arguments)
    batch = trainer.processing_class(VALIDATION, return_tensors="pt")
    with torch.no_grad():
        logits = trainer.model(**batch).logits
    expected = functional.cross_entropy(logits, batch["labels"], label_smoothing=0.2)
    assert trainer.evaluate()["eval_loss_classification"] == pytest.approx(expected.item(), rel=1e-5)
    trainer.train()
    (first, *_) = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert {"loss_classification", "loss_fusion", "loss_contrastive"} <= first.keys()


AR_IIGCN = next(case for case in FAMILY_CASES if case.name == "ar-iigcn-recommended")


def test_the_numbers_that_a_model_has_us_watch_are_logged(tmp_path):
    trainer = make_trainer(tmp_path, AR_IIGCN, per_device_eval_batch_size=64)
    trainer.train()
    training = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert all(0 <= entry["discriminator_accuracy"] <= 1 for entry in training)
    batch = trainer.processing_class(VALIDATION, return_tensors="pt")
    with torch.no_grad():
        expected = trainer.model.eval()(**batch).metrics["discriminator_accuracy"]
    assert trainer.evaluate()["eval_discriminator_accuracy"] == pytest.approx(expected.item())
    assert "test_discriminator_accuracy" in trainer.predict(VALIDATION).metrics


def test_a_family_without_such_numbers_logs_none(tmp_path):
    assert not {name for name in make_trainer(tmp_path).evaluate(VALIDATION) if "discriminator" in name}


class TestLearningRates:
    """A part of a model may have a learning rate of its own."""

    @pytest.mark.parametrize("own", [0.25, None])
    def test_every_parameter_has_one_and_the_right_one(self, tmp_path, own):
        trainer = make_trainer(tmp_path, AR_IIGCN, settings={"discriminator_learning_rate": own}, learning_rate=0.5)
        optimizer = trainer.create_optimizer()
        discriminators = {id(parameter) for parameter in trainer.model.ar_iigcn.game.parameters()}
        decayed = trainer.get_decay_parameter_names(trainer.model)
        names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
        found = {}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                assert id(parameter) not in found
                found[id(parameter)] = group["lr"]
                assert group["weight_decay"] == (trainer.args.weight_decay if names[id(parameter)] in decayed else 0)
        assert found.keys() == names.keys()
        for parameter, rate in found.items():
            assert rate == (own if own and parameter in discriminators else 0.5)

    def test_they_follow_the_schedule_and_the_log_shows_that_of_the_rest(self, tmp_path):
        settings = {"discriminator_learning_rate": 0.01}
        steps = {"logging_strategy": "steps", "logging_steps": 1, "warmup_steps": 0, "learning_rate": 0.02}
        trainer = make_trainer(tmp_path, AR_IIGCN, settings=settings, validation=None, **steps)
        trainer.train()
        rates = {group["lr"] / group["initial_lr"] for group in trainer.optimizer.param_groups}
        assert {group["initial_lr"] for group in trainer.optimizer.param_groups} == {0.01, 0.02}
        assert len(rates) == 1
        first = next(entry for entry in trainer.state.log_history if "loss" in entry)
        assert first["learning_rate"] == 0.02

    def test_at_zero_the_part_stays_as_it_is(self, tmp_path):
        trainer = make_trainer(
            tmp_path, AR_IIGCN, settings={"discriminator_learning_rate": 0}, weight_averaging_decay=0.0, max_steps=2
        )
        before = weights_of(trainer)
        trainer.train()
        for name, tensor in weights_of(trainer).items():
            assert torch.equal(tensor, before[name]) == (".game." in name), name

    def test_an_optimizer_of_the_caller_stays_as_it_is(self, tmp_path):
        model, processor = AR_IIGCN.make(TRAIN)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        trainer = JoyfulTrainer(
            model=model,
            args=training_args(tmp_path, **NO_VALIDATION),
            train_dataset=TRAIN,
            processing_class=processor,
            optimizers=(optimizer, None),
        )
        assert trainer.create_optimizer() is optimizer
        assert [group["lr"] for group in optimizer.param_groups] == [0.3]


def test_bfloat16_trains_on_the_cpu(tmp_path, family):
    trainer = make_trainer(tmp_path, family, bf16=True, use_cpu=True, num_train_epochs=1)
    assert math.isfinite(trainer.train().training_loss)
    metrics = trainer.evaluate()
    assert math.isfinite(metrics["eval_loss"])
    assert all(
        tensor.dtype == torch.float32 for tensor in trainer.model.state_dict().values() if tensor.is_floating_point()
    )


# Which dialogues share a batch


def test_batches_may_hold_dialogues_of_similar_length(tmp_path):
    spread = {}
    for strategy in ("random", "group_by_length"):
        trainer = make_trainer(tmp_path, train=TRAIN * 8, train_sampling_strategy=strategy)
        lengths = [batch["dialogue_lengths"] for batch in trainer.get_train_dataloader()]
        assert sorted(torch.cat(lengths).tolist()) == sorted([*range(1, 10)] * 8)
        spread[strategy] = sum(int(own.max() - own.min()) for own in lengths)
    assert spread["group_by_length"] < spread["random"] / 2


@pytest.mark.parametrize("strategy", ["random", "group_by_length"])
def test_predictions_come_in_the_order_of_the_data(tmp_path, strategy):
    trainer = make_trainer(tmp_path, train_sampling_strategy=strategy)
    expected = trainer.predict(TRAIN[:1]).predictions[0]
    longest = trainer.predict(TRAIN).predictions
    np.testing.assert_allclose(longest[0, : len(expected)], expected, rtol=1e-4, atol=1e-5)


def test_processes_of_their_own_may_pack_the_batches(tmp_path):
    ours, theirs = (make_trainer(tmp_path, dataloader_num_workers=number) for number in (0, 2))
    for one, other in zip(ours.get_eval_dataloader(), theirs.get_eval_dataloader(), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one if name != "layout")
        assert torch.equal(one["layout"].lengths, other["layout"].lengths)


# The best checkpoint, and when to stop


def test_ends_with_the_best_checkpoint_on_validation(tmp_path):
    trainer = make_trainer(tmp_path, num_train_epochs=12, learning_rate=0.03, save_total_limit=None)
    trainer.train()
    scores = [entry["eval_weighted_f1"] for entry in trainer.state.log_history if "eval_weighted_f1" in entry]
    assert scores[-1] < max(scores), "the last epoch is the best one: this test would prove nothing"
    assert trainer.evaluate()["eval_weighted_f1"] == max(scores)
    best_step = STEPS_PER_EPOCH * (1 + scores.index(max(scores)))
    best = JoyfulForEmotionRecognition.from_pretrained(tmp_path / f"checkpoint-{best_step}")
    assert_same_weights(weights_of(trainer), best.state_dict())


@pytest.mark.parametrize("metric", ["loss", "eval_loss", "accuracy"])
def test_the_metric_that_the_caller_names_decides(tmp_path, metric):
    trainer = make_trainer(tmp_path, metric_for_best_model=metric, num_train_epochs=3)
    trainer.train()
    name = f"eval_{metric.removeprefix('eval_')}"
    scores = [entry[name] for entry in trainer.state.log_history if name in entry]
    assert trainer.state.best_metric == (min(scores) if "loss" in metric else max(scores))


LOWEST_IS_BEST = ["ece", "loss_classification", "eval_loss_fusion"]


def validated(trainer, metric):
    """The metric's value in each validation of a training."""
    trainer.train()
    name = f"eval_{metric.removeprefix('eval_')}"
    return [entry[name] for entry in trainer.state.log_history if name in entry]


@pytest.mark.parametrize("metric", LOWEST_IS_BEST)
def test_the_lowest_error_is_the_best_without_being_told(tmp_path, metric):
    trainer = make_trainer(tmp_path, metric_for_best_model=metric, num_train_epochs=3, learning_rate=0.02)
    values = validated(trainer, metric)
    assert trainer.state.best_metric == min(values) < max(values)
    assert trainer.run_summary().chosen_by.greater_is_better is False


def test_the_lowest_error_of_a_regression_is_the_best_without_being_told(tmp_path):
    train, validation = (make_dialogues(lengths, label=sentiment) for lengths in ((5, 9, 1, 7), (4, 3, 1)))
    model, processor = CASE.make(train)
    args = training_args(tmp_path, metric_for_best_model="mae", num_train_epochs=4, learning_rate=0.02)
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=train, eval_dataset=validation, processing_class=processor
    )
    values = validated(trainer, "mae")
    assert trainer.state.best_metric == min(values) < max(values)


def test_an_error_that_falls_does_not_stop_the_training(tmp_path):
    args, control, stopping = training_args(tmp_path, metric_for_best_model="ece"), TrainerControl(), EarlyStopping(2)
    for value in (0.2, 0.1, 0.05):
        stopping.on_evaluate(args, TrainerState(best_metric=0.3), control, {"eval_ece": value})
    assert not control.should_training_stop
    for value in (0.4, 0.5):
        stopping.on_evaluate(args, TrainerState(best_metric=0.3), control, {"eval_ece": value})
    assert control.should_training_stop


def test_plain_arguments_know_the_direction_too(tmp_path, caplog):
    steps = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    args = TrainingArguments(str(tmp_path), metric_for_best_model="ece", **steps)
    model, processor = CASE.make(TRAIN)
    data = {"train_dataset": TRAIN, "eval_dataset": VALIDATION, "processing_class": processor}
    trainer = JoyfulTrainer(model=model, args=args, **data)
    assert (args.greater_is_better, trainer.args.greater_is_better) == (True, False)
    assert "`greater_is_better` is set to False, as is right for 'ece'" in caplog.text


def test_the_direction_is_known_of_each_of_several_validation_sets(tmp_path):
    trainer = make_trainer(
        tmp_path, validation={"easy": VALIDATION, "hard": TRAIN[:2]}, metric_for_best_model="hard_ece"
    )
    assert trainer.args.greater_is_better is False


@pytest.mark.parametrize(
    ("metric", "greater", "message"),
    [
        ("mae", True, "`greater_is_better` is True, but the lowest `metric_for_best_model` 'mae' is the best one"),
        ("eval_accuracy", False, "`greater_is_better` is False, but the highest .*'eval_accuracy' is the best one"),
    ],
)
def test_a_direction_that_contradicts_the_metric_is_refused(tmp_path, metric, greater, message):
    with pytest.raises(ValueError, match=message):
        training_args(tmp_path, metric_for_best_model=metric, greater_is_better=greater)


def test_plain_arguments_that_contradict_the_metric_are_refused(tmp_path):
    args = TrainingArguments(str(tmp_path), metric_for_best_model="loss", greater_is_better=True)
    model, processor = CASE.make(TRAIN)
    with pytest.raises(ValueError, match="the lowest `metric_for_best_model` 'loss' is the best one"):
        JoyfulTrainer(model=model, args=args, train_dataset=TRAIN, processing_class=processor)


def test_the_direction_of_a_metric_of_the_caller_is_the_callers(tmp_path):
    args = training_args(tmp_path, metric_for_best_model="my_error", greater_is_better=False)
    assert args.greater_is_better is False


def test_plain_arguments_keep_the_choice_of_transformers(tmp_path):
    args = TrainingArguments(str(tmp_path), eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True)
    model, processor = CASE.make(TRAIN)
    trainer = JoyfulTrainer(
        model=model, args=args, train_dataset=TRAIN, eval_dataset=VALIDATION, processing_class=processor
    )
    assert trainer.args.metric_for_best_model == "loss"
    assert not [
        callback for callback in trainer.callback_handler.callbacks if isinstance(callback, EarlyStoppingCallback)
    ]


class EvaluateElsewhere(TrainerCallback):
    """Scores other data after each epoch, as a user may do who wants the test score in a tracker."""

    trainer: JoyfulTrainer

    def on_epoch_end(self, args, state, control, **kwargs):
        self.trainer.evaluate(TRAIN[:2], metric_key_prefix="test")


def test_stops_early_and_is_not_upset_by_other_evaluations(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    elsewhere = EvaluateElsewhere()
    # Nothing is learnt: the first validation stays the best.
    trainer = make_trainer(
        tmp_path, callbacks=[elsewhere], learning_rate=0.0, num_train_epochs=9, early_stopping_patience=2
    )
    elsewhere.trainer = trainer
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 3 * STEPS_PER_EPOCH
    assert "early stopping" not in caplog.text
    assert len([entry for entry in trainer.state.log_history if "test_weighted_f1" in entry]) == 3

    trainer.train()
    assert trainer.state.global_step == 3 * STEPS_PER_EPOCH, "a second training starts with its patience whole"


@pytest.mark.parametrize("patience", [0, -1])
def test_without_patience_training_never_stops_early(tmp_path, patience):
    trainer = make_trainer(tmp_path, learning_rate=0.0, num_train_epochs=4, early_stopping_patience=patience)
    trainer.train()
    assert trainer.state.global_step == 4 * STEPS_PER_EPOCH


def test_without_validation_nothing_is_stopped(tmp_path):
    trainer = make_trainer(tmp_path, load_best_model_at_end=False, eval_strategy="no", num_train_epochs=1)
    trainer.train()
    assert trainer.state.global_step == STEPS_PER_EPOCH


def test_early_stopping_of_the_caller_replaces_ours(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[EarlyStoppingCallback(1)], learning_rate=0.0, num_train_epochs=9)
    trainer.train()
    assert trainer.state.global_step == 2 * STEPS_PER_EPOCH
    assert not [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, EarlyStopping)]


def test_early_stopping_needs_no_best_model_at_the_end(tmp_path):
    trainer = make_trainer(
        tmp_path, load_best_model_at_end=False, learning_rate=0.0, num_train_epochs=9, early_stopping_patience=1
    )
    trainer.train()
    assert trainer.state.global_step == 2 * STEPS_PER_EPOCH


# Unchanged from transformers


def test_metrics_of_the_caller_replace_ours(tmp_path):
    def count(prediction):
        return {"utterances": float((prediction.label_ids != -100).sum())}

    trainer = make_trainer(
        tmp_path, num_train_epochs=1, metric_for_best_model="utterances", trainer_kwargs={"compute_metrics": count}
    )
    trainer.train()
    metrics = trainer.evaluate(TRAIN)
    assert metrics["eval_utterances"] == NUM_UTTERANCES
    assert "eval_weighted_f1" not in metrics


def test_every_checkpoint_holds_model_and_processor(tmp_path):
    trainer = make_trainer(tmp_path, save_total_limit=None)
    trainer.train()
    checkpoints = sorted(tmp_path.glob("checkpoint-*"))
    assert len(checkpoints) == 2
    for checkpoint in checkpoints:
        processor = JoyfulProcessor.from_pretrained(checkpoint)
        assert processor.to_dict() == trainer.processing_class.to_dict()
        model = JoyfulForEmotionRecognition.from_pretrained(checkpoint)
        assert model.predict(VALIDATION, processor)
