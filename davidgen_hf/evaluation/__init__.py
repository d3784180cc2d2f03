"""Benchmarks and metrics of a follower and a corpus; heavy imports wait until something is used.

``superni_scores``, ``meteor_scores`` and ``multilingual_scores`` are the metrics as functions.
``evaluate.load(metric_path("superni"))`` gives the first two as ``evaluate`` modules, without the Hub.
"""

from importlib import import_module
from pathlib import Path

from davidgen_hf.errors import SettingError

METRIC_MODULES = ("superni", "meteor")
_HOMES = {
    "superni_scores": "davidgen_hf.evaluation.superni",
    "grouped_superni_scores": "davidgen_hf.evaluation.superni",
    "meteor_scores": "davidgen_hf.evaluation.meteor",
    "multilingual_scores": "davidgen_hf.evaluation.multilingual",
}
__all__ = ["METRIC_MODULES", "metric_path", *sorted(_HOMES)]


def metric_path(name: str) -> str:
    """Return the file that ``evaluate.load`` takes for a metric.

    Raises:
        SettingError: ``name`` is not one of ``METRIC_MODULES``.
    """
    if name not in METRIC_MODULES:
        raise SettingError(f"There is no metric {name!r}; there are {', '.join(METRIC_MODULES)}.")
    return str(Path(__file__).with_name("modules") / f"{name}.py")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
