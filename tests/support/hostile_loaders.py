"""Everything in the package that reads files of strangers, with a small file of each kind, made by the package."""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from joyful_hf import DialogueError, JoyfulProcessor, load_dialogues, load_transcript, write_predictions
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.corpora.prepare import prepare_corpus
from joyful_hf.io.torch_checkpoint import read_released_checkpoint
from joyful_hf.model_card.card import write_model_card
from joyful_hf.processing.media_pictures import get_pictures
from joyful_hf.processing.waveforms import get_waveform
from tests.support.corpus_trees import feature_tuple, save_pickle, write_cmu
from tests.support.helpers import FAMILY_CASES, RIVAL_CASES, FamilyCase, make_dialogues
from tests.support.hostile import Loader
from tests.support.media import pictures_that_brighten, tone, wav_bytes, write_recording
from tests.support.run_summaries import make_summary

DIALOGUES = make_dialogues((3, 2))
LINES = [
    {"dialogue_id": "d1", "utterances": [
        {"speaker": "A", "text": "Hi.", "start": 0.0, "end": 1.5, "label": "joy", "text_features": [0.5, 1.0],
         "audio": {"array": [0.1, 0.2, -0.1], "sampling_rate": 16000}},
        {"speaker": "B", "text": "No.", "start": 1.5, "end": 2.0, "label": "anger", "text_features": [0.1, 2.0],
         "audio_frames": [[1.0, 2.0], [3.0, 4.0]], "channel": 0},
    ]},
    {"dialogue_id": "d2", "utterances": [{"speaker": "A", "text": "", "label": None, "video": "a.mp4"}]},
]  # fmt: skip


def _read_dialogues(file: Path) -> None:
    dialogues = load_dialogues(file)
    processor = JoyfulProcessor.from_dialogues(dialogues, text_extractor="hashing", audio_extractor="logmel")
    processor(dialogues, return_tensors="pt")


def _jsonl(folder: Path) -> Path:
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return file


def _json_of_lists(folder: Path) -> Path:
    file = folder / "train.json"
    lists = {"speaker": ["A", "B"], "text": ["Hi.", "No."], "label": ["joy", "anger"], "text_features": [[1.0], [2.0]]}
    file.write_text(json.dumps([{"dialogue_id": "d", **lists}]))
    return file


def _parquet(folder: Path) -> Path:
    file = folder / "train.parquet"
    columns = {key: [line[key] for line in LINES] for key in ("dialogue_id", "utterances")}
    pq.write_table(pa.table(columns), file, compression="none")
    return file


def _table(folder: Path) -> Path:
    file = folder / "train.csv"
    rows = ["Dialogue_ID,Utterance_ID,Speaker,Utterance,Emotion,StartTime,EndTime,text_features"]
    rows += [f'{at // 2},{at % 2},Ann,Hi!,joy,0:00:0{at},0:00:0{at + 1},"[1, {at}]"' for at in range(4)]
    file.write_text("\n".join(rows) + "\n")
    return file


def _read_pickle(file: Path) -> None:
    shutil.rmtree(file.parent / "out", ignore_errors=True)
    prepare_corpus("pickle", file, file.parent / "out")


def _pickle(protocol: int) -> Callable[[Path], Path]:
    names = [f"Ses0{session}F_impro0{number}" for session in (1, 5) for number in (1, 2)]
    fields = ("ids", "speakers", "labels", "text", "audio", "visual", "sentences", "train", "test")
    columns = feature_tuple(names, names[2:], ["M", "F"], 6)
    return lambda folder: save_pickle(folder / "features.pkl", tuple(columns[field] for field in fields), protocol)


def _released(folder: Path) -> Path:
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    arguments = argparse.Namespace(seed=1, emotion="x")
    torch.save({"args": arguments, "modelN": layers, "state": layers.state_dict()}, folder / "model.pt")
    return folder / "model.pt"


def _of_checkpoint(name: str, case: FamilyCase, damaged: str) -> Loader:
    def make(folder: Path) -> Path:
        model, processor = case.make(DIALOGUES)
        model.save_pretrained(folder / "checkpoint")
        processor.save_pretrained(folder / "checkpoint")
        return folder / "checkpoint" / damaged

    return Loader(name, make, _read_checkpoint, (DialogueError,))


def _read_checkpoint(file: Path) -> None:
    model, processor = load_checkpoint(file.parent, "cpu")
    try:
        model.predict(DIALOGUES, processor)
    except ValueError as error:  # a weight, or a deviation, that is too large is a number like any other
        if "output is not a finite number" not in str(error):
            raise


def _run_summary(folder: Path) -> Path:
    _of_checkpoint("card", FAMILY_CASES[0], "config.json").make(folder)
    (folder / "checkpoint" / "run_summary.json").write_text(json.dumps(make_summary()))
    return folder / "checkpoint" / "run_summary.json"


def _sequences(folder: Path) -> Path:
    return write_cmu(folder / "mosei") / "CMU_MOSEI_COVAREP.csd"


def _read_sequences(file: Path) -> None:
    shutil.rmtree(file.parent.parent / "out", ignore_errors=True)
    prepare_corpus("cmu-mosei", file.parent, file.parent.parent / "out")


def _wav(folder: Path) -> Path:
    file = folder / "sound.wav"
    file.write_bytes(wav_bytes(tone(0.2)))
    return file


def _sound(suffix: str) -> Callable[[Path], Path]:
    return lambda folder: write_recording(folder / f"sound{suffix}", tone(0.3, rate=48000))


def _film(suffix: str) -> Callable[[Path], Path]:
    return lambda folder: write_recording(folder / f"film{suffix}", tone(0.4, rate=48000), pictures_that_brighten(4))


def _hear(file: Path) -> None:
    get_waveform({"speaker": "A", "audio": str(file)}, 16000)
    get_waveform({"speaker": "A", "audio": str(file), "start": 0.05, "end": 0.1}, 16000)


def _see(file: Path) -> None:
    get_pictures({"speaker": "A", "video": str(file)}, 3)
    _hear(file)


PREDICTIONS = [
    {"dialogue_id": "d", "utterances": [
        {"speaker": "A", "text": "Hi.", "start": 0.0, "end": 1.5, "label": "joy", "scores": {"joy": 0.9, "fear": 0.1}},
        {"speaker": "B", "text": "No", "start": 1.5, "end": 2.0, "label": "fear", "scores": {"joy": 0.2, "fear": 0.8}},
    ]}
]  # fmt: skip


def _prediction(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        file = folder / f"meeting{suffix}"
        write_predictions(PREDICTIONS, file)
        return file

    return make


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


_WHISPER = {"text": "Hi. No.", "language": "en", "segments": [
    {"id": 0, "start": 0.0, "end": 1.5, "text": " Hi.", "speaker": "A",
     "words": [{"word": " Hi.", "start": 0.0, "end": 1.4}]},
    {"id": 1, "start": 1.5, "end": 2.0, "text": " No.", "speaker": "B"},
]}  # fmt: skip
_DEEPGRAM = {"metadata": {"duration": 2.0}, "results": {"channels": [{"alternatives": [{"transcript": "hi", "words": [
    {"word": "hi", "start": 0.1, "end": 0.5, "speaker": 0, "punctuated_word": "Hi."},
    {"word": "no", "start": 1.1, "end": 1.5, "speaker": 1, "punctuated_word": "No."},
]}]}]}}  # fmt: skip
_AWS = {"jobName": "j", "results": {"transcripts": [{"transcript": "hi"}], "items": [
    {"id": 0, "type": "pronunciation", "alternatives": [{"confidence": "0.9", "content": "hi"}],
     "start_time": "0.1", "end_time": "0.5", "speaker_label": "spk_0"},
    {"id": 1, "type": "punctuation", "alternatives": [{"confidence": "0.0", "content": "."}]},
]}}  # fmt: skip
_ASSEMBLY = {"utterances": [{"speaker": "A", "text": "Hi.", "start": 100, "end": 500, "words": [
    {"text": "Hi.", "start": 100, "end": 500, "speaker": "A"}
]}], "audio_duration": 2}  # fmt: skip
_RTTM = "SPEAKER meeting 1 0.00 1.50 <NA> <NA> A <NA> <NA>\nSPEAKER meeting 1 1.50 0.50 <NA> <NA> B <NA> <NA>\n"

_ERRORS = (DialogueError,)
_TRANSCRIPTS = {
    **{kind: _prediction(f".{kind}") for kind in ("srt", "vtt", "TextGrid", "eaf", "csv", "tsv", "parquet")},
    "whisper": _text("meeting.json", json.dumps(_WHISPER)),
    "deepgram": _text("meeting.json", json.dumps(_DEEPGRAM)),
    "aws": _text("meeting.json", json.dumps(_AWS)),
    "assembly": _text("meeting.json", json.dumps(_ASSEMBLY)),
    "rttm": _text("meeting.rttm", _RTTM),
    "labels": _text("meeting.txt", "0.0\t1.5\tHi.\n1.5\t2.0\tNo.\n"),
}
_BY_NAME = {case.name: case for case in [*FAMILY_CASES, *RIVAL_CASES]}
_CHECKPOINTS = ("joyful-recommended", "joyful-with-text-encoder", "ar-iigcn-paper", "foal-net", "gban-recommended")
_OF_TEXT = _BY_NAME["joyful-with-text-encoder"]
_CONFIGS = (*_CHECKPOINTS, *(case.name for case in RIVAL_CASES if case.name.endswith("-released")))

LOADERS = [
    Loader("jsonl", _jsonl, _read_dialogues, _ERRORS),
    Loader("json", _json_of_lists, _read_dialogues, _ERRORS),
    Loader("parquet", _parquet, _read_dialogues, _ERRORS),
    Loader("table", _table, _read_dialogues, _ERRORS),
    *(Loader(f"pickle-{protocol}", _pickle(protocol), _read_pickle, _ERRORS) for protocol in (0, 2, 4)),
    Loader("released", _released, read_released_checkpoint, (ValueError,)),
    *(_of_checkpoint(f"config-{name}", _BY_NAME[name], "config.json") for name in _CONFIGS),
    *(_of_checkpoint(f"processor-{name}", _BY_NAME[name], "processor_config.json") for name in _CHECKPOINTS),
    _of_checkpoint("weights", FAMILY_CASES[0], "model.safetensors"),
    _of_checkpoint("tokenizer", _OF_TEXT, "tokenizer.json"),
    Loader("card", _run_summary, lambda file: write_model_card(file.parent), _ERRORS),
    Loader("sequences", _sequences, _read_sequences, _ERRORS),
    Loader("wav", _wav, _hear, _ERRORS),
    *(Loader(suffix[1:], _sound(suffix), _hear, _ERRORS) for suffix in (".flac", ".mp3", ".m4a", ".ogg")),
    *(Loader(suffix[1:], _film(suffix), _see, _ERRORS) for suffix in (".mp4", ".mkv")),
    *(Loader(f"transcript-{name}", make, load_transcript, _ERRORS) for name, make in _TRANSCRIPTS.items()),
]
