"""Fixtures that several test files share: tiny random models with real small tokenizers, and benchmark data."""

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a passage may hold that means something to Markdown, HTML or YAML.
HOSTILE = (
    "---\nlicense: mit\n---\n# Heading | cell | <script>alert(1)</script> </details> `code` ``` **bold** "
    "[link](https://example.org) ![x](y) {{ config }} {% raw %} $$x$$ &lt; \u202eabc\u202c \\| www.example.org @me"
)
OVERLAP_TASKS = ("task039_qasc_find_overlapping_words", "task281_points_of_correspondence")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; see the README of the tests' data for what lies in it."""
    folder = Path(os.environ.get("DAVIDGEN_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} is no folder; set DAVIDGEN_TEST_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The folder of the embedded model, converted on first use."""
    from davidgen_hf.errors import InputError
    from davidgen_hf.sources.embedded import model_folder

    try:
        return model_folder()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> Path:
    """A folder with a random two-layer Llama with grouped queries, and a byte-level BPE tokenizer with a BOS token."""
    from transformers import LlamaConfig

    return save_tiny(tmp_path_factory.mktemp("tiny_llama"), LlamaConfig, num_key_value_heads=2)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Callable[..., Path]:
    """Make the folder of a random two-layer causal model: ``tiny_model(MistralConfig, sliding_window=6)``."""
    return lambda config_class, **settings: save_tiny(
        tmp_path_factory.mktemp(config_class.model_type), config_class, **settings
    )


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory) -> Path:
    """A folder with a random two-layer T5, and a byte-level BPE tokenizer that closes a text with ``</s>``."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny_t5")
    tokenizer = train_tokenizer(closing=True)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        initializer_factor=3.0,
        decoder_start_token_id=tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_llama) -> Path:
    """A finished run of a tiny model: plain text and answers of instruction data, of which some text is hostile."""
    from davidgen_hf.recipe import load_recipe
    from davidgen_hf.run.run import run_recipe

    folder = tmp_path_factory.mktemp("tiny_run")
    house = "The house number {} stands by the river. It was built long ago, and {} people live in it."
    plain = [{"id": f"p{n}", "output": house.format(n, n), "license": "CC BY-SA 4.0"} for n in range(5)]
    plain += [{"id": "hostile", "output": HOSTILE, "license": "CC BY-SA 3.0"}]
    answers = [{"id": f"a{n}", "instruction": "Say it.", "output": f"It is {n}, not {n + 1}."} for n in range(3)]
    seeds = [
        {"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} more.", "license": "MIT"} for n in range(8)
    ]
    for name, rows in (("passages", plain + answers), ("seeds", [*seeds, seeds[0] | {"license": "my own"}])):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    asked = [
        *(f"corpus.passages.source={folder}/passages.jsonl", "corpus.passages.text_column=output"),
        *("corpus.passages.license=Apache-2.0", f"seeds.source.source={folder}/seeds.jsonl", "seeds.held_out=2"),
        *("corpus.shard_rows=3", "corpus.guards=none", "corpus.limit.max_tokens=100", "evaluation.max_new_tokens=8"),
        *("corpus.generate.sampling.max_new_tokens=8", "corpus.extract.sentence.min_words=6"),
    ]
    for step in ("generator", "follower"):
        asked += [f"{step}.{one}" for one in (f"model_name_or_path={tiny_llama}", "max_steps=2", "bf16=false")]
    run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None)
    return folder / "run"


@pytest.fixture(scope="session")
def declared_run(tmp_path_factory, tiny_llama) -> Path:
    """A finished run of a tiny model, whose sources its recipe declares."""
    from davidgen_hf.recipe import load_recipe
    from davidgen_hf.run.run import run_recipe

    folder = tmp_path_factory.mktemp("declared")
    house = "The house number {} stands by the river. It was built long ago, and {} people live in it."
    passages = [{"id": f"p{n}", "text": house.format(n, n), "license": "CC BY 4.0"} for n in range(6)]
    seeds = [
        {"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} more.", "license": "MIT"} for n in range(8)
    ]
    for name, rows in (("passages", passages), ("seeds", seeds)):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    asked = [
        *(f"corpus.passages.source={folder}/passages.jsonl", f"seeds.source.source={folder}/seeds.jsonl"),
        *("seeds.held_out=2", "corpus.shard_rows=3", "corpus.guards=none", "corpus.limit.max_tokens=100"),
        *("corpus.generate.sampling.max_new_tokens=8", "evaluation.max_new_tokens=8"),
    ]
    for step in ("generator", "follower"):
        asked += [f"{step}.{one}" for one in (f"model_name_or_path={tiny_llama}", "max_steps=2", "bf16=false")]
    declaration = {"written_by": "people", "statement": "Made for this test.", "license": "apache-2.0"}
    names = ("passages.jsonl", "seeds.jsonl", tiny_llama.name)
    asked.append(f"provenance.declarations={json.dumps(dict.fromkeys(names, declaration))}")
    (folder / "asked.json").write_text(json.dumps(asked))
    run_recipe(load_recipe("demo", asked), folder / "run", lambda _: None)
    return folder / "run"


@pytest.fixture(scope="session")
def nltk_data(shared_data, tmp_path_factory) -> Path:
    """A folder with WordNet and the sentence splitter, in which NLTK looks from then on."""
    import nltk

    folder = tmp_path_factory.mktemp("nltk_data")
    for archive, part in (
        ("wordnet30/wordnet30_nltk_layout", "corpora"),
        ("punkt_tab/punkt_tab_en_de_es_fr_ru", "tokenizers"),
    ):
        with tarfile.open(shared_data / f"{archive}.tar.xz") as opened:
            opened.extractall(folder / part, filter="data")
    nltk.data.path.insert(0, str(folder))
    return folder


@pytest.fixture
def superni_folder(tmp_path) -> Path:
    """The two tasks of Overlap Extraction, with 4 and 6 instances."""
    folder = tmp_path / "superni"
    folder.mkdir()
    for name, count in zip(OVERLAP_TASKS, (4, 6), strict=True):
        write_task(folder, name, count)
    return folder


@pytest.fixture
def longform_file(tmp_path) -> Path:
    """Three rows in LongForm's own form."""
    path = tmp_path / "longform.jsonl"
    rows = [{"input": f"Tell me about the number {n}.", "output": f"The number {n} is a number."} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def save_tiny(folder: Path, config_class: type, **settings) -> Path:
    """Save a random two-layer causal model of ``config_class`` and its tokenizer; return the folder."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = train_tokenizer()
    torch.manual_seed(0)
    config = config_class(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "initializer_range": 0.4,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        | settings
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train_tokenizer(closing: bool = False):
    """Train a byte-level BPE of 400 tokens on the licence's text; it opens with ``<s>`` or closes with ``</s>``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train([str(ROOT / "LICENSE")], trainer)
    template = "$A </s>" if closing else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in special[1:]]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def write_task(folder: Path, name: str, count: int) -> None:
    """Write a task file of the official form: say the word that two sentences share."""
    instances = [
        {"id": f"{name}-{n}", "input": f"red {n} | {n} blue", "output": [str(n), f"the {n}"]} for n in range(count)
    ]
    content = {
        "Categories": ["Overlap Extraction"],
        "Definition": ["Say the word that both sentences share"],
        "Positive Examples": [{"input": f"a {n} | {n} b", "output": str(n)} for n in range(3)],
        "Instances": instances,
    }
    (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
