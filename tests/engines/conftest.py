"""Real servers on loopback: one that answers as a test says, and one that runs a tiny model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from server_double import MODEL, Handler, list_models, running

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.server import ServerEngine


@pytest.fixture
def serve() -> Iterator[Callable]:
    """Start a server that answers POSTs with ``on_post(handler, body, number)``; it stops with the test."""
    with ExitStack() as stack:
        yield lambda on_post, on_get=list_models: stack.enter_context(running(on_post, on_get))


@pytest.fixture
def quick_retries(monkeypatch) -> None:
    """Retry at once: how long to wait is another test's matter."""
    monkeypatch.setattr("davidgen_hf.engines.http.BACKOFF_SECONDS", 0.0)


@pytest.fixture
def engine() -> Callable[..., ServerEngine]:
    """Make the engine of a running server: ``engine(server, concurrency=2)``."""

    def make(server: ThreadingHTTPServer, **settings: object) -> ServerEngine:
        return ServerEngine(EngineSettings(kind="server", base_url=server.url, **{"model": MODEL} | settings))

    return make


@pytest.fixture(scope="session")
def answer_with_model(tiny_llama: Path) -> Callable:
    """Answer ``echo`` with ``logprobs`` from the tiny Llama's own full softmax in float32, as vLLM's server does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)

    @torch.inference_mode()
    def on_post(handler: Handler, body: dict, _: int) -> None:
        ids = torch.tensor([body["prompt"]])
        rows = model(ids).logits[0, :-1].log_softmax(-1)
        logprobs = rows.gather(-1, ids[0, 1:, None])[:, 0].tolist()
        text = tokenizer.decode(body["prompt"])
        choice = {"index": 0, "text": text, "logprobs": {"token_logprobs": [None, *logprobs]}}
        handler.reply({"choices": [choice]})

    return on_post
