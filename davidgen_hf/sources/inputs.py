"""The check of a run's inputs before its first step."""

import logging
from collections.abc import Sequence

from davidgen_hf.sources.code import grammar_of
from davidgen_hf.sources.languages import language_code
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.paths import local_path
from davidgen_hf.sources.seeds import SeedSource, read_seeds

logger = logging.getLogger(__name__)


def check_inputs(seeds: Sequence[SeedSource], passages: Sequence[PassageSource], *, trains_generator: bool) -> None:
    """Read local inputs to the end, so that an error shows before hours of work, and the first rows of others.

    Args:
        seeds: Sources of the seeds; none if they are not needed.
        passages: Sources of the passages; none if they are not needed.
        trains_generator: Whether a generator learns from the seeds. A language of passages that no seed has is then
            logged as a warning.

    Raises:
        InputError: A source cannot be read.
    """
    of_seeds = set(read_seeds(seeds, Skipped())["language"]) if seeds else None
    of_passages: set[str] = set()
    for source in passages:
        rows = read_passages(source, Skipped())
        if local_path(source.source) is not None:
            of_passages.update(row["language"] for row in rows)
        else:
            of_passages.add(next(rows)["language"])
    if trains_generator and of_seeds is not None:
        _warn_of_languages(of_seeds, of_passages)


def _warn_of_languages(of_seeds: set[str], of_passages: set[str]) -> None:
    known = {language_code(one or "") for one in of_seeds}
    codes = {language_code(one or "") for one in of_passages if not grammar_of(one or "")}
    if missing := sorted(code for code in codes - known if code):
        logger.warning(
            "There are passages in %s, and no seed is: the seeds are in %s. A generator learns from its seeds in "
            "which language it writes instructions, and those in another language than their passage are rejected. "
            "Give seeds in the passages' languages with --seeds.",
            ", ".join(missing),
            ", ".join(sorted(one for one in known if one)),
        )
