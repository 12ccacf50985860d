"""Checkpoints that the authors' code saved: read whole, with nothing imported and nothing run."""

import argparse
import builtins
import importlib
import io
import logging
import os
import pickle
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch_geometric.nn import RGCNConv, TransformerConv

from joyful_hf import JoyfulForEmotionRecognition, JoyfulProcessor, convert_released_state_dict
from joyful_hf.io.stand_in import StandIn
from joyful_hf.io.torch_checkpoint import CheckpointError, UnsafeCheckpointError, read_released_checkpoint
from joyful_hf.released.joyful import convert_released_checkpoint, released_config_of

PARITY = load_file(Path(__file__).parents[1] / "parity" / "joyful_tiny.safetensors")
ARGUMENTS = {"dataset": "iemocap_4", "emotion": None, "wp": 2, "wf": 5, "drop_rate": 0.4, "cl_loss_weight": 0.1}


def tensors_below(prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in PARITY.items() if name.startswith(prefix)}


FUSION_STATE, MODEL_STATE = tensors_below("fusion_state."), tensors_below("model_state.")


@contextmanager
def authors_code():
    """Gives `make("joyful.model.GNN.GNN", child=…)`: modules whose classes can be imported in this block only."""
    modules: dict[str, ModuleType] = {}

    def make(path: str, **children: nn.Module) -> nn.Module:
        folder, _, name = path.rpartition(".")
        for end in range(1, folder.count(".") + 2):
            package = ".".join(folder.split(".")[:end])
            sys.modules.setdefault(package, modules.setdefault(package, ModuleType(package)))
        setattr(modules[folder], name, type(name, (nn.Module,), {"__module__": folder}))
        module = getattr(modules[folder], name)()
        for child, value in children.items():
            module.add_module(child, value)
        return module

    with mock.patch.dict(sys.modules):
        yield make


def make_fusion(make) -> nn.Module:
    def two_layers(before, inside, after):
        return nn.Sequential(nn.Linear(before, inside), nn.Tanh(), nn.Linear(inside, after), nn.ReLU())

    fusion = make(
        "joyful.fusion_methods.AutoFusion",
        fuse_inGlobal=two_layers(50, 40, 28),
        fuse_outGlobal=two_layers(28, 40, 50),
        fuse_inInter=two_layers(60, 40, 28),
        fuse_outInter=two_layers(28, 40, 60),
        criterion=nn.MSELoss(),
        projectA=nn.Linear(10, 20),
        projectT=nn.Linear(24, 20),
        projectV=nn.Linear(16, 20),
        projectB=nn.Sequential(nn.Linear(20, 20)),
    )
    fusion.load_state_dict(FUSION_STATE)
    return fusion


def make_model(make) -> nn.Module:
    layer = nn.TransformerEncoderLayer(56, 7, 96, batch_first=True)
    context = make(
        "joyful.model.SeqContext.SeqContext",
        encoding_layer=nn.Embedding(110, 56),
        LayerNorm=nn.LayerNorm(56),
        transformer_encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        transformer_out=nn.Linear(56, 24),
    )
    graph = make(
        "joyful.model.GNN.GNN",
        conv1=RGCNConv(24, 24, 8),
        transform_conv=TransformerConv(24, 24, heads=4),
        bn=nn.BatchNorm1d(96),
    )
    classifier = make(
        "joyful.model.Classifier.Classifier",
        emotion_att=make("joyful.model.Classifier.MaskedEmotionAtt", lin=nn.Linear(96, 96)),
        highway=nn.Identity(),
        lin1=nn.Linear(96, 24),
        lin2=nn.Linear(24, 4),
        lin_7=nn.Linear(24, 7),
        linear=nn.Linear(96, 4),
        nll_loss=nn.NLLLoss(torch.ones(4)),
    )
    model = make("joyful.model.JOYFUL.JOYFUL", rnn=context, gcl=graph, clf=classifier)
    model.load_state_dict(MODEL_STATE, strict=False)
    classifier.args = argparse.Namespace(**ARGUMENTS)
    # The layers of older torch-geometric hold a bound method, which a pickle spells with `getattr`.
    graph.transform_conv._load_state_dict_pre_hooks[0] = graph.transform_conv.reset_parameters
    return model


def save_released(path: Path, **arguments) -> Path:
    """As the authors' trainer does it: two whole modules, the command line, the learning rate."""
    with authors_code() as make:
        content = {
            "args": argparse.Namespace(**(ARGUMENTS | arguments)),
            "modelN_state_dict": make_model(make),
            "modelF_state_dict": make_fusion(make),
            "lr": [3e-05],
        }
        torch.save(content, path)
    assert "joyful" not in sys.modules
    return path


@pytest.fixture
def released(tmp_path):
    return save_released(tmp_path / "iemocap_4_best_dev_f1_model_atv.pt")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "converted"


def state_with(states, name: str):
    (state,) = [state for state in states if name in state]
    return state


def assert_same_tensors(ours, theirs):
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def dialogue(index: int) -> dict:
    """A recorded dialogue, with IEMOCAP's names for its speakers."""
    recorded = tensors_below(f"dialogue{index}.")
    rows = zip(*(recorded[name].tolist() for name in ("speaker", "text", "audio", "visual")), strict=True)
    return {
        "utterances": [
            {"speaker": "MF"[speaker], "text_features": text, "audio_features": audio, "visual_features": visual}
            for speaker, text, audio, visual in rows
        ]
    }


# Reading.


def test_whole_modules_are_read_as_their_state_dicts(released):
    checkpoint = read_released_checkpoint(released)
    assert_same_tensors(state_with(checkpoint.states, "projectA.weight"), FUSION_STATE)
    model_state = state_with(checkpoint.states, "clf.lin1.weight")
    assert_same_tensors({name: model_state[name] for name in MODEL_STATE}, MODEL_STATE)


def test_nothing_that_a_checkpoint_names_is_imported(released):
    before = set(sys.modules)
    read_released_checkpoint(released)
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] == "joyful"}


def test_the_training_scripts_command_line_is_read(released):
    known = {name: value for name, value in ARGUMENTS.items() if value is not None}
    assert read_released_checkpoint(released).arguments == known


def test_a_module_alone_is_read(tmp_path):
    with authors_code() as make:
        torch.save(make_fusion(make), tmp_path / "fusion.pt")
    (state,) = read_released_checkpoint(tmp_path / "fusion.pt").states
    assert_same_tensors(state, FUSION_STATE)


@pytest.mark.parametrize(
    "content", [FUSION_STATE, {"epoch": 3, "state_dict": FUSION_STATE}], ids=["alone", "in a dict"]
)
def test_a_state_dict_is_read(content, tmp_path):
    torch.save(content, tmp_path / "state.pt")
    (state,) = read_released_checkpoint(tmp_path / "state.pt").states
    assert_same_tensors(state, FUSION_STATE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_is_read(protocol, tmp_path):
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "state.pt", pickle_protocol=protocol)
    assert len(read_released_checkpoint(tmp_path / "state.pt").states) == 1


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]
)
def test_a_tensor_keeps_its_values_whatever_its_type_and_layout(dtype, tmp_path):
    whole = torch.arange(24).reshape(4, 6).to(dtype)
    tensors = {"transposed": whole.T, "part": whole[1:3, 2:], "scalar": whole[2, 3], "empty": whole[:0]}
    torch.save(tensors, tmp_path / "tensors.pt")
    (state,) = read_released_checkpoint(tmp_path / "tensors.pt").states
    assert_same_tensors(state, tensors)


# Refusing.


def test_a_storage_is_not_larger_than_the_file(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"weight": torch.ones(8)}, path)
    data = bytearray(path.read_bytes())
    place = data.index(b"state/data/0", data.index(b"PK\x01\x02")) - 46  # its entry in the table of contents
    data[place + 24 : place + 28] = (3 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"is damaged \(data/0 is larger than the whole file\)"):
        read_released_checkpoint(path)


def marker_making_calls(marker: Path):
    """Callables and arguments that would leave a file behind, and the names under which they are pickled."""
    code = f"open({str(marker)!r}, 'w').close()"
    return {
        f"{os.name}.system": (os.system, (f"touch {marker}",)),
        "builtins.eval": (eval, (code,)),
        "builtins.exec": (exec, (code,)),
        "subprocess.Popen": (subprocess.Popen, (["touch", str(marker)],)),
        "io.open": (io.open, (str(marker), "w")),
        "builtins.__import__": (builtins.__import__, ("antigravity",)),
        "importlib.import_module": (importlib.import_module, ("antigravity",)),
        "pickle.loads": (pickle.loads, (b"N.",)),
        "torch.serialization.load": (torch.load, (str(marker),)),
        "torch.hub.load": (torch.hub.load, ("owner/repository", "model")),
    }


class Exploit:
    def __init__(self, function, arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def module_with(exploit) -> nn.Module:
    module = nn.Linear(2, 2)
    module.note = exploit
    return module


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.mark.parametrize("name", marker_making_calls(Path()))
def test_a_call_is_refused_by_name_and_not_made(name, tmp_path, marker):
    torch.save(Exploit(*marker_making_calls(marker)[name]), tmp_path / "bad.pt")
    with pytest.raises(UnsafeCheckpointError, match=name):
        read_released_checkpoint(tmp_path / "bad.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    "hide",
    [
        lambda exploit: {"modelF_state_dict": {"weight": exploit}},
        lambda exploit: [[({"deep": [exploit]},)]],
        lambda exploit: {"state": FUSION_STATE, "args": argparse.Namespace(experiment=exploit)},
        module_with,
        lambda exploit: {exploit: 1},
    ],
    ids=["in a state dict", "in lists", "in the arguments", "in a module", "as a key"],
)
def test_a_call_is_refused_wherever_it_hides(hide, tmp_path, marker):
    torch.save(hide(Exploit(os.system, (f"touch {marker}",))), tmp_path / "bad.pt")
    with pytest.raises(UnsafeCheckpointError, match=f"{os.name}.system"):
        read_released_checkpoint(tmp_path / "bad.pt")
    assert not marker.exists()


def test_an_unknown_class_is_refused_by_name(tmp_path):
    torch.save({"when": Path("a")}, tmp_path / "bad.pt")
    with pytest.raises(UnsafeCheckpointError, match=r"pathlib\.[\w.]*Path"):
        read_released_checkpoint(tmp_path / "bad.pt")


def write_archive(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED, **storages: bytes) -> Path:
    """What torch.save writes, around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage)
    return path


def call(function: str, *arguments: str) -> bytes:
    """Pickle opcodes that call a global, `"module name"`, with the objects that other opcodes make."""
    module, name = function.split()
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def test_a_name_that_stands_for_a_dangerous_function_does_nothing(tmp_path):
    """`getattr` belongs to torch-geometric's layers, but what is read is a stand-in for it: it finds no attribute."""
    data = b"\x80\x02}" + text("modules") + call("__builtin__ getattr", b"cjoyful\nutils\n", text("__class__")) + b"s."
    with mock.patch("joyful_hf.io.torch_checkpoint._Reader._state_of") as walked:
        assert not read_released_checkpoint(write_archive(tmp_path / "a.pt", data)).states
    assert not walked.called


@pytest.mark.parametrize(
    "data",
    [
        call("__builtin__ getattr", b"cjoyful\nutils\n", text("__class__")) + b"(tR",  # calls what getattr gave
        b"cjoyful\nutils\n}" + text("path") + text("os.system") + b"sb",  # sets an attribute of a stand-in class
        b"ccollections\nOrderedDict\n}" + text("get") + text("x") + b"sb",  # and of a real one
    ],
    ids=["called", "stand-in class changed", "container class changed"],
)
def test_stand_ins_and_containers_cannot_be_turned_into_something_else(data, tmp_path):
    with pytest.raises(CheckpointError, match="damaged"):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", b"\x80\x02" + data + b"."))
    assert not hasattr(StandIn, "path")


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        (text("os.system"), "os.system"),
        (b"(" + text("module") + text("os") + b"t", "os"),
        (b"(" + text("storage") + b"ctorch.nn\nLinear\n" + text("0") + text("cpu") + b"K\x01t", "storage"),
        (b"(" + text("storage") + b"cos\nsystem\n" + text("0") + text("cpu") + b"K\x01t", r"os\.system"),
    ],
    ids=["a name", "a module", "another class", "a function"],
)
def test_a_persistent_reference_that_is_no_storage_is_refused(reference, named, tmp_path):
    path = write_archive(tmp_path / "bad.pt", b"\x80\x02" + reference + b"Q.")
    with pytest.raises(UnsafeCheckpointError, match=named):
        read_released_checkpoint(path)


def test_a_copyreg_extension_is_refused(tmp_path):
    with pytest.raises(UnsafeCheckpointError, match="extension"):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", b"\x80\x02\x82\x01."))


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00", announced: bytes = b"K\x04") -> bytes:
    """A state dict with a float32 tensor in storage a."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("a") + text("cpu") + announced + b"tQ"
    rebuilt = call("torch._utils _rebuild_tensor_v2", storage, offset, size, stride, b"\x89", b"N")
    return b"\x80\x02}" + text("weight") + rebuilt + b"s."


FOUR, ONE, MANY = b"K\x04\x85", b"K\x01\x85", b"J\xff\xff\xff\x7f\x85"


def test_a_tensor_is_read_from_its_storage(tmp_path):
    path = write_archive(tmp_path / "a.pt", tensor(FOUR, ONE), a=bytes(16))
    (state,) = read_released_checkpoint(path).states
    assert state["weight"].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "data",
    [
        tensor(FOUR, ONE, offset=b"K\x01"),
        tensor(FOUR, MANY),
        tensor(MANY, b"K\x00\x85"),
        tensor(FOUR, ONE, announced=b"K\x05"),
        b"\x80\x02}r\xff\xff\xff\xff.",
    ],
    ids=["too far", "too wide", "too large", "longer than announced", "memo of 64 GB"],
)
def test_memory_beyond_the_file_is_not_touched(data, tmp_path):
    with pytest.raises(CheckpointError):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", data, a=bytes(16)))


def test_many_tensors_of_one_storage_do_not_fill_the_memory(tmp_path):
    one = tensor(b"J\x00\x00\x01\x00\x85", ONE, announced=b"J\x00\x00\x01\x00")[3:-2]
    many = b"".join(text(f"weight{index}") + one.removeprefix(text("weight")) + b"s" for index in range(40))
    with pytest.raises(CheckpointError, match="together far larger than the file"):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", b"\x80\x02}" + many + b".", a=bytes(4 << 16)))


def test_tuples_nested_so_deep_that_hashing_them_ends_the_process_are_refused(tmp_path):
    data = b"\x80\x02}N" + b"\x85" * 1_000_000 + b"Ns."
    with pytest.raises(CheckpointError, match="nested more than 1000 deep"):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", data))


def test_a_compressed_archive_is_refused(tmp_path):
    """A small one could unpack to any size; torch.save never compresses."""
    path = write_archive(tmp_path / "bad.pt", tensor(FOUR, ONE), zipfile.ZIP_DEFLATED, a=bytes(16))
    with pytest.raises(CheckpointError, match="compressed"):
        read_released_checkpoint(path)


def test_a_module_that_contains_itself_is_refused(tmp_path):
    module = nn.Sequential(nn.Linear(2, 2))
    module._modules["again"] = module
    torch.save(module, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="'again' is in several places"):
        read_released_checkpoint(tmp_path / "bad.pt")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_released_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a checkpoint"),
        (b"hello", "not a checkpoint"),
        (pickle.dumps({"a": 1}), "not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 171573835\n", "git lfs pull"),
    ],
    ids=["empty", "text", "pickle", "git-LFS pointer"],
)
def test_a_file_that_torch_did_not_write_is_refused(content, reason, tmp_path):
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=reason):
        read_released_checkpoint(tmp_path / "bad.pt")


def test_another_zip_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_released_checkpoint(tmp_path / "bad.pt")


def test_torchs_old_format_is_refused(tmp_path):
    torch.save(FUSION_STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="from before version"):
        read_released_checkpoint(tmp_path / "old.pt")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_that_breaks_off_is_refused(share, released):
    content = released.read_bytes()
    released.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="breaks off"):
        read_released_checkpoint(released)


def test_a_pickle_that_breaks_off_is_refused(tmp_path):
    data = tensor(FOUR, ONE)
    with pytest.raises(CheckpointError, match="damaged"):
        read_released_checkpoint(write_archive(tmp_path / "bad.pt", data[:-20], a=bytes(16)))


# Converting.


def predict(folder: Path) -> torch.Tensor:
    model, processor = JoyfulForEmotionRecognition.from_pretrained(folder), JoyfulProcessor.from_pretrained(folder)
    with torch.inference_mode():
        return model(**processor([dialogue(index) for index in range(3)], return_tensors="pt")).logits


def test_a_converted_checkpoint_predicts_what_the_released_code_did(tmp_path, output):
    convert_released_checkpoint(save_released(tmp_path / "a.pt", wp=8, wf=8), output)
    recorded = torch.cat([PARITY[f"dialogue{index}.log_prob"] for index in range(3)])
    torch.testing.assert_close(predict(output).log_softmax(-1), recorded, rtol=0, atol=1e-5)


def test_it_gives_the_same_logits_as_its_state_dicts(tmp_path, output):
    convert_released_checkpoint(save_released(tmp_path / "a.pt", wp=8, wf=8), output)
    model = JoyfulForEmotionRecognition(released_config_of(FUSION_STATE, MODEL_STATE))
    model.load_state_dict(convert_released_state_dict(FUSION_STATE, MODEL_STATE))
    batch = JoyfulProcessor.from_pretrained(output)([dialogue(index) for index in range(3)], return_tensors="pt")
    with torch.inference_mode():
        assert predict(output).equal(model.eval()(**batch).logits)


def test_what_the_file_records_of_its_training_is_kept(released, output):
    convert_released_checkpoint(released, output)
    config = JoyfulForEmotionRecognition.from_pretrained(output).config
    processor = JoyfulProcessor.from_pretrained(output)
    assert config.hidden_dropout_prob == 0.4
    assert config.contrastive_loss_weight == 0.1
    assert config.id2label == {0: "hap", 1: "sad", 2: "neu", 3: "ang"}
    assert processor.label2id == config.label2id == {"hap": 0, "sad": 1, "neu": 2, "ang": 3}
    assert processor.speaker_to_id == {"M": 0, "F": 1}
    assert (processor.window_past, processor.window_future) == (5, 2)  # --wp 2 --wf 5: they change places


def test_what_is_told_goes_before_what_is_recorded(released, output):
    convert_released_checkpoint(
        released,
        output,
        window_past=1,
        window_future=-1,
        labels=["joy", "sorrow", "calm", "rage"],
        speaker_to_id={"Ann": 0, "Bob": 1},
    )
    processor = JoyfulProcessor.from_pretrained(output)
    assert (processor.window_past, processor.window_future) == (-1, 1)
    assert processor.label2id == {"joy": 0, "sorrow": 1, "calm": 2, "rage": 3}
    assert processor.speaker_to_id == {"Ann": 0, "Bob": 1}


def test_state_dicts_in_two_files_of_a_folder_are_converted(tmp_path, output, caplog):
    source = tmp_path / "source"
    source.mkdir()
    torch.save(FUSION_STATE, source / "fusion.pt")
    torch.save(MODEL_STATE, source / "model.pth")
    (source / ".gitattributes").write_text("*.pt filter=lfs")
    with caplog.at_level(logging.WARNING):
        convert_released_checkpoint(source, output, speaker_to_id={"M": 0, "F": 1})
    assert not caplog.records
    recorded = torch.cat([PARITY[f"dialogue{index}.log_prob"] for index in range(3)])
    torch.testing.assert_close(predict(output).log_softmax(-1), recorded, rtol=0, atol=1e-5)


def test_it_says_when_the_speakers_numbers_are_not_known(tmp_path, output, caplog):
    torch.save({"fusion": FUSION_STATE, "model": MODEL_STATE}, tmp_path / "states.pt")
    with caplog.at_level(logging.WARNING, logger="joyful_hf"):
        convert_released_checkpoint(tmp_path / "states.pt", output)
    assert "which speaker has which number" in caplog.text
    assert JoyfulProcessor.from_pretrained(output).speaker_to_id is None


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({"args": argparse.Namespace(dataset="mosei"), "state_dict": MODEL_STATE}, "fusion network"),
        ({"modelF_state_dict": FUSION_STATE}, r"model \(JOYFUL\)"),
        ({"lr": [0.1]}, "fusion network"),
        ([1, 2], "fusion network"),
    ],
    ids=["MOSEI", "fusion alone", "no module", "no dict"],
)
def test_a_missing_part_is_named(content, missing, tmp_path, output):
    torch.save(content, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=f"part.pt: the {missing}.* is missing"):
        convert_released_checkpoint(tmp_path / "part.pt", output)


def test_a_folder_of_several_checkpoints_is_refused(tmp_path, output):
    for name in ("a.pt", "b.pt"):
        torch.save({"fusion": FUSION_STATE, "model": MODEL_STATE}, tmp_path / name)
    with pytest.raises(CheckpointError, match="there are 2 of the fusion network"):
        convert_released_checkpoint(tmp_path, output)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path, output):
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        convert_released_checkpoint(tmp_path, output)


@pytest.mark.parametrize(
    ("recorded", "told", "reason"),
    [
        ({"emotion": "7class"}, {}, "7class"),
        ({"drop_rate": 7.0}, {}, "hidden_dropout_prob"),
        ({"wp": -2}, {}, "must be an int of at least -1, got -2"),
        ({"wf": "eight"}, {}, "must be an int of at least -1, got .eight."),
        ({}, {"labels": ["a", "b"]}, "2 labels were given .* 4 classes"),
    ],
    ids=["other network", "dropout", "window", "window in words", "labels"],
)
def test_settings_that_do_not_fit_are_refused(recorded, told, reason, tmp_path, output):
    source = save_released(tmp_path / "a.pt", **recorded)
    with pytest.raises(CheckpointError, match=reason):
        convert_released_checkpoint(source, output, **told)


def test_an_unsafe_checkpoint_converts_to_nothing(tmp_path, output, marker):
    content = {"modelN_state_dict": MODEL_STATE, "modelF_state_dict": FUSION_STATE}
    torch.save(content | {"lr": Exploit(os.system, (f"touch {marker}",))}, tmp_path / "bad.pt")
    with pytest.raises(UnsafeCheckpointError, match="system"):
        convert_released_checkpoint(tmp_path / "bad.pt", output)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pt"]


def test_a_folder_that_holds_something_is_left_alone(released, output):
    output.mkdir()
    (output / "model.safetensors").write_text("weeks of work")
    with pytest.raises(ValueError, match="is not empty; choose another folder"):
        convert_released_checkpoint(released, output)
    assert {path.name: path.read_text() for path in output.iterdir()} == {"model.safetensors": "weeks of work"}


def test_an_empty_folder_is_filled(released, output):
    output.mkdir()
    convert_released_checkpoint(released, output)
    assert {path.name for path in output.iterdir()} == {"config.json", "model.safetensors", "processor_config.json"}


def test_a_conversion_that_fails_leaves_nothing_behind(released, output, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(JoyfulProcessor, "save_pretrained", full)
    with pytest.raises(OSError, match="no space left"):
        convert_released_checkpoint(released, output)
    assert [path.name for path in released.parent.iterdir()] == [released.name]
