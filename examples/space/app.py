"""A page that recognises the emotions of a conversation, shows them in time and plays them:

    python app.py [CHECKPOINT ...] [--device DEVICE] [--any-checkpoint]

It runs as a Space on the Hub and on any machine, and needs no network if the checkpoints are local folders.
`reading.py` reads what a visitor gives, `recognising.py` asks the model, and `timeline.py` and `timeline.js` show what
was found.
"""

import argparse
import html
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from playing import playable
from reading import files_of, next_clip, read_clips, read_recording, read_text, without_folders
from recognising import (
    DEVICE_VARIABLE,
    DOWNLOADS,
    Checkpoints,
    Recognised,
    Step,
    explain_label,
    load,
    recognise,
    write_downloads,
)
from timeline import view_of

from joyful_hf import DialogueError, make_toy_media_corpus
from joyful_hf.data.recordings import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from joyful_hf.processing.devices import choose_device, describe_device
from joyful_hf.toy.media import join_toy_dialogue

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
DEFAULT_CHECKPOINT = "demo-output/model"
CHECKPOINTS_VARIABLE = "JOYFUL_CHECKPOINTS"
HOUR = 3600
LARGEST_FILE = "2gb"
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
Give a recording and its transcript, and see who expresses what, when, and why the model thinks so."""

CONSENT = """\
**Before you record or upload:** have the consent of everyone who can be heard, seen or read. What you give stays on
the machine that runs this page and is deleted within two hours. A model repeats how its annotators judged others. It
does not know what anybody feels, and it makes mistakes, more often about people unlike those that it was trained on.
Do not use it to decide anything about a person, at work, at school or elsewhere."""

TRANSCRIPTS = """\
The transcript says who said what when: JSON of whisper, whisperX, AssemblyAI, Deepgram or AWS, subtitles (SRT, WebVTT
of Teams or Zoom), TextGrid, ELAN, RTTM, or a table. If each speaker has a channel of their own, name them below."""


# Messages.


def right(notes: Sequence[str]) -> str:
    """Return a message as HTML."""
    return f'<div class="message">{"".join(f"<p>{html.escape(without_folders(note))}</p>" for note in notes)}</div>'


def working(step: Step) -> str:
    """Return a message that says how far the work is as HTML."""
    bar = f'<progress max="1" value="{step.share:.3f}"></progress>'
    return f'<div class="message" role="status"><p>{html.escape(step.what)} …</p>{bar}</div>'


def wrong(error: object) -> str:
    """Return the message of an error as HTML."""
    text = without_folders(error) or type(error).__name__
    return f'<div class="message wrong" role="alert"><p>{html.escape(text)}</p></div>'


# The page. What a run changes: the visitor's state, the message, the results, their timeline, and the downloads.


def shown(message: str, state: Any = None, view: Any = None, files: Mapping[str, str] | None = None) -> list[Any]:
    """Return what the page shows; without a view there are no results, so that none stands beside another message."""
    buttons = [gr.update(value=(files or {}).get(suffix), visible=suffix in (files or {})) for suffix in DOWNLOADS]
    return [state, message, gr.update(visible=view is not None), gr.update(value=view, why=None), *buttons]


def answer(checkpoints: Checkpoints, read: Callable[..., Any], chosen: str, *given: Any) -> Iterator[list[Any]]:
    """Yield what to show while an input is read and recognised, and at last its results or an error."""
    try:
        yield shown(working(Step("Reading", 0.0)))
        checkpoint = checkpoints.find(chosen)
        dialogue, notes = read(*given)
        recognised = None
        for step in recognise(checkpoint, dialogue):
            if isinstance(step, Step):
                yield shown(working(step))
            else:
                recognised, read_of = step
                notes = [f"{chosen}: {read_of[0]}", *read_of[1:], *notes]
        assert recognised is not None
        files, file_of = files_of(recognised.dialogue)
        yield shown(working(Step("Preparing what can be played", 1.0)))
        with TemporaryDirectory() as folder:
            media = [playable(file, Path(folder)) for file in files]
            # As text: Gradio watches every part of an object, and a long recording has a great many.
            view = {
                "text": json.dumps(view_of(recognised.prediction, file_of)),
                "media": [gr.FileData(path=file).model_dump() for file in media],
            }
            downloads = write_downloads(recognised.prediction, Path(folder))
            yield shown(right(notes), recognised, view, downloads)  # gradio copies the files here
    except EXPECTED as error:
        yield shown(wrong(error))
    except Exception as error:
        logger.exception("an unexpected error")
        yield shown(
            wrong(f"something went wrong here ({type(error).__name__}); the owner of this page can see the log")
        )


def add_clip(
    files: list[str] | None, speaker: str | None, text: str | None, audio: str | None, video: str | None
) -> Iterator[list[Any]]:
    """Add one more clip: yields the files, text, audio, video, and what the page shows; the old results go."""
    with TemporaryDirectory() as folder:
        try:
            number, clips = next_clip(files or [], speaker or "", text or "", audio, video, Path(folder))
        except DialogueError as error:
            yield [*[gr.skip()] * 4, *shown(wrong(error))]
        else:
            message = right([f"utterance {number} was added; add the next one, or press Recognise"])
            yield [clips, "", None, None, *shown(message)]  # gradio copies the files here


@lru_cache(maxsize=1)
def example_recording() -> tuple[TemporaryDirectory, Path, Path]:
    """Make a recording of two voices and its transcript, once; they are removed when the page is closed."""
    folder = TemporaryDirectory()
    dialogue = make_toy_media_corpus(Path(folder.name) / "toy", num_train=1, num_validation=1, num_test=1)["test"][0]
    return folder, *join_toy_dialogue(dialogue, Path(folder.name) / "recording")


def why(recognised: Recognised | None, event: gr.EventData) -> Any:
    """Tell the timeline why an utterance got its label, or why that cannot be found any more."""
    if recognised is None:
        return gr.skip()
    index = int(event.index)
    try:
        return gr.update(why=explain_label(recognised, index))
    except EXPECTED as error:
        return gr.update(why={"index": index, "error": without_folders(error)})


def make_page(checkpoints: Checkpoints) -> gr.Blocks:
    """Build the page."""
    names = list(checkpoints.by_name)
    with gr.Blocks(title="Emotions in a conversation", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        state = gr.State()
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        gr.Markdown(CONSENT, elem_id="consent")
        model = gr.Dropdown(
            names,
            value=names[0],
            label="Model",
            info="A local folder or an id on the Hub" if checkpoints.is_free else None,
            allow_custom_value=checkpoints.is_free,
            visible=checkpoints.is_free or len(names) > 1,
        )
        with gr.Tabs():
            with gr.Tab("Recording"):
                with gr.Row():
                    recording = gr.File(
                        label="Recording: sound or video",
                        file_types=["audio", "video", *sorted(AUDIO_SUFFIXES | VIDEO_SUFFIXES)],
                        height=130,
                        min_width=280,
                        elem_id="recording",
                    )
                    transcript = gr.File(label="Transcript", height=130, min_width=280, elem_id="transcript")
                gr.Markdown(TRANSCRIPTS, elem_classes="hint")
                with gr.Accordion("Who speaks", open=False), gr.Row():
                    channels = gr.Textbox(
                        label="Speakers on the channels of the recording",
                        info="From the first channel on, as in “Alice, Bob”; empty if all are on all channels",
                    )
                    speakers = gr.File(label="RTTM, or another file that says who spoke when", height=110)
                with gr.Row():
                    example_of_recording = gr.Button("Example", min_width=120, elem_id="example-recording")
                    recognise_recording = gr.Button(
                        "Recognise", variant="primary", min_width=120, elem_id="recognise-recording"
                    )
            with gr.Tab("Text"):
                text = gr.Textbox(
                    label="Dialogue",
                    info="One utterance per line, as in “Anna: Hello.”, or one dialogue as JSON",
                    lines=7,
                    max_lines=16,
                )
                with gr.Row():
                    example = gr.Button("Example", min_width=120)
                    recognise_text = gr.Button("Recognise", variant="primary", min_width=120, elem_id="recognise-text")
            with gr.Tab("Clips"):
                gr.Markdown(
                    "Sound or video files named as in `01_Anna.wav`; the text of that one is `01_Anna.txt`.",
                    elem_classes="hint",
                )
                clips = gr.File(
                    label="Clips",
                    file_count="multiple",
                    file_types=sorted([*AUDIO_SUFFIXES, *VIDEO_SUFFIXES, ".txt"]),
                    height=180,
                    elem_id="clips",
                )
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
                recognise_clips = gr.Button("Recognise", variant="primary", elem_id="recognise-clips")
        message = gr.HTML(right(["Give a conversation, and press Recognise."]), elem_id="message")
        with gr.Column(visible=False, elem_id="results") as results:
            view = gr.HTML(
                None,
                html_template="",
                apply_default_css=False,
                js_on_load=(FOLDER / "timeline.js").read_text(encoding="utf-8"),
                elem_id="timeline",
                why=None,
            )
            with gr.Row(elem_id="downloads"):
                buttons = [
                    gr.DownloadButton(name, size="sm", min_width=90, visible=False, elem_id=f"download-{suffix[1:]}")
                    for suffix, name in DOWNLOADS.items()
                ]

        found = [state, message, results, view, *buttons]
        for button, read, given in (
            (recognise_recording, read_recording, [recording, transcript, channels, speakers]),
            (recognise_text, read_text, [text]),
            (recognise_clips, read_clips, [clips]),
        ):
            # The old results go at once, also while others are served first.
            button.click(
                lambda: shown(working(Step("Waiting for a free place", 0.0))),
                None,
                found,
                queue=False,
                show_progress="hidden",
            ).then(
                partial(answer, checkpoints, read),
                [model, *given],
                found,
                show_progress="hidden",
                concurrency_id="model",
            )
        view.select(why, state, view, show_progress="hidden", concurrency_id="model")
        example.click(lambda: EXAMPLE, None, text)
        example_of_recording.click(lambda: list(map(str, example_recording()[1:])), None, [recording, transcript])
        add.click(add_clip, [clips, speaker, said, sound, video], [clips, said, sound, video, *found])
    return page


def open_page(checkpoints: Checkpoints, **options: Any) -> gr.Blocks:
    """Serve the page, on 127.0.0.1 unless Gradio's environment variables say otherwise.

    Args:
        checkpoints: visitors choose from them.
        options: arguments of `gr.Blocks.launch`.
    """
    # System fonts: those of the themes are fetched from the network.
    theme = gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["monospace"]
    ).set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")
    page = make_page(checkpoints)
    page.launch(
        theme=theme,
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        footer_links=[],
        run_history=False,
        max_file_size=LARGEST_FILE,
        **options,
    )
    return page


def is_public(environment: Mapping[str, str]) -> bool:
    """Return whether others can open the page: it is a Space, is shared, or listens beyond this machine."""
    server = environment.get("GRADIO_SERVER_NAME", "127.0.0.1")
    is_shared = environment.get("GRADIO_SHARE", "").lower() in ("true", "1")
    return "SPACE_ID" in environment or is_shared or server not in ("127.0.0.1", "localhost", "::1")


def main() -> None:
    """Say which device the model runs on, and serve the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = [each.strip() for each in os.environ.get(CHECKPOINTS_VARIABLE, DEFAULT_CHECKPOINT).split(",")]
    parser.add_argument(
        "checkpoints",
        nargs="*",
        default=[each for each in listed if each],
        metavar="CHECKPOINT",
        help="Folders of trained models, or their Hub ids; visitors choose from them.",
    )
    parser.add_argument(
        "--any-checkpoint",
        action="store_true",
        help="Let the page load any other folder or Hub id too: for a page that only you can open.",
    )
    parser.add_argument(
        "--device",
        default=os.environ.get(DEVICE_VARIABLE),
        help="Device to run on, such as cuda:1 or cpu; by default the machine's accelerator.",
    )
    arguments = parser.parse_args()
    if arguments.any_checkpoint and is_public(os.environ):
        parser.error("--any-checkpoint: others can open this page; list the checkpoints that they may use instead")
    try:
        device = choose_device(arguments.device)
        os.environ[DEVICE_VARIABLE] = str(device)  # for `load`
        load(arguments.checkpoints[0])
    except DialogueError as error:
        parser.error(str(error))
    print(f"running on {describe_device(device)}", flush=True)
    open_page(Checkpoints.of(arguments.checkpoints, arguments.any_checkpoint))


if __name__ == "__main__":
    main()
