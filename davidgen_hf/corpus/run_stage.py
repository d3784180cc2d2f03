"""One stage over one shard, and its result written to a file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from datasets import Dataset, Features

from davidgen_hf.corpus.executors import ShardResult
from davidgen_hf.engines.unanswered import count_reasons
from davidgen_hf.errors import ModelError
from davidgen_hf.methods import Stage
from davidgen_hf.processors.counting import count
from davidgen_hf.storage.shards import make_rows, write_shard


def run_stage(rows: Dataset, stage: Stage) -> tuple[Dataset, Counter[str]]:
    """Run the steps of a stage over a shard at once, so that an engine sees all of it when it sorts by length.

    Returns:
        The rows, and what the steps counted; a later step's count replaces an earlier one's of the same name.
    """
    columns, features = rows[:], rows.features
    counts: Counter[str] = Counter()
    for step in stage.steps:
        result = step(columns)
        if not step.changes_row_count:
            result = columns | result
        counts = Counter(dict(counts) | dict(count(step, columns, result)))
        columns, features = result, Features(features | step.writes)
    return make_rows(columns, features), counts


def write_answered(made: Iterable[ShardResult], identities: Mapping[str, str]) -> Iterator[None]:
    """Write each shard, unless a server left rows of it without an answer: these are for the next call.

    Raises:
        ModelError: There was such a shard; all others are written by then.
    """
    unfinished = 0
    reasons: list[str] = []
    for one in made:
        if one.unanswered:
            unfinished += 1
            reasons += one.unanswered
        else:
            write_shard(one.rows, one.path, one.counts, one.seconds, identities[one.path.name])
        yield
    if unfinished:
        raise ModelError(
            f"{unfinished} shard(s) are unfinished, because {len(reasons)} request(s) got no answer: "
            f"{count_reasons(reasons)}. A shard is finished when each of its rows has an answer. Check the server and "
            "run the same command again: it builds only what is missing."
        )
