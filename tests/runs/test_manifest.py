"""A checkpoint is whole, or it is none: its manifest tells, and names the file that is not as it was."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from joyful_hf import DialogueError
from joyful_hf.runs.folder import (
    check_resumable,
    checkpoint_to_resume,
    last_checkpoint,
    prepare_output_dir,
    rotate,
)
from joyful_hf.runs.manifest import find_damage, write_manifest

FILES = (
    *("model.safetensors", "step_weights.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"),
    *("config.json", "processor_config.json", "training_args.json", "trainer_state.json"),
)


def make_checkpoint(folder, step, best=None, manifest=True, **arguments):
    """A checkpoint with the files of a run, as small as they can be."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in FILES:
        if name.endswith(".safetensors"):
            save_file({"weight": torch.arange(4.0) + step}, path / name)
        elif name.endswith(".json"):
            (path / name).write_text('{"some": "setting"}')
        else:
            torch.save({"state": torch.ones(4)}, path / name)
    state = {"global_step": step, "best_model_checkpoint": None if best is None else f"/elsewhere/checkpoint-{best}"}
    (path / "trainer_state.json").write_text(json.dumps(state))
    arguments = {"weight_averaging_decay": 0.99, "num_processes": 1} | arguments
    (path / "training_args.json").write_text(json.dumps(arguments))
    if manifest:
        write_manifest(path)
    return path


def cut(file):
    file.write_bytes(file.read_bytes()[:-5])


def empty(file):
    file.write_bytes(b"")


def remove(file):
    file.unlink()


def change(file):
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)


DAMAGES = [cut, empty, remove, change]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_passed_over_and_the_file_named(tmp_path, caplog, name, damage):
    whole, damaged = make_checkpoint(tmp_path, 10), make_checkpoint(tmp_path, 20)
    assert checkpoint_to_resume(tmp_path) == damaged
    damage(damaged / name)
    assert checkpoint_to_resume(tmp_path) == whole
    assert last_checkpoint(tmp_path) == whole
    [line] = {record.getMessage() for record in caplog.records}
    assert f"checkpoint-20 is not used: {name} is " in line
    assert line.endswith("; checkpoint-10 is")
    with pytest.raises(DialogueError, match=f"checkpoint-20: the run cannot go on from it: {name} is "):
        check_resumable(damaged)


def test_without_a_whole_one_nothing_begins_anew_unasked(tmp_path):
    cut(make_checkpoint(tmp_path, 10) / "optimizer.pt")
    remove(make_checkpoint(tmp_path, 20) / "scheduler.pt")
    with pytest.raises(DialogueError, match=r"20: scheduler.pt is missing; checkpoint-10: optimizer.pt is damaged"):
        prepare_output_dir(tmp_path, overwrite=False)
    assert prepare_output_dir(tmp_path, overwrite=True) is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, empty, remove], ids=lambda damage: damage.__name__)
def test_a_checkpoint_of_an_earlier_version_has_all_files_and_they_can_be_read(tmp_path, name, damage):
    old = make_checkpoint(tmp_path, 10, manifest=False)
    assert checkpoint_to_resume(tmp_path) == old
    damage(old / name)
    if (name, damage) in [("config.json", remove), ("training_args.json", remove)]:
        return  # of another trainer, as far as can be told
    assert name in find_damage(old)


def test_each_process_has_its_random_numbers(tmp_path):
    path = make_checkpoint(tmp_path, 10, manifest=False, num_processes=2)
    for index in range(2):
        assert f"rng_state_{index}.pth (the random numbers of process {index}) is missing" in find_damage(path)
        shutil.copyfile(path / "rng_state.pth", path / f"rng_state_{index}.pth")
    assert find_damage(path) is None


def test_the_best_checkpoint_has_to_be_whole_too(tmp_path):
    oldest, best = make_checkpoint(tmp_path, 10), make_checkpoint(tmp_path, 20)
    last = make_checkpoint(tmp_path, 30, best=20)
    assert checkpoint_to_resume(tmp_path) == last
    cut(best / "model.safetensors")
    assert checkpoint_to_resume(tmp_path) == oldest
    assert last_checkpoint(tmp_path) == last, "its own weights are whole"
    with pytest.raises(DialogueError, match=r"of checkpoint-20, the best one so far, model.safetensors is damaged"):
        check_resumable(last)


def test_a_run_that_saves_models_only_cannot_go_on_and_that_is_said(tmp_path):
    path = make_checkpoint(tmp_path, 10, manifest=False, save_only_model=True)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "step_weights.safetensors"):
        remove(path / name)
    write_manifest(path)
    assert last_checkpoint(tmp_path) == path
    with pytest.raises(DialogueError, match=r"optimizer.pt .* is missing, as `save_only_model` leaves it out"):
        checkpoint_to_resume(tmp_path)


def test_a_checkpoint_that_was_not_written_to_its_end_is_named(tmp_path, caplog):
    whole = make_checkpoint(tmp_path, 10)
    (tmp_path / ".unfinished" / "checkpoint-20").mkdir(parents=True)
    assert checkpoint_to_resume(tmp_path) == whole
    [record] = caplog.records
    assert "checkpoint-20 was not written to its end" in record.getMessage()


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, "checkpoint-1", [1, 2, 3, 4, 9]),
        (1, None, [4]),
        (1, "checkpoint-2", [2, 4]),
        (2, "checkpoint-4", [3, 4]),
        (3, "checkpoint-1", [1, 3, 4]),
    ],
)
def test_the_oldest_go_and_the_newest_and_the_best_stay(tmp_path, limit, best, left):
    for step in (1, 2, 3, 4, 9):  # the run has gone back behind the last one, which is damaged
        (tmp_path / f"checkpoint-{step}").mkdir()
    rotate(tmp_path / "checkpoint-4", limit, best)
    assert sorted(int(path.name.removeprefix("checkpoint-")) for path in tmp_path.iterdir()) == left
