"""``report.html``: one file with everything, which makes no request and runs none of the text it shows."""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from davidgen_hf.corpus.facts import (
    MARGIN_STEP,
    OUTPUT_STEP,
    PERPLEXITY_STEPS,
    Facts,
    attrition,
    pairs_per_hour,
    ranked_rows,
    read_facts,
    yield_by_style,
)
from davidgen_hf.processors.base import draw
from davidgen_hf.processors.write_tasks import STRATEGY
from davidgen_hf.provenance.record import find_provenance
from davidgen_hf.report import charts
from davidgen_hf.report.rings import opening_picture, verb_picture
from davidgen_hf.report.rows import row_of
from davidgen_hf.storage.files import write_whole

FILE_NAME = "report.html"
# Rows that one file holds; more are drawn from by number, and --serve shows all.
MAX_ROWS = 20_000
FOLLOW_SECONDS = 10


def write_report(
    run: Path,
    output: Path | None = None,
    *,
    follow: bool = False,
    max_rows: int = MAX_ROWS,
    facts: Facts | None = None,
) -> Path:
    """Write the page of a run, finished or not.

    Args:
        run: The run's folder.
        output: The page's file; ``report.html`` in the run's folder if not given.
        follow: Let the page reload every ten seconds until the run is finished.
        max_rows: Rows that the page holds; of more, as many are drawn, always the same.
        facts: What ``read_facts`` returned for it; None reads them.

    Returns:
        The file.

    Raises:
        RunFolderError: It is not a run folder, or a file of it is damaged.
    """
    facts = facts or read_facts(run)
    output = output or run / FILE_NAME
    held = _held_rows(run, facts, max_rows)
    packed = base64.b64encode(
        gzip.compress(json.dumps(held, ensure_ascii=False).encode("utf-8", "replace"), 6, mtime=0)
    )
    write_whole(
        output, render(run, facts, rows=packed.decode(), shown=len(held), follow=follow and bool(facts.pending))
    )
    return output


def follow_report(run: Path, output: Path | None, sleep: Callable[[float], None]) -> Iterator[Path]:
    """Write the page again and again, as long as the run is not finished, and yield its file each time.

    Raises:
        RunFolderError: As ``write_report``.
    """
    while True:
        yield write_report(run, output, follow=True)
        if not read_facts(run, sample=0).pending:
            yield write_report(run, output)
            return
        sleep(FOLLOW_SECONDS)


def render(run: Path, facts: Facts, *, rows: str = "", shown: int | None = None, follow: bool = False) -> str:
    """Return the page as HTML; without ``rows`` it requests them from its server."""
    folder = files("davidgen_hf.report") / "assets"
    style, shared, own = ((folder / name).read_text("utf-8") for name in ("page.css", "shared.js", "page.js"))
    script = shared + own
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    template = environment.from_string((folder / "page.html.jinja").read_text("utf-8"))
    policy = [
        "default-src 'none'",
        f"script-src 'sha256-{digest(script)}'",
        f"style-src 'sha256-{digest(style)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        *(() if rows else ("connect-src 'self'",)),
    ]
    return template.render(
        name=run.resolve().name,
        policy="; ".join(policy),
        style=Markup(style),
        script=Markup(script),
        rows=rows,
        shown=facts.rows if shown is None else shown,
        refresh=FOLLOW_SECONDS if follow else None,
        facts=facts,
        funnel=_shares(facts.stages),
        attrition=attrition([facts.record]),
        pairs_per_hour=pairs_per_hour(facts.record),
        written=STRATEGY in facts.strategies,
        styles=yield_by_style([{"steps": {"corpus": {"styles": facts.styles}}}]),
        reasons=facts.reasons.most_common(),
        means=facts.choices.means(),
        charts=_charts(facts),
        openings=opening_picture(facts.instructions),
        verbs=verb_picture(facts.instructions),
        provenance=_provenance(run),
        evaluation=facts.record["steps"].get("evaluation", {}),
        settings=json.dumps(facts.record["recipe"], indent=1, ensure_ascii=False),
        versions=facts.record.get("versions", {}),
        version=version("davidgen-hf"),
    )


def _held_rows(run: Path, facts: Facts, max_rows: int) -> list[dict[str, Any]]:
    """Return the rows that the page holds, drawn by number where there are too many."""
    share = max_rows / max(facts.rows, 1)
    held: list[dict[str, Any]] = []
    for number, (kept, ranked, row) in enumerate(ranked_rows(run, facts.record)):
        if share >= 1 or (len(held) < max_rows and draw(1_000_000, number) < share * 1_000_000):
            held.append(row_of(number, kept, ranked, row))
    return held


def _shares(stages: list[tuple[str, int]]) -> list[tuple[str, int, float]]:
    """Return each stage with its share of the largest."""
    most = max(number for _, number in stages) or 1
    return [(what, number, number / most) for what, number in stages]


def _charts(facts: Facts) -> dict[str, str]:
    def perplexity(step: int) -> str:
        value = 10 ** (step / PERPLEXITY_STEPS)
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    made = {
        "perplexity": charts.histogram(
            facts.choices.histograms(),
            perplexity,
            "Perplexity of the output by candidate",
            "perplexity, by powers of ten",
        ),
        "margin": charts.histogram(
            {"rows": facts.margins},
            lambda step: f"{step * MARGIN_STEP:.2f}",
            "Distance of the winner from the next best",
            "nats per token",
        ),
        "instruction": charts.histogram(
            {"instructions": facts.lengths["instruction"]}, str, "Length of the winning instructions", "words"
        ),
        "output": charts.histogram(
            {"outputs": facts.lengths["output"]},
            lambda step: str(step * OUTPUT_STEP),
            "Length of the outputs",
            "words",
        ),
    }
    losses = {model: charts.curve(found, f"Loss of the {model}", "step") for model, found in facts.losses.items()}
    return made | losses if facts.rows else dict.fromkeys(made, "") | losses


def _provenance(run: Path) -> dict[str, Any] | None:
    found = find_provenance(run)
    return found.record() if found else None


def digest(text: str) -> str:
    """Return the hash of a script or style, as a content security policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
