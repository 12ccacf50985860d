"""Foal-Net on the rails of every family: the command line, and an encoder with a learning rate of its own."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from joyful_hf import (
    FoalNetForEmotionRecognition,
    FoalNetProcessor,
    JoyfulTrainer,
    load_dialogues,
)
from joyful_hf.data.jsonl import write_dialogues
from tests.modeling.test_audio_encoder import SMALL as SMALL_ENCODER
from tests.support.helpers import LABELS
from tests.support.training import (
    TRAIN,
    VALIDATION,
    assert_same_weights,
    training_args,
    weights_of,
)

SETTINGS = {"projection_size": 8, "num_attention_heads": 2}
NO_VALIDATION = {"eval_strategy": "no", "load_best_model_at_end": False}


def waveform_dialogues(lengths=(3, 4, 2)) -> list[dict]:
    rng = np.random.default_rng(0)
    return [
        {
            "dialogue_id": f"d{index}",
            "utterances": [
                {
                    "speaker": "A",
                    "audio": {"array": rng.normal(size=int(rng.integers(400, 900))).tolist(), "sampling_rate": 16000},
                    "video_frames": rng.normal(size=(2, 4)).tolist(),
                    "label": LABELS[(index + position) % len(LABELS)],
                }
                for position in range(length)
            ],
        }
        for index, length in enumerate(lengths)
    ]


@pytest.fixture
def succeeds(joyful):
    """Runs `joyful` with these arguments; it has to succeed. Gives what it printed."""

    def run(*arguments) -> str:
        result = joyful(*arguments)
        assert result.status == 0, result.err
        return result.out

    return run


def train_options(settings, **options) -> list[str]:
    options = {
        "model": "foal-net",
        "config_json": json.dumps(settings),
        "train_file": "train.jsonl",
        "validation_file": "validation.jsonl",
        "num_train_epochs": 1,
        "output_dir": "out",
    } | options
    return ["train", *(str(word) for name, one in options.items() for word in (f"--{name.replace('_', '-')}", one))]


@pytest.mark.parametrize("preset", [None, "released"])
def test_the_command_line_trains_evaluates_and_predicts(succeeds, tmp_path, preset):
    write_dialogues(TRAIN, tmp_path / "train.jsonl")
    write_dialogues(VALIDATION, tmp_path / "validation.jsonl")
    succeeds(*train_options(SETTINGS, test_file="validation.jsonl", **({"preset": preset} if preset else {})))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "foal_net"
    assert config["temperature_mode"] == (preset or "clip")
    tested = json.loads((tmp_path / "out" / "test_results.json").read_text())
    assert {"test_weighted_f1", "test_loss", "test_loss_classification"} <= tested.keys()

    succeeds("evaluate", "out", "--data-file", "validation.jsonl", "--output-dir", "scores")
    scores = json.loads((tmp_path / "scores" / "eval_results.json").read_text())
    assert scores["eval_samples"] == sum(len(dialogue["utterances"]) for dialogue in VALIDATION)
    assert scores["eval_weighted_f1"] == pytest.approx(tested["test_weighted_f1"])

    succeeds("predict", "out", "--data-file", "validation.jsonl", "--output-file", "found.jsonl")
    found = list(load_dialogues(tmp_path / "found.jsonl"))
    assert [len(dialogue["utterances"]) for dialogue in found] == [len(true["utterances"]) for true in VALIDATION]
    pairs = [
        (guess["label"], true["label"])
        for dialogue, other in zip(found, VALIDATION, strict=True)
        for guess, true in zip(dialogue["utterances"], other["utterances"], strict=True)
    ]
    assert np.mean([guess == true for guess, true in pairs]) == pytest.approx(scores["eval_accuracy"])


@pytest.mark.parametrize(("options", "batch_size"), [({}, 16), ({"per_device_train_batch_size": 5}, 5)])
def test_the_command_line_has_its_own_training_defaults(succeeds, tmp_path, options, batch_size):
    for name in ("train", "validation"):
        write_dialogues(VALIDATION, tmp_path / f"{name}.jsonl")
    settings = {"lr_scheduler_type": "constant", "logging_strategy": "steps", "logging_steps": 1}
    succeeds(*train_options(SETTINGS, **settings, **options))
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    assert state["train_batch_size"] == batch_size
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert max(rates) == 1e-4


def test_the_command_line_takes_a_pretrained_encoder(succeeds, tmp_path, encoders):
    for name in ("train", "validation"):
        write_dialogues(waveform_dialogues(), tmp_path / f"{name}.jsonl")
    succeeds(*train_options(SETTINGS | {"encoder_learning_rate": 0}, audio_encoder=encoders["audio"]))

    trained = FoalNetForEmotionRecognition.from_pretrained(tmp_path / "out")
    assert trained.config.freeze_feature_encoder
    assert FoalNetProcessor.from_pretrained(tmp_path / "out").normalize_audio
    expected = AutoModel.from_pretrained(encoders["audio"]).state_dict()
    learnt = trained.foal_net.audio_encoder.encoder.state_dict()
    assert all(torch.equal(learnt[name], expected[name]) for name in learnt)
    assert str(encoders["audio"]) not in (tmp_path / "out" / "config.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gban"}, "--audio-encoder: gban has no encoder of audio"),
        ({"audio_encoder": "./nowhere"}, "./nowhere: there is no such folder of an encoder"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_refused(fails, tmp_path, encoders, options, message):
    write_dialogues(waveform_dialogues(), tmp_path / "train.jsonl")
    arguments = {"train_file": "train.jsonl", "output_dir": "out", "model": "foal-net"}
    arguments |= {"audio_encoder": encoders["audio"]} | options
    words = [word for name, one in arguments.items() for word in (f"--{name.replace('_', '-')}", one)]
    assert message in fails("train", *words)


def test_the_command_line_goes_on_where_it_stopped_with_an_encoder(succeeds, tmp_path):
    """The nested config of the encoder is compared with that of the checkpoint."""
    for name in ("train", "validation"):
        write_dialogues(waveform_dialogues(), tmp_path / f"{name}.jsonl")
    settings = SETTINGS | {"audio_config": {"model_type": "wavlm", **SMALL_ENCODER}}
    succeeds(*train_options(settings, num_train_epochs=2, validation_start=0, save_total_limit=2))
    (tmp_path / "out" / "train_results.json").unlink()
    again = succeeds(*train_options(settings, num_train_epochs=2, validation_start=0, save_total_limit=2))
    assert "resuming from" in again


class TestLearningRates:
    @pytest.fixture
    def make_model(self, tmp_path):
        torch.manual_seed(0)
        AutoModel.from_config(AutoConfig.for_model("wavlm", **SMALL_ENCODER)).save_pretrained(tmp_path / "encoder")
        processor = FoalNetProcessor.from_dialogues(waveform_dialogues())

        def make(**settings):
            torch.manual_seed(0)
            settings = SETTINGS | processor.model_kwargs() | settings
            return FoalNetForEmotionRecognition.from_encoders(str(tmp_path / "encoder"), **settings)

        return make

    def trainer(self, model, folder, **arguments) -> JoyfulTrainer:
        processor = FoalNetProcessor.from_dialogues(waveform_dialogues())
        args = training_args(folder, **NO_VALIDATION, weight_averaging_decay=0.0, **arguments)
        return JoyfulTrainer(model=model, args=args, train_dataset=waveform_dialogues(), processing_class=processor)

    def test_the_encoder_has_its_own(self, make_model, tmp_path):
        model = make_model(encoder_learning_rate=0.01)
        trainer = self.trainer(model, tmp_path, learning_rate=0.1)
        optimizer = trainer.create_optimizer()
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        encoder = {id(parameter) for parameter in model.foal_net.audio_encoder.parameters()}
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert len(rates) == len(learning)
        assert all(rates[id(p)] == (0.01 if id(p) in encoder else 0.1) for p in learning)
        decays = {group["weight_decay"] for group in optimizer.param_groups}
        assert decays == {0.0, trainer.args.weight_decay}
        assert trainer.create_optimizer() is optimizer

    def test_none_of_its_own_where_it_is_not_given(self, make_model, tmp_path):
        optimizer = self.trainer(make_model(encoder_learning_rate=None), tmp_path).create_optimizer()
        assert {group["lr"] for group in optimizer.param_groups} == {2e-3}

    def test_at_a_rate_of_0_the_encoder_stays(self, make_model, tmp_path):
        trainer = self.trainer(make_model(encoder_learning_rate=0), tmp_path, num_train_epochs=1)
        before = weights_of(trainer)
        trainer.train()
        changed = {name for name, tensor in weights_of(trainer).items() if not torch.equal(tensor, before[name])}
        assert changed
        assert not [name for name in changed if "audio_encoder" in name]

    def test_resuming_keeps_them(self, make_model, tmp_path):
        every_step = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": None, "num_train_epochs": 1}
        whole = self.trainer(make_model(), tmp_path / "run", **every_step)
        whole.train()
        expected = weights_of(whole)
        resumed = self.trainer(make_model(), tmp_path / "run", **every_step)
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
        assert_same_weights(weights_of(resumed), expected)
