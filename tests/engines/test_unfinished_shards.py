"""A corpus whose server fails for a while: no row is lost, and the next call asks for what is missing alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from server_faults import bad_request, server_error

from davidgen_hf.errors import ModelError
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
