"""The adversarial game: its losses against plain loops, who learns from which loss, and that it is really played."""

import math

import pytest
import torch
from torch.nn import functional

from joyful_hf import ARIIGCNConfig, ARIIGCNForEmotionRecognition
from joyful_hf.modeling.adversarial import AdversarialGame, Discriminator, GameOutput, Generator, judged_right
from joyful_hf.processing import JoyfulProcessor
from tests.support.helpers import make_layout

SIZE, ROWS = 6, 11
NAMES = ["text", "audio", "visual"]


def make_game(names=NAMES, presence=0.6):
    torch.manual_seed(0)
    game = AdversarialGame(names, SIZE, 5)
    features = {name: torch.randn(ROWS, SIZE, requires_grad=True) for name in names}
    present = {name: torch.rand(ROWS, 1) < presence for name in names}
    return game, features, present


def play(game, features, present):
    """The game's output with its terms summed, and the accuracy over all modalities."""
    output = game(features, present)
    count = torch.stack([here.sum() for here in present.values()])
    return GameOutput(
        output.generator_loss.sum(), output.discriminator_loss.sum(), judged_right(output.accuracy, count)
    )


def mean(values):
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("names", [NAMES, NAMES[1:]], ids="+".join)
def test_the_losses_and_the_accuracy_are_the_formulas(names):
    game, features, present = make_game(names)
    discriminator_loss = generator_loss = accuracy = 0.0
    for judge in names:
        for seen in names:
            logits = game.discriminators[judge](features[seen].detach()).squeeze(-1)
            rows = [logit.item() for logit, here in zip(logits, present[seen], strict=True) if here]
            probabilities = [1 / (1 + math.exp(-row)) for row in rows]
            share = 1.0 if judge == seen else 1 / (len(names) - 1)
            accuracy += share * mean([(row > 0) == (judge == seen) for row in rows]) / (2 * len(names))
            if judge == seen:
                discriminator_loss += mean([-math.log(p) for p in probabilities])
            else:
                discriminator_loss += share * mean([-math.log(1 - p) for p in probabilities])
                generator_loss += share * mean([-math.log(p) for p in probabilities])
    with torch.no_grad():
        output = play(game, features, present)
    assert float(output.discriminator_loss) == pytest.approx(discriminator_loss, rel=1e-5)
    assert float(output.generator_loss) == pytest.approx(generator_loss, rel=1e-5)
    assert float(output.accuracy) == pytest.approx(accuracy, rel=1e-5)


class TestWhoLearnsFromWhat:
    def test_the_discriminators_loss_reaches_the_discriminators_alone(self):
        game, features, present = make_game()
        play(game, features, present).discriminator_loss.backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in game.parameters())
        assert all(rows.grad is None for rows in features.values())

    def test_the_generators_loss_reaches_the_features_alone(self):
        game, features, present = make_game()
        play(game, features, present).generator_loss.backward()
        assert all(parameter.grad is None for parameter in game.parameters())
        assert all(rows.grad.abs().sum() > 0 for rows in features.values())

    def test_one_backward_pass_of_both_is_two_of_each(self):
        together, apart = [], []
        for gradients, both in ((together, True), (apart, False)):
            game, features, present = make_game()
            output = play(game, features, present)
            if both:
                (output.generator_loss + output.discriminator_loss).backward()
            else:
                output.generator_loss.backward()
                output.discriminator_loss.backward()
            gradients += [tensor.grad for tensor in (*features.values(), *game.parameters())]
        for left, right in zip(together, apart, strict=True):
            torch.testing.assert_close(left, right)

    def test_the_accuracy_has_no_gradient(self):
        game, features, present = make_game()
        assert not play(game, features, present).accuracy.requires_grad


class TestAbsentModalities:
    def test_what_stands_in_an_absent_row_does_not_matter(self):
        game, features, present = make_game()
        spoilt = {name: rows + 100 * ~present[name] for name, rows in features.items()}
        for left, right in zip(
            vars(play(game, features, present)).values(), vars(play(game, spoilt, present)).values(), strict=True
        ):
            torch.testing.assert_close(left, right)

    def test_an_absent_row_takes_no_gradient(self):
        game, features, present = make_game()
        play(game, features, present).generator_loss.backward()
        for name, rows in features.items():
            assert torch.equal(rows.grad.abs().sum(-1, keepdim=True) > 0, present[name])

    def test_a_modality_that_the_whole_batch_lacks_is_not_judged(self):
        game, features, present = make_game(presence=2.0)
        present["audio"] = torch.zeros_like(present["audio"])
        for discriminator in game.discriminators.values():
            torch.nn.init.constant_(discriminator[-1].weight, 0.0)
            torch.nn.init.constant_(discriminator[-1].bias, 1.0)  # "mine", whatever it sees
        # Two own modalities judged right, four halves of foreign ones judged wrong.
        assert float(play(game, features, present).accuracy) == pytest.approx(2 / 4)

    def test_a_batch_without_anything_is_a_draw(self):
        game, features, present = make_game(presence=0.0)
        with torch.no_grad():
            output = play(game, features, present)
        assert float(output.accuracy) == 0.5
        assert float(output.generator_loss) == float(output.discriminator_loss) == 0


def test_a_discriminator_is_two_layers():
    discriminator = Discriminator(SIZE, 5)
    rows = torch.randn(ROWS, SIZE)
    hidden = functional.leaky_relu(discriminator[0](rows), 0.2)
    torch.testing.assert_close(discriminator(rows), discriminator[2](hidden))


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_recurrent_generator_knows_the_dialogue_and_a_plain_one_the_utterance(recurrent):
    torch.manual_seed(0)
    generator = Generator(SIZE, recurrent, 0.0)
    rows = torch.randn(5, SIZE)
    other = rows.clone()
    other[0] += 1
    difference = (generator(rows, make_layout((3, 2))) - generator(other, make_layout((3, 2)))).abs().sum(-1) > 1e-6
    assert difference.tolist() == [True, recurrent, recurrent, False, False]
    norms = generator(rows, make_layout((3, 2))).norm(dim=-1)
    torch.testing.assert_close(norms, torch.full((5,), SIZE**0.5), rtol=1e-3, atol=1e-3)


def shifted_and_rotated(size=8, dialogues=4, length=15):
    """Dialogues whose modalities say the same, up to a rotation and a shift."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(3, size, size, generator=generator)).Q
    shifts = torch.randn(3, size, generator=generator)
    content = torch.randn(dialogues, length, size, generator=generator)
    features = [content @ direction + shift for direction, shift in zip(directions, shifts, strict=True)]
    return [
        {
            "utterances": [
                {f"{name}_features": rows[i, j].tolist() for name, rows in zip(NAMES, features, strict=True)}
                | {"speaker": "AB"[j % 2], "label": "joy" if content[i, j, 0] > 0 else "anger"}
                for j in range(length)
            ]
        }
        for i in range(dialogues)
    ]


@pytest.mark.parametrize(("weight", "least", "most"), [(0.0, 0.9, 1.0), (1.0, 0.0, 0.65)], ids=["alone", "played"])
def test_the_game_at_work(weight, least, most):
    """Unopposed, the discriminators tell the modalities apart; generators that play against them undo that."""
    dialogues = shifted_and_rotated()
    processor = JoyfulProcessor.from_dialogues(dialogues, feature_statistics=None)
    torch.manual_seed(0)
    config = ARIIGCNConfig(
        **processor.model_kwargs(),
        generator="mlp",
        projection_size=16,
        graph_num_heads=2,
        input_dropout_prob=0,
        hidden_dropout_prob=0,
        modality_dropout_prob=0,
        adversarial_loss_weight=weight,
    )
    model = ARIIGCNForEmotionRecognition(config).train()
    batch = processor(dialogues, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.5, 0.9))
    accuracies = []
    for _ in range(160):
        optimizer.zero_grad()
        output = model(**batch)
        output.loss.backward()
        optimizer.step()
        accuracies.append(output.metrics["discriminator_accuracy"].item())
    last = sum(accuracies[-40:]) / 40
    assert least <= last <= most
    if weight == 0:
        assert last > accuracies[0]
    else:
        assert last < max(accuracies)
