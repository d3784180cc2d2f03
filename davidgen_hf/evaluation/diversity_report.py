"""The diversity of one or more instruction files, measured, counted and drawn."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from davidgen_hf.errors import InputError, ModelError
from davidgen_hf.evaluation.benchmark import Benchmark, benchmarks
from davidgen_hf.evaluation.data import describe_source, longform_docs, superni_file
from davidgen_hf.evaluation.diversity import Instructions, measure_diversity
from davidgen_hf.evaluation.rings import draw_rings
from davidgen_hf.evaluation.root_verbs import root_verbs
from davidgen_hf.storage.files import explain_refusals, make_folder
from davidgen_hf.storage.record import is_run


@dataclass(frozen=True)
class DiversitySettings:
    """How diversity is measured.

    Args:
        parser: ``spacy`` or ``berkeley``.
        parser_model: The parser's model; ``None`` takes its default.
        n_process: Processes that parse.
        tokenizer: Hub id or folder of the tokenizer that lengths are counted with; ``None`` counts words.
        sample_size: How many instructions are compared with each other.
        seed: Seed of that sample.
        unique: Count each different instruction once.
    """

    parser: str = "spacy"
    parser_model: str | None = None
    n_process: int = 1
    tokenizer: str | None = None
    sample_size: int = 500
    seed: int = 0
    unique: bool = False


def report_diversity(sources: list[str], output: Path, settings: DiversitySettings) -> dict[str, dict[str, Any]]:
    """Write ``NAME.json``, ``NAME.png`` and ``NAME.svg`` of each source to ``output``, and return what was measured.

    Args:
        sources: What ``read_instructions`` reads; each is named by the last part of its path.
        output: The folder.
        settings: How it is measured.

    Raises:
        InputError: Two sources have the same name, or one cannot be read.
    """
    names = [Path(source).stem for source in sources]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(
            f"Sources are named by the last part of their path, and more than one is called {', '.join(doubled)}. "
            "Rename one, or measure it apart."
        )
    make_folder(output)
    count_lengths = _token_counter(settings.tokenizer) if settings.tokenizer else None
    return {
        name: _report(name, source, output, settings, count_lengths)
        for name, source in zip(names, sources, strict=True)
    }


def read_instructions(source: str) -> Instructions:
    """Read instructions with their inputs and outputs.

    Args:
        source: A run's folder, whose corpus is read; a SuperNI task file (``.json``) or a folder of such; a file,
            folder or Hub dataset with ``instruction`` and ``output`` (Self-Instruct's ``instances`` and LongForm's
            ``input`` and ``output`` are read too); or a benchmark with instructions, such as ``superni`` or
            ``longform``, whose test set is read from the Hub.

    Raises:
        InputError: There is nothing of the kind.
    """
    path = Path(source).expanduser()
    benchmark = _hub_benchmark(source)
    if benchmark and benchmark.instructions:
        return Instructions(*benchmark.instructions())
    tasks = _task_files(path)
    if tasks:
        rows = [row for file in tasks for row in superni_file(file)]
        return Instructions(
            [row["definition"] for row in rows],
            [row["input"] for row in rows],
            [row["references"][0] for row in rows],
        )
    if is_run(path):
        source = str(path / "corpus")
    docs = longform_docs(source)
    return Instructions(list(docs["instruction"]), list(docs["input"]), list(docs["reference"]))


def diversity_table(reports: dict[str, dict[str, Any]]) -> Table:
    """Return the statistics of several sources side by side (the paper's Table 1, and more)."""
    table = Table("", *reports, title="Diversity of instructions")
    columns = [_figures(report) for report in reports.values()]
    for label in columns[0]:
        table.add_row(label, *(column[label] for column in columns))
    return table


def _figures(report: dict[str, Any]) -> dict[str, str]:
    lengths, verbs, sample = report["lengths"], report["verb_nouns"], report["sample"]
    return {
        "instructions": f"{report['n_instructions']:,}",
        "different ones": f"{report['n_unique_instructions']:,}",
        f"mean length with input ({lengths['unit']})": f"{lengths['instruction_and_input']['mean']:.2f}",
        f"mean length of outputs ({lengths['unit']})": f"{lengths['output']['mean']:.2f}",
        "with a root verb": f"{verbs['n_with_verb']:,}",
        "with a verb and its noun": f"{verbs['n_with_verb_and_noun']:,}",
        "different verbs / pairs": f"{verbs['n_verbs']:,} / {verbs['n_pairs']:,}",
        "distinct-1 / 2 / 3": " / ".join(map(_share, report["distinct"].values())),
        "distinct-1 / 2 / 3 of a sample": " / ".join(map(_share, sample["distinct"].values())),
        "self-ROUGE-L of the sample": _share(sample["self_rougeL"]),
        "size of the sample": f"{sample['n']:,}",
    }


def _report(
    name: str,
    source: str,
    output: Path,
    settings: DiversitySettings,
    count_lengths: Callable[[list[str]], list[int]] | None,
) -> dict[str, Any]:
    rows = read_instructions(source)
    rows = rows.unique() if settings.unique else rows
    pairs = root_verbs(rows.instructions, settings.parser, settings.parser_model, settings.n_process)
    measured = measure_diversity(rows, pairs, count_lengths, settings.sample_size, settings.seed)
    benchmark = _hub_benchmark(source)
    described = describe_source(benchmark.dataset, None) if benchmark else Path(source).name
    report: dict[str, Any] = {"source": described, "parser": settings.parser, "unique": settings.unique} | measured
    with explain_refusals(output):
        (output / f"{name}.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if report["verb_nouns"]["top"]:
            draw_rings(report["verb_nouns"], name, output / f"{name}.png")
    return report


def _hub_benchmark(source: str) -> Benchmark | None:
    """Return the benchmark of that name whose instructions the Hub has, unless a path has that name."""
    found = None if Path(source).exists() else benchmarks().get(source)
    return found if found and found.instructions else None


def _task_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".json" else []
    folder = path / "tasks" if (path / "tasks").is_dir() else path
    return sorted(folder.glob("task*.json"))


def _token_counter(name: str) -> Callable[[list[str]], list[int]]:
    from davidgen_hf.engines.loading import load_tokenizer

    try:
        tokenizer = load_tokenizer(name)
    except ModelError as error:
        raise ModelError(f"{error} Leave the tokenizer out to count words.") from error
    return lambda texts: [len(ids) for ids in tokenizer(texts, add_special_tokens=False, verbose=False).input_ids]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
