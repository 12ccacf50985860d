"""ELAN's .eaf: reads tiers as speakers; writes a tier per speaker, with a tier of emotions below it.

As in the ELAN Annotation Format 3.0, https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, pairwise
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ...processing.dialogues import DialogueError
from ..rows import Row
from ..segments import Segment, Transcript
from .text import parse_xml
from .tiers import EMOTION, Tier, label_words, refuse_unknown_tiers, speaker_tiers

# Field linguists number utterances on a tier `ref`, and write them on one below it.
_NUMBERS = re.compile(r"(?:.*[@_ -])?ref(?:[@_ -].*)?", re.I)
_TEXTS = re.compile(r"(?:.*[@_ -])?(?:tx|txt|text|orth|transcription|utterance|ft)(?:[@_ -].*)?", re.I)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_STEREOTYPES = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this "
    "interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations refering to the same parent "
    "are ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}


@dataclass
class _Annotation:
    name: str
    text: str
    start: float | None = None
    end: float | None = None
    parent: str | None = None
    previous: str | None = None


@dataclass
class _ElanTier:
    name: str
    speaker: str
    parent: str | None
    annotations: list[_Annotation] = field(default_factory=list)


def read_elan(text: str, path: Path, tiers: Sequence[str] | None = None) -> Transcript:
    """Read an .eaf; each tier without a parent belongs to its participant, or else to a speaker named like the tier.

    If such a tier has no text, or holds only the numbers of utterances (`ref`), a tier below it is read in its place.

    Args:
        tiers: names of the tiers to read instead, which may have a parent.

    Raises:
        DialogueError: the text is not XML, times are not in milliseconds, or an annotation refers to nothing.
    """
    root = parse_xml(text, path)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DialogueError(f"{path}: no file of ELAN (its XML begins with <{root.tag}>)")
    _check_units(root, path)
    found = {tier.name: tier for tier in map(_tier_of, root.iter("TIER"))}
    _align(root, found, path)
    if tiers is not None:
        refuse_unknown_tiers(tiers, found, path)
        chosen = list(tiers)
    else:
        chosen = [_text_tier(tier, found) for tier in found.values() if tier.parent is None]
    emotions = {EMOTION + name for name in chosen} & found.keys()
    others = [repr(name) for name in found if name not in {*chosen, *emotions}]
    notes = [f"tiers that are not read: {', '.join(others)}; name them in `tiers` if they should be"] if others else []
    segments = [segment for name in chosen for segment in _segments_of(found[name], found, path)]
    segments.sort(key=lambda segment: segment.times)
    return Transcript("ELAN", segments, merge_gap=0.0, is_in_order=False, notes=notes)


def _check_units(root: Element, path: Path) -> None:
    units = sorted({element.attrib["TIME_UNITS"] for element in root.iter() if "TIME_UNITS" in element.attrib})
    if len(units) > 1:
        raise DialogueError(f"{path}: several time units ({', '.join(units)}); save the file again in ELAN")
    if units and units != ["milliseconds"]:
        raise DialogueError(f"{path}: times in {units[0]}, expected milliseconds; save the file again in ELAN")


def _tier_of(element: Element) -> _ElanTier:
    name = element.get("TIER_ID", "")
    tier = _ElanTier(name, element.get("PARTICIPANT") or name, element.get("PARENT_REF"))
    for annotation in element.iterfind("ANNOTATION/*"):
        value = annotation.findtext("ANNOTATION_VALUE") or ""
        name = annotation.get("ANNOTATION_ID", "")
        tier.annotations.append(
            _Annotation(
                name, value, parent=annotation.get("ANNOTATION_REF"), previous=annotation.get("PREVIOUS_ANNOTATION")
            )
        )
    return tier


def _align(root: Element, tiers: dict[str, _ElanTier], path: Path) -> None:
    """Set the times of every annotation: its own, a share of the time between others, or a share of its parent's."""
    milliseconds = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    for element in root.iter("TIER"):
        tier = tiers[element.get("TIER_ID", "")]
        names: list[str] = []
        aligned: list[_Annotation] = []
        for annotation, own in zip(tier.annotations, element.iterfind("ANNOTATION/*"), strict=True):
            if own.tag != "ALIGNABLE_ANNOTATION":
                continue
            for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2"):
                if own.get(key) not in milliseconds:
                    raise DialogueError(
                        f"{path}, tier {tier.name!r}, annotation {annotation.name!r}: there is no time slot "
                        f"{own.get(key)!r}; save the file again in ELAN"
                    )
                names.append(own.get(key, ""))
            aligned.append(annotation)
        seconds = _slot_seconds(names, milliseconds, f"{path}, tier {tier.name!r}")
        for annotation, start, end in zip(aligned, names[::2], names[1::2], strict=True):
            annotation.start, annotation.end = seconds[start], seconds[end]
    _align_parts(tiers, path)


def _slot_seconds(names: Sequence[str], milliseconds: dict[str | None, str | None], place: str) -> dict[str, float]:
    """Return the seconds of a tier's time slots; slots without a time are spread evenly between their neighbours."""
    order = list(dict.fromkeys(names))
    seconds: dict[str, float] = {}
    try:
        known = {name: int(value) / 1000 for name in order if (value := milliseconds[name]) is not None}
    except ValueError as error:
        raise DialogueError(f"{place}: a time slot is no whole number of milliseconds ({error})") from None
    before = 0.0
    for is_known, run in groupby(order, key=known.__contains__):
        group = list(run)
        if is_known:
            seconds |= {name: known[name] for name in group}
            before = known[group[-1]]
            continue
        last = order.index(group[-1])
        if last + 1 == len(order):
            raise DialogueError(
                f"{place}: the last time slot, {group[-1]!r}, has no time; save the file again in ELAN"
            )
        step = (known[order[last + 1]] - before) / (len(group) + 1)
        seconds |= {name: before + step * position for position, name in enumerate(group, 1)}
    return seconds


def _align_parts(tiers: dict[str, _ElanTier], path: Path) -> None:
    """Divide the time of each annotation evenly between the annotations of a tier that refer to it."""
    by_name = {annotation.name: annotation for tier in tiers.values() for annotation in tier.annotations}
    waiting: dict[tuple[str, str | None], list[_Annotation]] = {}
    for tier in tiers.values():
        for annotation in tier.annotations:
            if annotation.start is None:
                waiting.setdefault((tier.name, annotation.parent), []).append(annotation)
    while waiting:
        ready = {
            key: parent
            for key in waiting
            if (parent := by_name.get(key[1] or "")) is not None and parent.start is not None
        }
        if not ready:
            (name, reference), parts = next(iter(waiting.items()))
            raise DialogueError(
                f"{path}, tier {name!r}, annotation {parts[0].name!r}: it has no times, and refers to {reference!r}, "
                "which is no annotation that has; save the file again in ELAN"
            )
        for key, parent in ready.items():
            parts = _in_order(waiting.pop(key))
            start, end = parent.start or 0.0, parent.end or 0.0
            limits = [*(start + (end - start) * position / len(parts) for position in range(len(parts))), end]
            for part, own in zip(parts, pairwise(limits), strict=True):
                part.start, part.end = own


def _in_order(parts: Sequence[_Annotation]) -> list[_Annotation]:
    """Sort the parts of one annotation, each after the one that it names as the previous one."""
    after = {part.previous: part for part in parts}
    ordered: list[_Annotation] = []
    part = after.get(None)
    while part is not None and len(ordered) < len(parts):
        ordered.append(part)
        part = after.get(part.name)
    return ordered if len(ordered) == len(parts) else list(parts)


def _text_tier(tier: _ElanTier, tiers: dict[str, _ElanTier]) -> str:
    """Return the name of the tier that holds the speech: this one, or one below it."""
    below = [each for each in tiers.values() if each.parent == tier.name and not each.name.startswith(EMOTION)]
    with_text = [each for each in below if any(annotation.text.strip() for annotation in each.annotations)]
    has_text = any(annotation.text.strip() for annotation in tier.annotations)
    if has_text and _NUMBERS.fullmatch(tier.name):
        with_text = [each for each in with_text if _TEXTS.fullmatch(each.name)]
        has_text = not with_text
    return tier.name if has_text or not with_text else with_text[0].name


def _segments_of(tier: _ElanTier, tiers: dict[str, _ElanTier], path: Path) -> list[Segment]:
    emotions = tiers.get(EMOTION + tier.name)
    root = tier
    while root.speaker == root.name and root.parent in tiers:  # a tier below has its speaker's name from above
        root = tiers[root.parent]
    segments = [
        Segment(
            annotation.start,
            annotation.end,
            annotation.text,
            root.speaker,
            place=f"{path}, tier {tier.name!r}, annotation {annotation.name!r}",
        )
        for annotation in tier.annotations
    ]
    if emotions is None:
        return segments
    labels = {(each.start or 0.0, each.end or 0.0): each.text or " " for each in emotions.annotations}
    return Tier(tier.name, segments, labels).utterances()


def elan_document(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the file for utterances with times."""
    root = Element("ANNOTATION_DOCUMENT", AUTHOR="joyful_hf", FORMAT="3.0", VERSION="3.0")
    root.set("DATE", datetime.now(UTC).isoformat(timespec="seconds"))
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    for medium in dict.fromkeys(row.extra.get(key) for row in rows for key in ("video", "audio")):
        if isinstance(medium, str):
            url = Path(medium).absolute().as_uri()
            SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=url, MIME_TYPE="unknown")
    order = SubElement(root, "TIME_ORDER")
    slots: list[int] = []
    names: set[str] = set()
    for speaker, own in speaker_tiers(rows):
        name = _new_name(_clean(speaker), names)
        names |= {name, EMOTION + name}
        tier = SubElement(root, "TIER", TIER_ID=name, PARTICIPANT=_clean(speaker), LINGUISTIC_TYPE_REF="utterance")
        child = SubElement(
            root,
            "TIER",
            TIER_ID=EMOTION + name,
            PARTICIPANT=_clean(speaker),
            PARENT_REF=name,
            LINGUISTIC_TYPE_REF="emotion",
        )
        for row in own:
            start, end = (f"ts{len(slots) + number}" for number in (1, 2))
            slots += [round(seconds * 1000) for seconds in row.times]
            number = len(slots)
            attributes = {"ANNOTATION_ID": f"a{number - 1}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            text = SubElement(SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", attributes)
            SubElement(text, "ANNOTATION_VALUE").text = _clean(" ".join((row.text or "").split()))
            attributes = {"ANNOTATION_ID": f"a{number}", "ANNOTATION_REF": f"a{number - 1}"}
            emotion = SubElement(SubElement(child, "ANNOTATION"), "REF_ANNOTATION", attributes)
            SubElement(emotion, "ANNOTATION_VALUE").text = _clean(label_words(row.label))
    for number, milliseconds in enumerate(slots, 1):
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(milliseconds))
    common = {"GRAPHIC_REFERENCES": "false"}
    SubElement(root, "LINGUISTIC_TYPE", common, LINGUISTIC_TYPE_ID="utterance", TIME_ALIGNABLE="true")
    below = {"CONSTRAINTS": "Symbolic_Association", "LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "false"}
    SubElement(root, "LINGUISTIC_TYPE", common | below)
    for stereotype, description in _STEREOTYPES.items():
        SubElement(root, "CONSTRAINT", STEREOTYPE=stereotype, DESCRIPTION=description)
    ElementTree.indent(root)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield ElementTree.tostring(root, encoding="unicode") + "\n"


def _new_name(name: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken: ELAN does not allow two tiers of the same name."""
    number = 1
    new = name
    while {new, EMOTION + new} & taken:
        number += 1
        new = f"{name} ({number})"
    return new


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("", text)
