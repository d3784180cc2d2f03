"""What the page is made from: facts, rows, pictures, the index behind the server."""

import base64
import json
import shutil
import threading
import urllib.error
import urllib.request

import pytest

from davidgen_hf.corpus.facts import ranked_rows, read_facts
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.report import follow_report, serve_report, write_pictures, write_report
from davidgen_hf.report.index import RowQuery, Rows
from davidgen_hf.report.rings import opening_picture
from davidgen_hf.report.rows import row_of


def test_facts_count_what_the_run_counted(hostile_run):
    facts = read_facts(hostile_run)
    assert facts.rows == facts.strategies.total() == sum(1 for _ in ranked_rows(hostile_run, facts.record))
    scored = facts.counts["scored"]
    assert facts.reasons == {
        name.removeprefix("rejected."): number for name, number in scored.items() if name.startswith("rejected.")
    }
    means = [values["mean"] for values in facts.choices.means().values()]
    assert means == sorted(means)
    assert means[0] < means[2]


def test_a_fragment_is_where_a_browser_counts_it():
    text = "\U0001f600 One. Two three."
    candidate = {"instruction": "Count.", "input": "", "style": "", "reject_reason": None, "nll": 4.0, "n_tokens": 2}
    row = {"id": "a", "text": text, "output": "Two three.", "strategy": "sentence", "start": 7, "end": 17}
    row |= {"source": "s", "license": "", "url": "", "candidates": [candidate]}
    made = row_of(0, [], [(2.0, candidate)], row)
    units = text.encode("utf-16-le")[2 * made["start"] : 2 * made["end"]]
    assert units.decode("utf-16-le") == "Two three."
    assert made["output"] is None


def test_a_run_that_is_under_way_has_a_page(hostile_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(hostile_run / "run.json", run)
    shutil.copytree(hostile_run / "fragments", run / "fragments")
    html = write_report(run, follow=True).read_text("utf-8")
    assert "not finished: " in html
    assert 'http-equiv="refresh"' in html
    assert "Not trained yet." in html


def test_following_ends_with_the_run(tiny_run, tmp_path):
    written = list(follow_report(tiny_run, tmp_path / "report.html", pytest.fail))
    assert 'http-equiv="refresh"' not in written[-1].read_text("utf-8")


def test_a_folder_that_is_not_a_run(tmp_path):
    with pytest.raises(RunFolderError, match=r"it has no run\.json"):
        write_report(tmp_path)


def test_more_rows_than_the_page_holds_are_sampled_and_counted(hostile_run, tmp_path):
    html = write_report(hostile_run, tmp_path / "report.html", max_rows=20).read_text("utf-8")
    assert "rows, drawn evenly" in html


def test_opening_words_are_drawn_where_there_are_enough(hostile_run, tmp_path):
    questions = [f"What is the {word}?" for word in ("sea", "sky") for _ in range(15)]
    assert base64.b64decode(opening_picture(questions)).startswith(b"\x89PNG")
    assert opening_picture(questions[:19]) is None
    assert opening_picture(["What?"] * 30) is None
    html = write_report(hostile_run, tmp_path / "report.html").read_text("utf-8")
    assert "<h3>Opening words</h3>" in html


def test_pictures_for_cards(hostile_run, tmp_path):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    names = [path.name for path in write_pictures(run)]
    assert {"passages_to_pairs.png", "perplexity.png", "margin.png", "reject_reasons.png", "opening_words.png"} <= set(
        names
    )
    assert all((run / "pictures" / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_the_index_finds_what_the_rows_hold(hostile_run):
    rows = Rows(hostile_run)
    facts = read_facts(hostile_run)
    every = [row_of(n, *one) for n, one in enumerate(ranked_rows(hostile_run, facts.record))]
    found = rows.find(RowQuery(search="HOUSE riv", strategy="whole", kept="1", sort="-margin"))
    wanted = [one for one in every if "house number" in one["text"] and one["strategy"] == "whole" and one["kept"]]
    assert found["total"] == len(wanted)
    margins = [one["margin"] for one in found["rows"]]
    assert margins == sorted(margins, reverse=True)
    assert rows.find(RowQuery(page="1"))["rows"] == every[25:50]
    assert rows.find(RowQuery(search='" * ('))["total"] == len(every)


@pytest.mark.parametrize("given", [{"sort": "n; DROP TABLE rows"}, {"margin": "a"}, {"page": "x"}])
def test_queries_of_the_index_are_checked(given):
    with pytest.raises(SettingError):
        RowQuery.parse(given)


def test_the_server_answers_this_machine_and_says_what_is_wrong(hostile_run):
    server = serve_report(hostile_run, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with urllib.request.urlopen(f"{address}/rows?search=house") as answer:
        assert json.load(answer)["total"] > 50
    for path, host, status in (
        ("/rows?sort=x", None, 400),
        ("/rows?other=1", None, 400),
        ("/no", None, 404),
        ("/", "evil.example:1", 403),
    ):
        asked = urllib.request.Request(address + path, headers={"Host": host} if host else {})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(asked)
        assert caught.value.code == status
    with pytest.raises(SettingError, match="is taken"):
        serve_report(hostile_run, server.server_port)
    server.shutdown()
