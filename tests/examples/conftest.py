"""The modules of the page in examples/space, and a small checkpoint that it shows."""

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from joyful_hf import (
    JoyfulConfig,
    JoyfulForEmotionRecognition,
    JoyfulProcessor,
    JoyfulTrainer,
    JoyfulTrainingArguments,
    extract_features,
    make_toy_media_corpus,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.cli.demo import EXTRACTORS
from joyful_hf.toy.media import join_toy_dialogue
from tests.support.browser import REPOSITORY

SPACE = REPOSITORY / "examples" / "space"


@pytest.fixture(scope="session")
def space():
    """The modules of the page, which stand beside each other in a Space."""
    names = ("playing", "reading", "timeline", "recognising", "app")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SPACE))
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    for name in names:
        del sys.modules[name]


@dataclass
class Demo:
    """A small checkpoint of the demo's kind, and a dialogue of which it knows every label."""

    checkpoint: str
    folder: Path
    """Of the dialogue's clips."""
    recording: Path
    """All clips after each other."""
    transcript: Path
    dialogue: dict[str, Any]
    """With features in place of the clips."""

    @property
    def true(self) -> list[str]:
        return [utterance["label"] for utterance in self.dialogue["utterances"]]

    @property
    def clips(self) -> list[str]:
        return sorted(map(str, self.folder.iterdir()))

    @property
    def as_json(self) -> str:
        """The dialogue as a visitor pastes it."""
        utterances = [
            {key: value for key, value in utterance.items() if key not in ("audio", "video", "label")}
            for utterance in self.dialogue["utterances"]
        ]
        return json.dumps({"dialogue_id": self.dialogue["dialogue_id"], "utterances": utterances})

    def predicted(self, dialogue: Any) -> list[str]:
        model, processor = load_checkpoint(self.checkpoint)
        return [utterance["label"] for utterance in model.predict(dialogue, processor)[0]["utterances"]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Trained until it knows its few dialogues by heart."""
    folder = tmp_path_factory.mktemp("demo")
    raw = make_toy_media_corpus(folder, num_train=4, num_validation=1, num_test=1)["train"]
    train = extract_features(raw, JoyfulProcessor(**EXTRACTORS), cache_dir=folder / "cache", verbose=False)
    processor = JoyfulProcessor.from_dialogues(train)
    model = JoyfulForEmotionRecognition(JoyfulConfig(**processor.model_kwargs()))
    plain = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False, "disable_tqdm": True}
    args = JoyfulTrainingArguments(str(folder / "run"), num_train_epochs=20, **plain)
    trainer = JoyfulTrainer(model=model, args=args, train_dataset=train, processing_class=processor)
    trainer.train()
    trainer.save_model(folder / "model")
    dialogue = min(train, key=lambda dialogue: len(dialogue["utterances"]))
    (clips,) = (each for each in raw if each["dialogue_id"] == dialogue["dialogue_id"])
    recording, transcript = join_toy_dialogue(clips, folder / "recording")
    demo = Demo(str(folder / "model"), folder / "train" / dialogue["dialogue_id"], recording, transcript, dialogue)
    assert demo.predicted(dialogue) == demo.true
    assert len(set(demo.true)) > 2
    return demo
