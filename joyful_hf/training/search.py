"""The search for training arguments and fields of the configuration, as `transformers.Trainer` has it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_args, get_type_hints

from transformers import PreTrainedConfig, Trainer, TrainingArguments

from ..evaluation.task import task_of
from ..io.messages import did_you_mean
from ..processing.optional_imports import import_optional
from ..runs.names import metric_key
from .arguments import JoyfulTrainingArguments, with_needed_settings
from .divergence import DivergedError

# Training arguments that a trainer has acted on when it is made, or by which trials could not be compared.
_SETTLED = {
    *("output_dir", "report_to", "run_name", "metric_for_best_model", "greater_is_better", "disable_tqdm"),
    *(
        "bf16",
        "fp16",
        "bf16_full_eval",
        "fp16_full_eval",
        "tf32",
        "use_cpu",
        "torch_device",
        "torch_compile",
        "full_determinism",
    ),
    *("fsdp", "fsdp_config", "deepspeed", "accelerator_config", "parallelism_config", "local_rank", "ddp_backend"),
    *("push_to_hub", "hub_model_id", "label_names", "remove_unused_columns", "resume_from_checkpoint"),
}


class SearchingTrainer(Trainer):
    """A `transformers.Trainer` whose trials take training arguments and fields of the model's configuration."""

    args: Any
    model: Any
    hp_space: Callable[[Any], dict[str, Any]]
    _trial_fields: Mapping[str, Any] = {}
    """Fields of the configuration of the current trial."""
    _args_before_search: Any = None

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], float] | None = None,
        n_trials: int = 20,
        direction: str | list[str] | None = None,
        backend: str | None = None,
        hp_name: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, with this field's objective, for training arguments and fields of the configuration.

        The trainer needs a `model_init`. A trial counts by the model that it ends with, which is the best checkpoint
        where the arguments keep that one. Afterwards the trainer has the arguments that it had before.

        Args:
            hp_space: returns the values of a trial by name: training arguments, and fields of the model's
                configuration. Where a field changes the shape of weights, these begin anew; all others are those that
                `model_init` gives. By default learning rate (a tenth to ten times that of the arguments) and weight
                decay.
            compute_objective: makes the objective of the validation metrics; by default `metric_for_best_model`.
            n_trials: number of trials.
            direction: "minimize" or "maximize"; by default that of `metric_for_best_model`. It has to be given beside
                `compute_objective`.
            backend: Optuna by default.
            hp_name: names a trial.
            **kwargs: as in transformers.

        Raises:
            ImportError: Optuna is not installed.
            ValueError: no `direction` of an objective of the caller.
            DialogueError: `hp_space` gives something that a trial cannot change.
        """
        if backend is None:
            import_optional("optuna", "search", "`hyperparameter_search`")
            backend = "optuna"
        if compute_objective is not None and direction is None:
            raise ValueError("`direction`: give 'minimize' or 'maximize' beside a `compute_objective` of your own")
        metric, greater_is_better = self._objective()

        def main_metric(metrics: dict[str, float]) -> float:
            if metric not in metrics:
                raise ValueError(f"`metric_for_best_model`: validation gives no {metric!r}: {', '.join(metrics)}")
            return metrics[metric]

        self._args_before_search = self.args
        try:
            return super().hyperparameter_search(
                hp_space or self._default_space,
                compute_objective or main_metric,
                n_trials,
                direction or ("maximize" if greater_is_better else "minimize"),
                backend,
                hp_name,
                **kwargs,
            )
        finally:
            self.hp_search_backend = None
            self.args, self._args_before_search, self._trial_fields = self._args_before_search, None, {}

    def _objective(self) -> tuple[str, bool]:
        """The metric that chooses checkpoints, or that of the task, and whether its highest value is the best."""
        if self.args.metric_for_best_model is not None:
            return metric_key(self.args), bool(self.args.greater_is_better)
        task = task_of(self.model)
        return f"eval_{task.main_metric}", bool(task.greater_is_better(task.main_metric))

    def _default_space(self, trial: Any) -> dict[str, Any]:
        rate = self._args_before_search.learning_rate
        return {
            "learning_rate": trial.suggest_float("learning_rate", rate / 10, rate * 10, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 0.0, 0.3),
        }

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """As in transformers; a trial's values are there before its model is made."""
        if self.hp_search_backend is None or trial is None:
            _derive(self.args)
            return super().train(resume_from_checkpoint, trial, *args, **kwargs)
        is_optuna = self.hp_search_backend == "optuna"
        values = self.hp_space(trial) if is_optuna else {name: trial[name] for name in trial if name != "wandb"}
        of_arguments = {known.name for known in fields(self._args_before_search)}
        self._trial_fields = {name: value for name, value in values.items() if name not in of_arguments}
        self.args = with_values(
            self._args_before_search, {name: value for name, value in values.items() if name in of_arguments}
        )
        try:
            outcome = super().train(resume_from_checkpoint, trial, *args, **kwargs)
        except DivergedError as error:
            if not is_optuna:
                raise
            raise import_optional("optuna", "search", "`hyperparameter_search`").TrialPruned(str(error)) from error
        if is_optuna:
            # transformers keeps the objective of the last validation, and evaluates the model where it has none.
            self.objective = None
        return outcome

    def call_model_init(self, trial: Any = None) -> Any:
        """As in transformers, with the trial's fields of the configuration."""
        model = super().call_model_init(trial)
        return with_fields(model, self._trial_fields) if self._trial_fields else model

    def _hp_search_setup(self, trial: Any) -> None:
        """As in transformers, without the values of the trial: `train` has set them before the model was made."""
        if self.hp_search_backend != "optuna" or trial is None:
            return super()._hp_search_setup(trial)
        space, self.hp_space = self.hp_space, lambda trial: {}
        try:
            return super()._hp_search_setup(trial)
        finally:
            self.hp_space = space


def with_values(args: TrainingArguments, values: Mapping[str, Any]) -> Any:
    """Return a copy of the arguments with other values.

    Raises:
        ValueError: an argument that a trial cannot change, or a value that is not of its type.
    """
    changed = copy.copy(args)
    types = get_type_hints(type(args))
    for name, value in values.items():
        if name in _SETTLED:
            raise ValueError(f"`hp_space` gives {name!r}, which is settled before the search begins")
        before = getattr(changed, name)
        kinds = {types[name], *get_args(types[name])}
        if isinstance(before, Enum):
            value = type(before)(value)
        elif float in kinds and isinstance(value, int):
            value = float(value)
        elif int in kinds and isinstance(value, float) and float not in kinds:
            if not value.is_integer():
                raise ValueError(f"`hp_space` gives {value} for {name!r}, which is a whole number")
            value = int(value)
        setattr(changed, name, value)
    _derive(changed)
    return with_needed_settings(changed)


def _derive(args: Any) -> None:
    """Set what follows from other arguments, which may have been changed since they were made."""
    if isinstance(args, JoyfulTrainingArguments):
        args.set_eval_delay()


def with_fields(model: Any, values: Mapping[str, Any]) -> Any:
    """Return the model with other values in its configuration; weights whose shape they change begin anew.

    Raises:
        ValueError: the configuration has no such field, or refuses the value.
    """
    config = model.config
    known = {field.name for field in fields(config)} - {field.name for field in fields(PreTrainedConfig)}
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known, count=3)
            raise ValueError(
                f"`hp_space` gives {name!r}, which is neither a training argument nor a field of the model's "
                f"{type(config).__name__}{hint}"
            )
    changed = type(model)(type(config).from_dict(config.to_dict() | dict(values))).to(model.device, model.dtype)
    given = model.state_dict()
    fitting = {
        name: given[name]
        for name, tensor in changed.state_dict().items()
        if name in given and given[name].shape == tensor.shape
    }
    changed.load_state_dict(fitting, strict=False)
    return changed
