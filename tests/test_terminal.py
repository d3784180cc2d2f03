"""Control characters of texts are shown, not sent; rich's own styles stay."""

import io

import pytest
from rich.table import Table

from davidgen_hf.terminal import Terminal, say, visible

TITLE, CLEAR, CSI = "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a{CLEAR}b", "a⟨U+001B⟩[2Jb"),
        (TITLE, "⟨U+001B⟩]0;owned⟨U+0007⟩"),
        (CSI, "⟨U+009B⟩31m"),
        ("over\rwritten\b", "over⟨U+000D⟩written⟨U+0008⟩"),
        ("\u202egnorw\u2066", "⟨U+202E⟩gnorw⟨U+2066⟩"),
        ("half \ud83d of a pair", "half ⟨U+D83D⟩ of a pair"),
        ("tab\tand line\n", "tab\tand line\n"),
        ("क्\u200dष 👩\u200d🔬 naïve", "क्\u200dष 👩\u200d🔬 naïve"),
    ],
)
def test_controls_are_visible_and_the_rest_stays(text, shown):
    assert visible(text) == shown


def test_a_table_shows_what_its_cells_hold():
    out = io.StringIO()
    table = Table(f"head {TITLE}", title=f"title {CLEAR}")
    table.add_row(f"cell {CSI}", style="bold")
    Terminal(file=out, force_terminal=True, width=120).print(table)
    printed = out.getvalue()
    assert "\x1b[1m" in printed  # rich's own bold
    assert not any(hostile in printed for hostile in ("\x1b]0;", CLEAR, "\x9b", "\x07"))
    assert "⟨U+009B⟩31m" in printed


def test_a_terminal_without_unicode_gets_what_it_can_show():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("naïve ", CLEAR, file=out)
    assert out.buffer.getvalue() == b"na?ve  ?U+001B?[2J\n"


def test_say_prints_as_print_does(capsys):
    say("a", 1, end="")
    assert capsys.readouterr().out == "a 1"
