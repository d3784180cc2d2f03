"""The picture of root verbs and their nouns, where what draws it is installed."""

import base64
import tempfile
from pathlib import Path

from davidgen_hf.errors import ModelError

FEWEST = 20


def verb_picture(instructions: list[str]) -> str | None:
    """Return the rings of verbs and nouns as the base64 of a PNG; None where they cannot be drawn, or of too few."""
    if len(instructions) < FEWEST:
        return None
    try:
        from davidgen_hf.evaluation.diversity import count_verb_nouns
        from davidgen_hf.evaluation.rings import draw_rings
        from davidgen_hf.evaluation.root_verbs import root_verbs

        counts = count_verb_nouns(root_verbs(instructions))
    except (ImportError, ModelError):
        return None
    if not counts["top"]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        picture, _ = draw_rings(counts, "Verbs and their objects", Path(folder) / "verbs")
        return base64.b64encode(picture.read_bytes()).decode()
