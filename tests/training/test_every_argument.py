"""Each field of the training arguments does what it says, or is refused with a word."""

from dataclasses import fields

import pytest
from transformers import TrainerCallback

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from tests.support.helpers import FAMILY_CASES, make_dialogues
from tests.support.training import training_args

TRAIN, VALIDATION = make_dialogues((2, 3, 2)), make_dialogues((2, 3, 1))
CASE = FAMILY_CASES[0]

# Fields that run together, as none of them hides what another one does.
RUNS = {
    "optimizer": {
        **{"optim": "sgd", "optim_args": "momentum=0.5", "max_grad_norm": 0.1, "weight_decay": 0.2},
        **{"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1e-5}, "warmup_steps": 1},
        **{"learning_rate": 1e-3, "gradient_accumulation_steps": 2, "average_tokens_across_devices": False},
        **{"adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-6, "torch_empty_cache_steps": 1},
        **{"bf16": True, "use_cpu": True, "bf16_full_eval": True, "seed": 3, "data_seed": 3, "max_steps": 2},
    },
    "log": {
        **{"logging_strategy": "steps", "logging_steps": 1, "logging_first_step": True, "log_on_each_node": False},
        **{"logging_nan_inf_filter": False, "include_num_input_tokens_seen": "no", "log_level": "error"},
        **{"log_level_replica": "error", "report_to": "none", "run_name": "x", "project": "p"},
        **{"skip_memory_metrics": False, "label_smoothing_factor": 0.1, "class_balance": 1},
    },
    "evaluation": {
        **{"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "eval_delay": 1},
        **{"eval_on_start": True, "eval_use_gather_object": True, "eval_accumulation_steps": 1},
        **{"include_for_metrics": ["inputs", "loss"], "save_only_model": True, "save_on_each_node": True},
        **{"save_total_limit": 2, "metric_for_best_model": "accuracy", "greater_is_better": True},
        **{"per_device_eval_batch_size": 1, "full_determinism": False, "enable_jit_checkpoint": True},
    },
    "best": {
        **{"save_strategy": "best", "early_stopping_patience": 1, "validation_start": 0.5, "num_train_epochs": 2},
        **{"load_best_model_at_end": True, "weight_averaging_decay": 0.5, "ignore_data_skip": True},
        **{"restore_callback_states_from_checkpoint": False, "auto_find_batch_size": True},
    },
    "data": {
        **{
            "accelerator_config": {"even_batches": True},
            "dataloader_pin_memory": True,
            "per_device_train_batch_size": 1,
        },
        **{"dataloader_num_workers": 0, "dataloader_in_order": False, "train_sampling_strategy": "sequential"},
        **{"remove_unused_columns": False, "label_names": ["labels"], "length_column_name": "length"},
        **{"ddp_find_unused_parameters": True, "debug": ""},
    },
    "drop_last": {"dataloader_drop_last": True},
    "losses": {"prediction_loss_only": True},
    "batchwise": {"batch_eval_metrics": True},
    "unconcatenated": {"eval_do_concat_batches": False},
}

REFUSED = {
    "optim_target_modules": "all-linear",
    "fp16": True,
    "use_cache": True,
    "use_liger_kernel": True,
    "neftune_noise_alpha": 1.0,
    "label_names": ["emotion"],
    "length_column_name": "size",
    "remove_unused_columns": True,
    "accelerator_config": {"dispatch_batches": True},
    "debug": "underflow_overflow",
    "hub_strategy": "checkpoint",
    # For models with encoders inside, see test_encoder_tuning.
    **{
        "fine_tune_encoder": "full",
        "fine_tune_epochs": 2,
        "fine_tune_learning_rate": 0.1,
        "fine_tune_warmup_steps": 0,
    },
    **{"lora_rank": 4, "lora_alpha": 8, "lora_learning_rate": 0.1},
    **{"encoder_layer_decay": 0.5, "freeze_embeddings": True, "unfreeze_layers_per_epoch": 1},
}

# Of other machines, other tests (pushes, checkpointing, resuming), or scripts alone.
ELSEWHERE = {
    *("output_dir", "disable_tqdm", "tf32", "fp16_full_eval", "liger_kernel_config"),
    *("activation_checkpointing", "activation_checkpointing_kwargs"),
    *("gradient_checkpointing", "gradient_checkpointing_kwargs"),
    *("torch_compile", "torch_compile_backend", "torch_compile_mode"),
    *("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_always_push", "hub_revision"),
    *("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "do_train", "do_eval", "do_predict"),
    "torch_device",
    *("dataloader_persistent_workers", "dataloader_prefetch_factor", "dataloader_multiprocessing_context"),
    *("resume_from_checkpoint", "parallelism_config", "fsdp", "fsdp_config", "deepspeed", "local_rank"),
    *("ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph", "ddp_backend", "ddp_timeout"),
}


class CountSteps(TrainerCallback):
    """Counts validations."""

    validations = 0

    def on_evaluate(self, args, state, control, **kwargs):
        self.validations += 1


def make_trainer(folder, **arguments):
    model, processor = CASE.make(TRAIN)
    defaults = {"num_train_epochs": 1, "weight_averaging_decay": 0}
    if arguments.get("push_to_hub"):
        arguments["hub_token"] = None
    return JoyfulTrainer(
        model=model,
        args=training_args(folder, **(defaults | arguments)),
        train_dataset=TRAIN,
        eval_dataset=VALIDATION,
        processing_class=processor,
    )


def test_no_field_is_left_out():
    tried = {name for run in RUNS.values() for name in run} | set(REFUSED) | ELSEWHERE
    assert {field.name for field in fields(JoyfulTrainingArguments)} == tried


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The scores of a run whose arguments change nothing of evaluation."""
    trainer = make_trainer(tmp_path_factory.mktemp("usual"))
    trainer.train()
    return trainer.evaluate()


@pytest.mark.parametrize("run", RUNS)
def test_fields_that_run(tmp_path, run, usual):
    trainer = make_trainer(tmp_path, **RUNS[run])
    counting = CountSteps()
    trainer.add_callback(counting)
    trainer.train()
    scores = trainer.evaluate()
    for name, value in RUNS[run].items():
        if isinstance(value, int | float | list) and name not in ("label_names", "dataloader_pin_memory"):
            assert getattr(trainer.args, name) == value
    assert trainer.state.global_step > 0
    assert counting.validations > 1
    if run in ("batchwise", "unconcatenated"):
        expected = {name: value for name, value in usual.items() if "runtime" not in name and "second" not in name}
        assert {name: scores[name] for name in expected} == pytest.approx(expected)
    if run == "losses":
        assert "eval_loss" in scores
        assert "eval_weighted_f1" not in scores
        assert trainer.state.best_metric == pytest.approx(scores["eval_loss"])
    else:
        assert "eval_weighted_f1" in scores


@pytest.mark.parametrize("name", REFUSED)
def test_fields_that_are_refused(tmp_path, name):
    beside = {"push_to_hub": True} if name == "hub_strategy" else {}
    with pytest.raises(ValueError, match=f"`{name}`"):
        make_trainer(tmp_path, **{name: REFUSED[name]}, **beside)


@pytest.mark.parametrize("batch_size", [2, 3, 64])
def test_evaluation_sees_every_dialogue_whatever_training_drops(tmp_path, batch_size):
    trainer = make_trainer(
        tmp_path, dataloader_drop_last=True, per_device_eval_batch_size=batch_size, load_best_model_at_end=False
    )
    assert trainer.predict(VALIDATION).predictions.shape[0] == len(VALIDATION)
    assert trainer.evaluate()["eval_weighted_f1"] >= 0
    trainer.train()
    assert trainer.state.global_step == 1


def test_dropping_every_training_example_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`dataloader_drop_last` leaves nothing"):
        make_trainer(tmp_path, dataloader_drop_last=True, per_device_train_batch_size=8)


def test_a_checkpoint_cannot_be_chosen_by_a_metric_that_is_not_computed(tmp_path):
    with pytest.raises(ValueError, match="`prediction_loss_only`"):
        make_trainer(tmp_path, prediction_loss_only=True, metric_for_best_model="accuracy")


def test_without_logits_nothing_is_calibrated(tmp_path):
    with pytest.raises(ValueError, match="`prediction_loss_only`"):
        make_trainer(tmp_path, prediction_loss_only=True).calibrate()


@pytest.mark.parametrize(("delay", "validations"), [(0, 4), (3, 2), (None, 3)])
def test_a_delay_of_the_caller_takes_the_place_of_the_share(tmp_path, delay, validations):
    args = training_args(tmp_path, num_train_epochs=4, validation_start=0.5, eval_delay=delay)
    assert sum(args.eval_delay <= epoch for epoch in (1, 2, 3, 4)) == validations
    args.num_train_epochs = 8
    args.set_eval_delay()
    assert args.eval_delay == (4 if delay is None else delay)


def test_early_stopping_can_happen_with_the_defaults(tmp_path):
    args = JoyfulTrainingArguments(str(tmp_path))
    validations = sum(args.eval_delay <= epoch for epoch in range(1, int(args.num_train_epochs) + 1))
    # The first validation is the best so far; patience has to end before the last one to save anything.
    assert 0 < args.early_stopping_patience < validations - 1
