"""JOYFUL as a whole: the published sizes, every ablation of Tables 6 and 7 as a switch, and the joint objective."""

from dataclasses import fields
from functools import cache

import pytest
import torch

from joyful_hf import JoyfulConfig, JoyfulForEmotionRecognition, JoyfulModel
from tests.support.helpers import FAMILY_CASES, make_dialogues

JOYFUL_CASES = [case for case in FAMILY_CASES if case.model_class is JoyfulForEmotionRecognition]
NO_DROPOUT = {field.name: 0 for field in fields(JoyfulConfig) if field.name.endswith("dropout_prob")}
FM, EP, GP = "feature_mask", "edge_perturb", "global_proximity"

SWITCHES = {
    "without fusion branches": {"fusion_branches": []},
    "contextual branch alone": {"fusion_branches": ["contextual"]},
    "specific branch alone": {"fusion_branches": ["specific"]},
    "auto-encoder fusion": {"fusion": "autoencoder", "autoencoder_size": 9, "bottleneck_size": 4},
    "contextual basis fusion": {"fusion": "contextual_basis", "contextual_size": 4},
    "gru": {"context_encoder": "gru"},
    "transformer": {"context_encoder": "transformer", "norm_first": True, "max_relative_distance": 3},
    "without graph": {"graph_num_layers": 0},
    **{f"{layers} graph layers": {"graph_num_layers": layers} for layers in (1, 2, 4)},
    "aggregate-combine": {"graph_encoder": "aggregate_combine"},
    "relational": {"graph_encoder": "relational", "graph_hidden_size": 8},
    "without graph residual": {"graph_residual": False},
    "without contrast": {"contrastive_loss_weight": 0},
    "anchor to views": {"contrast": "anchor_to_views"},
    "view to view": {"contrast": "view_to_view"},
    "batch scope": {"contrast_scope": "batch"},
    "no augmentation": {"views": [[], []]},
    **{f"{name} alone": {"views": [[name], [name]]} for name in (FM, EP, GP)},
    "all augmentations": {"views": [[FM, EP, GP], [GP, EP, FM]]},
    "elements and rewiring": {"feature_mask_unit": "element", "edge_perturb_mode": "rewire"},
    "without classifier residual": {"classifier_residual": False},
    "without plain path": {"plain_path_size": 0},
    "paths without a loss of their own": {"plain_path_size": 8, "path_loss_weight": 0},
    "modality dropout": {"modality_dropout_prob": 0.9},
    "learnt vectors": {"absent_modality": "learnt"},
    "learnt vectors and modality dropout": {"absent_modality": "learnt", "modality_dropout_prob": 0.9},
    "class weights": {"class_weights": [1, 2, 0.5, 1]},
    "label smoothing": {"label_smoothing": 0.1},
}


@pytest.fixture(params=JOYFUL_CASES, ids=lambda case: case.name)
def form(request):
    """Each form of JOYFUL in the table of families."""
    return request.param


@cache
def make_batch(form):
    dialogues = make_dialogues()
    return form.make(dialogues)[1](dialogues, return_tensors="pt")


def test_the_graph_is_built_once(monkeypatch):
    """Also with a GRU over speakers, which needs the speakers, and for all networks that are one computation."""
    model, _ = JOYFUL_CASES[0].make(make_dialogues(), speaker_encoder="gru")
    build, built = JoyfulModel.speaker_graph, []
    monkeypatch.setattr(JoyfulModel, "speaker_graph", lambda self, *given: built.append(self) or build(self, *given))
    model(**make_batch(JOYFUL_CASES[0]))
    assert len(built) == 1
    model(**make_batch(JOYFUL_CASES[0]), output_hidden_states=True)
    assert len(built) == 1 + model.config.num_members


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_trains_and_predicts(form, switch):
    dialogues = make_dialogues()
    model, processor = form.make(dialogues, **SWITCHES[switch])
    output = model.train()(**make_batch(form))
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())

    contrasted = model.config.graph_num_layers > 0 and model.config.contrastive_loss_weight > 0
    assert ("contrastive" in output.losses) == contrasted
    assert len(model.predict(dialogues, processor)) == len(dialogues)


class TestPublishedSizes:
    """Table 8 of the paper, and the released code's network, at IEMOCAP's sizes."""

    @staticmethod
    def shapes_of(config: JoyfulConfig) -> dict[str, list[int]]:
        with torch.device("meta"):
            model = JoyfulForEmotionRecognition(config)
        return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}

    def test_paper(self):
        shapes = self.shapes_of(JoyfulConfig.paper(num_labels=6))
        contextual, specific = "joyful.fusion.contextual", "joyful.fusion.specific"
        graph = "joyful.graph_encoder.layers"
        for name, size in (("text", 768), ("audio", 100), ("visual", 512)):
            assert shapes[f"{contextual}.projections.layers.{name}.weight"] == [size, size]
            assert shapes[f"{specific}.projections.layers.{name}.weight"] == [460, size]
            assert shapes[f"{specific}.transforms.{name}.weight"] == [460, 460]
        assert shapes[f"{contextual}.encoder.layers.3.attention_output.weight"] == [1380, 1380]
        assert shapes[f"{specific}.basis_transform.weight"] == [460, 460]
        assert shapes[f"{specific}.basis"][1] == 460
        assert shapes[f"{graph}.0.aggregate.weight"] == [2760, 2760]
        assert shapes[f"{graph}.0.combine.weight"] == [2760, 5520]
        assert f"{graph}.1.combine.weight" not in shapes
        assert shapes["classifier.graph_path.3.weight"] == [6, 100]

    def test_released(self):
        shapes = self.shapes_of(JoyfulConfig.released(num_labels=4))
        assert shapes["joyful.fusion.global_encoder.0.weight"] == [1024, 1380]
        assert shapes["joyful.fusion.inter_encoder.2.weight"] == [512, 1024]
        assert shapes["joyful.fusion.global_decoder.2.weight"] == [1380, 1024]
        assert shapes["joyful.context_encoder.layers.3.intermediate.weight"] == [2048, 1024]
        assert shapes["joyful.graph_projection.weight"] == [100, 1024]
        assert shapes["joyful.graph_encoder.convolutions.0.weight"] == [8, 100, 100]
        assert shapes["joyful.graph_encoder.batch_norm.weight"] == [400]
        assert shapes["classifier.graph_path.0.weight"] == [100, 400]
        assert shapes["classifier.graph_path.3.weight"] == [4, 100]


class TestObjective:
    def test_the_loss_is_the_weighted_sum_of_its_parts(self, form):
        model, _ = form.make(make_dialogues(), fusion_loss_weight=0.5, contrastive_loss_weight=0.25)
        output = model.train()(**make_batch(form))
        parts = dict(output.losses)
        expected = parts.pop("classification") + 0.5 * parts.pop("fusion") + 0.25 * parts.pop("contrastive")
        if parts:  # what we recommend beyond the paper
            expected = expected + model.config.path_loss_weight * parts.pop("paths")
        assert not parts
        torch.testing.assert_close(output.loss, expected)

    def test_the_views_are_for_training(self, form):
        model, _ = form.make(make_dialogues(), contrastive_loss_weight=0.1)
        assert set(model.train()(**make_batch(form)).losses) >= {"fusion", "contrastive", "classification"}
        assert "contrastive" not in model.eval()(**make_batch(form)).losses

    @pytest.mark.parametrize("branches", [["contextual", "specific"], ["contextual"], ["specific"], []], ids=str)
    def test_losses_can_be_left_out(self, form, branches):
        model, _ = form.make(make_dialogues(), fusion_branches=branches)
        output = model(**make_batch(form), return_loss=False)
        assert output.losses is None
        assert output.loss is None


class TestPlainPath:
    def make(self, **settings):
        dialogues = make_dialogues()
        model, processor = FAMILY_CASES[0].make(dialogues, **({"plain_path_size": 8, "num_members": 1} | settings))
        return model, processor(dialogues, return_tensors="pt")

    def test_the_logits_are_the_mean_of_both_classifiers(self):
        model, batch = self.make()
        output = model(**batch)
        graph = torch.cat([output.graph, model.classifier.context_norm(output.context)], dim=-1)
        expected = (model.classifier.graph_path(graph) + model.classifier.plain_path(output.features)) / 2
        torch.testing.assert_close(output.logits, expected)

    def test_it_sees_the_plain_features_of_the_utterance_alone(self):
        model, batch = self.make()
        joined = torch.cat([batch[f"{name}_features"] for name in ("text", "audio", "visual")], dim=-1)
        torch.testing.assert_close(model(**batch).features, joined)

    def test_each_path_has_a_loss_of_its_own(self):
        model, batch = self.make()
        labels = batch["labels"]
        output = model(**batch)
        graph = torch.cat([output.graph, model.classifier.context_norm(output.context)], dim=-1)
        paths = [model.classifier.graph_path(graph), model.classifier.plain_path(output.features)]
        expected = sum(torch.nn.functional.cross_entropy(path, labels) for path in paths)
        torch.testing.assert_close(output.losses["paths"], expected)


class TestMembers:
    FORM = JOYFUL_CASES[0]

    def make(self, num_members):
        return self.FORM.make(make_dialogues(), num_members=num_members, **NO_DROPOUT)[0]

    def test_they_are_networks_of_one_size_that_begin_differently(self):
        model = self.make(3)
        assert model.num_parameters() == 3 * self.make(1).num_parameters()
        first, second, third = (model.joyful, *(member.joyful for member in model.further_members))
        for left, right in ((first, second), (second, third)):
            assert not torch.equal(left.graph_projection.weight, right.graph_projection.weight)

    def test_logits_and_losses_are_the_means_of_theirs(self):
        several, batch = self.make(3), make_batch(self.FORM)
        alone = []
        for index in range(3):
            single = self.make(1)
            member = several if index == 0 else several.further_members[index - 1]
            single.joyful.load_state_dict(member.joyful.state_dict())
            single.classifier.load_state_dict(member.classifier.state_dict())
            alone.append(single(**batch))
        together = several(**batch)
        torch.testing.assert_close(together.logits, torch.stack([output.logits for output in alone]).mean(0))
        torch.testing.assert_close(together.loss, torch.stack([output.loss for output in alone]).mean())
        for name, loss in together.losses.items():
            torch.testing.assert_close(loss, torch.stack([output.losses[name] for output in alone]).mean())

    def test_all_of_them_read_the_one_config(self):
        """A temperature, a rate or a weight that changes during training changes for each."""
        model, batch = self.make(3).train(), make_batch(self.FORM)
        model.config.contrastive_loss_weight = 0
        assert "contrastive" not in model(**batch).losses
        model.config.contrastive_loss_weight = 0.5
        assert "contrastive" in model(**batch).losses
        before = {name: float(loss) for name, loss in model.eval()(**batch).losses.items()}
        model.config.smoothing_rate = 3
        members = [model.joyful, *(member.joyful for member in model.further_members)]
        inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
        after = [float(member(**inputs).losses["fusion"]) for member in members]
        assert float(model(**batch).losses["fusion"]) == pytest.approx(sum(after) / 3)
        assert before["fusion"] != pytest.approx(sum(after) / 3)

    @pytest.mark.parametrize("training", [True, False])
    def test_as_one_computation_they_are_what_they_are_alone(self, monkeypatch, training):
        model, batch = self.make(3).train(training), make_batch(self.FORM)
        compared = []
        for _ in range(2):
            model.zero_grad()
            output = model(**batch)
            output.loss.backward()
            gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
            compared.append([output.logits, output.losses, gradients])
            monkeypatch.setattr(JoyfulModel, "goes_together", lambda *_: False)
        torch.testing.assert_close(*compared, rtol=1e-4, atol=1e-6)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_quantised_they_keep_their_own_weights(self):
        model, batch = self.make(3).eval(), make_batch(self.FORM)
        expected = model(**batch).logits
        quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})
        torch.testing.assert_close(quantised(**batch).logits, expected, rtol=0.1, atol=0.1)

    def test_representations_are_those_of_the_first(self):
        model, batch = self.make(2), make_batch(self.FORM)
        torch.testing.assert_close(
            model(**batch).graph, model.joyful(**{k: v for k, v in batch.items() if k != "labels"}).graph
        )

    def test_an_encoder_of_text_is_shared(self):
        (form,) = (case for case in JOYFUL_CASES if case.name == "joyful-with-text-encoder")
        model, _ = form.make(make_dialogues(), num_members=2)
        assert model.joyful.text_encoder is not None
        assert model.further_members[0].joyful.text_encoder is None


class TestConsistency:
    """R-Drop: two passes of a training step, which only dropout tells apart, are to agree."""

    @staticmethod
    def make(num_members: int = 1, **fields):
        return JOYFUL_CASES[0].make(make_dialogues(), num_members=num_members, consistency_loss_weight=2.0, **fields)[
            0
        ]

    @pytest.mark.parametrize("num_members", [1, 3])
    def test_without_dropout_they_do_and_nothing_else_changes(self, num_members):
        model, batch = self.make(num_members, **NO_DROPOUT).train(), make_batch(JOYFUL_CASES[0])
        losses = model(**batch).losses
        assert losses.pop("consistency").item() == pytest.approx(0, abs=1e-6)
        model.config.consistency_loss_weight = 0
        torch.testing.assert_close(losses, model(**batch).losses)

    def test_it_is_the_mean_divergence_in_both_directions(self, monkeypatch):
        model, batch, passes = self.make().train(), make_batch(JOYFUL_CASES[0]), []
        monkeypatch.setattr(JoyfulModel, "goes_together", lambda *_: False)
        compute = model._compute
        monkeypatch.setattr(model, "_compute", lambda *given: passes.append(compute(*given)) or passes[-1])
        output = model(**batch)
        one, other = (torch.distributions.Categorical(logits=own.logits) for own in passes)
        kl = torch.distributions.kl_divergence
        torch.testing.assert_close(output.losses["consistency"], (kl(one, other) + kl(other, one)).mean() / 2)
        assert output.losses["consistency"] > 0
        rest = {name: loss for name, loss in output.losses.items() if name != "consistency"}
        torch.testing.assert_close(output.loss, model.weighted_sum(rest) + 2 * output.losses["consistency"])
        torch.testing.assert_close(output.logits, (passes[0].logits + passes[1].logits) / 2)

    def test_only_a_training_step_takes_two(self):
        model, batch = self.make(), make_batch(JOYFUL_CASES[0])
        assert "consistency" in model.train()(**batch).losses
        assert "consistency" not in model.eval()(**batch).losses
        assert model.train()(**batch, return_loss=False).losses is None


class TestViews:
    def test_without_augmentation_two_views_are_twice_the_graph(self):
        """H = H1 + H2 in training, and so in evaluation, where both views are the graph as it is."""
        form = JOYFUL_CASES[0]
        views = {"contrast": "view_to_view", "views": [[], []], "graph_residual": True}
        model, _ = form.make(make_dialogues(), **NO_DROPOUT, **views)
        evaluated = model.eval()(**make_batch(form)).graph
        torch.testing.assert_close(model.train()(**make_batch(form)).graph, evaluated)
        model.config.contrast = "anchor_to_views"
        torch.testing.assert_close(2 * model.eval()(**make_batch(form)).graph, evaluated)

    def test_the_anchor_is_the_graph_as_it_is(self):
        """The released form classifies the clean graph, whatever its views look like."""
        form = JOYFUL_CASES[0]
        views = {"contrast": "anchor_to_views", "views": [[FM, EP], [FM, EP]], "graph_residual": True}
        model, _ = form.make(make_dialogues(), **NO_DROPOUT, **views)
        batch = make_batch(form)
        torch.testing.assert_close(model.train()(**batch).logits, model.eval()(**batch).logits)

    @pytest.mark.parametrize("name", [FM, EP])
    def test_two_views_of_one_list_differ(self, name):
        form = JOYFUL_CASES[0]
        views = {"contrast": "view_to_view", "views": [[name], [name]]}
        model, _ = form.make(make_dialogues(), **NO_DROPOUT, **views)
        seen = []
        convolve = model.joyful.graph_encoder.convolve
        model.joyful.graph_encoder.convolve = lambda views: seen.append(views) or convolve(views)
        model.train()(**make_batch(form))
        (views,) = seen
        first, second = (views.nodes if name == FM else views.edge_index[1] % len(views.speaker_ids)).chunk(2)
        assert not torch.equal(first, second)


class TestEdgeAttention:
    @pytest.mark.parametrize("residual", [True, False])
    def test_it_sums_to_1_at_every_target(self, residual):
        form = JOYFUL_CASES[0]
        model, _ = form.make(make_dialogues(), graph_encoder="relational", graph_residual=residual)
        batch = make_batch(form)
        attention = model(**batch, output_edge_attention=True).edge_attention
        target = batch["edge_index"][1]
        assert attention.shape == (len(target), model.config.graph_num_heads)
        sums = torch.zeros(int(target.max()) + 1, attention.size(1)).index_add(0, target, attention)
        torch.testing.assert_close(sums, torch.ones_like(sums))

    def test_it_is_given_only_where_asked_for_and_where_there_is_one(self):
        form = JOYFUL_CASES[0]
        model, _ = form.make(make_dialogues(), graph_encoder="relational")
        assert model(**make_batch(form)).edge_attention is None
        model, _ = form.make(make_dialogues(), graph_encoder="aggregate_combine")
        assert model(**make_batch(form), output_edge_attention=True).edge_attention is None


class TestBaseModel:
    def test_it_loads_from_the_checkpoint_of_the_whole(self, form, tmp_path):
        whole, _ = form.make(make_dialogues())
        whole.save_pretrained(tmp_path)
        base = JoyfulModel.from_pretrained(tmp_path)
        batch = dict(make_batch(form))
        expected = whole(**batch)
        del batch["labels"]
        output = base(**batch)
        for name in ("fused", "context", "graph"):
            torch.testing.assert_close(getattr(output, name), getattr(expected, name))
        assert output.logits is None

    def test_its_sizes_are_those_it_tells(self, form):
        model, _ = form.make(make_dialogues())
        output = model(**make_batch(form))
        assert output.context.size(-1) == model.joyful.context_size
        assert output.graph.size(-1) == model.joyful.hidden_size
        assert output.fused.size(-1) == model.joyful.fusion.hidden_size
