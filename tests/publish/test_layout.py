"""What a push publishes: files of known names, no links, no seeds that may not be passed on, no local paths."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from davidgen_hf.errors import FolderBusyError, ProvenanceError, RunFolderError, SettingError
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.publish.hub import Push, list_files
from davidgen_hf.publish.layout import is_model_file, is_run_file, lay_out_model, lay_out_run, workspace
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_shards

PUSH = Push("org/houses", publish_restricted=True)


@pytest.fixture
def run(declared_run, tmp_path) -> Path:
    return shutil.copytree(declared_run, tmp_path / "run")


def laid_out(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def license_seeds(run: Path, license: str) -> None:
    """Give the first seed of each file another license."""
    for file in (run / "seeds").iterdir():
        table = pyarrow.parquet.read_table(file)
        licenses = [license, *table["license"].to_pylist()[1:]]
        place = table.schema.get_field_index("license")
        pyarrow.parquet.write_table(table.set_column(place, "license", pyarrow.array(licenses)), file)


def test_all_that_a_run_needs_to_resume_is_laid_out(run, tmp_path):
    found = laid_out(lay_out_run(run, tmp_path / "work"))
    kept = {str(path.relative_to(run)) for path in run.rglob("*.parquet")}
    assert found == kept | {"run.json", "fragments/finished.json"}
    assert read_record(tmp_path / "work" / "run")["steps"].keys() == read_record(run)["steps"].keys()


def test_seeds_that_may_not_be_passed_on_are_in_no_file(run, tmp_path):
    license_seeds(run, "all rights reserved")
    shutil.copy(run / "seeds" / "held_out.parquet", run / "evaluation" / "held_out.parquet")
    found = laid_out(lay_out_run(run, tmp_path / "work"))
    assert not [name for name in found if name.startswith(("seeds/", "evaluation/held_out"))]
    assert "corpus/00000.parquet" in found
    steps = read_record(tmp_path / "work" / "run")["steps"]
    assert "seeds" not in steps  # read again from its source where the run is resumed
    assert "generator" in steps
    built = build_folder([run], tmp_path / "built")
    seeds = [pyarrow.parquet.read_table(file) for file in (built / "data" / "seeds").iterdir()]
    assert sum(len(rows) for rows in seeds) == len(read_shards(run / "seeds")) - 2
    assert "Seeds that are not in here" in (built / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        *("checkpoint-9/optimizer.pt", "optimizer.pt", "training_args.bin", "pytorch_model.bin", "modeling_evil.py"),
        *(
            "trainer_state.json",
            "notes.json",
            ".env",
            "../config.json",
            "a/config.json",
            "run.sh",
            "events.out.tfevents.1",
        ),
    ],
)
def test_no_checkpoint_pickle_or_code_is_of_a_model(name):
    assert not is_model_file(name)


@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json"),
        *(
            "adapter_model.safetensors",
            "adapter_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "spiece.model",
        ),
        *("chat_template.jinja", "generation_config.json", "vocab.json", "merges.txt", "README.md", "run.json"),
    ],
)
def test_what_loads_a_model_is_of_it(name):
    assert is_model_file(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../evil",
            "a/../b.parquet",
            "a\\..\\b.parquet",
            ".lock",
            "unique/.lock",
            "seeds/extra.txt",
            "a/b/c.parquet",
        ),
        *(
            "generator/model.safetensors",
            "generator/run.json",
            "seeds/x.py",
            "/etc/x.json",
            "run.json\n",
            "corpus/.a.parquet",
        ),
    ],
)
def test_a_run_has_no_such_file(name):
    assert not is_run_file(name)


@pytest.mark.parametrize(
    "name",
    ["corpus/00009.parquet", "generator/chat_template.jinja", "evaluation/superni.jsonl", "fragments/finished.json"],
)
def test_a_link_is_refused_and_not_followed(run, tmp_path, name):
    secret = tmp_path / "secret"
    shutil.copy(run / "corpus" / "00000.parquet", secret)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    with pytest.raises(RunFolderError, match=rf"{name} is a link\. .* Put a copy in its place, or delete it"):
        list_files(run, PUSH)


def test_a_linked_folder_is_refused(run, tmp_path):
    shutil.move(run / "seeds", tmp_path / "elsewhere")
    (run / "seeds").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="seeds is a link"):
        list_files(run, PUSH)


def test_links_of_other_names_are_not_published(run, tmp_path):
    (tmp_path / "secret").write_text("PRIVATE")
    for name in ("seeds/extra.txt", "generator/extra.json", "pictures/extra.png", "evaluation/notes.txt"):
        (run / name).symlink_to(tmp_path / "secret")
    listed = {name for files in list_files(run, PUSH).values() for name in files}
    assert not [name for name in listed if "extra." in name or "notes" in name]


def test_settings_name_no_place_of_this_machine(run, tmp_path):
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((run / "generator" / name).read_text()) | {"_name_or_path": "/home/me/models/tiny"}
        (run / "generator" / name).write_text(json.dumps(settings))
    folder = lay_out_model(run, "generator", tmp_path / "work")
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        assert settings["_name_or_path"] == "tiny"
        assert settings.keys() == json.loads((run / "generator" / name).read_text()).keys()


def test_an_adapter_names_its_base_on_the_hub(run, tmp_path):
    record = read_record(run)
    record["recipe"]["follower"]["model_name_or_path"] = "embedded"
    (run / "run.json").write_text(json.dumps(record))
    (run / "follower" / "adapter_config.json").write_text('{"base_model_name_or_path": "/home/me/embedded", "r": 8}')
    folder = lay_out_model(run, "follower", tmp_path / "work")
    expected = {"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct", "r": 8}
    assert json.loads((folder / "adapter_config.json").read_text()) == expected


def test_an_adapter_of_a_folder_is_refused(run, tmp_path):
    (run / "follower" / "adapter_config.json").write_text('{"base_model_name_or_path": "/home/me/tiny"}')
    with pytest.raises(ProvenanceError, match=r"Merge it first: davidgen merge .*follower --output MODEL"):
        lay_out_model(run, "follower", tmp_path / "work")


def test_what_killed_pushes_left_is_removed(run):
    for name in (".push_abc", ".push_def"):
        (run / name / "corpus").mkdir(parents=True)
    (run / ".push_link").symlink_to(run / "corpus")
    with workspace(run) as work:
        assert {path.name for path in run.glob(".push*")} == {work.name, ".push_link", ".push.lock"}
    assert [path.name for path in run.glob(".push*")] == [".push_link"]
    assert list((run / "corpus").iterdir())


def test_one_push_at_a_time(run):
    with workspace(run), pytest.raises(FolderBusyError, match="Another process is publishing"), workspace(run):
        pass


@pytest.mark.parametrize("repo", ["", "name", "org/na me", "org/name/more", "../x/y", "org/" + "n" * 97])
def test_an_id_that_the_hub_would_refuse_is_refused_at_once(repo):
    with pytest.raises(SettingError, match="org/name"):
        Push(repo)


@pytest.mark.parametrize("name", ["exp[lr=1e-5]", "what?", "a*b"])
def test_a_dataset_folder_that_could_not_be_loaded_is_refused(run, tmp_path, name):
    with pytest.raises(RunFolderError, match=r"could not be loaded: datasets takes"):
        build_folder([run], tmp_path / name)


def test_a_run_whose_folder_has_brackets_can_be_published(run):
    named = run.rename(run.with_name("exp[lr=1e-5]"))
    listed = list_files(named, PUSH)
    assert any(name.startswith("data/unsupervised/") for name in listed["org/houses"])
    assert not list(named.glob(".push*"))
    assert os.listdir(named.parent) == [named.name]
