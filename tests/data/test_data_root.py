"""`data_root`: records of strangers name recordings of a folder of theirs, or are refused."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from joyful_hf import DialogueError, load_dialogues
from joyful_hf.cli.app import app
from joyful_hf.transcripts.folders import read_folder
from tests.support.media import tone, wav_bytes

WAV = wav_bytes(tone(0.1))


@pytest.fixture
def theirs(tmp_path):
    """The folder of a stranger, beside a file that is none of their business."""
    folder = tmp_path / "theirs"
    (folder / "clips").mkdir(parents=True)
    (folder / "clips" / "a.wav").write_bytes(WAV)
    (tmp_path / "secret.wav").write_bytes(WAV)
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "up").symlink_to(tmp_path)
    return folder


def write(folder, medium, key="audio"):
    file = folder / "train.jsonl"
    lines = [{"dialogue_id": name, "utterances": [{"speaker": "A", "text": "Hi."}]} for name in ("d1", "d2")]
    lines[1]["utterances"].append({"speaker": "B", key: medium})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


OUTSIDE = {
    "absolute": "{root}/secret.wav",
    "absolute and not there": "/no/such/file.wav",
    "up": "../secret.wav",
    "up with backslashes": "..\\secret.wav",
    "up by way of a folder": "clips/../../secret.wav",
    "a link": "link.wav",
    "below a link": "up/secret.wav",
}


@pytest.mark.parametrize("key", ["audio", "video"])
@pytest.mark.parametrize("form", ["path", "record"])
@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
def test_a_recording_outside_of_the_folder_is_refused(path, form, key, theirs, tmp_path, monkeypatch):
    monkeypatch.chdir(theirs)
    path = path.format(root=tmp_path)
    file = write(theirs, path if form == "path" else {"path": path, "bytes": None}, key)
    with pytest.raises(DialogueError, match=rf"'d2', utterances\[1\]: '{key}' names a file outside of `data_root`"):
        load_dialogues(file, data_root=theirs)


@pytest.mark.parametrize("path", ["clips/a.wav", "clips\\a.wav", "not there.wav", "{root}/theirs/clips/a.wav"])
def test_recordings_in_the_folder_are_read(path, theirs, tmp_path):
    file = write(theirs, path.format(root=tmp_path))
    assert load_dialogues(file, data_root=theirs)[1]["utterances"][1]["audio"]


def test_bytes_have_a_name_that_is_not_opened(theirs, tmp_path):
    file = theirs / "train.parquet"
    utterance = {"speaker": "A", "audio": {"bytes": WAV, "path": str(tmp_path / "secret.wav")}}
    pq.write_table(pa.table({"utterances": [[utterance]]}), file)
    assert len(load_dialogues(file, data_root=theirs)) == 1


def test_a_flat_table_is_held_to_it_too(theirs, tmp_path):
    file = theirs / "train.csv"
    file.write_text(f"dialogue_id,speaker,text,audio\n1,A,Hi,\n1,B,No,{tmp_path / 'secret.wav'}\n")
    with pytest.raises(DialogueError, match="outside of `data_root`"):
        load_dialogues(file, data_root=theirs)


def test_a_folder_that_is_not_there_is_named(theirs, tmp_path):
    with pytest.raises(DialogueError, match=r"`data_root`: .* is no folder"):
        load_dialogues(write(theirs, "a.wav"), data_root=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["02_Bob.wav", "01_Ann.txt"])
def test_no_link_leads_out_of_a_folder_of_clips(name, theirs, tmp_path):
    clips = theirs / "clips"
    (clips / "a.wav").rename(clips / "01_Ann.wav")
    (clips / name).symlink_to(tmp_path / "secret.wav")
    with pytest.raises(DialogueError, match=rf"{name}: leads out of `data_root`"):
        load_dialogues(clips, data_root=theirs)


def test_no_transcript_in_a_folder_names_a_file_outside(theirs, tmp_path):
    clips = theirs / "clips"
    (clips / "a.csv").write_text(f"start,end,speaker,text,video\n0,0.05,A,Hi,{tmp_path / 'secret.csv'}\n")
    assert read_folder(clips)[0]
    with pytest.raises(DialogueError, match="'video' names a file outside of `data_root`"):
        read_folder(clips, theirs)


COMMANDS = {
    "predict": ("predict", "nowhere", "--output-file", "out.jsonl", "--data-file"),
    "extract": ("extract", "--audio-extractor", "logmel", "--output-file", "out.jsonl", "--data-file"),
    "evaluate": ("evaluate", "nowhere", "--data-file"),
    "plot": ("plot", "nowhere", "--output-dir", "out", "--data-file"),
    "train": ("train", "--output-dir", "out", "--train-file"),
    "compare": ("compare", "majority", "--output-dir", "out", "--folds", "2", "--train-file"),
}


def test_no_command_that_reads_records_is_missing_here():
    commands = get_command(app).commands.values()
    reading = {
        command.name
        for command in commands
        if any(parameter.name in ("data_file", "train_file") for parameter in command.params)
    }
    assert reading == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_command_that_reads_records_can_be_held_to_a_folder(command, theirs, fails):
    message = fails(*command, write(theirs, "../secret.wav"), "--data-root", theirs)
    assert "'audio' names a file outside of --data-root" in message


@pytest.mark.parametrize("medium", ["/etc/hostname", {"path": "/etc/hostname", "bytes": None}], ids=["path", "record"])
def test_a_data_set_of_the_hub_never_names_a_file_of_this_machine(medium, hub, tmp_path):
    from huggingface_hub import HfApi

    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"utterances": [[{"speaker": "A", "text": "Hi.", "audio": medium}]]}), file)
    HfApi().create_repo("ada/records", repo_type="dataset")
    HfApi().upload_file(
        path_or_fileobj=file, path_in_repo="data/train.parquet", repo_id="ada/records", repo_type="dataset"
    )
    with pytest.raises(DialogueError, match="'audio' names a file of this machine"):
        load_dialogues("ada/records")
