"""A generator that is trained on its own preferences: what it learns from, what it is judged by, and when it stops."""

import json
import shutil
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.processors import SelectInstruction
from davidgen_hf.provenance import read_provenance
from davidgen_hf.report.review.desk import Desk
from davidgen_hf.report.review.requests import Decision
from davidgen_hf.run.generations import Judged, compare_generations, judge
from davidgen_hf.run.improve import ImproveSettings, describe, improve
from davidgen_hf.storage.shards import read_shards

TRAINING = {"learning_rate": 1e-2, "bf16": False, "max_steps": 2, "disable_tqdm": True}

JUDGED_AND_LEARNED = ("round_0/held_out", "round_2/learned")


@pytest.mark.slow
def test_two_rounds_learn_from_some_passages_and_are_judged_by_others(declared_run, tiny_llama, tmp_path):
    settings = ImproveSettings(rounds=2, held_out=2, min_diversity=0.0, overrides=TRAINING, base_model=str(tiny_llama))
    rounds = improve(declared_run, tmp_path / "out", settings, lambda _: None)
    judged = set(read_shards(tmp_path / "out" / "round_0" / "held_out" / "scored")["text"])
    learned = set(read_shards(tmp_path / "out" / "round_2" / "learned" / "scored")["text"])
    assert (len(judged), len(learned)) == (2, 4)
    assert judged | learned == set(read_shards(declared_run / "scored")["text"])
    outputs = [set(read_shards(tmp_path / "out" / name / "scored")["output"]) for name in JUDGED_AND_LEARNED]
    for number, one in enumerate(rounds, start=1):
        folder = tmp_path / "out" / f"round_{number}"
        assert set(read_shards(folder / "held_out" / "scored")["text"]) == judged
        prompts = read_shards(folder, ["prompt"])["prompt"]
        assert len(prompts) == one.preferences > 0
        judged_by, learned_from = ([any(one in prompt for one in many) for prompt in prompts] for many in outputs)
        assert (any(judged_by), all(learned_from)) == (False, True)
        model = json.loads((folder / "generator" / "run.json").read_text())
        assert (model["trainer"], model["finished"]) == ("dpo", True)
        assert {part.role for part in read_provenance(folder / "generator").parts} == {"data", "base_model"}
    # The first generation writes for the held-out passages what it wrote for them in the run.
    written = {row["output"]: row["candidates"] for row in read_shards(declared_run / "candidates")}
    for row in read_shards(tmp_path / "out" / "round_0" / "held_out" / "candidates"):
        assert row["candidates"] == written[row["output"]]
    assert rounds[0].figures["outputs"] == 4  # two strategies
    content = json.loads((tmp_path / "out" / "improve.json").read_text())
    assert [one["generator"] for one in content["rounds"]] == ["round_1/generator", "round_2/generator"]
    # A second call finds everything done, and other settings are another training.
    before = (tmp_path / "out" / "round_2" / "generator" / "model.safetensors").stat().st_mtime_ns
    assert improve(declared_run, tmp_path / "out", settings, lambda _: None) == rounds
    assert (tmp_path / "out" / "round_2" / "generator" / "model.safetensors").stat().st_mtime_ns == before
    other = ImproveSettings(held_out=2, overrides=TRAINING | {"beta": 0.5}, base_model=str(tiny_llama))
    with pytest.raises(RunFolderError, match="holds another training: recipe was"):
        improve(declared_run, tmp_path / "out", other, lambda _: None)


def test_the_command_learns_what_reviewers_preferred_and_shows_both_generations(declared_run, tiny_llama, tmp_path):
    run = shutil.copytree(declared_run, tmp_path / "run")
    desk = Desk(run)
    for n in range(12):
        row = desk.row(n, "ada")
        seen = {"row": row["key"], "version": row["state"]["version"]}
        edited = {"id": uuid4().hex, "reviewer": "ada", "action": "edit", "instruction": f"What of house {n}?"}
        desk.decide(Decision(**edited, **seen))
    desk.close()
    options = ["--held-out", "2", "--min-diversity", "0", "--base-model", str(tiny_llama)]
    options += [*(f"{key}={value}" for key, value in TRAINING.items())]
    result = CliRunner().invoke(app, ["improve", str(run), *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert set(read_shards(tmp_path / "run_improved" / "round_1", ["chosen_by"])["chosen_by"]) == {"person"}
    output = " ".join(result.output.split())
    assert "4 outputs that neither has learned from" in output
    assert "generation 0" in output
    assert "generation 1" in output
    assert f"--generator {tmp_path}/run_improved/round_1/generator" in output.replace("- ", "-")


@pytest.mark.slow
def test_the_rounds_stop_where_diversity_falls(declared_run, tiny_llama, tmp_path, monkeypatch):
    def collapsing(before, after):
        return compare_generations(before, after) | {"distinct_2": {"before": {"value": 1.0}, "after": {"value": 0.9}}}

    monkeypatch.setattr("davidgen_hf.run.improve.compare_generations", collapsing)
    settings = ImproveSettings(
        rounds=2, held_out=2, min_diversity=0.95, overrides=TRAINING, base_model=str(tiny_llama)
    )
    (found,) = improve(declared_run, tmp_path / "out", settings, lambda _: None)
    assert found.collapsed
    said = list(describe([found], settings))
    assert "Stopped after round 1: the winners' distinct-2 is 90% of the first generation's, below 95%." in said[0]
    assert "Keep the generator before it, that of the run" in said[1]


def test_measures_and_their_intervals(declared_run):
    def judged(*texts: str, worth: float) -> dict:
        return {n: Judged(text, worth + n, copies=0.25, duplicates=n % 2) for n, text in enumerate(texts)}

    texts = [f"What is the name of river number {n}?" for n in range(40)]
    before = judged(*texts, worth=20.0)
    after = judged(*(["What is the name of it?"] * 40), worth=15.0)
    figures = compare_generations(before, after | {39: Judged(None, None, 1.0, 0.0)})
    assert (figures["outputs"], figures["with_two_winners"]) == (40, 39)
    assert figures["perplexity"]["change"] == {"value": -5.0, "interval": [-5.0, -5.0]}
    low, high = figures["perplexity"]["before"]["interval"]
    assert low < figures["perplexity"]["before"]["value"] == 39.0 < high
    assert figures["copies"]["after"]["value"] == pytest.approx((39 * 0.25 + 1) / 40, abs=1e-4)
    assert figures["distinct_2"]["before"]["value"] == pytest.approx((6 + 39) / (7 * 39), abs=1e-4)
    assert figures["distinct_2"]["after"]["value"] == pytest.approx(5 / (5 * 39), abs=1e-4)
    assert figures["distinct_2"]["change"]["interval"][1] < 0
    assert figures["self_rouge_l"]["after"]["value"] == 1.0
    empty = compare_generations({}, {})
    assert [empty[name] for name in ("perplexity", "distinct_2", "self_rouge_l")] == [None] * 3
    found = judge(declared_run / "scored", SelectInstruction())
    assert len(found) == 12
    assert all(one.perplexity > 1 for one in found.values())


def test_what_cannot_be_improved(declared_run, tiny_llama, tmp_path):
    base = str(tiny_llama)
    with pytest.raises(RunFolderError, match=r"names its \w+ 'tiny_llama\d', which is not .*with --base-model"):
        improve(declared_run, tmp_path / "out", ImproveSettings(held_out=2), lambda _: None)
    with pytest.raises(RunFolderError, match=r"has 6 passages, and 6 are to be held out\. Some must be left"):
        improve(declared_run, tmp_path / "out", ImproveSettings(held_out=6, base_model=base), lambda _: None)
    with pytest.raises(SettingError, match=r"rounds must be at least 1, got 0; min_diversity must be 0 to 1, got 2"):
        ImproveSettings(rounds=0, min_diversity=2)
    unreachable = ImproveSettings(held_out=2, min_margin=1e6, base_model=base)
    with pytest.raises(RunFolderError, match="has no preferences"):
        improve(declared_run, tmp_path / "out", unreachable, lambda _: None)
    found = CliRunner().invoke(app, ["improve", str(declared_run), "learning_rate"])
    assert "'learning_rate' is not an override" in str(found.exception)
    found = CliRunner().invoke(
        app, ["improve", str(declared_run), "lerning_rate=1e-6", "--output", str(tmp_path / "new")]
    )
    assert "lerning_rate: unknown key" in str(found.exception)
    assert not (tmp_path / "new").exists()
