"""The review server: what it refuses and with which status, its queues, and what several reviewers get."""

import pytest

from davidgen_hf.corpus.review.log import RowState, log_path
from davidgen_hf.errors import FolderBusyError
from davidgen_hf.processors.select import SelectInstruction
from davidgen_hf.report.review import desk, serve_review
from davidgen_hf.report.review.outcome import state_after
from davidgen_hf.report.review.requests import Decision, Refusal


def test_writes_are_refused_each_with_its_own_status_and_nothing_is_written(client):
    row = client.row(0)
    good = {"id": "a" * 32, "reviewer": "ada", "action": "reject", "row": row["key"]}
    log = log_path(client.run)
    refused = {
        421: client.ask("/decisions", good, Host=f"evil.example:{client.port}"),
        403: client.ask("/decisions", good, Origin="http://evil.example"),
        401: client.ask("/decisions", good, X_Davidgen_Token=None),
        404: client.ask("/decisions", good | {"row": "0" * 20}),
        413: client.ask("/decisions", good | {"action": "edit", "instruction": "x" * 10_000_000}),
        415: client.ask("/decisions", good, Content_Type="text/plain"),
        422: client.ask("/decisions", good | {"reviewer": "two\nlines"}),
        409: client.ask("/decisions", good | {"version": "b" * 32}),
    }
    assert [status for status, _ in refused.values()] == list(refused)
    assert all(answer["error"].count(". ") >= 2 for _, answer in refused.values())
    others = (
        (403, client.ask("/decisions", good, Sec_Fetch_Site="cross-site")),
        (403, client.ask("/decisions", good, Origin="null")),
        (401, client.ask("/decisions", good, X_Davidgen_Token="é")),
        (401, client.ask("/", X_Davidgen_Token=None)),
        (401, client.ask("/row?n=0&reviewer=ada", X_Davidgen_Token="x")),
        (411, client.ask("/decisions", good, Transfer_Encoding="chunked")),
        (422, client.ask("/decisions", b'{"id": "\\ud800"}')),
        (422, client.ask("/decisions", b"[" * 60_000)),
        (422, client.ask("/decisions", good | {"action": "edit", "instruction": " "})),
        (422, client.ask("/decisions", good | {"action": "promote", "candidate": 99})),
        (422, client.ask("/decisions", good | {"reason": "\ud800"})),
        (422, client.ask("/reasons", {"reasons": ["x" * 201]})),
        (422, client.ask("/queue?reviewer=ada&order=n;drop")),
        (404, client.ask("/row?n=99999&reviewer=ada")),
        (404, client.ask("/nothing", {})),
        (409, client.ask("/decisions", {"id": "a" * 32, "reviewer": "ada", "action": "undo"})),
    )
    assert [status for status, _ in others] == [
        *(403, 403, 401, 401, 401, 411, 422, 422, 422, 422, 422, 422, 422, 404, 404, 409)
    ]
    assert log.read_bytes() == b""
    assert not (log.parent / "reasons.json").exists()
    assert client.ask("/decisions", good, Origin=f"http://127.0.0.1:{client.port}")[0] == 200
    assert client.ask("/report")[0] == 200


def test_a_decision_sent_twice_counts_once_and_undo_is_an_entry_of_its_own(client):
    before = sorted((path, path.read_bytes()) for path in client.run.rglob("*.parquet"))
    for _ in range(2):
        status, row = client.decide("reject", 3, id="c" * 32, reason="dull", version="")
        assert (status, row["state"]["verdict"]) == (200, "rejected")
    assert client.decide("accept", 4, id="c" * 32)[0] == 409
    assert len(client.log()) == 1
    client.decide("edit", 3, instruction="Which?")
    _, undone = client.decide("undo")
    assert undone["state"]["verdict"] == "rejected"
    assert undone["state"]["instruction"] is None
    client.decide("accept", 3, "ben")
    assert client.decide("undo")[0] == 409  # ben has decided since
    assert [one.action for one in client.log()] == ["reject", "edit", "undo", "accept"]
    first = client.log()[0]
    assert (first.reviewer, first.after.reason, first.before.verdict) == ("ada", "dull", None)
    assert sorted((path, path.read_bytes()) for path in client.run.rglob("*.parquet")) == before


def test_queues_order_filter_and_leave_out_what_was_seen(client, monkeypatch):
    def queue(**fields) -> dict:
        asked = "&".join(f"{name}={value}" for name, value in ({"reviewer": "ada"} | fields).items())
        return client.ask(f"/queue?{asked}")[1]

    everything = queue(order="n")
    assert everything["rows"] == list(range(min(100, everything["total"])))
    assert queue(order="n", after=everything["rows"][9])["rows"][0] == 10
    lottery = queue(order="random", sample=20)
    assert (len(lottery["rows"]), lottery["total"]) == (20, 20)
    assert lottery["rows"] == queue(order="random", sample=20, reviewer="ben")["rows"] != everything["rows"][:20]
    margins = [client.row(n)["margin"] for n in queue(order="margin")["rows"]]
    assert margins == sorted(margins)
    perplexities = [client.row(n)["perplexity"] for n in queue(order="-perplexity")["rows"]]
    assert perplexities == sorted(perplexities, reverse=True)
    assert {client.row(n)["strategy"] for n in queue(strategy="sentence")["rows"]} == {"sentence"}
    style = client.row(lottery["rows"][0])["candidates"][0]["style"]
    assert {client.row(n)["candidates"][0]["style"] for n in queue(style=style)["rows"]} == {style}

    filtered = queue(order="margin", strategy="sentence", style=style)
    monkeypatch.setattr(desk, "MOST_COUNTED", 1)  # of many rows, SQLite takes another way to the same
    assert queue(order="margin", strategy="sentence", style=style)["rows"] == filtered["rows"]

    seen, by_other = lottery["rows"][:2]
    client.decide("reject", seen)
    client.decide("reject", by_other, "ben")
    left = queue(order="random", sample=20, only="unreviewed")
    assert left["rows"] == lottery["rows"][2:]
    assert left["reviewed"] == 2
    assert queue(order="random", sample=20, only="not_mine")["rows"] == lottery["rows"][1:]
    hidden = client.row(by_other)
    assert (hidden["state"]["verdict"], hidden["others"], hidden["mine"]) == (None, 1, None)
    client.decide("accept", by_other, version="")
    client.decide("note", lottery["rows"][3], note="look at this again")
    assert queue(only="rejected")["rows"] == [seen]
    assert queue(only="accepted")["rows"] == queue(only="disagree")["rows"] == [by_other]
    assert queue(only="note")["rows"] == [lottery["rows"][3]]
    client.decide("undo")
    assert (queue(only="note")["rows"], queue()["reviewed"]) == ([], 2)
    free = lottery["rows"][5]
    assert not client.row(free)["busy"]
    assert client.row(free, "ben")["busy"]
    assert not client.row(free)["busy"]
    progress = client.ask("/progress?reviewer=ada")[1]
    assert (progress["reviewed"], progress["people"], progress["shared"], progress["agreed"]) == (2, 2, 1, 0)
    assert client.row(by_other)["state"]["verdict"] == "accepted"


def test_a_row_without_an_output_becomes_no_pair():
    row = {"output": " ", "candidates": [{"instruction": "Which house?", "reject_reason": "no_output"}]}
    for fields in (
        {"action": "accept"},
        {"action": "edit", "instruction": "Who?"},
        {"action": "promote", "candidate": 0},
    ):
        with pytest.raises(Refusal, match="has no output"):
            state_after(Decision(id="a" * 32, reviewer="ada", **fields), RowState(), row, SelectInstruction())
    rejected = Decision(id="a" * 32, reviewer="ada", action="reject")
    assert state_after(rejected, RowState(), row, SelectInstruction()).verdict == "rejected"


def test_one_server_at_a_time_reviews_a_run(client):
    with pytest.raises(FolderBusyError), serve_review(client.run, 0):
        pass
