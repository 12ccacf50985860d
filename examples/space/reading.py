"""What a visitor gives, read as a dialogue: a recording and its transcript, pasted text, or one clip per utterance.

A visitor never reads the files of the server: every file that a dialogue names is one that was uploaded with it, and
`without_folders` takes the folders out of all messages.
"""

import json
import os
import re
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from joyful_hf import DialogueError, load_recordings
from joyful_hf.data.recordings import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from joyful_hf.processing.dialogues import Dialogue, as_dialogue_list, dialogue_name, get_utterances
from joyful_hf.processing.media import as_source
from joyful_hf.transcripts.loading import KNOWN_SUFFIXES, read_transcript
from joyful_hf.transcripts.options import TranscriptOptions

MOST_UTTERANCES = 5000
"""A conversation of five hours; some models compare each utterance with every other."""
MOST_CHARACTERS = 20_000_000
"""Of a text that is pasted: 5,000 utterances with their features have about as many."""
_KEPT_IN = [os.environ[name] for name in ("GRADIO_TEMP_DIR", "HF_HOME") if os.environ.get(name)]
_FOLDERS = re.compile(r"(?<![\w.:/~-])(?:[A-Za-z]:)?[/\\](?:[^/\\\s:;,'\"()]+[/\\])+")


def read_recording(
    recording: str | None, transcript: str | None, channels: str | None, speakers: str | None
) -> tuple[Dialogue, list[str]]:
    """Read the transcript of a recording as a dialogue; also say what became of its cues.

    Args:
        recording: audio or video file; without one there is no sound, and the words alone are read.
        transcript: the file that says who said what when.
        channels: the speaker on each channel of the recording, as in "Alice, Bob"; may be empty.
        speakers: file that says who spoke when, whatever the transcript says.
    """
    if transcript is None:
        raise DialogueError(
            "there is no transcript yet: upload the file that says who said what when "
            f"({', '.join(KNOWN_SUFFIXES)}); tools such as whisperX, Teams and Zoom write one"
        )
    for file in filter(None, (recording, transcript, speakers)):
        _check_is_there(Path(file))
    channels = (channels or "").strip()
    names = [name.strip() or None for name in channels.split(",")] if channels else None
    dialogues, report = read_transcript(transcript, recording, TranscriptOptions(speakers=speakers, channels=names))
    if len(dialogues) > 1:
        raise DialogueError(f"{Path(transcript).name}: holds {len(dialogues)} dialogues; give one at a time")
    dialogue = dialogues[0]
    dialogue["utterances"] = [
        {key: value for key, value in utterance.items() if value is not None} for utterance in dialogue["utterances"]
    ]
    _check(dialogue, [] if recording is None else [str(Path(recording))])
    return dialogue, [line.strip() for line in str(report).splitlines()]


def read_text(text: str | None) -> tuple[Dialogue, list[str]]:
    """Read pasted text, `Speaker: text` lines or one dialogue as JSON, as a dialogue."""
    if not text or not text.strip():
        raise DialogueError("there is no dialogue yet: write one utterance per line, as in “Anna: Hello.”")
    if len(text) > MOST_CHARACTERS:
        raise DialogueError(f"this page reads at most {MOST_CHARACTERS:,} characters; {_ELSEWHERE}")
    dialogues = as_dialogue_list(_read_json(text) if text.lstrip()[0] in "[{" else {"utterances": _read_lines(text)})
    if len(dialogues) > 1:
        raise DialogueError(f"these are {len(dialogues)} dialogues; paste one at a time")
    _check(dialogues[0], [])
    return dialogues[0], []


def _read_lines(text: str) -> list[dict[str, str]]:
    """Read `Speaker: text`, one utterance per line."""
    utterances = []
    for number, line in enumerate(text.splitlines(), 1):
        speaker, colon, said = (part.strip() for part in line.partition(":"))
        if line.strip() and not (speaker and colon and said):
            raise DialogueError(f"line {number}: {line.strip()!r:.60} is not of the form “Speaker: text”")
        if line.strip():
            utterances.append({"speaker": speaker, "text": said})
    return utterances


def _read_json(text: str) -> Any:
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
    _check_number(len(files))
    with TemporaryDirectory() as place:
        folder = Path(place) / "clips"
        folder.mkdir()
        for file in map(Path, files):
            _check_is_there(file)
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


def next_clip(
    files: Sequence[str], speaker: str, text: str, audio: str | None, video: str | None, folder: Path
) -> tuple[int, list[str]]:
    """Return the number of one more clip, and all clips with the files of this one, which are copied into `folder`."""
    clips = [Path(clip) for clip in (audio, video) if clip]
    speaker = re.sub(r"[^\w .'-]", "_", speaker).strip(" .")
    unknown = [clip.suffix for clip in clips if clip.suffix.lower() not in AUDIO_SUFFIXES | VIDEO_SUFFIXES]
    numbers = [re.match(r"(\d+)_", Path(file).name) for file in files]
    if not speaker:
        raise DialogueError("who speaks? Give the speaker's name")
    if not clips:
        raise DialogueError("there is no recording yet: record one, or choose a file")
    if unknown:
        kind = unknown[0] or "of an unknown kind"
        raise DialogueError(f"a clip is a sound or a video file, but this is {kind}")
    if not all(numbers):
        raise DialogueError("name the uploaded files 01_Anna.wav and so on, so that this one can be the next")
    number = max([int(found.group(1)) for found in numbers if found], default=0) + 1
    stem = f"{number:02}_{speaker[:60]}"
    added = [folder / f"{stem}{clip.suffix.lower()}" for clip in clips]
    for clip, copy in zip(clips, added, strict=True):
        copy.write_bytes(clip.read_bytes())
    if text.strip():
        added.append(folder / f"{stem}.txt")
        added[-1].write_text(text.strip(), encoding="utf-8")
    return number, [*files, *map(str, added)]


def files_of(dialogue: Dialogue) -> tuple[list[str], list[int | None]]:
    """Return the files in which the utterances of a dialogue are heard, and the index of the file of each."""
    heard = [_path(utterance.get("audio")) or _path(utterance.get("video")) for utterance in dialogue["utterances"]]
    files = list(dict.fromkeys(filter(None, heard)))
    return files, [None if file is None else files.index(file) for file in heard]


def _path(medium: Any) -> str | None:
    source = as_source(medium)
    return str(source) if isinstance(source, Path) else None


def _check_is_there(file: Path) -> None:
    if not file.is_file():
        raise DialogueError(f"{file.name} was uploaded too long ago and has been deleted; upload it again")


_ELSEWHERE = "`joyful predict` on a machine of your own reads any number"


def _check_number(utterances: int) -> None:
    if utterances > MOST_UTTERANCES:
        raise DialogueError(
            f"{utterances:,} utterances, and this page reads at most {MOST_UTTERANCES:,} at a time; {_ELSEWHERE}"
        )


def _check(dialogue: Dialogue, uploaded: Collection[str]) -> None:
    """Raise a DialogueError if a dialogue is too long for the page, or names a file that was not uploaded."""
    name = dialogue_name(dialogue, 0)
    utterances = get_utterances(dialogue, name)
    _check_number(len(utterances))
    for index, utterance in enumerate(utterances):
        for key in ("audio", "video"):
            source = as_source(utterance.get(key))
            if source is not None and str(source) not in uploaded:
                raise DialogueError(
                    f"{name}, utterances[{index}]: '{key}' names a file, which must be uploaded instead of named"
                )


def without_folders(message: object) -> str:
    """Return a message on one line, with the names of files and without their folders."""
    text = " ".join(str(message).split())
    for folder in sorted({tempfile.gettempdir(), os.getcwd(), str(Path.home()), *_KEPT_IN}, key=len, reverse=True):
        if len(folder) > 1:  # below folders that are known, names may hold spaces
            text = re.sub(re.escape(folder) + r"/(?:[^/:;,'\"]+/)*", "", text)
    return _FOLDERS.sub("", text)
