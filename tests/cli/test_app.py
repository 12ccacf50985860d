"""The command line as a whole: its help, its version, and how it ends."""

import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import joyful_hf
from joyful_hf import JoyfulTrainingArguments
from joyful_hf.cli.app import _in_flags
from joyful_hf.cli.training_options import training_option_names


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"]], ids=" ".join)
def test_help_helps(joyful, arguments):
    result = joyful(*arguments)
    assert (result.status, result.err) == (0, "")
    assert "Usage: joyful" in result.out


def test_no_command_shows_the_help_as_a_mistake(joyful):
    result = joyful()
    assert (result.status, result.err) == (2, "")
    assert "Usage: joyful" in result.out


def test_the_installed_command_ends_without_a_traceback():
    command = [
        Path(sys.executable).with_name("joyful"),
        "predict",
        "./nowhere",
        "--data-file",
        "x",
        "--output-file",
        "y",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("joyful: error: ")
    assert finished.stderr.count("\n") == 1


def test_a_missing_option_is_named(fails, files):
    assert fails("train", "--output-dir", "out") == "Missing option '--train-file'."
    assert "No such command 'fit'" in fails("fit")


@pytest.mark.parametrize("asked", [["--help"], ["train", "--help"], ["train", "-h"]], ids=" ".join)
def test_help_loads_nothing_that_it_does_not_need(asked):
    code = (
        "import sys; from joyful_hf.cli.app import main; sys.argv = ['joyful', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print('loaded:', *sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    assert {"torch", "transformers", "numpy", "datasets", "pandas", "sklearn", "rich"}.isdisjoint(
        finished.stdout.split("loaded:")[1].split()
    )


def test_a_misspelt_option_is_named_before_anything_is_loaded():
    code = (
        "import sys; from joyful_hf.cli.app import main\n"
        "sys.argv = ['joyful', 'train', '--train-file', 'x', '--output-dir', 'y', '--lerning_rate', '1']\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert "did you mean --learning-rate?" in finished.stderr
    assert {"torch", "transformers"}.isdisjoint(finished.stdout.split())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_help_of_training_cuts_no_option(joyful, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = joyful("train", "--help").out
    assert {"--overwrite-output-dir", "--validation-file", "--audio-extractor"} <= set(shown.split())
    assert "…" not in shown


def test_the_help_of_training_lists_the_arguments_of_the_package_with_their_defaults(joyful):
    shown = " ".join(joyful("train", "--help").out.split())
    for field in fields(JoyfulTrainingArguments):
        if field.name in JoyfulTrainingArguments.__annotations__:
            default = "" if field.default is None else f" [default: {field.default}]"
            help_text = " ".join(field.metadata["help"].split())
            (option,) = field.metadata.get("aliases", [f"--{field.name.replace('_', '-')}"])
            assert f"{option} {help_text}{default}" in shown
    assert "Every field of transformers' TrainingArguments is an option too" in shown


def test_the_names_of_training_arguments_are_those_of_the_class():
    named = {field.name for field in fields(JoyfulTrainingArguments) if field.init}
    assert named <= training_option_names()


def test_every_command_has_a_help_that_fits_into_a_line_and_an_example(joyful):
    listed = joyful("--help").out.split("Commands:\n")[1].split("\n\n")[0]
    assert "..." not in listed
    for command in ("demo", "train", "evaluate", "predict", "plot", "prepare", "extract", "export", "convert", "push"):
        assert f"\n  {command} " in f"\n{listed}"
        assert f"  joyful {command}" in joyful(command, "--help").out.split("Example:")[1]


def test_the_version_is_told(joyful):
    assert joyful("--version").out == f"joyful {joyful_hf.__version__}\n"


@pytest.mark.parametrize(
    ("command", "message", "said"),
    [
        ("train", "another `output_dir`, or `overwrite`", "another --output-dir, or --overwrite-output-dir"),
        ("train", "`settings`: unknown setting", "--config-json: unknown setting"),
        ("train", "`metric_for_best_model`: is wrong", "--metric-for-best-model: is wrong"),
        ("predict", "give `overwrite` or another `output_file`", "give --overwrite or another --output-file"),
        ("export", "`output` is wrong", "OUTPUT is wrong"),
        ("plot", "`dialogue_id`: none of this name", "--dialogue: none of this name"),
        ("predict", "`hf auth login`, or `load_dialogues`", "`hf auth login`, or `load_dialogues`"),
    ],
)
def test_parameters_of_the_library_are_called_as_the_options_are(command, message, said):
    assert _in_flags(message, [command, "--num-proc", "2"]) == said


@pytest.mark.parametrize("moment", ["typer.main.get_group", "typer.core.TyperGroup.parse_args"])
@pytest.mark.parametrize(("number", "line"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped by SIGTERM")])
def test_a_signal_before_any_command_has_begun_is_one_line(joyful, monkeypatch, moment, number, line):
    def stopped(*arguments, **options):
        signal.raise_signal(number)

    monkeypatch.setattr(moment, stopped)
    result = joyful("predict", "model")
    assert (result.status, result.err) == (128 + number, f"joyful: {line}\n")


def test_ctrl_c_ends_any_command_with_one_line(joyful, monkeypatch, tmp_path):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("joyful_hf.checkpoints.load_checkpoint", interrupt)
    result = joyful("export", tmp_path, tmp_path / "model.onnx")
    assert (result.status, result.err) == (130, "joyful: interrupted\n")
