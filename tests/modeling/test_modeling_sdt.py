"""SDT's equations where they are ours: what is absent, what is distilled, and who speaks."""

import pytest
import torch

from joyful_hf.modeling.modeling_sdt import sinusoids
from joyful_hf.modeling.speaker_vectors import SpeakerVectors
from tests.support.helpers import RIVAL_CASES, hide_modalities, make_dialogues
from tests.test_invariants import run

CASE = next(case for case in RIVAL_CASES if case.name == "sdt-recommended")


def made(**fields):
    model, processor = CASE.make(make_dialogues(), **fields)
    return model, processor(make_dialogues(), return_tensors="pt")


def test_a_modality_that_no_utterance_has_moves_nothing():
    model, batch = made()
    hidden = hide_modalities(batch, torch.tensor([True, False, True]).expand(38, 3))
    before = run(model, hidden).logits
    with torch.no_grad():
        for parameters in (
            model.sdt.encoders["audio_to_text"].value.parameters(),
            model.sdt.encoders["audio_to_text"].key.parameters(),
            model.sdt.reductions["audio"].parameters(),
        ):
            for parameter in parameters:
                parameter += 1
    assert torch.equal(run(model, hidden).logits, before)
    assert not torch.equal(run(model, batch).logits, before)


def test_an_utterance_without_a_modality_teaches_its_student_nothing():
    model, batch = made()
    present = torch.ones(38, 3, dtype=torch.bool)
    present[:, 1] = torch.arange(38) < 5  # the first dialogue alone has sound
    hidden = hide_modalities(batch, present)
    means = run(model, hidden).means
    spoilt = dict(hidden, labels=torch.where(present[:, 1], hidden["labels"], (hidden["labels"] + 1) % 4))
    other = run(model, spoilt).means
    assert torch.equal(means["student"][1], other["student"][1])
    assert not torch.equal(means["student"][0], other["student"][0])
    counts = model.loss_counts(hidden)
    assert counts["student"].tolist() == counts["distillation"].tolist() == [38, 5, 38]


@pytest.mark.parametrize("detach", [True, False])
def test_the_students_move_the_teacher_only_if_they_may(detach):
    model, batch = made(detach_teacher=detach)
    run_with_gradients = model(**batch)
    run_with_gradients.losses["distillation"].backward()
    gradient = model.classifier.weight.grad
    assert (gradient is None) == detach


def test_the_distance_keeps_its_size_at_any_temperature():
    plain, batch = made(distillation_temperature=4.0, scale_by_temperature_squared=False)
    scaled, _ = made(distillation_temperature=4.0)
    torch.testing.assert_close(
        run(scaled, batch).losses["distillation"], 16 * run(plain, batch).losses["distillation"]
    )


def test_identity_gates_have_no_matrix():
    model, _ = made(unimodal_gate="identity")
    assert [name for name in model.state_dict() if "unimodal_gates" in name] == []


def test_one_modality_has_no_students():
    dialogues = make_dialogues(modalities=("text",))
    model, processor = CASE.make(dialogues)
    assert set(run(model, processor(dialogues, return_tensors="pt")).losses) == {"classification"}
    assert set(model.loss_weights()) == {"classification"}


def test_a_speaker_beyond_the_table_has_no_vector():
    vectors = SpeakerVectors(2, 4)
    found = vectors(torch.tensor([1, 2, 0, 7]))
    torch.testing.assert_close(found[[0, 2]], vectors.weight[[1, 0]])
    assert not found[[1, 3]].any()


def test_positions_are_sines_and_cosines():
    found = sinusoids(torch.tensor([0, 3]), 4)
    torch.testing.assert_close(found[0], torch.tensor([0.0, 1, 0, 1]))
    torch.testing.assert_close(
        found[1],
        torch.tensor([3.0, 3, 0.03, 0.03]).sin() * torch.tensor([1.0, 0, 1, 0])
        + torch.tensor([3.0, 3, 0.03, 0.03]).cos() * torch.tensor([0.0, 1, 0, 1]),
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"projection_size": 9, "num_attention_heads": 3}, "even"), ({"num_attention_heads": 5}, "divisible")],
)
def test_a_width_that_does_not_fit_is_refused(fields, reason):
    with pytest.raises(Exception, match=reason):
        CASE.make_config(text_dim=4, num_labels=2, **fields)
