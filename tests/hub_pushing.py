"""Pushes a run to a Hub on loopback with a fault at each of its requests in turn, in a process of its own.

Prints, as JSON, what differs from an undisturbed push, by fault and number of the request. Arguments: the run's
folder, and the distance from one request that fails to the next.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from hub_double import FAULTS, HubDouble

run, step = Path(sys.argv[1]), int(sys.argv[2])
hub = HubDouble()
hub.__enter__()
os.environ |= hub.environment | {"HF_HOME": tempfile.mkdtemp(), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

import datasets  # noqa: E402  (after the environment)

from davidgen_hf.errors import HubError  # noqa: E402
from davidgen_hf.publish import calls  # noqa: E402
from davidgen_hf.publish.hub import Push, push  # noqa: E402

datasets.disable_progress_bars()
calls.TRIES = 1  # the upload is to die
REPOS = (("dataset", "org/corpus"), ("model", "org/corpus-generator"), ("model", "org/corpus-follower"))


def publish() -> int:
    """Push the run once; return the number of requests that it took."""
    before = len(hub.state.log)
    push(run, Push("org/corpus", publish_restricted=True), lambda _: None)
    return len(hub.state.log) - before


def content() -> dict:
    return {name: hub.files(name, repo_type) for repo_type, name in REPOS}


requests = publish()
expected = content()
found = {"requests": requests, "stopped": 0, "differences": [], "commits_of_a_second_push": 0}
before = [hub.commits(name, repo_type) for repo_type, name in REPOS]
publish()
after = [hub.commits(name, repo_type) for repo_type, name in REPOS]
found["commits_of_a_second_push"] = sum(map(len, after)) - sum(map(len, before))
for fault in FAULTS:
    for number in range(1, requests + 1, step):
        hub.state.repos.clear()
        hub.state.lfs.clear()
        hub.fail(number, fault)
        try:
            publish()
        except HubError:
            found["stopped"] += 1
        hub.state.fault = None
        publish()
        if content() != expected:
            found["differences"].append([fault, number])
print(json.dumps(found))
