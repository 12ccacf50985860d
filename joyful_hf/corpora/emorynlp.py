"""Read EmoryNLP from the CSV files and clips that MELD's authors released beside MELD."""

import ast

from ..processing import DialogueError
from .base import TEST, TRAIN, VALIDATION, LabelScheme, PublishedCounts, counts_by_label
from .csv_release import CsvCorpus, CsvLayout

EMOTIONS = ("joyful", "mad", "neutral", "peaceful", "powerful", "sad", "scared")
LABEL_SCHEMES = {"7-way": LabelScheme("the seven emotions of the CSV files", EMOTIONS)}
PUBLISHED = PublishedCounts(
    "the README of the release",
    {TRAIN: 659, VALIDATION: 89, TEST: 79},
    {TRAIN: 7551, VALIDATION: 954, TEST: 984},
    counts_by_label(
        EMOTIONS,
        (1677, 785, 2485, 638, 551, 474, 941),
        (205, 97, 322, 82, 70, 51, 127),
        (217, 86, 288, 111, 96, 70, 116),
    ),
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


_NAMES = {TRAIN: "train", VALIDATION: "dev", TEST: "test"}
_LAYOUT = CsvLayout(
    corpus="EmoryNLP",
    csv_files={split: f"emorynlp_{name}_final.csv" for split, name in _NAMES.items()},
    clip_folders={split: f"emorynlp_{name}_splits" for split, name in _NAMES.items()},
    dialogue_columns=("Season", "Episode", "Scene_ID"),
    dialogue_id="s{0:02}_e{1:02}_c{2:02}",
    clip="sea{0}_ep{1}_sc{2}_utt{3}",
    clip_columns=("Season", "Episode", "Scene_ID", "Utterance_ID"),
    label_columns={"7-way": "Emotion"},
    speaker=_speakers,
)
EMORYNLP = CsvCorpus(
    _LAYOUT,
    LABEL_SCHEMES,
    PUBLISHED,
    "names of the series' characters, the same people throughout; several at once are joined by 'and'",
    "the release's own training, development and test files, divided by episodes",
).as_corpus()
