"""The table of a study: as JSON, as Markdown, and as a picture per set of tasks."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from davidgen_hf.storage.files import write_whole
from davidgen_hf.study.arms import Study
from davidgen_hf.study.measures import compare, measures_path, read_measures

FILE_NAME = "study.json"


def write_tables(study: Study, output: Path, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Write ``study.json``, ``study.md`` and ``NAME.png`` of what has been measured, and return the first.

    Raises:
        RunFolderError: A file of measures is damaged.
    """
    measured = {name: _read(output, name, seeds) for name in study.arms}
    measured = {name: found for name, found in measured.items() if found}
    if not measured:
        return {}
    reference = measured.get(study.reference, [])
    arms = {}
    for name, found in measured.items():
        tasks = {}
        for task in found[0]["tasks"]:
            own = [one["tasks"][task] for one in found]
            theirs = [one["tasks"][task] for one in reference if task in one["tasks"]]
            comparable = name != study.reference and theirs and {one["of"] for one in own + theirs} == {own[0]["of"]}
            tasks[task] = compare(own, theirs if comparable else None)
        corpus = [one["corpus"] for one in found if "corpus" in one]
        means = {key: _mean([one[key] for one in corpus]) for key in corpus[0]} if corpus else None
        about = {"about": study.arms[name].about, "seeds": [one["seed"] for one in found]}
        arms[name] = about | {"corpus": means, "tasks": tasks, "seconds": round(sum(one["seconds"] for one in found))}
    content = {"reference": study.reference, "arms": arms}
    write_whole(output / FILE_NAME, json.dumps(content, indent=2) + "\n")
    write_whole(output / "study.md", "\n\n".join(markdown(content, task) for task in _tasks(content)) + "\n")
    for task in _tasks(content):
        if figure := _picture(content, task):
            figure.savefig(output / f"{task}.png", dpi=150, facecolor="white", metadata={"Software": None})
    return content


def markdown(content: dict[str, Any], task: str) -> str:
    """Return the table of one set of tasks.

    Args:
        content: What ``study.json`` holds.
        task: Name of the set.
    """
    reference = content["reference"]
    lines = [
        f"| {task}: arm | seeds | pairs | distinct-2 | copies | perplexity of references | nats per token against "
        f"`{reference}` | ROUGE-L of answers | against `{reference}` |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, arm in content["arms"].items():
        if task not in arm["tasks"]:
            continue
        corpus, found = arm["corpus"] or {}, arm["tasks"][task]
        cells = [f"`{name}`: {arm['about']}", str(len(arm["seeds"])), _number(corpus.get("pairs"), 0)]
        cells += [_number(corpus.get("distinct_2"), 3), _number(corpus.get("copies"), 3)]
        cells += [_figure(found["perplexity"], 2), _figure(found["nats"], 3, signed=True)]
        cells += [_figure(found["rouge_l"], 2), _figure(found["rouge_l_change"], 2, signed=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _tasks(content: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(task for arm in content["arms"].values() for task in arm["tasks"]))


def _read(output: Path, name: str, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    found = {seed: read_measures(measures_path(output, name, seed)) for seed in seeds}
    return [measured | {"seed": seed} for seed, measured in found.items() if measured]


def _mean(values: list[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return round(sum(known) / len(known), 4) if known else None


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _figure(figure: dict[str, Any] | None, digits: int, *, signed: bool = False) -> str:
    if figure is None:
        return ""
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    low, high = map(form.format, figure["interval"])
    return f"{form.format(figure['value'])} [{low}, {high}]"


def _picture(content: dict[str, Any], task: str) -> Figure | None:
    """Draw the difference of each arm to the reference, in nats per token, with its interval."""
    shown = [(name, one["tasks"].get(task)) for name, one in content["arms"].items()]
    known = [(name, found["nats"]) for name, found in shown if found and found["nats"]]
    if not known:
        return None
    figure = Figure(figsize=(7, 0.4 * len(known) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, (_, one) in enumerate(reversed(known)):
        low, high = one["interval"]
        axes.errorbar(
            one["value"], place, xerr=[[one["value"] - low], [high - one["value"]]], fmt="o", color="#1f5fa8"
        )
    axes.axvline(0, color="0.6", linewidth=1)
    axes.set_yticks(range(len(known)), [name for name, _ in reversed(known)])
    axes.set_xlabel(f"nats per token of people's answers, against {content['reference']} (less is better)")
    axes.set_title(task)
    return figure
