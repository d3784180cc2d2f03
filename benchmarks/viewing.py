"""How fast is a run's page? ``python -m benchmarks.viewing --passages texts.jsonl``.

All corpus stages run with the echo engine in place of the models, over texts that are repeated with a running number,
so that one passage gives the page two rows, whole and a sentence. The page of a file is opened in Chromium, then that
of a server, whose rows are the same shards again and again under other names. Painting and searching are timed within
the browser, a search from the input to the frame that shows what was found.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import psutil
import pyarrow.parquet
from playwright.sync_api import Page, sync_playwright

from benchmarks.scale import write_passages
from benchmarks.workload import read_texts
from davidgen_hf.corpus.counts import read_counts
from davidgen_hf.recipe import load_recipe
from davidgen_hf.report import serve_report, write_report
from davidgen_hf.report.index import INDEX
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.shards import shard_paths

ECHO = [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
STAGES = ("fragments", "candidates", "guarded", "unique", "scored", "corpus")
WATCH = """
    new MutationObserver(() => { window.rowsAt ??= performance.now(); })
        .observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
"""
SEARCH = """async (text) => {
    const box = document.getElementById("search"), page = document.documentElement;
    const done = new Promise((resolve) => new MutationObserver(resolve).observe(
        page, { attributes: true, attributeFilter: ["data-ready"] }));
    const start = performance.now();
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    await done;
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    const milliseconds = Math.round(performance.now() - start);
    return { text, milliseconds, found: document.getElementById("found").textContent };
}"""


def main() -> None:
    """Make a run, look at it both ways, and write what was seen."""
    parser = argparse.ArgumentParser("python -m benchmarks.viewing", description=__doc__)
    add = parser.add_argument
    add("--passages", type=Path, help="JSON lines with a `text` field (default: the Python language reference).")
    add("--rows", type=int, default=20_000, help="Rows of the file.")
    add("--served-rows", type=int, default=1_000_000, help="Rows behind the server.")
    add("--folder", type=Path, help="Where to work (default: the folder for temporary files).")
    add("--output", type=Path, default=Path(__file__).with_name("results") / "viewing.json")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(dir=args.folder) as name, open_browser() as page:
        run = make_run(read_texts(args.passages), args.rows, Path(name))
        started = time.perf_counter()
        file = write_report(run, max_rows=args.rows)
        found = {"file": {"write_seconds": _since(started), "megabytes": round(file.stat().st_size / 1e6, 1)}}
        found["file"] |= look(page, file.as_uri(), words_of(run))
        repeat(run, args.served_rows)
        started = time.perf_counter()
        server = serve_report(run, 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found["served"] = {"index_seconds": _since(started), "index_mb": (run / INDEX).stat().st_size >> 20}
        found["served"] |= look(page, f"http://127.0.0.1:{server.server_port}/", words_of(run))
        found["served"]["resident_mb"] = psutil.Process(os.getpid()).memory_info().rss >> 20
        server.shutdown()
    args.output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))


def make_run(texts: list[str], rows: int, folder: Path) -> Path:
    """Return the folder of a run whose ``scored`` stage has ``rows`` rows."""
    path, run = folder / "passages.jsonl", folder / "run"
    write_passages(texts, rows // 2, path)
    asked = [f"corpus.passages.source={path}", "corpus.passages.max_rows=null", "corpus.generate.engine.model=echo"]
    asked += ["corpus.extract.sentence.min_words=1", "corpus.guards.near_duplicates=none", *ECHO]
    run_recipe(load_recipe("demo", asked), run, lambda _: None, steps=("corpus",))
    return run


def repeat(run: Path, rows: int) -> None:
    """Link the shards of each stage under further numbers, until there are ``rows`` scored rows."""
    counts, _ = read_counts(run, load_recipe("demo", []).corpus.stages())
    there = sum(number for what, number in counts["fragments"].items() if what.startswith("fragments."))
    for stage in STAGES:
        shards = shard_paths(run / stage)
        for again in range(1, rows // there):
            for place, path in enumerate(shards):
                os.link(path, path.with_name(f"{again * len(shards) + place:05d}{path.suffix}"))


def words_of(run: Path) -> list[str]:
    """Return what to search for: the most frequent word, frequent ones, two at once, a rare one, and none."""
    texts = pyarrow.parquet.read_table(shard_paths(run / "scored")[0], columns=["text"])["text"].to_pylist()
    words = [
        word for word, _ in Counter(word for text in texts for word in re.findall(r"[a-z]{3,}", text)).most_common()
    ]
    return [words[0], words[20], words[200], f"{words[5]} {words[100]}", words[-1], words[50][:3], "qqqq"]


@contextmanager
def open_browser() -> Iterator[Page]:
    """Open a page of a headless Chromium that asks nothing of the network."""
    with sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page()
        page.add_init_script(WATCH)
        yield page
        browser.close()


def look(page: Page, address: str, searches: list[str]) -> dict:
    """Open a page and search it; milliseconds."""
    page.goto(address, timeout=120_000)
    page.wait_for_selector("html[data-ready]", timeout=120_000)
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    shown, there = page.evaluate("window.rowsAt"), page.inner_text("#found")
    found = [page.evaluate(SEARCH, text) for text in searches for _ in range(3)]
    spent = [one["milliseconds"] for one in found]
    return {
        "rows": there,
        "first_paint_ms": round(painted),
        "rows_shown_ms": round(shown),
        "search_ms": {"median": statistics.median(spent), "most": max(spent)},
        "searches": found,
    }


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)


if __name__ == "__main__":
    main()
