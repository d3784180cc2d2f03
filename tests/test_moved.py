"""Module names of version 0.1 still import, with a warning, and give the new modules."""

import subprocess
import sys

CHECK = """
import importlib, warnings
from davidgen_hf.moved import MOVED
for old, new in MOVED.items():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = importlib.import_module(f"davidgen_hf.{old}")
    assert found is importlib.import_module(f"davidgen_hf.{new}"), old
    assert found.__spec__.name == f"davidgen_hf.{new}", old
    assert f"davidgen_hf.{old} has moved to davidgen_hf.{new}." in [str(one.message) for one in said], old
"""


def test_an_old_name_imports_the_new_module():
    ran = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
