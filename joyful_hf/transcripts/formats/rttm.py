"""RTTM: who spoke when, without words, as pyannote and NeMo write it.

As in the NIST Rich Transcription evaluation plan (RT-09, appendix A). Some tools leave out the last of the ten
fields.
"""

from pathlib import Path

from ...processing.dialogues import DialogueError
from ..segments import Segment, Transcript


def read_rttm(text: str, path: Path, names: tuple[str, ...] = ()) -> Transcript:
    """Read the `SPEAKER` lines of one recording.

    Args:
        names: possible names of the recording; of several recordings in the file, the first of these names is read.

    Raises:
        DialogueError: a line has too few fields or an invalid number (the message names it), or the file holds
            several recordings, none of which has one of the names.
    """
    segments: list[tuple[str, Segment]] = []
    others: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        if fields[0] != "SPEAKER":
            others[f"RTTM lines of type {fields[0]}"] = others.get(f"RTTM lines of type {fields[0]}", 0) + 1
            continue
        place = f"{path}, line {number}"
        if len(fields) < 8:
            raise DialogueError(
                f"{place}: {len(fields)} fields, expected at least 8 (SPEAKER file 1 start duration …)"
            )
        try:
            start, duration = float(fields[3]), float(fields[4])
        except ValueError:
            raise DialogueError(f"{place}: start {fields[3]!r} and duration {fields[4]!r} must be numbers") from None
        speaker = None if fields[7] == "<NA>" else fields[7]
        segments.append((fields[1], Segment(start, start + duration, None, speaker, place=place)))
    recordings = list(dict.fromkeys(recording for recording, _ in segments))
    chosen = next((name for name in names if name in recordings), recordings[0] if len(recordings) == 1 else None)
    if recordings and chosen is None:
        raise DialogueError(
            f"{path}: holds {len(recordings)} recordings ({', '.join(recordings[:5])}); keep the lines of one, or "
            "call the recording's file by its name here"
        )
    kept = [segment for recording, segment in segments if recording == chosen]
    if len(recordings) > 1:
        others["RTTM lines of other recordings"] = len(segments) - len(kept)
    return Transcript("RTTM", kept, is_in_order=False, left_out=others)
