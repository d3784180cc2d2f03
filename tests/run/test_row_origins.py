"""Every row of a corpus of mixed sources leads back to the exact characters that it was made of."""

import json
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset

from davidgen_hf.provenance import read_provenance
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.sources import embedded
from davidgen_hf.storage.shards import read_shards


@pytest.fixture(scope="module")
def documents(shared_data, tmp_path_factory) -> dict[tuple[str, str], str]:
    """The texts as they lie on disk, by the name of their source and their id there; they lie in ``folder``."""
    folder = tmp_path_factory.mktemp("sources")
    with (shared_data / "passages" / "enwiki.jsonl").open(encoding="utf-8") as file:
        paragraphs = [json.loads(line)["text"] for line, _ in zip(file, range(24), strict=False)]
    long = ["\n\n".join(paragraphs[first : first + 4]) for first in range(0, 24, 4)]
    rows = [{"id": f"d{number}", "body": text} for number, text in enumerate(long)]
    (folder / "wiki.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = {("wiki.jsonl", row["id"]): row["body"] for row in rows}

    plain = [text for text in embedded.passages()["text"][:] if len(text) < 700][:8]
    (folder / "manuals").mkdir()
    for number in range(2):
        part = plain[number * 4 : number * 4 + 4]
        name = f"part-{number}.parquet"
        Dataset.from_dict({"text": part}).to_parquet(folder / "manuals" / name)
        found |= {("manuals", f"{name}:{row}"): text for row, text in enumerate(part, start=1)}

    for path in sorted((shared_data / "superni" / "tasks").glob("*.json")):
        for one in json.loads(path.read_text("utf-8"))["Instances"]:
            found["superni", one["id"]] = one["output"][0]
    return found | {("folder", ""): str(folder)}


@pytest.fixture(scope="module")
def run(documents, shared_data, tmp_path_factory) -> Path:
    folder, output = documents["folder", ""], tmp_path_factory.mktemp("run")
    sources = [
        {
            "source": f"{folder}/wiki.jsonl",
            "text_column": "body",
            "license": "CC BY-SA 4.0",
            "paragraphs": {"min_words": 20, "max_words": 60},
        },
        {"source": f"{shared_data}/superni", "text_column": "targets", "rows_per_task": 1, "max_rows": 12},
        {"source": f"{folder}/manuals"},
    ]
    declared = {
        "wiki.jsonl": {"written_by": "people", "statement": "The editors of Wikipedia wrote it."},
        "manuals": {"written_by": "people", "statement": "The developers of Python did.", "license": "PSF-2.0"},
    }
    asked = [
        f"corpus.passages={json.dumps(sources)}",
        "corpus.extract={whole: {}, keywords: {}, sentence: {}}",
        *("corpus.guards=none", "corpus.shard_rows=7", "corpus.limit.max_tokens=60"),
        *(f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")),
        "corpus.generate.engine.model=echo",
        f"provenance.declarations={json.dumps(declared)}",
        *("provenance.allow_restricted=false", "provenance.undeclared=stop"),
    ]
    run_recipe(load_recipe("demo", asked), output / "out", lambda _: None, steps=["corpus"])
    return output / "out"


def test_every_row_leads_back_to_its_characters(run, documents):
    rows = read_shards(run / "corpus")
    parts = {part.id: part for part in read_provenance(run).parts}
    cut = 0
    for row in rows:
        document = documents[row["source"], row["document"]]
        there = document[row["document_start"] : row["document_end"]]
        assert there.startswith(row["text"])
        cut += there != row["text"]
        if row["strategy"] == "keywords":
            assert (row["start"], row["end"]) == (None, None)
            assert all(word in row["text"].lower() for word in row["output"].lower().replace(",", " ").split())
        else:
            start = row["document_start"] + row["start"]
            assert document[start : start + len(row["output"])] == row["output"]
        assert parts[row["source"]].role == "passages"
        assert {parts[row["made_with"][role]].answer for role in ("generator", "scorer")} == {"clean"}
        assert row["restricted"] is False
        assert row["license"]
    strategies = Counter((row["source"], row["strategy"]) for row in rows)
    assert len(strategies) == 9
    assert cut > 0
    assert len({(row["source"], row["id"], row["strategy"]) for row in rows}) == len(rows)


def test_the_record_names_every_source_and_what_was_declared(run):
    provenance = read_provenance(run)
    passages = {part.name: part for part in provenance.of_role("passages")}
    assert {name: (part.answer, part.verdict.declaration is not None) for name, part in passages.items()} == {
        "wiki.jsonl": ("clean", True),
        "superni": ("clean", False),
        "manuals": ("clean", True),
    }
    assert provenance.license == "cc-by-sa-4.0"
    licenses = {row["source"]: row["license"] for row in read_shards(run / "corpus", ["source", "license"])}
    assert (licenses["wiki.jsonl"], licenses["manuals"]) == ("CC BY-SA 4.0", "PSF-2.0")


def test_sources_follow_one_another_in_their_order(run):
    order = dict.fromkeys(read_shards(run / "fragments", ["source"])["source"][:])
    assert list(order) == ["wiki.jsonl", "superni", "manuals"]
