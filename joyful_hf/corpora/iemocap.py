"""Read IEMOCAP from the folders of the release (`IEMOCAP_full_release`).

Two sets of utterances go by the name "IEMOCAP 4-way", and scores on them cannot be compared: papers on conversations
drop the excited and frustrated ones, papers on speech merge the excited with the happy ones. Hence two schemes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..processing import DialogueError
from .base import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    VALIDATION_RULE,
    BuiltCorpus,
    Corpus,
    LabelScheme,
    Notes,
    PublishedCounts,
    hold_out,
    join_splits,
)
from .reading import (
    files_of,
    find_folder_with,
    read_text,
    require_folder,
)

SESSIONS = (1, 2, 3, 4, 5)
STANDARD, SESSION_FOLDS = "standard", "session-folds"

_FOUR = {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry"}
# Scheme -> the labels of the release that it takes -> their names in the scheme.
_TAKEN: Mapping[str, Mapping[str, str]] = {
    "6-way": {**_FOUR, "exc": "excited", "fru": "frustrated"},
    "4-way-erc": _FOUR,
    "4-way-ser": {**_FOUR, "exc": "happy"},
}
_MEANINGS = {
    "6-way": "the six emotions of papers on conversations; utterances of other or no agreed emotion are left out",
    "4-way-erc": "happy, sad, neutral, angry; all others are left out, the excited and frustrated too",
    "4-way-ser": "happy (with the excited), sad, neutral, angry, as papers on speech have it; all others are left out",
}
LABEL_SCHEMES = {
    name: LabelScheme(_MEANINGS[name], tuple(dict.fromkeys(taken.values()))) for name, taken in _TAKEN.items()
}

_NAMES = {
    **_TAKEN["6-way"],
    "sur": "surprised",
    "fea": "fearful",
    "dis": "disgusted",
    "oth": "another emotion",
    "xxx": "no agreed emotion",
}

_BOTH = f"{TRAIN}+{VALIDATION}"
_ALL = "+".join(SPLITS)
_REMARK = (
    "The papers' counts are those of a shared feature pickle, which has 648 happy utterances; "
    "the release's own labels make 595 of the 5531 utterances of 4-way-ser happy."
)
_PAPER_LABELS = {  # training with validation, and test
    "happy": (504, 144),
    "sad": (839, 245),
    "neutral": (1324, 384),
    "angry": (933, 170),
    "excited": (742, 299),
    "frustrated": (1468, 381),
}

_TURN = re.compile(r"^\[(\d+\.?\d*) - (\d+\.?\d*)\]\t(\S+)\t(\w+)\t", re.MULTILINE)
_SPOKEN = re.compile(r"^(Ses\d\d[FM]_\S+?)(?: \[[^\]]*\])?:[ \t]*(.*)$", re.MULTILINE)


def renamed_labels(label_scheme: str) -> dict[str, str]:
    """Return the emotions, of the six, that a scheme takes, each with its name there."""
    return {_NAMES[code]: name for code, name in _TAKEN[label_scheme].items()}


def published_counts(label_scheme: str, split: str) -> PublishedCounts:
    """Return the papers' counts: by training with validation and test, or for all folds' test sets together."""
    if label_scheme == "4-way-ser":
        return PublishedCounts("papers on speech, such as Foal-Net's", {_ALL: 151}, {_ALL: 5531})
    labels = {label: _PAPER_LABELS[label] for label in LABEL_SCHEMES[label_scheme].labels}
    counts = {
        _BOTH: {label: rest for label, (rest, _) in labels.items()},
        TEST: {label: test for label, (_, test) in labels.items()},
    }
    utterances = {part: sum(of_part.values()) for part, of_part in counts.items()}
    published = PublishedCounts("JOYFUL's Table 1 and Appendix I", {_BOTH: 120, TEST: 31}, utterances, counts, _REMARK)
    return published if split == STANDARD else join_splits(published, (_BOTH, TEST))


@dataclass(frozen=True)
class _Turn:
    name: str
    start: float
    end: float
    label: str


def build_iemocap(source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
    """Build IEMOCAP from the folder with `Session1` to `Session5`.

    Raises:
        DialogueError: a part of the release is missing, or a file is not in its format.
    """
    label_scheme = label_scheme or next(iter(LABEL_SCHEMES))
    root = find_folder_with(source, "Session1")
    if root is None:
        raise DialogueError(f"{source}: Session1 is missing; give the folder with Session1 to Session5 of IEMOCAP")
    release = _Release(root, _TAKEN[label_scheme], Notes())
    dialogues = {session: release.dialogues_of(session) for session in SESSIONS}

    def parts(test_session: int, prefix: str = "") -> dict[str, Any]:
        rest = [name for session in SESSIONS if session != test_session for name in dialogues[session]]
        train, validation = hold_out(rest)
        names = {TRAIN: train, VALIDATION: validation, TEST: dialogues[test_session]}
        return {prefix + part: partial(release.make_dialogues, names[part]) for part in SPLITS}

    if split == STANDARD:
        files = parts(test_session=5)
        meaning = f"{STANDARD}: session 5 is the test set; {VALIDATION_RULE}"
    else:
        folds = [parts(session, f"fold{session}/") for session in SESSIONS]
        files = {name: make for fold in folds for name, make in fold.items()}
        meaning = f"{SESSION_FOLDS}: in fold N, session N is the test set; {VALIDATION_RULE}"
    return BuiltCorpus(
        files,
        label_scheme,
        LABEL_SCHEMES[label_scheme],
        "F and M: the woman and the man of the session, as the papers have it. Each session has two actors of its own",
        meaning,
        {
            "utterance_id": "the turn's name in the release",
            "text": "the transcript",
            "audio": "absolute path of the dialogue's recording (both microphones), to be cut by start and end; "
            "where dialog/wav is missing, of the utterance's own recording",
            "video": "absolute path of the dialogue's recording, which shows both actors side by side",
            "start": "seconds into the dialogue's recording",
            "end": "seconds into the dialogue's recording",
        },
        release.notes,
        published_counts(label_scheme, split),
    )


class _Release:
    """Reads the release, one dialogue at a time."""

    def __init__(self, root: Path, taken: Mapping[str, str], notes: Notes) -> None:
        self._root = root.resolve()
        self._taken = taken
        self.notes = notes
        self._is_folder = cache(Path.is_dir)

    def dialogues_of(self, session: int) -> list[tuple[int, str]]:
        """Return the session and a name such as `Ses01F_impro01` for each dialogue.

        Raises:
            DialogueError: labels or transcripts of the session are missing.
        """
        dialog = require_folder(self._root / f"Session{session}", f"session {session} of IEMOCAP") / "dialog"
        evaluations = require_folder(dialog / "EmoEvaluation", f"the emotion labels of session {session}")
        transcripts = require_folder(dialog / "transcriptions", f"the transcripts of session {session}")
        names = [path.stem for path in files_of(evaluations, ".txt")]
        if not names:
            raise DialogueError(f"{evaluations}: holds no .txt file with emotion labels")
        for name in names:
            if not (transcripts / f"{name}.txt").is_file():
                raise DialogueError(f"{transcripts}: the transcript {name}.txt is missing")
        return [(session, name) for name in names]

    def make_dialogues(self, dialogues: list[tuple[int, str]]) -> Iterator[dict[str, Any]]:
        """Yield dialogues with the utterances that the label scheme takes, in spoken order."""
        for session, name in dialogues:
            utterances = self._utterances(self._root / f"Session{session}", name)
            if utterances:
                yield {"dialogue_id": name, "utterances": utterances}
            else:
                self.notes.left_out[name] = "a dialogue without any utterance of the label scheme"

    def _utterances(self, session: Path, name: str) -> list[dict[str, Any]]:
        dialog = session / "dialog"
        turns = self._turns(dialog / "EmoEvaluation" / f"{name}.txt")
        texts = dict(_SPOKEN.findall(read_text(dialog / "transcriptions" / f"{name}.txt")))
        for turn_name in sorted(texts.keys() - {turn.name for turn in turns}):
            self.notes.left_out[turn_name] = "only in the transcript, never rated"
        audio = self._media(dialog / "wav" / f"{name}.wav")
        video = self._media(dialog / "avi" / "DivX" / f"{name}.avi")
        utterances = []
        for turn in turns:
            if turn.label not in self._taken:
                self.notes.left_out[turn.name] = _NAMES.get(turn.label, turn.label)
                continue
            if turn.name not in texts:
                self.notes.missing_files[turn.name] = "no line in the transcript: without text"
            utterance = {
                "utterance_id": turn.name,
                "speaker": turn.name.rpartition("_")[2][0],
                "label": self._taken[turn.label],
                "text": texts.get(turn.name, "").strip() or None,
                "audio": audio,
                "video": video,
                "start": turn.start,
                "end": turn.end,
            }
            if audio is None:  # one start and end serve both, and they are those of the long recordings
                own = self._media(session / "sentences" / "wav" / name / f"{turn.name}.wav")
                utterance |= {"audio": own, "video": None, "start": None, "end": None}
            utterances.append(utterance)
        return utterances

    def _turns(self, path: Path) -> list[_Turn]:
        found = _TURN.findall(read_text(path))
        if not found:
            raise DialogueError(f"{path}: holds no line such as '[6.29 - 8.23] <turn> neu [2.5, 2.5, 2.5]' with tabs")
        turns = [_Turn(name, float(start), float(end), label) for start, end, name, label in found]
        for turn in turns:
            if turn.name.rpartition("_")[2][:1] not in ("F", "M"):
                raise DialogueError(f"{path}: the turn {turn.name!r} names no speaker; it should end as in _F000")
        return sorted(turns, key=lambda turn: (turn.start, turn.end))

    def _media(self, path: Path) -> str | None:
        """Return the file's path, or None with a note. A folder that is missing as a whole is noted once."""
        if not self._is_folder(path.parent):
            self.notes.missing_files[str(path.parent)] = "the folder is missing"
            return None
        if not path.is_file():
            self.notes.missing_files[str(path)] = "the file is missing"
            return None
        return str(path)


IEMOCAP = Corpus(LABEL_SCHEMES, (STANDARD, SESSION_FOLDS), build_iemocap)
