"""JMT's forms, and what it does with an absent modality and with values."""

import pytest
import torch

from joyful_hf import JMTConfig, JMTForEmotionRecognition, JoyfulProcessor
from tests.support.helpers import hide_modalities, make_dialogues

SIZES = {"projection_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "hidden_dropout_prob": 0.0}
SIZES |= {"input_dropout_prob": 0.0, "modality_dropout_prob": 0.0}
FORMS = ("self_attention", "linear", "vanilla", "concatenation")


def make_both(dialogues, **settings):
    processor = JoyfulProcessor.from_dialogues(dialogues)
    torch.manual_seed(0)
    model = JMTForEmotionRecognition(JMTConfig(**(SIZES | processor.model_kwargs() | settings)))
    return model.eval(), processor


def make(dialogues, **settings):
    model, processor = make_both(dialogues, **settings)
    return model, processor(dialogues, return_tensors="pt")


@pytest.mark.parametrize("fusion", FORMS)
@pytest.mark.parametrize("modalities", [("audio",), ("text", "audio"), ("text", "audio", "visual")], ids="+".join)
def test_every_parameter_learns_in_every_form(fusion, modalities):
    model, batch = make(make_dialogues(modalities=modalities), fusion=fusion, token_pooling="mean")
    output = model.train()(**batch)
    output.loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert output.graph.size(-1) == model.config.hidden_size


@pytest.mark.parametrize("fusion", FORMS)
def test_a_form_attends_to_the_dialogue_alone(fusion):
    dialogues = make_dialogues((4, 7))
    model, processor = make_both(dialogues, fusion=fusion)
    alone, together = (model(**processor(part, return_tensors="pt")).logits for part in (dialogues[0], dialogues))
    torch.testing.assert_close(together[:4], alone)


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_modality_that_no_utterance_has_is_asked_by_nobody(pooling):
    model, batch = make(make_dialogues((6,)), token_pooling=pooling)
    present = torch.ones(6, 3, dtype=torch.bool)
    present[:, 0] = False
    expected = model(**hide_modalities(batch, present)).logits
    with torch.no_grad():
        for name in ("projections", "encoders", "cross_attention"):
            for parameter in getattr(model.jmt, name)["text"].parameters():
                parameter.add_(1.0)
    torch.testing.assert_close(model(**hide_modalities(batch, present)).logits, expected)


def test_values_are_compared_over_the_batch():
    dialogues = make_dialogues(label=lambda rng: {"valence": float(rng.normal()), "arousal": float(rng.normal())})
    model, batch = make(dialogues, regression_loss="concordance")
    assert float(model(**batch).loss.detach()) == pytest.approx(
        float(model(**batch).losses["classification"].detach())
    )
    output = model.train()(**batch)
    assert output.means["concordance"].shape == (2,)
    assert float(output.loss.detach()) == pytest.approx(float(output.losses["concordance"].detach()))
    assert model.loss_counts(batch)["concordance"].tolist() == [38, 38]
    both, _ = make(dialogues)
    both = both.train()(**batch)
    assert float(both.loss.detach()) == pytest.approx(sum(float(part.detach()) for part in both.losses.values()))


def test_a_step_in_shares_sums_to_what_its_parts_weigh():
    dialogues = make_dialogues(label=lambda rng: float(rng.normal()))
    model, batch = make(dialogues)
    model.train()
    half = {"classification": torch.tensor(0.5), "concordance": torch.tensor([0.5])}
    with torch.no_grad():
        assert float(model(**batch, loss_shares=half).loss) == pytest.approx(float(model(**batch).loss) / 2)
