"""The speed benchmark: its plain reference does the same work as the model, and every section runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed.process import (
    Job,
    corpus_lengths,
    iemocap_like_lengths,
    make_config,
    make_corpus,
    make_processor,
    measure_apart,
)
from benchmarks.speed.reference import (
    PlainDialogue,
    PlainJoyful,
    edges_by_loop,
    edges_by_tensors,
)
from joyful_hf import JoyfulForEmotionRecognition, convert_released_state_dict

ROOT = Path(__file__).parents[2]
SECTIONS = ["matrix", "epoch", "recommended", "latency", "graph", "speakers", "memory", "long", "growth", "full-batch"]
SECTIONS += ["cuda-graph", "rivals"]
LENGTHS = [5, 9, 1, 23]
WINDOW = 10
# Training without chance: nothing is dropped, masked or rewired.
NO_CHANCE = {"hidden_dropout_prob": 0.0, "feature_mask_rate": 0.0, "edge_perturb_rate": 0.0}


def set_up(speakers: int = 2, **overrides):
    """The plain network and its dialogues, our model with the same weights and its batch."""
    config = make_config("released", quick=True, max_speakers=speakers, **overrides)
    corpus = make_corpus(config, LENGTHS, speakers)
    torch.manual_seed(0)
    plain = PlainJoyful(config, WINDOW, WINDOW)
    norm = plain.model.gcl.bn
    for statistics in (norm.running_mean, norm.running_var):
        statistics.uniform_(0.5, 1.5)
    ours = JoyfulForEmotionRecognition(config)
    ours.load_state_dict(convert_released_state_dict(plain.fusion.state_dict(), plain.model.state_dict()))
    batch = make_processor(config, "released").pack(corpus, return_tensors="pt")
    return plain, [PlainDialogue.from_encoded(dialogue) for dialogue in corpus], ours, batch


def assert_close(ours: torch.Tensor, plain: torch.Tensor) -> None:
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("speakers", [2, 9])
def test_reference_and_model_give_the_same_logits(speakers):
    plain, dialogues, ours, batch = set_up(speakers)
    with torch.inference_mode():
        expected = plain.eval()(dialogues, return_loss=False)
        assert expected.loss is None
        assert_close(ours.eval()(**batch, return_loss=False).logits, expected.logits)


def test_reference_and_model_give_the_same_losses():
    plain, dialogues, ours, batch = set_up()
    with torch.inference_mode():
        expected, output = plain.eval()(dialogues), ours.eval()(**batch)
    assert output.losses.keys() == expected.losses.keys()
    for name, loss in output.losses.items():
        assert_close(loss, expected.losses[name])


def test_reference_and_model_take_the_same_training_step():
    plain, dialogues, ours, batch = set_up(**NO_CHANCE)
    expected, output = plain.train()(dialogues), ours.train()(**batch)
    assert_close(output.losses["contrastive"], expected.losses["contrastive"])
    assert_close(output.loss, expected.loss)
    expected.loss.backward()
    output.loss.backward()
    assert_close(ours.joyful.fusion.global_encoder[0].weight.grad, plain.fusion.fuse_inGlobal[0].weight.grad)
    assert_close(ours.joyful.graph_encoder.convolutions[0].weight.grad, plain.model.gcl.conv1.weight.grad)


@pytest.mark.parametrize("speakers", [2, 9])
def test_reference_and_processor_draw_the_same_graph(speakers):
    _, dialogues, _, batch = set_up(speakers)
    ours = {*zip(*batch["edge_index"].tolist(), batch["edge_type"].tolist(), strict=True)}
    lists = [dialogue.speakers for dialogue in dialogues]
    for edge_index, edge_type in (
        edges_by_loop(lists, WINDOW, WINDOW, speakers),
        edges_by_tensors([torch.tensor(one) for one in lists], WINDOW, WINDOW, speakers),
    ):
        assert edge_index.size(1) == len(ours)
        assert {*zip(*edge_index.tolist(), edge_type.tolist(), strict=True)} == ours


def test_lengths_sum_exactly():
    lengths = iemocap_like_lengths(108, 5163)
    assert (len(lengths), sum(lengths), min(lengths), max(lengths)) == (108, 5163, 8, 110)
    assert [sum(corpus_lengths(size)) for size in (48, 96, 1000, 100_000)] == [48, 96, 1000, 100_000]
    with pytest.raises(ValueError, match="cannot have 7"):
        iemocap_like_lengths(1, 7)


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own():
    measured = measure_apart(Job("recommended", "predict", [9, 40], utterances_per_batch=45, quick=True, repeats=2))
    assert len(measured.seconds) == 2
    assert measured.largest_batch == 40
    assert measured.resident_bytes > 0


@pytest.mark.slow
def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no field 'attention'"):
        measure_apart(Job("released", "predict", [9], quick=True, overrides={"attention": 3}))


@pytest.mark.slow
def test_every_section_runs_and_is_written(tmp_path):
    output = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--repeats", "1", "--threads", "1"]
    command += [
        "--devices",
        "cpu",
        "--only-eager",
        "--output",
        str(output),
        "--rivals",
        "lmam",
        "--sections",
        *SECTIONS,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sections = json.loads(output.read_text())["cpu"]
    assert list(sections) == SECTIONS
    for name, section in sections.items():
        assert section["figures"], name
        assert [figure["error"] for figure in section["figures"] if figure["error"]] == [], name
        assert f"## {name} (cpu)" in done.stdout
