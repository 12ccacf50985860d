"""`joyful convert`: checkpoints of the authors' code of any family become checkpoints of this package."""

import logging

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from joyful_hf import DialogueError, SDTConfig, SDTForEmotionRecognition
from joyful_hf.families import FAMILIES
from joyful_hf.io.torch_checkpoint import CheckpointError
from joyful_hf.released.convert import convert_checkpoint
from tests.support.recorded import FOLDER, Recording, packed, read_recording

# What the weights of a recording do not tell: field -> what its config says of it.
_TOLD = {
    "gban": lambda _: {"vocabulary": words_of(len(CONVERTED["gban"].state()["embedding"]) - 2)},
    "sdt": lambda sizes: {"num_attention_heads": sizes["num_heads"]},
    "graph_smile": lambda sizes: {name: sizes[name] for name in ("window_past", "window_future")},
    "m2fnet": lambda sizes: {
        "num_attention_heads": dict(zip(("text", "audio", "visual"), sizes["heads_text_audio_visual"], strict=True))
    },
}


def words_of(number: int) -> list[str]:
    return [f"word{place}" for place in range(number)]


# Of recordings with several forms of a network, the one that is converted here.
_FORMS = {"jmt": "self_atten.", "lmam": "bclstm.", "m2fnet": "reading."}


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
    told = _TOLD.get(FAMILIES[name].released or "")
    return {} if told is None else told(CONVERTED[name].config)


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
    state = recording.state(f"{_FORMS.get(family.released, '')}state.")
    torch.save({"epoch": 3, "state_dict": state, "lr": 1e-4}, source)
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


def test_frozen_identities_are_left_out(source, output):
    """The form of SDT for MELD."""
    size = len(STATE["last_gate.fc.weight"])
    frozen = {name: torch.eye(size) for name in STATE if name.endswith("_gate.fc.weight") and name[0] != "l"}
    torch.save(STATE | frozen, source)
    convert_checkpoint("sdt", source, output, settings=settings_of("sdt"))
    model = AutoModel.from_pretrained(output)
    assert model.config.unimodal_gate == "identity"
    assert not [name for name in model.state_dict() if "unimodal_gates" in name]
    learnt = SDTForEmotionRecognition(SDTConfig(**model.config.to_dict() | {"unimodal_gate": "learned"})).eval()
    gates = {name: torch.eye(size) for name in learnt.state_dict() if "unimodal_gates" in name}
    learnt.load_state_dict(model.state_dict() | gates)
    batch = packed(CONVERTED["sdt"], "dialogue1")
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).logits, learnt(**batch).logits)


def test_a_map_that_is_there_and_never_used_is_left_out(source, output):
    """The form of M3Net for MELD has a map of the text, and skips it."""
    state = read_recording(FOLDER / "m3net_meld_tiny.safetensors").state()
    size = len(state["normBNa.weight"])
    torch.save(state | {"linear_l.weight": torch.zeros(size, size), "linear_l.bias": torch.zeros(size)}, source)
    convert_checkpoint("m3net", source, output)
    assert not AutoModel.from_pretrained(output).config.text_projection
    convert_checkpoint("m3net", source, output, settings={"text_projection": True}, overwrite=True)
    assert AutoModel.from_pretrained(output).config.text_projection


def test_foal_net_is_converted_without_its_encoder(source, output):
    weights = load_file(FOLDER.parent / "foalnet_tiny.safetensors")
    state = {name.removeprefix("state."): rows for name, rows in weights.items() if name.startswith("state.")}
    torch.save(state, source)
    convert_checkpoint("foal-net", source, output, settings={"num_attention_heads": 2})
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    assert model.config.frame_dims == {"audio": 24, "video": 16}
    assert (processor.audio_dim, processor.video_dim) == (24, 16)
    assert torch.equal(model.classifier.weight, state["cls_head.weight"])


@pytest.mark.parametrize("prefix", ["", "module."], ids=["plain", "prefixed"])
def test_cogmen_is_recognised_and_computes_what_the_authors_code_did(prefix, source, output):
    recording = read_recording(FOLDER / "cogmen_options.safetensors")
    torch.save({f"{prefix}{name}": tensor for name, tensor in recording.state().items()}, source)
    part, sizes = recording.below("dialogue0."), recording.config
    dims = {f"{modality}_dim": part[modality].shape[-1] for modality in ("text", "audio", "visual")}
    spoken = torch.cat([recording.tensors[f"dialogue{number}.speaker"] for number in range(recording.num_dialogues)])
    numbers = {str(number): number for number in range(int(spoken.max()) + 1)}
    # Their names mean the opposite.
    windows = {"window_past": sizes["window_future_released"], "window_future": sizes["window_past_released"]}
    told = dims | windows | {"speaker_to_id": numbers}
    convert_checkpoint("joyful", source, output, settings=told)
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    for number in range(recording.num_dialogues):
        part = recording.below(f"dialogue{number}.")
        batch = processor(dialogue_of(recording, number, part["text"]), return_tensors="pt")
        with torch.no_grad():
            found = model(**batch).logits.log_softmax(-1)
        torch.testing.assert_close(found, part["log_prob"], atol=1e-5, rtol=0)


def test_gban_predicts_what_the_authors_code_did(source, output):
    recording = CONVERTED["gban"]
    torch.save(recording.state(), source)
    convert_checkpoint("gban", source, output, settings=settings_of("gban"))
    model, processor = AutoModel.from_pretrained(output), AutoProcessor.from_pretrained(output)
    parts = [recording.below(f"dialogue{number}.") for number in range(recording.num_dialogues)]
    words = ["", "unknown", *processor.vocabulary]
    for part in (part for part in parts if part["tokens"].all()):  # there, padding takes part
        text = " ".join(words[word] for word in part["tokens"].tolist())
        utterance = {"speaker": "a", "text": text, "audio_frames": part["audio"].numpy()}
        batch = processor({"utterances": [utterance]}, return_tensors="pt")
        with torch.no_grad():
            found = model(**batch).logits.softmax(-1)[0]
        torch.testing.assert_close(found, part["additive.probabilities"], atol=1e-5, rtol=0)


def test_gban_needs_the_words_of_its_vectors(source, output):
    torch.save(CONVERTED["gban"].state(), source)
    with pytest.raises(CheckpointError, match=r"vectors of \d+ words, and `vocabulary` has 0"):
        convert_checkpoint("gban", source, output)


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
