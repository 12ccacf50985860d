"""The model card: what it says of a run, that its YAML is valid, that its example runs, and whose text it is."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from joyful_hf import DialogueError, JoyfulProcessor
from joyful_hf.families import FAMILIES
from joyful_hf.model_card.card import MARKER, write_model_card
from joyful_hf.model_card.dataset_names import dataset_id, dataset_name_of
from joyful_hf.model_card.markdown import one_line, plain, table
from tests.support.helpers import (
    DIMS,
    FAMILY_CASES,
    LABELS,
    make_dialogues,
)
from tests.support.media import make_speech_encoder
from tests.support.run_summaries import (
    data_summary,
    edit_json,
    make_summary,
    write_run,
)

SECTIONS = [
    *("# out", "## The model", "## Use", "## Inputs and outputs"),
    *("## Results", "### Each class", "### Confusion matrix", "### Calibration"),
    *("## Training data", "## Training", "## Configuration"),
    *("## Intended use and limits", "## Licence", "## Citation"),
]


def read_card(folder: Path, **arguments) -> str:
    """The card that is written into the folder."""
    return write_model_card(folder, **arguments).read_text(encoding="utf-8")


def code_of(card: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", card, flags=re.MULTILINE | re.DOTALL)


def section(card: str, title: str) -> str:
    """The text under a heading, up to the next of any level."""
    return re.split(r"^#+ .*$", card.split(f"\n{title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0].strip()


def tables_of(markdown: str) -> list[list[list[str]]]:
    """Rows of cells of each table, as a reader of Markdown sees them."""
    tables, row = [], []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            row = []
            tables[-1].append(row)
        elif token.type == "inline" and tables and token.level > 3:
            row.append("".join(child.content for child in token.children))
    return tables


def table_under(card: str, title: str, which: int = 0) -> dict[str, list[str]]:
    """First cell of each row -> the others."""
    return {row[0]: row[1:] for row in tables_of(section(card, title))[which]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint without a summary."""
    return write_run(tmp_path_factory.mktemp("card") / "out")


@pytest.fixture
def out(tmp_path, checkpoint) -> Path:
    """A run with everything there is."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("config.json", "processor_config.json"):
        (folder / name).write_bytes((checkpoint / name).read_bytes())
    edit_json(folder / "config.json", calibration_temperature=1.7)
    summarize(folder)
    (folder / "confusion_matrix.png").write_bytes(b"a picture")
    return folder


def summarize(folder: Path, **changes) -> None:
    (folder / "run_summary.json").write_text(json.dumps(make_summary(**changes)), encoding="utf-8")


@pytest.fixture
def seeds(tmp_path, out) -> list[Path]:
    """Two more runs of the recipe of `out`."""
    folders = []
    for seed, f1 in ((43, 0.70), (44, 0.83)):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        for name in ("config.json", "processor_config.json"):
            (folder / name).write_bytes((out / name).read_bytes())
        results = make_summary()["results"]
        results["test"] |= {"weighted_f1": f1, "f1_joy": f1}
        arguments = make_summary()["training_arguments"] | {"output_dir": str(folder), "seed": seed}
        summarize(folder, seed=seed, results=results, training_arguments=arguments)
        folders.append(folder)
    return folders


# The example.


@pytest.fixture(autouse=True)
def beside_the_folder(tmp_path, monkeypatch):
    """The example of a local card names the folder alone."""
    monkeypatch.chdir(tmp_path)


def run_example(card: str, capsys) -> list[str]:
    namespace = {}
    capsys.readouterr()
    for code in code_of(card):
        exec(code, namespace)
    return capsys.readouterr().out.splitlines()


def test_the_example_runs_as_it_is_printed(family, tmp_path, capsys):
    lines = run_example(read_card(write_run(tmp_path / "out", case=family)), capsys)
    assert [line.split()[0] for line in lines] == ["Ross", "Rachel"]
    assert all(line.split()[1] in LABELS for line in lines)


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        (
            {"text_extractor": "hashing", "audio_extractor": "logmel", "video_extractor": "frame-statistics"},
            ['"audio": {"array"', '"video": random.integers'],
        ),
        ({"video_extractor": "openface"}, [f'"visual_features": random.normal(size={DIMS["visual"]})']),
        ({"relation_scheme": "speaker_pair", "max_speakers": 1}, ['[("Ross", "I never']),
        ({"speaker_to_id": {'the "host"': 0, "M": 1}}, ["""("the \\"host\\"", "Yes, you"""]),
    ],
    ids=["extractors", "OpenFace", "one speaker", "known speakers"],
)
def test_the_example_fits_what_the_processor_reads(parameters, fields, tmp_path, capsys):
    dialogues = make_dialogues((4, 3), speakers=1)
    if "text_extractor" in parameters:
        for dialogue in dialogues:
            for utterance in dialogue["utterances"]:
                for name in DIMS:
                    del utterance[f"{name}_features"]
                utterance["audio"] = {"array": np.ones(8000), "sampling_rate": 16000}
                utterance["video"] = np.zeros((2, 16, 16, 3), np.uint8)
    if "speaker_to_id" in parameters:
        for dialogue in dialogues:
            for utterance in dialogue["utterances"]:
                utterance["speaker"] = "M"
    case = replace(FAMILY_CASES[0], processor_parameters=lambda dialogues: parameters)
    card = read_card(write_run(tmp_path / "out", case=case, dialogues=dialogues))
    assert all(field in code_of(card)[0] for field in fields)
    assert len(run_example(card, capsys)) == 2


def test_the_example_makes_up_waveforms_for_an_encoder_of_them(tmp_path, capsys):
    from joyful_hf import FoalNetForEmotionRecognition, FoalNetProcessor

    processor = FoalNetProcessor(video_dim=0, label2id={label: index for index, label in enumerate(LABELS)})
    model = FoalNetForEmotionRecognition.from_encoders(
        str(make_speech_encoder(tmp_path / "encoder")),
        projection_size=8,
        num_attention_heads=2,
        **processor.model_kwargs(),
    )
    model.save_pretrained(tmp_path / "out")
    processor.save_pretrained(tmp_path / "out")
    card = read_card(tmp_path / "out")
    assert 'pip install "av>=15.0" "pillow>=11.0"' in section(card, "## Use")
    assert table_under(card, "## Inputs and outputs")["audio"][1] == "at most 6 s at 16000 Hz"
    assert len(run_example(card, capsys)) == 2


def test_the_example_loads_the_id_of_the_hub_where_there_is_one(out):
    card = read_card(out, model_id="ann/toy-emotions")
    assert 'checkpoint = "ann/toy-emotions"' in code_of(card)[0]
    assert "# toy-emotions" in card
    assert str(out) not in card


def test_the_example_of_a_local_card_does_not_tell_where_the_folder_lies(out):
    card = read_card(out)
    assert f'checkpoint = "{out.name}"' in code_of(card)[0]
    assert str(out.parent) not in card


def test_remote_code_is_spoken_of_only_where_it_lies_in_the_folder(out):
    card = read_card(out)
    assert "trust_remote_code" not in card
    assert ModelCard.load(out / "README.md").data.library_name == "joyful-hf"
    edit_json(out / "config.json", auto_map={"AutoModel": "modeling_joyful.JoyfulForEmotionRecognition"})
    card = read_card(out)
    (_, remote) = code_of(card)
    assert remote.count("trust_remote_code=True") == 2
    assert ModelCard.load(out / "README.md").data.library_name == "transformers"


# The metadata.


def test_the_yaml_is_read_back_with_the_scores_of_the_test_set(out):
    path = write_model_card(out, dataset_name="MELD")
    data = ModelCard.load(path).data
    assert data.license == "apache-2.0"
    assert data.tags == ["emotion-recognition", "multimodal", "conversation", "graph-neural-network", "joyful"]
    assert data.pipeline_tag is None
    assert data.language is None
    assert data.model_name == "out"
    entries = {entry.metric_name: entry for entry in data.eval_results}
    assert {name: (entry.metric_type, entry.metric_value) for name, entry in entries.items()} == {
        "Weighted F1": ("f1", 0.75),
        "Accuracy": ("accuracy", 0.8),
        "Unweighted accuracy (mean recall)": ("recall", 0.6),
    }
    assert entries["Weighted F1"].metric_args == {"average": "weighted"}
    assert {(entry.dataset_name, entry.dataset_type, entry.dataset_split) for entry in entries.values()} == {
        ("MELD", "MELD", "test")
    }
    assert {entry.task_type for entry in entries.values()} == {"emotion-recognition"}


def test_validation_scores_are_no_entry_of_the_index(out):
    results = {"validation": make_summary()["results"]["validation"]}
    summarize(out, test=None, results=results, confusion_matrix=None)
    card = read_card(out)
    assert ModelCard.load(out / "README.md").data.eval_results is None
    assert "There was no test set." in card
    assert table_under(card, "## Results") == {
        "Score": ["validation"],
        "Weighted F1": ["0.850"],
        "Accuracy": ["0.800"],
        "Unweighted accuracy (mean recall)": ["0.600"],
    }


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/meld/test.parquet", "meld"),
        ("meld_test.jsonl", "meld"),
        ("C:\\data\\iemocap\\dev.jsonl", "iemocap"),
        ("/home/ann/mosi/test-00000-of-00001.parquet", "mosi"),
        ("contest.jsonl", "contest"),
        ("test.jsonl", "test.jsonl"),
        ("ann/meld", "ann/meld"),
        ("./recordings/", "recordings"),
        ("/", "/"),
    ],
)
def test_a_data_set_is_called_by_the_name_of_its_file_or_folder(source, name):
    assert dataset_name_of(source) == name


@given(st.text(max_size=120))
@example("語料庫")
@example("a/b/c.git")
@example("-.-/--")
def test_the_id_of_a_data_set_is_one_that_the_hub_takes(name):
    validate_repo_id(dataset_id(name))


# The text.


def test_a_card_of_everything_has_all_its_sections(out):
    card = read_card(out)
    prose = re.sub(r"```.*?```", "code", card, flags=re.DOTALL)
    assert re.findall(r"^#+ .*$", prose, flags=re.MULTILINE) == SECTIONS
    assert card.split("\n---\n")[1].splitlines()[0] == MARKER
    assert not re.search(r"[ \t]$|\n\n\n|\S  +\S|None|Undefined", prose, flags=re.MULTILINE)
    assert card.endswith("```\n")


def test_every_family_cites_its_paper(family, tmp_path):
    card = read_card(write_run(tmp_path / "out", make_summary(), case=family))
    row = next(row for row in FAMILIES.values() if row.model_class is family.model_class)
    title = re.search(r"title +=\s+\{(.+?)\},\n", row.paper.bibtex, re.DOTALL)[1]
    assert title in section(card, "## Citation")
    assert ("our reconstruction" in section(card, "## The model")) == family.name.startswith("ar-iigcn")


@pytest.mark.parametrize(
    ("name", "form"), [("joyful", "which is not the paper's"), ("ar-iigcn", ""), ("foal-net", "")]
)
def test_every_family_says_what_it_is_and_which_form_the_model_has(name, form, tmp_path):
    case = next(case for case in FAMILY_CASES if case.name.startswith(name))
    family = FAMILIES[name]
    card = read_card(write_run(tmp_path / "out", make_summary(), case=case))
    text = section(card, "## The model")
    paper = f"[{family.paper.authors}](https://arxiv.org/abs/{family.paper.arxiv})"
    assert text.startswith(f"{family.title} ({paper}) {family.words}\n")
    assert f"This model has the form that joyful_hf recommends{', ' * bool(form)}{form}. Its configuration is" in text
    assert f"`{family.config_class.__name__}()` with the changes listed under [Configuration](#configuration)." in text
    assert set(family.tags) < set(ModelCard.load(tmp_path / "out" / "README.md").data.tags)


def test_a_family_without_a_paper_cites_none(out, monkeypatch):
    family = replace(FAMILIES["joyful"], paper=None, tags=(), caveat="A caveat.", presets={})
    monkeypatch.setitem(FAMILIES, "joyful", family)
    card = read_card(out)
    assert "## Citation" not in card
    assert "arxiv" not in card
    assert section(card, "## The model").startswith(f"JOYFUL {family.words}\nA caveat.\nThis model")
    assert card.endswith("use the weights.\n")


def test_what_was_chosen_by_an_error_has_its_lowest_value(out):
    summarize(out, chosen_by={"metric": "mae", "value": 0.5, "epoch": 3.0, "greater_is_better": False})
    assert "it has the lowest value of *Mean absolute error* on validation, 0.500." in read_card(out)


def test_a_test_set_of_an_unknown_source_has_no_name(tmp_path):
    summary = make_summary(train=data_summary(None, 120), test=data_summary(None, 12))
    assert "Weighted F1 on its test set: **0.750**" in read_card(write_run(tmp_path / "out", summary))


def test_the_results_are_those_of_the_summary(out):
    card = read_card(out)
    assert "Weighted F1 on the test set of toy: **0.750**" in card
    assert table_under(card, "## Results") == {
        "Score": ["validation", "test"],
        "Weighted F1": ["0.850", "0.750"],
        "Accuracy": ["0.800", "0.800"],
        "Unweighted accuracy (mean recall)": ["0.600", "0.600"],
    }
    assert table_under(card, "### Each class") == {
        "Class": ["F1", "Precision", "Recall", "Support"],
        "anger": ["0.800", "0.800", "0.800", "10"],
        "joy": ["0.700", "0.875", "0.700", "10"],
        "neutral": ["0.900", "0.811", "1.000", "30"],
        "sadness": ["0.000", "-", "0.000", "5"],
    }
    assert table_under(card, "### Confusion matrix")["joy"] == ["2", "7", "1", "0"]
    assert "![Confusion matrix](confusion_matrix.png)" in card
    assert "temperature of 1.700" in card
    assert table_under(card, "### Calibration")["after"] == ["0.020", "0.020"]


def test_the_picture_is_shown_only_where_there_is_one(out):
    (out / "confusion_matrix.png").unlink()
    card = read_card(out)
    assert "![" not in card
    assert "### Confusion matrix" in card


def test_scores_that_are_not_calibrated_are_called_so(out):
    results = make_summary()["results"]
    for scores in results.values():
        del scores["ece_uncalibrated"]
    summarize(out, results=results)
    card = read_card(out)
    assert "The scores are not calibrated." in card
    assert table_under(card, "### Calibration")["of the scores"] == ["0.020", "0.020"]


def test_training_is_told(out):
    card = read_card(out)
    assert "Training: toy/train.jsonl. Validation: toy/validation.jsonl. Test: toy/test.jsonl.\n" in card
    data = table_under(card, "## Training data")
    assert data["utterances"] == ["550", "55", "55"]
    assert data["utterances with audio"] == ["547", "52", "52"]
    assert "utterances with video" not in data
    assert table_under(card, "## Training data", 1)["neutral"][0] == "300 (55%)"
    assert (
        "The checkpoint of epoch 12 was kept: it has the highest value of *Weighted F1* on validation, 0.850." in card
    )
    assert table_under(card, "## Training") == {
        "Training argument": ["Value"],
        **{"learning_rate": ["0.002"], "weight_decay": ["0.0"], "per_device_train_batch_size": ["8"], "seed": ["42"]},
    }
    assert "Trained on cpu in 61.2 s. Versions: joyful-hf 0.1.0, torch 2.13.0, python 3.11.2." in card
    assert table_under(card, "## Configuration")["num_members"] == ["2", "4"]


def test_dialogues_held_out_are_told_from_a_file_of_their_own(out):
    held_out = data_summary("toy/train.jsonl", 12) | {"held_out": True}
    for validation in (held_out, data_summary("held out of toy/train.jsonl", 12)):  # the second is of before
        summarize(out, validation=validation)
        card = read_card(out)
        assert "The validation dialogues were held out of the training data." in card
        assert "Validation: held out of toy/train.jsonl. Test" in card
    summarize(out, validation=data_summary(None, 12))
    assert "held out" not in read_card(out)


def test_a_preset_is_what_the_configuration_is_compared_with(tmp_path):
    card = read_card(write_run(tmp_path / "out", make_summary(preset="paper"), case=FAMILY_CASES[1]))
    assert "`JoyfulConfig.paper()`" in section(card, "## The model")
    changes = table_under(card, "## Configuration")
    assert changes["basis_size"] == ["4", "32"]
    assert "contextual_size" not in changes


def test_a_run_that_told_little_makes_a_card(out):
    summarize(out, train=None, validation=None, test=None, chosen_by=None, results={}, confusion_matrix=None)
    card = read_card(out)
    assert "The model was not scored." in card
    assert "The training dialogues were streamed, and not counted." in card
    assert "no checkpoint was chosen" in card
    assert ModelCard.load(out / "README.md").data.eval_results is None


def test_without_a_summary_nothing_is_known_of_training(out):
    (out / "run_summary.json").unlink()
    card = read_card(out)
    assert "Nothing is known about this model's training and scores" in card
    assert "## Training" not in card
    assert "model-index" not in card


def test_regression_has_its_own_scores(tmp_path):
    dialogues = make_dialogues(label=lambda rng: float(rng.normal()))
    results = {"test": {"mae": 0.9, "correlation": float("nan"), "acc_7": 0.4, "my_score": 0.1, "loss": 1.0}}
    summary = make_summary(results=results, confusion_matrix=None)
    card = read_card(write_run(tmp_path / "out", summary, dialogues=dialogues))
    assert table_under(card, "## Results") == {
        "Score": ["test"],
        "Mean absolute error": ["0.900"],
        "Pearson correlation": ["-"],
        "Accuracy, -3 to 3": ["0.400"],
        "my_score": ["0.100"],
    }
    assert "one number per utterance" in card
    assert "### Each class" not in card
    entries = ModelCard.load(tmp_path / "out" / "README.md").data.eval_results
    assert {entry.metric_type: entry.metric_value for entry in entries} == {**{"mae": 0.9, "accuracy": 0.4}}


def test_what_the_scale_of_the_labels_leaves_out_is_said(tmp_path):
    dialogues = make_dialogues(label=lambda rng: float(rng.integers(1, 6)))
    reason = "needs labels of both signs from -3 to 3, and these lie between 1 and 5"
    summary = make_summary(
        results={"test": {"mae": 0.9}}, confusion_matrix=None, left_out={"test": {"acc_2": reason, "acc_7": reason}}
    )
    card = read_card(write_run(tmp_path / "out", summary, dialogues=dialogues))
    assert f"Left out on test: `acc_2`, `acc_7`. Each {reason}." in card


def test_each_of_several_values_has_its_own_scores(tmp_path):
    dialogues = make_dialogues(label=lambda rng: {"valence": rng.normal(), "arousal": rng.normal()})
    scores = {"mae": 0.5, "ccc": 0.25, "support_valence": 40.0, "support_arousal": 1234.0}
    scores |= {"mae_valence": 0.4, "mae_arousal": 0.6, "ccc_valence": 0.3, "ccc_arousal": 0.2}
    test = data_summary("toy/test.jsonl", 12) | {"label_ranges": {"arousal": [-1, 1.5], "valence": [-2, 2]}}
    summary = make_summary(results={"test": scores}, confusion_matrix=None, test=test)
    card = read_card(write_run(tmp_path / "out", summary, dialogues=dialogues))
    assert "It gives 2 numbers per utterance, arousal, valence, each on the scale" in card
    assert set(table_under(card, "## Results")) == {"Score", "Mean absolute error", "Concordance correlation"}
    assert table_under(card, "### Each value") == {
        "Value": ["Mean absolute error", "Concordance correlation", "Support"],
        "arousal": ["0.600", "0.200", "1,234"],
        "valence": ["0.400", "0.300", "40"],
    }
    assert "| arousal | - | - | -1 to 1.5 |" in card


def test_several_emotions_have_their_own_scores(tmp_path):
    dialogues = make_dialogues(label=lambda rng: list(LABELS[: rng.integers(5)]))
    scores = {"weighted_f1": 0.5, "accuracy": 0.3}
    scores |= {f"{prefix}{label}": 0.4 for label in LABELS for prefix in ("f1_", "weighted_f1_")}
    test = data_summary("toy/test.jsonl", 12) | {"num_utterances": 100}
    summary = make_summary(results={"test": scores}, confusion_matrix=None, test=test)
    card = read_card(write_run(tmp_path / "out", summary, dialogues=dialogues))
    assert "of which an utterance may have several" in card
    assert "Accuracy counts an utterance as right if all its labels are right." in card
    assert table_under(card, "### Each class")["joy"] == ["0.400", "0.400"]
    assert table_under(card, "## Training data", 1)["neutral"][2] == "30 (30%)"
    assert set(table_under(card, "## Results")) == {"Score", "Weighted F1", "Accuracy"}


# Several seeds.


def test_scores_of_several_seeds_are_mean_and_deviation(out, seeds):
    card = read_card(out, other_runs=seeds)
    assert "Mean ± standard deviation of 3 runs that differ only in the seed (42, 43, 44)" in card
    assert table_under(card, "## Results")["Weighted F1"] == ["0.850 ± 0.000", "0.760 ± 0.066", "0.850", "0.750"]
    assert table_under(card, "### Each class")["joy"] == ["0.743 ± 0.075", "0.875", "0.700", "10"]
    entry = ModelCard.load(out / "README.md").data.eval_results[0]
    assert (entry.metric_name, entry.metric_value) == ("Weighted F1", "0.760 ± 0.066")


def test_what_is_learnt_may_differ_between_seeds(out, seeds):
    learnt = {"calibration_temperature": 1.2, "class_weights": [1.0, 1.1, 0.8, 1.0]}
    edit_json(seeds[0] / "config.json", **learnt, auto_map={"AutoModel": "modeling_joyful.JoyfulModel"})
    statistics = json.loads((out / "processor_config.json").read_text())["feature_statistics"]
    statistics["text"]["mean"][0] += 1
    edit_json(seeds[0] / "processor_config.json", feature_statistics=statistics)
    write_model_card(out, other_runs=seeds)


def test_dialogues_that_each_seed_holds_out_may_be_others(out, seeds):
    for folder, train, held_out in (
        (out, (90, 100, 300, 50), (10, 0, 0, 5)),
        (seeds[0], (100, 90, 300, 50), (0, 10, 0, 5)),
    ):
        summary = {
            "train": data_summary("a.jsonl", 100, train),
            "validation": data_summary("held out of a.jsonl", 10, held_out),
        }
        edit_json(folder / "run_summary.json", **summary)
    write_model_card(out, other_runs=seeds[:1])
    edit_json(seeds[0] / "run_summary.json", train=data_summary("a.jsonl", 100, (90, 100, 300, 51)))
    with pytest.raises(DialogueError, match="training data"):
        write_model_card(out, other_runs=seeds[:1])


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"num_members": 3}, r"num_members \(3, not 2\)"),
        ("processor_config.json", {"window_past": 2}, r"processor's window_past \(2, not 8\)"),
        ("run_summary.json", {"training_arguments": {"learning_rate": 0.1}}, r"learning_rate \(0.1, not 0.002\)"),
        ("run_summary.json", {"test": data_summary("other.jsonl", 9)}, "test data"),
        ("run_summary.json", {"preset": "paper"}, r'preset \("paper", not null\)'),
        ("run_summary.json", {"results": {}}, "splits that were scored"),
        ("run_summary.json", {"seed": 42}, "has the seed 42, as another"),
    ],
)
def test_a_run_of_another_recipe_is_refused_with_what_differs(file, changes, message, out, seeds):
    edit_json(seeds[1] / file, **changes)
    with pytest.raises(DialogueError, match=f"seed44: .*{message}"):
        write_model_card(out, other_runs=seeds)
    assert not (out / "README.md").exists()


def test_a_run_without_a_summary_has_no_seed(out, seeds):
    (seeds[0] / "run_summary.json").unlink()
    with pytest.raises(DialogueError, match=r"seed43: run_summary.json is missing"):
        write_model_card(out, other_runs=seeds)


# Whose text it is.


def test_a_card_is_made_anew_until_somebody_takes_it_over(out):
    path = write_model_card(out)
    before = path.read_text(encoding="utf-8")
    edit_json(out / "run_summary.json", seed=7)
    assert write_model_card(out) == path
    made_anew = path.read_text(encoding="utf-8")
    assert made_anew != before
    mine = made_anew.replace(f"{MARKER}\n", "").replace("# out", "# My model")
    path.write_text(mine, encoding="utf-8")
    assert write_model_card(out) == path
    assert path.read_text(encoding="utf-8") == mine


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", None, r"config.json \(the model's configuration\) is missing"),
        ("processor_config.json", None, r"processor_config.json \(the processor\) is missing"),
        ("config.json", "{", "cannot be read as JSON"),
        ("config.json", "[]", "holds a list, expected an object"),
        ("config.json", '{"model_type": "bert"}', "a model of type 'bert', expected one of joyful"),
        ("config.json", '{"model_type": "joyful", "num_members": 0}', "num_members must be 1 or more"),
        ("run_summary.json", "{}", "lacks chosen_by, results, seed"),
        ("run_summary.json", json.dumps(make_summary(preset="papre")), "unknown preset 'papre'"),
    ],
)
def test_a_folder_that_is_none_is_refused(file, text, message, out):
    if text is None:
        (out / file).unlink()
    else:
        (out / file).write_text(text)
    with pytest.raises(DialogueError, match=message):
        write_model_card(out)
    assert not list(out.glob("README*"))


# Names of any kind.


nasty = st.text(st.one_of(st.sampled_from("|`*_<>[]&\\\n\r$~#-: '\"{}%!"), st.characters()), min_size=1, max_size=12)


@given(st.lists(nasty, min_size=2, max_size=4), nasty)
@example(["a|b", "`code`", "<script>"], "---\na: b")
@example(["{{ 7 * 7 }}", "{% raw %}", "\\|"], "yes")
@example(["\ud800", "\x00", "\u2028"], "1.0")
def test_any_name_is_shown_as_it_is(names, title):
    text = f"{plain(title)}\n\n{table(list(map(plain, names)), [list(map(plain, names))] * 2)}"
    if len(one_line("".join(names))):
        (rows,) = tables_of(text)
        assert rows == [list(map(one_line, names))] * 3


@given(labels=st.lists(nasty, min_size=2, max_size=4, unique_by=one_line), dataset=nasty)
@example(labels=["joy | fear", "```", "<b>"], dataset="MELD: the 'best'\n---\n# of #")
@example(labels=["{{ 7 * 7 }}", "no", "~"], dataset="null")
def test_any_label_and_any_name_of_a_data_set_make_a_valid_card(labels, dataset, out):
    edit_json(
        out / "config.json",
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        class_weights=None,
    )
    scores = {"weighted_f1": 0.5, **{f"f1_{label}": 0.25 for label in labels}}
    matrix = {"split": "test", "labels": labels, "counts": [[1] * len(labels)] * len(labels)}
    summarize(out, results={"test": scores}, confusion_matrix=matrix)
    card = read_card(out, dataset_name=dataset)
    (entry,) = ModelCard.load(out / "README.md").data.eval_results
    assert entry.dataset_name == one_line(dataset)
    validate_repo_id(entry.dataset_type)
    shown = {one_line(label) for label in labels}
    assert shown == set(table_under(card, "### Each class")) - {"Class"}
    assert all(len({len(row) for row in rows}) == 1 for rows in tables_of(card))
    compile(code_of(card)[0], "example", "exec")


def test_a_processor_without_a_parameter_has_its_default(out):
    parameters = json.loads((out / "processor_config.json").read_text())
    del parameters["window_past"]
    (out / "processor_config.json").write_text(json.dumps(parameters))
    assert JoyfulProcessor().window_past == 8
    assert "8 utterances before it" in read_card(out)


def test_the_classes_weights_are_told_where_they_differ(out):
    assert "Class weights in the loss" not in read_card(out)
    edit_json(out / "config.json", class_weights=[1.25, 1, 0.8, 1])
    assert "Class weights in the loss: anger 1.25, joy 1.00, neutral 0.80, sadness 1.00." in read_card(out)
