import json

import pytest

from davidgen_hf.errors import SettingError
from davidgen_hf.evaluation.results import write_results
from davidgen_hf.evaluation.table import compare, write_comparison


@pytest.fixture
def run(tmp_path):
    """Make the folder of a run with results: ``run("name", superni=12.0)``."""

    def make(name, risks=None, size=None, n=100, **values):
        metrics = {"superni": "rougeL", "longform": "meteor", "vicuna": "answer_words"}
        benchmarks = {
            key: {
                "metric": metrics[key],
                "n": n,
                "scores": {metrics[key]: {"value": value, "stderr": 0.0, "interval": [value / 2, value * 2]}},
            }
            for key, value in values.items()
        }
        facts = {"model": {"name": name}, "method": name, "restricted": risks, "size": size}
        write_results(tmp_path / name, facts, benchmarks, {})
        return tmp_path / name

    return make


def test_runs_stand_side_by_side_with_best_bold_and_second_underlined(run):
    folders = [
        run("base", superni=9.88, longform=0.132),
        run("alpaca", risks=True, size=52_000, superni=38.62, longform=0.1406),
        run("ours", risks=False, size=28_000, superni=44.88, longform=0.1884),
    ]
    assert write_comparison(folders) == (
        "| Method | Potential risks | Size | SuperNI | LongForm |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| base | unknown | - | 9.88 [4.94, 19.76] | 13.20 [6.60, 26.40] |\n"
        "| alpaca | yes | 52,000 | <u>38.62</u> [19.31, 77.24] | <u>14.06</u> [7.03, 28.12] |\n"
        "| ours | no | 28,000 | **44.88** [22.44, 89.76] | **18.84** [9.42, 37.68] |\n"
    )


def test_equal_figures_share_a_place(run):
    rows = compare([run("a", superni=10.001), run("b", superni=10.002), run("c", superni=9.0)])["rows"]
    assert [row["scores"]["superni"]["place"] for row in rows] == [1, 1, 2]


def test_a_benchmark_that_was_not_run_is_a_dash_and_unlike_runs_get_a_note(run):
    table = write_comparison([run("a", superni=1.0), run("b", n=50, superni=2.0), run("c", longform=0.1)])
    assert "| c | unknown | - | - | **10.00** [5.00, 20.00] |" in table
    assert "SuperNI: the runs differ in n; see their results." in table
    assert "LongForm: the runs differ" not in table


def test_lengths_of_answers_are_not_scores(run):
    assert compare([run("a", superni=1.0, vicuna=80.0)])["columns"] == ["superni"]


def test_markdown_and_json_are_written_to_the_given_paths(run, tmp_path):
    text = write_comparison([run("a", superni=1.0)], tmp_path / "out")
    assert (tmp_path / "out" / "comparison.md").read_text("utf-8") == text
    content = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    assert content["columns"] == ["superni"]
    assert content["rows"][0]["scores"]["superni"]["value"] == 1.0


def test_nothing_to_compare_says_what_to_name():
    with pytest.raises(SettingError, match=r"nothing to compare\. Name the folders"):
        write_comparison([])


def test_a_method_with_marks_and_line_ends_stays_in_its_cell(run):
    folder = run("a", superni=1.0)
    path = folder / "evaluation" / "results.json"
    content = json.loads(path.read_text("utf-8")) | {"method": "x|y\\|z\n# h <script>"}
    path.write_text(json.dumps(content), "utf-8")
    assert write_comparison([folder]).splitlines()[2].startswith("| x\\|y&#92;\\|z # h &lt;script&gt; | unknown |")
