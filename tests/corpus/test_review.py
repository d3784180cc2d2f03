"""The log of a review and what it amounts to: torn lines, damage, agreement, and decisions that outlive a rerun."""

import os

import pytest

from davidgen_hf.corpus.review import Entry, Log, Reviews, RowState, log_path, read_reviews, row_key
from davidgen_hf.corpus.review.accuracy import wilson
from davidgen_hf.errors import RunFolderError

ROW = {"source": "a", "id": "1", "strategy": "whole", "output": "o", "candidates": [{"instruction": "i", "input": ""}]}


def entry(number: int, row: str = "x", reviewer: str = "ada", verdict: str = "accepted", **fields) -> Entry:
    given = {"id": f"decision-{number}", "time": "2026-01-01T00:00:00+00:00", "reviewer": reviewer, "row": row}
    given |= {"source": "texts", "record": "r1", "strategy": "whole", "before": RowState()}
    action = "accept" if verdict == "accepted" else "reject"
    return Entry(**(given | {"action": action, "after": RowState(verdict=verdict)} | fields))


@pytest.fixture
def log(tmp_path):
    written = Log(tmp_path)
    for number in range(3):
        written.append(entry(number, row=f"row-{number}"))
    written.close()
    return log_path(tmp_path)


@pytest.mark.parametrize("left", range(1, 400, 57))
def test_a_torn_last_line_was_never_confirmed_and_is_removed(log, tmp_path, left):
    whole = log.read_bytes()
    line = entry(3).model_dump_json().encode()
    log.write_bytes(whole + line[: min(left, len(line) - 1)])
    assert len(read_reviews(tmp_path).ids) == 3  # a reader next to the writer
    Log(tmp_path).close()
    assert log.read_bytes() == whole


def test_a_whole_last_line_that_lacks_its_end_counts_once(log, tmp_path):
    log.write_bytes(log.read_bytes() + entry(3).model_dump_json().encode())
    reopened = Log(tmp_path)
    assert [one.id for one in reopened.entries] == [f"decision-{number}" for number in range(4)]
    reopened.append(entry(4))
    reopened.close()
    assert len(Reviews.of([*Log(tmp_path).entries, entry(4)]).ids) == 5


def test_a_disk_that_refuses_leaves_the_log_as_it_was(log, tmp_path, monkeypatch):
    whole = log.read_bytes()
    opened = Log(tmp_path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:10]))  # a part, and then no more
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(RunFolderError, match=r"log\.jsonl cannot be written: No space left"):
        opened.append(entry(3))
    assert log.read_bytes() == whole


def test_a_damaged_line_is_named(log, tmp_path):
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], "{}", *lines[1:]]) + "\n")
    with pytest.raises(RunFolderError, match=r"log\.jsonl:2: .*\. Each line is one decision"):
        read_reviews(tmp_path)


def test_decisions_belong_to_output_and_candidates():
    changed = [ROW | {"output": "p"}, ROW | {"candidates": [{"instruction": "i", "input": "x"}]}, ROW | {"id": "2"}]
    same = ROW | {"candidates": [{"instruction": "i", "input": "", "nll": 2.0, "reject_reason": "too_short"}]}
    assert row_key(same) == row_key(ROW)
    assert len({row_key(ROW), *map(row_key, changed)}) == 4


def test_agreement_is_cohens_kappa():
    verdicts = [("accepted", "accepted")] * 20 + [("accepted", "rejected")] * 5
    verdicts += [("rejected", "accepted")] * 10 + [("rejected", "rejected")] * 15
    reviews = Reviews()
    for place, pair in enumerate(verdicts):
        for reviewer, verdict in zip(("ada", "ben"), pair, strict=True):
            reviews.add(entry(2 * place + (reviewer == "ben"), f"row-{place}", reviewer, verdict))
    shared, agreed, kappa = reviews.agreement()
    assert (shared, agreed) == (50, 35)
    assert kappa == pytest.approx(0.4)  # the example of Cohen's kappa in most textbooks
    assert reviews.counts()["disagreed"] == 15
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)  # statsmodels' proportion_confint
    assert wilson(0, 0) == (0.0, 1.0)
