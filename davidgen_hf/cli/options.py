"""Arguments and options that several commands share, and what they stand for."""

import json
from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[str, typer.Argument(help="Folder or file of a recipe, or the name of a shipped one.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="section.key=value, instead of the recipe's own value.")]
Passages = Annotated[
    str | None, typer.Option(help=".jsonl, .csv, .parquet or .txt file, a folder of them, or a Hub dataset id.")
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the passages that holds the text.")]
Seeds = Annotated[str | None, typer.Option(help="Rows of instruction, input and output, in the same formats.")]
BaseModel = Annotated[str | None, typer.Option(help="Folder or Hub id of the model to train and to score with.")]
Output = Annotated[Path, typer.Option(help="The run folder.")]
Run = Annotated[Path, typer.Argument(help="A run folder.")]
Update = Annotated[
    bool, typer.Option("--update", "--restart", help="With a changed recipe: rebuild only what the change affects.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Let an update throw away what models made.")]
ExecutorKind = Annotated[
    str,
    typer.Option(
        "--executor", help="Where shards are built: local, ray (needs the extra `ray`), or jobs: Hugging Face Jobs."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray cluster: auto, HOST:6379 or ray://HOST:10001. Default: a cluster on this machine alone."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Ray workers; default: one per GPU, or per machine without GPUs. Or jobs, a part each; default: 1."
    ),
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(min=0, help="GPUs of each worker. Default: 1 if there are any; use 0 if a server holds the model."),
]
Bucket = Annotated[
    str | None,
    typer.Option(help="With --executor jobs: bucket, org/name, for the run's folder; jobs have it at /runs."),
]
Flavor = Annotated[str, typer.Option(help="With --executor jobs: hardware, as `hf jobs hardware` lists it.")]
Timeout = Annotated[str, typer.Option(help="With --executor jobs: longest duration of a job, such as 90m or 6h.")]
Shard = Annotated[
    str | None,
    typer.Option(
        help="i/n: build only this part of the corpus, while other calls build the others; 0 <= i < n. Default: the "
        "process's own part under `accelerate launch`."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show warnings and errors alone.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show what libraries print too, instead of writing it to log.txt.")
]


def overrides_of(
    passages: str | None, text_column: str | None, seeds: str | None, base_model: str | None
) -> list[str]:
    """Return the overrides that the options of a run stand for."""
    options = {
        "corpus.passages.source": passages,
        "corpus.passages.text_column": text_column,
        "seeds.source.source": seeds,
        "generator.model_name_or_path": base_model,
        "follower.model_name_or_path": base_model,
    }
    return [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
