"""Read EmoryNLP from the CSV files and clips that MELD's authors released beside MELD."""

import ast
from functools import partial
from pathlib import Path

from ..processing import DialogueError
from .base import SPLITS, TEST, TRAIN, VALIDATION, BuiltCorpus, Corpus, LabelScheme, PublishedCounts
from .csv_release import CONTENTS, CsvLayout, CsvRelease

EMOTIONS = ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared")
LABEL_SCHEMES = {"7-way": LabelScheme("the seven emotions of the CSV files", EMOTIONS)}
PUBLISHED = PublishedCounts(
    "the README of the release",
    {TRAIN: 659, VALIDATION: 89, TEST: 79},
    {TRAIN: 7551, VALIDATION: 954, TEST: 984},
    {
        TRAIN: dict(zip(EMOTIONS, (1677, 785, 2485, 638, 551, 474, 941), strict=True)),
        VALIDATION: dict(zip(EMOTIONS, (205, 97, 322, 82, 70, 51, 127), strict=True)),
        TEST: dict(zip(EMOTIONS, (217, 86, 288, 111, 96, 70, 116), strict=True)),
    },
    "The corpus without clips, in the JSON files of its makers, has 713, 99 and 85 dialogues.",
)


def _speakers(names: str) -> str:
    """Return the speaker of `['Ross Geller']`; several are joined."""
    try:
        read = ast.literal_eval(names)
    except (ValueError, SyntaxError):
        read = [names]
    if not isinstance(read, list) or not read or not all(isinstance(name, str) for name in read):
        raise DialogueError(f"the speaker {names!r:.40} is neither a name nor a list of names")
    return " and ".join(name.strip() for name in read)


_LAYOUT = CsvLayout(
    corpus="EmoryNLP",
    csv_files={
        split: f"emorynlp_{name}_final.csv" for split, name in zip(SPLITS, ("train", "dev", "test"), strict=True)
    },
    clip_folders={
        split: f"emorynlp_{name}_splits" for split, name in zip(SPLITS, ("train", "dev", "test"), strict=True)
    },
    dialogue_columns=("Season", "Episode", "Scene_ID"),
    dialogue_id="s{0:02}_e{1:02}_c{2:02}",
    clip="sea{0}_ep{1}_sc{2}_utt{3}",
    clip_columns=("Season", "Episode", "Scene_ID", "Utterance_ID"),
    label_columns={"7-way": "Emotion"},
    speaker=_speakers,
)


def build_emorynlp(source: Path, label_scheme: str | None, split: str) -> BuiltCorpus:
    """Build EmoryNLP from the folder with its CSV files, and its clips if they are there, or a folder above.

    Raises:
        DialogueError: a CSV file is missing, or is not one of EmoryNLP's.
    """
    label_scheme = label_scheme or next(iter(LABEL_SCHEMES))
    release = CsvRelease(source, _LAYOUT, label_scheme, EMOTIONS)
    return BuiltCorpus(
        {part: partial(release.make_dialogues, part) for part in SPLITS},
        label_scheme,
        LABEL_SCHEMES[label_scheme],
        "names of the series' characters, the same people throughout; several at once are joined by 'and'",
        f"{split}: the release's own training, development and test files, divided by episodes",
        CONTENTS,
        release.notes,
        PUBLISHED,
    )


EMORYNLP = Corpus(LABEL_SCHEMES, ("standard",), build_emorynlp)
