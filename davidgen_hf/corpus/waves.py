"""A corpus of exactly so many pairs: passages are read in waves, and what is beyond the last pair is cut off.

What becomes of a passage depends on those before it alone. So the first N pairs are the same however many passages
were read, and however they were spread over waves, workers and parts.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from davidgen_hf.errors import RunFolderError
from davidgen_hf.processors.counting import STYLES, rows_read
from davidgen_hf.storage.shards import read_metadata, read_shard, read_table, write_shard

BEYOND = "beyond_target"  # the count of pairs that were cut off
# A wave is a little larger than the yield so far asks for, and at most so many times what has been read.
MARGIN, LARGEST = 1.1, 3


@dataclass(frozen=True)
class Yield:
    """What the passages so far came to.

    Args:
        passages: Passages that were read.
        pairs: Pairs that they gave.
    """

    passages: int
    pairs: int

    def __str__(self) -> str:
        share = self.pairs / self.passages if self.passages else 0.0
        return f"{self.pairs:,} pairs from {self.passages:,} passages ({share:.2f} per passage)"


def first_wave(target_pairs: int, shard_rows: int) -> int:
    """Return the number of shards that are built before the yield is known: half a passage for each pair."""
    return max(1, math.ceil(target_pairs / 2 / shard_rows))


def next_wave(target_pairs: int, found: Yield, shard_rows: int) -> int:
    """Return the number of shards that are built next."""
    needed: float = found.passages  # twice as many, as long as nothing was found
    if found.pairs:
        needed = MARGIN * (target_pairs - found.pairs) * found.passages / found.pairs
    return max(1, math.ceil(min(needed, LARGEST * found.passages) / shard_rows))


def read_yield(first: Path, last: Path, names: list[str], shard_rows: int) -> Yield:
    """Return what the passages of finished shards came to, cut or not.

    Args:
        first: Folder of the first stage.
        last: Folder of the last stage.
        names: Names of the shards.
        shard_rows: Passages of a shard that does not say how many it has.
    """
    passages = sum(rows_read(read_metadata(first / name).counts) or shard_rows for name in names)
    return Yield(passages, sum(whole for _, whole, _ in _lengths(last, names)))


def cut(folder: Path, names: list[str], target_pairs: int) -> None:
    """Leave as many pairs in the last stage as are wanted; its shards stay, the last ones without rows."""
    total = 0
    for path, whole, rows in _lengths(folder, names):
        wanted = max(0, min(whole, target_pairs - total))
        total += whole
        if wanted < rows:
            metadata = read_metadata(path)
            kept = read_shard(path).select(range(wanted))
            counts = Counter({name: count for name, count in metadata.counts.items() if not _is_of_pairs(name)})
            counts += Counter({"pairs": wanted, BEYOND: whole - wanted}) + _pairs_by_style(kept)
            write_shard(kept, path, counts, metadata.seconds, metadata.identity)


def forget_cut(folder: Path, names: list[str], target_pairs: int | None) -> None:
    """Delete the shards of the last stage that hold fewer pairs than they now should, so that they are built again."""
    total: float = 0.0
    for name in names:
        if not (folder / name).exists():
            total = -math.inf  # where a target ends is not known, so no cut shard after this one is
            continue
        try:
            ((path, whole, rows),) = _lengths(folder, [name])
        except RunFolderError:  # it will be built again
            total = -math.inf
            continue
        wanted = whole if target_pairs is None else max(0, min(whole, target_pairs - total))
        total += whole
        if rows < wanted:
            path.unlink()


def _lengths(folder: Path, names: list[str]) -> Iterator[tuple[Path, int, int]]:
    """Yield each shard, the number of its pairs before it was cut, and of those that it holds."""
    for name in names:
        rows = read_table(folder / name, []).num_rows
        yield folder / name, rows + read_metadata(folder / name).counts[BEYOND], rows


def _is_of_pairs(name: str) -> bool:
    return name in ("pairs", BEYOND) or (name.startswith(STYLES) and name.endswith(".pairs"))


def _pairs_by_style(pairs: Dataset) -> Counter[str]:
    """Count pairs by the style of the candidate that they hold."""
    if "candidates" not in pairs.column_names:
        return Counter()
    found: Counter[str] = Counter()
    for pair in pairs:
        texts = (pair["instruction"], pair["input"])
        styles = (one["style"] for one in pair["candidates"] if (one["instruction"], one["input"] or "") == texts)
        if style := next(styles, None):
            found[f"{STYLES}{style}.pairs"] += 1
    return found
