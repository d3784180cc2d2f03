"""Runs that keep several pairs of a passage, ask in styles of their own, or choose without scores."""

import io
import json
from pathlib import Path

import pytest
from datasets import load_dataset

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.errors import RunFolderError
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.publish.cards import write_cards
from davidgen_hf.publish.export import export_pairs, export_preferences
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.recipe import load_recipe
from davidgen_hf.report.index import RowQuery, Rows
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.summary import print_summary
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import read_shards
from davidgen_hf.terminal import Terminal

SUMMARY = {"head": "Text: ", "tail": "\n\nAsk for this text in a few words:"}
EVALUATED = 3


def make(folder: Path, *more: str) -> RunRecord:
    """Make the corpus of 8 passages in shards of 3 with the echo engine."""
    texts = [f"The house number {n} stands by the river, and {n + 1} people live in it today." for n in range(8)]
    (folder / "p.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "evaluation.jsonl").write_text(json.dumps({"text": texts[EVALUATED]}))
    asked = [f"corpus.passages.source={folder}/p.jsonl", "corpus.shard_rows=3", "corpus.passages.license=mit"]
    asked += ["corpus.extract={whole: {}}", "corpus.generate.engine={kind: echo, model: echo}", "corpus.generate.n=6"]
    asked += ["corpus.limit.engine.kind=echo", "corpus.guards.rules={max_words: 20, min_language_confidence: 1.01}"]
    asked += [f"corpus.guards.decontaminate={{sources: [{{source: {folder}/evaluation.jsonl}}]}}", *more]
    return run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None, steps=("corpus",))


def printed(record: RunRecord) -> str:
    out = io.StringIO()
    print_summary(record, Terminal(file=out, width=200))
    return out.getvalue()


def test_several_pairs_of_a_passage_in_styles_of_the_recipe(tmp_path):
    styles = f"corpus.generate.styles={json.dumps({'summary': SUMMARY})}"
    select = "corpus.select={keep: 2, near_duplicates: {threshold: 0.6}}"
    record = make(tmp_path, "corpus.score.engine.kind=echo", styles, "corpus.generate.styles_per_passage=3", select)
    run = record.folder
    pairs, scored = read_shards(run / "corpus"), read_shards(run / "scored")
    assert len(set(pairs["id"])) == len(pairs) > len(scored)
    assert {name.partition("#pair-2")[0] for name in pairs["id"]} == {f"p.jsonl:{n + 1}" for n in range(8)} - {
        f"p.jsonl:{EVALUATED + 1}"
    }
    measure = NearDuplicates(threshold=0.6)
    for output in set(pairs["output"]):
        own = [pair for pair in pairs if pair["output"] == output]
        assert [pair["perplexity"] for pair in own] == sorted(pair["perplexity"] for pair in own)
        assert not (len(own) > 1 and measure.repeats(own[0]["instruction"], own[1]["instruction"]))
    # Across passages no candidate repeats another, however many are kept of each.
    assert sum(one["reject_reason"] == "near_duplicate" for row in scored["candidates"] for one in row) == 0
    styles_found = record.steps["corpus"]["styles"]
    assert sum(one["pairs"] for one in styles_found.values()) == len(pairs)
    assert sum(one["candidates"] for one in styles_found.values()) == 8 * 6
    assert set(styles_found) == {"instruction", "chatbot", "search_query", "summary"}
    said, card, page = printed(record), (run / "README.md").read_text(), (run / "report.html").read_text()
    for text in (said, card, page):
        assert str(styles_found["summary"]["accepted"]) in text
        assert "summary" in text
    assert "Yield by style of the prompt" in said
    assert "#pair-2" in card
    rows = Rows(run).find(RowQuery(kept="1"))["rows"]
    assert sum(one["kept"] for row in rows for one in row["candidates"]) == len(pairs)
    assert max(sum(one["kept"] for one in row["candidates"]) for row in rows) == 2
    assert len(rows) == 7
    assert dict(read_facts(run).stages)["pairs"] == len(pairs) == export_pairs(run, tmp_path / "pairs.jsonl")
    assert len(load_dataset(str(run), "unsupervised", split="train", cache_dir=tmp_path / "cache")) == len(pairs)
    build_folder([run], tmp_path / "folder")
    assert len(load_dataset(str(tmp_path / "folder"), split="train", cache_dir=tmp_path / "cache")) == len(pairs)
    assert export_preferences(run, tmp_path / "preferences.jsonl") > 0
    preferred = [json.loads(line) for line in (tmp_path / "preferences.jsonl").read_text().splitlines()]
    best = {pair["instruction"] for pair in pairs if not pair["id"].endswith("#pair-2")}
    assert {one["chosen"].strip() for one in preferred} <= best
    assert any(one["prompt"].startswith(SUMMARY["head"]) for one in preferred)


def test_without_scores_a_candidate_is_drawn(tmp_path):
    record = make(tmp_path, "corpus.score=none", "corpus.select={choose: random, seed: 7}")
    run = record.folder
    pairs = read_shards(run / "corpus")
    assert not (run / "scored").exists()
    assert set(pairs["perplexity"]) == set(pairs["margin"]) == {None}
    accepted = {
        row["output"]: [one["instruction"] for one in row["candidates"] if one["reject_reason"] is None]
        for row in read_shards(run / "unique")
    }
    places = [accepted[pair["output"]].index(pair["instruction"]) for pair in pairs]
    assert len(pairs) == 7
    assert len(set(places)) > 1
    facts = read_facts(run)
    assert (facts.rows, len(facts.choices), facts.record["steps"]["corpus"]["counts"]["corpus"]["pairs"]) == (8, 0, 7)
    card = (run / "README.md").read_text()
    assert "Candidate instructions were chosen as follows: random." in card
    assert "not scored" in card
    assert "not scored" in printed(record)
    assert "A row of `scored`" not in card
    found = Rows(run).find(RowQuery(kept="1", sort="-perplexity"))
    assert (found["total"], {row["perplexity"] for row in found["rows"]}) == (7, {None})
    write_cards(run)
    assert export_pairs(run, tmp_path / "pairs.jsonl") == 7
    with pytest.raises(
        RunFolderError, match=r"has score: none.*corpus\.score=\{\} corpus\.select\.choose=best and --update"
    ):
        export_preferences(run, tmp_path / "preferences.jsonl")
