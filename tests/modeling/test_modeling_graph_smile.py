"""GraphSmile's equations where they are ours: the weights of edges, the degrees, and what is absent."""

import pytest
import torch

from tests.support.helpers import RIVAL_CASES, hide_modalities, make_dialogue, make_dialogues
from tests.test_invariants import logits_of, run

CASE = next(case for case in RIVAL_CASES if case.name == "graph-smile-recommended")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def made(**fields):
    model, processor = CASE.make(make_dialogues(), **fields)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if ".edge_weights." in name:
            parameter.data += torch.rand(parameter.shape, generator=generator)
    return model, processor


@pytest.mark.parametrize(("kind", "is_apart"), [("offset", True), ("dialogue", True), ("batch", False)])
def test_learnt_weights_of_edges_belong_to_the_dialogue_unless_the_batch_is_asked_for(kind, is_apart):
    model, processor = made(edge_weights=kind, num_edge_weights=300)
    first, second = make_dialogue(6, seed=1), make_dialogue(6, seed=2)
    alone, beside = logits_of(model, processor, [second]), logits_of(model, processor, [first, second])[6:]
    assert torch.allclose(beside, alone, **TOLERANCE) == is_apart


def test_edges_beyond_the_numbers_weigh_1():
    few, processor = made(edge_weights="dialogue", num_edge_weights=2)
    many, _ = made(edge_weights="dialogue", num_edge_weights=5000)
    for name, parameter in many.named_parameters():
        if ".edge_weights." in name:
            parameter.data.fill_(1)
            parameter.data[:2] = few.get_parameter(name).data
    torch.testing.assert_close(*(logits_of(model, processor, make_dialogues()) for model in (few, many)))


def test_degrees_are_what_arrives_and_what_leaves():
    model, _ = made(window_past=1, window_future=2)
    (graph, *_) = model.graph_smile.graphs.values()
    matrix = torch.rand(2, 3, 5, 5) * (torch.rand(2, 3, 5, 5) < 0.7)
    matrix[0, 1, 2] = 0  # nothing arrives here
    left, right = matrix.sum(-1), matrix.sum(-2)
    expected = matrix / (left[..., None] * right[..., None, :]).sqrt()
    torch.testing.assert_close(graph.normalise(matrix), expected.nan_to_num())


def test_a_modality_that_no_utterance_has_moves_nothing():
    model, processor = made()
    batch = processor(make_dialogues(), return_tensors="pt")
    hidden = hide_modalities(batch, torch.tensor([True, False, True]).expand(38, 3))
    before = run(model, hidden).logits
    with torch.no_grad():
        model.graph_smile.projections["audio"][0].bias += 3
    assert torch.equal(run(model, hidden).logits, before)
    assert not torch.equal(run(model, batch).logits, before)


def test_learnt_weights_balance_the_losses():
    model, processor = made(loss_balance="learnt")
    output = model(**processor(make_dialogues(), return_tensors="pt"))
    parts = torch.stack([output.losses[name] for name in ("classification", "sentiment", "shift")])
    torch.testing.assert_close(output.loss, 0.5 * parts.sum() + 3 * torch.tensor(2.0).log())
    output.loss.backward()
    torch.testing.assert_close(model.balance.scale.grad, 1 - parts.detach())  # of L / (2 s^2) + log(1 + s^2), at s = 1


def test_labels_of_unknown_sentiment_leave_the_auxiliary_tasks_out():
    assert CASE.make_config(text_dim=4, num_labels=3).num_sentiments == 0
    assert CASE.make_config(text_dim=4, id2label={0: "joy", 1: "surprise"}).num_sentiments == 3
    told = CASE.make_config(text_dim=4, id2label={0: "joy", 1: "surprise"}, label_sentiments={"surprise": 0})
    assert (told.num_sentiments, told.sentiment_of_labels()) == (3, [2, 0])
    assert CASE.make_config(text_dim=4, num_labels=1, problem_type="regression").num_sentiments == 3


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"graph_num_layers": {"text_visual": 2}}, "the pairs are text_audio, text_visual, visual_audio"),
        ({"graph_num_layers": 0}, "graph_num_layers must be 1 or more"),
        ({"label_sentiments": {"LABEL_1": 3}}, "goes up to 3, num_sentiments is 3"),
        ({"shift_window": 1}, "2 or more, or -1"),
    ],
    ids=["pairs", "layers", "sentiment", "window"],
)
def test_settings_that_do_not_fit_are_refused(fields, reason):
    with pytest.raises(Exception, match=reason):
        CASE.make_config(text_dim=4, audio_dim=2, visual_dim=2, num_labels=2, **fields)
