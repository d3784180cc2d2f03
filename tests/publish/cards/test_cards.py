"""The three cards of a run: valid, complete, made of the run's own figures, and their examples run."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from huggingface_hub import DatasetCard, ModelCard, metadata_load
from markdown_it import MarkdownIt
from markdown_it.token import Token

from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish.builder import PAIRS, SCORED, SEEDS
from davidgen_hf.publish.cards import README, read_notes, refresh_cards, write_cards
from davidgen_hf.publish.cards.license import license_metadata
from davidgen_hf.publish.cards.notes import NOTES
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.recipe import FILES
from davidgen_hf.storage.shards import read_shard, read_shards, write_shard
from davidgen_hf.training import train

CARDS = (README, f"generator/{README}", f"follower/{README}")
TREE = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def run(tiny_run, tmp_path) -> Path:
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def shown(token: Token) -> str:
    """Return what a line or cell shows."""
    return "".join("\n" if child.content == "<br>" else child.content for child in token.children)


def change_record(run: Path, **facts) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | facts))


def python_block(card: Path) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", card.read_text("utf-8"), re.DOTALL)
    return block


def headings(card: Path) -> list[str]:
    tokens = TREE.parse(ModelCard.load(card).text)
    return [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]


def test_a_run_ends_with_its_cards(tiny_run):
    assert [name for name in CARDS if not (tiny_run / name).is_file()] == []
    assert str(tiny_run.parent) not in "".join((tiny_run / name).read_text("utf-8") for name in CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_what_a_row_holds_changes_nothing_of_the_card(tiny_run, name):
    metadata = metadata_load(tiny_run / name)
    assert metadata["license"] == "other"
    assert "<script" not in (tiny_run / name).read_text("utf-8")
    expected = {README: 11, f"generator/{README}": 8, f"follower/{README}": 9}[name]
    assert len(headings(tiny_run / name)) == expected
    html = [token for token in TREE.parse(ModelCard.load(tiny_run / name).text) if token.type == "html_block"]
    assert [token.content.strip() for token in html] == [NOTES]


def test_the_corpus_card_counts_what_the_files_hold(tiny_run):
    pairs, scored = read_shards(tiny_run / "corpus"), read_shards(tiny_run / "scored")
    text = (tiny_run / README).read_text("utf-8")
    assert f"{len(pairs)} pairs of an instruction and its output" in text
    assert f"| `combined` | train | {len(pairs)} | all pairs |" in text
    assert f"| candidates | candidates | {sum(map(len, scored['candidates']))} |" in text
    for license in ("CC BY-SA 4.0", "Apache-2.0"):
        assert f"| passages.jsonl | - | - | {license} | {pairs['license'][:].count(license)} |" in text
    assert metadata_load(tiny_run / README)["size_categories"] == ["n<1K"]


def test_every_column_is_described_once(tiny_run):
    text = (tiny_run / README).read_text("utf-8")
    for column in {*PAIRS, *SCORED, *SEEDS}:
        assert len(re.findall(rf"^\| `{column}` \| ..", text, re.MULTILINE)) == 1, column


def test_the_perplexities_are_in_their_order(tiny_run):
    rows = re.findall(r"\| (winner|random|loser) \| ([\d,.]+) \|", (tiny_run / README).read_text("utf-8"))
    means = [float(mean.replace(",", "")) for _, mean in rows]
    assert [name for name, _ in rows] == ["winner", "random", "loser"]
    assert means[0] < means[1] < means[2]


def test_the_sampled_rows_are_of_the_corpus(tiny_run):
    tokens = TREE.parse(DatasetCard.load(tiny_run / README).text)
    start = next(place for place, token in enumerate(tokens) if token.content == "10 rows, drawn at random")
    cells = [shown(token) for token in tokens[start + 1 :] if token.type == "inline"]
    outputs = {re.sub("[\u202c\u202e]", "\ufffd", row["output"]) for row in read_shards(tiny_run / "corpus")}
    assert len(cells[6:44:4]) == 10
    assert set(cells[6:44:4]) <= outputs


def test_load_dataset_reads_the_folder_of_a_run(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "datasets.config.HF_DATASETS_CACHE", tmp_path
    )  # which takes any folder called run for this one
    monkeypatch.chdir(tiny_run.parent)
    found: dict = {}
    exec(python_block(tiny_run / README), found)
    assert found["rows"]["id"][:] == read_shards(tiny_run / "corpus")["id"][:]
    assert set(load_dataset(str(tiny_run), "seeds")) == {"train", "test"}


def test_load_dataset_does_not_bring_back_the_rows_of_an_earlier_corpus(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    before = load_dataset("run", "combined", split="train")["id"][:]
    shard = sorted((run / "corpus").glob("*.parquet"))[0]
    rows = read_shard(shard)
    write_shard(rows.select([0]), shard, {"pairs": 1}, 0.0, "other inputs")
    write_cards(run)
    after = load_dataset("run", "combined", split="train")["id"][:]
    assert after == read_shards(run / "corpus")["id"][:] != before


@pytest.mark.parametrize("role", ["generator", "follower"])
def test_the_example_of_a_model_runs(tiny_run, role, monkeypatch, capsys):
    monkeypatch.chdir(tiny_run.parent)
    exec(python_block(tiny_run / role / README).replace("max_new_tokens=256", "max_new_tokens=8"), {})
    assert capsys.readouterr().out


def test_the_recipe_in_a_card_is_that_of_the_run(tiny_run):
    text = (tiny_run / "follower" / README).read_text("utf-8")
    record = json.loads((tiny_run / "run.json").read_text())
    blocks = re.findall(r"`recipe/(\S+)`:\n\n```yaml\n(.*?)```", text, re.DOTALL)
    assert {name: yaml.safe_load(block) for name, block in blocks} == {
        name: record["recipe"][section] for section, name in FILES.items()
    }


def test_a_repository_is_named_throughout(run):
    write_cards(run, repo="org/my_houses")
    assert 'load_dataset("org/my_houses", "combined"' in (run / README).read_text("utf-8")
    follower = run / "follower" / README
    assert 'model="org/my_houses-follower"' in follower.read_text("utf-8")
    assert metadata_load(follower)["datasets"] == ["org/my_houses"]
    assert ModelCard.load(follower).data.model_name == "my_houses-follower"


def test_own_words_stay(run):
    for name in CARDS:
        with (run / name).open("a", encoding="utf-8") as card:
            card.write("\nMy words.\n\n## More of them\n")
    write_cards(run)
    write_cards(run)
    assert [read_notes(run / name) for name in CARDS] == ["My words.\n\n## More of them"] * 3


def test_base_models_and_data_of_the_hub_are_linked(run):
    record = json.loads((run / "run.json").read_text())
    record["recipe"]["generator"]["model_name_or_path"] = "HuggingFaceTB/SmolLM2-360M"
    record["recipe"]["seeds"]["source"]["source"] = "databricks/databricks-dolly-15k"
    record["provenance"]["parts"] = []
    change_record(run, **record)
    write_cards(run)
    metadata = metadata_load(run / "generator" / README)
    assert (metadata["base_model"], metadata["base_model_relation"]) == ("HuggingFaceTB/SmolLM2-360M", "finetune")
    assert (metadata["license"], metadata["datasets"]) == ("apache-2.0", ["databricks/databricks-dolly-15k"])
    assert metadata["library_name"] == "transformers"


def test_an_adapter_is_called_one(run):
    record = json.loads((run / "run.json").read_text())
    record["recipe"]["follower"]["model_name_or_path"] = "HuggingFaceTB/SmolLM2-1.7B"
    change_record(run, recipe=record["recipe"])
    (run / "follower" / "adapter_config.json").write_text("{}")
    write_cards(run)
    metadata = metadata_load(run / "follower" / README)
    assert (metadata["library_name"], metadata["base_model_relation"]) == ("peft", "adapter")
    assert "an adapter (lora) of [HuggingFaceTB/SmolLM2-1.7B]" in (run / "follower" / README).read_text("utf-8")


def test_the_example_of_an_adapter_runs(run, tiny_llama, monkeypatch, capsys):
    shutil.rmtree(run / "follower")
    settings = {"model_name_or_path": str(tiny_llama), "use_peft": True, "lora_target_modules": ["all-linear"]}
    settings |= {"max_steps": 1, "bf16": False, "report_to": "none", "use_cpu": True, "save_strategy": "no"}
    train(read_shards(run / "corpus", ["prompt", "completion"]), settings, output_dir=run / "follower")
    write_cards(run)
    assert metadata_load(run / "follower" / README)["library_name"] == "peft"
    monkeypatch.chdir(run.parent)
    exec(python_block(run / "follower" / README).replace("max_new_tokens=256", "max_new_tokens=8"), {})
    assert capsys.readouterr().out


def test_a_demo_of_version_0_1_is_restricted(run):
    assert "[!WARNING]" not in "".join((run / name).read_text("utf-8") for name in CARDS)
    change_record(run, demo=True)
    write_cards(run)
    for name in CARDS:
        assert "> Restricted: " in (run / name).read_text("utf-8")
        assert "restricted" in metadata_load(run / name)["tags"]


def score(value: float) -> dict:
    return {"value": value, "stderr": 0.1, "interval": [value - 0.2, value + 0.2]}


def test_an_evaluation_comes_into_the_cards(run):
    results = {
        "model": {"name": "m", "commit": None},
        "method": "my | recipe",
        "restricted": None,
        "size": 12,
        "benchmarks": {"superni": {"metric": "rougeL", "n": 118, "scores": {"rougeL": score(10.5)}}},
    }
    (run / "evaluation" / "results.json").write_text(json.dumps(results))
    refresh_cards(run)
    card = ModelCard.load(run / "follower" / README)
    (found,) = card.data.eval_results
    assert (found.dataset_type, found.metric_value) == ("Muennighoff/natural-instructions", 10.5)
    for name in (README, f"follower/{README}"):
        assert "| my \\| recipe | unknown | 12 | **10.50** [10.30, 10.70] |" in (run / name).read_text("utf-8")


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path):
    refresh_cards(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_of_a_training(run):
    (run / "follower" / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"follower/run\.json: .*damaged"):
        write_cards(run)


def test_a_training_that_is_not_finished(run):
    (run / "follower" / "run.json").write_text('{"finished": false}')
    with pytest.raises(RunFolderError, match="follower holds no finished training"):
        write_cards(run)


def test_a_corpus_built_alone_reports_no_training(run):
    record = json.loads((run / "run.json").read_text())
    used = [part for part in record["provenance"]["parts"] if part["role"] in ("passages", "scorer")]
    change_record(run, steps={"corpus": record["steps"]["corpus"]}, provenance=record["provenance"] | {"parts": used})
    for role in ("generator", "follower", "seeds"):
        shutil.rmtree(run / role)
    write_cards(run)
    text = (run / README).read_text("utf-8")
    assert "| train the " not in text
    assert "| seeds | " not in text
    assert "davidgen corpus recipes/run --output runs/run" in text
    assert "No follower was evaluated." in text


def test_pictures_of_a_run_are_shown(run):
    (run / "pictures" / "row_counts.png").touch()
    write_cards(run)
    assert "![row counts](pictures/row\\_counts.png)" in (run / README).read_text("utf-8")


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        ("cc-by-sa-4.0", {"license": "cc-by-sa-4.0"}),
        ("psf-2.0", {"license": "other", "license_name": "psf-2.0"}),
        (None, {"license": "other", "license_name": "not-determined"}),
    ],
)
def test_a_licence_that_the_hub_does_not_know_is_another(license, expected):
    assert license_metadata(license) == expected


@pytest.mark.parametrize("last", ["seeds", "generator"])
def test_a_run_that_has_no_corpus_yet_has_the_cards_of_what_it_has(run, last):
    record = json.loads((run / "run.json").read_text())
    steps = {name: record["steps"][name] for name in ("seeds", "generator")[: 1 if last == "seeds" else 2]}
    change_record(run, steps=steps)
    for name in (
        "fragments",
        "candidates",
        "scored",
        "corpus",
        "follower",
        *(["generator"] if last == "seeds" else []),
    ):
        shutil.rmtree(run / name)
    assert write_cards(run) == ([] if last == "seeds" else [run / "generator" / README])
    with pytest.raises(RunFolderError, match=r"has no finished corpus yet\. Finish it with `davidgen run`"):
        build_folder([run], run.parent / "built")


def test_several_sources_of_seeds_are_named_as_far_as_they_are_on_the_hub(run):
    record = json.loads((run / "run.json").read_text())
    names = ("databricks/databricks-dolly-15k", "seeds.jsonl", "org/seeds")
    record["recipe"]["seeds"]["source"] = [{"source": name} for name in names]
    change_record(run, recipe=record["recipe"])
    write_cards(run)
    assert metadata_load(run / "generator" / README)["datasets"] == [names[0], names[2]]
    assert "1.source = databricks/databricks-dolly-15k" in (run / README).read_text("utf-8")
