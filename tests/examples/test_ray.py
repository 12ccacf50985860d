"""The examples for Ray predict and extract what a single process does, where Ray is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joyful_hf import JoyfulProcessor, extract_features, load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import FAMILY_CASES, make_dialogues

pytest.importorskip("ray", reason='needs Ray: pip install "ray[data]"')
EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent


def run(script, *arguments):
    """Run a script on one worker of a cluster of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    command = [sys.executable, EXAMPLES / script, *arguments, "--workers", "1", "--batch-size", "2"]
    run = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def write_parts(dialogues, folder):
    """Write dialogues into two Parquet files."""
    for number, part in enumerate((dialogues[:3], dialogues[3:])):
        write_dialogues(part, folder / "part.jsonl")
        load_dialogues(folder / "part.jsonl").to_parquet(folder / f"data-{number}.parquet")
    return folder / "data-*.parquet"


@pytest.mark.slow
def test_ray_predicts_what_one_process_does(tmp_path):
    dialogues = make_dialogues((3, 1, 4, 2, 5))
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    run("predict_with_ray.py", tmp_path / "model", write_parts(dialogues, tmp_path), tmp_path / "found")
    expected = model.predict(dialogues, processor)
    found = list(load_dialogues(tmp_path / "found" / "*.parquet"))
    assert [dialogue["dialogue_id"] for dialogue in found] == [dialogue["dialogue_id"] for dialogue in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours["utterances"], theirs["utterances"], strict=True):
            assert one["label"] == other["label"]
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)


@pytest.mark.slow
def test_ray_extracts_what_one_process_does(tmp_path):
    dialogues = [
        {"dialogue_id": f"d{number}", "utterances": [{"speaker": "A", "text": f"word {number}"}] * 2}
        for number in range(5)
    ]
    data = write_parts(dialogues, tmp_path)
    run("extract_with_ray.py", data, tmp_path / "features", "--text-extractor", "hashing")
    expected = extract_features(load_dialogues(data), JoyfulProcessor(text_extractor="hashing"), verbose=False)
    assert list(load_dialogues(tmp_path / "features" / "*.parquet")) == list(expected)


def test_an_actor_turns_a_table_of_dialogues_into_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from extract_with_ray import Extractor
    from predict_with_ray import Predictor

    dialogues = make_dialogues((3, 1, 4, 2))
    write_parts(dialogues, tmp_path)
    for part in FAMILY_CASES[0].make(dialogues):
        part.save_pretrained(tmp_path / "model")
    table = pq.read_table(tmp_path / "data-0.parquet")
    found = Predictor(str(tmp_path / "model"), "cpu")(table).to_pylist()
    assert [[one["speaker"] for one in dialogue["utterances"]] for dialogue in found] == [
        [one["speaker"] for one in dialogue["utterances"]] for dialogue in dialogues[:3]
    ]
    assert all(one["label"] in one["scores"] for dialogue in found for one in dialogue["utterances"])
    texts = pa.Table.from_pylist([{"dialogue_id": "d", "utterances": [{"speaker": "A", "text": "hello"}]}])
    (features,) = Extractor({"text_extractor": "hashing"}, "cpu")(texts).to_pylist()
    assert len(features["utterances"][0]["text_features"]) == 512
