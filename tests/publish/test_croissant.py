"""``croissant.json``: the reference library finds it valid and loads the rows, which lead to their passages."""

import json
import logging
from pathlib import Path

import mlcroissant
import pytest
from datasets import load_dataset

from davidgen_hf.publish.folder import build_folder
from davidgen_hf.storage.shards import read_shards


@pytest.fixture(scope="module")
def built(tiny_run, declared_run, tmp_path_factory) -> Path:
    return build_folder([tiny_run, declared_run], tmp_path_factory.mktemp("croissant") / "corpus", repo="org/houses")


def test_it_is_valid_and_its_records_are_the_rows(built, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(built / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    assert not caplog.records
    names = {one.id for one in dataset.metadata.record_sets}
    assert names >= {"unsupervised", "supervised", "extracted", "combined", "scored", "seeds-train", "seeds-test"}
    for name in names:
        config, _, split = name.partition("-")
        rows = list(load_dataset(str(built), config, split=split or "train"))
        records = [_plain(one, name) for one in dataset.records(name)]
        if name == "combined":  # the files of its parts may come in another order
            records, rows = (sorted(one, key=json.dumps) for one in (records, rows))
        assert records == rows, name


def test_five_rows_lead_to_the_characters_of_their_passages(built, tiny_run):
    described = json.loads((built / "croissant.json").read_text("utf-8"))
    (extracted,) = [one for one in described["recordSet"] if one["@id"] == "extracted"]
    columns = {
        one["equivalentProperty"]: [field["source"]["extract"]["column"] for field in one["subField"]]
        for one in extracted["annotation"]
    }
    assert set(columns) == {"prov:wasDerivedFrom", "prov:wasAttributedTo", "prov:wasGeneratedBy", "sc:usageInfo"}
    derived = columns["prov:wasDerivedFrom"]
    passages = {
        one["id"]: one["output"]
        for one in map(json.loads, (tiny_run.parent / "passages.jsonl").read_text("utf-8").splitlines())
    }
    walked = 0
    for record in mlcroissant.Dataset(built / "croissant.json").records("extracted"):
        row = _plain(record, "extracted")
        place = {name: row[name] for name in derived}
        if place["source"] == "passages.jsonl" and place["start"] is not None and place["document"] in passages:
            passage = passages[place["document"]][place["document_start"] : place["document_end"]]
            assert passage[place["start"] : place["end"]] == row["output"]
            assert row["made_with"]["generator"]
            walked += 1
    assert walked >= 5


def test_it_says_what_run_json_says(built, tiny_run):
    described = json.loads((built / "croissant.json").read_text("utf-8"))
    record = json.loads((tiny_run / "run.json").read_text("utf-8"))
    models = {part["id"] for part in record["provenance"]["parts"] if part["role"] == "generator"}
    assert any(model in tool for model in models for tool in described["rai:machineAnnotationTools"])
    assert any("max_new_tokens = 8" in one for one in described["rai:dataPreprocessingProtocol"])
    assert "License: " in described["usageInfo"]
    assert len(read_shards(tiny_run / "corpus")) > 0


def _plain(value, place):
    """A record without the ids of its record set, and with text in place of bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list):
        return [_plain(one, place) for one in value]
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: _plain(one, place) for name, one in value.items()}
    return value
