"""`joyful evaluate`."""

import json

import pytest

from tests.support.command_line import SCORES
from tests.support.helpers import LABELS


def test_evaluate_scores_a_checkpoint(joyful, files, checkpoint, tmp_path):
    result = joyful("evaluate", checkpoint, "--data-file", files["test"], "--output-dir", tmp_path / "scores")
    assert (result.status, result.err) == (0, "")
    written = json.loads((tmp_path / "scores" / "eval_results.json").read_text())
    trained = json.loads((checkpoint / "test_results.json").read_text())
    for score in SCORES:
        assert written[f"eval_{score}"] == trained[f"test_{score}"]
    assert written["eval_samples"] == 2
    matrix = written["eval_confusion_matrix"]
    assert matrix["labels"] == list(LABELS)
    assert [sum(row) for row in matrix["counts"]] == [written[f"eval_support_{label}"] for label in LABELS]
    assert trained["test_support_joy"] == written["eval_support_joy"]
    device, *table = result.out.splitlines()
    assert device == "running on cpu"
    printed = dict(line.split() for line in table)
    assert printed.keys() >= {f"eval_{score}" for score in SCORES}
    assert printed["eval_weighted_f1"] == f"{written['eval_weighted_f1']:.4f}"
    assert not {name for name in printed if name.endswith(("_runtime", "_per_second", "_time", "_samples"))}


def test_evaluate_scores_what_missing_modalities_cost(joyful, files, checkpoint, tmp_path):
    plain = joyful("evaluate", checkpoint, "--data-file", files["test"], "--output-dir", tmp_path / "plain")
    asked = ["--missing-rates", "0, 0.35,0.35", "--output-dir", tmp_path / "scores"]
    result = joyful("evaluate", checkpoint, "--data-file", files["test"], *asked)
    assert (result.status, result.err) == (0, "")
    scores, table = result.out.split("\n\n")
    assert scores == plain.out.rstrip("\n")
    rows = [line.split("  ")[0] for line in table.splitlines()[1:]]
    expected = ["missing rate 0", "missing rate 0.35"]
    expected += [text.format(name) for text in ("{} alone", "without {}") for name in ("text", "audio", "visual")]
    assert rows == expected
    assert "weighted_f1" in table.splitlines()[0]

    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["eval_results.json"]
    written = json.loads((tmp_path / "scores" / "missing_results.json").read_text())
    assert written.keys() == {"draws", "rates", "alone", "without"}
    evaluated = json.loads((tmp_path / "scores" / "eval_results.json").read_text())
    nothing_missing = written["rates"]["0.0"]
    assert nothing_missing.keys() >= SCORES
    assert nothing_missing == {name: pytest.approx(evaluated[f"eval_{name}"]) for name in nothing_missing}


@pytest.mark.parametrize("rates", ["", "0.1,,0.2", "some", "0,1.5", "-0.1", "nan", "0.1;0.2"])
def test_a_rate_that_is_none_is_named(fails, files, checkpoint, rates):
    message = fails("evaluate", checkpoint, "--data-file", files["test"], "--missing-rates", rates)
    assert message.startswith("--missing-rates: '")
    assert message.endswith("' is not a number from 0 to 1, as in 0,0.1,0.2")


def test_missing_results_are_not_overwritten(fails, files, checkpoint, tmp_path):
    (tmp_path / "missing_results.json").write_text("mine")
    asked = ["--missing-rates", "0.1", "--output-dir", tmp_path]
    message = fails("evaluate", checkpoint, "--data-file", files["test"], *asked)
    assert message.startswith(f"{tmp_path / 'missing_results.json'}: exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["missing_results.json"]


def test_a_mistake_of_ours_keeps_its_traceback(joyful, files, checkpoint, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr("joyful_hf.cli.evaluate.score_dialogues", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        joyful("evaluate", checkpoint, "--data-file", files["test"])
