"""A folder for the Hub: read by ``load_dataset`` in a process that knows nothing of this package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard

from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish import folder as publish
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.recipe import load_recipe
from davidgen_hf.storage.shards import read_shards

LOADING = """
import json, sys
from datasets import get_dataset_config_names, load_dataset
folder = sys.argv[1]
found = {name: {split: rows["id"][:] for split, rows in load_dataset(folder, name).items()}
         for name in get_dataset_config_names(folder)}
found["default"] = load_dataset(folder, split="train")["id"][:]
found["streamed"] = [row["id"] for row in load_dataset(folder, "unsupervised", split="train", streaming=True)]
assert "davidgen_hf" not in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def built(tiny_run, tmp_path_factory) -> Path:
    return build_folder([tiny_run], tmp_path_factory.mktemp("built") / "corpus", repo="org/houses")


def test_a_new_process_loads_it_without_our_code(built, tiny_run, tmp_path):
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-c", LOADING, str(built)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ended.stdout.splitlines()[-1])
    pairs = read_shards(tiny_run / "corpus")
    plain = [row["id"] for row in pairs if row["strategy"] == "whole" and not row["supervised"]]
    assert found["unsupervised"] == {"train": plain}
    assert found["streamed"] == plain
    assert sorted(found["combined"]["train"]) == sorted(found["default"]) == sorted(pairs["id"])
    assert found["scored"] == {"train": read_shards(tiny_run / "scored")["id"][:]}
    assert [len(rows) for rows in found["seeds"].values()] in ([6, 2], [7, 1])
    assert set(found) == {
        *("unsupervised", "supervised", "extracted", "combined", "scored", "seeds"),
        *("default", "streamed"),
    }


def test_the_files_have_the_names_of_the_hub(built):
    names = sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
    assert "pictures/run/passages_to_pairs.png" in names
    assert [name for name in names if not name.startswith(("recipes/", "pictures/"))] == [
        "README.md",
        "croissant.json",
        *(f"data/{kind}/train-00000-of-00001.parquet" for kind in ("extracted", "scored")),
        *(f"data/seeds/{split}-00000-of-00001.parquet" for split in ("test", "train")),
        *(f"data/{kind}/train-00000-of-00001.parquet" for kind in ("supervised", "unsupervised")),
    ]


def test_no_pair_is_stored_twice(built):
    configs = {one["config_name"]: one for one in DatasetCard.load(built / "README.md").data["configs"]}
    assert configs["combined"]["data_files"] == [
        {"split": "train", "path": [f"data/{kind}/train-*" for kind in ("unsupervised", "supervised", "extracted")]}
    ]
    assert not (built / "data" / "combined").exists()


def test_the_card_says_how_many_rows_there_are(built):
    infos = {one["config_name"]: one for one in DatasetCard.load(built / "README.md").data["dataset_info"]}
    for name, info in infos.items():
        for split in info["splits"]:
            assert split["num_examples"] == len(load_dataset(str(built), name, split=split["name"]))


def test_the_recipe_next_to_it_is_that_of_the_run(built, tiny_run):
    record = json.loads((tiny_run / "run.json").read_text())
    assert load_recipe(built / "recipes" / "run").text == record["recipe"]


def test_several_files_and_processes(tiny_run, tmp_path):
    built = build_folder([tiny_run, tiny_run], tmp_path / "built", num_proc=2)
    assert len(list((built / "data" / "scored").glob("train-0000?-of-00002.parquet"))) == 2
    assert len(load_dataset(str(built), "scored", split="train")) == 2 * len(read_shards(tiny_run / "scored"))


def test_a_folder_that_is_there_is_left_alone(tiny_run, tmp_path):
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunFolderError, match=r"exists and is not empty. Name a new folder, or remove it"):
        build_folder([tiny_run], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_run_without_rows(tiny_run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text((tiny_run / "run.json").read_text())
    with pytest.raises(RunFolderError, match=r"has no rows yet. Finish it with `davidgen run`"):
        build_folder([tmp_path / "run"], tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_an_interrupted_build_leaves_nothing_under_its_name_and_starts_over(tiny_run, tmp_path, monkeypatch):
    def interrupt(*_, **__) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publish, "corpus_card", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_folder([tiny_run], tmp_path / "built")
    assert not (tmp_path / "built").exists()
    build_folder([tiny_run], tmp_path / "built")
    assert [path.name for path in tmp_path.iterdir()] == ["built"]


def test_runs_of_one_name_keep_their_own_recipes_and_pictures(tiny_run, tmp_path):
    runs = [tmp_path / name / "run" for name in ("one", "two")]
    for run in runs:
        shutil.copytree(tiny_run, run)
        (run / "pictures" / "funnel.png").write_bytes(run.parent.name.encode())
    built = build_folder(runs, tmp_path / "built")
    assert [(built / "pictures" / name / "funnel.png").read_bytes() for name in ("run", "run-2")] == [b"one", b"two"]
    assert load_recipe(built / "recipes" / "run-2").text == load_recipe(built / "recipes" / "run").text
    text = (built / "README.md").read_text("utf-8")
    assert "![funnel](pictures/run/funnel.png)" in text
    assert "![funnel](pictures/run-2/funnel.png)" in text


def test_seeds_that_are_left_out_are_counted(built):
    assert "allow redistribution: 1." in (built / "README.md").read_text("utf-8")


def test_own_words_below_a_card_go_along(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    with (tmp_path / "run" / "README.md").open("a", encoding="utf-8") as card:
        card.write("\nMy words.\n")
    built = build_folder([tmp_path / "run"], tmp_path / "built")
    assert (built / "README.md").read_text("utf-8").endswith("-->\nMy words.\n")
