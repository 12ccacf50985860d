"""Encoders inside a model, trained in two stages: frozen, then fine-tuned from there, and the better one is kept."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

from joyful_hf import (
    ARIIGCNForEmotionRecognition,
    DialogueError,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    JoyfulTrainer,
    load_for_fine_tuning,
)
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.modeling.encoder_depth import parameters_by_depth, rates_by_depth
from joyful_hf.runs.folder import prepare_output_dir, remove_run
from joyful_hf.runs.manifest import write_manifest
from joyful_hf.runs.names import FROZEN_STAGE, TRAINER_STATE
from joyful_hf.runs.summary import RunSummary
from joyful_hf.training.arguments import JoyfulTrainingArguments
from joyful_hf.training.callbacks import print_epoch_lines
from tests.support.helpers import SPEECH_CONFIG, TEXT_CONFIG, make_tokenizer
from tests.support.training import (
    SMALL_SETTINGS,
    TRAIN,
    VALIDATION,
    InterruptAt,
    Interruption,
    assert_same_weights,
    training_args,
    weights_of,
)

WAV2VEC2_CONFIG = SPEECH_CONFIG | {"model_type": "wav2vec2"}
# Rates at which a few steps of tiny models move something.
FAST = {"fine_tune_epochs": 2, "fine_tune_learning_rate": 1e-3}
each_method = pytest.mark.parametrize("method", ["full", "lora"])


def raw(dialogues) -> list[dict]:
    """The dialogues as text and sound, with neither now and then."""
    rng = np.random.default_rng(0)
    found = []
    for dialogue in dialogues:
        utterances = []
        for index, one in enumerate(dialogue["utterances"], start=1):
            samples = rng.normal(scale=0.1, size=400 + 80 * index).astype(np.float32)
            audio = {"array": samples, "sampling_rate": 16000} if index % 3 else None
            kept = {"speaker": one["speaker"], "label": one["label"]}
            utterances.append(kept | {"text": one["text"] if index % 4 else None, "audio": audio})
        found.append({"dialogue_id": dialogue["dialogue_id"], "utterances": utterances})
    return found


TRAINING, HELD_OUT = raw(TRAIN), raw(VALIDATION)


@pytest.fixture(scope="module")
def processors():
    tokenizer = make_tokenizer()
    return {
        "text": JoyfulProcessor.from_dialogues(TRAINING, tokenizer=tokenizer),
        "speech": JoyfulProcessor.from_dialogues(TRAINING, audio_dim=None),
        "both": JoyfulProcessor.from_dialogues(TRAINING, audio_dim=None, tokenizer=tokenizer),
    }


@pytest.fixture(scope="module")
def make(processors):
    """Makes a model with pretrained encoders, the same one each time."""
    torch.manual_seed(7)
    text = AutoModel.from_config(AutoConfig.for_model(**(TEXT_CONFIG | {"num_hidden_layers": 2})))
    audio = AutoModel.from_config(AutoConfig.for_model(**WAV2VEC2_CONFIG))
    given = {"text": {"text_encoder": text}, "speech": {"audio_encoder": audio}}
    given["both"] = given["text"] | given["speech"]

    def make_model(encoders="text", model_class=JoyfulForEmotionRecognition, **settings):
        torch.manual_seed(0)
        small = SMALL_SETTINGS if model_class is JoyfulForEmotionRecognition else {"projection_size": 8}
        settings = small | processors[encoders].model_kwargs() | settings
        return model_class.from_encoders(**given[encoders], **settings)

    return make_model


@pytest.fixture
def trainer(make, processors, tmp_path):
    def make_trainer(folder="out", encoders="text", callbacks=None, settings=None, model_class=None, **arguments):
        known = {} if model_class is None else {"model_class": model_class}
        return JoyfulTrainer(
            model=make(encoders, **known, **(settings or {})),
            args=training_args(tmp_path / folder, **arguments),
            train_dataset=TRAINING,
            eval_dataset=HELD_OUT,
            processing_class=processors[encoders],
            callbacks=callbacks,
        )

    return make_trainer


def encoders_of(model) -> dict[str, torch.Tensor]:
    """The weights of the encoders themselves."""
    return {name: tensor for name, tensor in model.state_dict().items() if "_encoder.encoder." in name}


class TestTheFrozenStage:
    @pytest.mark.parametrize("encoders", ["text", "both"])
    def test_training_on_what_was_computed_once_is_training_on_the_inputs(self, trainer, encoders, monkeypatch):
        arguments = {"weight_averaging_decay": 0, "num_train_epochs": 1}
        settings = {"input_dropout_prob": 0.0, "hidden_dropout_prob": 0.0, "modality_dropout_prob": 0.0}
        once = trainer("once", encoders, settings=settings, **arguments)
        once.train()
        each_time = trainer("each", encoders, settings=settings, **arguments)
        each_time._with_encoded(each_time.train_dataset, fits=True)  # the layer norms begin alike
        monkeypatch.setattr(type(each_time), "_computed_once", nullcontext)
        each_time.train()
        for name, tensor in once.model.state_dict().items():
            torch.testing.assert_close(tensor, each_time.model.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name)

    def test_an_encoder_reads_each_utterance_once(self, trainer):
        run = trainer(num_train_epochs=3)
        counted = []
        run.model.inner_encoders["text"].encoder.register_forward_pre_hook(
            lambda module, args, kwargs: counted.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        run.train()
        assert sum(counted) == sum(len(dialogue["utterances"]) for dialogue in TRAINING + HELD_OUT)

    def test_a_fresh_layer_norm_begins_with_standardised_vectors(self, trainer):
        run = trainer()
        run._with_encoded(run.train_dataset, fits=True)
        encoder = run.model.inner_encoders["text"]
        rows = run._with_encoded(run.train_dataset).encoded
        vectors = torch.from_numpy(np.concatenate([one.features["text"][one.present[:, 0]] for one in rows]))
        normalized = encoder.norm(vectors)
        torch.testing.assert_close(normalized.mean(0), torch.zeros(36), rtol=0, atol=1e-4)
        torch.testing.assert_close(normalized.std(0), torch.ones(36), rtol=0, atol=1e-3)
        before = encoder.norm.weight.clone()
        encoder.standardize(3 * vectors + 1)  # one that has learnt something keeps it
        assert torch.equal(encoder.norm.weight, before)


class TestTwoStages:
    @pytest.fixture(scope="class")
    def wholes(self):
        """Method -> the trainer of a run that was not interrupted."""
        return {}

    @pytest.mark.parametrize(
        ("model_class", "encoders", "method"),
        [
            (JoyfulForEmotionRecognition, "text", "lora"),
            (JoyfulForEmotionRecognition, "speech", "full"),
            (ARIIGCNForEmotionRecognition, "both", "full"),
            (ARIIGCNForEmotionRecognition, "speech", "lora"),
        ],
    )
    def test_never_worse_than_the_frozen_encoder(self, trainer, tmp_path, encoders, method, model_class):
        run = trainer("out", encoders, model_class=model_class, fine_tune_encoder=method, **FAST)
        before = {name: tensor.clone() for name, tensor in encoders_of(run.model).items()}
        run.train()
        found = run.encoder_tuning
        score = run.evaluate()["eval_weighted_f1"]
        assert score == pytest.approx(max(found.frozen, found.tuned), abs=1e-6)
        after = encoders_of(run.model)
        assert before.keys() == after.keys()  # updates are merged
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert bool(changed) == found.kept_tuned
        assert not any(encoder.learns for encoder in run.model.inner_encoders.values())
        assert (tmp_path / "out" / FROZEN_STAGE).is_dir()

    @pytest.mark.parametrize("is_better", [True, False], ids=["better", "worse"])
    def test_the_better_one_is_kept_and_told(self, trainer, tmp_path, is_better, capsys):
        run = trainer(fine_tune_encoder="full", **FAST)
        print_epoch_lines(run)

        def score(prediction):
            learns = any(encoder.learns for encoder in run.model.inner_encoders.values())
            return {"weighted_f1": 0.5 + (0.1 if is_better else -0.1) * learns}

        run.compute_metrics = score
        before = {name: tensor.clone() for name, tensor in encoders_of(run.model).items()}
        run.train()
        found = run.encoder_tuning
        assert (found.frozen, found.tuned, found.kept_tuned) == (
            0.5,
            pytest.approx(0.6 if is_better else 0.4),
            is_better,
        )
        same = all(torch.equal(before[name], tensor) for name, tensor in encoders_of(run.model).items())
        assert same != is_better
        out = capsys.readouterr().out
        assert "first stage: the encoder is frozen" in out
        assert f"kept: the {'fine-tuned' if is_better else 'frozen'} encoder" in out
        run.create_model_card()
        summary = RunSummary.read(tmp_path / "out")
        assert summary.encoder_tuning == found
        card = (tmp_path / "out" / "README.md").read_text()
        assert "0.500" in card
        assert ("gained" in card) == is_better

    @pytest.mark.parametrize(("method", "step"), [("full", 7), ("full", 12), ("lora", 11), ("lora", 17)])
    def test_an_interrupted_run_ends_at_the_same_weights(self, trainer, wholes, method, step):
        options = {"fine_tune_encoder": method, "save_total_limit": None, **FAST}
        if method not in wholes:
            wholes[method] = trainer("whole", **options)
            wholes[method].train()
        whole = wholes[method]
        with pytest.raises(Interruption):
            trainer("run", callbacks=[InterruptAtOverall(step)], **options).train()
        resumed = trainer("run", **options)
        resumed.train(resume_from_checkpoint=True)
        assert_same_weights(weights_of(resumed), weights_of(whole))
        assert resumed.encoder_tuning == whole.encoder_tuning

    def test_another_value_is_refused_when_it_resumes(self, trainer, tmp_path):
        options = {"fine_tune_encoder": "full", **FAST}
        with pytest.raises(Interruption):
            trainer("run", callbacks=[InterruptAtOverall(17)], **options).train()
        with pytest.raises(DialogueError, match="fine_tune_learning_rate"):
            trainer("run", **(options | {"fine_tune_learning_rate": 0.5})).train(resume_from_checkpoint=True)

    def test_what_was_saved_is_an_ordinary_model(self, trainer, tmp_path):
        run = trainer(fine_tune_encoder="lora", lora_learning_rate=0.05, **FAST)
        run.train()
        run.save_model(str(tmp_path / "saved"))
        loaded = JoyfulForEmotionRecognition.from_pretrained(tmp_path / "saved")
        assert_same_weights(loaded.state_dict(), run.model.state_dict())
        assert load_for_fine_tuning(tmp_path / "saved", TRAINING)[0].config.text_config is not None


class InterruptAtOverall(InterruptAt):
    """Counts the steps of both stages: each has ten."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.before = 0 if FROZEN_STAGE in str(args.output_dir) else 10

    def on_step_end(self, args, state, control, **kwargs):
        if self.before + state.global_step == self.step:
            raise Interruption


class TestDepth:
    @pytest.mark.parametrize("encoders", ["text", "speech"])
    def test_lower_layers_learn_more_slowly(self, make, encoders):
        encoder = next(iter(make(encoders).inner_encoders.values())).encoder
        rates = rates_by_depth(encoder, 0.1, 0.5)
        assert [rate for _, rate in rates] == [0.025, 0.05, 0.1]
        of_depth = [{id(parameter) for parameter in parameters} for parameters, _ in rates]
        assert sum(map(len, of_depth)) == len(list(encoder.parameters()))
        names = {id(parameter): name for name, parameter in encoder.named_parameters()}
        assert {names[p].split(".")[0] for p in of_depth[0]} <= {
            "embeddings",
            "feature_extractor",
            "feature_projection",
        } | {
            "masked_spec_embed",
            "encoder",  # convolutional positions
        }
        assert all(".0." in names[p] for p in of_depth[1])

    @pytest.mark.parametrize(
        "config",
        [
            {"model_type": "distilbert", "n_layers": 2, "dim": 12, "n_heads": 2, "hidden_dim": 16},
            {"model_type": "roberta", **{name: TEXT_CONFIG[name] for name in TEXT_CONFIG if name != "model_type"}},
            {
                "model_type": "albert",
                "embedding_size": 8,
                **{k: v for k, v in TEXT_CONFIG.items() if k != "model_type"},
            },
        ],
        ids=["distilbert", "roberta", "albert"],
    )
    def test_every_parameter_has_one_depth(self, config):
        encoder = AutoModel.from_config(AutoConfig.for_model(**(config | {"vocab_size": 40})))
        depths = parameters_by_depth(encoder)
        flat = [id(parameter) for parameters in depths for parameter in parameters]
        assert sorted(flat) == sorted(id(parameter) for parameter in encoder.parameters())
        assert len(depths) == (2 if config["model_type"] in ("albert", "roberta") else 3)

    @each_method
    def test_the_optimizer_has_a_rate_for_each_depth(self, trainer, method):
        rates = {}

        class Look(InterruptAt):
            def on_train_begin(self, args, state, control, optimizer=None, model=None, **kwargs):
                rates[args.output_dir] = {g["initial_lr"] for g in optimizer.param_groups}
                embeddings = model.base_model.text_encoder.encoder.embeddings.parameters()
                assert not any(parameter.requires_grad for parameter in embeddings)

        options = {"fine_tune_encoder": method, "encoder_layer_decay": 0.5, **FAST}
        run = trainer(callbacks=[Look(10**6)], settings={"text_encoder_learning_rate": 0.08}, **options)
        run.train()
        frozen, tuned = rates.values()
        top = 0.08 if method == "full" else run.args.lora_learning_rate
        assert frozen == {run.args.learning_rate}
        assert tuned == {1e-3, top, top / 2}

    def test_layers_are_unfrozen_from_the_last_one_down(self, trainer):
        seen = []

        class Look(InterruptAt):
            def on_step_begin(self, args, state, control, model=None, **kwargs):
                layers = model.base_model.text_encoder.encoder.encoder.layer
                seen.append([any(p.requires_grad for p in layer.parameters()) for layer in layers])

        options = {"fine_tune_encoder": "full", "unfreeze_layers_per_epoch": 1, **FAST}
        run = trainer(callbacks=[Look(10**6)], **options)
        run.train()
        assert seen == [[False, False]] * 10 + [[False, True]] * 5 + [[True, True]] * 5


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"fine_tune_encoder": "some"}, "choose 'full' or 'lora'"),
            ({"fine_tune_epochs": 9}, "`fine_tune_epochs` is for `fine_tune_encoder`"),
            ({"fine_tune_encoder": "full", "lora_rank": 4}, "`lora_rank` is for `fine_tune_encoder` 'lora'"),
            ({"fine_tune_encoder": "lora", "lora_rank": 0}, "`lora_rank` must be above 0"),
            ({"encoder_layer_decay": 0.0}, "`encoder_layer_decay` must be above 0"),
            ({"fine_tune_encoder": "lora", "freeze_embeddings": False}, "`freeze_embeddings`"),
        ],
        ids=["unknown", "no stage", "no updates", "rank 0", "decay 0", "embeddings"],
    )
    def test_arguments_that_would_do_nothing(self, tmp_path, arguments, message):
        with pytest.raises(ValueError, match=message):
            JoyfulTrainingArguments(str(tmp_path), **arguments)

    @pytest.mark.parametrize(
        ("arguments", "settings", "message"),
        [
            ({"encoder_layer_decay": 0.5}, {}, "`encoder_layer_decay`: the model has no encoder that learns"),
            ({"fine_tune_encoder": "full"}, {"unfreeze_text_encoder": True}, "begins with frozen encoders"),
            (
                {"fine_tune_encoder": "full", "load_best_model_at_end": False},
                {},
                "it needs `load_best_model_at_end`",
            ),
        ],
        ids=["nothing learns", "unfrozen", "no validation"],
    )
    def test_models_that_cannot(self, trainer, arguments, settings, message):
        with pytest.raises(ValueError, match=message):
            trainer(settings=settings, **arguments)


class TestCommandLine:
    def test_recordings_and_text_end_to_end(self, joyful, make, tmp_path):
        for name, dialogues in (("train", TRAINING), ("validation", HELD_OUT)):
            write_dialogues(dialogues, tmp_path / f"{name}.jsonl")
        encoders = make("both").inner_encoders
        for name, encoder in encoders.items():
            encoder.encoder.save_pretrained(tmp_path / name)
        make_tokenizer().save_pretrained(tmp_path / "text")
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "audio")
        options = {
            "train_file": "train.jsonl",
            "validation_file": "validation.jsonl",
            "output_dir": "out",
            "model": "ar-iigcn",
            "text_encoder": "text",
            "audio_encoder": "audio",
            "fine_tune_encoder": "lora",
            "fine_tune_epochs": 1,
            "num_train_epochs": 1,
        }
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        result = joyful("train", *words)
        assert result.status == 0, result.err
        assert "second stage: the encoder learns too, low-rank updates (LoRA)" in result.out
        config = json.loads((tmp_path / "out" / "config.json").read_text())
        assert (config["audio_dim"], config["text_dim"]) == (8, 36)
        evaluated = joyful("evaluate", "out", "--data-file", "validation.jsonl")
        assert evaluated.status == 0, evaluated.err
        score = json.loads((tmp_path / "out" / "eval_results.json").read_text())["eval_weighted_f1"]
        tuning = RunSummary.read(tmp_path / "out").encoder_tuning
        assert score == pytest.approx(max(tuning.frozen, tuning.tuned), abs=1e-6)


def test_both_stages_are_found_and_removed(tmp_path):
    def checkpoint(path: Path) -> Path:
        path.mkdir(parents=True)
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (path / name).touch()
        (path / TRAINER_STATE).write_text('{"global_step": 1}')
        write_manifest(path)
        return path

    frozen = checkpoint(tmp_path / FROZEN_STAGE / "checkpoint-4")
    assert prepare_output_dir(tmp_path, overwrite=False) == str(frozen)
    tuned = checkpoint(tmp_path / "checkpoint-2")
    assert prepare_output_dir(tmp_path, overwrite=False) == str(tuned)
    remove_run(tmp_path)
    assert not list(tmp_path.iterdir())
