"""The page of examples/space without a browser: what visitors give is read as it is meant, and nothing else is."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from joyful_hf import DialogueError, load_recordings, load_transcript
from joyful_hf.inference.explanation import Explanation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # of pandas, which it calls


def an_srt(path: Path, text: str = "1\n00:00:00,500 --> 00:00:01,000\nAnna: Hello.\n") -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def answers_of(space, checkpoints, read, *given):
    """All answers of the page to an input: of each the state, the message, the results and the view."""
    name = next(iter(checkpoints.by_name))
    return [
        SimpleNamespace(state=state, message=message, results=results["visible"], view=view["value"], files=files)
        for state, message, results, view, *files in space.app.answer(checkpoints, read, name, *given)
    ]


@pytest.fixture
def checkpoints(space, demo):
    return space.recognising.Checkpoints.of([demo.checkpoint])


# What is given.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no dialogue yet"),
        ("  \n", "there is no dialogue yet"),
        ("Anna: Hi.\n\nHello", "line 3: 'Hello' is not of the form"),
        ("Anna:", "line 1: 'Anna:' is not"),
        (": Hi.", "line 1: ': Hi.' is not"),
        ('{"utterances": [', "begins like JSON and is not valid: Expecting value: line 1"),
        ('{"utterances": []}', "the dialogue is empty"),
        ("[]", "the list is empty"),
        ('{"speaker": "Anna", "text": "Hi."}', "got utterances where dialogues are expected"),
        ('{"dialogue_id": "d1", "utterances": [{"text": "Hi."}]}', r"dialogue 'd1', utterances\[0\]: no speaker"),
        ('{"utterances": [{"speaker": "A"}]}\n{"utterances": [{"speaker": "A"}]}', "2 dialogues; paste one at a time"),
        pytest.param("[" * 100_000, "begins like JSON and is not valid", id="deeply nested"),
    ],
)
def test_what_is_no_dialogue_is_refused(space, text, message):
    with pytest.raises(DialogueError, match=message):
        space.reading.read_text(text)


@pytest.mark.parametrize("medium", ['"/etc/passwd"', '{"path": "/etc/passwd"}'])
@pytest.mark.parametrize("key", ["audio", "video"])
def test_a_visitor_cannot_name_files_of_the_server(space, key, medium):
    with pytest.raises(DialogueError, match=f"'{key}' names a file, which must be uploaded instead of named"):
        space.reading.read_text(f'{{"utterances": [{{"speaker": "A", "{key}": {medium}}}]}}')


def test_a_table_beside_a_recording_cannot_name_files_of_the_server_either(space, demo, tmp_path):
    table = an_srt(tmp_path / "cues.csv", "start,end,speaker,text,video\n0.5,1,Anna,Hi.,/etc/passwd\n")
    for recording in (None, str(demo.recording)):
        with pytest.raises(DialogueError, match="'video' names a file, which must be uploaded"):
            space.reading.read_recording(recording, table, None, None)


def test_a_visitor_cannot_keep_the_machine_busy_for_hours(space, monkeypatch):
    with pytest.raises(DialogueError, match=r"5,001 utterances, and this page reads at most 5,000 at a time"):
        space.reading.read_text("Anna: Hello.\n" * 5001)
    with pytest.raises(DialogueError, match=r"5,001 utterances, and this page reads at most 5,000 at a time"):
        space.reading.read_clips([f"{number}.wav" for number in range(5001)])
    monkeypatch.setattr(space.reading, "MOST_CHARACTERS", 10)
    with pytest.raises(DialogueError, match="this page reads at most 10 characters"):
        space.reading.read_text("Anna: Hello.")


@pytest.mark.parametrize("rate", [1, 1999, 2**31 - 1])
def test_a_sampling_rate_that_no_recording_has_is_refused(space, checkpoints, rate):
    sound = {"array": [0.1] * 20_000, "sampling_rate": rate}
    text = json.dumps({"utterances": [{"speaker": "Anna", "audio": sound}]})
    *_, shown = space.app.answer(checkpoints, space.reading.read_text, next(iter(checkpoints.by_name)), text)
    assert f"a sampling rate of {rate} Hz" in shown[1]


def test_a_line_is_an_utterance(space):
    dialogue, notes = space.reading.read_text("Anna: Hi.\n\n Ben Lee :It is 10:30.\n")
    assert notes == []
    assert dialogue["utterances"] == [
        {"speaker": "Anna", "text": "Hi."},
        {"speaker": "Ben Lee", "text": "It is 10:30."},
    ]


def test_a_record_may_be_json_or_a_line_of_jsonl(space):
    record = {"dialogue_id": "d1", "utterances": [{"speaker": "Anna", "text": "Hi."}]}
    for text in (json.dumps(record), json.dumps(record, indent=2), json.dumps([record]), json.dumps(record) + "\n\n"):
        assert space.reading.read_text(text) == (record, [])


def test_a_recording_is_read_with_its_transcript(space, demo):
    dialogue, notes = space.reading.read_recording(str(demo.recording), str(demo.transcript), "", None)
    assert dialogue == load_transcript(demo.transcript, demo.recording)[0]
    assert {utterance["audio"] for utterance in dialogue["utterances"]} == {str(demo.recording)}
    assert f"{len(demo.true)} cues" in notes[0]


def test_who_speaks_may_come_from_channels_or_from_another_file(space, tmp_path, demo):
    anonymous = an_srt(tmp_path / "cues.srt", "1\n00:00:00,500 --> 00:00:01,000\nHello.\n")
    turns = an_srt(tmp_path / "turns.rttm", "SPEAKER cues 1 0.4 0.7 <NA> <NA> Zoe <NA> <NA>\n")
    dialogue, _ = space.reading.read_recording(str(demo.recording), anonymous, None, turns)
    assert dialogue["utterances"][0]["speaker"] == "Zoe"
    dialogue, _ = space.reading.read_recording(str(demo.recording), an_srt(tmp_path / "named.srt"), " Anna ", None)
    assert dialogue["utterances"][0]["channel"] == 0
    with pytest.raises(DialogueError, match="'Ann', who does not speak here; did you mean Anna"):
        space.reading.read_recording(str(demo.recording), an_srt(tmp_path / "named.srt"), "Ann", None)


def test_a_recording_needs_a_transcript_of_one_conversation_that_is_still_there(space, demo, tmp_path):
    two = an_srt(tmp_path / "two.csv", "dialogue_id,start,end,speaker,text\na,0,1,A,Hi.\nb,1,2,B,Ho.\n")
    for transcript, message in (
        (None, "there is no transcript yet: upload the file that says who said what when"),
        (two, "two.csv: holds 2 dialogues; give one at a time"),
        (str(tmp_path / "gone.srt"), "^gone.srt was uploaded too long ago and has been deleted"),
    ):
        with pytest.raises(DialogueError, match=message):
            space.reading.read_recording(str(demo.recording), transcript, None, None)


def test_clips_are_read_in_spoken_order(space, demo, tmp_path):
    (tmp_path / "notes.txt").write_text("of nothing")
    dialogue, notes = space.reading.read_clips([*reversed(demo.clips), str(tmp_path / "notes.txt")])
    expected = load_recordings(demo.folder)[0]
    assert dialogue["utterances"] == expected["utterances"], "the clips are not those that were uploaded"
    assert notes == ["notes.txt is neither a clip nor the text of one, and was left out"]


def test_clips_that_make_no_dialogue_are_refused(space, demo, tmp_path):
    clip = Path(demo.clips[0])
    (tmp_path / "01_A.wav").write_bytes(b"")
    (tmp_path / "01_A.flac").write_bytes(b"")
    for clips, message in (
        ([], "there are no clips yet"),
        ([str(clip), shutil.copy(clip, tmp_path)], f"two files named {clip.name}"),
        ([str(tmp_path / "01_A.wav"), str(tmp_path / "01_A.flac")], "^01_A.*has the same name"),
        (
            [str(tmp_path / "01_Gone.wav")],
            "01_Gone.wav was uploaded too long ago and has been deleted; upload it again",
        ),
        ([one for one in demo.clips if one.endswith(".txt")], "^clips: no audio and no video file"),
    ):
        with pytest.raises(DialogueError, match=message):
            space.reading.read_clips(clips)


def test_a_clip_that_is_added_is_the_next_utterance(space, demo):
    sound = next(one for one in demo.clips if one.endswith(".wav"))
    added = space.app.add_clip(["/somewhere/09_Ben.wav"], "Zoë/..", " Hi. ", sound, None)
    files, text, audio, video, state, message, results, *_ = next(added)
    assert [Path(file).name for file in files] == ["09_Ben.wav", "10_Zoë_.wav", "10_Zoë_.txt"]
    assert Path(files[1]).read_bytes() == Path(sound).read_bytes()
    assert Path(files[2]).read_text(encoding="utf-8") == "Hi."
    assert (text, audio, video, state) == ("", None, None, None)
    assert "utterance 10 was added" in message
    assert results == space.app.gr.update(visible=False), "the old results are not of these clips"
    assert list(added) == []
    assert not Path(files[1]).exists(), "a recording is left behind"


@pytest.mark.parametrize(
    ("files", "speaker", "sound", "message"),
    [
        (None, " ", "a.wav", "who speaks?"),
        (None, "Anna", None, "there is no recording yet"),
        (None, "Anna", "a.pdf", "a sound or a video file, but this is .pdf"),
        (["/somewhere/clip.wav"], "Anna", "a.wav", "name the uploaded files 01_Anna.wav"),
    ],
)
def test_a_clip_that_cannot_be_added_changes_nothing(space, files, speaker, sound, message):
    ((*kept, _, said, results),) = (given[:7] for given in space.app.add_clip(files, speaker, "Hi.", sound, None))
    assert message in said
    assert results == space.app.gr.update(visible=False), "an old result stays beside a new error"
    assert kept == [space.app.gr.skip()] * 4


# Which model.


def test_visitors_choose_from_the_owners_list_and_learn_nothing_of_any_folder(space, demo):
    checkpoints = space.recognising.Checkpoints.of([demo.checkpoint, "user/model"])
    name = "/".join(Path(demo.checkpoint).parts[-2:])
    assert checkpoints.find(name) == demo.checkpoint
    assert checkpoints.find(" user/model ") == "user/model"
    for other in ("/etc", demo.checkpoint, "user/other", "", None):
        with pytest.raises(DialogueError, match="this page has no model") as refused:
            checkpoints.find(other)
    assert str(Path(demo.checkpoint).parent) not in str(refused.value)
    config = json.dumps(space.app.make_page(checkpoints).get_config_file(), default=str)
    assert name in config
    assert str(Path(demo.checkpoint).parent) not in config, "the page tells where the checkpoint lies"


def test_folders_of_the_same_name_can_be_told_apart(space, tmp_path):
    folders = [tmp_path / place / "run" / "model" for place in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
    checkpoints = space.recognising.Checkpoints.of([str(folder) for folder in folders])
    assert list(checkpoints.by_name) == ["run/model (1)", "run/model (2)"]


def test_whoever_starts_the_page_for_themselves_may_name_any_checkpoint(space, tmp_path):
    checkpoints = space.recognising.Checkpoints.of(["user/model"], is_free=True)
    assert checkpoints.find(str(tmp_path)) == str(tmp_path)
    with pytest.raises(DialogueError, match="which checkpoint"):
        checkpoints.find("")


@pytest.mark.parametrize(
    ("variable", "value"), [("SPACE_ID", "user/space"), ("GRADIO_SERVER_NAME", "0.0.0.0"), ("GRADIO_SHARE", "True")]
)
def test_a_page_that_others_can_open_is_not_free(space, monkeypatch, capsys, variable, value):
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", ["app.py", "--any-checkpoint"])
    with pytest.raises(SystemExit) as stopped:
        space.app.main()
    assert stopped.value.code == 2
    assert "others can open this page; list the checkpoints" in capsys.readouterr().err


# What comes out.


def test_a_run_hides_the_old_results_first_tells_how_far_it_is_and_ends_in_new_ones(space, demo, checkpoints):
    read = space.reading.read_recording
    *steps, last = answers_of(space, checkpoints, read, str(demo.recording), str(demo.transcript), "", None)
    assert len(steps) > 2
    assert not any(step.results or step.view or step.state for step in steps)
    assert all("<progress" in step.message for step in steps)
    assert last.results
    view = json.loads(last.view["text"])
    assert view["timed"]
    (file,) = last.view["media"]
    assert file["path"] == str(demo.recording)
    cues = load_transcript(demo.transcript)[0]["utterances"]
    expected = demo.predicted(load_transcript(demo.transcript, demo.recording))
    for cue, shown, label in zip(cues, view["utterances"], expected, strict=True):
        assert (shown["start"], shown["end"], shown["text"]) == (cue["start"], cue["end"], cue["text"])
        assert view["speakers"][shown["speaker"]] == cue["speaker"]
        assert shown["label"] == view["signs"][shown["sign"]]["name"] == label
        assert shown["bars"][0]["name"] == label
        assert shown["medium"] == 0


def test_every_download_can_be_read_again_and_names_no_folder(space, demo, tmp_path):
    dialogue, _ = space.reading.read_recording(str(demo.recording), str(demo.transcript), None, None)
    *_, (recognised, _) = space.recognising.recognise(demo.checkpoint, dialogue)
    files = space.recognising.write_downloads(recognised.prediction, tmp_path)
    assert list(files) == list(space.recognising.DOWNLOADS)
    for suffix, file in files.items():
        assert Path(file).name == f"{demo.recording.stem}-emotions{suffix}"
        assert str(demo.recording.parent) not in Path(file).read_text(encoding="utf-8")
        if suffix != ".jsonl":
            again = load_transcript(file)[0]["utterances"]
            assert [round(each["start"], 3) for each in again] == [each["start"] for each in dialogue["utterances"]]


def test_without_times_there_are_tables_alone(space, demo, tmp_path):
    dialogue, _ = space.reading.read_text("Anna: Hello.")
    *_, (recognised, _) = space.recognising.recognise(demo.checkpoint, {"dialogue_id": "../../x y", **dialogue})
    files = space.recognising.write_downloads(recognised.prediction, tmp_path)
    assert [Path(file).relative_to(tmp_path).name for file in files.values()] == [
        "x_y-emotions.jsonl",
        "x_y-emotions.csv",
    ]


def test_a_checkpoint_that_reads_nothing_of_it_says_so(space, demo):
    dialogue = {"utterances": [{"speaker": "Anna", "text": " "}]}
    with pytest.raises(DialogueError, match="reads text and audio and visual, and nothing that it can read was given"):
        list(space.recognising.recognise(demo.checkpoint, dialogue))


def test_a_broken_clip_is_named_and_the_rest_is_read(space, demo, checkpoints, tmp_path):
    for clip in demo.clips:
        shutil.copy(clip, tmp_path)
    number = len(demo.true)
    broken = next(tmp_path.glob(f"{number:02}_*.wav"))
    broken.write_bytes(b"RIFF, or so it says")
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    *_, last = answers_of(space, checkpoints, space.reading.read_clips, files)
    assert f"{broken.name} cannot be read" in last.message
    assert f"utterance {number} is used without audio" in last.message
    expected = demo.predicted(load_recordings(tmp_path))
    assert [utterance["label"] for utterance in json.loads(last.view["text"])["utterances"]] == expected


def test_an_error_stands_alone_and_names_no_folder(space, demo, checkpoints, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    cues = an_srt(folder / "cues.srt", "1\n00:00:09,000 --> 00:00:08,000\nAnna: Hi.\n")
    *_, last = answers_of(space, checkpoints, space.reading.read_recording, None, cues, None, None)
    assert not last.results
    assert last.view is last.state is None
    assert 'role="alert"' in last.message
    assert "cues.srt" in last.message
    assert "folder" not in last.message
    assert all(button["visible"] is False for button in last.files)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/tmp/x/y/a b.wav: no such file", "a b.wav: no such file"),
        ("[Errno 2] No such file: '/srv/app/m.bin'", "[Errno 2] No such file: 'm.bin'"),
        ("C:\\Users\\me\\m.bin: gone", "m.bin: gone"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("user/model: text and/or audio", "user/model: text and/or audio"),
    ],
)
def test_messages_name_files_without_their_folders(space, message, shown):
    assert space.reading.without_folders(message) == shown


def test_a_message_shows_what_was_given_as_text(space):
    assert "&lt;script&gt;" in space.app.wrong("<script>")
    assert "&lt;script&gt;" in space.app.right(["<script>"])


def test_what_is_our_own_mistake_is_no_traceback_either(space, checkpoints):
    def read(given):
        raise ZeroDivisionError

    *_, last = answers_of(space, checkpoints, read, "")
    assert not last.results
    assert "something went wrong here (ZeroDivisionError)" in last.message


def test_reasons_that_cannot_be_found_any_more_are_a_message(space, tmp_path):
    gone = space.recognising.Recognised(str(tmp_path / "gone"), {"utterances": [{"speaker": "Anna"}]}, {})
    told = space.app.why(gone, SimpleNamespace(index=0))["why"]
    assert told == {"index": 0, "error": "gone: there is no such checkpoint folder"}


def sound_of(file: Path) -> np.ndarray:
    with av.open(str(file)) as container:
        to_floats = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
        frames = [part for frame in container.decode(audio=0) for part in to_floats.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("suffix", [".aiff", ".au", ".mkv"])
def test_what_a_browser_cannot_play_is_played_from_a_copy(space, demo, tmp_path, suffix):
    given, folder = tmp_path / f"call{suffix}", tmp_path / "folder"
    folder.mkdir()
    original = sound_of(demo.recording)
    with av.open(str(given), "w") as sink:
        stream = sink.add_stream("pcm_s16be" if suffix != ".mkv" else "pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((original[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        sink.mux([*stream.encode(frame), *stream.encode(None)])
    copy = space.playing.playable(str(given), folder)
    assert copy == str(folder / "call.m4a")
    heard = sound_of(Path(copy))
    assert len(heard) == pytest.approx(len(original), abs=1600)
    least = min(len(heard), len(original))
    assert np.corrcoef(original[:least], heard[:least])[0, 1] > 0.9, "the copy is another sound, or shifted"
    assert space.playing.playable(str(demo.recording), folder) == str(demo.recording)


# What is shown.


def prediction_of(*labels, scores=None, **more):
    scores = scores or {"joy": 0.8, "fear": 0.6, "anger": 0.1}
    return {
        "utterances": [
            {"speaker": f"S{index % 2}", "label": label, "scores": {} if label is None else scores, **more}
            for index, label in enumerate(labels)
        ]
    }


def test_one_emotion_several_and_none_all_have_a_label_a_score_and_a_sign(space):
    one, several, none, unread = space.timeline.view_of(prediction_of("joy", ["fear", "joy"], [], None))["utterances"]
    assert (one["label"], one["score"], one["sign"]) == ("joy", "80%", 0)
    assert (several["label"], several["score"], several["sign"]) == ("fear, joy", "60%, 80%", 0)
    assert (none["label"], none["score"], none["sign"]) == ("none", "", None)
    assert (unread["label"], unread["score"], unread["sign"], unread["bars"]) == ("nothing read", "", None, [])
    assert [bar["name"] for bar in one["bars"]] == ["joy", "fear", "anger"]


def test_values_have_a_sign_by_their_direction(space):
    low, high = space.timeline.view_of(prediction_of(-0.25, 0.5, scores={"LABEL_0": 0.5}))["utterances"]
    assert (low["label"], low["sign"], low["strength"]) == ("-0.25", 1, 0.5)
    assert (high["label"], high["sign"], high["strength"]) == ("+0.50", 0, 1.0)
    values = {"valence": 0.5, "arousal": -1.0}
    (both,) = space.timeline.view_of(prediction_of(values, scores=values))["utterances"]
    assert (both["label"], both["sign"]) == ("valence +0.50, arousal -1.00", None)
    assert [(bar["text"], bar["share"]) for bar in both["bars"]] == [("+0.50", 0.5), ("-1.00", 1.0)]


def test_utterances_without_times_have_equal_widths(space):
    view = space.timeline.view_of(prediction_of("joy", "fear"))
    assert not view["timed"]
    assert [(one["start"], one["end"]) for one in view["utterances"]] == [(0.0, 1.0), (1.0, 2.0)]
    assert space.timeline.view_of(prediction_of("joy", start=2.0, end=3.5))["timed"]


@pytest.mark.parametrize("count", [2, 7, 9, 28, 58])
def test_no_two_emotions_look_alike(space, count):
    signs = space.timeline.signs_of(["neutral", "anger", "angst", *(f"label {number}" for number in range(count - 2))])
    assert len({(sign["colour"], sign["shape"]) for sign in signs}) == len(signs)
    few = signs[: len(space.timeline.SHAPES)]
    assert len({sign["colour"] for sign in few}) == len({sign["shape"] for sign in few}) == len(few)


def test_reasons_name_what_was_hidden_and_by_how_much_the_score_changed(space):
    falls = np.array([[0.3, -0.1, 0.0], [0, 0, 0], [0, 0, 0]], dtype=float)
    modalities = np.array([[0.2, np.nan, np.nan]] * 3)
    explanation = Explanation(["joy"] * 3, np.ones(3), falls, modalities)
    prediction = prediction_of(*["joy"] * 5, text="Hi.")
    reasons = space.timeline.reasons_of(explanation, prediction, index=2, first=2)
    assert [(line["index"], line["text"], line["share"]) for line in reasons["utterances"]] == [
        (2, "+30.0", 1.0),
        (3, "−10.0", -0.3333),
    ]
    assert reasons["utterances"][0]["name"] == "3  (itself) S0: Hi."
    assert [(line["name"], line["text"]) for line in reasons["modalities"]] == [("text", "+20.0")]


def test_only_the_utterances_around_it_are_hidden_to_explain_one(space, demo, monkeypatch):
    dialogue = {"utterances": [{"speaker": "Anna", "text": f"It was {number}."} for number in range(12)]}
    *_, (recognised, _) = space.recognising.recognise(demo.checkpoint, dialogue)
    monkeypatch.setattr(space.recognising, "MOST_EXPLAINED", 4)
    reasons = space.recognising.explain_label(recognised, 7)
    assert reasons["index"] == 7
    assert {line["index"] for line in reasons["utterances"]} <= {5, 6, 7, 8}
    assert 7 in {line["index"] for line in reasons["utterances"]}
