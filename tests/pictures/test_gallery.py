"""All pictures of a checkpoint: `joyful plot` draws what can be drawn, and says why the rest is left out."""

import numpy as np
import pytest

from joyful_hf import DialogueError, JoyfulForEmotionRecognition
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.modeling.reach import reach_of
from joyful_hf.pictures.gallery import PICTURES, draw_pictures, draw_training_curves
from tests.support.figures import a_value, predict, several_labels, texts_of
from tests.support.helpers import (
    FAMILY_CASES,
    LABELS,
    make_dialogues,
)
from tests.support.training import TRAIN, make_trainer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a small run that was trained and saved."""
    folder = tmp_path_factory.mktemp("run")
    trainer = make_trainer(folder)
    trainer.train()
    trainer.save_model()
    return folder


def plot(joyful, checkpoint, dialogues, tmp_path, *options):
    """Picture -> what its line says."""
    write_dialogues(dialogues, tmp_path / "data.jsonl")
    result = joyful("plot", checkpoint, "--data-file", "data.jsonl", "--output-dir", "pictures", *options)
    assert (result.status, result.err) == (0, "")
    device, *drawn = result.out.splitlines()
    assert device == "running on cpu"
    lines = dict(line.split(maxsplit=1) for line in drawn)
    assert list(lines) == list(PICTURES)
    return lines


def test_plot_draws_everything_from_one_pass(joyful, checkpoint, tmp_path, monkeypatch):
    seen = []
    forward = JoyfulForEmotionRecognition.forward

    def counted(self, dialogue_lengths, **batch):
        seen.append(len(dialogue_lengths))
        return forward(self, dialogue_lengths, **batch)

    monkeypatch.setattr(JoyfulForEmotionRecognition, "forward", counted)
    lines = plot(joyful, checkpoint, TRAIN, tmp_path)
    assert lines == {name: f"pictures/{name}.png, .svg" for name in PICTURES}
    assert seen == [len(TRAIN), 1], "all dialogues once, and the graph of one"
    written = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert written == {f"{name}.{suffix}" for name in PICTURES for suffix in ("png", "svg")}


def test_the_dialogue_that_was_asked_for_is_shown(checkpoint, tmp_path):
    write_dialogues(TRAIN, tmp_path / "data.jsonl")
    found = draw_pictures(str(checkpoint), str(tmp_path / "data.jsonl"), dialogue_id=TRAIN[3]["dialogue_id"])
    model, processor = load_checkpoint(checkpoint)
    expected = predict(model, processor, TRAIN[3])["utterances"]
    scores = np.array([list(utterance["scores"].values()) for utterance in expected])
    assert np.allclose(found["timeline"].axes[1].images[0].get_array(), scores, atol=1e-5)
    labels = [utterance["label"] for utterance in expected]
    assert [text for text in texts_of(found["dialogue_graph"]) if text in LABELS] == labels


def test_without_labels_plot_draws_what_needs_none(joyful, checkpoint, tmp_path):
    bare = [one | {"utterances": [u | {"label": None} for u in one["utterances"]]} for one in TRAIN]
    lines = plot(joyful, checkpoint, bare, tmp_path)
    left_out = {name for name, line in lines.items() if line == "left out: no utterance has a label"}
    assert left_out == {"confusion_matrix", "f1_per_class", "reliability", "selective"}
    assert len(list((tmp_path / "pictures").iterdir())) == 2 * (len(PICTURES) - len(left_out))


def test_one_utterance_and_no_training_state_are_enough_for_some(joyful, checkpoint, tmp_path, family):
    dialogues = make_dialogues((1,))
    model, processor = family.make(make_dialogues())
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    lines = plot(joyful, tmp_path / "saved", dialogues, tmp_path)
    left_out = {name: line for name, line in lines.items() if line.startswith("left out")}
    without_graph = [] if reach_of(model).graph_steps else ["dialogue_graph"]
    assert list(left_out) == [*without_graph, "representations", "training_curves"]
    assert left_out["training_curves"].startswith("left out: there is no trainer_state.json in ")


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (several_labels, "several emotions at once have no single confusion matrix"),
        (a_value, "a regression has no classes"),
    ],
)
def test_every_kind_of_task_is_drawn(joyful, tmp_path, label, reason):
    dialogues = make_dialogues((5, 6), label=label)
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    lines = plot(joyful, tmp_path / "saved", dialogues, tmp_path)
    assert lines["confusion_matrix"] == f"left out: {reason}"
    of_classes = "pictures/" if label is several_labels else "left out"
    assert lines["f1_per_class"].startswith(of_classes)
    assert lines["reliability"].startswith(of_classes)
    assert lines["selective"].startswith(of_classes)
    for name in ("timeline", "dialogue_graph", "representations"):
        assert lines[name].startswith("pictures/")


def test_training_curves_come_from_the_newest_checkpoint_where_a_run_has_not_ended(checkpoint):
    assert not (checkpoint / "trainer_state.json").exists()
    assert list(checkpoint.glob("checkpoint-*/trainer_state.json"))
    assert "chosen checkpoint, epoch" in draw_training_curves(str(checkpoint))._suptitle.get_text()


def test_what_is_wrong_is_said_and_nothing_is_written(fails, checkpoint, tmp_path):
    write_dialogues(TRAIN, tmp_path / "data.jsonl")
    command = ["plot", checkpoint, "--data-file", "data.jsonl", "--output-dir", "pictures"]
    assert "there is no dialogue 'd99'; it begins with d0, d1, d2" in fails(*command, "--dialogue", "d99")
    assert "unknown method 'pca'; choose from tsne, umap" in fails(*command, "--method", "pca")
    assert "none.jsonl" in fails(*command[:3], "none.jsonl", *command[4:])
    assert "there is no such checkpoint folder" in fails("plot", "./nowhere", *command[2:])
    assert not (tmp_path / "pictures").exists()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "timeline.svg").write_text("mine")
    assert "timeline.svg: exists already" in fails(*command)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["timeline.svg"]


@pytest.mark.parametrize("content", ["{", "[]", '{"log_history": []}', '{"log_history": [1]}'])
def test_a_trainer_state_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(DialogueError, match=r"is not a trainer state|holds no loss"):
        draw_training_curves(str(tmp_path))
