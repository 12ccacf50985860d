"""What holds for every family in every form: the invariants of the design. A family is a row of `FAMILY_CASES`."""

import ast
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import AutoModel, AutoProcessor

from joyful_hf import EmotionRecognitionOutput, JoyfulForEmotionRecognition
from tests.support.helpers import (
    LABELS,
    FamilyCase,
    batches_of_lengths,
    hide_modalities,
    make_dialogue,
    make_dialogues,
    without_modality,
)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
MODALITIES = ("text", "audio", "visual")
SUBSETS = [
    [name for bit, name in enumerate(MODALITIES) if number >> bit & 1] for number in range(1, 2 ** len(MODALITIES))
]
ROOT = Path(__file__).resolve().parents[1]


def several(rng):
    return [label for label in LABELS if rng.random() < 0.4]


def sentiment(rng):
    return float(rng.normal())


# Kind of task -> how an utterance gets its label, and what a prediction's label is.
TASKS = {
    "single_label_classification": ({}, str),
    "multi_label_classification": ({"label": several}, list),
    "regression": ({"label": sentiment}, float),
}

each_task = pytest.mark.parametrize("task", TASKS)


@cache
def made(family: FamilyCase):
    """A model in evaluation mode and its processor, for tests that only look."""
    return family.make(make_dialogues())


def run(model, batch, **kwargs) -> EmotionRecognitionOutput:
    with torch.no_grad():
        return model.eval()(**batch, **kwargs)


def logits_of(model, processor, dialogues) -> torch.Tensor:
    return run(model, processor(dialogues, return_tensors="pt")).logits


def train_step(model, batch) -> EmotionRecognitionOutput:
    output = model.train()(**batch)
    output.loss.backward()
    return output


def assert_trained(model, output) -> None:
    """A finite loss, and a finite gradient for every parameter."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert torch.isfinite(output.loss)
    assert all(torch.isfinite(part) for part in output.losses.values())
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert [name for name, gradient in gradients.items() if not torch.isfinite(gradient).all()] == []


class TestSaveAndLoad:
    """1 and 6: the same logits bit for bit, from safetensors alone."""

    @pytest.fixture
    def folder(self, family, tmp_path):
        model, processor = family.make(make_dialogues())
        model.save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        return tmp_path, logits_of(model, processor, make_dialogues())

    def test_through_the_classes(self, family, folder):
        path, expected = folder
        model, processor = family.model_class.from_pretrained(path), family.processor_class.from_pretrained(path)
        assert torch.equal(logits_of(model, processor, make_dialogues()), expected)

    def test_through_the_auto_classes(self, family, folder):
        path, expected = folder
        model, processor = AutoModel.from_pretrained(path), AutoProcessor.from_pretrained(path)
        assert type(model) is family.model_class
        assert type(processor) is family.processor_class
        assert torch.equal(logits_of(model, processor, make_dialogues()), expected)

    def test_weights_are_safetensors_and_nothing_else(self, family, folder):
        path, _ = folder
        expected = {"config.json", "model.safetensors", *family.processor_files}
        assert {file.name for file in path.iterdir()} == expected

    def test_the_file_holds_the_state_dict(self, family, folder):
        path, _ = folder
        with safe_open(path / "model.safetensors", "pt") as file:
            assert set(file.keys()) == set(family.model_class.from_pretrained(path).state_dict())

    def test_twice_is_the_same(self, family, folder, tmp_path):
        path, _ = folder
        family.model_class.from_pretrained(path).save_pretrained(tmp_path / "again")
        family.processor_class.from_pretrained(path).save_pretrained(tmp_path / "again")
        again = {file for file in (tmp_path / "again").iterdir() if file.name != "tokenizer_config.json"}
        assert again  # of a tokenizer, transformers writes down whether it came from a folder
        for file in again:
            assert file.read_bytes() == (path / file.name).read_bytes()

    def test_in_half_precision(self, family, tmp_path):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        exact = run(model, batch).logits
        expected = run(model.to(torch.bfloat16), batch).logits
        model.save_pretrained(tmp_path)
        loaded = family.model_class.from_pretrained(tmp_path)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
        assert torch.equal(run(loaded, batch).logits, expected)
        assert expected.dtype == torch.bfloat16
        torch.testing.assert_close(expected.float(), exact, rtol=0.1, atol=0.1)
        assert len(loaded.predict(make_dialogues(), processor)) == 4


class TestBatchMates:
    """2: a dialogue's logits do not depend on who shares its batch, on the order, or on padding."""

    @settings(max_examples=15)
    @given(lengths=batches_of_lengths, randomness=st.randoms(use_true_random=False))
    def test_alone_together_and_in_another_order(self, family, lengths, randomness):
        model, processor = made(family)
        dialogues = make_dialogues(lengths)
        order = randomness.sample(range(len(lengths)), len(lengths))
        together = logits_of(model, processor, dialogues).split(lengths)
        permuted = logits_of(model, processor, [dialogues[index] for index in order])
        torch.testing.assert_close(permuted, torch.cat([together[index] for index in order]), **TOLERANCE)
        for dialogue, expected in zip(dialogues, together, strict=True):
            torch.testing.assert_close(logits_of(model, processor, [dialogue]), expected, **TOLERANCE)

    def test_padding(self, family):
        model, processor = made(family)
        short, long = make_dialogue(3, seed=1), make_dialogue(60, seed=2)
        alone, beside = logits_of(model, processor, [short]), logits_of(model, processor, [short, long])[:3]
        torch.testing.assert_close(beside, alone, **TOLERANCE)

    def test_what_others_say_does_not_matter(self, family):
        model, processor = made(family)
        first, one, other = make_dialogue(6, seed=1), make_dialogue(6, seed=2), make_dialogue(6, seed=3)
        results = [logits_of(model, processor, [first, neighbour])[:6] for neighbour in (one, other)]
        torch.testing.assert_close(*results, **TOLERANCE)

    def test_what_is_said_in_the_dialogue_does(self, family):
        """To every utterance of it, if the model reads dialogues; to the utterance itself alone otherwise."""
        model, processor = made(family)
        dialogue, other = make_dialogue(6, seed=1), make_dialogue(6, seed=1)
        other["utterances"][0] = make_dialogue(6, seed=2)["utterances"][0]
        difference = (logits_of(model, processor, dialogue) - logits_of(model, processor, other)).abs().amax(-1)
        assert difference[0] > 1e-4
        assert (difference[1:].max() > 1e-4) == family.reads_dialogues


class TestTheBatchStays:
    """3: the graph that enters a model leaves it unchanged."""

    @pytest.mark.parametrize("training", [False, True])
    def test_no_tensor_is_written_to(self, family, training):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in batch.items()}
        output = model.train(training)(**batch)
        output.loss.backward()
        assert list(batch) == list(before)
        for name, tensor in batch.items():
            assert tensor.data_ptr() == before[name][0]
            assert torch.equal(tensor, before[name][1])
            assert not tensor.requires_grad


class TestLoss:
    """4: a mean over the labelled utterances (classification), and over all utterances (the rest)."""

    @settings(max_examples=10)
    @given(lengths=st.lists(st.integers(1, 8), min_size=2, max_size=3), unlabelled=st.sets(st.integers(0, 23)))
    def test_of_a_batch_is_the_mean_of_its_parts(self, family, lengths, unlabelled):
        model, processor = made(family)
        dialogues = make_dialogues(lengths)
        utterances = [utterance for dialogue in dialogues for utterance in dialogue["utterances"]]
        for index in unlabelled & set(range(1, len(utterances))):
            utterances[index]["label"] = None
        together = run(model, processor(dialogues, return_tensors="pt")).losses
        unsupervised = run(model, processor(dialogues, return_tensors="pt", return_labels=False)).losses or {}
        totals, counts = dict.fromkeys(together, 0.0), dict.fromkeys(together, 0)
        for dialogue in dialogues:
            labelled = sum(utterance["label"] is not None for utterance in dialogue["utterances"])
            for name, part in (run(model, processor([dialogue], return_tensors="pt")).losses or {}).items():
                count = len(dialogue["utterances"]) if name in unsupervised else labelled
                totals[name] += count * float(part)
                counts[name] += count
        for name in together.keys() - set(family.loss_parts_of_batch):
            part = together[name]
            assert float(part) == pytest.approx(totals[name] / counts[name], rel=1e-4, abs=1e-5), name

    def test_its_parts_have_their_names(self, family):
        model, processor = family.make(make_dialogues())
        output = model.train()(**processor(make_dialogues(), return_tensors="pt"))
        assert set(output.losses) >= set(family.loss_parts)
        assert all(part.shape == () for part in (output.loss, *output.losses.values()))

    def test_without_labels_there_is_none(self, family):
        model, processor = made(family)
        output = run(model, processor(make_dialogues(), return_tensors="pt", return_labels=False))
        assert output.loss is None
        assert "classification" not in (output.losses or {})
        assert output.logits.shape == (38, len(LABELS))

    def test_all_labels_unknown_is_no_error(self, family):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        batch["labels"] = torch.full_like(batch["labels"], -100)
        output = train_step(model, batch)
        assert output.losses["classification"] == 0
        assert_trained(model, output)

    def test_labels_do_not_reach_the_logits(self, family):
        model, processor = made(family)
        batch = processor(make_dialogues(), return_tensors="pt")
        expected = run(model, batch).logits
        batch["labels"] = (batch["labels"] + 1) % len(LABELS)
        assert torch.equal(run(model, batch).logits, expected)

    def test_training_lowers_it(self, family):
        model, processor = family.make(make_dialogues(), hidden_dropout_prob=0)
        batch = processor(make_dialogues(), return_tensors="pt")
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        before = float(run(model, batch).losses["classification"])
        for _ in range(40):
            optimizer.zero_grad()
            train_step(model, batch)
            optimizer.step()
        assert float(run(model, batch).losses["classification"]) < 0.7 * before


class TestModalities:
    """5: every subset trains and predicts, and a modality may be absent anywhere."""

    @pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
    def test_every_subset(self, family, modalities):
        if not set(modalities) <= set(family.modalities):
            pytest.skip(f"the model reads {', '.join(family.modalities)}")
        dialogues = make_dialogues(modalities=modalities)
        model, processor = family.make(dialogues)
        assert list(model.config.modality_dims) == modalities
        assert_trained(model, train_step(model, processor(dialogues, return_tensors="pt")))
        assert len(model.predict(dialogues, processor)) == len(dialogues)

    @pytest.mark.parametrize("share", [0.5, 0.1, 0.0])
    def test_absent_at_random(self, family, share):
        """With a share of 0.1 some utterances have no modality left, with 0 none has."""
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        batch = hide_modalities(batch, torch.rand(38, 3, generator=torch.Generator().manual_seed(0)) < share)
        assert_trained(model, train_step(model, batch))
        assert torch.isfinite(run(model, batch).logits).all()

    def test_what_stands_in_an_absent_row_does_not_matter(self, family):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        present = torch.rand(38, 3, generator=torch.Generator().manual_seed(0)) < 0.5
        spoilt = hide_modalities(batch, present, fill=math.nan)
        assert torch.equal(run(model, spoilt).logits, run(model, hide_modalities(batch, present)).logits)
        assert_trained(model, train_step(model, spoilt))

    def test_an_utterance_may_lack_any(self, family):
        dialogues = make_dialogues()
        for index, utterance in enumerate(dialogues[3]["utterances"]):
            for bit, name in enumerate(MODALITIES):
                if index >> bit & 1:
                    utterance = dialogues[3]["utterances"][index] = without_modality(utterance, name)
        model, processor = family.make(dialogues)
        predictions = model.predict(dialogues, processor)
        found = [utterance for dialogue in predictions for utterance in dialogue["utterances"]]
        read = [utterance for utterance in found if utterance["label"] is not None]
        assert all(sum(utterance["scores"].values()) == pytest.approx(1, abs=1e-5) for utterance in read)
        assert not any(utterance["scores"] for utterance in found if utterance["label"] is None), "nothing was read"
        assert 0 < len(found) - len(read) < len(read)


class TestSizesOfDialogues:
    @pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (2,), (120, 1)])
    def test_of_any_length(self, family, lengths):
        model, processor = family.make(make_dialogues())
        dialogues = make_dialogues(lengths)
        assert_trained(model, train_step(model, processor(dialogues, return_tensors="pt")))
        assert logits_of(model, processor, dialogues).shape == (sum(lengths), len(LABELS))

    @pytest.mark.parametrize("speakers", [1, 3, 30])
    def test_with_any_number_of_speakers(self, family, speakers):
        dialogues = make_dialogues((60, 5), speakers=speakers)
        model, processor = family.make(dialogues)
        assert_trained(model, train_step(model, processor(dialogues, return_tensors="pt")))
        assert len(model.predict(dialogues, processor)) == 2

    @pytest.mark.parametrize("window", [0, 1, -1])
    def test_with_any_window(self, family, window):
        if not family.reads_dialogues:
            pytest.skip("an utterance on its own has no window")
        model, processor = family.make(make_dialogues(), window_past=window, window_future=window)
        assert_trained(model, train_step(model, processor(make_dialogues(), return_tensors="pt")))


class TestSeeds:
    """8: the same seed, the same run."""

    def test_the_same_seed_gives_the_same_step(self, family):
        steps = []
        for seed in (0, 0, 1):
            model, processor = family.make(make_dialogues())
            torch.manual_seed(seed)
            output = train_step(model, processor(make_dialogues(), return_tensors="pt"))
            steps.append([output.loss.detach(), *(parameter.grad for parameter in model.parameters())])
        first, again, other = steps
        assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
        assert first[0] != other[0]

    def test_evaluation_has_no_chance_in_it(self, family):
        model, processor = made(family)
        first, again = (logits_of(model, processor, make_dialogues()) for _ in range(2))
        assert torch.equal(first, again)


class TestTheSameAnswerEverywhere:
    """Threads and batch sizes change the order of sums, and by that the last digits alone."""

    DIALOGUES = make_dialogues((3, 41, 7, 1, 20, 20))

    def assert_same(self, found, expected):
        assert float((found - expected).abs().max() / expected.abs().max()) < 1e-6

    def test_with_any_number_of_threads(self, family):
        model, processor = made(family)
        expected = logits_of(model, processor, self.DIALOGUES)
        threads = torch.get_num_threads()
        torch.set_num_threads(threads + 1)
        try:
            self.assert_same(logits_of(model, processor, self.DIALOGUES), expected)
        finally:
            torch.set_num_threads(threads)

    @pytest.mark.parametrize("size", [1, 4])
    def test_in_batches_of_any_size(self, family, size):
        model, processor = made(family)
        batches = [self.DIALOGUES[index : index + size] for index in range(0, len(self.DIALOGUES), size)]
        found = torch.cat([logits_of(model, processor, batch) for batch in batches])
        self.assert_same(found, logits_of(model, processor, self.DIALOGUES))


class TestPrecisionAndCompilation:
    def test_a_step_in_mixed_precision(self, family):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            output = model.train()(**batch)
        output.loss.backward()
        assert {part.dtype for part in (output.loss, *output.losses.values())} == {torch.float32}
        assert_trained(model, output)

    @pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
    def test_compiled_without_a_break_and_once_for_all_sizes(self, compiled_family, training):
        # One network: the others are the same code again.
        is_joyful = compiled_family.model_class is JoyfulForEmotionRecognition
        model, processor = compiled_family.make(make_dialogues(), **({"num_members": 1} if is_joyful else {}))
        compiled = torch.compile(model.train(training), backend="eager", fullgraph=True, dynamic=True)
        for again, lengths in enumerate([(5, 9, 2, 1), (4, 7, 3, 6, 5)]):
            batch = processor(make_dialogues(lengths), return_tensors="pt")
            with torch._dynamo.config.patch(error_on_recompile=bool(again)):
                output = compiled(**batch)
            if training:
                output.loss.backward()
                assert_trained(model, output)
            else:
                torch.testing.assert_close(output.logits, run(model, batch).logits, **TOLERANCE)
                torch.testing.assert_close(output.loss, run(model, batch).loss, **TOLERANCE)
        torch.compiler.reset()

    @pytest.mark.gpu
    def test_a_gpu_gives_the_same_logits_and_trains(self, family):
        model, processor = family.make(make_dialogues())
        batch = processor(make_dialogues(), return_tensors="pt")
        expected = run(model, batch).logits
        model, batch = model.to("cuda"), batch.to("cuda")
        torch.testing.assert_close(run(model, batch).logits.cpu(), expected, rtol=1e-3, atol=1e-4)
        assert_trained(model, train_step(model, batch))


class TestPredictions:
    @each_task
    def test_every_task_trains(self, family, task):
        fields, _ = TASKS[task]
        dialogues = make_dialogues(**fields)
        model, processor = family.make(dialogues)
        assert model.problem_type == task
        assert_trained(model, train_step(model, processor(dialogues, return_tensors="pt")))

    @each_task
    def test_every_utterance_gets_a_label_and_scores(self, family, task):
        fields, kind = TASKS[task]
        dialogues = make_dialogues(**fields)
        model, processor = family.make(dialogues)
        predictions = model.predict(dialogues, processor)
        for dialogue, prediction in zip(dialogues, predictions, strict=True):
            assert prediction["dialogue_id"] == dialogue["dialogue_id"]
            for given_one, found in zip(dialogue["utterances"], prediction["utterances"], strict=True):
                assert {key: found[key] for key in ("speaker", "text")} == {
                    key: given_one[key] for key in ("speaker", "text")
                }
                assert set(found) == {"speaker", "text", "label", "scores", "true_label"}
                assert type(found["label"]) is kind
                self.assert_label_follows_scores(found["label"], found["scores"], task)

    @staticmethod
    def assert_label_follows_scores(label, scores, task):
        if task == "regression":
            assert list(scores.values()) == [label]
            return
        assert list(scores) == list(LABELS)
        assert all(0 <= score <= 1 for score in scores.values())
        if task == "single_label_classification":
            assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
            assert scores[label] == max(scores.values())
        else:
            assert label == [name for name, score in scores.items() if score >= 0.5]

    def test_they_are_the_argmax_of_forward(self, family):
        model, processor = made(family)
        labels = [u["label"] for d in model.predict(make_dialogues(), processor) for u in d["utterances"]]
        best = logits_of(model, processor, make_dialogues()).argmax(-1).tolist()
        assert labels == [model.config.id2label[index] for index in best]

    def test_labels_in_the_dialogues_are_not_read(self, family):
        model, processor = made(family)
        dialogues = make_dialogues()
        expected = model.predict(dialogues, processor)
        for dialogue, found in zip(dialogues, expected, strict=True):
            for utterance, prediction in zip(dialogue["utterances"], found["utterances"], strict=True):
                utterance["label"] = prediction["true_label"] = "a label that nobody knows"
        assert model.predict(dialogues, processor) == expected

    def test_one_dialogue_many_or_a_stream_in_batches_of_any_size(self, family):
        model, processor = made(family)
        dialogues = make_dialogues()
        expected = model.predict(dialogues, processor)
        assert model.predict(dialogues[0], processor)[0]["dialogue_id"] == "d0"
        for utterances_per_batch in (1, 12):
            streamed = model.predict(iter(dialogues), processor, utterances_per_batch)
            for one, other in zip(expected, streamed, strict=True):
                for first, second in zip(one["utterances"], other["utterances"], strict=True):
                    assert first["scores"] == pytest.approx(second["scores"], abs=1e-5)

    @pytest.mark.parametrize("training", [False, True])
    def test_the_mode_of_the_model_stays(self, family, training):
        model, processor = family.make(make_dialogues())
        model.train(training)
        model.predict(make_dialogues(), processor)
        assert model.training is training


# Where the networks may ask the device for a number: each time it waits for everything that was asked before.
ALLOWED = {
    # Of a batch without a layout the lengths of the dialogues and the speakers, once; the rest is arithmetic with them
    # on the CPU.
    "packing.py": {"host", "highest_speaker", "longest", "_known_blocks", "similar_lengths"} | {"_masks", "_rows_of"},
    "steps.py": {"step_order", "step_sizes", "mirrored_steps"},  # on the CPU alone
    "dialogue_rnn.py": {"_advance"},  # sizes that lie on the CPU
    "recurrence.py": {"forward", "_step_by_step"},  # sizes that lie on the CPU
    "speaker_encoder.py": {"forward"},  # a size that lies on the CPU
    "frame_lstm.py": {"_forward_packed"},  # on the CPU alone
    "katz.py": {"random_proximate_pairs"},  # lengths that lie on the CPU
    "scalar_attention.py": {"_interpolate"},  # on the CPU alone
    "tracing.py": {"as_number"},  # for a compiler, which does not run it
    "batch_contract.py": {"_check_values", "check_labels", "check_tokens"},  # on the CPU alone
    # Once a batch the lengths of the inputs; and once a training a size.
    "utterance_encoder.py": {"_encode_in_chunks", "standardize"},
    "prediction.py": {"name_scores", "num_utterances", "is_read"},  # the result itself; arithmetic with sizes
    "modeling_base.py": {
        "wants_attentions",
        "wants_hidden_states",
        "_load_from_state_dict",
    },  # flags; once, on the CPU
    "batch_norm.py": {"learn"},  # a size
    "processes.py": {"gather", "_numbers_of_all"},  # from host to host, and a change of type on the device
    "audio_encoder.py": {"_one_by_one"},  # the lengths of waveforms that may not be padded
}


NETWORKS = sorted(path for path in (ROOT / "modeling").glob("*.py") if not path.name.startswith("configuration_"))


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.name)
def test_the_networks_do_not_wait_for_the_device(path):
    asking = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and (
                    (isinstance(node.func, ast.Attribute) and node.func.attr in {"item", "tolist", "cpu", "numpy"})
                    or (isinstance(node.func, ast.Name) and node.func.id in {"int", "bool", "float"})
                ):
                    asking.add(function.name)
    assert asking - ALLOWED.get(path.name, set()) == set()


def test_gradients_are_the_same_to_the_bit_on_several_threads(family):
    dialogues = make_dialogues([20] * 16)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runs = []
        for _ in range(3):
            model, processor = family.make(dialogues)
            torch.manual_seed(1)
            model.train()(**processor(dialogues, return_tensors="pt")).loss.backward()
            runs.append([parameter.grad for parameter in model.parameters()])
    finally:
        torch.set_num_threads(threads)
    for one, *others in zip(*runs, strict=True):
        assert all(torch.equal(one, other) for other in others)
