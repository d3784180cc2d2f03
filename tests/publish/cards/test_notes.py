"""What people write below a card stays, whichever side they write it on."""

import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish.cards.notes import (
    NOTES,
    merge_notes,
    notes_of_other,
    read_notes,
    replace_notes,
    split_card,
)

EARLIER = "<!-- What stands below this line is kept when the card is written anew. -->"


@pytest.mark.parametrize("line", [NOTES, EARLIER, f"{NOTES}  \r"])
def test_text_below_the_line_is_read(line):
    assert split_card(f"# Card\n{line}\n\nMine.\n") == ("# Card\n", "Mine.")


@pytest.mark.parametrize("text", ["# Card\n", f"# Card\n| cell {NOTES} |\n", f"# Card\n  {NOTES}\nnot a note"])
def test_a_line_within_a_text_is_not_the_line(text):
    assert split_card(text) == (text, "")


@pytest.mark.parametrize(
    ("ours", "theirs", "before", "merged"),
    [
        ("", "", "", ""),
        ("", "theirs", "", "theirs"),
        ("ours", "", "", "ours"),
        ("old", "new", "old", "new"),
        ("new", "old", "old", "new"),
        ("same", "same", "", "same"),
        ("one", "one and two", "", "one and two"),
        ("ours", "theirs", "old", "theirs\n\nours"),
        ("old", "", "old", ""),
        ("", "old", "old", "old"),
    ],
)
def test_no_edit_is_lost(ours, theirs, before, merged):
    assert merge_notes(ours, theirs, before) == merged


def test_a_merge_is_stable():
    merged = merge_notes("ours", "theirs", "old")
    assert merge_notes("ours", merged, merged) == merged


def test_a_card_that_people_wrote_on_the_hub_is_kept_below_the_line():
    assert notes_of_other("---\nlicense: mit\n---\n# Mine\n") == "# Mine"
    assert notes_of_other("---\nlicense: mit\n---\n") == ""
    assert notes_of_other(f"# Card\n{EARLIER}\nMine.") == "Mine."


def test_other_notes_take_the_place_of_those_there():
    assert replace_notes(f"# Card\n{EARLIER}\nold\n", "new") == f"# Card\n{NOTES}\nnew\n"
    assert replace_notes(f"# Card\n{NOTES}\n", "") == f"# Card\n{NOTES}\n"


def test_a_card_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "README.md").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"README\.md cannot be read as UTF-8 text"):
        read_notes(tmp_path / "README.md")
