"""The page of examples/space, as its visitors see it: a dialogue goes in, the right labels and pictures come out."""

import importlib.util
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from joyful_hf import (
    DialogueError,
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    JoyfulTrainer,
    JoyfulTrainingArguments,
    extract_features,
    load_recordings,
    make_toy_media_corpus,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.cli.demo import EXTRACTORS
from tests.support.browser import (
    CHROMIUM,
    REPOSITORY,
    SCREENSHOTS,
    open_browser,
    run_app,
)

APP = REPOSITORY / "examples" / "space" / "app.py"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # of pandas, which it calls
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def app():
    """The page's module."""
    spec = importlib.util.spec_from_file_location("space_app", APP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Demo:
    """A small checkpoint of the demo's kind, and a dialogue of which it knows every label."""

    checkpoint: str
    folder: Path
    """Of the dialogue's clips."""
    dialogue: dict[str, Any]
    """With features in place of the clips."""

    @property
    def true(self) -> list[str]:
        return [utterance["label"] for utterance in self.dialogue["utterances"]]

    @property
    def clips(self) -> list[str]:
        return sorted(map(str, self.folder.iterdir()))

    def predicted(self, dialogue: Any) -> list[str]:
        model, processor = load_checkpoint(self.checkpoint)
        return [utterance["label"] for utterance in model.predict(dialogue, processor)[0]["utterances"]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Trained until it knows its few dialogues by heart."""
    folder = tmp_path_factory.mktemp("demo")
    raw = make_toy_media_corpus(folder, num_train=4, num_validation=1, num_test=1)["train"]
    train = extract_features(raw, JoyfulProcessor(**EXTRACTORS), cache_dir=folder / "cache", verbose=False)
    processor = JoyfulProcessor.from_dialogues(train)
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs()))
    plain = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False, "disable_tqdm": True}
    args = JoyfulTrainingArguments(str(folder / "run"), num_train_epochs=20, **plain)
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=train, processing_class=processor)
    trainer.train()
    trainer.save_model(folder / "model")
    dialogue = min(train, key=lambda dialogue: len(dialogue["utterances"]))
    demo = Demo(str(folder / "model"), folder / "train" / dialogue["dialogue_id"], dialogue)
    assert demo.predicted(dialogue) == demo.true
    assert len(set(demo.true)) > 2
    return demo


# What is given.


@pytest.mark.parametrize(
    ("text", "message"),
    [
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
        ("[" * 100_000, "begins like JSON and is not valid"),
    ],
)
def test_what_is_no_dialogue_is_refused(app, text, message):
    with pytest.raises(DialogueError, match=message):
        app.read_text(text)


@pytest.mark.parametrize("medium", ['"/etc/passwd"', '{"path": "/etc/passwd"}'])
@pytest.mark.parametrize("key", ["audio", "video"])
def test_a_visitor_cannot_name_files_of_the_server(app, key, medium):
    with pytest.raises(DialogueError, match=f"'{key}' names a file; upload it"):
        app.read_text(f'{{"utterances": [{{"speaker": "A", "{key}": {medium}}}]}}')


def test_a_line_is_an_utterance(app):
    dialogue, notes = app.read_text("Anna: Hi.\n\n Ben Lee :It is 10:30.\n")
    assert notes == []
    assert dialogue["utterances"] == [
        {"speaker": "Anna", "text": "Hi."},
        {"speaker": "Ben Lee", "text": "It is 10:30."},
    ]


def test_a_record_may_be_json_or_a_line_of_jsonl(app):
    record = {"dialogue_id": "d1", "utterances": [{"speaker": "Anna", "text": "Hi."}]}
    for text in (json.dumps(record), json.dumps(record, indent=2), json.dumps([record]), json.dumps(record) + "\n\n"):
        assert app.read_text(text) == (record, [])


def test_clips_are_read_in_spoken_order(app, demo, tmp_path):
    (tmp_path / "notes.txt").write_text("of nothing")
    dialogue, notes = app.read_clips([*reversed(demo.clips), str(tmp_path / "notes.txt")])
    expected = load_recordings(demo.folder)[0]
    assert dialogue["utterances"] == expected["utterances"], "the clips are not those that were uploaded"
    assert notes == ["notes.txt is neither a clip nor the text of one, and was left out"]


def test_clips_that_make_no_dialogue_are_refused(app, demo, tmp_path):
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
            app.read_clips(clips)


def test_a_clip_that_is_added_is_the_next_utterance(app, demo, tmp_path):
    sound = next(one for one in demo.clips if one.endswith(".wav"))
    added = app.add_clip(["/somewhere/09_Ben.wav"], "Zoë/..", " Hi. ", sound, None)
    files, text, audio, video, message, results = next(added)
    assert [Path(file).name for file in files] == ["09_Ben.wav", "10_Zoë_.wav", "10_Zoë_.txt"]
    assert Path(files[1]).read_bytes() == Path(sound).read_bytes()
    assert Path(files[2]).read_text(encoding="utf-8") == "Hi."
    assert (text, audio, video) == ("", None, None)
    assert "utterance 10 was added" in message
    assert results == app.gr.update(visible=False), "the old results are not of these clips"
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
def test_a_clip_that_cannot_be_added_changes_nothing(app, files, speaker, sound, message):
    ((*kept, said, results),) = app.add_clip(files, speaker, "Hi.", sound, None)
    assert message in said
    assert results == app.gr.update(visible=False), "an old result stays beside a new error"
    assert kept == [app.gr.skip()] * 4


# What comes out.


def test_a_checkpoint_that_reads_nothing_of_it_says_so(app, demo):
    dialogue = {"utterances": [{"speaker": "Anna", "text": " "}]}
    with pytest.raises(DialogueError, match="reads text and audio and visual, and nothing that it can read was given"):
        app.recognise(demo.checkpoint, dialogue)


def test_one_emotion_several_and_a_value_all_fit_into_the_table(app):
    scores = {"joy": 0.8, "fear": 0.6}
    assert app.label_and_score({"label": "joy", "scores": scores}) == ("joy", "80%")
    assert app.label_and_score({"label": ["joy", "fear"], "scores": scores}) == ("joy, fear", "80%, 60%")
    assert app.label_and_score({"label": [], "scores": scores}) == ("none", "")
    assert app.label_and_score({"label": -0.25, "scores": {"LABEL_0": -0.25}}) == ("-0.25", "")


def test_a_message_shows_what_was_given_as_text(app):
    assert "&lt;script&gt;" in app.wrong("<script>")
    assert "&lt;script&gt;" in app.right(["<script>"])


def test_what_is_our_own_mistake_is_no_traceback_either(app, demo):
    def read(given):
        raise ZeroDivisionError

    state, message, *_ = app.answer(demo.checkpoint, "", read)
    assert state is None
    assert "not your mistake (ZeroDivisionError)" in message


def test_reasons_that_cannot_be_found_any_more_are_a_notice_and_no_old_picture(app, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(app.gr, "Warning", said.append)
    gone = app.Recognised(str(tmp_path / "gone"), {"utterances": [{"speaker": "Anna"}]}, {})
    assert app.why(gone, 0) is None
    assert "there is no such checkpoint folder" in said[0]


# In a browser.


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(app, demo, tmp_path_factory):
    """Of the page, with the demo's checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        page = app.open_page(demo.checkpoint, prevent_thread_lock=True, quiet=True)
        yield page.local_url
        page.close()


class Visitor:
    """Somebody who has opened the page."""

    def __init__(self, browser: Any, address: str, width: int = 1360) -> None:
        from playwright.sync_api import expect

        expect.set_options(timeout=30_000)
        self.expect = expect
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.asked: set[str] = set()
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.goto(address)
        self.message = self.page.locator("#message")

    def paste(self, text: str) -> None:
        self.page.get_by_label("Dialogue").fill(text)
        self.page.locator("#recognise-text").click()

    def upload(self, files: list[str]) -> None:
        self.page.get_by_role("tab", name="Clips").click()
        self.page.locator("input[type=file]").first.set_input_files(files)
        self.expect_files(len(files))
        self.page.locator("#recognise-clips").click()

    def expect_files(self, count: int) -> None:
        self.expect(self.page.locator(".file-preview tr")).to_have_count(count)

    def expect_emotions(self, labels: list[str]) -> None:
        for row, label in enumerate(labels):
            self.expect(self.page.locator(f"#table [data-testid=cell-{row}-3]")).to_have_text(label)
        self.expect(self.page.locator(f"#table [data-testid=cell-{len(labels)}-3]")).to_have_count(0)

    def picture(self, name: str) -> str:
        """A picture of the page, once it is there."""
        image = self.page.locator(f"#{name} img")
        self.expect(image).to_be_visible()
        return image.get_attribute("src")

    def expect_another(self, name: str, picture: str) -> str:
        """The picture that takes the place of this one."""
        self.expect(self.page.locator(f"#{name} img")).not_to_have_attribute("src", picture)
        return self.picture(name)

    def expect_error(self, message: str) -> None:
        self.expect(self.page.get_by_role("alert")).to_contain_text(message)
        self.expect(self.page.locator("#table")).not_to_be_visible()
        assert "Traceback" not in self.page.content()

    def keep(self, name: str) -> None:
        """A screenshot, for whoever wants to look, when nothing is going on any more."""
        busy = self.page.locator("[data-testid=status-tracker]:not(.hide)")
        self.expect(busy).to_have_count(0)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visitor(browser, address):
    visitor = Visitor(browser, address)
    yield visitor
    visitor.page.close()


def as_json(dialogue):
    utterances = [
        {key: value for key, value in utterance.items() if key not in ("audio", "video", "label")}
        for utterance in dialogue["utterances"]
    ]
    return json.dumps({"dialogue_id": dialogue["dialogue_id"], "utterances": utterances})


@needs_chromium
def test_html_in_a_name_or_a_text_is_shown_and_not_run(visitor):
    run = []
    visitor.page.on("dialog", lambda dialog: (run.append(dialog.message), dialog.dismiss()))
    visitor.paste("<img src=x onerror=alert(1)>: Hello <b>Ben</b>")
    visitor.expect(visitor.page.locator("#table [data-testid=cell-0-1]")).to_have_text("<img src=x onerror=alert(1)>")
    visitor.expect(visitor.page.locator("#table [data-testid=cell-0-2]")).to_have_text("Hello <b>Ben</b>")
    visitor.picture("why")
    assert not run


@needs_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_messages_can_be_read_and_words_are_whole_on_a_phone(browser, address, theme):
    phone = Visitor(browser, f"{address}?__theme={theme}", width=390)
    phone.paste("Anna: Honestly, the news was terrible.")
    phone.picture("why")
    colours = phone.page.evaluate(
        """() => [getComputedStyle(document.querySelector('#message p')).color,
                  getComputedStyle(document.querySelector('#message .message')).backgroundColor]"""
    )
    letters, ground = (np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]]) for colour in colours)
    assert abs(letters - ground) > 120, "the message cannot be read"
    heights = phone.page.evaluate("() => [...document.querySelectorAll('#table th')].map(cell => cell.clientHeight)")
    assert max(heights) < 45, "a word of the header is broken"
    phone.keep(f"space-phone-{theme}")
    phone.page.close()


@pytest.mark.slow
def test_the_page_starts_as_its_user_starts_it(demo, tmp_path):
    with run_app(APP, demo.checkpoint, folder=tmp_path) as address, urlopen(address) as answer:
        assert "Emotions in a conversation" in answer.read().decode()


@needs_chromium
def test_a_dialogue_goes_in_and_the_right_labels_and_pictures_come_out(visitor, demo):
    visitor.paste(as_json(demo.dialogue))
    visitor.expect_emotions(demo.true)
    assert visitor.picture("timeline") != visitor.picture("why")
    visitor.keep("space-record")
    elsewhere = [url for url in visitor.asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not elsewhere, "the page needs the network"


@needs_chromium
def test_pasted_lines_have_the_labels_that_the_model_predicts(visitor, demo):
    lines = [{"speaker": one["speaker"], "text": one["text"]} for one in demo.dialogue["utterances"]]
    visitor.paste("\n".join(f"{one['speaker']}: {one['text']}" for one in lines))
    visitor.expect_emotions(demo.predicted({"utterances": lines}))
    visitor.expect(visitor.message).to_contain_text("read: text of all, audio of none, video of none")
    visitor.picture("timeline")
    visitor.picture("why")
    visitor.keep("space-text")


@needs_chromium
def test_clips_have_the_right_labels(visitor, demo):
    visitor.upload(demo.clips)
    visitor.expect_emotions(demo.predicted(load_recordings(demo.folder)))
    visitor.expect_emotions(demo.true)
    visitor.expect(visitor.message).to_contain_text("read: text of all, audio of all, video of all")
    visitor.picture("timeline")
    visitor.picture("why")
    visitor.keep("space-clips")


@needs_chromium
def test_each_utterance_has_its_own_reasons(visitor, demo):
    visitor.paste(as_json(demo.dialogue))
    picture = visitor.picture("why")
    visitor.page.get_by_label("Why?").click()
    visitor.page.get_by_role("option").nth(2).click()
    picture = visitor.expect_another("why", picture)
    visitor.keep("space-why")
    visitor.page.locator("#table [data-testid=cell-4-2]").click()
    visitor.expect(visitor.page.get_by_label("Why?")).to_have_value(
        f"5  {demo.dialogue['utterances'][4]['speaker']}: {demo.true[4]}"
    )
    visitor.expect_another("why", picture)


@needs_chromium
def test_a_broken_clip_is_named_and_the_rest_is_read(visitor, demo, tmp_path):
    for clip in demo.clips:
        shutil.copy(clip, tmp_path)
    broken = next(tmp_path.glob("02_*.wav"))
    broken.write_bytes(b"RIFF, or so it says")
    visitor.upload([str(file) for file in sorted(tmp_path.iterdir())])
    visitor.expect(visitor.message).to_contain_text(f"{broken.name} cannot be read")
    visitor.expect(visitor.message).to_contain_text("utterance 2 is used without audio")
    visitor.expect_emotions(demo.predicted(load_recordings(tmp_path)))
    visitor.picture("why")
    visitor.keep("space-broken-clip")


@needs_chromium
def test_nothing_but_a_broken_clip_is_a_message_and_the_page_goes_on(visitor, demo, tmp_path):
    (tmp_path / "01_Anna.wav").write_bytes(b"no sound at all")
    visitor.upload([str(tmp_path / "01_Anna.wav")])
    visitor.expect_error("01_Anna.wav cannot be read")
    visitor.expect_files(1)
    visitor.page.get_by_role("tab", name="Text").click()
    visitor.paste("Anna: Hello.")
    visitor.expect_emotions(demo.predicted({"utterances": [{"speaker": "Anna", "text": "Hello."}]}))


@needs_chromium
def test_an_unknown_checkpoint_is_a_message_and_nothing_is_lost(visitor, demo, tmp_path):
    box = visitor.page.get_by_label("Checkpoint")
    box.fill(str(tmp_path / "nowhere"))
    visitor.paste("Anna: Hello.")
    visitor.expect_error("there is no such checkpoint folder")
    visitor.expect(visitor.page.get_by_label("Dialogue")).to_have_value("Anna: Hello.")
    visitor.keep("space-unknown-checkpoint")
    box.fill(demo.checkpoint)
    visitor.page.locator("#recognise-text").click()
    visitor.picture("timeline")


@needs_chromium
def test_a_recording_is_added_as_the_next_utterance(visitor, demo):
    sound = next(one for one in demo.clips if one.endswith(".wav"))
    page = visitor.page
    page.get_by_role("tab", name="Clips").click()
    page.get_by_text("Add the next utterance").click()
    page.get_by_label("Speaker", exact=True).fill("Anna")
    for number in (1, 2):
        page.get_by_label("What is said").fill("I must say, the news was lovely.")
        page.get_by_label("Upload file").first.click()
        page.locator("input[type=file][accept*='audio/*']").set_input_files(sound)
        visitor.expect(page.locator("audio, #waveform").first).to_be_attached()
        page.get_by_role("button", name="Add", exact=True).click()
        visitor.expect_files(2 * number)
        visitor.expect(page.get_by_label("What is said")).to_have_value("")
    page.locator("#recognise-clips").click()
    utterance = {"speaker": "Anna", "text": "I must say, the news was lovely.", "audio": sound}
    visitor.expect_emotions(demo.predicted({"utterances": [utterance] * 2}))
    visitor.picture("why")
    visitor.keep("space-recorded")
