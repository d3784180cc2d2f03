"""Commands that train: train and merge."""

from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import say


def train(
    context: typer.Context,
    config: Annotated[
        list[Path] | None, typer.Option(help="A training recipe: a plain TRL YAML. Of several, later ones win.")
    ] = None,
    seq2seq: Annotated[bool, typer.Option("--seq2seq", help="Train T5 or another encoder-decoder.")] = False,
    dpo: Annotated[bool, typer.Option("--dpo", help="Train on preferences, as recipes/dpo.py does.")] = False,
    write_config: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write all settings to this file, which `trl sft --config` reads."),
    ] = None,
) -> None:
    """Train on rows of prompt and completion, as recipes/sft.py does; any setting of the recipe can follow.

    Example: davidgen train --config recipes/demo/2_generator.yaml --dataset_name rows.jsonl --output_dir model
    """
    from davidgen_hf.training.script import train_from_command_line, write_trl_config

    if seq2seq and dpo:
        raise SettingError(
            "--seq2seq and --dpo are both given. A training on preferences needs a causal language model. Leave one "
            "of them out."
        )
    training = "dpo" if dpo else "seq2seq" if seq2seq else "sft"
    argv = [*(word for path in config or [] for word in ("--config", str(path))), *context.args]
    if write_config:
        write_trl_config(write_config, argv, training)
    else:
        train_from_command_line(argv, training)


def merge(
    adapter: Annotated[str, typer.Argument(help="Folder of a training with use_peft: true, or Hub id of an adapter.")],
    output: Annotated[Path, typer.Option(help="New folder for the whole model.")],
    dtype: Annotated[
        str, typer.Option(help="Number type of the weights: float32, bfloat16, float16, or auto for the base model's.")
    ] = "float32",
    allow_restricted: Annotated[
        bool, typer.Option("--allow-restricted", help="Merge what closed models had a part in; run.json then says so.")
    ] = False,
) -> None:
    """Merge a LoRA adapter into its base model, so that nothing needs peft to load it."""
    from davidgen_hf.engines.settings import DTYPES
    from davidgen_hf.training.merge import merge_adapter

    if dtype not in DTYPES:
        raise SettingError(f"--dtype is {dtype!r}. It must be one of {', '.join(DTYPES)}. Pass one of these.")
    chosen = merge_adapter(adapter, output, dtype, allow_restricted=allow_restricted)
    say(f"{output}: weights in {chosen}")
