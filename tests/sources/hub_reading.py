"""Reads from a Hub on loopback, in a process of its own, since the Hub's address is taken from the environment.

Puts a dataset with a card there, changes it, and prints what is read at the branch and at the first commit, as JSON.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import hubstub
import yaml

server = hubstub.serve()
os.environ |= {
    "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
    "HF_TOKEN": "hf_dummy",
    "HF_HOME": tempfile.mkdtemp(),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
}

from huggingface_hub import HfApi, close_session  # noqa: E402  (after the environment)

from davidgen_hf.errors import InputError  # noqa: E402
from davidgen_hf.sources.paragraphs import Paragraphs  # noqa: E402
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages  # noqa: E402
from davidgen_hf.sources.seeds import SeedSource, read_seeds  # noqa: E402

plain_answer = hubstub.H.out


def answer_with_card(self, code, obj=None, hdr=None, raw=None):
    """Add what the Hub reads off the card to what it says of a dataset."""
    if isinstance(obj, dict) and "siblings" in obj:
        _, commit = self.repo("dataset", obj["id"], obj["sha"])
        if "README.md" in commit["files"]:
            obj["cardData"] = yaml.safe_load(commit["files"]["README.md"]["data"].decode().split("---")[1])
    plain_answer(self, code, obj, hdr, raw)


hubstub.H.out = answer_with_card


def upload(dataset: str, card: str, *rows: dict, name: str = "train.jsonl") -> str:
    """Write rows, and a card if there is one, in one commit; return it."""
    api, folder = HfApi(), Path(tempfile.mkdtemp())
    api.create_repo(dataset, repo_type="dataset", exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    if card:
        (folder / "README.md").write_text(f"---\n{card}\n---\nA card.\n")
    return api.upload_folder(folder_path=folder, repo_id=dataset, repo_type="dataset").oid


def passages(**settings) -> dict:
    """Return what is read, or what went wrong."""
    skipped = Skipped()
    try:
        return {"rows": list(read_passages(PassageSource(**settings), skipped)), "skipped": skipped.counts}
    except InputError as error:
        return {"error": str(error)}


first = upload(
    "org/wiki", "license: [cc-by-sa-3.0, gfdl]", {"id": "12", "url": "https://a.example/12", "text": "One two. Three."}
)
second = upload("org/wiki", "", {"id": "12", "url": "https://a.example/12", "text": "Changed."})
upload("org/dolly", "license: cc-by-sa-3.0", {"instruction": "i", "context": "c", "response": "r", "category": "qa"})
upload("org/plain", "", {"text": "a"})
C4_CARD = "license: odc-by\nconfigs:\n- config_name: en\n  data_files:\n  - split: train\n    path: en/*.jsonl"
upload("org/c4", C4_CARD, {"text": "In a folder.", "timestamp": "2019"}, name="en/c4.jsonl")
upload("org/many", "license: mit", *({"text": f"Text {number}."} for number in range(30)))
found = {
    "drawn": [
        passages(source="org/many", max_rows=9, shuffle_seed=seed, shuffle_buffer=20, license="mit")["rows"]
        for seed in (1, 1, 2)
    ],
    "commits": [first, second],
    "branch": passages(source="org/wiki"),
    "commit": passages(source="org/wiki", revision=first, paragraphs=Paragraphs(1, 2)),
    "allowed": passages(source="org/wiki", allowed_licenses=("share-alike",)),
    "refused": passages(source="org/wiki", allowed_licenses=("permissive",)),
    "unlicensed": passages(source="org/plain", allowed_licenses=("permissive",)),
    "declared": passages(source="org/plain", license="MIT", allowed_licenses=("permissive",)),
    "absent": passages(source="org/absent"),
    "no_revision": passages(source="org/wiki", revision="0" * 40),
    "no_split": passages(source="org/wiki", split="dev"),
    "no_config": passages(source="org/wiki", config="de"),
    "configured": passages(source="org/c4", config="en"),
    "seeds": list(read_seeds(SeedSource("org/dolly"), Skipped())),
}
server.shutdown()
server.server_close()
close_session()  # an open connection would still be served
found["out_of_reach"] = passages(source="org/wiki")
json.dump(found, sys.stdout)
