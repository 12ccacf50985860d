"""The tables of a comparison: Markdown, CSV, LaTeX and JSON."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..io.messages import counted
from ..training.arguments import MOST_DIALOGUES_PER_STEP, JoyfulTrainingArguments
from .results import CorpusResult, Row
from .trials import describe_search

_RECIPE = {
    "learning_rate": "learning rate",
    "per_device_train_batch_size": "batch size",
    "num_train_epochs": "epochs",
    "weight_decay": "weight decay",
}
_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "$": r"\$"}


def corpus_table(result: CorpusResult) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the main table, best model first."""
    metric = metric_title(result.metric)
    others = [
        name for name in ("accuracy", "unweighted_accuracy", "macro_f1", "correlation", "ccc") if _has(result, name)
    ]
    show_best = "best_possible_accuracy" in result.best
    show_habit = any(not math.isnan(row.cost("test_selected")) for row in result.rows)
    header = ["model", "parameters", "s per epoch", "peak MiB", f"validation {metric}", f"test {metric}"]
    header += [f"test {metric_title(name)}" for name in others]
    header += ["share of the best possible"] if show_best else []
    header += ["chosen on test (not a fair score)"] if show_habit else []
    header += ["difference from the best [95 %]", "p (Holm)"]
    rows = []
    for row in result.ranked:
        cells = [row.title, f"{row.parameters:,}", _number(row.cost("seconds_per_epoch"), ".2f")]
        cells += [_number(row.cost("peak_memory"), ".0f"), spread(row.validation[result.metric])]
        cells += [spread(row.test[result.metric]), *(spread(row.test[name]) for name in others)]
        if show_best:
            cells.append(f"{row.test['accuracy'].mean() / result.best['best_possible_accuracy']:.1%}")
        if show_habit:
            cells.append(spread(_habit(row)))
        if row.title in result.differences:
            cells += [str(result.differences[row.title]), f"{result.corrected_p[row.title]:.4f}"]
        else:
            cells += ["best", ""]
        rows.append(cells)
    return header, rows


def class_table(result: CorpusResult) -> tuple[list[str], list[list[str]]]:
    """The F1 of each class on the test dialogues."""
    rows = [[row.title, *(spread(row.test[f"f1_{name}"]) for name in result.output_names)] for row in result.ranked]
    return ["model", *result.output_names], rows


def recipe_table(result: CorpusResult) -> tuple[list[str], list[list[str]]]:
    """The training arguments with which each network came, best model first."""
    rows = []
    for row in result.ranked:
        if row.entrant.family is None:
            continue
        own = row.entrant.training_arguments()
        defaults = {name: getattr(JoyfulTrainingArguments, name) for name in _RECIPE}
        defaults["per_device_train_batch_size"] = f"{MOST_DIALOGUES_PER_STEP}, or fewer long ones"
        main = [own.get(name, default) for name, default in defaults.items()]
        others = {name: value for name, value in own.items() if name not in _RECIPE}
        rows.append([row.title, *map(_short, main), _settings(others) or "–"])
    return ["model", *_RECIPE.values(), "others that are not this package's defaults"], rows


def trials_table(result: CorpusResult) -> tuple[list[str], list[list[str]]]:
    """The trials of each model, best model first: the score of its own settings, and which settings won."""
    metric = metric_title(result.metric)
    rows = []
    for row in result.ranked:
        for division, search in row.searches.items():
            changed = _settings(search.changed(search.best)) or "its own"
            scores = [_number(search.scores[number], ".3f") for number in (0, search.best)]
            rows.append([f"{row.title}, {division}" if division else row.title, *scores, changed])
    return ["model", f"validation {metric} with its own settings", "with the chosen ones", "chosen"], rows


def overview_table(results: Sequence[CorpusResult]) -> tuple[list[str], list[list[str]]]:
    """The main test metric of each model on each corpus, and for the models that ran on all of them the mean."""
    scores = {result.name: {row.title: result.mean(row) for row in result.rows} for result in results}
    titles = list(dict.fromkeys(title for of_corpus in scores.values() for title in of_corpus))
    comparable = len({result.metric for result in results}) == 1
    header = ["model", *(f"{result.name}: {metric_title(result.metric)}" for result in results)]
    rows = []
    for title in titles:
        values = [of_corpus.get(title, math.nan) for of_corpus in scores.values()]
        rows.append(
            [
                title,
                *(_number(value, ".3f") for value in values),
                *([_number(float(np.mean(values)), ".3f")] if comparable else []),
            ]
        )
    return header + (["mean"] if comparable else []), rows


def notes(result: CorpusResult, conclusions: Iterable[str]) -> list[str]:
    """Say how the figures were made, and what can be concluded from them."""
    seeds = counted(result.num_seeds, "seed")
    scored = f"{counted(result.num_dialogues, 'test dialogue')}, {counted(result.num_utterances, 'utterance')}"
    trials = (
        f" {describe_search(result.num_trials, result.sampler)}; a plain classifier tries its strengths of "
        "regularisation."
        if result.num_trials
        else " Each model has the settings that it comes with."
    )
    how = (
        f"{seeds[0].upper()}{seeds[1:]}, {'mean ± standard deviation' if result.num_seeds > 1 else 'no deviation'}; "
        f"{scored}. Checkpoints were chosen on validation; the test dialogues were scored once.{trials} Differences: "
        "paired permutation test over dialogues, corrected by Holm's method, and the interval of a paired bootstrap. "
        "They account for the choice of the test dialogues, not of the training dialogues."
    )
    best = (
        f" The best possible decisions reach an accuracy of {result.best['best_possible_accuracy']:.3f}."
        if "best_possible_accuracy" in result.best
        else ""
    )
    return [how + best, *conclusions]


def as_markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def as_latex(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    r"""Format a table for LaTeX; it needs \usepackage{booktabs}."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells) + r" \\"

    body = "\n".join(map(line, rows))
    escaped = "".join(_LATEX.get(letter, letter) for letter in caption)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{escaped}}}\n\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n\\toprule\n"
        f"{line(header)}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def as_csv(results: Sequence[CorpusResult]) -> str:
    """One line per corpus, model and seed, with every metric."""
    lines = []
    for result in results:
        for row in result.rows:
            for seed in range(result.num_seeds):
                line: dict[str, Any] = {"corpus": result.name, "model": row.name, "modalities": row.modalities}
                line |= {"seed": seed, "parameters": row.parameters}
                line |= {f"validation_{name}": values[seed] for name, values in row.validation.items()}
                line |= {f"test_{name}": values[seed] for name, values in row.test.items()}
                lines.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)), restval="")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_record(result: CorpusResult, conclusions: Sequence[str]) -> dict[str, Any]:
    """The whole of a corpus's results for JSON."""
    rows = []
    for row in result.ranked:
        found = result.differences.get(row.title)
        rows.append(
            {
                "model": row.name,
                "modalities": row.modalities,
                "parameters": row.parameters,
                "seconds_per_epoch": _plain(row.cost("seconds_per_epoch")),
                "peak_memory_mib": _plain(row.cost("peak_memory")),
                "settings": dict(row.entrant.settings),
                "training": row.entrant.training_arguments(),
                "trials": [
                    {
                        "division": division,
                        "number": number,
                        "changed": search.changed(number),
                        "validation": _plain(score),
                        "chosen": number == search.best,
                    }
                    for division, search in row.searches.items()
                    for number, score in search.scores.items()
                ],
                "validation": {name: values.tolist() for name, values in row.validation.items()},
                "test": {name: values.tolist() for name, values in row.test.items()},
                "test_selected": None if math.isnan(row.cost("test_selected")) else _habit(row).tolist(),
                "difference_from_best": None
                if found is None
                else {
                    "effect": found.effect,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p,
                    "p_holm": result.corrected_p[row.title],
                },
            }
        )
    return {
        "corpus": result.name,
        "problem_type": result.problem_type,
        "metric": result.metric,
        "num_seeds": result.num_seeds,
        "num_trials": result.num_trials,
        "num_test_dialogues": result.num_dialogues,
        "num_test_utterances": result.num_utterances,
        **result.best,
        "conclusions": list(conclusions),
        "models": rows,
    }


def metric_title(name: str) -> str:
    """The name of a metric in tables and pictures."""
    return {"weighted_f1": "weighted F1", "macro_f1": "macro F1", "mae": "mean absolute error", "ccc": "CCC"}.get(
        name, name.replace("_", " ")
    )


def spread(values: np.ndarray) -> str:
    """Format mean ± standard deviation of the sample, or a single value alone."""
    if np.isnan(values).all():
        return "–"
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else f"{values.mean():.3f}"


def _habit(row: Row) -> np.ndarray:
    """(seeds,) the mean over folds of the best test score of any epoch."""
    return np.array(
        [np.mean([math.nan if o.test_selected is None else o.test_selected for o in folds]) for folds in row.outcomes]
    )


def _has(result: CorpusResult, metric: str) -> bool:
    return metric != result.metric and all(metric in row.test for row in result.rows)


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
