"""A run whose texts are hostile, and a browser to look at its page with."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe

# As root, and without asking anything of the network.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'></textarea></script><!-- -->",
    "Right to left: \u202egnorw si siht\u202c and \u2066isolated\u2069, \u0000\u0007 bells, \ufeff marks.",
    "Z" + "\u0301\u0302\u0303" * 3000 + "algo is a stack of marks that would cover the page.",
    "long" * 50_000,
    "{{ 7 * 7 }} {% raw %} ${alert(1)} &lt;b&gt; \\u003cscript\\u003e javascript:alert(1)",
)


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory) -> Path:
    """The corpus of 60 passages, five of them hostile, by the echo engine, which repeats their words."""
    folder = tmp_path_factory.mktemp("hostile")
    plain = [
        f"The house number {100 + n} stands by the river. {n + 1} people live in it, and a cat." for n in range(55)
    ]
    rows = [{"id": f"r{n}", "text": text} for n, text in enumerate((*HOSTILE, *plain))]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = [f"corpus.passages.source={folder}/texts.jsonl", "corpus.passages.max_rows=null", "corpus.shard_rows=16"]
    asked += [
        "corpus.generate.engine.model=echo",
        "corpus.limit.max_tokens=100000",
        "corpus.extract.sentence.min_words=3",
    ]
    asked += ["corpus.guards.near_duplicates=none", "corpus.guards.rules.max_copied_run=1"]
    asked += [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None, steps=("corpus",))
    return folder / "run"


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A real Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'davidgen-hf[dev]'")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def watch(browser) -> Callable[..., AbstractContextManager[Callable]]:
    """Open pages, which must have run nothing of their texts, logged no error, and sent requests to one address only.

    ``watch(address, expected)`` yields ``visit(url)``; an error that has ``expected`` in it is part of the test.
    """

    @contextmanager
    def watch(address: str, expected: str | None = None) -> Iterator[Callable]:
        asked, said, contexts = [], [], []

        def visit(url: str, width: int = 1440, scheme: str = "light", script: str = ""):
            contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
            page = contexts[-1].new_page()
            page.on("request", lambda one: asked.append(one.url))
            page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.add_init_script(script)
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            return page

        yield visit
        for context in contexts:
            assert all(page.evaluate("window.hacked") is None for page in context.pages)
            context.close()
        assert [text for text in said if expected is None or expected not in text] == []
        assert [url for url in asked if not url.startswith((address, "data:"))] == []

    return watch
