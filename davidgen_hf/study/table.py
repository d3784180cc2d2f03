"""The table of a study: as JSON, as Markdown, and as a picture per set of tasks."""

import json
import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pandas import DataFrame

from davidgen_hf.storage.files import write_whole
from davidgen_hf.study.arms import Claim, Study
from davidgen_hf.study.measures import compare, compare_corpora, measures_path, read_measures

FILE_NAME = "study.json"
FIGURES = ("pairs", "distinct_2", "copies")
ANSWERS = {"rouge_l": "ROUGE-L", "exact_match": "exact match", "meteor": "METEOR"}


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
        others = [] if name == study.reference else reference
        tasks = {task: compare_arms(found, others, task) for task in found[0]["tasks"]}
        corpus = [one["corpus"] for one in found if "corpus" in one]
        means = {key: _mean([one[key] for one in corpus]) for key in FIGURES} if corpus else None
        about = {"about": study.arms[name].about, "seeds": [one["seed"] for one in found]}
        arms[name] = about | {"corpus": means, "tasks": tasks, "seconds": round(sum(one["seconds"] for one in found))}
    claims = {name: check_claim(claim, measured, study.bound) for name, claim in study.claims.items()}
    content = {"reference": study.reference, "arms": arms, "claims": claims, "agreement": agreement(arms)}
    write_whole(output / FILE_NAME, json.dumps(content, indent=2) + "\n")
    write_whole(output / "study.md", describe(content) + "\n")
    for task in _tasks(content):
        if figure := _picture(content, task):
            figure.savefig(output / f"{task}.png", dpi=150, facecolor="white", metadata={"Software": None})
    return content


def describe(content: dict[str, Any]) -> str:
    """Return the tables of all sets of tasks, and that of the claims.

    Args:
        content: What ``study.json`` holds.
    """
    tables = [markdown(content, task) for task in _tasks(content)]
    return "\n\n".join([*tables, claims_table(content)] if content["claims"] else tables)


def markdown(content: dict[str, Any], task: str) -> str:
    """Return the table of one set of tasks.

    Args:
        content: What ``study.json`` holds.
        task: Name of the set.
    """
    arms = {name: arm for name, arm in content["arms"].items() if task in arm["tasks"]}
    answered = [name for name in ANSWERS if any(arm["tasks"][task][name] for arm in arms.values())]
    heads = [f"{task}: arm", "seeds", "pairs", "distinct-2", "copies", "perplexity of references"]
    heads += [f"nats per token against `{content['reference']}`", *(ANSWERS[name] for name in answered)]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for name, arm in arms.items():
        corpus, found = arm["corpus"] or {}, arm["tasks"][task]
        cells = [f"`{name}`: {arm['about']}", str(len(arm["seeds"])), _number(corpus.get("pairs"), 0)]
        cells += [_number(corpus.get("distinct_2"), 3), _number(corpus.get("copies"), 3)]
        cells += [_figure(found["perplexity"], 2), _figure(found["nats"], 3, signed=True)]
        for measure in answered:
            change = _figure(found[f"{measure}_change"], 1, signed=True)
            cells.append(f"{_number((found[measure] or {}).get('value'), 1)}{f' ({change})' if change else ''}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def claims_table(content: dict[str, Any]) -> str:
    """Return the table of the claims.

    Args:
        content: What ``study.json`` holds.
    """
    lines = ["| claim | | figure | on | difference | verdict |", "|---|---|---|---|--:|---|"]
    for name, claim in content["claims"].items():
        for found in claim["found"]:
            arms = " against ".join(f"`{arm}`" for arm in claim["arms"])
            verdict = found["verdict"]
            if found["would_take"]:
                verdict += f"; about {found['would_take']:,} {'tasks' if found['tasks'] else 'pairs'} would decide"
            figure = {"nats": "nats per token", "distinct_2": "distinct-2", "copies": "copies"}[claim["measure"]]
            cells = [name, claim["says"], f"{figure}, {arms}", found["tasks"] or "the corpora"]
            lines.append(f"| {' | '.join(cells)} | {_figure(found['difference'], 3, signed=True)} | {verdict} |")
    return "\n".join(lines)


def compare_arms(arm: list[dict[str, Any]], other: list[dict[str, Any]], task: str) -> dict[str, Any]:
    """Return ``compare`` of two arms on a set of tasks; without differences where these are not the same tasks.

    Args:
        arm: What was measured, one per seed.
        other: The same of the arm that it is compared with.
        task: Name of the set.
    """
    own, theirs = ([_scores(one, task) for one in side if task in one["tasks"]] for side in (arm, other))
    same = theirs and {one["of"] for one in own + theirs} == {own[0]["of"]}
    return compare(own, theirs if same else None)


def check_claim(claim: Claim, measured: dict[str, list[dict[str, Any]]], bound: float) -> dict[str, Any]:
    """Return what the study says of a claim: for each set of tasks, or once for the corpora.

    Args:
        claim: The claim.
        measured: What was measured of the arms, one per seed.
        bound: A difference below so many nats per token, or so much of 1 for shares, does not matter.

    Returns:
        The claim, and in ``found`` the ``tasks``, the ``difference`` and the ``verdict``; ``would_take`` is the number
        of tasks or pairs with which the interval would decide, if the difference stays; None where it has decided.
    """
    arm, other = (measured.get(name, []) for name in claim.arms)
    found: list[dict[str, Any]] = []
    if arm and other and claim.measure == "nats":
        for task in claim.tasks or arm[0]["tasks"]:
            if difference := compare_arms(arm, other, task)["nats"]:
                found.append({"tasks": task, "difference": difference})
    elif arm and other:
        ours, theirs = ([one["corpus"] for one in side] for side in (arm, other))
        found.append({"tasks": None, "difference": compare_corpora(ours, theirs, claim.measure)})
    for one in found:
        verdict, would_take = judge(one["difference"], claim.expects, bound)
        one |= {"verdict": verdict, "would_take": would_take}
    return {"says": claim.says, "arms": list(claim.arms), "measure": claim.measure, "found": found}


def judge(difference: dict[str, Any], expects: str, bound: float) -> tuple[str, int | None]:
    """Return the verdict on a difference, and how many examples would decide it where these do not.

    Args:
        difference: ``value``, ``interval`` and ``n``.
        expects: ``less``, ``more`` or ``none``, as of a ``Claim``.
        bound: A difference below it does not matter; a verdict on a certain difference within it says so.
    """
    low, high = difference["interval"]
    value, inside = difference["value"], -bound < low and high < bound
    if expects == "none":
        verdict = "seen" if inside else "not seen" if low > bound or high < -bound else "undecided at this size"
        gap = bound - abs(value)
    else:
        as_said, opposite = (high < 0, low > 0) if expects == "less" else (low > 0, high < 0)
        verdict = "seen" if as_said else "reversed" if opposite else "not seen" if inside else "undecided at this size"
        if inside and (as_said or opposite):
            verdict += ", but too small to matter"
        gap = abs(value)
    if verdict != "undecided at this size":
        return verdict, None
    return verdict, math.ceil(difference["n"] * ((high - low) / 2 / gap) ** 2) if gap > 0 else None


def agreement(arms: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return how far answers rank the arms as likelihoods do, for each set of tasks and each figure of answers.

    Args:
        arms: As in ``study.json``.

    Returns:
        Spearman's rank correlation over arms of the figure and of minus the nats per token; 1 is full agreement.
    """
    found: dict[str, dict[str, float]] = {}
    for task in _tasks({"arms": arms}):
        measured = [arm["tasks"][task] for arm in arms.values() if task in arm["tasks"]]
        for name in ANSWERS:
            pairs = [(-math.log(one["perplexity"]["value"]), one[name]["value"]) for one in measured if one[name]]
            if len({one[1] for one in pairs}) > 2:  # ranks of equal figures say nothing
                found.setdefault(task, {})[name] = round(DataFrame(pairs).corr("spearman").to_numpy()[0, 1].item(), 3)
    return found


def _scores(measured: dict[str, Any], task: str) -> dict[str, Any]:
    """Return likelihoods and answers of a set of tasks; answers to other tasks are left out."""
    scores: dict[str, Any] = measured["tasks"][task]
    answers = measured.get("answers", {}).get(task, {})
    return scores | answers if answers.get("of") == scores["of"] else scores


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
