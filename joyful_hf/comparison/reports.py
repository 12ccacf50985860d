"""The reports of a comparison: Markdown, CSV, LaTeX, JSON, and a picture of each corpus."""

from collections.abc import Sequence
from pathlib import Path

from ..io.files import write_json, written_whole
from .conclusions import conclude
from .results import CorpusResult
from .tables import (
    as_csv,
    as_latex,
    as_markdown,
    as_record,
    class_table,
    corpus_table,
    notes,
    overview_table,
    recipe_table,
    trials_table,
)

REPORT = "comparison"
"""The name of the reports, before their endings."""


def write_reports(results: Sequence[CorpusResult], output_dir: Path) -> None:
    """Write the comparison as Markdown, CSV, LaTeX and JSON, and draw each corpus where matplotlib is installed."""
    conclusions = {result.name: conclude(result) for result in results}
    markdown, latex = ["# Comparison"], []
    if len(results) > 1:
        markdown += ["## All corpora", as_markdown(*overview_table(results))]
        latex.append(as_latex(*overview_table(results), caption="All corpora."))
    for result in results:
        header, rows = corpus_table(result)
        said = notes(result, conclusions[result.name])
        markdown += [f"## {result.name}", as_markdown(header, rows), *said]
        latex.append(as_latex(header, rows, caption=f"{result.name}. {said[0]}"))
        if result.problem_type != "regression":
            markdown += ["F1 of each class:", as_markdown(*class_table(result))]
        if result.num_trials:
            markdown += ["Settings that the trials chose:", as_markdown(*trials_table(result))]
        header, recipes = recipe_table(result)
        if recipes:
            whose = "Training arguments that the models came with:"
            markdown += [whose, as_markdown(header, recipes)]
        markdown += [f"![{result.name}]({name})" for name in _draw(result, output_dir)]
    output_dir.mkdir(parents=True, exist_ok=True)
    _write(output_dir / f"{REPORT}.md", "\n\n".join(markdown) + "\n")
    _write(output_dir / f"{REPORT}.tex", "\n".join(latex))
    _write(output_dir / f"{REPORT}.csv", as_csv(results))
    record = {"corpora": [as_record(result, conclusions[result.name]) for result in results]}
    write_json(record, output_dir / f"{REPORT}.json")


def _draw(result: CorpusResult, output_dir: Path) -> list[str]:
    """Draw the picture of a corpus, and return the name of its file; none without matplotlib."""
    try:
        from ..pictures.style import save_figure
        from .picture import plot_comparison
    except ImportError:
        return []
    name = f"{REPORT}_{''.join(letter if letter.isalnum() or letter in '-_' else '_' for letter in result.name)}"
    output_dir.mkdir(parents=True, exist_ok=True)
    save_figure(plot_comparison(result), output_dir / name)
    return [f"{name}.png"]


def _write(file: Path, text: str) -> None:
    with written_whole(file) as part:
        part.write_text(text, encoding="utf-8", newline="")
