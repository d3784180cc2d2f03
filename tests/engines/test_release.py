"""Memory that a step of a run took is there for the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, torch
from davidgen_hf.engines import release_models

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))

before = resident()
held = [torch.ones(4096) for _ in range(12800)]  # 200 MiB in blocks that the C library keeps when they are freed
kept = torch.ones(4096)
held.append(held)  # a cycle, as of a model and its trainer
full = resident()
del held
release_models()
print(full - before, resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process as Linux shows it")
def test_what_a_model_took_is_given_back():
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    taken, left = map(float, ran.stdout.split())
    assert taken > 190
    assert left < 60
