"""What people write below a card: it stays when the card is written again, here and on the Hub."""

import re
from pathlib import Path

from davidgen_hf.errors import RunFolderError

NOTES = "<!-- Text below this line is kept when the card is written again. -->"
# Cards that are on the Hub, and in run folders, bear the line of earlier versions too.
_EARLIER = "<!-- What stands below this line is kept when the card is written anew. -->"
# At the start of a line: text of data cannot begin one, see ``text.plain``.
_LINE = re.compile(rf"^(?:{re.escape(NOTES)}|{re.escape(_EARLIER)})[ \t\r]*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t\r]*\n.*?^---[ \t\r]*$", re.MULTILINE | re.DOTALL)


def split_card(text: str) -> tuple[str, str]:
    """Return a card up to its line, and the notes below it; notes are empty without such a line."""
    found = _LINE.search(text)
    return (text[: found.start()], text[found.end() :].strip()) if found else (text, "")


def notes_of_other(text: str) -> str:
    """Return the notes of a card on the Hub; of one without the line, which people wrote, all but its front matter."""
    return split_card(text)[1] if _LINE.search(text) else _FRONT_MATTER.sub("", text, count=1).strip()


def read_notes(path: Path) -> str:
    """Return the notes below the card at ``path``; empty without a card.

    Raises:
        RunFolderError: The file cannot be read as text.
    """
    if not path.is_file():
        return ""
    try:
        return split_card(path.read_text("utf-8"))[1]
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{path} cannot be read as UTF-8 text ({error}). Save it as UTF-8, or delete it to have it written again."
        ) from error


def merge_notes(ours: str, theirs: str, before: str) -> str:
    """Return notes in which no edit is lost: those of one side where only that changed, otherwise both.

    Args:
        ours: Notes of the run's folder.
        theirs: Notes on the Hub.
        before: Notes that the last push has put on the Hub.
    """
    if ours in (before, "") or ours in theirs:
        return theirs
    if theirs in (before, "") or theirs in ours:
        return ours
    return f"{theirs}\n\n{ours}"


def replace_notes(card: str, notes: str) -> str:
    """Return a card with other notes below its line."""
    return f"{split_card(card)[0]}{NOTES}\n{notes}".rstrip() + "\n"
