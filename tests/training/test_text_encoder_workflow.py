"""A pretrained encoder of text inside a model: assembled, saved, frozen or trained, resumed, used from raw text."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, PreTrainedModel

from joyful_hf import (
    ARIIGCNForEmotionRecognition,
    DialogueError,
    FoalNetForEmotionRecognition,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulModel,
    JoyfulProcessor,
    JoyfulTrainer,
)
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.training.weight_averaging import STEP_WEIGHTS_FILE
from tests.support.helpers import (
    LABELS,
    TEXT_CONFIG,
    make_dialogues,
    make_tokenizer,
    without_modality,
)
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
from tests.test_invariants import logits_of, run

GRAPH_MODELS = [JoyfulForEmotionRecognition, ARIIGCNForEmotionRecognition]
UNFROZEN = {"unfreeze_text_encoder": True}
# Its name in transformers depends on the version.
CHECKPOINTING = "activation" if hasattr(PreTrainedModel, "activation_checkpointing_enable") else "gradient"

each_model = pytest.mark.parametrize("model_class", GRAPH_MODELS, ids=lambda one: one.__name__)
each_state = pytest.mark.parametrize("unfrozen", [False, True], ids=["frozen", "unfrozen"])


def raw(dialogues) -> list[dict]:
    """The dialogues with nothing but what is said, and with nothing said now and then."""
    return [
        dialogue
        | {
            "utterances": [
                {"speaker": one["speaker"], "label": one["label"], "text": one["text"] if index % 4 else None}
                for index, one in enumerate(dialogue["utterances"], start=1)
            ]
        }
        for dialogue in dialogues
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pretrained encoder and its tokenizer as they are saved, with a head that nobody needs."""
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(7)
    AutoModel.from_config(AutoConfig.for_model(**(TEXT_CONFIG | {"num_hidden_layers": 2}))).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def processor():
    return JoyfulProcessor.from_dialogues(raw(TRAIN), tokenizer=make_tokenizer())


@pytest.fixture
def make(folder, processor):
    """Makes a small model on the pretrained encoder."""

    def make_model(model_class=JoyfulForEmotionRecognition, **settings):
        torch.manual_seed(0)
        known = {field.name for field in dataclasses.fields(model_class.config_class)}
        small = {name: value for name, value in SMALL_SETTINGS.items() if name in known}
        return model_class.from_encoders(folder, **(small | processor.model_kwargs() | settings))

    return make_model


def encoder_of(model):
    return model.base_model.text_encoder.encoder


class TestFromEncoders:
    @each_model
    def test_the_pretrained_weights_are_taken_over(self, make, folder, model_class):
        pretrained = AutoModel.from_pretrained(folder).state_dict()
        own = encoder_of(make(model_class)).state_dict()
        assert {name for name in pretrained if name not in own} == {"pooler.dense.weight", "pooler.dense.bias"}
        assert all(torch.equal(tensor, pretrained[name]) for name, tensor in own.items())

    def test_from_the_encoder_itself(self, folder, make, processor):
        given = AutoModel.from_pretrained(folder)
        small = SMALL_SETTINGS | processor.model_kwargs()
        torch.manual_seed(0)
        model = JoyfulForEmotionRecognition.from_encoders(given, **small)
        assert_same_weights(model.state_dict(), make().state_dict())

    def test_a_bare_model_too(self, folder, processor):
        model = JoyfulModel.from_encoders(folder, **(SMALL_SETTINGS | processor.model_kwargs()))
        batch = processor(raw(TRAIN), return_tensors="pt", return_labels=False)
        assert model.eval()(**batch).features.shape == (45, 3 * TEXT_CONFIG["hidden_size"])

    def test_its_size_is_that_of_the_text(self, make):
        config = make().config
        assert config.text_encoder_layers == 3  # four, or as many as there are
        assert config.text_dim == 3 * TEXT_CONFIG["hidden_size"]
        assert config.modality_dims == {"text": config.text_dim}
        with pytest.raises(Exception, match="text_dim is 3, the encoder of text_config gives vectors of size 12"):
            JoyfulConfig(text_config=TEXT_CONFIG, text_dim=3)

    @each_model
    @each_state
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_it_is_saved_with_the_model(self, make, processor, tmp_path, model_class, unfrozen, dtype):
        model = make(model_class, unfreeze_text_encoder=unfrozen).to(dtype)
        expected = logits_of(model, processor, raw(TRAIN))
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path)
        assert type(loaded) is model_class
        assert torch.equal(logits_of(loaded, processor, raw(TRAIN)), expected)
        assert_same_weights(loaded.state_dict(), model.state_dict())
        assert all(parameter.requires_grad == unfrozen for parameter in encoder_of(loaded).parameters())

    def test_it_can_be_unfrozen_while_loading(self, make, tmp_path):
        make().save_pretrained(tmp_path)
        loaded = JoyfulForEmotionRecognition.from_pretrained(tmp_path, unfreeze_text_encoder=True)
        assert all(parameter.requires_grad for parameter in encoder_of(loaded).parameters())


class TestBatches:
    def test_the_text_decides_and_its_absence_is_no_text(self, make, processor):
        model, dialogues = make(), raw(VALIDATION)
        other = raw(VALIDATION)
        other[0]["utterances"][0]["text"] = "something else"
        assert not torch.allclose(logits_of(model, processor, dialogues)[:4], logits_of(model, processor, other)[:4])
        batch = processor(dialogues, return_tensors="pt")
        mask = batch.pop("modality_mask")
        torch.testing.assert_close(run(model, batch).logits, run(model, {**batch, "modality_mask": mask}).logits)

    def test_beside_other_modalities(self, make):
        dialogues = make_dialogues()
        dialogues[0]["utterances"][1] = without_modality(dialogues[0]["utterances"][1], "text")
        processor = JoyfulProcessor.from_dialogues(dialogues, tokenizer=make_tokenizer())
        model = make(**processor.model_kwargs())
        assert list(model.config.modality_dims) == ["text", "audio", "visual"]
        assert logits_of(model, processor, dialogues).shape == (38, len(LABELS))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda batch: batch.pop("text_input_ids"), "the batch has no text_input_ids and text_attention_mask"),
            (lambda batch: batch["text_input_ids"].fill_(4000), "token id 4000, the encoder knows"),
            (
                lambda batch: batch.update(text_attention_mask=torch.ones(3, 3)),
                r"text_attention_mask has \(3, 3\); both",
            ),
            (
                lambda batch: batch.update({key: batch[key].repeat(1, 9) for key in batch if key.startswith("text_")}),
                "texts of 108 tokens, the encoder reads 64 .* lower the processor's text_max_length",
            ),
        ],
        ids=["no tokens", "another vocabulary", "another mask", "too long"],
    )
    def test_a_batch_that_does_not_fit_is_refused(self, make, processor, change, message):
        batch = dict(processor(raw(TRAIN), return_tensors="pt"))
        change(batch)
        with pytest.raises(DialogueError, match=message):
            run(make(), batch)


class TestGradients:
    @each_model
    @each_state
    def test_an_encoder_learns_if_it_is_unfrozen(self, make, processor, model_class, unfrozen):
        model = make(model_class, unfreeze_text_encoder=unfrozen).train()
        model(**processor(raw(TRAIN), return_tensors="pt")).loss.backward()
        gradients = [parameter.grad for parameter in encoder_of(model).parameters()]
        assert all((gradient is not None) == unfrozen for gradient in gradients)
        assert encoder_of(model).training == unfrozen

    @each_model
    def test_checkpointing_changes_memory_alone(self, make, processor, model_class):
        batch = processor(raw(TRAIN), return_tensors="pt")
        gradients = []
        for checkpointing in (False, True):
            model = make(model_class, **UNFROZEN).train()
            if checkpointing:
                getattr(model, f"{CHECKPOINTING}_checkpointing_enable")()
            calls = count_calls(encoder_of(model).encoder.layer[0].attention)
            torch.manual_seed(1)
            output = model(**batch)
            forward_calls = len(calls)
            output.loss.backward()
            assert (len(calls) > forward_calls) == checkpointing
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert_same_weights(*gradients)

    def test_mixed_precision(self, make, processor):
        model = make(**UNFROZEN).train()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(**processor(raw(TRAIN), return_tensors="pt"))
        output.loss.backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def count_calls(module) -> list[None]:
    calls: list[None] = []
    module.register_forward_pre_hook(lambda *_: calls.append(None))
    return calls


class TestTraining:
    @pytest.fixture
    def trainer(self, make, processor):
        def make_trainer(folder, callbacks=None, settings=None, **arguments) -> JoyfulTrainer:
            return JoyfulTrainer(
                model=make(**(UNFROZEN | (settings or {}))),
                args=training_args(folder, **arguments),
                train_dataset=raw(TRAIN),
                eval_dataset=raw(VALIDATION),
                processing_class=processor,
                callbacks=callbacks,
            )

        return make_trainer

    @each_model
    def test_the_encoder_has_a_learning_rate_of_its_own(self, make, processor, tmp_path, model_class):
        model = make(model_class, **UNFROZEN, text_encoder_learning_rate=0.01)
        args = training_args(tmp_path, learning_rate=0.1, eval_strategy="no", load_best_model_at_end=False)
        trainer = JoyfulTrainer(model=model, args=args, train_dataset=raw(TRAIN), processing_class=processor)
        groups = trainer.create_optimizer().param_groups
        rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
        encoder = {id(parameter) for parameter in encoder_of(model).parameters()}
        rest = [p for p in model.parameters() if id(p) not in encoder and rates[id(p)] != 0.1]
        assert len(rates) == len(list(model.parameters()))
        assert {rates[parameter] for parameter in encoder} == {0.01}
        assert len(rest) == sum(len(list(part.parameters())) for part, _ in model.learning_rates()[1:])

    def test_a_frozen_one_is_not_in_the_optimizer_nor_among_the_step_weights(self, trainer, tmp_path):
        frozen = trainer(tmp_path, settings={"unfreeze_text_encoder": False}, save_total_limit=None)
        before = weights_of(frozen)
        frozen.train()
        optimized = {id(parameter) for group in frozen.optimizer.param_groups for parameter in group["params"]}
        encoder = {id(parameter) for parameter in encoder_of(frozen.model).parameters()}
        assert not optimized & encoder
        changed = {name for name, tensor in weights_of(frozen).items() if not torch.equal(tensor, before[name])}
        assert changed
        assert not [name for name in changed if "text_encoder.encoder" in name]
        saved = load_file(next(tmp_path.glob("checkpoint-*")) / STEP_WEIGHTS_FILE)
        assert "joyful.text_encoder.norm.weight" in saved
        assert not [name for name in saved if "text_encoder.encoder" in name]

    @each_state
    def test_an_interrupted_run_ends_at_the_same_weights(self, trainer, tmp_path, unfrozen):
        options = {
            "settings": {"unfreeze_text_encoder": unfrozen},
            "num_train_epochs": 1,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 2,
            f"{CHECKPOINTING}_checkpointing": unfrozen,
        }
        whole = trainer(tmp_path / "whole", **options)
        whole.train()
        with pytest.raises(Interruption):
            trainer(tmp_path / "run", callbacks=[InterruptAt(3)], **options).train()
        resumed = trainer(tmp_path / "run", **options)
        resumed.train(resume_from_checkpoint=True)
        assert_same_weights(weights_of(resumed), weights_of(whole))


class TestCommandLine:
    @pytest.fixture
    def joyful(self, joyful, tmp_path):
        """Runs `joyful` beside files of raw dialogues."""
        for name, dialogues in (("train", TRAIN), ("validation", VALIDATION)):
            write_dialogues(raw(dialogues), tmp_path / f"{name}.jsonl")
        return joyful

    def options(self, encoder, settings=None, **changes):
        options = {
            "train_file": "train.jsonl",
            "validation_file": "validation.jsonl",
            "output_dir": "out",
            "text_encoder": encoder,
            "config_json": json.dumps(SMALL_SETTINGS | UNFROZEN | (settings or {})),
            "num_train_epochs": 1,
        }
        return ["train", *(word for name, value in (options | changes).items() for word in (f"--{name}", value))]

    def test_from_raw_text_to_predictions(self, joyful, folder, tmp_path):
        assert joyful(*self.options(folder, **{f"{CHECKPOINTING}_checkpointing": "true"})).status == 0
        config = json.loads((tmp_path / "out" / "config.json").read_text())
        assert config["text_config"]["num_hidden_layers"] == 2
        assert str(folder) not in (tmp_path / "out" / "config.json").read_text()
        assert joyful("evaluate", "out", "--data-file", "validation.jsonl").status == 0
        assert joyful("predict", "out", "--data-file", "validation.jsonl", "--output-file", "found.jsonl").status == 0
        found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
        assert [len(dialogue["utterances"]) for dialogue in found] == [4, 3, 6]

    def test_an_interrupted_run_goes_on_if_it_is_the_same(self, joyful, folder, tmp_path):
        options = {"num_train_epochs": 2, "validation_start": 0, "save_total_limit": 2}
        joyful(*self.options(folder, **options))
        (tmp_path / "out" / "train_results.json").unlink()
        refused = joyful(*self.options(folder, {"unfreeze_text_encoder": False}, **options))
        assert refused.status == 2
        assert "differ in unfreeze_text_encoder (True there, False here)" in refused.err
        other = tmp_path / "encoder"
        other.mkdir()
        AutoModel.from_pretrained(folder).save_pretrained(other)
        tokenizer = make_tokenizer()
        tokenizer.add_tokens(["joy"])
        tokenizer.save_pretrained(other)
        refused = joyful(*self.options(other, **options))
        assert refused.status == 2
        assert "differ in text_tokenizer;" in refused.err
        resumed = joyful(*self.options(folder, **options))
        assert resumed.status == 0
        assert "resuming from" in resumed.out

    @pytest.mark.parametrize("preset", ["paper", "released"])
    def test_with_a_preset(self, joyful, folder, preset):
        settings = {"num_attention_heads": 2, "graph_num_layers": 0, "contrastive_loss_weight": 0}
        assert joyful(*self.options(folder, settings, preset=preset)).status == 0

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": "foal-net", "config_json": "{}"}, "--text-encoder: foal_net has no encoder of text"),
            ({"text_encoder": "./nowhere"}, "./nowhere: there is no such folder of an encoder"),
            ({"text_encoder": "user/nowhere"}, "user/nowhere: there is no such folder, and an encoder of this id"),
            ({"text_encoder": "no id at all"}, "no id at all: there is no such folder"),
            ({"text_encoder": "empty"}, "empty: the encoder cannot be loaded"),
            ({"train_file": "silent.jsonl"}, "no utterance has 'text', which a processor with a tokenizer reads"),
            ({"config_json": '{"text_pooling": "max"}'}, "text_pooling must be one of mean, cls, got 'max'"),
            ({"config_json": '{"tokenizer": "bert"}'}, "--config-json: unknown setting 'tokenizer'"),
            ({"config_json": '{"text_max_length": 0}'}, "text_max_length must be an int of at least 3, got 0"),
        ],
        ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
    )
    def test_a_mistake_is_one_line(self, joyful, folder, tmp_path, changes, message):
        (tmp_path / "empty").mkdir()
        silent = [
            dialogue | {"utterances": [without_modality(utterance, "text") for utterance in dialogue["utterances"]]}
            for dialogue in TRAIN
        ]
        write_dialogues(silent, tmp_path / "silent.jsonl")
        refused = joyful(*self.options(folder, **changes))
        assert refused.status == 2
        assert message in refused.err
        assert refused.err.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_foal_net_takes_its_encoder_as_a_model_too():
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    encoder = AutoModel.from_config(
        AutoConfig.for_model("wavlm", conv_dim=(4,) * 7, num_conv_pos_embedding_groups=2, **sizes)
    )
    model = FoalNetForEmotionRecognition.from_encoders(encoder, video_dim=4, num_attention_heads=2)
    own = model.foal_net.audio_encoder.encoder.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in encoder.state_dict().items())
