"""The command line `joyful`, by the use that the README shows and by each mistake that can be made in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset

from joyful_hf import JoyfulForEmotionRecognition, JoyfulProcessor, load_dialogues
from joyful_hf.cli import app as cli
from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import LABELS, make_dialogue
from tests.support.training import (
    SMALL_SETTINGS,
    TRAIN,
    VALIDATION,
    InterruptAt,
    Interruption,
)

SCORES = {"weighted_f1", "accuracy", "unweighted_accuracy", "ece", *(f"f1_{label}" for label in LABELS)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Training, validation and test dialogues; those to predict have no labels."""
    folder = tmp_path_factory.mktemp("data")
    unlabelled = [
        dialogue | {"utterances": [utterance | {"label": None} for utterance in dialogue["utterances"]]}
        for dialogue in VALIDATION
    ]
    paths = {}
    for name, dialogues in (
        ("train", TRAIN),
        ("validation", VALIDATION),
        ("test", VALIDATION[:2]),
        ("unlabelled", unlabelled),
    ):
        paths[name] = folder / f"{name}.jsonl"
        write_dialogues(dialogues, paths[name])
    return paths


def train_options(files, output_dir, settings=None, **options):
    """`joyful train` on the small files with a small model; `num_epochs=2` becomes `--num-epochs 2`."""
    options = {"config_json": json.dumps(SMALL_SETTINGS | (settings or {})), "num_train_epochs": 1} | options
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    return ["train", "--train-file", files["train"], "--output-dir", output_dir, *given]


@pytest.fixture(scope="module")
def checkpoint(files, tmp_path_factory):
    """The output folder of a finished run."""
    folder = tmp_path_factory.mktemp("run") / "out"
    arguments = train_options(files, folder, validation_file=files["validation"], test_file=files["test"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["joyful", *map(str, arguments)])
        cli.main()
    return folder


@pytest.mark.parametrize(("options", "rate"), [({}, 3e-4), ({"learning_rate": 1e-3}, 1e-3)], ids=["own", "given"])
def test_a_preset_has_a_learning_rate_of_its_own(joyful, files, tmp_path, options, rate):
    settings = {"projection_size": 8, "basis_size": 4, "num_hidden_layers": 1, "intermediate_size": 24}
    options = options | {"preset": "paper", "config_json": json.dumps(settings)}
    assert joyful(*train_options(files, tmp_path / "out", **options)).status == 0
    assert json.loads((tmp_path / "out" / "training_args.json").read_text())["learning_rate"] == rate
    assert json.loads((tmp_path / "out" / "run_summary.json").read_text())["preset"] == "paper"


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# train


def test_train_leaves_checkpoint_and_results(checkpoint):
    names = {path.name for path in checkpoint.iterdir() if path.is_file()}
    results = {f"{name}_results.json" for name in ("train", "eval", "test")}
    card = {"README.md", "run_summary.json", "confusion_matrix.png", "confusion_matrix.svg"}
    assert {
        "model.safetensors",
        "config.json",
        "processor_config.json",
        "trainer_state.json",
    } | results | card <= names
    assert not [name for name in names if name.endswith((".part", ".pt", ".pkl", ".bin"))]
    for split in ("eval", "test"):
        written = json.loads((checkpoint / f"{split}_results.json").read_text())
        assert {f"{split}_{score}" for score in SCORES} <= written.keys()
        assert all(isinstance(value, float | int) for value in written.values())


def test_the_checkpoint_loads_and_predicts(checkpoint):
    model = JoyfulForEmotionRecognition.from_pretrained(checkpoint)
    processor = JoyfulProcessor.from_pretrained(checkpoint)
    written = json.loads((checkpoint / "test_results.json").read_text())
    found = [u["label"] for d in model.predict(VALIDATION[:2], processor) for u in d["utterances"]]
    true = [u["label"] for d in VALIDATION[:2] for u in d["utterances"]]
    assert written["test_accuracy"] == pytest.approx(sum(map(str.__eq__, found, true)) / len(true))


def test_train_prints_what_a_person_wants_to_know(joyful, files):
    result = joyful(*train_options(files, "out", test_file=files["test"]))
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("training:   8 dialogues")
    assert lines[1] == "validation: 1 dialogues held out of 9 (no --validation-file; seed 42)"
    assert lines[-1] == "checkpoint and results: out"
    printed = {line.split()[0] for line in lines if line.startswith("test_")}
    assert {f"test_{score}" for score in SCORES} <= printed
    assert not {name for name in printed if "runtime" in name or "per_second" in name}
    assert "{" not in result.out


def test_options_are_understood_in_both_spellings(joyful, files):
    def with_underscores(word):
        return word.replace("-", "_").replace("__", "--", 1) if isinstance(word, str) and word[:2] == "--" else word

    own, of_transformers = ["--test-file", files["test"]], ["--learning-rate", "0.125", "--logging-steps=7"]
    for name in ("dashes", "underscores"):
        arguments = [*train_options(files, name, num_train_epochs=3), *own, *of_transformers, "--max-steps", "-1"]
        if name == "underscores":
            arguments = [with_underscores(word) for word in arguments]
        assert joyful(*arguments).status == 0
        state = json.loads(Path(name, "trainer_state.json").read_text())
        assert state["logging_steps"] == 7
        assert 0.01 < max(entry.get("learning_rate", 0) for entry in state["log_history"]) <= 0.125
    assert Path("dashes", "model.safetensors").read_bytes() == Path("underscores", "model.safetensors").read_bytes()


def test_config_json_sets_fields_of_the_model_and_of_the_processor(joyful, files):
    settings = {"graph_num_layers": 2, "window_past": 3, "visual_dim": 0}
    assert joyful(*train_options(files, "out", settings)).status == 0
    config, processor = (
        json.loads(Path("out", name).read_text()) for name in ("config.json", "processor_config.json")
    )
    assert (config["graph_num_layers"], config["visual_dim"]) == (2, 0)
    assert (processor["window_past"], processor["visual_dim"]) == (3, 0)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_a_preset_trains(joyful, files, preset):
    small = {"projection_size": 8, "num_hidden_layers": 1, "intermediate_size": 24}
    small |= {"autoencoder_size": 16, "bottleneck_size": 8} if preset == "released" else {}
    arguments = train_options(files, "out", preset=preset, config_json=json.dumps(small))
    assert joyful(*arguments).status == 0
    config = json.loads(Path("out", "config.json").read_text())
    assert config["fusion"] == ("autoencoder" if preset == "released" else "contextual_basis")
    assert config["relation_scheme"] == "speaker_pair"


@pytest.mark.parametrize("preset", [[], ["--preset", "paper"]], ids=["recommended", "paper"])
def test_another_family_goes_the_whole_way(joyful, files, preset):
    small = {"projection_size": 8, "graph_num_heads": 2}
    arguments = train_options(files, "out", model="ar-iigcn", config_json=json.dumps(small), test_file=files["test"])
    assert joyful(*arguments, *preset).status == 0
    assert json.loads(Path("out", "config.json").read_text())["model_type"] == "ar_iigcn"
    tested = json.loads(Path("out", "test_results.json").read_text())
    assert tested.keys() >= {"test_weighted_f1", "test_loss_generator", "test_discriminator_accuracy"}
    assert joyful("evaluate", "out", "--data-file", files["test"], "--output-dir", "scores").status == 0
    scored = json.loads(Path("scores", "eval_results.json").read_text())
    assert scored["eval_weighted_f1"] == tested["test_weighted_f1"]
    assert joyful("predict", "out", "--data-file", files["unlabelled"], "--output-file", "found.jsonl").status == 0
    assert len(read_jsonl(Path("found.jsonl"))) == len(VALIDATION)


def test_another_seed_holds_out_other_dialogues_and_says_so(joyful, files):
    result = joyful(*train_options(files, "out", seed=7))
    assert "held out of 9 (no --validation-file; seed 7)" in result.out


def test_parquet_is_read_as_jsonl_is(joyful, files):
    Dataset.from_list(TRAIN).to_parquet("train.parquet")
    for name, train in (("jsonl", files["train"]), ("parquet", "train.parquet")):
        assert joyful(*train_options(files | {"train": train}, name)).status == 0
    assert Path("jsonl", "model.safetensors").read_bytes() == Path("parquet", "model.safetensors").read_bytes()


def test_several_emotions_at_once_and_sentiment_train(joyful, files):
    for name, label, score in (
        ("several", lambda rng: [one for one in LABELS if rng.random() < 0.5], "test_weighted_f1_joy"),
        ("sentiment", lambda rng: float(rng.uniform(-3, 3)), "test_mae"),
    ):
        write_dialogues([make_dialogue(n, seed=n, label=label) for n in (5, 4, 3, 6)], f"{name}.jsonl")
        path = Path(f"{name}.jsonl")
        assert joyful(*train_options({"train": path}, name, test_file=path)).status == 0
        assert score in json.loads(Path(name, "test_results.json").read_text())
        assert joyful("predict", name, "--data-file", path, "--output-file", f"{name}-predicted.jsonl").status == 0
    several, sentiment = (read_jsonl(Path(f"{name}-predicted.jsonl"))[0] for name in ("several", "sentiment"))
    assert all(set(one["label"]) == {n for n, p in one["scores"].items() if p >= 0.5} for one in several["utterances"])
    assert all(isinstance(one["label"], float) for one in sentiment["utterances"])


# What is never lost


def test_a_finished_run_is_refused_and_left_as_it_was(fails, files, checkpoint):
    before = bytes_of(checkpoint)
    message = fails(*train_options(files, checkpoint))
    assert message.startswith(f"{checkpoint}: holds a finished run; ")
    assert "--overwrite-output-dir" in message
    assert bytes_of(checkpoint) == before


def test_it_is_replaced_when_told_to(joyful, fails, files):
    assert joyful(*train_options(files, "out", test_file=files["test"])).status == 0
    before = bytes_of(Path("out"))
    fails(*train_options(files, "out"), "--overwrite-output-dir", "--learning-rate", "fast")
    assert bytes_of(Path("out")) == before, "a mistake in the command must not cost the run"
    assert joyful(*train_options(files, "out", {"graph_num_layers": 0}), "--overwrite-output-dir").status == 0
    assert json.loads(Path("out", "config.json").read_text())["graph_num_layers"] == 0
    assert not Path("out", "test_results.json").exists()


def test_an_interrupted_run_goes_on_with_the_same_command(joyful, files, monkeypatch):
    options = {"num_train_epochs": 3, "per_device_train_batch_size": 2}
    assert joyful(*train_options(files, "whole", **options)).status == 0

    arguments = train_options(files, "interrupted", **options)
    with monkeypatch.context() as patch:
        patch.setattr("joyful_hf.training.callbacks.EpochLines.on_step_end", InterruptAt(6).on_step_end)
        with pytest.raises(Interruption):
            joyful(*arguments)
    assert not Path("interrupted", "train_results.json").exists()

    result = joyful(*arguments)
    assert (result.status, result.err) == (0, "")
    assert f"resuming from {Path('interrupted', 'checkpoint-4')}" in result.out
    assert Path("interrupted", "model.safetensors").read_bytes() == Path("whole", "model.safetensors").read_bytes()
    whole, resumed = (json.loads(Path(one, "eval_results.json").read_text()) for one in ("whole", "interrupted"))
    assert {name: whole[name] for name in whole if "f1" in name or "loss" in name}.items() <= resumed.items()


def test_ctrl_c_says_how_to_go_on(joyful, files, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("joyful_hf.training.trainer.JoyfulTrainer.train", interrupt)
    result = joyful(*train_options(files, "out"))
    assert result.status == 130
    assert result.err == "joyful: interrupted; the same command goes on from the last checkpoint\n"


def test_export_writes_a_model_that_predicts(joyful, checkpoint, tmp_path):
    result = joyful("export", checkpoint, tmp_path / "model.pt2")
    assert (result.status, result.err) == (0, "")
    assert result.out == f"exported model: {tmp_path / 'model.pt2'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_export_refuses_another_ending_and_what_exists(fails, checkpoint, tmp_path):
    assert ".onnx (ONNX, for onnxruntime and others)" in fails("export", checkpoint, tmp_path / "model.bin")
    (tmp_path / "model.onnx").touch()
    assert "exists already" in fails("export", checkpoint, tmp_path / "model.onnx")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_nothing_that_exists_is_overwritten(fails, files, checkpoint, tmp_path, command):
    taken = tmp_path / ("taken.jsonl" if command == "predict" else "eval_results.json")
    taken.write_text("mine")
    option = ["--output-file", taken] if command == "predict" else ["--output-dir", tmp_path]
    assert fails(command, checkpoint, "--data-file", files["test"], *option).startswith(f"{taken}: exists already")
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("when", ["reading", "writing"])
def test_a_prediction_that_fails_leaves_nothing_half_written(joyful, files, checkpoint, monkeypatch, tmp_path, when):
    data = tmp_path / "data.jsonl"
    data.write_text(files["test"].read_text() + ("{" if when == "reading" else ""))
    if when == "writing":

        def write_half(dialogues, path):
            Path(path).write_text('{"dialogue_id":')
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("joyful_hf.data.jsonl.write_dialogues", write_half)
    result = joyful("predict", checkpoint, "--data-file", data, "--output-file", tmp_path / "new" / "out.jsonl")
    assert result.status == 2
    assert not list(tmp_path.rglob("out.jsonl*"))


# evaluate and predict


def test_evaluate_scores_a_checkpoint(joyful, files, checkpoint, tmp_path):
    result = joyful("evaluate", checkpoint, "--data-file", files["test"], "--output-dir", tmp_path / "scores")
    assert (result.status, result.err) == (0, "")
    written = json.loads((tmp_path / "scores" / "eval_results.json").read_text())
    trained = json.loads((checkpoint / "test_results.json").read_text())
    for score in SCORES:
        assert written[f"eval_{score}"] == trained[f"test_{score}"]
    assert written["eval_samples"] == 2
    printed = dict(line.split() for line in result.out.splitlines())
    assert printed.keys() >= {f"eval_{score}" for score in SCORES}
    assert printed["eval_weighted_f1"] == f"{written['eval_weighted_f1']:.4f}"
    assert not {name for name in printed if name.endswith(("_runtime", "_per_second", "_time", "_samples"))}


def test_evaluate_scores_what_missing_modalities_cost(joyful, files, checkpoint, tmp_path):
    plain = joyful("evaluate", checkpoint, "--data-file", files["test"], "--output-dir", tmp_path / "plain")
    asked = ["--missing-rates", "0, 0.35,0.35", "--output-dir", tmp_path / "scores"]
    result = joyful("evaluate", checkpoint, "--data-file", files["test"], *asked)
    assert (result.status, result.err) == (0, "")
    scores, table = result.out.split("\n\n")
    assert scores == plain.out.rstrip("\n")
    rows = [line.split("  ")[0] for line in table.splitlines()[1:]]
    expected = ["missing rate 0", "missing rate 0.35"]
    expected += [text.format(name) for text in ("{} alone", "without {}") for name in ("text", "audio", "visual")]
    assert rows == expected
    assert "weighted_f1" in table.splitlines()[0]

    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["eval_results.json"]
    written = json.loads((tmp_path / "scores" / "missing_results.json").read_text())
    assert written.keys() == {"draws", "rates", "alone", "without"}
    evaluated = json.loads((tmp_path / "scores" / "eval_results.json").read_text())
    nothing_missing = written["rates"]["0.0"]
    assert nothing_missing.keys() >= SCORES
    assert nothing_missing == {name: pytest.approx(evaluated[f"eval_{name}"]) for name in nothing_missing}


@pytest.mark.parametrize("rates", ["", "0.1,,0.2", "some", "0,1.5", "-0.1", "nan", "0.1;0.2"])
def test_a_rate_that_is_none_is_named(fails, files, checkpoint, rates):
    message = fails("evaluate", checkpoint, "--data-file", files["test"], "--missing-rates", rates)
    assert message.startswith("--missing-rates: '")
    assert message.endswith("' is no number from 0 to 1, as in 0,0.1,0.2")


def test_missing_results_are_not_overwritten(fails, files, checkpoint, tmp_path):
    (tmp_path / "missing_results.json").write_text("mine")
    asked = ["--missing-rates", "0.1", "--output-dir", tmp_path]
    message = fails("evaluate", checkpoint, "--data-file", files["test"], *asked)
    assert message.startswith(f"{tmp_path / 'missing_results.json'}: exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["missing_results.json"]


def test_predict_gives_each_utterance_a_label_and_scores(joyful, files, checkpoint, tmp_path):
    output = tmp_path / "new" / "predictions.jsonl"
    result = joyful("predict", checkpoint, "--data-file", files["unlabelled"], "--output-file", output)
    assert (result.status, result.err) == (0, "")
    assert result.out == f"13 utterances of 3 dialogues: {output}\n"
    predictions = read_jsonl(output)
    assert [one["dialogue_id"] for one in predictions] == [one["dialogue_id"] for one in VALIDATION]
    for dialogue, prediction in zip(VALIDATION, predictions, strict=True):
        for utterance, found in zip(dialogue["utterances"], prediction["utterances"], strict=True):
            assert found.keys() == {"speaker", "text", "label", "scores"}
            assert (found["speaker"], found["text"]) == (utterance["speaker"], utterance["text"])
            assert found["scores"].keys() == set(LABELS)
            assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-5)
            assert found["label"] == max(found["scores"], key=found["scores"].get)
    assert list(output.parent.iterdir()) == [output]
    assert len(load_dialogues(output)) == 3, "what is written can be read"


def test_labels_are_not_read_to_predict(joyful, files, checkpoint, tmp_path):
    write_dialogues([make_dialogue(3, label=lambda rng: "boredom")], tmp_path / "boredom.jsonl")
    data = ["--data-file", tmp_path / "boredom.jsonl", "--output-file", tmp_path / "out.jsonl"]
    assert joyful("predict", checkpoint, *data).status == 0


# The demo and the rest


def test_demo_is_the_demo(joyful, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("joyful_hf.cli.demo.run_demo", lambda *arguments: asked.append(arguments))
    assert joyful("demo").status == 0
    assert joyful("demo", "--output-dir", tmp_path / "d", "--overwrite-output-dir").status == 0
    assert asked == [(Path("joyful-demo"), False), (tmp_path / "d", True)]


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
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.startswith("joyful: error: ")
    assert finished.stderr.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback(joyful, files, checkpoint, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr("joyful_hf.cli.evaluate.score_dialogues", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        joyful("evaluate", checkpoint, "--data-file", files["test"])


# Mistakes in the data


def broken(name):
    """A data file with one mistake, and what the message has to say of it."""
    good = json.dumps(VALIDATION[0])
    dialogue = json.loads(good)
    if name == "empty":
        return "bad.jsonl", b"", "bad.jsonl: the file holds no dialogues"
    if name == "broken line":
        return "bad.jsonl", f"{good}\n{good[:-9]}\n".encode(), "bad.jsonl, line 2: not valid JSON"
    if name == "no dialogue":
        return "bad.jsonl", b'{"text": "hello"}\n', "bad.jsonl, line 1: the key 'utterances' is missing"
    if name == "empty dialogue":
        return "bad.jsonl", b'{"utterances": []}\n', "bad.jsonl, line 1: the dialogue is empty"
    if name == "truncated parquet":
        return "bad.parquet", b"PAR1" + 40 * b"x", "bad.parquet: not a readable Parquet file"
    if name == "unknown kind":
        return "bad.csv", b"speaker,text\n", "bad.csv: unknown kind of file '.csv'"
    if name == "no speaker":
        del dialogue["utterances"][2]["speaker"]
        return "bad.jsonl", json.dumps(dialogue).encode(), "bad.jsonl, line 1, utterances[2]: no speaker"
    if name == "feature size":
        dialogue["utterances"][3]["audio_features"].append(0.5)
        return "bad.jsonl", json.dumps(dialogue).encode(), "'d0', utterances[3]: 'audio_features' has size 7"
    if name == "not a number":
        dialogue["utterances"][1]["text_features"][4] = float("nan")
        return "bad.jsonl", json.dumps(dialogue).encode(), "'d0', utterances[1]: 'text_features'[4] is nan"
    raise ValueError(name)


@pytest.mark.parametrize(
    "mistake",
    [
        "empty",
        "broken line",
        "no dialogue",
        "empty dialogue",
        "truncated parquet",
        "unknown kind",
        "no speaker",
        "feature size",
        "not a number",
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_mistake_in_the_data_is_found_in_its_place(fails, files, checkpoint, tmp_path, command, mistake):
    name, content, message = broken(mistake)
    (tmp_path / name).write_bytes(content)
    if command == "train":
        said = fails(*train_options(files, "out", validation_file=name))
    elif command == "evaluate":
        said = fails("evaluate", checkpoint, "--data-file", name, "--output-dir", "out")
    else:
        said = fails("predict", checkpoint, "--data-file", name, "--output-file", "out/predictions.jsonl")
    assert message in said
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", ["missing.jsonl", "./missing", "neither file nor id"])
def test_a_file_that_is_not_there_is_named(fails, checkpoint, data):
    assert data.removeprefix("./") in fails("evaluate", checkpoint, "--data-file", data)


def test_an_unknown_label_is_refused_where_labels_count(fails, files, checkpoint, tmp_path):
    write_dialogues([*VALIDATION, make_dialogue(3, label=lambda rng: "boredom", dialogue_id="d7")], "bad.jsonl")
    expected = "dialogue 'd7', utterances[0]: unknown label 'boredom'; known labels: anger, joy, neutral, sadness"
    assert fails("evaluate", checkpoint, "--data-file", "bad.jsonl") == expected
    assert fails(*train_options(files, "out", test_file="bad.jsonl")) == expected


def test_labels_are_needed_to_train_and_to_evaluate(fails, files, checkpoint):
    unlabelled = files["unlabelled"]
    assert "not one utterance has a label" in fails("evaluate", checkpoint, "--data-file", unlabelled)
    assert "label" in fails(*train_options(files | {"train": unlabelled}, "out"))
    message = fails(*train_options(files, "out", validation_file=unlabelled))
    assert message == "not one utterance of the validation dialogues has a label"


# Mistakes in the options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lerning-rate", "1"], "unknown option --lerning-rate, did you mean --learning-rate?"),
        (["--valdation-file", "x"], "unknown option --valdation-file, did you mean --validation-file?"),
        (["--xyzzy"], "unknown option --xyzzy ("),
        (["stray"], "unexpected argument 'stray'"),
        (["--learning-rate", "fast"], "invalid float value: 'fast'"),
        (["--learning-rate"], "--learning-rate: expected one argument"),
        (["--optim", "best"], "--optim: invalid choice: 'best'"),
        (["--lr-scheduler-type", "best"], "best is not a valid SchedulerType"),
        (["--num-train-epochs", "0"], "--num-train-epochs must be above 0, got 0"),
        (["--gradient-accumulation-steps", "0"], "--gradient-accumulation-steps must be at least 1, got 0"),
        (["--per-device-train-batch-size", "0"], "--per-device-train-batch-size must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--label-smoothing-factor", "2"], "label_smoothing must lie between 0 and 1, got 2"),
        (["--metric-for-best-model", "f2"], "--metric-for-best-model: 'f2' is none of the metrics of this run"),
        (["--resume-from-checkpoint", "x"], "--resume-from-checkpoint: a run that was interrupted"),
        (["--neftune-noise-alpha", "1"], "--neftune-noise-alpha: the models have no token embeddings"),
        (["--model", "bert"], "--model: unknown model 'bert'; choose from joyful, ar-iigcn"),
        (["--preset", "best"], "--preset: unknown preset 'best'; choose from paper, released"),
        (["--config-json", "{"], "--config-json is not valid JSON"),
        (["--config-json", "[1]"], "--config-json must be an object"),
        (["--config-json", '{"graph_num_layer": 2}'], "'graph_num_layer'; did you mean graph_num_layers"),
        (["--config-json", '{"graph_num_layers": "two"}'], "'graph_num_layers' expected int, got str"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_options_is_named(fails, files, options, message):
    assert message in fails(*train_options(files, "out"), *options)
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


def test_a_missing_option_is_named(fails, files):
    assert fails("train", "--output-dir", "out") == "Missing option '--train-file'."
    assert "No such command 'fit'" in fails("fit")


# Mistakes in the checkpoint


def test_a_checkpoint_without_a_part_is_refused_with_its_name(fails, files, checkpoint, tmp_path):
    for part in ("config.json", "processor_config.json", "model.safetensors"):
        folder = tmp_path / f"without {part}"
        folder.mkdir()
        for path in checkpoint.iterdir():
            if path.is_file() and path.name != part:
                (folder / path.name).write_bytes(path.read_bytes())
        for command in (["evaluate"], ["predict", "--output-file", "out.jsonl"]):
            message = fails(command[0], folder, "--data-file", files["test"], *command[1:])
            assert message.startswith(f"{folder}: {part} (")
            assert message.count("missing") == 1
    assert not Path("out.jsonl").exists()


def test_a_checkpoint_that_is_not_there_is_named(fails, files):
    assert (
        fails("evaluate", "./nowhere", "--data-file", files["test"]) == "./nowhere: there is no such checkpoint folder"
    )
