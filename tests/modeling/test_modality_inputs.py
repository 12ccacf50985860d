"""What a model reads of a batch: its own modalities, zeros where one is absent, and some hidden in training."""

import math

import torch

from joyful_hf.modeling.modality_inputs import ModalityInputs, drop_modalities


def make_inputs(modalities=("text", "visual"), **rates):
    return ModalityInputs(list(modalities), rates.get("dropout", 0.0), rates.get("modality_dropout", 0.0))


def make_batch(rows=50):
    generator = torch.Generator().manual_seed(0)
    given = {name: torch.rand(rows, 3, generator=generator) + 1 for name in ("text", "audio", "visual")}
    return given, torch.rand(rows, 3, generator=generator) < 0.6


def test_only_the_modalities_of_the_model_are_read():
    given, mask = make_batch()
    features, present = make_inputs()(given | {"audio": None}, mask, torch.float32)
    assert list(features) == list(present) == ["text", "visual"]
    for column, name in ((0, "text"), (2, "visual")):
        assert torch.equal(present[name], mask[:, column, None])
        assert torch.equal(features[name], given[name] * mask[:, column, None])


def test_without_a_mask_everything_is_present():
    given, _ = make_batch()
    features, present = make_inputs()(given, None, torch.float32)
    assert all(here.all() for here in present.values())
    assert torch.equal(features["text"], given["text"])


def test_what_stands_in_an_absent_row_may_be_anything():
    given, mask = make_batch()
    spoilt = {name: rows.masked_fill(~mask[:, i, None], math.nan) for i, (name, rows) in enumerate(given.items())}
    features, _ = make_inputs()(spoilt, mask, torch.float32)
    assert all(torch.isfinite(rows).all() for rows in features.values())


def test_features_come_in_the_type_of_the_model():
    given, mask = make_batch()
    features, _ = make_inputs()(given, mask, torch.bfloat16)
    assert {rows.dtype for rows in features.values()} == {torch.bfloat16}


class TestModalityDropout:
    def present(self, rows=2000):
        torch.manual_seed(0)
        mask = {name: torch.rand(rows, 1) < 0.7 for name in ("text", "audio", "visual")}
        return mask, drop_modalities(mask, 0.5)

    def test_it_hides_its_share_and_invents_nothing(self):
        given, kept = self.present()
        for name, here in kept.items():
            assert not (here & ~given[name]).any()
            assert 0.4 < here.sum() / given[name].sum() < 0.75

    def test_no_utterance_loses_its_last_modality(self):
        given, kept = self.present()
        had = torch.stack(list(given.values())).any(0)
        assert torch.equal(torch.stack(list(kept.values())).any(0), had)

    def test_training_hides_and_evaluation_sees_every_modality(self):
        given, mask = make_batch()
        inputs = make_inputs(modality_dropout=0.5)
        for training in (True, False):
            _, present = inputs.train(training)(given, mask, torch.float32)
            seen = torch.cat(list(present.values()), dim=-1)
            assert torch.equal(seen, mask[:, [0, 2]]) is not training
