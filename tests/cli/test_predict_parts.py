"""`joyful predict` and `joyful extract` over many dialogues: interrupted, and divided between machines."""

import errno
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from joyful_hf import DialogueError, load_dialogues
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.transcripts import prediction_parts
from joyful_hf.transcripts.prediction_parts import PredictionParts, Share
from tests.support.helpers import make_dialogues

LENGTHS = (3, 1, 4, 2, 5, 1, 2)


@pytest.fixture(autouse=True)
def one_dialogue_a_part(monkeypatch):
    monkeypatch.setattr(prediction_parts, "_LEAST_DIALOGUES", 1)


@pytest.fixture
def data(tmp_path):
    write_dialogues(make_dialogues(LENGTHS), tmp_path / "data.jsonl")
    return tmp_path / "data.jsonl"


@pytest.fixture
def whole(joyful, checkpoint, data, tmp_path):
    """The output of a run that nothing interrupted."""
    outputs = [tmp_path / f"whole.{kind}" for kind in ("jsonl", "csv", "parquet")]
    options = [word for output in outputs for word in ("--output-file", output)]
    result = joyful("predict", checkpoint, "--data-file", data, *options)
    assert (result.status, result.err) == (0, "")
    assert not list(tmp_path.glob("*.parts"))
    return {output.suffix: output.read_bytes() for output in outputs}, result.out


def interrupt_after(monkeypatch, parts):
    finish = PredictionParts.finish

    def finish_some(self, part, predictions):
        if len(self.share.parts) - len(self.todo()) == parts:
            raise KeyboardInterrupt
        finish(self, part, predictions)

    monkeypatch.setattr(PredictionParts, "finish", finish_some)


@pytest.mark.parametrize("finished", [1, 6])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    joyful, checkpoint, data, whole, tmp_path, monkeypatch, finished
):
    outputs = [tmp_path / f"found.{kind}" for kind in ("jsonl", "csv", "parquet")]
    options = [word for output in outputs for word in ("--output-file", output)]
    with monkeypatch.context() as patch:
        interrupt_after(patch, finished)
        result = joyful("predict", checkpoint, "--data-file", data, *options)
    assert result.status == 130
    assert result.err == "joyful: interrupted; the same command goes on from the last part\n"
    assert not any(output.exists() for output in outputs), "nothing is there that is not whole"

    predicted = []
    with monkeypatch.context() as patch:
        finish = PredictionParts.finish
        patch.setattr(
            PredictionParts, "finish", lambda self, part, found: [predicted.append(part), finish(self, part, found)]
        )
        result = joyful("predict", checkpoint, "--data-file", data, *options)
    assert result.status == 0
    assert f"going on after {finished} of {len(LENGTHS)} dialogues\n" in result.out
    assert len(predicted) == len(LENGTHS) - finished
    assert {output.suffix: output.read_bytes() for output in outputs} == whole[0]
    assert result.out.split("\n\n")[-2] == whole[1].split("\n\n")[-2], "the summary is of all dialogues"
    assert not list(tmp_path.glob("*.parts"))


def test_parts_of_other_data_are_not_used(joyful, fails, checkpoint, data, tmp_path, monkeypatch):
    command = ["predict", checkpoint, "--data-file", data, "--output-file", tmp_path / "found.jsonl"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        joyful(*command)
    write_dialogues(make_dialogues((2,)), data)
    line = fails(*command)
    assert "found.jsonl.parts: holds the finished parts of an interrupted run, of which data, rows differ" in line
    assert "--overwrite" in line
    assert len(list((tmp_path / "found.jsonl.parts").glob("0*.jsonl"))) == 2, "what is there is not lost"
    assert joyful(*command, "--overwrite").status == 0
    assert len(load_dialogues(tmp_path / "found.jsonl")) == 1


@pytest.mark.parametrize("count", [2, 3, 9])
def test_the_files_of_several_machines_together_are_that_of_one(joyful, checkpoint, data, whole, tmp_path, count):
    for number in range(1, count + 1):
        options = [word for kind in ("jsonl", "parquet") for word in ("--output-file", tmp_path / f"part.{kind}")]
        result = joyful("predict", checkpoint, "--data-file", data, *options, "--shard", f"{number}/{count}")
        assert (result.status, result.err) == (0, "")
    files = sorted(tmp_path.glob("part-*.jsonl"))
    assert [file.name for file in files] == [f"part-{n:05d}-of-{count:05d}.jsonl" for n in range(1, count + 1)]
    assert b"".join(file.read_bytes() for file in files) == whole[0][".jsonl"]
    (tmp_path / "whole.parquet").write_bytes(whole[0][".parquet"])
    rows = [row for file in sorted(tmp_path.glob("part-*.parquet")) for row in pq.read_table(file).to_pylist()]
    assert rows == pq.read_table(tmp_path / "whole.parquet").to_pylist()
    read = load_dialogues(tmp_path / "part-*.jsonl")
    assert [row["dialogue_id"] for row in read] == [json.loads(line)["dialogue_id"] for line in data.open()]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_features_of_several_machines_together_are_those_of_one(joyful, tmp_path, kind):
    dialogues = [
        {
            "dialogue_id": f"d{number}",
            "utterances": [{"speaker": "A", "text": f"word {number} {index}"} for index in range(2)],
        }
        for number in range(5)
    ]
    write_dialogues(dialogues, tmp_path / "data.jsonl")
    command = ["extract", "--data-file", tmp_path / "data.jsonl", "--text-extractor", "hashing"]
    assert joyful(*command, "--output-file", tmp_path / f"whole.{kind}").status == 0
    for number in range(1, 8):
        output = ["--output-file", tmp_path / f"part.{kind}", "--shard", f"{number}/7"]
        assert joyful(*command, *output).status == 0
    together = load_dialogues(tmp_path / f"part-*.{kind}")
    assert list(together) == list(load_dialogues(tmp_path / f"whole.{kind}"))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_shard_that_is_none_is_refused(fails, checkpoint, data, tmp_path, shard):
    line = fails("predict", checkpoint, "--data-file", data, "--output-file", tmp_path / "o.jsonl", "--shard", shard)
    assert f"--shard: {shard!r} is not of the form 2/8" in line


def test_a_disk_that_cannot_be_written_is_one_line(monkeypatch, tmp_path):
    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    parts = PredictionParts(tmp_path / "found.jsonl", Share(3), {})
    with pytest.raises(DialogueError, match=r"found\.jsonl\.parts\S*: cannot be written \(Read-only file system\)"):
        parts.prepare(overwrite=False)


def test_subtitles_of_several_dialogues_are_refused_before_the_work(fails, data, tmp_path):
    line = fails("predict", "no-checkpoint", "--data-file", data, "--output-file", tmp_path / "found.srt")
    assert "SRT holds one recording, and these are 7 dialogues" in line


@pytest.mark.parametrize("num_dialogues", [0, 1, 15, 16, 17, 1000, 70_000, 1_000_000])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_every_dialogue_belongs_to_one_machine_in_whole_parts(monkeypatch, num_dialogues, count):
    monkeypatch.setattr(prediction_parts, "_LEAST_DIALOGUES", 16)
    shares = [Share(num_dialogues, number, count) for number in range(1, count + 1)]
    ends = [0, *(share.rows.stop for share in shares)]
    assert [share.rows.start for share in shares] == ends[:-1]
    assert ends[-1] == num_dialogues
    parts = [part for share in shares for part in share.parts]
    assert parts == Share(num_dialogues).parts
    assert max(map(len, parts), default=0) <= 1024
