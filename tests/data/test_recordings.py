"""A folder of recordings as dialogues."""

import codecs

import pytest

from joyful_hf import DialogueError, load_dialogues, load_recordings
from joyful_hf.data.recordings import AUDIO_SUFFIXES, VIDEO_SUFFIXES


@pytest.fixture
def make(tmp_path):
    """Makes files, empty or with a text, and gives the folder."""

    def make_files(*names: str, **texts: str):
        folder = tmp_path / "calls"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts.get(name.replace(".", "_").replace("/", "_"), ""), encoding="utf-8")
        return folder

    return make_files


def test_each_clip_is_an_utterance_in_natural_order(make):
    folder = make("10_Ross.wav", "2_Rachel.mp4", "1_Ross.flac", "readme.md", "notes.txt")
    (dialogue,) = load_recordings(folder)
    assert dialogue["dialogue_id"] == "calls"
    assert [(one["speaker"], one["audio"], one["video"]) for one in dialogue["utterances"]] == [
        ("Ross", str(folder / "1_Ross.flac"), None),
        ("Rachel", None, str(folder / "2_Rachel.mp4")),
        ("Ross", str(folder / "10_Ross.wav"), None),
    ]


def test_a_text_beside_a_clip_is_its_text(make):
    folder = make("01_Zoë.wav", "01_Zoë.txt", "02_Zoë.wav", **{"01_Zoë_txt": " Déjà vu.\n"})
    assert [one["text"] for one in load_recordings(folder)[0]["utterances"]] == ["Déjà vu.", None]


def test_other_names_are_one_speaker_s(make):
    folder = make("hello.wav", "Ross_1.wav", "clip 2.wav")
    assert {one["speaker"] for one in load_recordings(folder)[0]["utterances"]} == {"speaker"}


def test_audio_and_video_of_one_name_are_one_utterance(make):
    folder = make("1.wav", "1.mp4")
    (utterance,) = load_recordings(folder)[0]["utterances"]
    assert (utterance["audio"], utterance["video"]) == (str(folder / "1.wav"), str(folder / "1.mp4"))


def test_each_folder_is_a_dialogue(make):
    folder = make("a/10/1.wav", "a/2/1.wav", "a/2/2.wav", "0.wav", ".hidden/1.wav", "a/._1.wav")
    assert [(one["dialogue_id"], len(one["utterances"])) for one in load_recordings(folder)] == [
        ("calls", 1),
        ("a/2", 2),
        ("a/10", 1),
    ]


def test_load_dialogues_takes_such_a_folder_unless_it_has_a_file_of_dialogues(make):
    folder = make("1.wav")
    assert load_dialogues(folder).to_list() == load_recordings(folder).to_list()
    (folder / "train.jsonl").write_text('{"utterances": [{"speaker": "A", "audio": "1.wav"}]}\n')
    assert load_dialogues(folder)[0]["utterances"] == [{"speaker": "A", "audio": str(folder / "1.wav")}]


def test_mistakes(make):
    with pytest.raises(DialogueError, match="no audio and no video file in this folder"):
        load_recordings(make("notes.txt"))
    folder = make("1.wav", "1.mp3")
    with pytest.raises(DialogueError, match=r"1\.wav: 1\.mp3 has the same name; one utterance has one audio file"):
        load_recordings(folder)
    (folder / "1.mp3").unlink()
    (folder / "1.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(DialogueError, match=r"1\.txt: the text is not UTF-8"):
        load_recordings(folder)


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES | VIDEO_SUFFIXES))
def test_every_kind_of_clip_is_read_in_either_case(suffix, make):
    folder = make(f"1_Ann{suffix}", f"2_Bob{suffix.upper()}")
    (dialogue,) = load_dialogues(folder)
    assert [one["speaker"] for one in dialogue["utterances"]] == ["Ann", "Bob"]
    assert all(one["audio" if suffix in AUDIO_SUFFIXES else "video"] for one in dialogue["utterances"])


def test_the_kinds_that_phones_and_recorders_write_are_among_them():
    named = {".amr", ".aiff", ".3gp", ".au", ".caf", ".mka", ".wma", ".m4v", ".mpg", ".flv", ".ts", ".wmv"}
    assert named <= AUDIO_SUFFIXES | VIDEO_SUFFIXES
    assert not AUDIO_SUFFIXES & VIDEO_SUFFIXES


def test_a_text_may_have_an_upper_case_suffix(make):
    folder = make("1_Ann.WAV", "1_Ann.TXT", "2_Bob.WAV", "2_Bob.txt", **{"1_Ann_TXT": "hello", "2_Bob_txt": "hi"})
    assert [one["text"] for one in load_recordings(folder)[0]["utterances"]] == ["hello", "hi"]


@pytest.mark.parametrize("written", [codecs.BOM_UTF8 + b"so\r\nhappy\r\n", "so\r\nhappy".encode("utf-16")])
def test_the_mark_that_windows_writes_is_no_part_of_a_text(written, make):
    folder = make("1_Ann.wav")
    (folder / "1_Ann.txt").write_bytes(written)
    assert load_recordings(folder)[0]["utterances"][0]["text"] == "so\nhappy"


def test_whatever_is_not_read_is_counted_and_named(make, caplog):
    folder = make("a/1_Ann.wav", "a/1_Ann.txt", "a/2_Bob.txt", "notes.docx", ".DS_Store")
    load_recordings(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: 2 files are no clip and not read: a/2_Bob.txt, notes.docx"
    ]
    caplog.clear()
    load_recordings(folder / "a")
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.endswith("1 file is no clip and not read: 2_Bob.txt")
