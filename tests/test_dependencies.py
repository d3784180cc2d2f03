"""What is installed with the package: under which licenses, and from where."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from davidgen_hf.errors import SettingError
from davidgen_hf.processors import ExtractKeywords

ROOT = Path(__file__).parents[1]
POLICY = yaml.safe_load((ROOT / ".ci" / "dependency_licenses.yaml").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def runtime() -> set[str]:
    """Names of what `pip install davidgen-hf` installs here, and what these need in turn."""
    found: set[tuple[str, str]] = set()
    queue = [Requirement(line) for line in PROJECT["dependencies"]]
    while queue:
        needed = queue.pop()
        name = canonicalize_name(needed.name)
        for extra in ("", *needed.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            requires = map(Requirement, metadata.distribution(name).requires or ())
            queue += [one for one in requires if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def declared(name: str) -> str:
    """The license in a package's metadata: the expression, else the classifiers, else the first line of the text."""
    about = metadata.metadata(name)
    classifiers = [one.split(" :: ")[-1] for one in about.get_all("Classifier", []) if one.startswith("License ::")]
    lines = (about.get("License") or "").strip().splitlines()
    named = "; ".join(classifiers) or (lines[0] if lines else "none")
    return about.get("License-Expression") or re.sub(r" \([^)]*\)", "", named)  # "MIT License (MIT)"


def test_every_dependency_has_a_license_that_is_allowed_or_a_reviewed_exception():
    installed, allowed, exceptions = runtime(), POLICY["allowed"], POLICY["exceptions"]
    assert len(installed) > 80
    assert installed - POLICY["packages"].keys() == set(), "add them to .ci/dependency_licenses.yaml"
    changed = {name: declared(name) for name in installed if declared(name) != POLICY["packages"][name]}
    assert changed == {}, "review these, and change .ci/dependency_licenses.yaml"
    outside = {
        name
        for name, license in POLICY["packages"].items()
        if not set(re.split(r" AND | OR |; |[()]", license)) - {""} <= set(allowed)
    }
    assert outside == exceptions.keys()
    assert all(one["because"] and one["reviewed_on"] for one in exceptions.values())
    assert not any(re.search("GPL|General Public", one) for one in allowed)


def test_yake_is_under_the_agpl_and_only_in_an_extra(monkeypatch):
    assert "yake" not in runtime()
    texts = [file.read_text() for file in metadata.files("yake") if file.name == "LICENSE"]
    assert all("GNU AFFERO GENERAL PUBLIC LICENSE" in text for text in texts)
    assert len(texts) == 1
    monkeypatch.setattr("davidgen_hf.processors.keywords.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"keywords needs YAKE, .* AGPL, .*`pip install 'davidgen-hf\[keywords\]'"):
        ExtractKeywords()


def test_the_lock_is_of_these_lists_and_names_no_host_but_pypi(tmp_path):
    text = (ROOT / "uv.lock").read_text("utf-8")
    assert set(re.findall(r"https?://([^/\"]+)", text)) == {"pypi.org", "files.pythonhosted.org"}
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    uv = [find_uv_bin(), "lock", "--check", "--offline", "--cache-dir", str(tmp_path / "cache")]
    assert subprocess.run(uv, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    other = (tmp_path / "pyproject.toml").read_text("utf-8").replace('"accelerate>=1.10"', '"accelerate>=1.11"')
    (tmp_path / "pyproject.toml").write_text(other, "utf-8")
    assert subprocess.run(uv, cwd=tmp_path, check=False, capture_output=True).returncode != 0


def test_hf_runs_the_package_as_an_extension(tmp_path):
    """`hf` finds an extension by its manifest and starts the console script hf-NAME, which has to be there."""
    module, function = PROJECT["scripts"]["hf-davidgen"].split(":")
    script = tmp_path / "hf-davidgen"  # as pip writes it
    script.write_text(f"#!{sys.executable}\nfrom {module} import {function}\n{function}()\n")
    script.chmod(0o755)
    folder = tmp_path / ".local" / "share" / "hf" / "extensions" / "hf-davidgen"
    folder.mkdir(parents=True)
    about = {"owner": "org", "repo": "hf-davidgen", "repo_id": "org/hf-davidgen", "short_name": "davidgen"}
    about |= {"executable_path": str(script), "type": "python", "installed_at": "2026-01-01T00:00:00+00:00"}
    (folder / "manifest.json").write_text(json.dumps(about))
    environment = {"HOME": str(tmp_path), "PATH": "", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    hf = [str(Path(sys.executable).parent / "hf"), "davidgen", "recipe", "list"]
    shown = subprocess.run(hf, env=environment, check=False, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "demo\n" in shown.stdout
