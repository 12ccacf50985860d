"""A folder of recordings as dialogues."""

import pytest

from joyful_hf import DialogueError, load_dialogues, load_recordings


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
