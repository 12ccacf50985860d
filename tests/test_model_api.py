"""What users of transformers expect of a model: ideas of its model test suite, over every family.

Elsewhere: saving and loading to the bit, Auto classes, independence of batch-mates, determinism, problem types,
compiling and mixed precision in `test_invariants`; export in `inference/test_export`; another number of labels in
`training/test_fine_tuning`; devices in `accelerator`; DDP and FSDP2 in `training`.

What that suite asks beyond this does not apply; `docs/models/index.md` gives a reason for each.
"""

import copy
import inspect
import logging
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from joyful_hf import JoyfulTrainer, JoyfulTrainingArguments
from tests.support.helpers import FAMILY_CASES, make_dialogues

EXACT = {"rtol": 0, "atol": 0}


@pytest.fixture
def made(family):
    """A fresh model in evaluation mode and a batch with labels."""
    model, processor = family.make(make_dialogues())
    return model, processor(make_dialogues(), return_tensors="pt")


def gradients(model, batch, seed: int = 0) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(seed)
    model.train()(**batch).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


class TestOutputs:
    def test_the_loss_comes_first_and_then_the_logits(self, made):
        model, batch = made
        output = model(**batch)
        assert output[0] is output.loss
        assert output[1] is output.logits
        del batch["labels"]
        assert model(**batch, return_loss=False)[0].shape == (len(output.logits), model.config.num_labels)

    def test_a_tuple_holds_the_same(self, made):
        model, batch = made
        loss, logits, *rest = model(**batch, return_dict=False)
        torch.testing.assert_close((loss, logits), model(**batch)[:2], **EXACT)
        assert rest
        model.config.return_dict = False
        assert isinstance(model(**batch), tuple)

    def test_hidden_states_are_the_stages_of_the_model(self, made):
        model, batch = made
        assert model(**batch).hidden_states is None
        output = model(**batch, output_hidden_states=True)
        last = output.fused if output.graph is None else output.graph
        assert output.hidden_states[-1] is last
        assert {len(stage) for stage in output.hidden_states} == {len(output.logits)}
        assert all(stage.dim() == 2 for stage in output.hidden_states)
        model.config.output_hidden_states = True
        assert model(**batch).hidden_states is not None
        assert model(**batch, output_hidden_states=False).hidden_states is None

    def test_the_last_hidden_state_has_gradients(self, made):
        model, batch = made
        output = model(**batch, output_hidden_states=True)
        output.hidden_states[-1].retain_grad()
        output.loss.backward()
        assert output.hidden_states[-1].grad.abs().sum() > 0

    def test_attentions_are_those_of_the_graph(self, made):
        model, batch = made
        assert model(**batch).attentions is None
        output = model(**batch, output_attentions=True)
        if output.edge_attention is None:
            assert output.attentions == ()
        else:
            assert output.attentions[0].size(0) == batch["edge_index"].size(1)
            torch.testing.assert_close(output.attentions[0], model(**batch, output_edge_attention=True).edge_attention)

    def test_a_bare_model_gives_them_too(self, made):
        model, batch = made
        named = set(inspect.signature(model.base_model.forward).parameters)
        inputs = {key: value for key, value in batch.items() if key in named}
        output = model.base_model(**inputs, output_hidden_states=True)
        assert output.hidden_states[-1].size(-1) == model.config.hidden_size

    def test_a_mask_of_zeros_and_ones_is_a_mask(self, made):
        model, batch = made
        masks = {key: value for key, value in batch.items() if key.endswith("_mask")}
        masks = {key: value.clone() for key, value in masks.items()}
        for mask in masks.values():
            mask[0] = 0
            mask[0, 0] = 1
        expected = model(**(batch | {key: mask.bool() for key, mask in masks.items()})).logits
        torch.testing.assert_close(
            model(**(batch | {key: mask.long() for key, mask in masks.items()})).logits, expected
        )


class TestConfig:
    def test_the_hidden_size_is_that_of_the_classified_vectors(self, made):
        model, _ = made
        assert model.config.hidden_size == model.base_model.hidden_size

    @pytest.mark.parametrize(
        "settings", [{"graph_num_layers": 0}, {"fusion_branches": []}, {"graph_hidden_size": None}]
    )
    @pytest.mark.parametrize("case", FAMILY_CASES[:5], ids=lambda case: case.name)
    def test_in_other_forms_too(self, case, settings):
        fields = set(case.make_config(text_dim=4, num_labels=2).to_dict())
        if not settings.keys() <= fields:
            settings = {"graph_num_heads": 0}
        model, _ = case.make(make_dialogues(), **settings)
        assert model.config.hidden_size == model.base_model.hidden_size

    def test_every_part_of_the_model_reads_the_one_config(self, made):
        """A temperature or the weight of a loss that changes during training changes for all of them."""
        model, _ = made
        own = [part for part in model.modules() if type(getattr(part, "config", None)) is type(model.config)]
        assert all(part.config is model.config for part in own)
        assert len(own) > 1


class TestGradientCheckpointing:
    def test_the_gradients_are_the_same(self, family, made, caplog):
        model, batch = made
        expected = gradients(model, batch)
        with caplog.at_level(logging.WARNING):
            model.activation_checkpointing_enable()
        has_layers = any(hasattr(module, "gradient_checkpointing") for module in model.modules())
        assert model.is_activation_checkpointing == has_layers
        told = [record for record in caplog.records if "no layer that can be recomputed" in record.getMessage()]
        assert len(told) == (0 if has_layers else 1)
        torch.testing.assert_close(gradients(model, batch), expected)
        model.activation_checkpointing_disable()
        assert not model.is_activation_checkpointing

    @pytest.mark.parametrize("case", [FAMILY_CASES[1], FAMILY_CASES[5], FAMILY_CASES[6]], ids=lambda case: case.name)
    def test_its_layers_run_again_in_the_backward_pass(self, case):
        model, processor = case.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        model.activation_checkpointing_enable()
        layers = [module for module in model.modules() if type(module).__name__ in ("TransformerLayer", "BertLayer")]
        layers += [module for module in model.modules() if type(module).__name__ == "CrossAttentionLayer"]
        calls = []
        for layer in layers:
            part = layer.dropout if hasattr(layer, "dropout") else layer.output
            part.register_forward_pre_hook(lambda *_: calls.append(1))
        loss = model.train()(**batch).loss
        before = len(calls)
        loss.backward()
        assert 0 < before < len(calls)

    def test_a_run_with_it_trains(self, family, tmp_path):
        model, processor = family.make(make_dialogues())
        args = JoyfulTrainingArguments(
            str(tmp_path),
            max_steps=1,
            activation_checkpointing=True,
            eval_strategy="no",
            load_best_model_at_end=False,
            save_strategy="no",
            use_cpu=True,
        )
        trainer = JoyfulTrainer(model, args, train_dataset=make_dialogues(), processing_class=processor)
        assert trainer.train().global_step == 1


class TestTokens:
    def test_embeddings_are_resized_where_there_are_some(self, family, made, tmp_path):
        model, batch = made
        if model.get_input_embeddings() is None:
            with pytest.raises(ValueError, match="reads no tokens"):
                model.resize_token_embeddings(99)
            return
        expected = model(**batch).logits
        embeddings = model.resize_token_embeddings(99, mean_resizing=False)
        assert embeddings is model.get_input_embeddings()
        assert embeddings.weight.size(0) == model.config.text_config.vocab_size == 99
        torch.testing.assert_close(model(**batch).logits, expected, **EXACT)
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(**batch).logits, expected, **EXACT)


class TestLoading:
    @pytest.fixture
    def saved(self, made, tmp_path):
        model, batch = made
        model.save_pretrained(tmp_path)
        with torch.no_grad():
            return model.eval(), batch, tmp_path, model(**batch).logits

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
    def test_in_half_precision(self, saved, dtype):
        model, batch, folder, expected = saved
        loaded = type(model).from_pretrained(folder, dtype=dtype)
        assert loaded.dtype == loaded.config.dtype == dtype
        with torch.no_grad():
            output = loaded(**batch)
        assert output.logits.dtype == dtype
        assert output.loss.dtype == torch.float32
        torch.testing.assert_close(output.logits.float(), expected, rtol=0.05, atol=0.05)

    def test_a_step_in_half_precision_is_finite(self, made):
        model, batch = made
        model.to(torch.bfloat16)
        assert all(gradient.isfinite().all() for gradient in gradients(model, batch).values())

    @pytest.mark.parametrize("where", ["auto", {"": "cpu"}], ids=["auto", "named"])
    def test_with_a_device_map(self, saved, where):
        model, batch, folder, expected = saved
        with torch.no_grad():
            assert torch.equal(type(model).from_pretrained(folder, device_map=where)(**batch).logits, expected)

    @pytest.mark.parametrize("implementation", ["sdpa", "eager"])
    def test_with_an_attention_implementation(self, saved, implementation):
        model, batch, folder, expected = saved
        loaded = type(model).from_pretrained(folder, attn_implementation=implementation)
        inner = [part.config for part in loaded.modules() if hasattr(part, "config")]
        assert {config._attn_implementation for config in inner} == {implementation}
        with torch.no_grad():
            torch.testing.assert_close(loaded(**batch).logits, expected)

    def test_from_weights_in_memory(self, saved):
        model, batch, _, expected = saved
        loaded = type(model).from_pretrained(None, config=model.config, state_dict=copy.deepcopy(model.state_dict()))
        with torch.no_grad():
            assert torch.equal(loaded(**batch).logits, expected)

    def test_a_copy_and_a_pickle_are_the_same_model(self, saved):
        model, batch, _, expected = saved
        again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
        with torch.no_grad():
            assert torch.equal(again(**batch).logits, expected)

    def test_a_bare_model_lacks_the_heads_alone(self, saved, tmp_path):
        model, batch, folder, expected = saved
        bare, report = type(model.base_model).from_pretrained(folder, output_loading_info=True)
        assert not report["missing_keys"]
        bare.save_pretrained(tmp_path / "bare")
        loaded, report = type(model).from_pretrained(tmp_path / "bare", output_loading_info=True)
        heads = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
        assert set(report["missing_keys"]) == heads
        assert not report["unexpected_keys"]
        whole = {name: tensor for name, tensor in model.state_dict().items() if name in heads}
        loaded.load_state_dict(whole, strict=False)
        with torch.no_grad():
            assert torch.equal(loaded.eval()(**batch).logits, expected)

    def test_missing_weights_are_drawn_as_those_of_a_fresh_model(self, made, tmp_path):
        model, _ = made
        model.config.save_pretrained(tmp_path)
        save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
        loaded, fresh = type(model).from_pretrained(tmp_path), type(model)(model.config)
        for name, tensor in fresh.state_dict().items():
            if tensor.is_floating_point() and tensor.numel() >= 64:
                drawn = loaded.state_dict()[name]
                assert drawn.isfinite().all(), name
                assert drawn.std() == pytest.approx(float(tensor.std()), rel=0.5, abs=1e-6), name

    def test_weights_of_another_size_are_refused_or_begin_anew(self, saved):
        model, batch, folder, _ = saved
        with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
            type(model).from_pretrained(folder, num_labels=3)
        loaded = type(model).from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True)
        del batch["labels"]
        assert loaded(**batch, return_loss=False).logits.size(1) == 3

    def test_it_can_be_made_without_memory(self, made):
        model, _ = made
        with torch.device("meta"):
            empty = type(model)(model.config)
        assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == {
            name: tensor.shape for name, tensor in model.state_dict().items()
        }


class TestParameters:
    def test_their_number_and_their_names(self, made):
        model, _ = made
        assert model.num_parameters() == sum(parameter.numel() for parameter in model.parameters())
        assert model.num_parameters(only_trainable=True) <= model.num_parameters()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            assert model.get_parameter_or_buffer(name) is tensor

    def test_every_tensor_is_a_parameter_or_a_buffer(self, made):
        """Any other would stay behind when the model is moved."""
        model, batch = made
        model(**batch)
        loose = [
            f"{name}.{key}"
            for name, module in model.named_modules()
            for key, value in vars(module).items()
            if isinstance(value, torch.Tensor)
        ]
        assert loose == []

    def test_none_is_shared(self, made):
        model, _ = made
        places = [parameter.data_ptr() for parameter in model.parameters() if parameter.numel()]
        assert len(places) == len(set(places))

    def test_every_one_takes_part_in_every_step_or_the_model_says_so(self, family):
        """Whatever parts of the loss weigh nothing: DDP waits for the gradient of each."""
        fields = [
            name for name in family.make(make_dialogues((2,)))[0].config.to_dict() if name.endswith("_loss_weight")
        ]
        for field in fields:
            model, processor = family.make(make_dialogues((3, 5)), **{field: 0})
            model.train()(**processor(make_dialogues((3, 5)), return_tensors="pt")).loss.backward()
            left_out = [name for name, parameter in model.named_parameters() if parameter.grad is None]
            assert bool(left_out) == model.may_leave_out_parameters, (field, left_out)

    def test_none_is_without_dimensions(self, made):
        """FSDP2 refuses them."""
        model, _ = made
        assert [name for name, parameter in model.named_parameters() if parameter.dim() == 0] == []

    def test_weight_decay_leaves_out_what_is_no_weight(self, family, tmp_path):
        """Vectors and scales, of which zero is no neutral value; all that is decayed is multiplied with something."""
        settings = {"absent_modality": "learnt"} if family.reads_dialogues else {}
        model, processor = family.make(make_dialogues(), **settings)
        args = JoyfulTrainingArguments(str(tmp_path), eval_strategy="no", load_best_model_at_end=False, use_cpu=True)
        trainer = JoyfulTrainer(model, args, train_dataset=make_dialogues(), processing_class=processor)
        decayed = set(trainer.get_decay_parameter_names(model))
        parameters = dict(model.named_parameters())
        assert decayed
        assert [name for name in decayed if parameters[name].dim() < 2 or name.endswith(".basis")] == []
        linear = {f"{name}.weight" for name, module in model.named_modules() if type(module) is nn.Linear}
        assert linear <= decayed

    def test_older_numbers_without_dimensions_load_as_they_are(self, family, made, tmp_path):
        model, batch = made
        model.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        numbers = {name for name in weights if ".alignment." in name}
        older = {name: tensor.reshape(()) if name in numbers else tensor for name, tensor in weights.items()}
        save_file(older, tmp_path / "model.safetensors", {"format": "pt"})
        loaded, again = type(model).from_pretrained(tmp_path), type(model)(model.config)
        again.load_state_dict(older)
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[name], tensor, **EXACT)
            torch.testing.assert_close(again.state_dict()[name], tensor, **EXACT)
        assert torch.equal(again.eval()(**batch).logits, loaded(**batch).logits)


def test_it_loads_quantised(family, tmp_path):
    torchao = pytest.importorskip("torchao.quantization")
    from transformers import TorchAoConfig

    model, processor = family.make(make_dialogues())
    batch = processor(make_dialogues(), return_tensors="pt")
    model.save_pretrained(tmp_path)
    settings = TorchAoConfig(torchao.Int8WeightOnlyConfig())
    quantised = type(model).from_pretrained(tmp_path, quantization_config=settings)
    with torch.no_grad():
        torch.testing.assert_close(quantised(**batch).logits, model(**batch).logits, rtol=0.1, atol=0.05)


def test_an_adapter_in_a_frozen_encoder_trains_and_comes_back(tmp_path):
    peft = pytest.importorskip("peft")
    (case,) = (case for case in FAMILY_CASES if case.name == "joyful-with-text-encoder")
    model, processor = case.make(make_dialogues(), unfreeze_text_encoder=False)
    base = copy.deepcopy(model)
    settings = peft.LoraConfig(target_modules=r".*text_encoder.*(query|value)", modules_to_save=["classifier"])
    adapted = peft.get_peft_model(model, settings)
    args = JoyfulTrainingArguments(
        str(tmp_path), max_steps=2, eval_strategy="no", load_best_model_at_end=False, save_strategy="no", use_cpu=True
    )
    before = {name: tensor.clone() for name, tensor in adapted.state_dict().items() if "lora_" in name}
    JoyfulTrainer(adapted, args, train_dataset=make_dialogues(), processing_class=processor).train()
    assert all(not torch.equal(tensor, adapted.state_dict()[name]) for name, tensor in before.items())
    adapted.save_pretrained(tmp_path)
    batch = processor(make_dialogues(), return_tensors="pt")
    loaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    with torch.no_grad():  # with gradients, for which only one of them asks, a GRU takes its steps in another way
        assert torch.equal(loaded(**batch).logits, adapted.eval()(**batch).logits)


@pytest.mark.parametrize("by_trainer", [True, False], ids=["by-the-trainer", "by-peft"])
def test_an_adapter_brings_its_calibration_and_its_statistics(tmp_path, by_trainer):
    """The classifier alone is trained whole; batch normalisation counts on, in layers that learn nothing."""
    peft = pytest.importorskip("peft")
    (case,) = (case for case in FAMILY_CASES if case.name == "joyful-released")
    model, processor = case.make(make_dialogues())
    base = copy.deepcopy(model)
    settings = peft.LoraConfig(target_modules=r".*projections.*text", modules_to_save=["classifier"])
    adapted = peft.get_peft_model(model, settings)
    args = JoyfulTrainingArguments(
        str(tmp_path), max_steps=2, eval_strategy="no", load_best_model_at_end=False, save_strategy="no", use_cpu=True
    )
    trainer = JoyfulTrainer(adapted, args, train_dataset=make_dialogues(), processing_class=processor)
    trainer.train()
    assert trainer.calibrate(make_dialogues((3, 8))) != 1
    statistics = [name for name, _ in adapted.named_buffers() if name.endswith("running_mean")]
    assert statistics
    assert all(not torch.equal(adapted.state_dict()[name], peft_free(base, name)) for name in statistics)
    save = trainer.save_model if by_trainer else adapted.save_pretrained
    save(tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert loaded.predict(make_dialogues(), processor) == adapted.predict(make_dialogues(), processor)
    assert loaded.config.calibration_temperature == adapted.config.calibration_temperature


def peft_free(model, name: str) -> torch.Tensor:
    """A tensor of the model below, by its name in the one with an adapter."""
    return model.state_dict()[name.removeprefix("base_model.model.")]


class TestVotes:
    def test_a_unanimous_vote_is_learnt_as_the_label_is(self, family):
        dialogues = make_dialogues()
        model, processor = family.make(dialogues)
        for utterance in (utterance for dialogue in dialogues for utterance in dialogue["utterances"]):
            utterance["label"] = utterance["label"] and {utterance["label"]: 3}
        of_votes = processor(dialogues, return_tensors="pt")
        of_labels = processor(make_dialogues(), return_tensors="pt")
        assert torch.equal(of_votes["labels"], of_labels["labels"])
        first, second = gradients(model, of_votes), gradients(model, of_labels)
        for name, gradient in first.items():
            torch.testing.assert_close(gradient, second[name], rtol=1e-4, atol=1e-6)

    def test_shares_that_do_not_fit_are_refused(self, made):
        model, batch = made
        batch["label_shares"] = torch.ones(3, 2)
        with pytest.raises(ValueError, match=r"label_shares have shape \(3, 2\)"):
            model(**batch)
