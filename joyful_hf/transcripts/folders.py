"""A folder of recordings, some of which have their transcript beside them: `meeting.wav` and `meeting.srt`."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from ..data.recordings import VIDEO_SUFFIXES, find_recordings, load_recordings
from ..io.data_root import refuse_files_outside, refuse_media_outside
from ..processing import DialogueError
from .loading import KNOWN_SUFFIXES, read_transcript
from .options import TranscriptOptions
from .report import TranscriptReport

# A .txt beside a clip is the text of one utterance, and a .parquet holds dialogues.
_SUFFIXES = frozenset(KNOWN_SUFFIXES) - {".txt", ".parquet"}


def find_transcripts(folder: Path) -> dict[Path, Path]:
    """Return recording -> its transcript, for the recordings of a folder, at any depth, that have one.

    Raises:
        DialogueError: a recording has two transcripts.
    """
    found: dict[Path, Path] = {}
    for recording in find_recordings(folder):
        beside = [
            path
            for path in sorted(recording.parent.iterdir())
            if path.stem == recording.stem and path.suffix.lower() in _SUFFIXES
        ]
        if len(beside) > 1:
            names = " and ".join(path.name for path in beside)
            raise DialogueError(f"{recording}: has two transcripts, {names}; remove one")
        if beside:
            found[recording] = beside[0]
    return found


def read_folder(folder: Path, data_root: Path | None = None) -> tuple[Dataset, list[TranscriptReport]]:
    """Read recordings with transcripts as a dialogue each, and the clips without one as `load_recordings` does.

    Args:
        data_root: for files of strangers, the folder in which all has to lie that is read.

    Returns:
        The dialogues, and a report of each transcript.

    Raises:
        DialogueError: as `read_transcript` and `load_recordings`.
    """
    refuse_files_outside(folder, data_root)
    transcripts = find_transcripts(folder)
    # A video and a sound of one name are one recording, and the video has both.
    of_transcript = {transcript: recording for recording, transcript in transcripts.items()}
    of_transcript |= {text: media for media, text in transcripts.items() if media.suffix.lower() in VIDEO_SUFFIXES}
    dialogues: list[dict[str, Any]] = []
    reports = []
    for transcript, recording in of_transcript.items():
        dialogue_id = transcript.relative_to(folder).with_suffix("").as_posix()
        dataset, report = read_transcript(transcript, recording, TranscriptOptions(dialogue_id=dialogue_id))
        dialogues += dataset.to_list()
        reports.append(report)
    read = {*transcripts, *of_transcript}
    if set(find_recordings(folder)) - read:
        dialogues += load_recordings(folder, without=read).to_list()
    found = Dataset.from_list(dialogues)
    refuse_media_outside(found, data_root)
    return found, reports
