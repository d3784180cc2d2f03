"""What people and other programs change of a run, its cards, a query and the Hub: each call ends in words."""

import copy
import http.client
import json
import shutil
import string
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from fuzzing import CHECKS
from hub_double import TOKEN, HubDouble
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.errors import DavidgenError, HubError
from davidgen_hf.publish import calls
from davidgen_hf.publish.cards import read_notes, write_cards
from davidgen_hf.publish.cards.notes import NOTES, split_card
from davidgen_hf.publish.export import export_preferences
from davidgen_hf.publish.layout import lay_out_run
from davidgen_hf.publish.pull import pull
from davidgen_hf.recipe import load_recipe
from davidgen_hf.report import serve_report
from davidgen_hf.report.page import render
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.summary import print_summary
from davidgen_hf.storage.record import RunRecord, read_record
from davidgen_hf.terminal import Terminal

SLOW_EXAMPLES = settings().max_examples // 5
ANY = st.characters(exclude_categories=())
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(ANY, max_size=12),
    st.sampled_from(["embedded", "mit\n---\n", "../x", "a/b", "/etc/passwd", "<script>", "|", "{{ x }}", "\ud800"]),
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@pytest.fixture(scope="module")
def echo_run(tmp_path_factory) -> Path:
    """A corpus of six passages by the echo engine."""
    folder = tmp_path_factory.mktemp("fuzzed")
    rows = [
        {"id": f"p{n}", "text": f"The old house number {n} stands by the river.", "license": "MIT"} for n in range(6)
    ]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [f"corpus.passages.source={folder}/p.jsonl", "corpus.shard_rows=4", "corpus.guards=none"]
    asked += ["corpus.generate.engine.model=echo", "corpus.extract={whole: {}}"]
    asked += [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None, steps=("corpus",))
    return folder / "run"


@pytest.fixture(scope="module")
def port(echo_run) -> int:
    server = serve_report(echo_run, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


FIELDS = st.sampled_from(["search", "strategy", "reason", "kept", "margin", "perplexity", "sort", "page", "x"])
TEXT = st.one_of(
    st.text(string.printable.replace(" ", ""), max_size=30).filter(
        lambda text: not set(text) & set("\t\n\r\x0b\x0c#")
    ),
    st.binary(max_size=12).map(lambda data: "".join(f"%{byte:02x}" for byte in data)),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
)
QUERY = st.lists(st.one_of(st.tuples(FIELDS, TEXT).map("=".join), TEXT), max_size=4).map("&".join)


@given(query=QUERY)
@settings(suppress_health_check=CHECKS)
def test_any_query_is_answered(query, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", f"/rows?{query}")
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in (200, 400), text
    if answer.status == 200:
        assert json.loads(text, parse_constant=pytest.fail)["total"] >= 0
    else:
        assert text.startswith(b"The query: ")


@given(text=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), place=st.integers(0, 4000))
@settings(suppress_health_check=CHECKS, max_examples=SLOW_EXAMPLES)
def test_any_edit_of_a_card_is_kept_or_named(text, place, echo_run, tmp_path):
    card = echo_run / "README.md"
    before = card.read_bytes()
    try:
        card.write_bytes(before[:place] + text + before[place:] + b"\nOurs.\n")
        with suppress(DavidgenError):
            notes = read_notes(card)
            write_cards(echo_run)
            assert read_notes(card) == notes
            written = card.read_text("utf-8")
            write_cards(echo_run)
            assert card.read_text("utf-8") == written
            assert "Ours." in notes or NOTES not in (before[:place] + text + before[place:]).decode()
    finally:
        card.write_bytes(before)


def paths_of(value: object, at: tuple = ()) -> list[tuple]:
    """Return the places of a nested value, itself not among them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, one in items for path in ((*at, key), *paths_of(one, (*at, key)))]


@given(draw=st.data())
@settings(suppress_health_check=CHECKS, max_examples=SLOW_EXAMPLES)
def test_any_change_of_a_record_is_shown_or_named(draw, echo_run, tmp_path_factory):
    run = tmp_path_factory.mktemp("changed") / "run"
    shutil.copytree(echo_run, run)
    record = copy.deepcopy(read_record(echo_run))
    for _ in range(draw.draw(st.integers(1, 2))):
        *way, last = draw.draw(st.sampled_from(paths_of(record)))
        inner = record
        for key in way:
            inner = inner[key]
        if draw.draw(st.booleans()):
            inner[last] = draw.draw(VALUE)
        else:
            del inner[last]
    (run / "run.json").write_text(json.dumps(record))
    for show in (
        lambda: render(run, read_facts(run)),
        lambda: write_cards(run),
        lambda: print_summary(RunRecord(run, read_record(run)), Terminal(file=(run / "out").open("w"))),
        lambda: export_preferences(run, run / "preferences.jsonl"),
        lambda: lay_out_run(run, run / "work"),
    ):
        with suppress(DavidgenError):
            show()
    shutil.rmtree(run)


BODY = st.one_of(
    st.binary(max_size=40),
    VALUE.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"sha": st.one_of(VALUE, st.just("a" * 40)), "siblings": st.lists(st.fixed_dictionaries({"rfilename": VALUE}))}
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["run/run.json", "../x", "run/../x", "run/a/b.parquet", "/etc/x", ".cache/x"]).map(
        lambda name: json.dumps(
            {"sha": "a" * 40, "siblings": [{"rfilename": "run/run.json"}, {"rfilename": name}]}
        ).encode()
    ),
)
ANSWER = st.tuples(st.sampled_from([200, 200, 200, 204, 301, 400, 401, 403, 404, 409, 416, 429, 500, 503]), BODY)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubDouble() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(calls, "TRIES", 1)
        patch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        patch.setenv("HF_TOKEN", TOKEN)
        yield hub


@given(answers=st.lists(ANSWER, min_size=1, max_size=5))
@settings(suppress_health_check=CHECKS)
def test_any_answer_of_the_hub_is_named(answers, hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pulled")
    left = list(answers)

    def answer(self: object, *_: object) -> None:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        self._answer(status, body, {"Location": f"{hub.url}/elsewhere"} if status == 301 else {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub._server.RequestHandlerClass, "_route", answer)
        with pytest.raises(HubError, match="org/a"):
            pull("org/a", folder / "run")
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".part")] == []


def test_the_line_is_in_every_card(echo_run):
    assert split_card((echo_run / "README.md").read_text("utf-8"))[0]
    assert (echo_run / "README.md").read_text("utf-8").count(NOTES) == 1
