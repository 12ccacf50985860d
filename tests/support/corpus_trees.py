"""Small made-up corpora in the layouts of the real ones. Every name, number and word in them is invented."""

import csv
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

EMOTIONS_OF_TURNS = ("neu", "hap", "exc", "sad", "fru", "ang", "xxx", "sur")


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def write_iemocap(root: Path, dialogues_per_session: int = 3) -> Path:
    """Five sessions; in each dialogue a turn of each of the eight kinds, and one that nobody rated."""
    for session in range(1, 6):
        folder = root / f"Session{session}"
        for number in range(1, dialogues_per_session + 1):
            name = f"Ses0{session}{'FM'[number % 2]}_impro{number:02}"
            turns = [
                (f"{name}_{'FM'[index % 2]}{index:03}", 1.5 * index, 1.5 * index + 2.0, label)
                for index, label in enumerate(EMOTIONS_OF_TURNS)
            ]
            rated = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            for turn, start, end, label in turns[4:] + turns[:4]:  # not in spoken order
                rated += f"[{start:.4f} - {end:.4f}]\t{turn}\t{label}\t[2.5000, 2.5000, 2.5000]\n"
                rated += "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
            write(folder / "dialog" / "EmoEvaluation" / f"{name}.txt", rated)
            write(folder / "dialog" / "EmoEvaluation" / "Categorical" / f"{name}_e2_cat.txt", "not read")
            write(folder / "dialog" / "EmoEvaluation" / f"._{name}.txt", b"\0\0")
            spoken = "".join(f"{turn} [{start:08.4f}-{end:08.4f}]: words of {turn}\n" for turn, start, end, _ in turns)
            spoken += f"{name}_FXX0 [020.0000-021.0000]: [LAUGHTER]\nM: yes\n"
            write(folder / "dialog" / "transcriptions" / f"{name}.txt", spoken)
            write(folder / "dialog" / "wav" / f"{name}.wav", b"RIFF")
            write(folder / "dialog" / "avi" / "DivX" / f"{name}.avi", b"RIFF")
            for turn, *_ in turns:
                write(folder / "sentences" / "wav" / name / f"{turn}.wav", b"RIFF")
    return root


MELD_COLUMNS = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment")  # and those of numbers and times
MELD_FILES = {
    "train_sent_emo.csv": "train_splits",
    "dev_sent_emo.csv": "dev_splits_complete",
    "test_sent_emo.csv": "output_repeated_splits_test",
}


def meld_row(dialogue: int, utterance: int, **changes: str) -> dict[str, str]:
    row = dict(zip(MELD_COLUMNS, ("1", "Hi!", "Ann", "joy", "positive"), strict=True))
    row |= {"Dialogue_ID": str(dialogue), "Utterance_ID": str(utterance)}
    return row | {"Season": "1", "Episode": "2", "StartTime": "0:00:01,000", "EndTime": "0:00:02,000"} | changes


MELD_ROWS = {
    "train_sent_emo.csv": [
        meld_row(125, 3, Utterance="You\x92re late\x85", Emotion="anger", Sentiment="negative"),
        meld_row(125, 2, Utterance="It\u00e2\u20ac\u2122s me", Speaker="Bob"),
        meld_row(7, 0, Utterance='He said "no", twice', Emotion="neutral", Sentiment="neutral"),
        meld_row(7, 1, Speaker="Bob", Emotion="sadness", Sentiment="negative"),
    ],
    "dev_sent_emo.csv": [meld_row(110, 7), meld_row(110, 8, Emotion="fear", Sentiment="negative")],
    "test_sent_emo.csv": [meld_row(38, 4), meld_row(38, 5, Emotion="surprise")],
}


def write_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_meld(root: Path) -> Path:
    """Two dialogues for training, one for each of the rest. All clips are there but one that the release lacks."""
    for name, rows in MELD_ROWS.items():
        write_csv(root / name, rows)
        for row in rows:
            clip = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4"
            if clip != "dia110_utt7.mp4":
                write(root / name.split("_")[0] / MELD_FILES[name] / clip, b"clip")
    return root


def write_dyadic_meld(root: Path) -> Path:
    """The dialogues of `write_meld`, in which the first utterance for training belongs to two of them."""
    write_meld(root)
    pieces = {"train": [(0, 0, 7, 0), (0, 1, 7, 1), (1, 0, 7, 0), (1, 1, 125, 2)], "dev": [(0, 0, 110, 8)]}
    for name, places in (pieces | {"test": [(0, 0, 38, 5), (0, 1, 38, 4)]}).items():
        rows = [
            meld_row(dialogue, utterance, Old_Dialogue_ID=str(old), Old_Utterance_ID=str(old_utterance))
            for dialogue, utterance, old, old_utterance in places
        ]
        write_csv(root / f"{name}_sent_emo_dya.csv", [{**row, "Speaker": "AB"[at % 2]} for at, row in enumerate(rows)])
    return root


def emorynlp_row(scene: int, utterance: int, **changes: str) -> dict[str, str]:
    row = {"Utterance": "Hi!", "Speaker": "['Ann Lee']", "Emotion": "Joyful", "Scene_ID": str(scene)}
    row |= {"Utterance_ID": str(utterance), "Season": "1", "Episode": "2"}
    return row | {"Start_Time": "00:00:02.877", "End_Time": "00:00:07.548"} | changes


def write_emorynlp(root: Path) -> Path:
    """Two scenes for training, of which one numbers its utterances with gaps, and one for each of the rest."""
    both = emorynlp_row(1, 3, Speaker="['Ann Lee', 'Bob Orr']", Emotion="Mad")
    rows = [emorynlp_row(2, 1, Emotion="Scared"), both, emorynlp_row(1, 1), emorynlp_row(2, 2, Episode="1")]
    write_csv(root / "emorynlp_train_final.csv", rows)
    write_csv(root / "emorynlp_dev_final.csv", [emorynlp_row(1, 1, Episode="3", Emotion="Sad")])
    write_csv(root / "emorynlp_test_final.csv", [emorynlp_row(1, 1, Season="2", Emotion="Powerful")])
    write(root / "clips" / "emorynlp_train_splits" / "sea1_ep2_sc1_utt3.mp4", b"clip")
    return root


CMU_FOLDS = {"standard_train_fold": ["a1", "b_2", "bare"], "standard_valid_fold": ["c3"], "standard_test_fold": ["d4"]}


def write_sequence(path: Path, videos: Mapping[str, tuple[Any, Any]]) -> None:
    """A computational sequence: features and intervals of each video."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group(path.stem).create_group("data")
        file[path.stem].create_group("metadata")
        for video, (features, intervals) in videos.items():
            data.create_group(video)["features"] = features
            data[video]["intervals"] = np.asarray(intervals, np.float64)


def write_cmu(root: Path, corpus: str = "MOSEI", known_bad: Sequence[str] = ()) -> Path:
    """Videos of two segments, [0, 2) and [2, 4). Video `d4` lacks sound; `bare` lacks labels; `extra` has no fold."""
    segments = [[2.0, 4.0], [0.0, 2.0]]
    sentiments = np.array([[-1.0], [2.0]], np.float32)
    emotions = np.array([[0, 0.3, 1, 0, 0, 0], [0] * 6], np.float32)
    labels = np.concatenate([sentiments, emotions], 1) if corpus == "MOSEI" else sentiments
    videos = ["a1", "b_2", "c3", "d4"]
    frames = np.arange(8, dtype=np.float32).reshape(4, 2)
    frames[0, 0] = -np.inf
    times = [[second, second + 1] for second in range(4)]
    words = np.array([[b"good"], [b"sp"], [b"very"], [b"bad"]])
    prefix = f"CMU_{corpus}_"
    write_sequence(root / f"{prefix}Labels.csd", {one: (labels, segments) for one in [*videos, "extra", *known_bad]})
    write_sequence(root / f"{prefix}TimestampedWords.csd", {one: (words, times) for one in videos})
    write_sequence(root / f"{prefix}COVAREP.csd", {one: (frames, times) for one in videos[:-1]})
    write_sequence(root / f"{prefix}VisualFacet42.csd", {one: (frames[:2, :1], times[:2]) for one in videos})
    folds = CMU_FOLDS | {"standard_test_fold": [*CMU_FOLDS["standard_test_fold"], *known_bad]}
    text = "".join(f"{name} = {ids!r}\n" for name, ids in folds.items())
    write(root / f"cmu_{corpus.lower()}_std_folds.py", "raise_if_run = []\n" + text)
    return root


def save_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def cmu_split(ids: Any, labels: Any, raw_text: Sequence[str] | None = None) -> dict[str, Any]:
    """Columns of one split: three steps each, of which the first are padding."""
    size = len(ids)
    frames = np.arange(size * 6, dtype=np.float64).reshape(size, 3, 2) + 1
    frames[:, 0] = 0
    columns = {"id": ids, "text": frames, "audio": frames.copy(), "vision": frames[:, :, :1], "labels": labels}
    columns["audio"][0, 1, 0] = -np.inf
    return columns if raw_text is None else columns | {"raw_text": raw_text}


def feature_tuple(names: Sequence[Any], test: Sequence[Any], speakers: Sequence[Any], classes: int) -> dict[str, Any]:
    """The columns of a feature pickle: for each dialogue an utterance of each class."""
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "ids": {name: [f"{name}_{index}" for index in range(classes)] for name in names},
        "speakers": {name: [speakers[index % len(speakers)] for index in range(classes)] for name in names},
        "labels": {name: list(range(classes)) for name in names},
        "text": {name: [rng.normal(size=4) for _ in range(classes)] for name in names},
        "audio": {name: rng.normal(size=(classes, 3)).astype(np.float32) for name in names},
        "visual": {name: list(rng.normal(size=(classes, 2))) for name in names},
        "sentences": {name: [f"sentence {index}\x92s" for index in range(classes)] for name in names},
        "train": {name for name in names if name not in test},
        "test": list(test),
    }
    return columns


class Sample:
    """Like the objects in COGMEN's and JOYFUL's pickles, whose class is not there when they are read."""

    def __init__(self, vid: str, label: list[Any], sbert_size: int = 5) -> None:
        rng = np.random.default_rng(len(vid))
        self.vid = vid
        self.speaker = ["FM"[index % 2] for index in range(len(label))]
        self.label = label
        self.text = [rng.normal(size=4) for _ in label]
        self.audio = [rng.normal(size=3) for _ in label]
        self.visual = [rng.normal(size=2) for _ in label]
        self.sentence = [f"sentence {index}" for index in range(len(label))]
        self.sbert_sentence_embeddings = rng.normal(size=(len(label), sbert_size)).astype(np.float32)
