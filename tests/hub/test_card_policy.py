"""Cards on the Hub: which one a push leaves there, and whose it is."""

import logging

import pytest
from huggingface_hub import ModelCard

from joyful_hf.checkpoints import load_checkpoint
from joyful_hf.hub.push import push_folder
from joyful_hf.model_card.card import MARKER
from tests.support.helpers import FAMILY_CASES
from tests.support.pushes import REPO, card_on

# huggingface_hub sends files in a way that its HTTP client is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_the_card_tells_of_the_run_and_is_valid(hub, out):
    push_folder(out, REPO, dataset_name="A corpus of people")
    card = ModelCard(card_on(hub))
    assert ("POST", "/api/validate-yaml") in hub.requests  # asked before the commit; a fault would have ended it
    assert MARKER in card.content
    assert REPO in card.content
    assert "A corpus of people" in card.content
    assert card.data.eval_results
    assert not (out / "README.md").exists()


def test_the_card_of_a_model_alone_says_what_is_missing(hub, family, dialogues):
    model, _ = family.make(dialogues)
    model.push_to_hub(REPO)
    card = ModelCard.load(REPO)
    assert card.data.license == "apache-2.0"
    assert "emotion-recognition" in card.data.tags
    assert f'`processor.push_to_hub("{REPO}")`' in card.text


def test_a_card_that_a_person_wrote_stays(hub, out, dialogues, caplog):
    model, processor = FAMILY_CASES[0].make(dialogues)
    push_folder(out, REPO)
    hub.write(REPO, "README.md", "# Mine")
    (out / "README.md").write_text(f"{MARKER}\nan earlier card", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        push_folder(out, REPO)
    assert "README.md was written by a person and is kept" in caplog.text
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    assert card_on(hub) == "# Mine"
    (out / "README.md").write_text("# Mine, in the folder", encoding="utf-8")
    push_folder(out, REPO)
    assert card_on(hub) == "# Mine, in the folder"


def test_a_card_with_results_stays_when_a_model_is_pushed_and_a_warning_says_whose_they_are(
    hub, out, dialogues, caplog
):
    push_folder(out, REPO)
    card = card_on(hub)
    model, processor = load_checkpoint(out)
    with caplog.at_level(logging.WARNING, "joyful_hf"):
        model.push_to_hub(REPO)
        processor.push_to_hub(REPO)
        assert not [record for record in caplog.records if record.name.startswith("joyful_hf")]
        FAMILY_CASES[0].make(dialogues, seed=1)[0].push_to_hub(REPO)
    assert "README.md and results belong to other weights" in caplog.text
    assert card_on(hub) == card


def test_a_card_without_results_follows_the_model(hub, dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    model.push_to_hub(REPO)
    processor.push_to_hub(REPO)
    before = card_on(hub)
    FAMILY_CASES[0].make(dialogues, graph_num_layers=2)[0].push_to_hub(REPO)
    assert "graph_num_layers" not in before
    assert "graph_num_layers" in card_on(hub)


def test_tags_are_added_to_those_of_the_card(hub, dialogues):
    model, processor = FAMILY_CASES[0].make(dialogues)
    processor.push_to_hub(REPO)
    model.push_to_hub(REPO, tags="mine")
    assert {"mine", "emotion-recognition"} <= set(ModelCard(card_on(hub)).data.tags)


def test_a_card_that_cannot_be_written_is_found_before_anything_is_asked(hub, fails, out):
    assert str(out / "nowhere") in fails("push", out, REPO, "--other-runs", out / "nowhere")
    assert not hub.requests


def test_a_card_with_bad_metadata_is_refused(hub, fails, out):
    (out / "README.md").write_text("---\ntags: [\n---\n# Mine", encoding="utf-8")
    message = fails("push", out, REPO)
    assert "Invalid metadata in README.md. - invalid YAML" in message
    assert not hub.files(REPO)
