"""Benchmarks and metrics of a follower and a corpus; heavy imports wait until something is used.

``superni_scores``, ``meteor_scores`` and ``multilingual_scores`` are the metrics as functions.
``evaluate.load(metric_path("superni"))`` gives the first two as ``evaluate`` modules, without the Hub;
``write_metric_space`` writes one as a Space that can be pushed.
"""

from importlib import import_module
from pathlib import Path

from davidgen_hf.errors import SettingError
from davidgen_hf.storage.files import replacing

METRIC_MODULES = ("superni", "meteor")
_HOMES = {
    "superni_scores": "davidgen_hf.evaluation.superni",
    "grouped_superni_scores": "davidgen_hf.evaluation.superni",
    "meteor_scores": "davidgen_hf.evaluation.meteor",
    "multilingual_scores": "davidgen_hf.evaluation.multilingual",
}
__all__ = ["METRIC_MODULES", "metric_path", "write_metric_space", *sorted(_HOMES)]
_SPACE_CARD = """\
---
title: {title}
sdk: gradio
app_file: app.py
pinned: false
license: apache-2.0
tags:
- evaluate
- metric
description: {description}
---

# {title}

{description}

```python
import evaluate

metric = evaluate.load("ORG/{name}")
```

It needs `pip install davidgen-hf`, whose functions compute the figures.
"""
_SPACE_APP = """\
import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("{name}.py"))
"""


def metric_path(name: str) -> str:
    """Return the file that ``evaluate.load`` takes for a metric.

    Raises:
        SettingError: ``name`` is not one of ``METRIC_MODULES``.
    """
    if name not in METRIC_MODULES:
        raise SettingError(f"There is no metric {name!r}; there are {', '.join(METRIC_MODULES)}.")
    return str(Path(__file__).with_name("modules") / f"{name}.py")


def write_metric_space(name: str, folder: str | Path) -> Path:
    """Write a metric as a Space of the Hub, from which ``evaluate.load("org/NAME")`` loads it, and return the folder.

    Push it with ``hf upload org/NAME FOLDER --repo-type space``.

    Args:
        name: One of ``METRIC_MODULES``, which has to be the name of the Space too.
        folder: New folder.

    Raises:
        SettingError: ``name`` is not one of ``METRIC_MODULES``.
        RunFolderError: The folder is not empty, or cannot be written.
    """
    module = Path(metric_path(name)).read_text("utf-8")
    description = module.partition('_DESCRIPTION = "')[2].partition('"')[0]
    files = {
        f"{name}.py": module,
        "README.md": _SPACE_CARD.format(name=name, title=f"{name} by davidgen_hf", description=description),
        "app.py": _SPACE_APP.format(name=name),
        "requirements.txt": "davidgen-hf\nevaluate\ngradio\n",
    }
    with replacing(Path(folder)) as draft:
        draft.mkdir()
        for file, text in files.items():
            (draft / file).write_text(text, "utf-8")
    return Path(folder)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
