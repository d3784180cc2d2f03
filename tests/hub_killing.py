"""Kills pushes of a run to a Hub on loopback at random moments, each in a process of its own.

Prints, as JSON, what differs from an undisturbed push, and what is left in the run's folder. Arguments: the run's
folder, and the number of kills.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from hub_double import HubDouble

run, kills = Path(sys.argv[1]), int(sys.argv[2])
hub = HubDouble()
hub.__enter__()
os.environ |= hub.environment | {"HF_HOME": tempfile.mkdtemp(), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import datasets  # noqa: E402  (after the environment)

from davidgen_hf.publish.hub import Push, push  # noqa: E402

datasets.disable_progress_bars()
REPOS = (("dataset", "org/corpus"), ("model", "org/corpus-generator"), ("model", "org/corpus-follower"))


def publish(seconds: float | None) -> float:
    """Push the run in a child, and kill that after a time; return how long it ran."""
    started = time.monotonic()
    child = os.fork()
    if not child:
        try:
            push(run, Push("org/corpus", publish_restricted=True), lambda _: None)
            os._exit(0)
        finally:
            os._exit(1)
    while seconds is None or time.monotonic() - started < seconds:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return time.monotonic() - started
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - started


def content() -> dict:
    return {name: hub.files(name, repo_type) for repo_type, name in REPOS}


whole = publish(None)
expected, record = content(), json.loads((run / "run.json").read_text())
drawn, found = random.Random(0), {"differences": 0, "left": [], "commits": []}
for _ in range(kills // 2):
    hub.state.repos.clear()
    hub.state.lfs.clear()
    (run / "run.json").write_text(json.dumps(record | {"published": []}))
    for _ in range(2):
        publish(drawn.uniform(0.02, whole))
    publish(None)
    found["differences"] += content() != expected
    found["commits"].append(max(len(hub.commits(name, repo_type)) for repo_type, name in REPOS))
found["left"] = sorted(path.name for path in run.iterdir() if path.name.startswith(".push"))
print(json.dumps(found))
