"""A run on the Hub: what is pushed, what is refused, what an interruption leaves, and what others can load."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hub_double import TOKEN, Commit, File, HubDouble, Repo
from huggingface_hub import parse_eval_result_entries

from davidgen_hf.errors import HubError, ProvenanceError, SettingError
from davidgen_hf.publish import calls
from davidgen_hf.publish.cards.notes import split_card
from davidgen_hf.publish.hub import Push, check_publishable, list_files, push
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.progress import FILE_NAME as PROGRESS
from davidgen_hf.storage.progress import Bar, Progress, write_progress
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_shards

HERE = Path(__file__).parents[1]
TREE = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
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
def run(declared_run, tmp_path) -> Path:
    return shutil.copytree(declared_run, tmp_path / "run")


def call(hub: HubDouble, *words: str | Path, home: Path, **environment: str) -> subprocess.CompletedProcess:
    variables = os.environ | {"PYTHONPATH": str(HERE.parent)} | hub.environment | {"HF_HOME": str(home)} | environment
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env=variables, check=False
    )


def test_a_run_is_pushed_and_a_newcomer_continues_it(hub, run, tmp_path):
    words = ("-m", "davidgen_hf", "push", run, "org/davidgen", "--private", "--yes")
    pushed = call(hub, *words, home=tmp_path / "home")
    assert pushed.returncode == 0, pushed.stderr
    published = json.loads((run / "run.json").read_text())["published"]
    assert [one["repo"] for one in published] == ["org/davidgen", "org/davidgen-generator", "org/davidgen-follower"]
    for one in published:
        assert one["commit"] in pushed.stdout
        assert hub.state.repos[one["repo_type"], one["repo"]].private
        assert len(hub.commits(one["repo"], one["repo_type"])) == 2  # the first is the empty repository
    assert 'load_dataset("org/davidgen"' in hub.files("org/davidgen", "dataset")["README.md"].decode()
    described = json.loads(hub.files("org/davidgen", "dataset")["croissant.json"])
    assert described["url"].endswith("/datasets/org/davidgen")
    model = hub.files("org/davidgen-follower")
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= model.keys()
    assert not [name for name in model if "checkpoint" in name or name.endswith((".bin", ".pt"))]
    newcomer = call(hub, "-c", NEWCOMER, home=tmp_path / "empty")
    assert newcomer.returncode == 0, newcomer.stderr
    rows, parameters, chats, candidates = newcomer.stdout.split()
    assert (int(rows) > 0, int(parameters) > 0, chats, candidates) == (True, True, "True", "2")


def test_an_upload_that_died_ends_with_the_same_repositories(run):
    ran = subprocess.run(
        [sys.executable, HERE / "hub_pushing.py", run, "17"], capture_output=True, text=True, env=TREE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["stopped"] > 0
    assert (found["differences"], found["commits_of_a_second_push"]) == ([], 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_upload_may_die_at_each_of_its_requests(run):
    ran = subprocess.run(
        [sys.executable, HERE / "hub_pushing.py", run, "1"], capture_output=True, text=True, env=TREE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert (found["differences"], found["commits_of_a_second_push"]) == ([], 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_pushes_that_are_killed_end_with_the_same_repositories_and_leave_nothing(run):
    ran = subprocess.run(
        [sys.executable, HERE / "hub_killing.py", run, "20"], capture_output=True, text=True, env=TREE, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert (found["differences"], found["left"], max(found["commits"])) == (0, [], 2)


def test_a_restricted_run_is_refused_without_the_flag(run):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"demo": True}))
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


def test_without_yes_nothing_is_sent(hub, run, tmp_path):
    listed = call(hub, "-m", "davidgen_hf", "push", run, "org/davidgen", home=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "org/davidgen  data/unsupervised/train-00000-of-00001.parquet" in listed.stdout
    assert "org/davidgen-follower  model.safetensors" in listed.stdout
    assert "Nothing was sent. Add --yes" in listed.stdout
    assert hub.state.repos == {}


def test_a_pulled_run_resumes_where_it_stopped(hub, run, declared_run, tmp_path):
    whole = read_shards(run / "corpus")[:]
    for shard in ("scored/00001.parquet", "corpus/00001.parquet"):
        (run / shard).unlink()
    record = json.loads((run / "run.json").read_text())
    stopped = {name: step for name, step in record["steps"].items() if name in ("seeds", "generator")}
    (run / "run.json").write_text(json.dumps(record | {"steps": stopped}))
    bar = Bar("scores", "shards", 2, 1)
    write_progress(run / PROGRESS, Progress(("generator", "corpus"), "corpus", [bar]))
    code = (
        "from davidgen_hf.publish.hub import *; from pathlib import Path\n"
        f"run = Path({str(run)!r})\n"
        "def end(_): raise SystemExit(0)\n"
        "push_while_it_runs(run, Push('org/davidgen', publish_restricted=True), print, end)"
    )
    pushed = call(hub, "-c", code, home=tmp_path / "home")
    assert pushed.returncode == 0, pushed.stderr
    card = hub.files("org/davidgen", "dataset")["README.md"].decode()
    assert re.search(r"\ngenerator: done in 0:\d\d\ncorpus: unfinished: scores 1/2 shards \(0:\d\d ago\)\n", card)
    assert str(run.parent) not in card
    assert split_card(card)[1] == ""
    pulled = call(hub, "-m", "davidgen_hf", "pull", "org/davidgen", tmp_path / "back", home=tmp_path / "other")
    assert pulled.returncode == 0, pulled.stderr
    back = tmp_path / "back"
    assert not list(back.rglob(".cache"))
    assert sorted(path.name for path in (back / "scored").iterdir()) == ["00000.parquet"]
    # The generator is on the Hub too, with its card, so that losing the machine loses nothing.
    assert "# " in hub.files("org/davidgen-generator")["README.md"].decode()
    assert (back / "generator" / "model.safetensors").read_bytes() == (
        run / "generator" / "model.safetensors"
    ).read_bytes()
    asked = json.loads((declared_run.parent / "asked.json").read_text())
    run_recipe(load_recipe("demo", asked), back, lambda _: None, steps=("seeds", "generator", "corpus"))
    assert read_shards(back / "corpus")[:] == whole


def test_a_corpus_that_grew_sends_only_what_is_new(near_hub, run, declared_run, tmp_path):
    request = Push("org/houses", ("corpus", "generator"))
    push(run, request, lambda _: None)
    before, known = near_hub.files("org/houses", "dataset"), set(near_hub.state.lfs)
    requests = len(near_hub.state.log)
    text = (declared_run.parent / "passages.jsonl").read_text()
    more = [{"id": f"b{n}", "text": f"Boat {n} lies in the harbor.", "license": "CC BY 4.0"} for n in range(4)]
    (tmp_path / "passages.jsonl").write_text("\n".join([text, *map(json.dumps, more)]))
    asked = json.loads((declared_run.parent / "asked.json").read_text())
    recipe = load_recipe("demo", [*asked, f"corpus.passages.source={tmp_path}/passages.jsonl"])
    run_recipe(recipe, run, lambda _: None, steps=("corpus",), update=True)
    push(run, request, lambda _: None)
    after = near_hub.files("org/houses", "dataset")
    sent = {path for path, content in after.items() if hashlib.sha256(content).hexdigest() not in known}
    stages = ("fragments", "candidates", "scored", "corpus")
    shards = {f"run/{stage}/0000{number}.parquet" for stage in stages for number in (2, 3)}
    data = {f"data/{kind}/train-00000-of-00001.parquet" for kind in ("unsupervised", "extracted", "scored")}
    assert {path for path in sent if path.endswith(".parquet")} == shards | data
    assert {path: after[path] for path in before if path not in sent} == {
        path: content for path, content in before.items() if path not in sent
    }
    uploads = sum("PUT" in line for line in near_hub.state.log[requests:])
    assert uploads == len(near_hub.state.lfs.keys() - known) <= len(shards | data) + 2  # pictures; no weights


def edit_card(hub: HubDouble, kind: str, repo: str, change: Callable[[str], str]) -> None:
    """Change a card as people do on the Hub's website."""
    last = hub.state.repos[kind, repo].branches["main"][-1]
    text = change(last.files["README.md"].data.decode())
    oid = hashlib.sha1(text.encode()).hexdigest()
    commit = Commit(oid, "Update README.md", last.files | {"README.md": File(text.encode())})
    hub.state.repos[kind, repo].branches["main"].append(commit)


def test_scores_go_to_the_model_page_with_the_follower(near_hub, run):
    score = {"value": 10.5, "stderr": 0.1, "interval": [10.3, 10.7]}
    results = {
        **{"model": {"name": "m", "commit": None}, "method": "mine", "restricted": None, "size": 12},
        "benchmarks": {"superni": {"metric": "rougeL", "n": 118, "scores": {"rougeL": score}}},
    }
    (run / "evaluation" / "results.json").write_text(json.dumps(results))
    push(run, Push("org/houses", ("follower",)), lambda _: None)
    written = yaml.safe_load(near_hub.files("org/houses-follower")[".eval_results/davidgen_superni.yaml"])
    (entry,) = parse_eval_result_entries(written)
    assert (entry.dataset_id, entry.value) == ("Muennighoff/natural-instructions", 10.5)
    assert b"model-index:" in near_hub.files("org/houses-follower")["README.md"]
    assert len(near_hub.commits("org/houses-follower")) == 2
    (run / "evaluation" / "results.json").unlink()
    push(run, Push("org/houses", ("follower",)), lambda _: None)
    assert not [name for name in near_hub.files("org/houses-follower") if name.startswith(".eval_results")]


def test_what_people_wrote_on_the_hub_is_kept_by_the_next_push(near_hub, run):
    repos = (("dataset", "org/houses"), ("model", "org/houses-follower"))
    asked, said = Push("org/houses", ("corpus", "follower")), []
    push(run, asked, said.append)
    for kind, repo in repos:
        edit_card(near_hub, kind, repo, lambda text: f"{text}\n## Known errors\n\nRow 3 is wrong.\n")
    push(run, asked, said.append)
    for _ in range(2):
        for kind, repo in repos:
            assert near_hub.files(repo, kind)["README.md"].decode().endswith("## Known errors\n\nRow 3 is wrong.\n")
            assert len(near_hub.commits(repo, kind)) == 3  # the empty repository, the run, the edit
        (run / "run.json").write_text(json.dumps(read_record(run) | {"published": []}))  # as pushed from elsewhere
        push(run, asked, said.append)
    assert not [line for line in said if "edited" in line]


def test_words_of_both_sides_are_kept_and_an_edit_above_the_line_is_announced(near_hub, run):
    asked, said = Push("org/houses", ("generator",)), []
    push(run, asked, said.append)
    edit_card(
        near_hub, "model", "org/houses-generator", lambda text: text.replace("## Limits", "## Edited") + "Theirs."
    )
    with (run / "generator" / "README.md").open("a", encoding="utf-8") as card:
        card.write("Ours.\n")
    push(run, asked, said.append)
    text = near_hub.files("org/houses-generator")["README.md"].decode()
    assert text.endswith("Theirs.\n\nOurs.\n")
    assert "## Edited" not in text
    assert [line for line in said if "org/houses-generator: someone edited the card above its line" in line]


def test_a_card_that_was_there_before_the_first_push_is_kept_below_the_line(near_hub, run):
    first = Commit("a" * 40, "t", {"README.md": File(b"---\nlicense: mit\n---\n# Our generator\n")})
    near_hub.state.repos["model", "org/houses-generator"] = Repo(False, {"main": [first]})
    push(run, Push("org/houses", ("generator",)), lambda _: None)
    text = near_hub.files("org/houses-generator")["README.md"].decode()
    assert text.endswith("# Our generator\n")
    assert text.startswith("---\n")
    assert "license: apache-2.0" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "may not write there"),
        (404, "there is no such repository"),
        (412, "someone else has changed"),
        (429, "a pause"),
    ],
)
def test_each_refusal_has_its_own_words(status, words, monkeypatch):
    from httpx2 import Request, Response
    from huggingface_hub.errors import HfHubHTTPError

    monkeypatch.setattr(calls.time, "sleep", lambda _: None)
    response = Response(status, request=Request("GET", "https://hub.example"))
    asked = []

    def refuse() -> None:
        asked.append(1)
        raise HfHubHTTPError("no", response=response)

    with pytest.raises(HubError, match=words):
        calls.call_hub("org/name", refuse, writing=True)
    assert len(asked) == (4 if status in (412, 429) else 1)


def test_a_hub_that_refuses_is_named_without_the_token(hub, run, tmp_path):
    words = ("-m", "davidgen_hf", "push", run, "org/davidgen", "--yes")
    refused = call(hub, *words, home=tmp_path, HF_TOKEN="hf_" + "wrong" * 5)
    assert refused.returncode == 2
    assert "org/davidgen: the Hub does not know the token. Set HF_TOKEN, or call `hf auth login`." in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "wrongwrong" not in refused.stdout + refused.stderr


SECRET = "hf_" + "Zz9Q" * 8 + "Zz"


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
        ("push", "nowhere", "org/name", "--token", SECRET),
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
