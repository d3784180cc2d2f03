"""What instructions ask for, as rings: their opening words, and their root verbs with the objects of these."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

from davidgen_hf.errors import ModelError
from davidgen_hf.evaluation.diversity import count_verb_nouns
from davidgen_hf.sources.words import words

MIN_INSTRUCTIONS = 20


def opening_picture(instructions: Sequence[str]) -> str | None:
    """Return the rings of first and second words as the base64 of a PNG; None for too few instructions.

    Most instructions are questions, which have no root verb with an object but begin with what, how or why.
    """
    opening = [words(one)[:2] for one in instructions]
    return _picture([(one[0], one[1]) for one in opening if len(one) == 2], "Opening words")


def verb_picture(instructions: Sequence[str]) -> str | None:
    """Return the rings of verbs and nouns as the base64 of a PNG; None for too few, or without a parser."""
    if len(instructions) < MIN_INSTRUCTIONS:
        return None
    try:
        from davidgen_hf.evaluation.root_verbs import root_verbs

        return _picture(root_verbs(instructions), "Verbs and their objects")
    except (ImportError, ModelError):
        return None


def _picture(pairs: Sequence[tuple[str | None, str | None]], title: str) -> str | None:
    counts = count_verb_nouns(pairs)
    if len(pairs) < MIN_INSTRUCTIONS or not counts["top"]:
        return None
    from davidgen_hf.evaluation.rings import draw_rings  # scipy takes a second to import

    with tempfile.TemporaryDirectory() as folder:
        picture, _ = draw_rings(counts, title, Path(folder) / "rings")
        return base64.b64encode(picture.read_bytes()).decode()
