"""Tables of the measured figures."""

from typing import Any

from benchmarks.speed.measuring import readable


def tables(results: dict[str, Any]) -> str:
    """Format all sections as Markdown."""
    lines = []
    for device, sections in results.items():
        for name, section in sections.items():
            machine = ", ".join(f"{key} {value}" for key, value in section["machine"].items())
            settings = section["settings"]
            quick = "; quick, figures mean nothing" if settings["quick"] else ""
            lines += [
                f"\n## {name} ({device})\n",
                f"{machine}; {settings['repeats']} repeats{quick}\n",
                "| what | figure | lowest to highest | target | |",
                "|---|---|---|---|---|",
                *map(table_row, section["figures"]),
                *summary(section["figures"]),
            ]
    return "\n".join(lines)


def table_row(figure: dict[str, Any]) -> str:
    """Format one figure as a row of a Markdown table."""
    if figure["error"]:
        error = figure["error"].replace("|", "/")
        return f"| {figure['what']} | not measured: {error} | | | |"
    unit, repeats, target = figure["unit"], figure["repeats"], figure["target"]
    spread = f"{readable(min(repeats), unit)} to {readable(max(repeats), unit)}" if len(repeats) > 1 else ""
    wanted = "" if target is None else f"{'≤' if figure['at_most'] else '≥'} {readable(target, unit)}"
    verdict = {None: "", True: "met", False: "**missed**"}[figure["met"]]
    return f"| {figure['what']} | {readable(figure['value'], unit)} | {spread} | {wanted} | {verdict} |"


def summary(figures: list[dict[str, Any]]) -> list[str]:
    """Format the figures that have a row and a column as one table; no lines if none has."""
    placed = [figure for figure in figures if figure.get("row")]
    columns = list(dict.fromkeys(figure["column"] for figure in placed))
    rows: dict[str, dict[str, str]] = {}
    for figure in placed:
        rows.setdefault(figure["row"], {})[figure["column"]] = readable(figure["value"], figure["unit"])
    if not rows:
        return []
    lines = [["", *columns], ["---"] * (1 + len(columns))]
    lines += [[name, *(cells.get(column, "") for column in columns)] for name, cells in rows.items()]
    return ["", *(f"| {' | '.join(cells)} |" for cells in lines)]
