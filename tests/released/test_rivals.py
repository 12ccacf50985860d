"""Conversions of the rivals' weights name what is missing, what is unknown, and sizes that do not fit."""

from importlib import import_module

import pytest

from tests.support.recorded import FOLDER, read_recording

SYSTEMS = ["cogmen", "dialogue_gcn", "dialogue_gcn_zhang", "dialogue_rnn", "mmgcn"]
JOINED = ["cogmen", "dialogue_gcn", "dialogue_gcn_zhang", "dialogue_rnn"]


def released(system):
    """The function that reads the config, the conversion, and recorded weights."""
    name = system.removesuffix("_zhang")
    module = import_module(f"joyful_hf.released.{name}")
    convert = getattr(module, f"convert_released_{name}_state_dict")
    return module.released_config, convert, read_recording(FOLDER / f"{system}_tiny.safetensors").state()


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_missing_or_unknown_is_named(system):
    read_config, convert, state = released(system)
    name = next(name for name in sorted(state) if "bias" in name)
    without = {key: value for key, value in state.items() if key != name}
    for change in (convert, read_config):
        with pytest.raises(ValueError, match=rf"lacks .*{name}"):
            change(without)
        with pytest.raises(ValueError, match=r"no parameters another\.weight"):
            change(state | {"another.weight": state[name]})


@pytest.mark.parametrize("system", JOINED)
def test_sizes_of_modalities_that_do_not_fit_are_named(system):
    read_config, _, state = released(system)
    with pytest.raises(ValueError, match=r"reads 26 features, and text_dim=10, audio_dim=4 are 14"):
        read_config(state, text_dim=10, audio_dim=4)
