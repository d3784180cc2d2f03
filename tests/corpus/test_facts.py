"""One ranking and one count of a run's rows, wherever they are shown."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from davidgen_hf.corpus.facts import Choices, attrition, ranked_rows, read_choices, read_facts
from davidgen_hf.processors import SelectInstruction
from davidgen_hf.processors.select import perplexity
from davidgen_hf.prompts import render_answer
from davidgen_hf.publish.cards import write_cards
from davidgen_hf.publish.export import export_preferences
from davidgen_hf.recipe import load_recipe
from davidgen_hf.report import write_report
from davidgen_hf.report.index import RowQuery, Rows
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.summary import perplexities, print_summary
from davidgen_hf.storage.record import RunRecord, read_record
from davidgen_hf.storage.shards import read_shards
from davidgen_hf.terminal import Terminal


@pytest.fixture(scope="module")
def masked_run(tmp_path_factory) -> Path:
    """A corpus that was selected without the words that candidates copy, where the plain sum has other winners."""
    folder = tmp_path_factory.mktemp("masked")
    house = "The old house number {n} stands by the river and {n} people live in it with a cat and {n} dogs."
    rows = [{"id": f"p{n}", "text": house.format(n=n)} for n in range(12)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [f"corpus.passages.source={folder}/p.jsonl", "corpus.passages.max_rows=null", "corpus.shard_rows=5"]
    asked += ["corpus.guards=none", "corpus.generate.engine.model=echo", "corpus.score.token_nll=true"]
    asked += ["corpus.select.mask_copied_words=2", "corpus.generate.n=6"]
    asked += [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None, steps=("corpus",))
    for shard in (folder / "run" / "scored").iterdir():
        turn_plain_ranking_around(shard)
    return folder / "run"


def turn_plain_ranking_around(shard: Path) -> None:
    """Change the sums by which candidates rank without masking, but not the tokens, by which they rank with it."""
    table = pyarrow.parquet.read_table(shard)
    rows = table["candidates"].to_pylist()
    for candidates in rows:
        sums = [one["nll"] for one in candidates]
        for one in candidates:
            one["nll"] = max(sums) + min(sums) - one["nll"]
    place = table.schema.get_field_index("candidates")
    changed = pyarrow.array(rows, table.schema.field("candidates").type)
    pyarrow.parquet.write_table(table.set_column(place, table.schema.field("candidates"), changed), shard)


def test_the_plain_sum_would_rank_otherwise(masked_run):
    rows = list(ranked_rows(masked_run, read_record(masked_run)))
    plain = [SelectInstruction().rank(row)[0][1] for _, ranked, row in rows if ranked]
    assert plain != [ranked[0][1] for _, ranked, _ in rows if ranked]


def test_every_view_ranks_as_the_corpus_does(masked_run, tmp_path):
    corpus = read_shards(masked_run / "corpus")
    ranked = [ranked for kept, ranked, _ in ranked_rows(masked_run, read_record(masked_run)) if kept]
    assert [one[0][1]["instruction"] for one in ranked] == corpus["instruction"][:]
    export_preferences(masked_run, tmp_path / "p.jsonl")
    chosen = [json.loads(line)["chosen"] for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    assert len(chosen) > 3
    assert set(chosen) <= {render_answer(row["instruction"], row["input"]) for row in corpus}
    shown = list(Rows(masked_run).find(RowQuery(kept="1"))["rows"])
    assert [row["candidates"][0]["instruction"] for row in shown] == corpus["instruction"][:]
    margins = [None if margin is None else float(f"{margin:.4g}") for margin in corpus["margin"]]
    assert [row["margin"] for row in shown] == margins


def test_summary_card_and_report_show_the_same_figures(masked_run, tmp_path):
    run = shutil.copytree(masked_run, tmp_path / "run")
    means = read_choices(run).means()
    assert read_facts(run).choices.means() == means
    table = perplexities(read_choices(run))
    assert [float(cell) for cell in table.columns[1]._cells] == [round(one["mean"], 2) for one in means.values()]
    write_cards(run)
    card = (run / "README.md").read_text("utf-8")
    page = write_report(run, tmp_path / "report.html").read_text("utf-8")
    out = tmp_path / "summary"
    with out.open("w") as file:
        print_summary(RunRecord(run, read_record(run)), Terminal(file=file, width=200))
    printed = out.read_text()
    for name, values in means.items():
        assert f"| {name} | {values['mean']:,.2f} | {values['median']:,.2f} |" in card
        assert f"<td>{values['mean']:.2f}</td>" in page
        assert re.search(rf"{name} +│ {values['mean']:.2f} +│ {values['median']:.2f}", printed)
    assert attrition([read_record(run)])
    for stage, what, number in attrition([read_record(run)]):
        assert f"| {stage} | {what} | {number} |" in card
        assert f'<th scope="row">{stage}</th><td><bdi>{what}</bdi></td><td>{number}</td>' in page
        assert re.search(rf"{stage} +│ {re.escape(what)} +│ {number} ", printed)


def test_a_selection_that_needs_more_columns_gets_them(tmp_path, masked_run):
    run = shutil.copytree(masked_run, tmp_path / "run")
    record = read_record(run)
    record["recipe"]["corpus"]["select"] = {"min_ifd": 0.0}
    record["recipe"]["corpus"]["score"] |= {"unconditional": True}
    (run / "run.json").write_text(json.dumps(record))
    for shard in (run / "scored").iterdir():
        table = pyarrow.parquet.read_table(shard)
        values = pyarrow.array([1.0] * len(table), pyarrow.float64())
        place = table.schema.get_field_index("unconditional_nll")
        pyarrow.parquet.write_table(table.set_column(place, "unconditional_nll", values), shard)
    assert read_facts(run).rows == 24


def test_means_are_of_rows_with_a_choice_and_finite_scores():
    choices = Choices()
    shared = {"n_tokens": 10, "reject_reason": None}
    one, other = ({"instruction": name, "nll": nll} | shared for name, nll in (("a", 10.0), ("b", 20.0)))
    full, cut = ({"candidates": [{"reject_reason": reason}]} for reason in (None, "eliminated"))
    choices.add([(1.0, one)], full)
    choices.add([(1.0, one), (2.0, other)], full)
    choices.add([(1.0, one), (2.0, other)], cut)  # the loser may have been dropped
    choices.add([(1.0, one), (float("nan"), other | {"nll": float("nan")})], full)
    assert len(choices) == 1
    assert choices.means()["winner"] == {"mean": perplexity(one), "median": perplexity(one)}
    assert choices.means()["loser"]["mean"] == perplexity(other)
    twice = Choices()
    twice.extend(choices)
    twice.extend(choices)
    assert len(twice) == 2


def test_attrition_adds_up_runs_and_keeps_the_order_of_stages():
    counts = {"first": {"passages": 3}, "mine": {"dropped.Mine": 1}, "corpus": {"pairs": 2, "none_left": 0}}
    skipped = {"counts": {"too_big": 1}, "places": {"too_big": ["my_file.jsonl:8"]}}
    record = {"steps": {"corpus": {"counts": counts, "skipped": skipped}}}
    assert attrition([record, record, {"steps": {}}]) == [
        ("read", "passages skipped: too big (my_file.jsonl:8)", 2),
        ("first", "passages", 6),
        ("mine", "dropped: Mine", 2),
        ("corpus", "pairs", 4),
    ]
