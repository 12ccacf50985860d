"""`joyful compare`."""

from joyful_hf.data.jsonl import write_dialogues
from tests.support.helpers import make_dialogues


def files(tmp_path):
    arguments = []
    for split, lengths in (("train", (5, 9, 4, 7, 6)), ("validation", (6, 4)), ("test", (5, 8))):
        write_dialogues(make_dialogues(lengths), tmp_path / f"{split}.jsonl")
        arguments += [f"--{split}-file", tmp_path / f"{split}.jsonl"]
    return arguments


def test_it_prints_a_table_and_what_can_be_concluded(joyful, tmp_path):
    result = joyful(
        *("compare", "logistic-regression", "majority", *files(tmp_path), "--output-dir", "out", "--seeds", "2")
    )
    assert result.status == 0, result.err
    assert "cell 4 of 4" in result.out
    assert "| logistic-regression |" in result.out
    assert "has the best mean weighted F1" in result.out
    assert "reports: out/comparison.md" in result.out


def test_bad_input_is_one_line(fails, tmp_path):
    given = [*files(tmp_path), "--output-dir", "out"]
    assert "unknown model 'joyfull'; choose from" in fails("compare", "joyfull", *given)
    assert "--config-json is not valid JSON" in fails("compare", "joyful", *given, "--config-json", "{")
    assert "leave out --validation-file and --test-file" in fails("compare", "joyful", *given, "--folds", "2")
    assert "--train-file: give the files" in fails("compare", "joyful", "--output-dir", "out")
    assert "there is no such folder" in fails("compare", "joyful", "--corpus", "nowhere", "--output-dir", "out")
