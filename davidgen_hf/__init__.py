"""Instruction-tuning data from plain text, made with open-weight models only.

The way of the data, one direction, after "Harnessing the Power of David against Goliath" (arXiv 2308.12711):

    seeds ──reverse──▶ generator training ──▶ GENERATOR ───────┐
    passages ──extract──▶ fragments ──────────────────generate (K each)──▶ candidates
      ──guard──▶ ──score──▶ ──select──▶ CORPUS ──▶ follower training ──▶ FOLLOWER ──▶ evaluation

``sources`` read seeds and passages, ``processors`` are the steps up to the corpus, ``engines`` run the models behind
them, ``training`` makes the two models, ``evaluation`` measures, and ``run`` does it all for a recipe.
"""

import importlib
import os

# `datasets` tells a server of every file that it loads, and this package reaches the network only when asked to.
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")

__version__ = "0.1.0"

# Where each public name lives; it is imported when it is asked for, so that `davidgen --help` loads no model library.
_HOMES = {
    "engines": ("EngineSettings", "Sampling", "Score", "load_engine"),
    "processors": (
        *("ReverseSeeds", "LimitPassages", "KeepWhole", "ExtractKeywords", "ExtractSentence", "ExtractWithModel"),
        *("GenerateInstructions", "GuardCandidates", "Decontaminate", "ScoreCandidates", "SelectInstruction", "apply"),
    ),
    "publish.builder": ("DavidGen",),
    "publish.cards": ("write_cards",),
    "publish.folder": ("build_folder",),
    "recipe": ("Recipe", "load_recipe"),
    "run.run": ("run_recipe",),
    "training": ("train",),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"davidgen_hf.{home}"), name)
    raise AttributeError(f"module 'davidgen_hf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
