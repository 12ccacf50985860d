"""AR-IIGCN as a whole: its switches, its objective, and who takes part in what."""

import pytest
import torch

from joyful_hf import ARIIGCNForEmotionRecognition, ARIIGCNModel
from tests.support.helpers import FAMILY_CASES, make_dialogues

CASES = [case for case in FAMILY_CASES if case.model_class is ARIIGCNForEmotionRecognition]
DIALOGUES = make_dialogues()
NO_DROPOUT = {"input_dropout_prob": 0, "hidden_dropout_prob": 0, "modality_dropout_prob": 0}
PARTS = {"classification", "generator", "discriminator", "intra_modal", "inter_modal"}

SWITCHES = {
    "mlp generators": {"generator": "mlp"},
    "gru generators": {"generator": "gru"},
    "nobody plays": {"adversarial_loss_weight": 0},
    "without contrast": {"intra_modal_loss_weight": 0, "inter_modal_loss_weight": 0},
    "without graph": {"graph_num_layers": 0},
    "two graph layers": {"graph_num_layers": 2},
    "graph attention": {"graph_num_heads": 3},
    "graph attention by distance": {"graph_num_heads": 3, "graph_max_distance": 2},
    "without graph attention": {"graph_num_heads": 0},
    "with graph residual": {"graph_residual": True},
    "without graph residual": {"graph_residual": False},
    "modality dropout": {"modality_dropout_prob": 0.9},
    "learnt vectors": {"absent_modality": "learnt"},
    "learnt vectors and modality dropout": {"absent_modality": "learnt", "modality_dropout_prob": 0.9},
    "class weights": {"class_weights": [1, 2, 0.5, 1]},
    "label smoothing": {"label_smoothing": 0.1},
}


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def form(request):
    """Each form of AR-IIGCN in the table of families."""
    return request.param


def make(form, dialogues=DIALOGUES, **settings):
    model, processor = form.make(dialogues, **settings)
    return model, processor(dialogues, return_tensors="pt")


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_trains_and_predicts(form, switch):
    model, processor = form.make(DIALOGUES, **SWITCHES[switch])
    output = model.train()(**processor(DIALOGUES, return_tensors="pt"))
    output.loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert len(model.predict(DIALOGUES, processor)) == len(DIALOGUES)


class TestObjective:
    def test_the_loss_is_the_weighted_sum_of_its_parts(self, form):
        weights = {"adversarial": 0.5, "intra_modal": 0.25, "inter_modal": 0.125}
        model, batch = make(form, **{f"{name}_loss_weight": weight for name, weight in weights.items()})
        output = model.train()(**batch)
        parts = output.losses
        assert set(parts) == PARTS
        expected = parts["classification"] + parts["discriminator"] + 0.5 * parts["generator"]
        torch.testing.assert_close(output.loss, expected + parts["intra_modal"] / 4 + parts["inter_modal"] / 8)

    def test_the_contrasts_are_for_training_with_labels(self, form):
        model, batch = make(form)
        assert set(model.eval()(**batch).losses) == {"classification", "generator", "discriminator"}
        del batch["labels"]
        output = model.train()(**batch)
        assert set(output.losses) == {"generator", "discriminator"}
        assert output.loss is None

    def test_losses_can_be_left_out(self, form):
        model, batch = make(form)
        output = model(**batch, return_loss=False)
        assert (output.loss, output.losses, output.metrics) == (None, None, None)

    def test_unlabelled_utterances_take_no_part_in_the_contrasts(self, form):
        alone = {"graph_num_layers": 0, "generator": "mlp"}  # no utterance knows of another
        model, batch = make(form, **NO_DROPOUT, **alone)
        batch["labels"][::2] = -100
        features = batch["audio_features"].requires_grad_()
        losses = model.train()(**batch).losses
        for name in ("intra_modal", "inter_modal"):
            (gradient,) = torch.autograd.grad(losses[name], features, retain_graph=True)
            assert (gradient.abs().sum(-1) > 0).tolist() == (batch["labels"] != -100).tolist()

    def test_the_contrasts_compare_the_utterances_of_the_whole_batch(self, form):
        model, batch = make(form, **NO_DROPOUT)
        together = model.train()(**batch).losses["intra_modal"]
        alone = []
        for dialogue in DIALOGUES:
            processor = form.make(DIALOGUES)[1]
            alone.append(model.train()(**processor(dialogue, return_tensors="pt")).losses["intra_modal"])
        assert together > max(alone)  # more negatives

    def test_regression_has_nothing_to_contrast(self, form):
        model, batch = make(form, make_dialogues(label=lambda rng: float(rng.normal())))
        assert set(model.train()(**batch).losses) == {"classification", "generator", "discriminator"}


class TestGame:
    def test_the_players_learn_from_their_own_loss_alone(self, form):
        """With one backward pass of the sum."""
        model, batch = make(form, **NO_DROPOUT, adversarial_loss_weight=1)
        output = model.train()(**batch)
        output.loss.backward()
        together = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        model.zero_grad()
        losses = model(**batch).losses
        losses["discriminator"].backward()
        for name, parameter in model.named_parameters():
            if ".discriminators." in name:
                torch.testing.assert_close(parameter.grad, together[name])
            else:
                assert parameter.grad is None
        model.zero_grad()
        losses = model(**batch).losses
        losses["generator"].backward()
        moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert not [name for name in moved if ".discriminators." in name]
        assert {name.split(".")[1] for name in moved} == {"projections", "generators"}

    def test_the_accuracy_is_a_share(self, form):
        model, batch = make(form)
        for training in (True, False):
            accuracy = model.train(training)(**batch).metrics["discriminator_accuracy"]
            assert accuracy.shape == ()
            assert 0 <= float(accuracy) <= 1

    def test_one_modality_plays_no_game(self, form):
        model, batch = make(form, make_dialogues(modalities=["audio"]))
        output = model.train()(**batch)
        assert set(output.losses) == {"classification", "intra_modal"}
        assert output.metrics is None
        assert model.learning_rates() == []
        assert not [name for name, _ in model.named_parameters() if "discriminator" in name]

    @pytest.mark.parametrize("rate", [1e-3, 0.0, None])
    def test_the_discriminators_have_the_learning_rate_of_the_config(self, form, rate):
        model, _ = make(form, discriminator_learning_rate=rate)
        expected = [] if rate is None else [(model.ar_iigcn.game, rate)]
        assert model.learning_rates() == model.ar_iigcn.learning_rates() == expected


class TestRepresentations:
    def test_every_stage_has_its_size(self, form):
        model, batch = make(form)
        output = model(**batch)
        width = 3 * model.config.projection_size
        assert {tuple(rows.shape) for rows in (output.fused, output.context, output.graph)} == {(38, width)}
        assert output.edge_attention is None

    def test_the_attention_of_all_modalities(self):
        model, batch = make(CASES[0])
        attention = model(**batch, output_edge_attention=True).edge_attention
        assert attention.shape == (batch["edge_index"].size(1), 3 * model.config.graph_num_heads)
        received = torch.zeros(38, attention.size(1)).index_add(0, batch["edge_index"][1], attention)
        torch.testing.assert_close(received, torch.ones_like(received))

    def test_the_graphs_are_of_one_modality_each(self, form):
        """A modality changes no node of another one; only the classifier brings them together."""
        model, batch = make(form)
        before = model(**batch)
        batch["audio_features"] = batch["audio_features"] + 1
        after = model(**batch)
        size = model.config.projection_size
        for name in ("fused", "context", "graph"):
            text, audio, visual = (getattr(after, name) - getattr(before, name)).split(size, dim=-1)
            assert not text.any()
            assert audio.any()
            assert not visual.any()

    def test_the_model_without_a_head_is_the_same(self, form):
        model, batch = make(form)
        base = ARIIGCNModel(model.config)
        base.load_state_dict(model.ar_iigcn.state_dict())
        assert torch.equal(base.eval()(**batch).graph, model(**batch).graph)

    def test_a_graph_needs_edges(self, form):
        model, batch = make(form)
        del batch["edge_index"]
        with pytest.raises(ValueError, match="the batch needs speaker_ids, edge_index and edge_type"):
            model(**batch)
        without = make(form, graph_num_layers=0)[0]
        assert without(**batch).logits.shape == (38, 4)


def test_the_losses_need_no_numbers():
    """They run on the meta device, and so wait for no device."""
    model, _ = make(CASES[0])
    rows = {name: torch.empty(38, 12, device="meta") for name in ("text", "audio", "visual")}
    present = {name: torch.empty(38, 1, dtype=torch.bool, device="meta") for name in rows}
    labels = torch.empty(38, dtype=torch.long, device="meta")
    game = model.ar_iigcn.game.to("meta")(rows, present)
    contrasts = model.ar_iigcn._contrast(rows, present, labels)
    assert game.generator_loss.is_meta
    assert game.accuracy.is_meta
    assert all(part.is_meta for part in contrasts.values())
