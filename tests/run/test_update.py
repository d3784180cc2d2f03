"""A run folder that is opened again: what fits stays, the rest is rebuilt or refused, one process works at a time."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.processors.decontaminate import evaluation_runs
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.record import _untouched
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.steps import STEPS
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.shards import read_shards, shard_paths

STAGES = ("fragments", "candidates", "guarded", "unique", "scored", "corpus")
MARGIN = "corpus.select.min_margin=0.2"


@pytest.fixture
def make(tmp_path) -> Callable[..., Path]:
    """Make a corpus of 12 passages in shards of 3 with the echo engine; return its folder."""
    texts = [f"The house number {n} stands by the river, and {n + 1} people live in it." for n in range(12)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    asked = [
        f"corpus.passages.source={tmp_path}/texts.jsonl",
        "corpus.shard_rows=3",
        "corpus.guards.rules.language=en",
    ]
    for step in ("limit", "generate", "score"):
        asked.append(f"corpus.{step}.engine.kind=echo")

    def make(*more: str, announce: Callable[[str], None] = lambda _: None, **options) -> Path:
        recipe = load_recipe("demo", [*asked, "corpus.generate.engine.model=echo", *more])
        run_recipe(recipe, tmp_path / "run", announce, steps=("corpus",), **options)
        return tmp_path / "run"

    return make


def times(run: Path) -> dict[str, int]:
    return {f"{path.parent.name}/{path.name}": path.stat().st_mtime_ns for path in run.glob("*/*.parquet")}


def made_anew(run: Path, before: dict[str, int]) -> set[str]:
    return {name.split("/")[0] for name, time in times(run).items() if before.get(name) != time}


def forget(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["steps"] = {}
    (run / "run.json").write_text(json.dumps(record))


def reasons(run: Path) -> set[str | None]:
    return {one["reject_reason"] for row in read_shards(run / "guarded")["candidates"] for one in row}


def test_other_evaluation_data_under_the_same_name_are_noticed(make, tmp_path):
    evaluation = tmp_path / "evaluation.jsonl"
    evaluation.write_text(json.dumps({"text": "Nobody stood on the old bridge when the first train came by."}))
    asked = f"corpus.guards.decontaminate={{sources: [{{source: {evaluation}}}], ngram_words: 8, min_words: 4}}"
    run = make(asked)
    before = {path: path.stat().st_mtime_ns for path in shard_paths(run / "candidates")}
    assert "overlaps_evaluation" not in reasons(run)
    evaluation.write_text(json.dumps({"text": "The house number 3 stands by the river, and 4 people live in it."}))
    evaluation_runs.cache_clear()  # as in a process of its own
    make(asked, MARGIN, update=True)
    assert "overlaps_evaluation" in reasons(run)
    assert {path: path.stat().st_mtime_ns for path in shard_paths(run / "candidates")} == before


def test_a_changed_recipe_is_refused_with_the_difference(make):
    run = make()
    before = times(run)
    with pytest.raises(RunFolderError, match=r"min_margin: was 0\.0, is 0\.2\n.*--update"):
        make(MARGIN)
    assert times(run) == before


@pytest.mark.parametrize("setting", ["concurrency=3", "device=cpu", "memory_share=0.2", "timeout_seconds=5"])
def test_settings_that_change_no_row_keep_every_shard_without_a_word(make, setting):
    run = make()
    before = times(run)
    forget(run)
    make(f"corpus.generate.engine.{setting}")
    assert times(run) == before


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (MARGIN, {"corpus"}),
        ("corpus.score.unconditional=true", {"scored", "corpus"}),
        ("corpus.guards.rules.max_words=30", {"guarded", "unique", "scored", "corpus"}),
        ("corpus.generate.n=2", {"candidates", "guarded", "unique", "scored", "corpus"}),
        ("corpus.limit.max_tokens=100", set(STAGES)),
        ("corpus.generate.engine.revision=main", set(STAGES) - {"fragments"}),
        ("corpus.generate.engine.concurrency=3", set()),
    ],
)
def test_an_update_rebuilds_what_the_change_affects(make, change, anew):
    run = make()
    before = times(run)
    make(change, update=True)
    assert made_anew(run, before) == anew
    assert make(change) == run  # and from then on it is the run of the changed recipe


def test_an_update_gives_the_corpus_of_a_new_folder(make):
    run = make()
    make("corpus.generate.n=2", MARGIN, update=True)
    changed = read_shards(run / "corpus")[:]
    for path in sorted(run.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    make("corpus.generate.n=2", MARGIN)
    assert read_shards(run / "corpus")[:] == changed


def test_an_update_removes_stages_that_are_no_longer_part_of_the_recipe(make):
    run = make()
    make("corpus.guards=none", update=True)
    assert not (run / "guarded").exists()
    assert not (run / "unique").exists()


def test_fewer_passages_leave_no_shard_of_the_many(make):
    run = make()
    before = times(run)
    make("corpus.passages.max_rows=5", update=True)
    assert [path.name for path in shard_paths(run / "corpus")] == ["00000.parquet", "00001.parquet"]
    assert times(run)["scored/00000.parquet"] == before["scored/00000.parquet"]


@pytest.mark.parametrize("stage", STAGES)
def test_only_a_damaged_shard_is_named_and_rebuilt(make, stage, caplog):
    run = make()
    whole = {name: read_shards(run / name)[:] for name in STAGES}
    before = times(run)
    path = run / stage / "00001.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    forget(run)
    make()
    assert f"{stage}/00001.parquet is damaged; it will be rebuilt" in caplog.text
    assert {name for name, time in times(run).items() if before[name] != time} == {f"{stage}/00001.parquet"}
    assert {name: read_shards(run / name)[:] for name in STAGES} == whole


def test_a_shard_built_from_other_inputs_is_never_used(make):
    run = make()
    forget(run)
    (run / "scored" / "00000.parquet").write_bytes((run / "scored" / "00001.parquet").read_bytes())
    before = times(run)
    with pytest.raises(
        RunFolderError, match=r"scored/00000\.parquet was built from other settings, models or passages"
    ):
        make()
    assert times(run) == before
    make(update=True)
    assert {name for name, time in times(run).items() if before[name] != time} == {"scored/00000.parquet"}


def test_an_update_says_what_it_keeps_before_it_starts(make):
    make()
    said = []
    make("corpus.select.min_margin=0.2", update=True, announce=said.append)
    assert said[0] == (
        "Update: recipe.corpus.select.min_margin: was 0.0, is 0.2. Kept: no step. Runs again: corpus, where shards "
        "that fit are kept."
    )
    kept = "; ".join(f"{stage} 4 kept" for stage in STAGES[:-1])
    assert said[1:] == [f"Shards: {kept}; corpus 4 rebuilt.", "1/1 corpus"]


def test_more_passages_keep_every_finished_shard(make, tmp_path):
    """The last shard has two passages of three: it stays as it is, and what follows is in shards of its own."""
    whole = "corpus.extract={whole: {}}"
    run = make("corpus.passages.max_rows=11", whole)
    before, first = times(run), read_shards(run / "corpus").to_list()
    with (tmp_path / "texts.jsonl").open("a") as file:
        file.writelines(json.dumps({"text": f"Boat {n} lies in the old harbor of the town."}) + "\n" for n in range(5))
    said = []
    make("corpus.passages.max_rows=null", whole, update=True, may_discard=False, announce=said.append)
    assert "; ".join(f"{stage} 4 kept" for stage in STAGES) in said[1]
    after = times(run)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * len(STAGES)
    rows = read_shards(run / "corpus").to_list()
    assert rows[: len(first)] == first
    assert {row["text"][:6] for row in rows[len(first) :]} >= {"Boat 0", "Boat 4"}
    (run / "unique" / "00003.parquet").unlink()  # the shard of two passages, which is built again as it was
    (run / "fragments" / "00003.parquet").unlink()
    forget(run)
    make("corpus.passages.max_rows=null", whole)
    assert read_shards(run / "corpus").to_list() == rows
    for path in sorted(run.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert read_shards(make("corpus.passages.max_rows=null", whole) / "corpus").to_list() == rows


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("corpus.generate.n=2", "4 shards of candidates .*, 4 shards of guarded .*, 4 shards of corpus"),
        ("corpus.passages.max_rows=4", "2 shards of fragments .* 3 shards of candidates|3 shards of fragments"),
        ("corpus.score=none", "4 shards of corpus .*, 4 shards of scored"),
    ],
)
def test_what_models_made_is_thrown_away_only_with_a_word(make, change, lost):
    run = make()
    before, record = times(run), (run / "run.json").read_bytes()
    more = [change, *(["corpus.select.choose=first"] if "none" in change else [])]
    with pytest.raises(
        RunFolderError, match=f"throws away what models made: .*{lost}.* Nothing was changed. Add --yes"
    ):
        make(*more, update=True, may_discard=False)
    assert (times(run), (run / "run.json").read_bytes()) == (before, record)
    make(*more, update=True)
    make(MARGIN if "none" not in change else "corpus.select.seed=1", *more, update=True, may_discard=False)


@pytest.mark.parametrize("content", ["{", "[]", '{"steps": 1}', "", '{"recipe": [], "inputs": {}, "steps": {}}'])
def test_a_damaged_record_is_named_and_an_update_keeps_the_shards(make, content):
    run = make()
    before = times(run)
    (run / "run.json").write_text(content)
    with pytest.raises(
        RunFolderError, match=r"run\.json: .*this one is damaged.*--update|holds a run of another recipe"
    ):
        make()
    assert times(run) == before
    make(update=True)
    assert times(run) == before


def test_a_changed_step_forgets_those_that_read_it():
    steps = {name: {} for name in STEPS}
    assert list(_untouched(steps, ["recipe.follower.learning_rate: was 1, is 2"])) == ["seeds", "generator", "corpus"]
    assert list(_untouched(steps, ["recipe.corpus.generate.n: was 1, is 2"])) == ["seeds", "generator"]
    assert list(_untouched(steps, ["inputs.seeds: was 'a', is 'b'"])) == []


def test_a_second_run_in_the_folder_is_refused_by_name(make, tmp_path):
    folder = str(tmp_path / "run")
    code = "from pathlib import Path\nfrom davidgen_hf.storage.lock import hold\n"
    code += f"with hold(Path({folder!r})):\n"
    code += "    print('held', flush=True)\n    input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as holder:
        holder.stdout.readline()
        with pytest.raises(RunFolderError, match=rf"is in use: process {holder.pid} on \S+ works in it"):
            make()
        holder.kill()
    assert (make() / "corpus").is_dir()  # one that was killed leaves no lock behind


def test_parts_run_at_the_same_time_but_not_with_the_whole(tmp_path):
    with hold(tmp_path, "1/2"), hold(tmp_path, "2/2"):
        with pytest.raises(RunFolderError, match="in use"), hold(tmp_path, "1/2"):
            pass
        with pytest.raises(RunFolderError, match="in use"), hold(tmp_path):
            pass
