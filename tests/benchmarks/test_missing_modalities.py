"""The benchmark of missing modalities: a cell is trained once, and the verdict is what was asked for."""

from benchmarks import missing_modalities as benchmark
from joyful_hf import make_toy_corpus
from joyful_hf.comparison.corpora import Corpus


def test_the_benchmark_trains_once_and_reports_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "RATES", (0.0, 0.5))
    monkeypatch.setattr(benchmark, "read_corpus", lambda source: corpus)
    monkeypatch.setattr(benchmark, "TRAINING", {"num_train_epochs": 1, "per_device_train_batch_size": 4})
    splits = make_toy_corpus(num_train=6, num_validation=2, num_test=3)
    corpus = Corpus(splits["train"], splits["validation"], splits["test"])
    command = ["--seeds", "1", "--output", str(tmp_path / "missing.json"), "--report", str(tmp_path / "report")]
    assert benchmark.main(command) == 0
    printed = capsys.readouterr().out
    assert "| missing rate | with modality dropout | without modality dropout |" in printed
    assert "| without visual |" in printed
    assert "Training with modality dropout loses less at every rate above 0" in printed
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "tables.md",
        *(f"{name}.{suffix}" for name in ("scores", "losses") for suffix in ("png", "svg")),
    }

    monkeypatch.setattr(benchmark, "run_cell", None)
    assert benchmark.main(command) == 0
    assert printed.endswith(capsys.readouterr().out.lstrip("\n"))
    assert benchmark.main([*command, "--part", "validation"]) == 0
    assert "Weighted F1 by missing rate, validation" in capsys.readouterr().out


def test_its_verdict_is_by_the_fall_from_its_own_score():
    def cells(scores):
        by_rate = {str(rate): score for rate, score in zip(benchmark.RATES, scores, strict=True)}
        return [{"test": {"rates": by_rate}}]

    steep, flat = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [0.3, 0.29, 0.28, 0.27, 0.26, 0.25, 0.24, 0.23]
    assert benchmark.verdict({"with": cells(flat), "without": cells(steep)}, "test").endswith("**holds**.")
    crossing = [*flat[:-1], -0.5]
    assert "does not hold at 0.7" in benchmark.verdict({"with": cells(crossing), "without": cells(steep)}, "test")
