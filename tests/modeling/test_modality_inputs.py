"""The features that a model reads of a batch: its own modalities, stand-ins for absent ones, some hidden at random."""

import math

import pytest
import torch

from joyful_hf.modeling.modality_inputs import ModalityInputs, drop_modalities, silence_absent


def make_inputs(modality_dropout=0.0, absent_modality="zeros"):
    return ModalityInputs({"text": 3, "visual": 3}, 0.0, modality_dropout, absent_modality)


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


@pytest.mark.parametrize("absent_modality", ["zeros", "learnt"])
def test_what_stands_in_an_absent_row_may_be_anything(absent_modality):
    given, mask = make_batch()
    spoilt = {name: rows.masked_fill(~mask[:, i, None], math.nan) for i, (name, rows) in enumerate(given.items())}
    features, _ = make_inputs(absent_modality=absent_modality)(spoilt, mask, torch.float32)
    assert all(torch.isfinite(rows).all() for rows in features.values())


def test_features_come_in_the_type_of_the_model():
    given, mask = make_batch()
    for absent_modality in ("zeros", "learnt"):
        features, _ = make_inputs(absent_modality=absent_modality)(given, mask, torch.bfloat16)
        assert {rows.dtype for rows in features.values()} == {torch.bfloat16}


class TestLearntVectors:
    def make(self):
        inputs = make_inputs(absent_modality="learnt")
        for index, vector in enumerate(inputs.absent.values()):
            torch.nn.init.constant_(vector, index + 5)
        return inputs

    def test_they_begin_as_zeros_and_zeros_have_none(self):
        assert not any(vector.any() for vector in make_inputs(absent_modality="learnt").absent.values())
        assert not list(make_inputs().parameters())

    def test_one_stands_where_a_modality_is_absent_and_is_not_taken_for_present(self):
        given, mask = make_batch()
        features, present = self.make()(given, mask, torch.float32)
        for column, name, value in ((0, "text", 5), (2, "visual", 6)):
            here = mask[:, column, None]
            assert torch.equal(present[name], here)
            assert torch.equal(features[name], given[name].where(here, torch.tensor(float(value))))

    def test_absent_rows_alone_move_them(self):
        given, mask = make_batch()
        mask[:, 2] = True
        inputs = self.make()
        features, _ = inputs(given, mask, torch.float32)
        torch.cat(list(features.values())).sum().backward()
        assert inputs.absent["text"].grad.tolist() == [(~mask[:, 0]).sum()] * 3
        assert inputs.absent["visual"].grad.tolist() == [0] * 3, "a gradient of zeros, which every process has"

    def test_modality_dropout_shows_them(self):
        given, _ = make_batch()
        inputs = self.make()
        inputs.modality_dropout = 0.5
        torch.manual_seed(0)
        features, present = inputs.train()(given, None, torch.float32)
        assert 0 < (~present["text"]).sum() < 50
        assert torch.equal((features["text"] == 5).all(-1, keepdim=True), ~present["text"])


@pytest.mark.parametrize("absent_modality", ["zeros", "learnt"])
def test_what_a_layer_makes_of_an_absent_modality_is_silent_unless_a_vector_stands_there(absent_modality):
    rows, present = torch.ones(2, 3), torch.tensor([[True], [False]])
    heard = silence_absent(rows, present, absent_modality)
    assert heard[0].tolist() == [1] * 3
    assert heard[1].tolist() == [0 if absent_modality == "zeros" else 1] * 3


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
