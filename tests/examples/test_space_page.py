"""The page of examples/space in a browser, as its visitors see it: what was found is shown, played and kept."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from joyful_hf import load_recordings, load_transcript
from tests.examples.conftest import SPACE
from tests.support.browser import CHROMIUM, SCREENSHOTS, open_browser, run_app

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # of pandas, which it calls
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

LEGIBLE = 4.5  # WCAG's least contrast of letters and ground
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = colour => {
    const [red, green, blue] = [...rgba(colour)].map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return rgba(colour)[3] === 255 || !element.parentElement ? colour : ground(element.parentElement);
  };
  const found = {};
  const parts = "#recognise-recording, #introduction *, #consent *, .hint *, #message *, #timeline *";
  for (const element of document.querySelectorAll(parts)) {
    const text = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!text.length || !element.offsetParent) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
    found[text[0].data.trim()] = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(space, demo, tmp_path_factory):
    """Of the page, with the demo's checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        checkpoints = space.recognising.Checkpoints.of([demo.checkpoint])
        page = space.app.open_page(checkpoints, prevent_thread_lock=True, quiet=True)
        yield page.local_url
        page.close()


class Visitor:
    """Somebody who has opened the page."""

    def __init__(self, browser: Any, address: str, width: int = 1280) -> None:
        from playwright.sync_api import expect

        expect.set_options(timeout=30_000)
        self.expect = expect
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.asked: set[str] = set()
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.goto(address)
        self.message = self.page.locator("#message")
        self.boxes = self.page.locator("#timeline .box")

    def give_recording(self, recording: Path, transcript: Path) -> None:
        for name, file in (("recording", recording), ("transcript", transcript)):
            self.page.locator(f"#{name} input[type=file]").set_input_files(file)
            self.expect(self.page.locator(f"#{name} .file-preview tr")).to_have_count(1)
        self.page.locator("#recognise-recording").click()

    def paste(self, text: str) -> None:
        self.page.get_by_role("tab", name="Text").click()
        self.page.get_by_label("Dialogue").fill(text)
        self.page.locator("#recognise-text").click()

    def upload(self, files: list[str]) -> None:
        self.page.get_by_role("tab", name="Clips").click()
        self.page.locator("#clips input[type=file]").set_input_files(files)
        self.expect_files(len(files))
        self.page.locator("#recognise-clips").click()

    def expect_files(self, count: int) -> None:
        self.expect(self.page.locator("#clips .file-preview tr")).to_have_count(count)

    def box(self, index: int) -> Any:
        """The box of an utterance in the timeline."""
        return self.page.locator(f"#timeline .box[data-index='{index}']")

    def line(self, index: int) -> Any:
        """The line of an utterance in the table."""
        return self.page.locator(f"#timeline tr[data-index='{index}']")

    def expect_emotions(self, labels: list[str]) -> None:
        self.expect(self.page.locator("#timeline td.emotion")).to_have_text(labels)
        self.expect(self.boxes).to_have_count(len(labels))
        for index, label in enumerate(labels):
            self.expect(self.box(index).locator("span")).to_have_text(label)

    def expect_chosen(self, index: int) -> None:
        """Timeline, table and detail are of this utterance, and of no other one."""
        self.expect(self.page.locator("#timeline .box.chosen")).to_have_attribute("data-index", str(index))
        self.expect(self.page.locator("#timeline tr[aria-current]")).to_have_attribute("data-index", str(index))
        self.expect(self.page.locator("#timeline .where")).to_contain_text(f"{index + 1} of ")

    def playing(self) -> dict[str, Any]:
        return self.page.locator("#timeline audio, #timeline video").evaluate(
            "player => ({time: player.currentTime, paused: player.paused, file: decodeURI(player.src)})"
        )

    def hear(self) -> tuple[float, float, str]:
        """From where to where the player plays which file, once it has stopped by itself."""
        while (now := self.playing())["paused"]:
            self.page.wait_for_timeout(10)
        start = now["time"]
        while not (now := self.playing())["paused"]:
            self.page.wait_for_timeout(10)
        return start, now["time"], Path(now["file"]).name

    def keep(self, name: str) -> None:
        """A screenshot, for whoever wants to look."""
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visitor(browser, address):
    visitor = Visitor(browser, address)
    yield visitor
    visitor.page.close()


@pytest.mark.slow
def test_the_page_starts_as_its_user_starts_it(demo, tmp_path):
    with run_app(SPACE / "app.py", demo.checkpoint, folder=tmp_path) as address, urlopen(address) as answer:
        assert "Emotions in a conversation" in answer.read().decode()


@needs_chromium
def test_a_recording_is_shown_in_time_played_explained_and_kept(visitor, demo, tmp_path):
    visitor.give_recording(demo.recording, demo.transcript)
    visitor.expect_emotions(demo.predicted(load_transcript(demo.transcript, demo.recording)))
    cues = load_transcript(demo.transcript)[0]["utterances"]
    speakers = list(dict.fromkeys(cue["speaker"] for cue in cues))
    visitor.expect(visitor.page.locator("#timeline .names div")).to_have_text(speakers)
    visitor.expect(visitor.page.locator("#timeline .axis span").first).to_have_text("0:00")
    places = [visitor.box(index).bounding_box() for index in range(len(cues))]
    seconds = (cues[-1]["end"] - cues[0]["start"]) / (places[-1]["x"] + places[-1]["width"] - places[0]["x"])
    for cue, place in zip(cues, places, strict=True):
        assert (place["x"] - places[0]["x"]) * seconds == pytest.approx(cue["start"] - cues[0]["start"], abs=0.05)
        assert place["width"] * seconds == pytest.approx(cue["end"] - cue["start"], abs=0.05)

    visitor.box(3).click()
    start, end, file = visitor.hear()
    assert file == demo.recording.name
    assert cues[3]["start"] - 0.01 <= start < end == pytest.approx(cues[3]["end"], abs=0.05)
    visitor.expect_chosen(3)
    visitor.expect(visitor.page.locator("#timeline blockquote")).to_have_text(cues[3]["text"])
    visitor.expect(visitor.page.locator("#timeline .bars .bar")).to_have_count(6)
    visitor.line(5).click()
    visitor.expect_chosen(5)
    visitor.page.keyboard.press("ArrowDown")
    visitor.expect_chosen(6)
    visitor.box(6).focus()
    for _ in range(2):
        visitor.page.keyboard.press("ArrowLeft")
    visitor.expect_chosen(4)

    visitor.page.get_by_role("button", name="Why?").click()
    visitor.expect(visitor.page.locator("#timeline .why h4")).to_be_visible()
    visitor.expect(visitor.page.get_by_text("5 (itself)")).to_be_visible()
    visitor.keep("space-recording")
    visitor.box(2).click()
    visitor.expect(visitor.page.locator("#timeline .why")).to_be_empty()

    for suffix in (".jsonl", ".csv", ".srt", ".vtt", ".TextGrid", ".eaf"):
        with visitor.page.expect_download() as download:
            visitor.page.locator(f"#download-{suffix[1:]}").click()
        assert download.value.suggested_filename == f"{demo.recording.stem}-emotions{suffix}"
        download.value.save_as(tmp_path / f"kept{suffix}")
    kept = load_transcript(tmp_path / "kept.vtt")[0]["utterances"]
    assert [each["start"] for each in kept] == [cue["start"] for cue in cues]

    elsewhere = [url for url in visitor.asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not elsewhere, "the page needs the network"


@needs_chromium
@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 390), ("dark", 1280)])
def test_all_can_be_read_in_light_and_dark_and_on_a_phone(browser, address, demo, theme, width):
    visitor = Visitor(browser, f"{address}?__theme={theme}", width)
    visitor.give_recording(demo.recording, demo.transcript)
    visitor.page.get_by_role("button", name="Why?").click()
    visitor.expect(visitor.page.locator("#timeline .why h4")).to_be_visible()
    visitor.keep(f"space-{'phone' if width < 600 else 'desk'}-{theme}")
    contrasts = visitor.page.evaluate(CONTRASTS)
    assert len(contrasts) > 40
    assert not {text: contrast for text, contrast in contrasts.items() if contrast < LEGIBLE}
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than its window"
    heights = visitor.page.locator("#timeline .speaker, #timeline .emotion, #timeline th").evaluate_all(
        "cells => cells.map(cell => cell.clientHeight)"
    )
    assert max(heights) < 45, "a word is broken"
    visitor.page.close()


@needs_chromium
def test_html_in_a_name_or_a_text_is_shown_and_not_run(visitor):
    run = []
    visitor.page.on("dialog", lambda dialog: (run.append(dialog.message), dialog.dismiss()))
    name, text = "<img src=x onerror=alert(1)>", "Hello <b>Ben</b> ${alert(2)} {{constructor}}"
    visitor.paste(json.dumps({"utterances": [{"speaker": name, "text": text}]}))
    visitor.expect(visitor.line(0).locator(".speaker")).to_have_text(name)
    visitor.expect(visitor.line(0).locator(".text")).to_have_text(text)
    visitor.expect(visitor.page.locator("#timeline blockquote")).to_have_text(text)
    visitor.page.get_by_role("button", name="Why?").click()
    visitor.expect(visitor.page.locator("#timeline .why h4")).to_be_visible()
    visitor.paste(f"{name} said so")
    visitor.expect(visitor.page.get_by_role("alert")).to_contain_text(name)
    assert not run


@needs_chromium
def test_pasted_lines_and_a_record_are_shown_in_order(visitor, demo):
    visitor.paste(demo.as_json)
    visitor.expect_emotions(demo.true)
    lines = [{"speaker": one["speaker"], "text": one["text"]} for one in demo.dialogue["utterances"]]
    visitor.paste("\n".join(f"{one['speaker']}: {one['text']}" for one in lines))
    visitor.expect(visitor.message).to_contain_text("read: text of all, audio of none, video of none")
    visitor.expect_emotions(demo.predicted({"utterances": lines}))
    visitor.expect(visitor.page.locator("#timeline .axis span").first).to_have_text("1")
    visitor.expect(visitor.page.locator("#timeline .play")).to_have_count(0)
    visitor.expect(visitor.page.locator("#downloads button:visible")).to_have_text(["JSONL", "CSV"])
    visitor.keep("space-text")


@needs_chromium
def test_an_old_result_never_stands_beside_a_new_error(visitor, demo, tmp_path):
    visitor.paste("Anna: Hello.")
    visitor.expect(visitor.boxes).to_have_count(1)
    visitor.paste("Hello.")
    visitor.expect(visitor.page.get_by_role("alert")).to_contain_text("line 1: 'Hello.' is not of the form")
    visitor.expect(visitor.page.locator("#results")).not_to_be_visible()
    visitor.expect(visitor.page.get_by_label("Dialogue")).to_have_value("Hello.")
    visitor.paste("Anna: Hello.")
    visitor.expect(visitor.boxes).to_have_count(1)
    broken = tmp_path / "broken.vtt"
    broken.write_text("WEBVTT\n\n00:09.000 --> 00:01.000\nAnna: Hi.\n")
    visitor.page.get_by_role("tab", name="Recording").click()
    visitor.give_recording(demo.recording, broken)
    visitor.expect(visitor.page.get_by_role("alert")).to_contain_text(re.compile(r"^broken\.vtt, cue 1 \(line 3\)"))
    visitor.expect(visitor.page.locator("#results")).not_to_be_visible()
    visitor.keep("space-error")
    assert "Traceback" not in visitor.page.content()


@needs_chromium
def test_clips_have_the_right_labels_and_each_its_own_sound(visitor, demo):
    visitor.upload(demo.clips)
    visitor.expect_emotions(demo.predicted(load_recordings(demo.folder)))
    visitor.expect_emotions(demo.true)
    visitor.expect(visitor.message).to_contain_text("read: text of all, audio of all, video of all")
    visitor.box(2).click()
    start, _, file = visitor.hear()
    assert start < 0.3
    assert file == next(Path(clip).name for clip in demo.clips if Path(clip).name.startswith("03_"))[:-3] + "wav"
    visitor.keep("space-clips")


@needs_chromium
def test_a_recorded_clip_is_added_as_the_next_utterance(visitor, demo):
    sound = next(one for one in demo.clips if one.endswith(".wav"))
    page = visitor.page
    page.get_by_role("tab", name="Clips").click()
    page.get_by_text("Add the next utterance").click()
    page.get_by_label("Speaker", exact=True).fill("Anna")
    for number in (1, 2):
        page.get_by_label("What is said").fill("I must say, the news was lovely.")
        page.get_by_label("Upload file").first.click()
        page.locator("input[type=file][accept*='audio/*']:not([accept*='.wav'])").set_input_files(sound)
        visitor.expect(page.locator("audio, #waveform").first).to_be_attached()
        page.get_by_role("button", name="Add", exact=True).click()
        visitor.expect_files(2 * number)
        visitor.expect(page.get_by_label("What is said")).to_have_value("")
    page.locator("#recognise-clips").click()
    utterance = {"speaker": "Anna", "text": "I must say, the news was lovely.", "audio": sound}
    visitor.expect_emotions(demo.predicted({"utterances": [utterance] * 2}))
