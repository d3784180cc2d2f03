"""Figures of a run as a page of tables and two plots."""

import json
from pathlib import Path

from matplotlib.figure import Figure

NAMES = {
    "ours": "davidgen_hf",
    "generate": "`generate`",
    "lm_eval": "lm-eval `HFLM`",
    "generate_lm_eval": "`generate` and lm-eval `HFLM`",
    "vllm": "vLLM",
}
RACES = {
    "candidates": "Candidates, prompts of equal length",
    "candidates_mixed": "Candidates, prompts of 30 to 800 tokens",
    "scores": "Scores, pairs of equal length",
    "scores_mixed": "Scores, pairs of 60 to 800 tokens",
    "end_to_end": "Passages to chosen candidates",
}
CURVES = {"cost_by_passages": "passages", "cost_by_n": "n"}


def write_report(folder: Path) -> str:
    """Lay out all figures found in ``folder`` as ``README.md`` there, with plots beside it, and return its text."""
    sections = ["# Figures of the last run\n"]
    for name, title in RACES.items():
        path = folder / f"{name}.json"
        if path.is_file():
            sections.append(_race(title, json.loads(path.read_text())))
    for name, axis in CURVES.items():
        path = folder / f"{name}.json"
        if path.is_file():
            sections.append(_curve(json.loads(path.read_text())["points"], axis, folder / f"{name}.png"))
    text = "\n".join(sections)
    (folder / "README.md").write_text(text)
    return text


def _number_type(setting: dict) -> str:
    """Return the number type, and why it was chosen where that is known."""
    reason = setting.get("dtype_reason")
    return f"{setting['dtype']} ({reason})" if reason else str(setting["dtype"])


def _race(title: str, result: dict) -> str:
    rows, unit = result["rows"], result["unit"]
    if "pairs" in result:
        size = f"{result['pairs']} pairs ({result['tokens']} tokens, the first {result['opening']} of each the same)"
    else:
        what = "passages" if "passages" in result else "prompts"
        size = f"{result[what]} {what} ({result[f'{what[:-1]}_tokens']} tokens), n = {result['n']}, "
        size += f"{result['new_tokens']} new tokens each"
    setting = result["setting"]
    lines = [
        f"## {title}\n",
        f"{size}. {setting['model']}, {_number_type(setting)}, {setting.get('device', 'CPU')}, "
        f"{setting['threads']} threads, torch {setting['torch']}, transformers {setting['transformers']}.\n",
        f"| | {unit.replace('_', ' ')} | ours is | seconds, each round | peak memory above weights | matrix product |",
        "|---|--:|--:|---|--:|--:|",
    ]
    for name, row in rows.items():
        ratio = row["median_seconds"] / rows["ours"]["median_seconds"]
        memory = row["peak_bytes_above_weights"]
        lines.append(
            f"| {NAMES[name]} | {row[unit]:.1f} | {f'{ratio:.2f}x' if name != 'ours' else ''} "
            f"| {', '.join(f'{seconds:.2f}' for seconds in row['seconds'])} "
            f"| {f'{memory / 2**20:.0f} MB' if name != 'vllm' else ''} | {max(row['matmul_gflops']):.0f} GFLOP/s |"
        )
    share = rows["ours"].get("share_of_matmul_rate")
    if share:
        lines.append(
            f"\nThe linear layers of ours, over the whole call: {rows['ours']['operations_per_second'] / 1e9:.0f} "
            f"GFLOP/s, {share:.0%} of the matrix product's best rate in the same rounds."
        )
    return "\n".join(lines) + "\n"


def _curve(points: list[dict], axis: str, path: Path) -> str:
    label = {"passages": "passages", "n": "candidates a passage"}[axis]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for part, name in (("generate_seconds", "candidates"), ("score_seconds", "scores")):
        axes.plot([point[axis] for point in points], [point[part] for point in points], marker="o", label=name)
    axes.set(xlabel=label, ylabel="seconds", ylim=(0, None), title=f"Cost against {label}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    lines = [f"## Cost against {label}\n", f"![cost]({path.name})\n", f"| {label} | candidates, s | scores, s |"]
    lines += ["|--:|--:|--:|"]
    lines += [f"| {p[axis]} | {p['generate_seconds']:.1f} | {p['score_seconds']:.1f} |" for p in points]
    return "\n".join(lines) + "\n"
