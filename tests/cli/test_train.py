"""`joyful train`: by the use that the README shows, and by each mistake that can be made in its options."""

import json
import os
import signal
from pathlib import Path

import pytest
from datasets import Dataset

from joyful_hf import JoyfulForEmotionRecognition, JoyfulProcessor, JoyfulTrainer
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.families import FAMILIES
from joyful_hf.io.signals import Stopped
from tests.support.command_line import SCORES, bytes_of, read_jsonl, train_options
from tests.support.helpers import LABELS, make_dialogue
from tests.support.training import TRAIN, VALIDATION, InterruptAt, Interruption


@pytest.mark.parametrize("given", [{}, {"learning_rate": 1e-3}], ids=["as published", "changed"])
def test_a_preset_brings_its_recipe_and_every_departure_is_told(joyful, files, tmp_path, given):
    settings = {"projection_size": 8, "basis_size": 4, "num_hidden_layers": 1, "intermediate_size": 24}
    options = given | {"num_train_epochs": 1, "preset": "paper", "config_json": json.dumps(settings)}
    result = joyful(*train_options(files, tmp_path / "out", **options))
    assert result.status == 0
    arguments = json.loads((tmp_path / "out" / "training_args.json").read_text())
    recipe = FAMILIES["joyful"].training_arguments("paper")
    assert {name: arguments[name] for name in recipe} == recipe | {"num_train_epochs": 1} | given
    assert json.loads((tmp_path / "out" / "run_summary.json").read_text())["preset"] == "paper"
    assert json.loads((tmp_path / "out" / "config.json").read_text())["class_weights"] is None
    card = (tmp_path / "out" / "README.md").read_text()
    for text in (result.out, card.replace("\\_", "_")):
        assert "features are standardized" in text
        assert "fusion loss is a mean over the dimensions, where the paper prints sums" in text
        assert "num_train_epochs 1.0 (50 there)" in text
        assert ("learning_rate 0.001 (3e-05 there)" in text) == bool(given)
    rate = given.get("learning_rate", 3e-05)
    (taken,) = [line for line in result.out.splitlines() if line.startswith("recipe:")]
    assert f"learning_rate {rate}, " in taken
    assert "num_train_epochs 1.0, " in taken
    assert taken.endswith("(JOYFUL, paper)")


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
    assert lines[0] == "running on cpu, 1 process"
    assert lines[1].startswith("training:   8 dialogues")
    assert lines[2].startswith("validation: 1 dialogue held out of 9 (seed 42)")
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
    assert "held out of 9 (seed 7)" in result.out


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


def test_a_finished_run_is_refused_and_left_as_it_was(fails, files, checkpoint):
    before = bytes_of(checkpoint)
    message = fails(*train_options(files, checkpoint))
    assert message.startswith(f"--output-dir: {checkpoint} holds a finished run; ")
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


@pytest.mark.parametrize("overwrite", [False, True])
def test_sigterm_says_where_the_same_command_goes_on(joyful, files, monkeypatch, overwrite):
    def stop(*args, **kwargs):
        raise Stopped(signal.SIGTERM, Path("out", "checkpoint-4"))

    monkeypatch.setattr("joyful_hf.training.trainer.JoyfulTrainer.train", stop)
    result = joyful(*train_options(files, "out"), *(["--overwrite-output-dir"] if overwrite else []))
    assert result.status == 143
    command = f"the same command{' without --overwrite-output-dir' if overwrite else ''}"
    assert result.err == f"joyful: stopped by SIGTERM; {command} goes on from {Path('out', 'checkpoint-4')}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_step_ends_the_command_too(joyful, files, monkeypatch, number):
    train = JoyfulTrainer.train

    def train_and_ask(self, *args, **kwargs):
        outcome = train(self, *args, **kwargs)
        os.kill(os.getpid(), number)
        return outcome

    monkeypatch.setattr(JoyfulTrainer, "train", train_and_ask)
    result = joyful(*train_options(files, "out"))
    assert result.status == 128 + number
    assert result.err.startswith("joyful: ")
    assert result.err.endswith("; the same command goes on from the last checkpoint\n")
    assert not Path("out", "train_results.json").exists()


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
        (["--neftune-noise-alpha", "1"], "--neftune-noise-alpha adds noise to the token embeddings"),
        (["--model", "bert"], "--model: unknown model 'bert'; choose from joyful, ar-iigcn"),
        (["--preset", "best"], "--preset: unknown preset 'best' of joyful; choose from paper, released"),
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


# Starting from a trained model


def test_a_run_starts_from_a_checkpoint_with_other_labels_too(joyful, files, checkpoint):
    started = joyful(
        *without_settings(train_options(files, "same", learning_rate=0.0)), "--from-checkpoint", checkpoint
    )
    assert (started.status, started.err) == (0, "")
    assert f", from {checkpoint}" in started.out
    before = JoyfulForEmotionRecognition.from_pretrained(checkpoint).state_dict()
    after = JoyfulForEmotionRecognition.from_pretrained("same").state_dict()
    assert all(before[name].equal(after[name]) for name in before if "running" not in name and "num_b" not in name)

    write_dialogues(
        [make_dialogue(n, seed=n, label=lambda rng: rng.choice(["calm", "awe"])) for n in (5, 4, 6)], "own.jsonl"
    )
    arguments = without_settings(train_options({"train": "own.jsonl"}, "own"))
    assert joyful(*arguments, "--from-checkpoint", checkpoint).status == 0
    assert set(JoyfulForEmotionRecognition.from_pretrained("own").config.label2id) == {"awe", "calm"}


def without_settings(words):
    return [word for before, word in zip([None, *words], words, strict=False) if "--config-json" not in (before, word)]


@pytest.mark.parametrize(
    "option",
    [["--model", "joyful"], ["--preset", "paper"], ["--text-encoder", "x"], ["--config-json", '{"window_past": 3}']],
    ids=lambda words: words[0],
)
def test_what_a_checkpoint_settles_cannot_be_given_beside_it(fails, files, checkpoint, option):
    message = fails(
        "train", "--train-file", files["train"], "--output-dir", "out", "--from-checkpoint", checkpoint, *option
    )
    assert message == f"{option[0]} and --from-checkpoint exclude each other: the checkpoint settles it"


def test_a_checkpoint_to_start_from_that_is_not_there_is_named(fails, files):
    asked = ["--from-checkpoint", "./nowhere"]
    message = fails("train", "--train-file", files["train"], "--output-dir", "out", *asked)
    assert message == "./nowhere: there is no such checkpoint folder"


# What a family cannot honour


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model", "foal-net", "--text-extractor", "hashing"],
            "--text-extractor: the processor of foal-net reads no text",
        ),
        (["--model", "foal-net", "--text-encoder", "x"], "--text-encoder: foal_net has no encoder of text"),
        (["--model", "gban", "--audio-encoder", "x"], "--audio-encoder: gban has no encoder of audio"),
        (
            ["--model", "ar-iigcn", "--preset", "released"],
            "--preset: unknown preset 'released' of ar-iigcn; choose from paper",
        ),
        (
            ["--model", "joyfull"],
            "--model: unknown model 'joyfull'; choose from joyful, ar-iigcn, foal-net, ",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_that_the_family_cannot_honour_is_refused_before_anything_is_read(fails, options, message):
    assert message in fails("train", "--train-file", "nowhere.jsonl", "--output-dir", "out", *options)


def clips(**more):
    sound = {"array": [0.1] * 800, "sampling_rate": 16000}
    utterances = [{"speaker": "A", "label": label, "audio": sound, **more} for label in ("joy", "anger", "joy")]
    return [{"dialogue_id": f"d{index}", "utterances": utterances} for index in range(4)]


def test_foal_net_does_not_begin_with_a_large_encoder_of_random_weights(fails, tmp_path):
    write_dialogues(clips(), tmp_path / "train.jsonl")
    message = fails("train", "--train-file", "train.jsonl", "--output-dir", "out", "--model", "foal-net")
    assert message.startswith("--audio-encoder: the data have recordings and no vectors")
    assert "random weights" in message
    assert "--config-json" in message
    assert not list(tmp_path.glob("out/*"))


def test_video_that_is_not_read_is_told(joyful, tmp_path):
    write_dialogues(clips(video="clip.mp4"), tmp_path / "train.jsonl")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    small |= {"conv_dim": [8], "conv_kernel": [10], "conv_stride": [5], "num_feat_extract_layers": 1}
    small |= {"model_type": "wavlm", "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    settings = {"audio_config": small, "projection_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = ["train", "--train-file", "train.jsonl", "--output-dir", "out", "--model", "foal-net"]
    result = joyful(*words, "--num-train-epochs", 1, "--config-json", json.dumps(settings))
    assert result.status == 0, result.err
    assert "note:       the video of 9 utterances of the training data is not read" in result.out
