"""A server that fails for a while: no row is lost, no figure lacks an answer, and the next call requests the rest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from server_faults import bad_request, server_error

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.unanswered import report_unanswered, require_answers
from davidgen_hf.errors import ModelError
from davidgen_hf.evaluation.held_out import compare_on_held_out
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.shards import read_shards, shard_paths

ROWS = 12


def candidates(handler, body, number):
    handler.reply({"choices": [{"index": at, "text": f" Tell me about house {at}."} for at in range(body["n"])]})


def at_the_river(body: dict) -> bool:
    return "house number 4 " in body["prompt"]


@pytest.fixture
def build(tmp_path, tiny_llama, monkeypatch) -> Callable[[str], Path]:
    """Build a corpus of 12 passages, in shards of 3, with the candidates of a server."""
    monkeypatch.setattr("davidgen_hf.engines.http.BACKOFF_SECONDS", 0.0)
    texts = [f"The house number {n} stands by the river, and {n + 1} people live in it." for n in range(ROWS)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))

    def build(url: str) -> Path:
        overrides = [
            f"corpus.passages.source={tmp_path}/texts.jsonl",
            "corpus.extract={whole: {}}",
            "corpus.shard_rows=3",
            "corpus.guards=none",
            "corpus.limit.engine.kind=echo",
            "corpus.score.engine.kind=echo",
            f"corpus.generate.engine={{kind: server, model: '{tiny_llama}', base_url: '{url}'}}",
        ]
        run_recipe(load_recipe("demo", overrides), tmp_path / "run", lambda _: None, steps=("corpus",))
        return tmp_path / "run"

    return build


def list_tiny_llama(folder: Path) -> Callable:
    return lambda handler: handler.reply({"data": [{"id": "tiny", "root": str(folder)}]})


def test_a_shard_with_a_row_that_got_no_answer_is_for_the_next_call(serve, build, tiny_llama, tmp_path):
    failing = serve(
        lambda *call: (server_error if at_the_river(call[1]) else candidates)(*call), list_tiny_llama(tiny_llama)
    )
    with pytest.raises(
        ModelError, match=r"1 shard\(s\) are unfinished, because 1 request\(s\) got no answer: 1 x HTTP"
    ):
        build(failing.url)
    assert [path.name for path in shard_paths(tmp_path / "run" / "candidates")] == [
        "00000.parquet",
        "00002.parquet",
        "00003.parquet",
    ]
    mended = serve(candidates, list_tiny_llama(tiny_llama))
    run = build(mended.url)
    assert len(mended.asked) == 3
    rows = read_shards(run / "scored")
    assert {one["reject_reason"] for row in rows["candidates"] for one in row} == {None}
    assert len(read_shards(run / "corpus")) == ROWS


def test_a_server_that_refuses_everything_leaves_no_shard(serve, build, tiny_llama, tmp_path):
    with pytest.raises(ModelError, match=r"answered none of the 3 requests that were sent: 3 x HTTP 400: .*too long"):
        build(serve(bad_request, list_tiny_llama(tiny_llama)).url)
    assert shard_paths(tmp_path / "run" / "candidates") == []
    assert len(read_shards(build(serve(candidates, list_tiny_llama(tiny_llama)).url) / "corpus")) == ROWS


def test_a_row_that_a_server_refuses_is_marked_and_finished(serve, build, tiny_llama):
    server = serve(
        lambda *call: (bad_request if at_the_river(call[1]) else candidates)(*call), list_tiny_llama(tiny_llama)
    )
    run = build(server.url)
    failed = [row["text"] for row in read_shards(run / "scored") if row["candidates"][0]["reject_reason"]]
    assert len(failed) == 1
    assert "house number 4 " in failed[0]
    assert len(read_shards(run / "corpus")) == ROWS - 1


def test_held_out_seeds_without_an_answer_give_no_figure(serve, answer_with_model, tiny_llama, monkeypatch):
    monkeypatch.setattr("davidgen_hf.engines.http.BACKOFF_SECONDS", 0.0)
    instructions = ["Name a river.", "Name a town."]
    seeds = Dataset.from_dict({"instruction": instructions, "input": ["", ""], "output": ["A", "B"]})
    failing = True

    def answer(handler, body, number):
        if isinstance(body["prompt"], list):
            answer_with_model(handler, body, number)
        else:
            (server_error if failing and "town" in body["prompt"] else candidates)(handler, body, number)

    settings = EngineSettings(kind="server", base_url=serve(answer, list_tiny_llama(tiny_llama)).url)
    with pytest.raises(ModelError, match=r"held-out seeds: 1 request\(s\) got no answer: 1 x HTTP 500"):
        compare_on_held_out({"base": str(tiny_llama)}, seeds, settings, 4)
    failing = False
    assert compare_on_held_out({"base": str(tiny_llama)}, seeds, settings, 4)["base"].answers[1]


def test_a_result_needs_all_answers():
    reasons = r"reviews: 3 request\(s\) got no answer: 2 x HTTP 503; 1 x HTTP 500\. The result needs all of them"
    with pytest.raises(ModelError, match=reasons), require_answers("reviews"):
        report_unanswered(["HTTP 503", "HTTP 500", "HTTP 503"])
    with require_answers("reviews"):
        report_unanswered([])
