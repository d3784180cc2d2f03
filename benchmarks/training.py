"""Is a training as quick as TRL's, and does it learn? ``python -m benchmarks.training speed|study``.

``speed``: one epoch over the same rows with this package and with a plain TRL script of the same settings, in turn.
``study``: the generator of the recipe ``small``, in full and with LoRA, on seeds split into three parts. LoRA's
learning rate is the one with the least loss on the second part; what is reported is the loss on the third.
"""

import argparse
import json
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets
import torch
import transformers
import trl
from datasets import Dataset
from transformers import Trainer
from trl import ModelConfig, SFTConfig, SFTTrainer, get_peft_config

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.tokens import TokenPair
from davidgen_hf.processors import apply
from davidgen_hf.recipe import load_recipe
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.sources.seeds import read_seeds
from davidgen_hf.training import resolve_model, train

ROWS_A_STEP = 8
# What both trainers are given in each race, over the settings of `recipes/small`.
SPEED_RACES = {
    "random order": {"train_sampling_strategy": "random"},
    "rows of like length together": {},
    "rows of like length together, activation checkpointing": {"activation_checkpointing": True},
    "LoRA, rows of like length together": {"use_peft": True, "lora_target_modules": ["all-linear"]},
}
LORA = {"use_peft": True, "lora_target_modules": ["all-linear"], "lora_r": 32, "lora_alpha": 64, "lora_dropout": 0.05}
STUDY = {
    "full, 5e-5": {},
    "LoRA, 5e-4": LORA | {"learning_rate": 5e-4},
    "LoRA, 1e-3": LORA | {"learning_rate": 1e-3},
}


def main() -> None:
    """Run what the command line asks for, and print and write its figures."""
    parser = argparse.ArgumentParser("python -m benchmarks.training", description=__doc__)
    parser.add_argument("part", choices=("speed", "study"))
    parser.add_argument("--seeds", default="embedded", help="Seed tasks, as `davidgen run --seeds` takes them.")
    parser.add_argument("--rows", type=int, default=40, help="Rows of each race (default: 40).")
    parser.add_argument("--repeats", type=int, default=2, help="Rounds of the races (default: 2).")
    parser.add_argument("--models", type=Path, help="Keep the study's models here; a second call goes on from there.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args()
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    recipe = load_recipe("small", [f"seeds.source.source={json.dumps(args.seeds)}"])
    rows = apply(recipe.seeds.reverse, read_seeds(recipe.seeds.sources, Skipped()))
    with tempfile.TemporaryDirectory() as folder:
        if args.part == "speed":
            figures = compare_speed(rows.select(range(args.rows)), recipe.generator, args.repeats, Path(folder))
        else:
            figures = study(rows, recipe.generator, args.models or Path(folder))
    setting = {"threads": torch.get_num_threads(), "torch": torch.__version__, "trl": trl.__version__}
    figures |= {"setting": setting | {"transformers": transformers.__version__, "python": platform.python_version()}}
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / f"training_{args.part}.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def compare_speed(rows: Dataset, settings: dict, repeats: int, folder: Path) -> dict:
    """Train one epoch with each trainer in turn, round by round, and return tokens a second by race."""
    settings = settings | {"num_train_epochs": 1, "gradient_accumulation_steps": 2, "logging_steps": 1}
    settings["save_strategy"] = "no"
    settings["model_name_or_path"], _ = resolve_model(settings["model_name_or_path"], None)
    contenders = {"trl": train_with_trl, "ours": train_with_ours}
    for run in contenders.values():  # the first steps of a process are slower
        run(rows.select(range(ROWS_A_STEP)), settings, folder / f"warm_{run.__name__}")
    races = {}
    for race, change in SPEED_RACES.items():
        races[race] = {name: [] for name in contenders}
        for turn in range(repeats):
            for name, run in contenders.items():
                with stopwatch() as spent:
                    tokens, loss = run(rows, settings | change, folder / f"{race}-{name}-{turn}")
                races[race][name].append({"tokens": tokens, "loss": loss, **spent})
                shutil.rmtree(folder / f"{race}-{name}-{turn}", ignore_errors=True)
                print(race, name, races[race][name][-1], flush=True)
        for unit in ("seconds", "processor_seconds"):
            rates = [[one["tokens"] / one[unit] for one in races[race][name]] for name in ("ours", "trl")]
            ratios = [ours / theirs for ours, theirs in zip(*rates, strict=True)]
            races[race][f"tokens_a_{unit[:-1]}_to_trl"] = ratios
    return {"rows": len(rows), "settings": settings | {"model_name_or_path": "embedded"}, "races": races}


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Measure what ``Trainer.train`` takes, by the clock and of the processor, in whichever trainer it is called."""
    spent, run = {}, Trainer.train

    def timed(*args: Any, **kwargs: Any) -> Any:
        start, busy = time.perf_counter(), time.process_time()
        done = run(*args, **kwargs)
        spent.update(seconds=time.perf_counter() - start, processor_seconds=time.process_time() - busy)
        return done

    with patch.object(Trainer, "train", timed):
        yield spent


def train_with_ours(rows: Dataset, settings: dict, folder: Path) -> tuple[int, float]:
    """Return tokens and mean loss of a training with ``davidgen_hf.training.train``."""
    done = train(rows, settings, output_dir=folder)
    return done.tokens_seen, statistics.fmean(loss for _, loss in done.loss_history)


def train_with_trl(rows: Dataset, settings: dict, folder: Path) -> tuple[int, float]:
    """Return the same of a training as ``trl/scripts/sft.py`` does it."""
    args, model_args = (
        cls(**{name: value for name, value in settings.items() if name in cls.__dataclass_fields__})
        for cls in (SFTConfig, ModelConfig)
    )
    args.output_dir = str(folder)
    args.model_init_kwargs = {"dtype": model_args.dtype}
    trainer = SFTTrainer(
        model=model_args.model_name_or_path,
        args=args,
        train_dataset=rows.select_columns(["prompt", "completion"]),
        peft_config=get_peft_config(model_args),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return round(trainer._total_train_tokens), statistics.fmean(losses)


def study(rows: Dataset, settings: dict, folder: Path) -> dict:
    """Train on five sevenths of the rows; return completion losses, in nats per token, on the other two."""
    order = random.Random(0).sample(range(len(rows)), len(rows))
    seventh = len(rows) // 7
    held_out, development, trained_on = (
        rows.select(part) for part in (order[:seventh], order[seventh : 2 * seventh], order[2 * seventh :])
    )
    print(f"{len(trained_on)} rows to train on, {len(development)} for choices, {len(held_out)} held out", flush=True)
    runs = {"base": {"model": settings["model_name_or_path"]}}
    for name, change in STUDY.items():
        output = folder / name.replace(", ", "_").replace(" ", "_")
        done = train(trained_on, settings | change, output_dir=output, resume=True)
        runs[name] = {
            "model": str(output),
            "loss_history": done.loss_history,
            "tokens": done.tokens_seen,
            "seconds": done.seconds,
            "rows": str(done.rows),
        }
    for run in runs.values():
        score = scorer(run.pop("model"))
        run |= {"development_loss": score(development), "held_out_loss": score(held_out)}
    lora = min((name for name in STUDY if STUDY[name]), key=lambda name: runs[name]["development_loss"]["with_end"])
    full, base = runs["full, 5e-5"]["held_out_loss"], runs["base"]["held_out_loss"]
    ratio = {kind: runs[lora]["held_out_loss"][kind] / full[kind] for kind in full}
    margin = {kind: base[kind] - full[kind] for kind in full}
    return {"runs": runs, "chosen_lora": lora, "lora_to_full": ratio, "full_below_base": margin}


def scorer(model: str) -> Callable[[Dataset], dict[str, float]]:
    """Return what measures the completion loss of ``model``, with and without the token that ends a completion."""
    engine = LocalEngine(EngineSettings(model=model, dtype="float32"))

    def mean(rows: Dataset, end: tuple[int, ...]) -> float:
        pairs = engine.tokens.pairs(list(rows["prompt"]), list(rows["completion"]))
        nll = engine.token_nll([TokenPair(pair.context, pair.target + end) for pair in pairs])
        return sum(one.sum().item() for one in nll) / sum(len(one) for one in nll)

    return lambda rows: {"with_end": mean(rows, (engine.tokenizer.eos_token_id,)), "text_alone": mean(rows, ())}


if __name__ == "__main__":
    main()
