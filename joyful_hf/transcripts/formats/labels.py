"""Audacity labels: start, end and text on each line, separated by tabs, without a header.

As in https://manual.audacityteam.org/man/importing_and_exporting_labels.html.
"""

import re
from pathlib import Path

from ...processing.dialogues import DialogueError
from ..segments import Segment, Transcript
from .cues import speakers_of

LABEL_LINE = re.compile(r"-?\d+(?:[.,]\d+)?\t-?\d+(?:[.,]\d+)?(?:\t|$)")


def read_labels(text: str, path: Path) -> Transcript:
    """Read a label track; names before a colon are speakers, as in subtitles.

    Raises:
        DialogueError: a line does not have two times; the message names it.
    """
    segments = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("\\"):  # the second line of a label holds its frequencies
            continue
        if not LABEL_LINE.match(line):
            raise DialogueError(f"{path}, line {number}: {line!r:.60} is no label (start, tab, end, tab, text)")
        start, end, *rest = line.split("\t")
        seconds = [float(time.replace(",", ".")) for time in (start, end)]
        place = f"{path}, line {number}"
        segments.append(Segment(seconds[0], seconds[1], "\t".join(rest).strip(), place=place))
    for segment, named in zip(segments, speakers_of([segment.text or "" for segment in segments]), strict=True):
        segment.speaker, segment.text = named
    return Transcript("Audacity labels", segments, merge_gap=0.0, is_in_order=False)
