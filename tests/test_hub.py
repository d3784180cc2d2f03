"""A run on the Hub: what is pushed, what is refused, what an interruption leaves, and what others can load."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_double import TOKEN, HubDouble

from davidgen_hf.errors import ProvenanceError, SettingError
from davidgen_hf.hub import Push, check_publishable, list_files
from davidgen_hf.recipe import load_recipe

HERE = Path(__file__).parent
NEWCOMER = """
import datasets, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
from davidgen_hf import EngineSettings, GenerateInstructions, Sampling, apply

corpus = datasets.load_dataset("org/davidgen", "unsupervised", split="train")
streamed = datasets.load_dataset("org/davidgen", "unsupervised", split="train", streaming=True)
assert list(streamed) == list(corpus)
assert datasets.load_dataset("org/davidgen", "scored", split="train").num_rows
model = AutoModelForCausalLM.from_pretrained("org/davidgen-generator")
chat = AutoTokenizer.from_pretrained("org/davidgen-follower").apply_chat_template(
    [{"role": "user", "content": "Name a river."}], tokenize=False
)
step = GenerateInstructions(EngineSettings(model="org/davidgen-generator"), n=2, sampling=Sampling(max_new_tokens=4))
more = apply(step, corpus.select_columns(["output"]).select([0]))
print(corpus.num_rows, model.num_parameters(), "Name a river." in chat, len(more[0]["candidates"]))
"""


@pytest.fixture
def hub():
    with HubDouble() as hub:
        yield hub


@pytest.fixture
def run(tiny_run, tmp_path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def call(hub: HubDouble, *words: str | Path, home: Path, **environment: str) -> subprocess.CompletedProcess:
    variables = os.environ | hub.environment | {"HF_HOME": str(home)} | environment
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env=variables, check=False
    )


def test_a_run_is_pushed_and_a_newcomer_goes_on_with_it(hub, run, tmp_path):
    words = ("-m", "davidgen_hf", "push", run, "--to", "org/davidgen", "--private", "--publish-restricted")
    pushed = call(hub, *words, home=tmp_path / "home")
    assert pushed.returncode == 0, pushed.stderr
    published = json.loads((run / "run.json").read_text())["published"]
    assert [one["repo"] for one in published] == ["org/davidgen", "org/davidgen-generator", "org/davidgen-follower"]
    for one in published:
        assert one["commit"] in pushed.stdout
        assert hub.state.repos[one["repo_type"], one["repo"]].private
        assert len(hub.commits(one["repo"], one["repo_type"])) == 2  # the first is the empty repository
    assert 'load_dataset("org/davidgen"' in hub.files("org/davidgen", "dataset")["README.md"].decode()
    model = hub.files("org/davidgen-follower")
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= model.keys()
    assert not [name for name in model if "checkpoint" in name or name.endswith((".bin", ".pt"))]
    newcomer = call(hub, "-c", NEWCOMER, home=tmp_path / "empty")
    assert newcomer.returncode == 0, newcomer.stderr
    rows, parameters, chats, candidates = newcomer.stdout.split()
    assert (int(rows) > 0, int(parameters) > 0, chats, candidates) == (True, True, "True", "2")


def test_an_upload_that_died_ends_with_the_same_repositories(run):
    ran = subprocess.run(
        [sys.executable, HERE / "hub_pushing.py", run, "6"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["stopped"] > 0
    assert (found["differences"], found["commits_of_a_second_push"]) == ([], 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_upload_may_die_at_each_of_its_requests(run):
    ran = subprocess.run(
        [sys.executable, HERE / "hub_pushing.py", run, "1"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert (found["differences"], found["commits_of_a_second_push"]) == ([], 0)


def test_a_demo_or_restricted_run_is_refused_without_the_flag(run):
    with pytest.raises(ProvenanceError, match=r"add --publish-restricted"):
        check_publishable(run, Push("org/davidgen"))
    check_publishable(run, Push("org/davidgen", publish_restricted=True))


def test_a_part_that_the_recipe_does_not_allow_is_refused_even_with_the_flag(run):
    record = json.loads((run / "run.json").read_text())
    record["provenance"] |= {"allow_restricted": False}
    record["provenance"]["parts"][0]["answer"] = "restricted"
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ProvenanceError, match="is restricted, and the recipe does not allow that"):
        check_publishable(run, Push("org/davidgen", publish_restricted=True))


def test_what_would_be_pushed_is_listed_and_nothing_is_sent(run):
    before = sorted(run.rglob("*"))
    files = list_files(run, Push("org/davidgen", parts=("generator",), publish_restricted=True))
    assert (
        files["org/davidgen-generator"]["model.safetensors"]
        == (run / "generator" / "model.safetensors").stat().st_size
    )
    assert sorted(run.rglob("*")) == before


def test_a_hub_that_refuses_is_named_without_the_token(hub, run, tmp_path):
    words = ("-m", "davidgen_hf", "push", run, "--to", "org/davidgen", "--publish-restricted")
    refused = call(hub, *words, home=tmp_path, HF_TOKEN="hf_" + "wrong" * 5)
    assert refused.returncode == 2
    assert "org/davidgen could not be pushed" in refused.stderr
    assert "HF_TOKEN or `hf auth login`" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "wrongwrong" not in refused.stdout + refused.stderr


SECRET = "hf_" + "Zz9" * 8


@pytest.mark.parametrize(
    "words",
    [
        ("run", "demo", f"generator.hub_token={SECRET}"),
        ("run", "demo", "--passages", f"https://me:{SECRET}@example.org/rows.jsonl"),
        ("run", "demo", f"corpus.score.engine.base_url=https://me:{SECRET}@example.org/v1"),
        ("run", "demo", "--base-model", f"org/{SECRET}"),
        ("corpus", "demo", "--generator", f"https://x:{SECRET}@example.org/m"),
        ("train", "--config", "recipes/demo/2_generator.yaml", "--hub_token", SECRET),
        ("eval", "model", "--model-args", f"token={SECRET}"),
        ("eval", f"https://x:{SECRET}@example.org/m"),
        ("push", "nowhere", "--to", "org/name", "--token", SECRET),
        ("diversity", f"https://x:{SECRET}@example.org/m"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_token_in_a_command_is_shown_and_written_nowhere(words, tmp_path):
    (tmp_path / "recipes").symlink_to(HERE.parent / "recipes")
    ran = subprocess.run(
        [sys.executable, "-m", "davidgen_hf", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE.parent)},
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and SECRET in path.read_text(errors="ignore")] == []


@pytest.mark.parametrize("key", ["corpus.passages.source", "generator.hub_token", "seeds.source.source"])
def test_a_setting_with_a_token_is_named_by_its_key_alone(key):
    with pytest.raises(SettingError, match=rf"recipe\.{key} holds a token or password") as caught:
        load_recipe("demo", [f"{key}=https://me:{SECRET}@example.org/x"])
    assert SECRET not in str(caught.value)


def test_a_run_with_a_token_in_the_environment_writes_it_nowhere(tiny_llama, tmp_path):
    settings = ("corpus.passages.max_rows=3", "corpus.guards=none", "corpus.limit.max_tokens=100")
    settings += ("corpus.generate.sampling.max_new_tokens=4", "evaluation.max_new_tokens=4")
    for model in ("generator", "follower"):
        settings += (f"{model}.max_steps=1", f"{model}.bf16=false")
    words = ("run", "demo", "--base-model", tiny_llama, "--output", tmp_path / "new")
    made = subprocess.run(
        [sys.executable, "-m", "davidgen_hf", *words, *settings],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_TOKEN": TOKEN, "DAVIDGEN_API_KEY": "key-of-a-server", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert made.returncode == 0, made.stderr
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert files
    for secret in (TOKEN, "key-of-a-server"):
        assert secret not in made.stdout + made.stderr
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
