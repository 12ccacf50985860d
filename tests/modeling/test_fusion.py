"""The fusions, each against the paper's equations or the released formula in plain loops."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joyful_hf import JoyfulConfig
from joyful_hf.modeling.fusion import (
    AutoencoderFusion,
    ContextualBasisFusion,
    ContextualBranch,
    FeatureProjections,
    SpecificBranch,
    reconstruction_loss,
    smoothing_loss,
)
from tests.support.helpers import batches_of_lengths, make_layout

DIMS = {"text": 6, "audio": 3, "visual": 4}
SIZES = {f"{name}_dim": dim for name, dim in DIMS.items()}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def make_config(**fields) -> JoyfulConfig:
    encoder = {"context_encoder": "gru", "num_hidden_layers": 1, "intermediate_size": 8}
    small = {"contextual_size": 4, "projection_size": 5, "basis_size": 3, "autoencoder_size": 9, "bottleneck_size": 2}
    return JoyfulConfig(**(SIZES | encoder | small | fields))


def random_inputs(num_utterances: int, absent=()):
    """Features and where they are present: everywhere but in `absent`, pairs of a modality and a row."""
    generator = torch.Generator().manual_seed(num_utterances)
    features = {name: torch.randn(num_utterances, dim, generator=generator) for name, dim in DIMS.items()}
    present = {name: torch.ones(num_utterances, 1, dtype=torch.bool) for name in DIMS}
    for name, row in absent:
        features[name][row], present[name][row] = 0, False
    return features, present


def mean_square(values) -> float:
    values = list(values)
    return sum(value**2 for value in values) / len(values)


class TestSmoothing:
    """Eq. 1 with z_con,i = sum_{j<i} e^{eta j} z_j / sum_{j<i} e^{eta j}."""

    @staticmethod
    def by_loops(rows: torch.Tensor, lengths, rate: float) -> torch.Tensor:
        losses = []
        for dialogue in rows.double().split(list(lengths)):
            losses.append(0.0)  # nothing was said before the first utterance
            for i in range(1, len(dialogue)):
                weights = [math.exp(rate * (j - i)) for j in range(i)]
                topic = sum(weight * dialogue[j] for j, weight in enumerate(weights)) / sum(weights)
                losses.append(float((dialogue[i] - topic).square().mean()))
        return torch.tensor(losses)

    @given(batches_of_lengths, st.sampled_from([0, 0.01, 0.2, 1.0, 5.0, 40.0]))
    def test_it_is_the_distance_to_the_weighted_mean_of_what_was_said(self, lengths, rate):
        rows = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(sum(lengths)))
        loss = smoothing_loss(rows, make_layout(lengths), rate)
        torch.testing.assert_close(loss, self.by_loops(rows, lengths, rate), **TOLERANCE)

    @pytest.mark.parametrize("rate", [0, 0.001, 0.05, 0.2, 3])
    def test_long_dialogues(self, rate):
        lengths = (260, 1, 31)
        rows = torch.randn(sum(lengths), 2, generator=torch.Generator().manual_seed(0)) + 1
        loss = smoothing_loss(rows, make_layout(lengths), rate)
        torch.testing.assert_close(loss, self.by_loops(rows, lengths, rate), rtol=1e-4, atol=1e-5)

    def test_it_stays_bounded_where_the_papers_own_update_grows(self):
        rows = torch.ones(3000, 2)
        assert smoothing_loss(rows, make_layout([3000]), 0.2).abs().max() < 1e-10


class TestReconstruction:
    def test_it_is_the_mean_over_what_is_present(self):
        reconstructed, original = torch.tensor([[1.0, 2, 3], [1, 2, 3]]), torch.zeros(2, 3)
        present = torch.tensor([[True, True, True], [True, False, False]])
        assert reconstruction_loss(reconstructed, original, present).tolist() == pytest.approx([14 / 3, 1])

    def test_its_literal_form_is_the_sum_over_what_is_present(self):
        reconstructed, original = torch.tensor([[1.0, 2, 3], [1, 2, 3]]), torch.zeros(2, 3)
        present = torch.tensor([[True, True, True], [True, False, False]])
        assert reconstruction_loss(reconstructed, original, present, "sum").tolist() == [14, 1]

    def test_nothing_present_costs_nothing(self):
        loss = reconstruction_loss(torch.ones(1, 3), torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
        assert loss.tolist() == [0]

    def test_it_is_float32_whatever_goes_in(self):
        half = torch.ones(1, 3, dtype=torch.bfloat16)
        assert reconstruction_loss(half, half, torch.ones(1, 3, dtype=torch.bool)).dtype == torch.float32


def test_a_projection_of_nothing_is_zero_whatever_its_bias():
    projections = FeatureProjections(DIMS, dict.fromkeys(DIMS, 4))
    torch.nn.init.ones_(projections.layers["audio"].bias)
    features, present = random_inputs(2, absent=[("audio", 1)])
    projected = projections(features, present)
    assert projected["audio"][0].any()
    assert not projected["audio"][1].any()


class TestContextualBranch:
    def test_its_loss_is_smoothing_and_reconstruction(self):
        """Eqs. 1 and 2: z^g from the projections, its rebuilt form from the context encoder."""
        lengths = [4, 1, 3]
        layout = make_layout(lengths)
        branch = ContextualBranch(make_config(smoothing_rate=0.4)).eval()
        features, present = random_inputs(sum(lengths), absent=[("text", 2), ("visual", 5)])
        with torch.no_grad():
            output = branch(features, present, layout)
            joined = torch.cat(list(branch.projections(features, present).values()), -1)
            contextual = branch.encoder(joined, layout)
        torch.testing.assert_close(output.fused, contextual)
        for row, smoothed in enumerate(TestSmoothing.by_loops(contextual, lengths, 0.4).tolist()):
            differences = [
                float(contextual[row, 4 * column + k] - joined[row, 4 * column + k])
                for column, name in enumerate(DIMS)
                for k in range(4)
                if present[name][row]
            ]
            assert float(output.loss[row]) == pytest.approx(smoothed + mean_square(differences), rel=1e-5)

    @pytest.mark.parametrize(("contextual_size", "hidden_size"), [(4, 12), (None, 13)])
    def test_without_a_size_each_modality_keeps_its_own(self, contextual_size, hidden_size):
        config = make_config(contextual_size=contextual_size, context_encoder="transformer", num_attention_heads=1)
        assert ContextualBranch(config).hidden_size == hidden_size


def test_the_specific_branch_is_equations_3_to_7():
    features, present = random_inputs(3, absent=[("audio", 1)])
    branch = SpecificBranch(make_config())
    output = branch(features, present)
    size, q = 5, 3
    with torch.no_grad():
        basis = [branch.basis_transform.weight @ vector for vector in branch.basis]  # Eq. 3
        for i in range(3):
            expected, differences = [], []
            for name in DIMS:
                if not present[name][i]:
                    expected += [0.0] * size
                    continue
                layer = branch.projections.layers[name]
                z = torch.relu(layer.weight @ features[name][i] + layer.bias)
                transformed = branch.transforms[name].weight @ z  # Eq. 3
                similarity = [float(sum(transformed * basis[j])) for j in range(q)]  # Eq. 4
                shares = [math.exp(s) / sum(math.exp(t) for t in similarity) for s in similarity]  # Eq. 5
                mixture = [sum(shares[j] * float(basis[j][d]) for j in range(q)) for d in range(size)]  # Eq. 6
                expected += mixture
                differences += [m - float(z[d]) for d, m in enumerate(mixture)]
            assert output.fused[i].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)
            assert float(output.loss[i]) == pytest.approx(mean_square(differences), rel=1e-4)  # Eq. 7


class TestContextualBasisFusion:
    @pytest.mark.parametrize(
        ("branches", "size"),
        [(["contextual", "specific"], 27), (["specific", "contextual"], 27), (["contextual"], 12), (["specific"], 15)],
    )
    def test_it_joins_its_branches_and_adds_their_losses(self, branches, size):
        """Eq. 8; contextual first whatever the order of the list."""
        layout = make_layout([3, 2])
        fusion = ContextualBasisFusion(make_config(fusion_branches=branches)).eval()
        features, present = random_inputs(5)
        output = fusion(features, present, layout)
        parts = []
        if fusion.contextual is not None:
            parts.append(fusion.contextual(features, present, layout))
        if fusion.specific is not None:
            parts.append(fusion.specific(features, present))
        assert fusion.hidden_size == output.fused.size(-1) == size
        torch.testing.assert_close(output.fused, torch.cat([part.fused for part in parts], -1))
        torch.testing.assert_close(output.loss, sum(part.loss for part in parts))

    def test_without_branches_it_joins_the_features(self):
        fusion = ContextualBasisFusion(make_config(fusion_branches=[]))
        features, present = random_inputs(5)
        output = fusion(features, present, make_layout([5]))
        assert fusion.hidden_size == sum(DIMS.values())
        assert torch.equal(output.fused, torch.cat(list(features.values()), -1))
        assert output.loss.tolist() == [0] * 5
        assert not list(fusion.parameters())


class TestAutoencoderFusion:
    """The released `AutoFusion.forward`, an utterance at a time."""

    ORDER = ("audio", "text", "visual")

    def by_formula(self, fusion, features, present, row):
        attended = []
        for name in self.ORDER:
            projected = fusion.projections[name](features[name][row])
            scores = torch.outer(fusion.basis, projected)
            attended.append(scores.softmax(-1) @ projected * present[name][row])
        joined, attended = torch.cat([features[name][row] for name in self.ORDER]), torch.cat(attended)
        codes, loss = [], 0.0
        for encoder, decoder, rows, sizes in (
            (fusion.global_encoder, fusion.global_decoder, joined, DIMS),
            (fusion.inter_encoder, fusion.inter_decoder, attended, dict.fromkeys(DIMS, 5)),
        ):
            code = torch.relu(encoder[2](torch.tanh(encoder[0](rows))))
            rebuilt = decoder[2](torch.tanh(decoder[0](code)))
            real = torch.cat([present[name][row].expand(sizes[name]) for name in self.ORDER])
            loss += float((rebuilt - rows)[real].square().mean()) if real.any() else 0
            codes.append(code)
        return torch.cat(codes), loss

    @pytest.mark.parametrize("absent", [(), [("audio", 1)], [("audio", 1), ("text", 1), ("visual", 1), ("text", 2)]])
    def test_it_is_the_released_formula(self, absent):
        features, present = random_inputs(3, absent)
        fusion = AutoencoderFusion(make_config(fusion="autoencoder"))
        output = fusion(features, present, make_layout([3]))
        assert output.fused.shape == (3, fusion.hidden_size)
        for row in range(3):
            with torch.no_grad():
                fused, loss = self.by_formula(fusion, features, present, row)
            torch.testing.assert_close(output.fused[row], fused)
            assert output.loss[row].item() == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("fusion_class", [ContextualBasisFusion, AutoencoderFusion])
@pytest.mark.parametrize("modalities", [["text"], ["audio", "visual"], ["text", "audio", "visual"]])
def test_a_modality_of_size_0_is_not_there(fusion_class, modalities):
    sizes = {f"{name}_dim": DIMS[name] if name in modalities else 0 for name in DIMS}
    fusion = fusion_class(make_config(**sizes))
    features, present = random_inputs(4)
    output = fusion(
        {name: features[name] for name in modalities}, {name: present[name] for name in modalities}, make_layout([4])
    )
    assert output.fused.shape == (4, fusion.hidden_size)
    assert output.loss.shape == (4,)
    parts = {part for name, _ in fusion.named_parameters() for part in name.split(".")}
    assert parts & set(DIMS) == set(modalities)


@pytest.mark.parametrize("fusion_class", [ContextualBasisFusion, AutoencoderFusion])
def test_the_sum_of_the_fusion_loss_is_its_mean_times_the_dimensions(fusion_class):
    """Where every distance in it has as many: here each branch or auto-encoder is 12 wide."""
    features, present = random_inputs(5)
    dims = {"text_dim": 4, "audio_dim": 4, "visual_dim": 4}
    features = {name: rows[:, :1].expand(-1, 4) for name, rows in features.items()}
    losses = {}
    for reduction in ("mean", "sum"):
        torch.manual_seed(0)
        config = make_config(**dims, contextual_size=4, projection_size=4, fusion_loss_reduction=reduction)
        losses[reduction] = fusion_class(config).eval()(features, present, make_layout([5])).loss
    torch.testing.assert_close(losses["sum"], 12 * losses["mean"])
