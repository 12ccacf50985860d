"""M2FNet's streams, and the loss of its extractors."""

import pytest
import torch

from joyful_hf import JoyfulProcessor, M2FNetConfig, M2FNetExtractorLoss, M2FNetForEmotionRecognition
from tests.support.helpers import hide_modalities, make_dialogues


def make(config=M2FNetConfig, **settings):
    dialogues = make_dialogues()
    processor = JoyfulProcessor.from_dialogues(dialogues)
    torch.manual_seed(0)
    sizes = {"num_attention_heads": 2, "intermediate_size": 8}
    model = M2FNetForEmotionRecognition(config(**(sizes | processor.model_kwargs() | settings)))
    return model.eval(), processor(dialogues, return_tensors="pt")


def test_a_modality_may_have_encoders_and_heads_of_its_own():
    model, batch = make(
        M2FNetConfig.paper,
        num_encoders={"text": 2, "audio": 0, "visual": 1},
        num_attention_heads={"text": 3, "audio": 6, "visual": 4},
    )
    assert [len(own) for own in model.m2fnet.encoders.values()] == [2, 0, 1]
    assert torch.isfinite(model(**batch).logits).all()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_encoders": {"text": 1}}, "num_encoders has no number for audio, visual"),
        ({"num_attention_heads": 5}, "does not divide 12, the width of the text stream"),
        ({"num_encoders": -1}, "num_encoders must be 0 or more"),
    ],
    ids=["missing", "heads", "negative"],
)
def test_sizes_that_do_not_fit_are_refused(settings, reason):
    with pytest.raises(Exception, match=reason):
        M2FNetConfig.paper(**({"text_dim": 12, "audio_dim": 6, "visual_dim": 8, "num_attention_heads": 2} | settings))


def test_text_that_is_absent_is_stood_in_for_by_the_others():
    model, batch = make(projection_size=8, num_fusion_layers=0)
    present = torch.ones(38, 3, dtype=torch.bool)
    present[5, 0] = False
    output = model(**hide_modalities(batch, present))
    audio, visual = output.context[5, 8:].split(8)
    torch.testing.assert_close(output.fused[5], (audio + visual) / 2)


def test_the_extractors_loss_falls_as_positives_come_near_and_negatives_go_far():
    loss = M2FNetExtractorLoss()
    torch.manual_seed(0)
    anchor, positive, negative = (torch.nn.functional.normalize(torch.randn(6, 4), dim=-1) for _ in range(3))
    positive.requires_grad_()
    negative.requires_grad_()
    loss.triplet(anchor, positive, negative).sum().backward()
    assert ((positive - anchor) * positive.grad).sum(-1).gt(0).any()
    assert ((negative - anchor) * negative.grad).sum(-1).lt(0).all()


def test_taken_literally_it_pulls_negatives_that_are_far():
    anchor, positive = torch.zeros(1, 2), torch.zeros(1, 2)
    negative = torch.tensor([[1.5, 0.0]], requires_grad=True)
    M2FNetExtractorLoss(literal_margin=True).triplet(anchor, positive + 0.5, negative).sum().backward()
    assert negative.grad[0, 0] > 0


def test_the_published_number_of_heads_gives_way_to_a_width_that_it_does_not_divide():
    assert M2FNetConfig.released(text_dim=768, audio_dim=768).num_attention_heads == 8
    config = M2FNetConfig.released(text_dim=384, audio_dim=73)
    assert config.num_attention_heads == {"text": 8, "audio": 1}
    assert M2FNetConfig(**config.to_dict()).num_attention_heads == config.num_attention_heads
