"""`import joyful_hf` makes the families known to transformers, and costs no more than it has to."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor

import joyful_hf
from joyful_hf import DialogueError
from joyful_hf.families import FAMILIES
from joyful_hf.registration import register
from tests.support.helpers import make_dialogues

DIALOGUES = make_dialogues((5, 3, 1))


def test_a_checkpoint_loads_through_the_auto_classes(family, tmp_path):
    model, processor = family.make(DIALOGUES)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    loaded_processor = AutoProcessor.from_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert type(config) is type(model.config)
    assert type(loaded_processor) is type(processor)
    assert type(loaded) is type(model)
    assert loaded_processor.to_dict() == processor.to_dict()
    with torch.no_grad():
        before = model(**processor(DIALOGUES, return_tensors="pt")).logits
        after = loaded(**loaded_processor(DIALOGUES, return_tensors="pt")).logits
    assert torch.equal(before, after)


def test_a_config_makes_its_model(family):
    model, _ = family.make(DIALOGUES)
    assert type(AutoModel.from_config(model.config)) is type(model)
    made = AutoConfig.for_model(model.config.model_type, text_dim=8)
    assert (type(made), made.text_dim) == (type(model.config), 8)


def test_registering_twice_does_no_harm():
    register()
    register()
    for family in FAMILIES.values():
        assert isinstance(AutoConfig.for_model(family.config_class.model_type), family.config_class)


def test_a_batch_that_does_not_fit_the_model_is_a_dialogue_error(family):
    model, processor = family.make(DIALOGUES)
    batch = processor(DIALOGUES, return_tensors="pt")
    key = next(key for key in ("text_features", "audio_features", "video_frames") if key in batch)
    size = batch[key].size(-1)
    batch[key] = batch[key][..., :-1]
    with pytest.raises(DialogueError, match=rf"{size - 1}\b.*\b{size}\b"):
        model(**batch)


def test_every_public_name_is_there():
    for name in joyful_hf.__all__:
        assert getattr(joyful_hf, name) is not None
    assert set(joyful_hf.__all__) <= set(dir(joyful_hf))
    with pytest.raises(AttributeError, match="no_such_name"):
        joyful_hf.no_such_name  # noqa: B018


# Orders in which a program may import the parts; each runs in an interpreter of its own.
ORDERS = {
    "the Auto classes first": "from transformers import AutoConfig, AutoModel, AutoProcessor; import joyful_hf",
    "the Auto classes afterwards": "import joyful_hf; from transformers import AutoConfig, AutoModel, AutoProcessor",
    "a model's module first": "from joyful_hf.modeling.modeling_ar_iigcn import ARIIGCNModel",
    "a processor first": "from joyful_hf import JoyfulProcessor",
    "reloaded": "import importlib, joyful_hf; importlib.reload(joyful_hf)",
    "looked for before it is imported": (
        "import joyful_hf, importlib.util; importlib.util.find_spec('transformers.models.auto.configuration_auto')"
    ),
}
QUICK = {"the Auto classes afterwards", "a model's module first"}
CHECK = """
from transformers import AutoConfig, AutoModel, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from joyful_hf.families import FAMILIES
for family in FAMILIES.values():
    config = type(AutoConfig.for_model(family.model_type))
    assert config is family.config_class
    assert MODEL_MAPPING[config] is family.model_class
    assert PROCESSOR_MAPPING[config] is family.processor_class
"""


def run_python(code: str) -> str:
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    "order",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ORDERS],
)
def test_the_families_are_known_whatever_is_imported_first(order):
    run_python(ORDERS[order] + CHECK)


@pytest.mark.slow
def test_the_pipeline_is_known_after_the_import_of_the_package():
    run_python(
        "import joyful_hf; from transformers.pipelines import PIPELINE_REGISTRY\n"
        "assert 'emotion-recognition' in PIPELINE_REGISTRY.get_supported_tasks()"
    )


@pytest.mark.slow
def test_threads_that_import_at_the_same_time_leave_every_family_registered():
    """transformers itself may refuse one of several imports at a time; no registration is lost by that."""
    run_python(
        "import threading, joyful_hf\n"
        "def work(code):\n"
        "    try: exec(code, {})\n"
        "    except (ImportError, RuntimeError): pass\n"
        "threads = [threading.Thread(target=work, args=(code,)) for code in (\n"
        "    'from transformers import AutoModel', 'from joyful_hf import JoyfulConfig',\n"
        "    'from joyful_hf.modeling import FoalNetConfig', 'from transformers import AutoProcessor')]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n" + CHECK
    )


def test_what_takes_long_to_import_waits_until_it_is_asked_for():
    loaded = run_python("import sys, joyful_hf; print(*sys.modules)").split()
    heavy = {"torch", "transformers", "datasets", "pandas", "sklearn", "numpy", "typer", "huggingface_hub"}
    assert heavy.isdisjoint(loaded)
