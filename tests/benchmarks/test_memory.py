"""The benchmark of memory: its data can be read, its figures are kept, and the growth is per utterance."""

import json

import pytest

from benchmarks import memory as benchmark
from joyful_hf import load_dialogues


def test_figures_are_measured_once_and_their_growth_is_per_utterance(tmp_path, monkeypatch, capsys):
    calls = []

    def run(call, folder):
        data = call[call.index("--train-file" if call[0] == "train" else "--data-file") + 1]
        calls.append((call[0], sum(len(dialogue["utterances"]) for dialogue in load_dialogues(data))))
        return {"own_mib": 100 + len(calls), "peak_mib": 200, "seconds": 1.5}

    monkeypatch.setattr(benchmark, "run", run)
    monkeypatch.setattr(benchmark, "_DIALOGUES_OF_A_SHARD", 3)
    command = ["--utterances", "50", "100", "--folder", str(tmp_path), "--output", str(tmp_path / "memory.json")]
    assert benchmark.main(command) == 0
    assert calls == [(name, utterances) for utterances in (50, 100) for name in benchmark.COMMANDS]
    table = capsys.readouterr().out
    growth = round(3 * 2**20 / 50)
    assert f"| train | 100 | 0 MiB | 104 MiB | {growth} B | 200 MiB | 2 s |" in table

    monkeypatch.setattr(benchmark, "run", None)
    assert benchmark.main([*command, "--table-only"]) == 0
    assert table.endswith(capsys.readouterr().out)


@pytest.mark.slow
def test_every_command_runs(tmp_path):
    output = tmp_path / "memory.json"
    assert benchmark.main(["--utterances", "200", "--folder", str(tmp_path), "--output", str(output)]) == 0
    for figure in json.loads(output.read_text()).values():
        assert 0 < figure["own_mib"] <= figure["peak_mib"]
