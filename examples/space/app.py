"""A page that recognises the emotions of a dialogue and shows why: `python app.py [CHECKPOINT] [--device DEVICE]`.

It runs as a Space on the Hub and on any machine, and needs no network if the checkpoint is a local folder.
"""

import argparse
import html
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np

from joyful_hf import DialogueError, explain, load_recordings
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.recordings import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from joyful_hf.pictures import plot_explanation, plot_timeline
from joyful_hf.processing.devices import choose_device, describe_device
from joyful_hf.processing.dialogues import (
    MEDIA_KEYS,
    MODALITIES,
    Dialogue,
    as_dialogue_list,
    dialogue_name,
    get_utterances,
)
from joyful_hf.processing.feature_extraction import ExtractionFailure, add_features
from joyful_hf.processing.media import as_source

logger = logging.getLogger(__name__)

DEFAULT_CHECKPOINT = "demo-output/model"
DEVICE_VARIABLE = "JOYFUL_DEVICE"
HOUR = 3600
EXPECTED = (ValueError, OSError, ImportError)  # a DialogueError is a ValueError

EXAMPLE = """\
Anna: You know, our trip was wonderful.
Ben: I must say, the evening was lovely.
Anna: Well, your letter was a bit much.
Ben: Honestly, the news was terrible.
Anna: Look, my day was awful.
"""

INTRODUCTION = """\
# Emotions in a conversation
Give a dialogue and get an emotion for each utterance, and what weighed on it."""

CONSENT = """\
**Before you record or upload:** have the consent of everyone who can be heard, seen or read. What you give stays on
the machine that runs this page and is deleted within two hours. A model repeats how its annotators judged others. It
does not know what anybody feels, and it makes mistakes, more often about people unlike those that it was trained on.
Do not use it to decide anything about a person, at work, at school or elsewhere."""

CSS = """
.message { padding: 10px 14px; border-radius: 8px; border-left: 4px solid #0072b2; }
.message { background: #eef5fb; color: #1f2937; }
.message.wrong { border-left-color: #d55e00; background: #fdf1e8; }
.dark .message { background: #16263a; color: #e5e7eb; }
.dark .message.wrong { background: #3a2213; }
#message .message p { margin: 0 0 4px 0; color: inherit; }
#message .message p:last-child { margin-bottom: 0; }
#consent { font-size: 0.9em; color: var(--body-text-color-subdued); }
#table * { font-family: var(--font); }
@media (max-width: 640px) {
  #table .header-cell *, #table .body-cell * { font-size: 12px; padding-inline: 1px; }
  #table .cell-menu-button { display: none; }
}
"""


# The input.


def read_text(text: str) -> tuple[Dialogue, list[str]]:
    """Read pasted text, `Speaker: text` lines or one dialogue as JSON, as a dialogue."""
    if not text.strip():
        raise DialogueError("there is no dialogue yet: write one utterance per line, as in “Anna: Hello.”")
    dialogues = as_dialogue_list(read_json(text) if text.lstrip()[0] in "[{" else {"utterances": read_lines(text)})
    if len(dialogues) > 1:
        raise DialogueError(f"these are {len(dialogues)} dialogues; paste one at a time")
    name = dialogue_name(dialogues[0], 0)
    for index, utterance in enumerate(get_utterances(dialogues[0], name)):
        for key in ("audio", "video"):
            if as_source(utterance.get(key)) is not None:
                raise DialogueError(
                    f"{name}, utterances[{index}]: '{key}' names a file; upload it under Clips instead"
                )
    return dialogues[0], []


def read_lines(text: str) -> list[dict[str, str]]:
    """Read `Speaker: text`, one utterance per line."""
    utterances = []
    for number, line in enumerate(text.splitlines(), 1):
        speaker, colon, said = (part.strip() for part in line.partition(":"))
        if line.strip() and not (speaker and colon and said):
            raise DialogueError(f"line {number}: {line.strip()!r:.60} is not of the form “Speaker: text”")
        if line.strip():
            utterances.append({"speaker": speaker, "text": said})
    return utterances


def read_json(text: str) -> Any:
    """Read one JSON value, or one per line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    is_jsonl = len(lines) > 1 and all(line[0] == "{" and line[-1] == "}" for line in lines)
    try:
        return [json.loads(line) for line in lines] if is_jsonl else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DialogueError(f"this begins like JSON and is not valid: {error}") from None


def read_clips(files: list[str] | None) -> tuple[Dialogue, list[str]]:
    """Read uploaded clips and texts, named as `load_recordings` expects, as a dialogue; also say what is left out."""
    if not files:
        raise DialogueError("there are no clips yet: upload some, or add one below")
    with TemporaryDirectory() as place:
        folder = Path(place) / "clips"
        folder.mkdir()
        for file in map(Path, files):
            if not file.is_file():
                raise DialogueError(f"{file.name} was uploaded too long ago and has been deleted; upload it again")
            if (folder / file.name).is_symlink():
                raise DialogueError(f"there are two files named {file.name}; remove one")
            (folder / file.name).symlink_to(file)
        try:
            dialogue = load_recordings(folder)[0]
        except DialogueError as error:
            raise DialogueError(str(error).replace(f"{folder}/", "").replace(str(folder), "clips")) from None
    by_name = {Path(file).name: file for file in files}
    used = set()
    for utterance in dialogue["utterances"]:
        for key in ("audio", "video"):
            if utterance[key] is not None:
                name = Path(utterance[key]).name
                used |= {name, f"{Path(name).stem}.txt"}
                utterance[key] = by_name[name]
    return dialogue, [
        f"{name} is neither a clip nor the text of one, and was left out" for name in sorted(by_name.keys() - used)
    ]


def add_clip(
    files: list[str] | None, speaker: str, text: str, audio: str | None, video: str | None
) -> Iterator[tuple[Any, ...]]:
    """Add one more clip, named as the next utterance.

    Yields the files, text, audio, video, the message, and the results, which are hidden: they are not of these clips.
    """
    kept, hidden = (gr.skip(),) * 4, gr.update(visible=False)
    clips = [Path(clip) for clip in (audio, video) if clip]
    speaker = re.sub(r"[^\w .'-]", "_", speaker).strip(" .")
    unknown = [clip.suffix for clip in clips if clip.suffix.lower() not in AUDIO_SUFFIXES | VIDEO_SUFFIXES]
    numbers = [re.match(r"(\d+)_", Path(file).name) for file in files or ()]
    if not speaker:
        yield *kept, wrong("who speaks? Give the speaker's name"), hidden
    elif not clips:
        yield *kept, wrong("there is no recording yet: record one, or choose a file"), hidden
    elif unknown:
        yield (
            *kept,
            wrong(f"a clip is a sound or a video file, but this is {unknown[0] or 'of an unknown kind'}"),
            hidden,
        )
    elif not all(numbers):
        yield *kept, wrong("name the uploaded files 01_Anna.wav and so on, so that this one can be the next"), hidden
    else:
        number = max([int(found.group(1)) for found in numbers if found], default=0) + 1
        with TemporaryDirectory() as place:
            stem = f"{number:02}_{speaker[:60]}"
            added = [Path(place) / f"{stem}{clip.suffix.lower()}" for clip in clips]
            for clip, copy in zip(clips, added, strict=True):
                copy.write_bytes(clip.read_bytes())
            if text.strip():
                added.append(Path(place) / f"{stem}.txt")
                added[-1].write_text(text.strip(), encoding="utf-8")
            message = right([f"utterance {number} was added; add the next one, or press Recognise"])
            yield [*(files or ()), *map(str, added)], "", None, None, message, hidden  # gradio copies them here


# The output.


@dataclass(frozen=True)
class Recognised:
    """The state that the page keeps for a visitor, in order to explain a prediction."""

    checkpoint: str
    dialogue: Dialogue
    prediction: Mapping[str, Any]


@lru_cache(maxsize=2)
def load(checkpoint: str) -> tuple[Any, Any]:
    """Load model and processor, once each."""
    return load_checkpoint(checkpoint, os.environ.get(DEVICE_VARIABLE))


def recognise(checkpoint: str, dialogue: Dialogue) -> tuple[Recognised, list[str]]:
    """Recognise the emotions of a dialogue; also return notes on how it was read."""
    checkpoint = checkpoint.strip()
    if not checkpoint:
        raise DialogueError("which checkpoint? Give a folder on this machine or an id on the Hub")
    model, processor = load(checkpoint)
    name = dialogue_name(dialogue, 0)
    ((_, utterances),), failures = add_features(
        [(name, get_utterances(dialogue, name))],
        processor.extractors,
        device=str(model.device),
        frames=processor.extracts_frames,
    )
    dialogue = {**dialogue, "utterances": utterances}
    present = np.concatenate([example.present for example in processor.encode(dialogue, return_labels=False)])
    reads = list(processor.dims)
    if not present.any():
        raise DialogueError(
            f"{checkpoint} reads {' and '.join(reads)}, and nothing that it can read was given"
            + "".join(f"; {describe(failure)}" for failure in failures)
        )
    (prediction,) = model.predict(dialogue, processor)
    counts = dict(zip(MODALITIES, present.sum(0).tolist(), strict=True))
    total = len(utterances)
    read = ", ".join(
        f"{MEDIA_KEYS[name]} of {'all' if counts[name] == total else counts[name] or 'none'}" for name in reads
    )
    notes = [f"{total} utterance{'s' * (total > 1)}; read: {read}", *map(describe, failures)]
    return Recognised(checkpoint, dialogue, prediction), notes


def describe(failure: ExtractionFailure) -> str:
    """Say what could not be read and was left out."""
    number = int(failure.place.rpartition("[")[2].rstrip("]")) + 1
    what = MEDIA_KEYS[failure.modality]
    return f"{Path(failure.medium).name} cannot be read: {failure.reason}; utterance {number} is used without {what}"


def label_and_score(utterance: Mapping[str, Any]) -> tuple[str, str]:
    """Return label and score as the table shows them."""
    label, scores = utterance["label"], utterance["scores"]
    if isinstance(label, float):
        return f"{label:+.2f}", ""
    if isinstance(label, Mapping):
        return ", ".join(f"{name} {value:+.2f}" for name, value in label.items()), ""
    labels = [label] if isinstance(label, str) else label
    return ", ".join(labels) or "none", ", ".join(f"{scores[name]:.0%}" for name in labels)


def right(notes: list[str]) -> str:
    """Return a message as HTML."""
    return f'<div class="message">{"".join(f"<p>{html.escape(note)}</p>" for note in notes)}</div>'


def wrong(error: object) -> str:
    """Return the message of an error as HTML."""
    return f'<div class="message wrong" role="alert"><p>{html.escape(one_line(error))}</p></div>'


def one_line(error: object) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


# The page.


def answer(checkpoint: str, given: Any, read: Callable[[Any], tuple[Dialogue, list[str]]]) -> tuple[Any, ...]:
    """Return what to show for an input: state, message, results, table, timeline, and the choice of an utterance."""
    try:
        dialogue, left_out = read(given)
        recognised, notes = recognise(checkpoint, dialogue)
        timeline = plot_timeline(recognised.prediction)
    except EXPECTED as error:
        return None, wrong(error), gr.update(visible=False), None, None, gr.skip()
    except Exception as error:
        logger.exception("an unexpected error")
        message = f"something went wrong that is not your mistake ({type(error).__name__}); see the log of this page"
        return None, wrong(message), gr.update(visible=False), None, None, gr.skip()
    utterances = recognised.prediction["utterances"]
    rows = [
        [index + 1, utterance["speaker"], utterance.get("text", ""), *label_and_score(utterance)]
        for index, utterance in enumerate(utterances)
    ]
    choices = [(f"{row[0]}  {row[1]}: {row[3]}", index) for index, row in enumerate(rows)]
    chosen = gr.update(choices=choices, value=len(rows) - 1)
    return recognised, right(notes + left_out), gr.update(visible=True), rows, timeline, chosen


def why(recognised: Recognised | None, index: int | None) -> Any:
    """Draw why an utterance got its label; no picture, and a notice, if that cannot be found any more."""
    if recognised is None or index is None:
        return None
    try:
        model, processor = load(recognised.checkpoint)
        explanation = explain(model, processor, recognised.dialogue, index)
    except EXPECTED as error:
        gr.Warning(html.escape(one_line(error)))
        return None
    return plot_explanation(explanation, recognised.prediction, index)


def chosen_row(event: gr.SelectData) -> int:
    """Return the utterance of the row that was clicked, however the table is sorted."""
    return int(event.row_value[0]) - 1


def make_page(checkpoint: str) -> gr.Blocks:
    """Build the page.

    Args:
        checkpoint: local folder or Hub id that its box holds at first.
    """
    with gr.Blocks(title="Emotions in a conversation", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        state = gr.State()
        gr.Markdown(INTRODUCTION)
        gr.Markdown(CONSENT, elem_id="consent")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                checkpoint_box = gr.Textbox(checkpoint, label="Checkpoint", info="A local folder or an id on the Hub")
                with gr.Tabs():
                    with gr.Tab("Text"):
                        text = gr.Textbox(
                            label="Dialogue",
                            info="One utterance per line, as in “Anna: Hello.”, or one dialogue as JSON",
                            lines=8,
                            max_lines=16,
                        )
                        with gr.Row():
                            example = gr.Button("Example")
                            recognise_text = gr.Button("Recognise", variant="primary", elem_id="recognise-text")
                    with gr.Tab("Clips"):
                        gr.Markdown(
                            "Sound or video files named as in `01_Anna.wav`; the text of that one is `01_Anna.txt`."
                        )
                        clips = gr.File(
                            label="Clips",
                            file_count="multiple",
                            file_types=sorted([*AUDIO_SUFFIXES, *VIDEO_SUFFIXES, ".txt"]),
                            height=180,
                        )
                        recognise_clips = gr.Button("Recognise", variant="primary", elem_id="recognise-clips")
                        with gr.Accordion("Add the next utterance", open=False):
                            with gr.Row():
                                speaker = gr.Textbox(label="Speaker", min_width=120)
                                said = gr.Textbox(label="What is said, if known", min_width=120, scale=2)
                            with gr.Tabs():
                                with gr.Tab("Sound"):
                                    sound = gr.Audio(label="Sound", sources=["microphone", "upload"], type="filepath")
                                with gr.Tab("Video"):
                                    video = gr.Video(
                                        label="Video", sources=["webcam", "upload"], include_audio=True, height=300
                                    )
                            add = gr.Button("Add")
            with gr.Column(scale=3, min_width=320):
                message = gr.HTML(right(["Give a dialogue, and press Recognise."]), elem_id="message")
                with gr.Column(visible=False) as results:
                    table = gr.Dataframe(
                        headers=["#", "Speaker", "Text", "Emotion", "Score"],
                        datatype=["number", "str", "str", "str", "str"],
                        column_widths=["8%", "20%", "34%", "22%", "16%"],
                        interactive=False,
                        wrap=True,
                        label="Emotions",
                        elem_id="table",
                    )
                    timeline = gr.Plot(label="Timeline", show_label=False, elem_id="timeline")
                    choice = gr.Dropdown(label="Why? Choose an utterance, here or in the table", elem_id="choice")
                    why_picture = gr.Plot(label="Why", show_label=False, elem_id="why")

        found = [state, message, results, table, timeline, choice]
        for button, read, given in ((recognise_text, read_text, text), (recognise_clips, read_clips, clips)):
            button.click(partial(answer, read=read), [checkpoint_box, given], found).then(
                why, [state, choice], why_picture, show_progress="hidden"
            )
        choice.input(why, [state, choice], why_picture)
        table.select(chosen_row, None, choice).then(why, [state, choice], why_picture)
        example.click(lambda: EXAMPLE, None, text)
        add.click(add_clip, [clips, speaker, said, sound, video], [clips, said, sound, video, message, results])
    return page


def open_page(checkpoint: str, **options: Any) -> gr.Blocks:
    """Serve the page, on 127.0.0.1 unless Gradio's environment variables say otherwise.

    Args:
        checkpoint: as in `make_page`.
        options: arguments of `gr.Blocks.launch`.
    """
    # System fonts: those of the themes are fetched from the network.
    theme = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    page = make_page(checkpoint)
    page.launch(theme=theme, css=CSS, footer_links=[], run_history=False, **options)
    return page


def main() -> None:
    """Say which device the model runs on, and serve the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checkpoint = os.environ.get("JOYFUL_CHECKPOINT", DEFAULT_CHECKPOINT)
    parser.add_argument("checkpoint", nargs="?", default=checkpoint, help="Folder of a trained model, or its Hub id.")
    parser.add_argument(
        "--device",
        default=os.environ.get(DEVICE_VARIABLE),
        help="Device to run on, such as cuda:1 or cpu; by default the machine's accelerator.",
    )
    arguments = parser.parse_args()
    try:
        device = choose_device(arguments.device)
    except DialogueError as error:
        parser.error(str(error))
    os.environ[DEVICE_VARIABLE] = str(device)  # for `load`
    print(f"running on {describe_device(device)}", flush=True)
    open_page(arguments.checkpoint)


if __name__ == "__main__":
    main()
