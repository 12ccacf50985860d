"""The scripts and the notebook run as written; `tests/docs` does the same for the README and the documentation."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from joyful_hf import (
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    extract_features,
    load_transcript,
    make_toy_media_corpus,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.toy.media import join_toy_dialogue
from tests.support.helpers import FAMILY_CASES, LABELS, make_dialogues

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPT = EXAMPLES / "train_emotion_recognition.py"
RECORDINGS_SCRIPT = EXAMPLES / "predict_recordings.py"
TABLE_SCRIPT = EXAMPLES / "recording_to_table.py"
FINE_TUNING_SCRIPT = EXAMPLES / "fine_tune_from_hub.py"
PUSHING_SCRIPT = EXAMPLES / "push_to_hub.py"
NOTEBOOK = EXAMPLES / "quick_start.ipynb"


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | variables
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def files(tmp_path):
    """Options that name a training and a test file of a few small dialogues."""
    write_dialogues(make_dialogues([4, 6, 5, 7, 3, 8]), tmp_path / "train.jsonl")
    write_dialogues(make_dialogues([5, 4]), tmp_path / "test.jsonl")
    return ["--train_file", "train.jsonl", "--test_file", "test.jsonl", "--num_train_epochs", "1"]


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param([sys.executable], id="python"),
        pytest.param(
            [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"], id="accelerate"
        ),
    ],
)
def test_the_training_script_leaves_a_checkpoint_and_its_results(launcher, files, tmp_path):
    finished = run([*launcher, str(SCRIPT), *files, "--output_dir", "out", "--use_cpu"], tmp_path)

    assert finished.returncode == 0, finished.stderr
    results = json.loads((tmp_path / "out" / "test_results.json").read_text())
    assert {"test_weighted_f1", "test_accuracy", "test_unweighted_accuracy"} <= results.keys()
    for file in ("model.safetensors", "config.json", "processor_config.json", "train_results.json"):
        assert (tmp_path / "out" / file).is_file()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case is not FAMILY_CASES[0] else [])
        for case in FAMILY_CASES[::3]  # one of each family
    ],
)
def test_the_fine_tuning_script_gives_a_trained_model_other_labels(case, files, tmp_path):
    for part in case.make(make_dialogues(label=lambda rng: ("dull", "lively")[rng.integers(2)])):
        part.save_pretrained(tmp_path / "trained")

    command = [sys.executable, str(FINE_TUNING_SCRIPT), "--model", "trained", *files]
    finished = run([*command, "--output_dir", "out", "--use_cpu"], tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == "labels: anger, joy, neutral, sadness; model and processor: out"
    assert "test_weighted_f1" in json.loads((tmp_path / "out" / "test_results.json").read_text())
    model, processor = load_checkpoint(tmp_path / "out")
    assert list(model.config.label2id) == list(processor.label2id) == list(LABELS)


@pytest.mark.parametrize("with_code", [False, True])
def test_the_pushing_script_puts_a_run_and_its_card_on_the_hub(with_code, hub, tmp_path):
    for part in FAMILY_CASES[0].make(make_dialogues()):
        part.save_pretrained(tmp_path / "out")

    options = ["--dataset_name", "MELD", "--private", *(["--with_code"] if with_code else [])]
    command = [sys.executable, str(PUSHING_SCRIPT), "out", "ada/model", *options]
    finished = run(command, tmp_path, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "huggingface"))

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[-1] == 'load it: pipeline("emotion-recognition", model="ada/model")'
    pushed = set(hub.files("ada/model"))
    assert {"config.json", "processor_config.json", "model.safetensors", "README.md"} <= pushed
    assert ("modeling_joyful.py" in pushed) is with_code


def test_the_recordings_script_prints_an_emotion_per_clip_with_or_without_a_transcript(tmp_path):
    corpus = make_toy_media_corpus(tmp_path / "data", num_train=2, num_validation=1, num_test=1)
    extractors = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
    processor = JoyfulProcessor.from_dialogues(extract_features(corpus["train"], extractors, cache_dir=tmp_path / "c"))
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs(), graph_hidden_size=8))
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")

    without_transcript = corpus["test"][0]["utterances"][1]
    (tmp_path / without_transcript["audio"]).with_suffix(".txt").unlink()

    finished = run([sys.executable, str(RECORDINGS_SCRIPT), "model", "data/test/test-0000"], tmp_path)

    assert finished.returncode == 0, finished.stderr
    device, name, *lines = finished.stdout.splitlines()
    assert device.startswith("running on ")
    assert name == "test-0000"
    for line, utterance in zip(lines, corpus["test"][0]["utterances"], strict=True):
        speaker, label, score = line.split(maxsplit=3)[:3]
        assert (speaker, label in processor.label2id, score[-1]) == (utterance["speaker"], True, "%")
        assert line.endswith("%" if utterance == without_transcript else utterance["text"])


def test_the_space_requires_what_the_package_and_its_demo_require():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["media"], *extras["plots"], *extras["demo"]}
    lines = (EXAMPLES / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if not line.startswith("#")} == wanted - {"joyful-hf[media,plots]"}


def test_nothing_asks_an_index_for_the_package():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *EXAMPLES.rglob("*.*")]:
        if path.suffix in (".md", ".ipynb", ".py", ".txt"):
            assert "joyful-hf[" not in path.read_text(encoding="utf-8"), f"{path}: the package is on no index"


def test_the_recording_script_makes_a_table_and_subtitles_of_one_recording(tmp_path):
    corpus = make_toy_media_corpus(tmp_path / "data", num_train=2, num_validation=1, num_test=1)
    extractors = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
    processor = JoyfulProcessor.from_dialogues(extract_features(corpus["train"], extractors, cache_dir=tmp_path / "c"))
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs(), graph_hidden_size=8))
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    recording, transcript = join_toy_dialogue(corpus["test"][0], tmp_path)

    finished = run([sys.executable, str(TABLE_SCRIPT), "model", str(recording), str(transcript)], tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("all of it: test-0000-emotions.csv, test-0000-emotions.vtt\n")
    expected = [(each["speaker"], each["text"]) for each in corpus["test"][0]["utterances"]]
    for suffix in (".csv", ".vtt"):
        (dialogue,) = load_transcript(tmp_path / f"test-0000-emotions{suffix}")
        assert [(each["speaker"], each["text"]) for each in dialogue["utterances"]] == expected
        assert all(each["label"] in processor.label2id for each in dialogue["utterances"])


def test_the_notebook_is_kept_without_its_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.execution_count, cell.outputs) == (None, [])


def test_the_notebook_trains_scores_and_draws(tmp_path, monkeypatch):
    kernel = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    spec = tmp_path / "jupyter" / "kernels" / "here" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(kernel | {"display_name": "here", "language": "python"}))
    for variable, folder in (
        ("JUPYTER_PATH", "jupyter"),
        ("JUPYTER_RUNTIME_DIR", "runtime"),
        ("IPYTHONDIR", "ipython"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (data,) = [cell for cell in notebook.cells if "num_train=200, num_validation=50, num_test=50" in cell.source]
    data.source = data.source.replace("num_train=200, num_validation=50", "num_train=40, num_validation=10")

    NotebookClient(
        notebook, timeout=300, kernel_name="here", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    epochs = [line.split()[1] for line in printed.splitlines() if line.startswith("epoch ")]
    assert epochs == [f"{epoch}/3" for epoch in (1, 2, 3)]
    shown = [output.data for output in outputs if "data" in output]
    (scores,) = [data["text/plain"] for data in shown if "weighted_f1" in data["text/plain"]]
    assert float(re.search(r"weighted_f1 +(.+)", scores)[1]) > 0.25, "chance is 1/6"
    assert "image/png" in shown[-1], "the timeline"
    assert (tmp_path / "quick-start" / "best" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_accuracy_benchmark_resumes_and_prints_its_table(files, tmp_path):
    command = [sys.executable, "-m", "benchmarks.accuracy", "--train-file", "train.jsonl"]
    command += ["--test-file", "test.jsonl", "--variants", "recommended", "no-graph", "--seeds", "1"]
    first = run(command, tmp_path, PYTHONPATH=str(ROOT))
    assert first.returncode == 0, first.stderr
    again = run(command, tmp_path, PYTHONPATH=str(ROOT))

    assert "| no-graph |" in again.stdout
    assert "recommended/0:" in first.stdout
    assert "recommended/0:" not in again.stdout, "a finished cell was run again"


@pytest.mark.parametrize("name", ["fsdp2", "two_nodes"])
def test_accelerate_reads_its_configurations(name):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(EXAMPLES / "accelerate_configs" / f"{name}.yaml"))
    assert config.num_processes > 1
    if name == "fsdp2":
        assert config.fsdp_config["fsdp_version"] == 2


def write_stand_in(path, script):
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def test_the_slurm_script_starts_a_launcher_on_each_node(tmp_path):
    """Slurm's commands and the launcher are stand-ins; the options are those that Accelerate knows."""
    from accelerate.commands.launch import launch_command_parser

    # More nodes than a pipe holds: a script that reads the first one alone leaves Slurm's command with a broken pipe.
    write_stand_in(tmp_path / "scontrol", "echo first; seq -f node%g 20000")
    write_stand_in(tmp_path / "srun", 'shift; for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done')
    write_stand_in(tmp_path / "accelerate", 'printf "%s\\0" "$@"; echo')
    job = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "nodes", "SLURM_JOB_ID": "70123", "SLURM_GPUS_ON_NODE": "4"}
    given = ["--train-file", "a file.jsonl", "--output-dir", "out"]
    result = subprocess.run(
        ["bash", EXAMPLES / "slurm_train.sh", *given],
        env=os.environ | job | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    launchers = [line.split("\0")[1:-1] for line in result.stdout.splitlines()]
    for rank, arguments in enumerate(launchers):
        args = launch_command_parser().parse_args(arguments)
        assert (args.num_machines, args.machine_rank, args.num_processes) == (2, rank, 8)
        assert (args.main_process_ip, args.main_process_port) == ("first", 30123)
        assert args.module
        assert [args.training_script, *args.training_script_args] == ["joyful_hf.cli.app", "train", *given]
    assert len(launchers) == 2
