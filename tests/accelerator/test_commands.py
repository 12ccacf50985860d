"""Every command, script and page that runs a model leaves no accelerator idle, and runs where it is told to."""

import importlib
import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.main import get_command

from joyful_hf import JoyfulConfig, JoyfulForEmotionRecognition, JoyfulProcessor, extract_features
from joyful_hf.cli.app import app
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.toy.media import make_toy_media_corpus
from tests.support.accelerator import NAME, WORK
from tests.support.command_line import train_options
from tests.support.helpers import FAMILY_CASES, make_dialogues

EXAMPLES = Path(__file__).parents[2] / "examples"
# They run no model, or trace it for other machines.
WITHOUT_A_DEVICE = {"prepare", "convert", "push", "export"}
ON_ACCELERATOR, ON_CPU = ([], f"running on {NAME}:0"), (["--device", "cpu"], "running on cpu")
COMMANDS = sorted(get_command(app).commands.keys() - WITHOUT_A_DEVICE)
SCRIPTS = ["predict_recordings", "train_emotion_recognition", "fine_tune_from_hub"]
# Those that take longest run on the CPU in other tests enough.
ON_ACCELERATOR_ALONE = {"demo", "train_emotion_recognition", "fine_tune_from_hub"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with dialogues and a checkpoint that has never left the CPU."""
    folder = tmp_path_factory.mktemp("data")
    for name, lengths in (("train", (3, 2, 4)), ("test", (3, 4))):
        write_dialogues(make_dialogues(lengths), folder / f"{name}.jsonl")
    for part in FAMILY_CASES[0].make(make_dialogues()):
        part.save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A folder with recordings, and a checkpoint that reads them."""
    folder = tmp_path_factory.mktemp("media")
    corpus = make_toy_media_corpus(folder, num_train=1, num_validation=1, num_test=1)
    extractors = JoyfulProcessor(text_extractor="hashing", audio_extractor="logmel")
    train = extract_features(corpus["train"], extractors, cache_dir=folder / "cache", verbose=False)
    processor = JoyfulProcessor.from_dialogues(train)
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs(), graph_hidden_size=8))
    for part in (model, processor):
        part.save_pretrained(folder / "model")
    return folder


def arguments_of(command, data, folder, encoders):
    """A call of a command on small data."""
    on_test = [data / "model", "--data-file", data / "test.jsonl"]
    return {
        "predict": ["predict", *on_test, "--output-file", folder / "out.jsonl"],
        "plot": ["plot", *on_test, "--output-dir", folder / "pictures"],
        "evaluate": ["evaluate", *on_test, "--missing-rates", "0.5"],
        "train": train_options({"train": data / "train.jsonl"}, folder / "run"),
        "demo": ["demo", "--output-dir", folder / "demo"],
        "compare": [
            *("compare", "bigru", "--train-file", data / "train.jsonl", "--validation-file", data / "train.jsonl"),
            *("--test-file", data / "train.jsonl", "--output-dir", folder / "comparison", "--seeds", "1"),
            *("--training-json", '{"num_train_epochs": 1}'),
        ],
        "extract": [
            *("extract", "--data-file", data / "texts.jsonl", "--output-file", folder / "out.parquet"),
            *("--text-extractor", encoders["text"]),
        ],
    }[command]


def assert_ran_on(announced):
    assert bool(WORK.launches) == (NAME in announced), f"{announced}, and the device did {WORK}"


def everywhere(names):
    """Each one on the accelerator, which it finds, and on the CPU, if it is told to."""
    return [
        pytest.param(name, *place, id=f"{name}-{'cpu' if place is ON_CPU else 'accelerator'}")
        for name in names
        for place in ([ON_ACCELERATOR] if name in ON_ACCELERATOR_ALONE else [ON_ACCELERATOR, ON_CPU])
    ]


@pytest.mark.parametrize(("command", "device", "announced"), everywhere(COMMANDS))
def test_a_command_says_where_it_runs_and_runs_there(
    command, device, announced, joyful, data, encoders, monkeypatch, tmp_path
):
    small = partial(make_toy_media_corpus, num_train=2, num_validation=1, num_test=1)
    monkeypatch.setattr("joyful_hf.toy.media.make_toy_media_corpus", small)
    monkeypatch.setattr("joyful_hf.cli.demo._EPOCHS", 1)
    monkeypatch.setattr("joyful_hf.pictures.style.FORMATS", ("svg",))
    monkeypatch.setattr("joyful_hf.data.extraction.default_cache_dir", lambda: tmp_path / "cache")
    texts = {"utterances": [{"speaker": "A", "text": "hm"}, {"speaker": "B", "text": "ah"}]}
    write_dialogues([texts], data / "texts.jsonl")
    WORK.clear()
    result = joyful(*arguments_of(command, data, tmp_path, encoders), *device)
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0] == announced + (", 1 process" if command == "train" else "")
    assert_ran_on(announced)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_does_not_exist_is_refused_in_one_line(command, fails, data, encoders, tmp_path):
    arguments = arguments_of(command, data, tmp_path, encoders)
    said = fails(*arguments, "--device", "cuda:7")
    assert said == f"this machine has no device 'cuda:7'; it has cpu, {NAME}:0"


def test_an_export_is_traced_on_the_cpu(joyful, data, monkeypatch, tmp_path):
    exported = []
    monkeypatch.setattr(
        "joyful_hf.inference.export.export_model", lambda model, *_: exported.append(model.device.type)
    )
    assert joyful("export", data / "model", tmp_path / "model.pt2").status == 0
    assert exported == ["cpu"]


def script(path):
    """An example as a module, its `main` uncalled."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "device", "announced"), everywhere(SCRIPTS))
def test_a_script_says_where_it_runs_and_runs_there(
    name, device, announced, data, media, monkeypatch, capsys, tmp_path
):
    trained = ["--train_file", str(data / "train.jsonl"), "--output_dir", "out", "--num_train_epochs", "1"]
    arguments = {
        "predict_recordings": [str(media / "model"), str(media / "test" / "test-0000")],
        "train_emotion_recognition": trained,
        "fine_tune_from_hub": ["--model", str(data / "model"), *trained],
    }[name]
    monkeypatch.chdir(tmp_path)
    main = script(EXAMPLES / f"{name}.py").main
    monkeypatch.setattr(sys, "argv", [name, *arguments, *device])
    WORK.clear()
    main()
    assert capsys.readouterr().out.splitlines()[0] == announced
    assert_ran_on(announced)


@pytest.mark.parametrize(("device", "announced"), [ON_ACCELERATOR, ON_CPU], ids=["accelerator", "cpu"])
def test_the_space_says_where_it_runs_and_runs_there(device, announced, media, monkeypatch, capsys):
    pytest.importorskip("gradio")
    monkeypatch.syspath_prepend(EXAMPLES / "space")
    space = script(EXAMPLES / "space" / "app.py")
    recognising, reading = (importlib.import_module(name) for name in ("recognising", "reading"))
    opened = []
    monkeypatch.setattr(space, "open_page", opened.append)
    monkeypatch.setenv(space.DEVICE_VARIABLE, "")
    monkeypatch.delenv(space.DEVICE_VARIABLE)
    monkeypatch.setattr(sys, "argv", ["app.py", str(media / "model"), *device])
    recognising.load.cache_clear()
    space.main()
    assert capsys.readouterr().out == f"{announced}\n"
    (checkpoint,) = opened[0].by_name.values()
    WORK.clear()
    *_, (recognised, _) = recognising.recognise(checkpoint, reading.read_text(space.EXAMPLE)[0])
    assert_ran_on(announced)
    assert recognising.explain_label(recognised, 0)
