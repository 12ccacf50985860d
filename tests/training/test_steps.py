"""A step is one step, and an evaluation one evaluation, however they are cut into batches."""

import pytest
import torch
from torch.utils.data import SequentialSampler

from joyful_hf import FoalNetForEmotionRecognition, JoyfulTrainer
from joyful_hf.training.steps import WeightedMeans
from tests.support.helpers import FAMILY_CASES, make_dialogue, make_dialogues
from tests.support.one_step import STEP_CASES, dialogues_of, one_step, sentiment, several_labels, some_labels
from tests.support.training import TRAIN, make_trainer, training_args

NO_VALIDATION = {"eval_strategy": "no", "load_best_model_at_end": False}
EXACT = [case for case in STEP_CASES if not case.compares]
COMPARING = [case for case in STEP_CASES if case.compares]
# Parts of the loss that compare the utterances of different dialogues.
BETWEEN_DIALOGUES = {"loss", "loss_contrastive", "loss_intra_modal", "loss_inter_modal", "loss_avel", "loss_mem"}


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.name)
def test_an_accumulated_step_is_the_step_of_one_batch(tmp_path, case):
    whole = one_step(tmp_path, case, batch_size=5)
    assert whole["gradient"].norm() > 0.1
    for batch_size, accumulation in ((1, 5), (2, 3)):
        cut = one_step(tmp_path, case, batch_size, accumulation)
        torch.testing.assert_close(cut["gradient"], whole["gradient"], atol=1e-6, rtol=1e-6)
        assert cut["log"] == pytest.approx(whole["log"], rel=1e-5)


@pytest.mark.parametrize("case", COMPARING, ids=lambda case: case.name)
def test_accumulation_changes_nothing_but_the_contrasts_between_dialogues(tmp_path, case):
    whole, cut = one_step(tmp_path, case, batch_size=5), one_step(tmp_path, case, 2, 3)
    compared = {name for name in whole["log"] if cut["log"][name] != pytest.approx(whole["log"][name], rel=1e-5)}
    assert compared <= BETWEEN_DIALOGUES
    assert "loss_classification" in whole["log"]


def test_a_batch_without_labels_counts_for_nothing_in_the_classification(tmp_path):
    case = STEP_CASES[0].family
    unlabelled = [make_dialogue(7, seed=8, label=lambda rng: None), make_dialogue(4, seed=9, label=lambda rng: None)]
    logged = []
    for train, accumulation in ((TRAIN[:2], 2), ([*TRAIN[:2], *unlabelled], 4)):
        trainer = make_trainer(
            tmp_path / str(accumulation),
            case,
            train=train,
            validation=None,
            settings={"hidden_dropout_prob": 0, "input_dropout_prob": 0, "plain_path_dropout_prob": 0}
            | {"modality_dropout_prob": 0, "views": [[], []]},
            per_device_train_batch_size=1,
            gradient_accumulation_steps=accumulation,
            max_steps=1,
            logging_strategy="steps",
            logging_steps=1,
        )
        trainer.train()
        logged.append(next(entry for entry in trainer.state.log_history if "loss" in entry))
    assert logged[1]["loss_classification"] == pytest.approx(logged[0]["loss_classification"], rel=1e-5)
    assert logged[1]["loss_fusion"] != pytest.approx(logged[0]["loss_fusion"], rel=1e-3)


def evaluated(folder, family, dialogues, batch_size, **settings):
    """Everything that an evaluation reports but its duration."""
    model, processor = family.make(dialogues, **settings)
    args = training_args(folder, per_device_eval_batch_size=batch_size, use_cpu=True, **NO_VALIDATION)
    metrics = JoyfulTrainer(model=model, args=args, processing_class=processor).evaluate(dialogues)
    timing = ("runtime", "per_second", "preparation_time")
    return {name: value for name, value in metrics.items() if not name.endswith(timing)}


class TestEvaluation:
    @pytest.mark.parametrize("label", [some_labels, several_labels, sentiment])
    def test_does_not_depend_on_the_batch_size(self, tmp_path, family, label):
        dialogues = dialogues_of(label)
        whole = evaluated(tmp_path, family, dialogues, 64)
        assert {"eval_loss", "eval_loss_classification"} <= whole.keys()
        for batch_size in (1, 7):
            assert evaluated(tmp_path, family, dialogues, batch_size) == pytest.approx(whole, rel=1e-5, abs=1e-6)

    def test_reports_what_the_model_computes_of_all_dialogues_at_once(self, tmp_path):
        case = next(case for case in FAMILY_CASES if case.name == "ar-iigcn-recommended")
        dialogues, settings = dialogues_of(some_labels), {"class_weights": [1, 3, 2, 1]}
        model, processor = case.make(dialogues, **settings)
        with torch.no_grad():
            output = model(**processor(dialogues, return_tensors="pt"))
        metrics = evaluated(tmp_path, case, dialogues, 2, **settings)
        assert metrics["eval_loss"] == pytest.approx(output.loss.item(), rel=1e-5)
        for part, loss in output.losses.items():
            assert metrics[f"eval_loss_{part}"] == pytest.approx(loss.item(), rel=1e-5)
        accuracy = output.metrics["discriminator_accuracy"].item()
        assert metrics["eval_discriminator_accuracy"] == pytest.approx(accuracy, rel=1e-5)

    def test_unlabelled_dialogues_do_not_count_as_a_loss_of_0(self, tmp_path):
        family = FAMILY_CASES[0]
        labelled, unlabelled = make_dialogues((5, 9)), make_dialogues((7, 3), label=lambda rng: None)
        alone = evaluated(tmp_path, family, labelled, 1, num_labels=4)
        mixed = evaluated(tmp_path, family, [*labelled, *unlabelled], 1, num_labels=4)
        assert alone["eval_loss_classification"] == pytest.approx(1.38, abs=0.3)
        assert mixed["eval_loss_classification"] == pytest.approx(alone["eval_loss_classification"], abs=0.1)

    def test_leaves_out_what_depends_on_who_shares_a_batch(self, tmp_path, monkeypatch):
        monkeypatch.setattr(FoalNetForEmotionRecognition, "_align", None)  # nor is it computed
        family = next(case for case in FAMILY_CASES if case.name == "foal-net")
        metrics = evaluated(tmp_path, family, make_dialogues(), 8)
        assert {name for name in metrics if "loss" in name} == {"eval_loss", "eval_loss_classification"}


@pytest.mark.parametrize(
    ("name", "settings", "arguments", "looks"),
    [
        ("joyful-recommended", {}, {}, False),
        ("foal-net", {}, {}, False),
        ("foal-net", {"mem_loss_weight": 0}, {}, True),
        ("foal-net", {"mem_loss_weight": 0}, {"ddp_find_unused_parameters": False}, False),
        ("joyful-recommended", {}, {"ddp_find_unused_parameters": True}, True),
    ],
)
def test_ddp_looks_for_unused_parameters_where_there_may_be_some(tmp_path, name, settings, arguments, looks):
    case = next(case for case in FAMILY_CASES if case.name == name)
    trainer = make_trainer(tmp_path, case, settings=settings, **arguments)
    assert trainer.accelerator.ddp_handler.find_unused_parameters is looks


class TestWeightedMeans:
    def test_weigh_by_the_counts(self):
        means = WeightedMeans()
        means.add("part", torch.tensor([1.0, 5.0]), torch.tensor([3.0, 0.0]))
        means.add("part", torch.tensor([2.0, 7.0]), torch.tensor([1.0, 0.0]))
        assert means.sums()["part"] == 1.25
        assert means.averages()["part"] == 1.25

    def test_a_single_batch_keeps_its_mean_to_the_bit(self):
        means, value = WeightedMeans(), torch.rand(())
        means.add("part", value, torch.tensor(97.0))
        assert means.over_processes().sums()["part"] == value

    def test_what_counts_nothing_is_left_out(self):
        means = WeightedMeans()
        means.add("part", torch.tensor(0.0), torch.tensor(0.0))
        assert (means.sums(), means.averages()) == ({}, {})


def test_grouped_batches_come_in_the_same_order_after_a_restart(tmp_path):
    orders = []
    for _ in range(2):
        torch.rand(1)  # the state of the global generator does not matter
        trainer = make_trainer(tmp_path, train=TRAIN * 4, train_sampling_strategy="group_by_length")
        sampler = trainer._get_train_sampler()
        sampler.set_epoch(1)
        orders.append(list(sampler))
    assert orders[0] == orders[1]
    sampler.set_epoch(2)
    assert list(sampler) != orders[0]
    assert not isinstance(sampler, SequentialSampler)
