"""Instruction-tuning data from plain text, made with open-weight models only.

How the data flow, in one direction, after "Harnessing the Power of David against Goliath" (arXiv 2308.12711):

    seeds ──reverse──▶ generator training ──▶ GENERATOR ───────┐
    passages ──extract──▶ fragments ──────────────────generate (K each)──▶ candidates
      ──guard──▶ ──score──▶ ──select──▶ CORPUS ──▶ follower training ──▶ FOLLOWER ──▶ evaluation

``sources`` read seeds and passages, ``processors`` are the steps from a passage to a pair, ``methods`` put them in
order, ``engines`` run the models, ``corpus`` builds shards, ``training`` makes the two models, ``evaluation``
measures them, and ``run`` runs all steps of a recipe.
"""

import importlib
import os

from davidgen_hf import moved

# `datasets` reports every file that it loads to a server; this package uses the network only for what the user names.
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")

__version__ = "0.1.0"
moved.install()

# The module of each public name; it is imported on first use, so that `davidgen --help` loads no model library.
_HOMES = {
    "engines": ("EngineSettings", "Sampling", "Score", "load_engine"),
    "processors": (
        *(
            *("ReverseSeeds", "FollowSeeds", "ListSeeds"),
            "LimitPassages",
            "KeepWhole",
            "ExtractKeywords",
            "ExtractSentence",
            "ExtractWithModel",
        ),
        *("GenerateInstructions", "GuardCandidates", "Decontaminate", "ScoreCandidates", "SelectInstruction"),
        *("WriteTasks", "GuardTasks", "NovelInstructions", "ByRank", "apply"),
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
