"""The summary shows control characters of passages, candidates and names instead of sending them to the terminal."""

import io
import json

from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.summary import print_summary
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.terminal import Terminal

TITLE, CLEAR = "\x1b]0;owned\x07", "\x1b[2J"


def plain_text(record: RunRecord) -> str:
    print_summary(record, Terminal(file=(out := io.StringIO()), width=500))
    return out.getvalue()


def test_no_passage_changes_the_terminal(tmp_path):
    rows = [
        {"id": f"p{n}", "text": f"{TITLE} The old {CLEAR} house number {n} stands by the river."} for n in range(3)
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [f"corpus.passages.source={tmp_path}/p.jsonl", "corpus.guards=none", "corpus.extract={whole: {}}"]
    asked += ["corpus.generate.engine.model=echo"]
    asked += [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    record = run_recipe(load_recipe("demo", asked), tmp_path / "run [b]", lambda _: None, steps=("corpus",))
    out = io.StringIO()
    print_summary(record, Terminal(file=out, force_terminal=True, width=300))
    printed = out.getvalue()
    assert "\x1b[1m" in printed  # rich's own
    assert "\x1b]0;" not in printed
    assert CLEAR not in printed
    assert "⟨U+001B⟩]0;owned⟨U+0007⟩ The old ⟨U+001B⟩[2J house" in printed
    assert "run [b]" in printed
    assert "bring text of your own: davidgen run demo --passages" in plain_text(record)
    record.content["name"] = "mine"
    mine = plain_text(record)
    assert f"davidgen review '{tmp_path}/run [b]'" in mine
    assert f"davidgen push '{tmp_path}/run [b]' ORG/NAME" in mine
