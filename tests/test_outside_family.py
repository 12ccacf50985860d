"""A family from outside the package goes everywhere a family of its own goes: the recipe of CONTRIBUTING.md."""

import json
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.dataclasses import strict
from torch import nn
from transformers import AutoModel, AutoProcessor, pipeline

from joyful_hf import (
    EmotionRecognitionOutput,
    Family,
    JoyfulProcessor,
    StreamingRecognizer,
    explain,
    register_family,
)
from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.data.jsonl import write_dialogues
from joyful_hf.families import FAMILIES
from joyful_hf.modeling.batch_contract import PackedBatch
from joyful_hf.modeling.configuration_graph import SpeakerGraphConfig
from joyful_hf.modeling.modeling_graph import SpeakerGraphClassifierMixin, SpeakerGraphPreTrainedModel
from joyful_hf.modeling.text_encoder import TextEncoder
from tests.support.export import assert_exports
from tests.support.helpers import LABELS, make_dialogue, make_dialogues

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub's uploads

REPO = "ada/made-up"


@strict
class MadeUpConfig(SpeakerGraphConfig):
    """The configuration of a model without a graph."""

    model_type = "made_up"
    graph_num_layers: int = 0


class MadeUpPreTrainedModel(SpeakerGraphPreTrainedModel):
    """What both models share."""

    config: MadeUpConfig
    base_model_prefix = "made_up"


class MadeUpModel(MadeUpPreTrainedModel):
    """A projection of the features of an utterance beside its mean over the dialogue."""

    def __init__(self, config: MadeUpConfig) -> None:
        super().__init__(config)
        self.text_encoder = TextEncoder.of(config)
        self.projection = nn.Linear(sum(config.modality_dims.values()), 8)
        self.hidden_size = 2 * 8
        self.post_init()

    def forward_batch(self, batch: PackedBatch) -> EmotionRecognitionOutput:
        features = torch.cat([batch.features[name] for name in self.config.modality_dims], dim=-1).to(self.dtype)
        projected, layout = self.projection(features), batch.layout
        sums = projected.new_zeros(layout.num_dialogues, 8).index_add(0, layout.dialogue, projected)
        mean = sums / layout.lengths[:, None]
        fused = torch.cat([projected, mean[layout.dialogue]], dim=-1)
        return EmotionRecognitionOutput(features=features, fused=fused, graph=fused)


class MadeUpForEmotionRecognition(SpeakerGraphClassifierMixin, MadeUpPreTrainedModel):
    """A linear layer on that."""

    def __init__(self, config: MadeUpConfig) -> None:
        super().__init__(config)
        self.made_up = MadeUpModel(config)
        self.classifier = nn.Linear(self.made_up.hidden_size, config.num_labels)
        self.post_init()


@pytest.fixture(scope="module")
def made_up():
    """The family, as long as these tests run."""
    family = Family(
        name="made-up",
        title="Made-up",
        model_type=MadeUpConfig.model_type,
        config=MadeUpConfig,
        model=MadeUpForEmotionRecognition,
        processor=JoyfulProcessor,
        words="compares each utterance with the mean of its dialogue.",
        recommended_words="This model has its only form.",
    )
    register_family(family)
    yield family
    del FAMILIES[family.name]


@pytest.fixture
def trained(made_up, joyful, tmp_path):
    """The folder that `joyful train --model made-up` left."""
    write_dialogues(make_dialogues((5, 9, 1, 7, 4, 3)), tmp_path / "train.jsonl")
    write_dialogues(make_dialogues((4, 3)), tmp_path / "validation.jsonl")
    command = ["train", "--model", "made-up", "--train-file", "train.jsonl", "--validation-file", "validation.jsonl"]
    result = joyful(*command, "--output-dir", "out", "--num-train-epochs", "2", "--disable-tqdm", "True")
    assert result.status == 0, result.err
    return tmp_path / "out"


@pytest.fixture
def model_and_processor(trained):
    return load_checkpoint(trained)


def logits_of(model, processor, dialogues):
    with torch.no_grad():
        return model(**processor(dialogues, return_tensors="pt", return_labels=False)).logits


def test_the_command_trains_it_and_writes_its_card(trained):
    assert json.loads((trained / "config.json").read_text())["model_type"] == "made_up"
    text = (trained / "README.md").read_text(encoding="utf-8")
    assert "made-up" in ModelCard(text).data.tags
    assert "Made-up compares each utterance with the mean of its dialogue." in " ".join(text.split())
    assert "bibtex" not in text, "a family without a paper is not cited"


def test_the_example_of_its_card_runs(trained, capsys):
    text = (trained / "README.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0]
    exec(compile(example, "README.md", "exec"), {})
    assert all(line.split()[1] in LABELS for line in capsys.readouterr().out.splitlines())


def test_the_commands_evaluate_predict_and_draw(trained, joyful, tmp_path):
    data = ["--data-file", "validation.jsonl"]
    assert "eval_weighted_f1" in joyful("evaluate", "out", *data).out
    assert joyful("predict", "out", *data, "--output-file", "found.jsonl").status == 0
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [len(dialogue["utterances"]) for dialogue in found] == [4, 3]
    result = joyful("plot", "out", *data, "--output-dir", "pictures")
    assert (result.status, result.err) == (0, "")
    left_out = [line.split(maxsplit=1) for line in result.out.splitlines() if "left out" in line]
    assert left_out == [["dialogue_graph", "left out: graph_num_layers is 0: this model has no graph to draw"]]


def test_it_streams_and_whether_that_is_exact_is_unknown(model_and_processor):
    model, processor = model_and_processor
    utterances = make_dialogue(6)["utterances"]
    recognizer = StreamingRecognizer(model, processor)
    assert recognizer.is_exact is None, "nobody has said how far it looks"
    for index, found in enumerate(recognizer.stream(utterances)):
        ended = model.predict({"utterances": utterances[: index + 1]}, processor)[0]["utterances"][-1]
        assert found["scores"] == pytest.approx(ended["scores"], abs=1e-5)


def test_it_is_explained(model_and_processor):
    explanation = explain(*model_and_processor, make_dialogue(5))
    assert explanation.utterance_falls.all(), "an utterance weighs on each of its dialogue, by the mean"
    assert set(explanation.modalities(0)) == {"text", "audio", "visual"}


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_it_is_exported(model_and_processor, tmp_path, suffix):
    assert_exports(*model_and_processor, tmp_path, suffix)


def test_it_is_pushed_and_comes_back_bit_for_bit(trained, model_and_processor, hub, joyful):
    dialogues = make_dialogues()
    expected = logits_of(*model_and_processor, dialogues)
    result = joyful("push", trained, REPO)
    assert result.status == 0, result.err
    assert f'"{REPO}"' in hub.files(REPO)["README.md"].decode()
    model, processor = AutoModel.from_pretrained(REPO).eval(), AutoProcessor.from_pretrained(REPO)
    assert type(model) is MadeUpForEmotionRecognition
    assert torch.equal(logits_of(model, processor, dialogues), expected)
    found = pipeline("emotion-recognition", model=REPO)(dialogues[0])
    assert found == model.predict(dialogues[0], processor)[0]


def test_its_code_is_not_published_under_the_license_of_the_package(trained, hub, joyful):
    result = joyful("push", trained, REPO, "--with-code")
    assert result.status == 2
    assert "--with-code copies the code of joyful_hf and its license" in result.err
    assert "MadeUp" in result.err
    assert f"is defined in {MadeUpConfig.__module__}; leave it out" in result.err
    assert not list(trained.glob("*.py"))
    assert ("models", REPO) not in hub.repositories


def test_another_family_of_its_name_or_model_type_is_refused(made_up):
    for changed in ({"name": "another"}, {"model_type": "another"}):
        with pytest.raises(ValueError, match="there is a family 'made-up' with model_type 'made_up' already"):
            register_family(replace(made_up, **changed))
