"""`joyful convert`: checkpoints of the authors' code of any family become checkpoints of this package."""

import logging

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from joyful_hf import DialogueError
from joyful_hf.families import FAMILIES
from joyful_hf.io.torch_checkpoint import CheckpointError
from joyful_hf.released.convert import convert_checkpoint
from tests.support.recorded import FOLDER, Recording, read_recording, recordings

# What the weights of a recording do not tell and its config does: field -> its key there.
_TOLD = {
    "sdt": {"num_attention_heads": "num_heads"},
    "graph_smile": {"window_past": "window_past", "window_future": "window_future"},
}
# Where a recording has several networks: the weights of the one that is converted.
_NETWORKS = {"jmt": "self_atten.state.", "lmam": "dialoguernn.state.", "m2fnet": "reading.state."}


def recording_of(module: str) -> Recording | None:
    paths = [path for path in sorted(FOLDER.glob("*.safetensors")) if path.stem.startswith(f"{module}_")]
    return read_recording(paths[-1]) if paths else None


CONVERTED = {
    name: recording
    for name, family in FAMILIES.items()
    if family.released is not None and (recording := recording_of(family.released)) is not None
}
each_family = pytest.mark.parametrize("name", CONVERTED)
STATE = CONVERTED["sdt"].state()


def settings_of(name: str) -> dict:
    sizes = CONVERTED[name].config
    return {field: sizes[key] for field, key in _TOLD.get(FAMILIES[name].released or "", {}).items()}


@pytest.fixture
def source(tmp_path):
    return tmp_path / "best.pt"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "converted"


def dialogue_of(recording: Recording, number: int, text: torch.Tensor) -> dict:
    part = recording.below(f"dialogue{number}.")
    features = {"text_features": text, "audio_features": part.get("audio"), "visual_features": part.get("visual")}
    known = {key: rows.tolist() for key, rows in features.items() if rows is not None}
    speaker = part["speaker"]
    speakers = (speaker.argmax(-1) if speaker.dim() > 1 else speaker).tolist()
    return {
        "utterances": [
            {"speaker": f"{who}"} | {key: rows[place] for key, rows in known.items()}
            for place, who in enumerate(speakers)
        ]
    }


@each_family
def test_a_checkpoint_of_any_family_becomes_model_and_processor(name, source, output):
    recording, family = CONVERTED[name], FAMILIES[name]
    weights = recording.state(_NETWORKS.get(family.released or "", "state."))
    torch.save({"epoch": 3, "state_dict": weights, "lr": 1e-4}, source)
    convert_checkpoint(name, source, output, settings=settings_of(name))
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    assert type(model) is family.model_class
    assert type(processor) is family.processor_class
    for modality, size in model.config.modality_dims.items():
        assert getattr(processor, f"{modality}_dim") == size


@pytest.mark.parametrize("name", ["sdt", "graph-smile", "m3net"])
def test_what_it_predicts_is_what_the_authors_code_did(name, source, output):
    recording = CONVERTED[name]
    torch.save(recording.state(), source)
    spoken = torch.cat([recording.tensors[f"dialogue{number}.speaker"] for number in range(recording.num_dialogues)])
    numbers = {str(number): number for number in range(int(spoken.max()) + 1)}
    convert_checkpoint(name, source, output, settings=settings_of(name) | {"speaker_to_id": numbers})
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    for number in range(recording.num_dialogues):
        part = recording.below(f"dialogue{number}.")
        text = part["text"] if "text" in part else torch.cat([part[f"text{layer}"] for layer in range(4)], dim=-1)
        batch = processor(dialogue_of(recording, number, text), return_tensors="pt")
        with torch.no_grad():
            found = model(**batch).logits.log_softmax(-1)
        expected = part["log_prob"] if "log_prob" in part else part["logits"].log_softmax(-1)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_prefix_of_training_on_several_devices_is_taken_off(source, output):
    torch.save({f"module.{name}": tensor for name, tensor in STATE.items()}, source)
    convert_checkpoint("sdt", source, output, settings=settings_of("sdt"))
    assert AutoModel.from_pretrained(output).config.model_type == "sdt"


def test_what_weights_do_not_tell_is_told(source, output, caplog):
    torch.save(STATE, source)
    told = {"num_attention_heads": 3, "label2id": {"joy": 1, "anger": 0, "calm": 2, "fear": 3}}
    with caplog.at_level(logging.WARNING, logger="joyful_hf"):
        convert_checkpoint("sdt", source, output, settings=told)
    assert "which speaker has which number" in caplog.text
    config = AutoModel.from_pretrained(output).config
    assert config.num_attention_heads == 3
    assert config.id2label == {0: "anger", 1: "joy", 2: "calm", 3: "fear"}
    assert AutoProcessor.from_pretrained(output).label2id == config.label2id


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"last_gate.fc.weight": None}, r"best\.pt: this is not a released SDT: it lacks last_gate\.fc\.weight"),
            (
                {"more.weight": torch.zeros(2)},
                r"best\.pt: this is not a released SDT, which has no parameters more\.w",
            ),
            (
                {"a_a.transformer_inter.0.feed_forward.w_1.bias": torch.zeros(5)},
                r"best\.pt: .*size mismatch for sdt\.",
            ),
        ],
        ids=["missing", "unknown", "shape"],
    )
    def test_weights_of_another_network(self, change, reason, source, output):
        state = {name: tensor for name, tensor in (STATE | change).items() if tensor is not None}
        torch.save(state, source)
        with pytest.raises(CheckpointError, match=reason):
            convert_checkpoint("sdt", source, output, settings=settings_of("sdt"))
        assert not output.exists()

    def test_a_setting_that_does_not_fit(self, source, output):
        torch.save(STATE, source)
        with pytest.raises(CheckpointError, match=r"best\.pt: projection_size=12 must be even and divisible"):
            convert_checkpoint("sdt", source, output)  # eight heads, as published
        with pytest.raises(DialogueError, match="unknown setting 'heads'"):
            convert_checkpoint("sdt", source, output, settings={"heads": 2})

    def test_a_family_without_published_code(self, source, output):
        with pytest.raises(DialogueError, match=r"AR-IIGCN's authors published no code .* choose from joyful, .*sdt"):
            convert_checkpoint("ar-iigcn", source, output)

    def test_two_networks(self, source, output):
        torch.save({"first": STATE, "second": STATE}, source)
        with pytest.raises(CheckpointError, match="there are 2 networks of SDT"):
            convert_checkpoint("sdt", source, output, settings=settings_of("sdt"))

    def test_a_file_without_weights(self, source, output):
        torch.save({"epoch": 3}, source)
        with pytest.raises(CheckpointError, match=r"best\.pt: holds no weights"):
            convert_checkpoint("sdt", source, output)

    def test_a_folder_that_holds_something(self, source, output):
        torch.save(STATE, source)
        output.mkdir()
        (output / "model.safetensors").write_text("weeks of work")
        with pytest.raises(ValueError, match="is not empty; choose another folder"):
            convert_checkpoint("sdt", source, output, settings=settings_of("sdt"))
        convert_checkpoint("sdt", source, output, settings=settings_of("sdt"), overwrite=True)
        assert AutoModel.from_pretrained(output).config.model_type == "sdt"


def test_the_command_takes_the_family_and_its_settings(joyful, fails, tmp_path):
    torch.save(STATE, tmp_path / "best.pt")
    told = ("--config-json", '{"num_attention_heads": 2}')
    result = joyful("convert", "--model", "sdt", "best.pt", "out", *told)
    assert (result.status, result.out) == (0, "converted checkpoint: out\n")
    assert "choose another folder, or give --overwrite" in fails("convert", "--model", "sdt", "best.pt", "out", *told)
    assert fails("convert", "--model", "std", "best.pt", "b").startswith("--model: unknown model 'std'")
    assert "--config-json: unknown setting 'x'" in fails(
        "convert", "--model", "sdt", "best.pt", "b", "--config-json", '{"x": 1}'
    )


def test_every_recording_of_the_folder_has_a_family():
    modules = [family.released for family in FAMILIES.values() if family.released is not None]
    names = [*modules, "cogmen", "gban"]  # a preset of JOYFUL, and a family whose authors save files of Keras
    assert all(any(path.stem.startswith(f"{name}_") for name in names) for path in recordings())
