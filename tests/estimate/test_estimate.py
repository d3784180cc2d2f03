"""An estimate runs every part of a recipe on a sample, and scales it."""

import json
import re

import pytest
from typer.testing import CliRunner

from davidgen_hf import cli
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.estimate import Estimate, EstimateSettings, Part, estimate
from davidgen_hf.estimate.steps import _population, count_checkpoints
from davidgen_hf.recipe import load_recipe

PARTS = ["reading", "generator", "fragments", "candidates", "guarded", "unique", "scored", "corpus", "follower"]


@pytest.fixture
def asked(tmp_path, tiny_llama) -> list[str]:
    """Overrides of the demo recipe for a tiny model, 40 passages and 30 seeds."""
    place = "The house number {n} stands by the river. It was built long ago, and {n} people live in it."
    passages = [{"text": " ".join([place.format(n=n)] * (1 + n % 3))} for n in range(40)]
    seeds = [{"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} others flow."} for n in range(30)]
    for name, rows in (("p", passages), ("s", seeds)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    model = (f"model_name_or_path={tiny_llama}", "bf16=false")
    steps = [f"{step}.{key}" for step in ("generator", "follower") for key in model]
    return [
        f"corpus.passages.source={tmp_path}/p.jsonl",
        f"seeds.source.source={tmp_path}/s.jsonl",
        "corpus.passages.max_rows=null",
        "corpus.limit.max_tokens=150",
        "corpus.extract={whole: {}}",
        "corpus.generate.sampling.max_new_tokens=8",
        "evaluation.max_new_tokens=8",
        "generator.num_train_epochs=4",
        *steps,
    ]


def test_every_part_is_run_and_scaled(asked, tmp_path):
    said = []
    found = estimate(load_recipe("demo", asked), EstimateSettings(sample=8), tmp_path / "work", said.append)
    assert [part.name for part in found.parts] == [*PARTS, "evaluation"]
    assert (found.passages, found.sampled) == (40, 8)
    parts = {part.name: part for part in found.parts}
    for name in ("generator", "candidates", "scored", "follower", "evaluation"):
        assert parts[name].tokens > 0
        assert parts[name].seconds > 0
    for name in ("generator", "fragments", "scored", "corpus"):
        assert parts[name].disk_bytes > 0
        assert parts[name].memory_bytes > 50e6
    shared = [part.name for part in found.parts if part.shared]
    assert shared == ["fragments", "candidates", "guarded", "scored", "corpus"]
    assert found.seconds(4) < found.seconds(1)
    assert found.seconds(4) > parts["generator"].on(1) + parts["follower"].on(1)
    assert "95% of the candidates are taken to pass the guards" in found.notes[0]
    assert len(said) >= 4


@pytest.mark.slow
def test_a_method_without_passages_is_estimated_by_its_prompts(asked, tiny_model, tmp_path):
    from transformers import LlamaConfig

    model = tiny_model(LlamaConfig, max_position_embeddings=4096)
    own = ["corpus.prompts=40", "corpus.generate.sampling.max_new_tokens=60", "generator.max_length=4096"]
    own += [f"{step}.model_name_or_path={model}" for step in ("generator", "follower")]
    kept = [one for one in asked if not one.startswith(("corpus.", "generator.model", "follower.model"))]
    recipe = load_recipe("self_instruct", [*kept, *own])
    found = estimate(recipe, EstimateSettings(sample=6, accepted_share=0.5), tmp_path / "work", lambda _: None)
    names = ["reading", "generator", "tasks", "guarded", "novel", "corpus", "follower", "evaluation"]
    assert [part.name for part in found.parts] == names
    assert (found.passages, found.sampled, found.unit) == (40, 6, "prompts")
    parts = {part.name: part for part in found.parts}
    assert parts["tasks"].seconds > 0
    assert parts["tasks"].tokens > 40 * 500  # the requirements of Table 8 alone
    assert not parts["novel"].shared
    # The generator is not trained yet, so seeds stand for its two tasks per prompt.
    assert parts["follower"].tokens > 0
    assert "50% of the candidates are taken to pass the guards" in found.notes[0]


@pytest.mark.parametrize(
    ("config", "checkpoints"),
    [
        ({"save_strategy": "no"}, 0),
        ({}, 1),  # transformers' own: every 500 steps, and the last
        ({"save_steps": 10}, 3),
        ({"save_steps": 0.1}, 9),  # of 25 steps, every third
        ({"save_strategy": "epoch", "num_train_epochs": 2}, 2),
    ],
)
def test_checkpoints_are_counted_as_a_training_writes_them(config, checkpoints):
    assert count_checkpoints(config, 25) == checkpoints


def test_tokens_grow_with_the_input_and_the_epochs(asked, tmp_path):
    recipe = load_recipe("demo", asked)
    more = load_recipe("demo", [*asked, "generator.num_train_epochs=8"])
    one = estimate(recipe, EstimateSettings(sample=8), tmp_path / "a", str)
    other = estimate(more, EstimateSettings(sample=8, passages=400), tmp_path / "b", str)
    tokens = [{part.name: part.tokens for part in found.parts} for found in (one, other)]
    assert tokens[1]["generator"] == pytest.approx(2 * tokens[0]["generator"])
    assert tokens[1]["scored"] == pytest.approx(10 * tokens[0]["scored"])
    assert tokens[1]["follower"] == pytest.approx(10 * tokens[0]["follower"], rel=0.02)


def test_a_trained_generator_shows_what_the_guards_let_through(asked, tmp_path, tiny_llama):
    named = [*asked, f"corpus.generate.engine.model={tiny_llama}", "corpus.generate.engine.dtype=float32"]
    found = estimate(load_recipe("demo", named), EstimateSettings(sample=8), tmp_path / "work", str)
    assert not any("taken to pass" in note for note in found.notes)


def test_what_stops_the_run_stops_its_estimate(asked, tmp_path):
    with pytest.raises(InputError, match=r"There is no file or folder 'nowhere\.txt'"):
        estimate(
            load_recipe("demo", [*asked, "corpus.passages.source=nowhere.txt"]), EstimateSettings(), tmp_path, str
        )


def test_the_command_shows_a_table(asked):
    shown = CliRunner().invoke(cli.app, ["estimate", "demo", *asked, "--sample", "4", "--workers", "3"])
    assert shown.exit_code == 0
    text = re.sub(r"\s+", " ", shown.output)
    assert "40 passages, from 4 run for real" in text
    assert "whole run" in text
    assert "3 workers" in text


def test_workers_share_rows_and_not_loading():
    parts = [Part("a", seconds=90.0, fixed_seconds=10.0, shared=True), Part("b", seconds=40.0)]
    found = Estimate(10, 2, parts)
    assert (found.seconds(), found.seconds(3)) == (140.0, 80.0)


@pytest.mark.parametrize("settings", [{"sample": 1}, {"passages": 0}, {"accepted_share": 0.0}])
def test_bounds_are_checked(settings):
    with pytest.raises(SettingError, match=r"sample must be at least 2, passages at least 1 and accepted_share in"):
        EstimateSettings(**settings)


@pytest.mark.parametrize(
    ("more", "passages"), [([], 12), (["corpus.select.keep=2"], 8), (["corpus.target_pairs=99"], 40)]
)
def test_a_target_bounds_the_passages_that_are_read(asked, more, passages):
    """Half of the candidates pass: 15 of 16 fragments have one of four, and 11 have two."""
    recipe = load_recipe("demo", [*asked, "corpus.target_pairs=10", "corpus.shard_rows=4", *more])
    assert _population(recipe, EstimateSettings(sample=4, accepted_share=0.5)).count == passages
