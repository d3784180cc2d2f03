"""Any answer of a server, any setting and any text: an engine answers with rows, or with an error in words."""

import json
import math
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from fuzzing import CHECKS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_double import running

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.server import PROBE, ServerEngine
from davidgen_hf.engines.settings import silent_settings
from davidgen_hf.errors import DavidgenError

REFUSED = "refused"
KINDS = ["transformers", "vllm", "server", "echo"]
SETTINGS = [*silent_settings(), "model", "revision", "dtype", "max_length", "allow_closed_source"]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, 0, 1, -1, math.nan])
VALUES = st.none() | st.booleans() | NUMBERS | ANY_TEXT
NAMES = st.sampled_from(
    ["choices", "index", "text", "logprobs", "token_logprobs", "finish_reason", "error", "data", "id", "max_model_len"]
)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | ANY_TEXT, inner, max_size=5),
    max_leaves=12,
)
CHOICE = st.fixed_dictionaries({}, optional={"text": ANY_TEXT | VALUES, "index": st.integers(0, 3) | VALUES}) | JSON
COMPLETION = st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=3) | JSON}, optional={"error": VALUES})
LOGPROBS = st.fixed_dictionaries({"token_logprobs": st.lists(st.floats(-9, 1) | VALUES, max_size=6)}) | JSON
SCORED = st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"logprobs": LOGPROBS}), max_size=2)})
CARD = st.fixed_dictionaries({}, optional={"id": ANY_TEXT | VALUES, "root": VALUES, "max_model_len": VALUES})
MODELS = st.fixed_dictionaries({"data": st.lists(CARD | VALUES, max_size=3)}) | JSON
BODIES = (COMPLETION | SCORED | MODELS).map(lambda answer: json.dumps(answer).encode()) | st.binary(max_size=60)
STATUSES = st.sampled_from(
    [200] * 6 + [201, 204, 301, 307, 400, 402, 404, 405, 413, 418, 422, 429, 451, 500, 503, 529, 599]
)
RETRY_AFTER = st.sampled_from(
    ["", "0", "-1", "nan", "inf", "9" * 400, "soon", "Thu, 99 Foo 2026 25:61:61 GMT", "1e-3"]
)
ANSWER = st.tuples(BODIES, STATUSES, RETRY_AFTER)
SAMPLING = {
    "max_new_tokens": st.integers(1, 4),
    "temperature": st.floats(0, allow_infinity=False) | st.sampled_from([0.0, 5e-324, 1e-30, 1e300]),
    "top_p": st.floats(0, 1, exclude_min=True) | st.sampled_from([1.0, 5e-324]),
    "top_k": st.integers(0, 2**70),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "stop": st.lists(st.text(min_size=1, max_size=3), max_size=3) | st.text(min_size=1, max_size=3),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    """A server that answers everything with its ``answer``: body, status and ``Retry-After``."""

    def reply(handler, *_):
        body, status, retry_after = handler.server.answer
        handler.send(body, status, {"Retry-After": retry_after, "Location": "/elsewhere"})

    with running(reply, reply) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _quick_retries() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("davidgen_hf.engines.http.BACKOFF_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module")
def local(tiny_llama) -> LocalEngine:
    """The tiny Llama."""
    return LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32"))


@pytest.fixture
def talking(server, tiny_llama) -> ServerEngine:
    """The engine of the server, which has shown that it can score."""
    card = {"data": [{"id": "tiny", "root": str(tiny_llama)}]}
    server.answer = json.dumps(card).encode(), 200, ""
    made = ServerEngine(EngineSettings(kind="server", base_url=server.url, model=str(tiny_llama), timeout_seconds=5))
    size = len(made.tokens.plain([PROBE])[0])
    probe = {"choices": [{"text": PROBE, "logprobs": {"token_logprobs": [None] + [-1.0] * (size - 1)}}]}
    server.answer = json.dumps(probe).encode(), 200, ""
    assert made._scoring_tokens
    return made


def unless_refused(call: Callable[[], Any], *reasons: str) -> Any:
    """Return what the call returns, or ``REFUSED`` if it ends with an error in words that hold one of ``reasons``."""
    try:
        return call()
    except DavidgenError as error:
        text = str(error)
        if len(text.split()) < 6 or not any(reason in text for reason in reasons or ("",)):
            raise
        return REFUSED


@settings(suppress_health_check=CHECKS)
@given(ANSWER)
@example((b"[" * 100_000, 200, ""))
@example((b'{"choices": [{"text": "\\ud800"}]}', 200, ""))
def test_any_answer_to_a_prompt(talking, server, answer):
    server.answer = answer
    answers = unless_refused(lambda: talking.generate(["a"], 2, Sampling()))
    if answers not in (REFUSED, [None]):
        assert len(answers[0]) == 2
        assert all(text.encode() is not None for text in answers[0])


@settings(suppress_health_check=CHECKS)
@given(ANSWER)
def test_any_answer_to_a_pair(talking, server, answer):
    server.answer = answer
    scores = unless_refused(lambda: talking.score(["a"], ["bc"]))
    if scores not in (REFUSED, [None]):
        assert math.isfinite(scores[0].nll)
        assert scores[0].perplexity > 0.9


@settings(suppress_health_check=CHECKS)
@given(ANSWER)
def test_any_list_of_models(server, answer):
    server.answer = answer
    engine = unless_refused(lambda: ServerEngine(EngineSettings(kind="server", base_url=server.url)))
    assert engine == REFUSED or engine.max_length is None or engine.max_length > 0


@settings(suppress_health_check=CHECKS)
@given(st.fixed_dictionaries(SAMPLING), st.lists(st.text(max_size=12) | ANY_TEXT, max_size=3))
def test_any_sampling_of_any_prompts(local, sampling, prompts):
    answers = unless_refused(lambda: local.generate(prompts, 2, Sampling(**sampling)), "is not text")
    assert answers == REFUSED or [len(texts) for texts in answers] == [2] * len(prompts)


@settings(suppress_health_check=CHECKS)
@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=3))
def test_any_pairs(local, pairs):
    contexts, targets = [context for context, _ in pairs], [target for _, target in pairs]
    scores = unless_refused(lambda: local.score(contexts, targets), "is not text", "no target token")
    if scores != REFUSED:
        assert [score.n_tokens for score in scores] == [len(ends) for ends in local.token_ends(targets)]
        assert all(math.isfinite(score.nll) for score in scores)


@settings(suppress_health_check=CHECKS)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SAMPLING, JSON)))
def test_any_value_of_a_sampling(values):
    assert hash(unless_refused(lambda: Sampling(**values))) is not None


@settings(suppress_health_check=CHECKS)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(SETTINGS, JSON) | {"kind": st.sampled_from(KINDS) | VALUES}))
def test_any_value_of_the_settings_of_an_engine(values):
    assert hash(unless_refused(lambda: EngineSettings(**values))) is not None
