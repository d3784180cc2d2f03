"""Several runs side by side, as in the paper's Table 2: Markdown for people, JSON for programs."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from davidgen_hf.errors import SettingError
from davidgen_hf.evaluation.benchmark import benchmarks, family, title_of
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.storage.files import make_folder

_RISKS = {True: "yes", False: "no", None: "unknown"}
_NOTHING = "-"


def write_comparison(folders: Sequence[Path], output: Path | None = None) -> str:
    """Return the table of the runs in ``folders``, and write ``comparison.md`` and ``.json`` into ``output``.

    Raises:
        RunFolderError: A folder holds no results.
        SettingError: No folder is named.
    """
    if not folders:
        raise SettingError("There is nothing to compare. Name the folders that `davidgen eval` wrote results into.")
    comparison = compare(folders)
    markdown = to_markdown(comparison)
    if output is not None:
        make_folder(output)
        (output / "comparison.md").write_text(markdown, "utf-8")
        text = json.dumps(comparison, indent=2, ensure_ascii=False) + "\n"
        (output / "comparison.json").write_text(text, "utf-8")
    return markdown


def compare(folders: Sequence[Path]) -> dict[str, Any]:
    """Return the comparison of the runs in ``folders``.

    Returns:
        ``columns`` (benchmarks in order), ``rows`` (method, restricted, size, and by benchmark the score in
        percent with its interval and ``place``, 1 for the best), and ``notes`` on what differs.

    Raises:
        RunFolderError: A folder holds no results.
    """
    runs = [read_results(folder) for folder in folders]
    columns = _columns(runs)
    rows = [_row(run, folder, columns) for run, folder in zip(runs, folders, strict=True)]
    for column in columns:
        _rank([row["scores"][column] for row in rows if column in row["scores"]])
    return {"columns": columns, "rows": rows, "notes": [note for name in columns if (note := _unlike(name, runs))]}


def to_markdown(comparison: dict[str, Any]) -> str:
    """Return the comparison as a Markdown table: best bold, second underlined, 95 % intervals in brackets."""
    titles = ["Method", "Potential risks", "Size", *(_plain(title_of(name)) for name in comparison["columns"])]
    lines = [titles, ["---", "---", *["---:"] * (len(titles) - 2)]]
    for row in comparison["rows"]:
        size = _NOTHING if row["size"] is None else f"{row['size']:,}"
        cells = [_cell(row["scores"].get(name)) for name in comparison["columns"]]
        lines.append([_plain(row["method"]), _RISKS[row["restricted"]], size, *cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([table, *comparison["notes"]]) + "\n"


def _columns(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the results that compare models: our benchmarks from left to right, then others as they come."""
    known = benchmarks()
    names = dict.fromkeys(name for run in runs for name in run["benchmarks"])
    ours = {name: known[own] for name in names if (own := family(name))}
    shown = [name for name in names if name not in ours or ours[name].is_scored]
    places = {name: (one.position, name not in known, name) for name, one in ours.items()}
    return sorted((name for name in shown if name in ours), key=places.__getitem__) + [
        name for name in shown if name not in ours
    ]


def _plain(text: str) -> str:
    """Return a text as a cell that shows it and does nothing else."""
    return html.escape(" ".join(text.split()), quote=False).replace("\\", "&#92;").replace("|", "\\|")


def _row(run: dict[str, Any], folder: Path, columns: list[str]) -> dict[str, Any]:
    return {
        "method": run.get("method") or folder.resolve().name,
        "restricted": run.get("restricted"),
        "size": run.get("size"),
        "scores": {name: _score(name, run["benchmarks"][name]) for name in columns if name in run["benchmarks"]},
    }


def _score(name: str, result: dict[str, Any]) -> dict[str, Any]:
    metric, benchmark = result["metric"], benchmarks().get(family(name) or "")
    score, factor = result["scores"][metric], benchmark.percent_factor if benchmark else 1.0
    return {
        "metric": metric,
        "n": result["n"],
        "value": round(score["value"] * factor, 4),
        "interval": score["interval"] and [round(end * factor, 4) for end in score["interval"]],
        "higher_is_better": result.get("higher_is_better", True),
    }


def _rank(scores: list[dict[str, Any]]) -> None:
    """Write each score's place into it; equal values, as shown, share one."""
    higher_is_better = all(score["higher_is_better"] for score in scores)
    shown = sorted({round(score["value"], 2) for score in scores}, reverse=higher_is_better)
    for score in scores:
        score["place"] = 1 + shown.index(round(score["value"], 2))


def _unlike(name: str, runs: list[dict[str, Any]]) -> str | None:
    """Return a note if a benchmark was not run on the same data in the same way."""
    compared = [run["benchmarks"][name] for run in runs if name in run["benchmarks"]]
    keys = ("n", "data", "settings", "versions")
    unlike = [key for key in keys if any(one.get(key) != compared[0].get(key) for one in compared)]
    return f"{title_of(name)}: the runs differ in {', '.join(unlike)}; see their results." if unlike else None


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return _NOTHING
    value = f"{score['value']:.2f}"
    marked = {1: f"**{value}**", 2: f"<u>{value}</u>"}.get(score["place"], value)
    if score["interval"] is None:
        return marked
    low, high = score["interval"]
    return f"{marked} [{low:.2f}, {high:.2f}]"
