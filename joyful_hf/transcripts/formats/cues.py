"""The text of a cue, and the tags, speakers and emotions in it: removed when read, added when written."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..segments import join_texts

# A name before a colon: a few words without the punctuation of a sentence, `Dr. Ross` and `Ana (she/her)` included.
_NAMED = re.compile(r"(?P<name>[^\W_][^:<>\n?!;…]{0,58}?)\s?:(?:\s+(?P<text>.*))?$")
_MARKED = re.compile(
    r"(?:\[(?P<bracket>[^\[\]]{1,60})\]|(?P<name>(?:speaker|spk)[ _]?\w{1,3})):(?:\s+(?P<text>.*))?$", re.I
)
# `Ana [joy 83%]: `: a bracket with percentages, with signed numbers, with nothing, or with a plus.
_EMOTION = r"\[(?P<emotion>|\+|[^\[\]]+ (?:\d{1,3}|\?)%|(?:[^\[\]]+ )?[+-]\d+\.\d+)\]"
_EMOTION_OF_SPEAKER = re.compile(rf"(?P<name>.*?) {_EMOTION}:(?: (?P<text>.*))?$", re.S)
_EMOTION_OF_TEXT = re.compile(rf"{_EMOTION}(?: (?P<text>.*))?$", re.S)
_ONE_VALUE = re.compile(r"(?P<name>[^\[\]]+?) (?P<value>[+-]\d+\.\d+)(?:, |$)")
_ONE_EMOTION = re.compile(r"(?P<is_listed>\+?)(?P<label>[^\[\]]+?) (?:\d{1,3}|\?)%(?:, |$)")

_BRACKETED = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]+\*|（[^）]*）|【[^】]*】|♪[^♪]*♪")
_KNOWN_TAG = re.compile(r"</?(?:b|c|font|i|lang|rt|ruby|s|span|u|v)(?:[.\s][^<>]*)?>|\{\\[^{}]*\}", re.I)
_RUBY_TEXT = re.compile(r"<rt>.*?</rt>", re.I | re.S)


def is_speech(text: str) -> bool:
    """Return whether anything is said in a cue besides `[music]`, `(laughs)`, `*sighs*` and `♪ … ♪`."""
    return any(character.isalnum() for character in _BRACKETED.sub(" ", text).split("♪")[0])


def without_tags(text: str, known_only: bool = False) -> str:
    """Return the text of a cue without tags and entities, on one line.

    Args:
        known_only: keep a `<` that begins no tag of subtitles, as in SRT, where it need not be escaped.
    """
    text = _RUBY_TEXT.sub("", text)
    text = _KNOWN_TAG.sub("", text) if known_only else re.sub(r"<[^>]*>", "", text)
    return join_texts(html.unescape(text).split("\n"))


def speakers_of(texts: Sequence[str]) -> list[tuple[str | None, str]]:
    """Return the speaker that each text begins with, or None, and the rest of the text.

    `[SPEAKER_00]: ` and `Speaker 0: ` are always speakers. Any other `Name: ` is a speaker if at least half of the
    texts with speech begin with a name; otherwise it is part of a sentence.
    """
    marked = [_MARKED.match(text) for text in texts]
    named = [None if found else _as_name(text) for found, text in zip(marked, texts, strict=True)]
    spoken = sum(is_speech(text) for text in texts)
    are_names = 2 * sum(bool(found) for found in [*named, *marked]) >= max(1, spoken)
    result: list[tuple[str | None, str]] = []
    for text, mark, name in zip(texts, marked, named, strict=True):
        if mark:
            result.append(((mark["bracket"] or mark["name"]).strip(), (mark["text"] or "").strip()))
        else:
            result.append(name if name and are_names else (None, text))
    return result


def is_marked(text: str) -> bool:
    """Return whether a text begins with `[SPEAKER_00]: ` or `Speaker 0: `."""
    return _MARKED.match(without_tags(text, known_only=True)) is not None


def _as_name(text: str) -> tuple[str, str] | None:
    found = _NAMED.match(text)
    if not found:
        return None
    name = found["name"].strip()
    # A sentence before the colon has more words than a name.
    is_name = len(name.split()) <= 6 and not re.search(r"\.\s+\w+\s+\w+\s+\w+", name)
    return (name, (found["text"] or "").strip()) if is_name else None


@dataclass(frozen=True)
class Emotion:
    """The label of a cue, as read."""

    label: Any
    """A string, a list of strings, a float, floats by name, or None where the cue is marked as unread."""


def emotion_words(label: Any, scores: dict[str, float] | None) -> str:
    """The label as it stands in brackets.

    `joy 83%`, `+joy 83%, +surprise 61%`, `+1.250`, `valence +0.125, arousal -0.500`, or nothing.
    """
    if label is None:
        return ""
    if isinstance(label, Mapping):
        return ", ".join(f"{name} {value:+.3f}" for name, value in label.items())
    if isinstance(label, float | int) and not isinstance(label, bool):
        return f"{float(label):+.3f}"
    if isinstance(label, list | tuple):
        return ", ".join(f"+{_with_score(name, scores)}" for name in label) or "+"
    return _with_score(label, scores)


def _with_score(label: Any, scores: dict[str, float] | None) -> str:
    score = (scores or {}).get(str(label))
    return f"{label} {'?' if score is None else format(100 * score, '.0f')}%"


def speaker_and_emotion(text: str) -> tuple[str, Emotion, str] | None:
    """Return the three parts of `Ana [joy 83%]: Hello`, or None if the text has another form."""
    found = _EMOTION_OF_SPEAKER.match(text)
    return found and (found["name"], _as_emotion(found["emotion"]), found["text"] or "")


def emotion_and_text(text: str) -> tuple[Emotion, str] | None:
    """Return the two parts of `[joy 83%] Hello`, or None if the text has another form."""
    found = _EMOTION_OF_TEXT.match(text)
    return found and (_as_emotion(found["emotion"]), found["text"] or "")


def _as_emotion(words: str) -> Emotion:
    if not words:
        return Emotion(None)
    if words == "+":
        return Emotion([])
    if not words.endswith("%"):
        values = {found["name"]: float(found["value"]) for found in _ONE_VALUE.finditer(words)}
        return Emotion(values or float(words))
    found = list(_ONE_EMOTION.finditer(words))
    labels = [each["label"] for each in found]
    return Emotion(labels if found[0]["is_listed"] else labels[0])
