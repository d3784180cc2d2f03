"""The server engine against servers of the standard library here, and against a real vLLM (marked slow)."""

import sys

import pytest

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.errors import InputError, ModelError, SettingError, TooLongError

CONTEXTS = ["Who wrote it?", "Name the town.", "", "Who wrote it?"]
TARGETS = ["A woman from the north.", "Überlingen, on the lake", "Anything", "A woman from the north."]


def texts(handler, body, number):
    handler.reply({"choices": [{"index": at, "text": f"text {at}"} for at in reversed(range(body["n"]))]})


def list_tiny_llama(folder, **card):
    return lambda handler: handler.reply({"data": [{"id": "served-name", "root": str(folder), **card}]})


@pytest.fixture
def scoring_server(serve, answer_with_model, tiny_llama):
    """A server that scores with the tiny Llama."""
    return serve(answer_with_model, list_tiny_llama(tiny_llama, max_model_len=32))


def test_one_request_draws_all_candidates_of_a_prompt_as_the_settings_say(serve, engine):
    server = serve(texts)
    sampling = Sampling(max_new_tokens=9, temperature=0.7, top_p=0.9, top_k=40, seed=3, stop=("\n",))
    assert engine(server).generate(["a", "b", "a"], 3, sampling) == [["text 0", "text 1", "text 2"]] * 3
    asked = sorted(server.asked, key=lambda body: body["prompt"])
    assert asked[0] == {
        "model": "tiny",
        "prompt": "a",
        "n": 3,
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "seed": sampling.seed_of("a"),
        "stop": ["\n"],
    }
    assert [body["seed"] for body in asked] == [sampling.seed_of("a"), sampling.seed_of("b")]


def test_a_prompt_has_the_same_seed_in_any_batch():
    assert Sampling(seed=1).seed_of("a") == Sampling(seed=1).seed_of("a")
    assert len({Sampling(seed=seed).seed_of(prompt) for seed in (1, 2) for prompt in ("a", "b")}) == 4


def test_greedy_candidates_are_requested_once(serve, engine):
    server = serve(texts)
    assert engine(server).generate(["a"], 3, Sampling(temperature=0.0)) == [["text 0"] * 3]
    assert server.asked[0]["n"] == 1
    assert not {"top_p", "top_k"} & set(server.asked[0])


def test_each_row_has_a_list_of_its_own(serve, engine):
    first, second = engine(serve(texts)).generate(["a", "a"], 2, Sampling())
    assert first is not second


def test_scores_are_those_of_the_transformers_engine(scoring_server, engine, tiny_llama):
    here = load_engine(EngineSettings(model=str(tiny_llama), dtype="float32"))
    there = engine(scoring_server, model=str(tiny_llama))
    for spans in (None, [2] * 4):
        expected = here.score(CONTEXTS, TARGETS, spans)
        scores = there.score(CONTEXTS, TARGETS, spans)
        assert [score.n_tokens for score in scores] == [score.n_tokens for score in expected]
        assert [score.nll for score in scores] == pytest.approx([score.nll for score in expected], rel=1e-5)
        assert [sum(score.token_nll) for score in scores] == pytest.approx([score.nll for score in scores])
    assert there.token_ends(TARGETS) == here.token_ends(TARGETS)


def test_equal_pairs_are_requested_once(scoring_server, engine, tiny_llama):
    engine(scoring_server, model=str(tiny_llama)).score(CONTEXTS, TARGETS)
    assert len(scoring_server.asked) == 1 + 3  # the probe, and three different pairs
    assert {tuple(sorted(body)) for body in scoring_server.asked} == {
        ("echo", "logprobs", "max_tokens", "model", "prompt", "temperature")
    }
    assert scoring_server.asked[-1]["model"] == "served-name"


def test_the_limit_leaves_room_for_the_servers_own_token(scoring_server, engine, tiny_llama):
    there = engine(scoring_server, model=str(tiny_llama))
    assert there.max_length == 31
    assert engine(scoring_server, model=str(tiny_llama), max_length=20).max_length == 20
    [left] = there.tokens_left(["Who wrote it?"])
    assert left == 31 - 1 - there.count_tokens(["Who wrote it?"])[0]  # 1: what opens a prompt
    with pytest.raises(TooLongError, match=r"Row 1 needs \d+ \+ \d+ tokens, but .* takes 31. Shorten the text"):
        there.score(["a", "a"], ["a", "a b c d " * 20])
    with pytest.raises(InputError, match="Row 0 has no target token to score"):
        there.score(["a"], [""])


@pytest.mark.parametrize(
    "fault",
    [
        (lambda logprobs: logprobs[1:], "log-probabilities where"),
        (lambda logprobs: [*logprobs, -1.0], "log-probabilities where"),
        (lambda logprobs: [*logprobs[:-1], None], "no log-probabilities of the prompt's tokens"),
        (lambda logprobs: [*logprobs[:-1], float("nan")], "log-probabilities that are not numbers"),
        (lambda logprobs: None, "no log-probabilities of the prompt's tokens"),
    ],
    ids=["one too few", "one too many", "null", "nan", "none"],
)
def test_an_answer_that_does_not_fit_the_tokens_scores_nothing(serve, engine, tiny_llama, caplog, fault):
    shift, reason = fault

    def on_post(handler, body, number):
        logprobs = [None] + [-1.0] * (len(body["prompt"]) - 1)
        text = "The capital of France is Paris."
        handler.reply(
            {"choices": [{"text": text, "logprobs": {"token_logprobs": shift(logprobs) if number == 1 else logprobs}}]}
        )

    server = serve(on_post, list_tiny_llama(tiny_llama))
    scores = engine(server, model=str(tiny_llama), concurrency=1).score(["a", "b"], ["c d", "c d"])
    assert scores[0] is None
    assert scores[1].nll == scores[1].n_tokens
    assert reason in caplog.text


def test_a_server_without_echo_is_an_error_that_names_those_that_have_it(serve, engine, tiny_llama):
    server = serve(
        lambda handler, *_: handler.reply({"choices": [{"index": 0, "text": " Paris"}]}), list_tiny_llama(tiny_llama)
    )
    with pytest.raises(ModelError) as error:
        engine(server, model=str(tiny_llama)).score(["a"], ["b"])
    assert str(error.value) == (
        f"The server at {server.url} cannot score: it does not answer echo and logprobs for token ids (no "
        "log-probabilities of the prompt's tokens: choices.0.logprobs: Field required). vLLM (`vllm serve MODEL`) and "
        "SGLang (`python -m sglang.launch_server --model-path MODEL`) do; or score with kind 'transformers' or 'vllm'."
    )


def test_a_server_with_another_tokenizer_is_refused(serve, engine, tiny_llama):
    def on_post(handler, body, number):
        logprobs = [None] + [-1.0] * (len(body["prompt"]) - 1)
        handler.reply({"choices": [{"text": "Le bateau ivre", "logprobs": {"token_logprobs": logprobs}}]})

    server = serve(on_post, list_tiny_llama(tiny_llama))
    with pytest.raises(ModelError, match=r"reads the token ids of .* so 'served-name' has another tokenizer"):
        engine(server, model=str(tiny_llama)).score(["a"], ["b"])


def test_scoring_without_the_tokenizer_is_an_error_that_names_it(serve, engine):
    server = serve(texts, lambda handler: handler.reply({"data": [{"id": "our finest"}]}))
    there = engine(server, model="our finest")
    assert there.generate(["a"], 1, Sampling()) == [["text 0"]]
    with pytest.raises(ModelError) as error:
        there.score(["a"], ["b"])
    assert str(error.value).startswith(
        "Counting tokens and scoring over a server need the model's tokenizer here: set model to the Hub id or the "
        f"folder of what {server.url} serves ('our finest'). "
    )


def test_a_model_that_is_not_served_is_an_error_that_lists_those_that_are(serve, engine):
    server = serve(texts, lambda handler: handler.reply({"data": [{"id": "one"}, {"id": "two"}]}))
    with pytest.raises(ModelError) as error:
        engine(server, model="three")
    assert (
        str(error.value)
        == f"{server.url} does not serve 'three'; it serves ['one', 'two']. Set model to one of these."
    )
    with pytest.raises(ModelError, match="does not serve ''; it serves"):
        engine(server, model="")


def test_the_only_model_of_a_server_needs_no_name(serve, engine):
    server = serve(texts)
    engine(server, model="").generate(["a"], 1, Sampling())
    assert server.asked[0]["model"] == "tiny"


@pytest.mark.parametrize("path", ["", "/"])
def test_an_address_may_end_in_a_slash(serve, path):
    settings = EngineSettings(kind="server", base_url=serve(texts).url + path, model="tiny")
    assert load_engine(settings).generate(["a"], 1, Sampling()) == [["text 0"]]


@pytest.mark.parametrize(
    "base_url",
    [
        "http://user:sk-secret@host:8000/v1",
        "https://sk-secret@host/v1",
        "https://host/v1?api_key=sk-secret",
        "https://host/v1#sk-secret",
        "host:8000/v1",
        "ftp://host/v1",
        "http://host:port/v1",
        "http://[::1/v1",
    ],
)
def test_an_address_that_is_not_plain_is_refused_without_being_shown(base_url):
    with pytest.raises(SettingError) as error:
        EngineSettings(kind="server", base_url=base_url)
    assert str(error.value) == (
        "Engine settings: base_url must be http(s)://host[:port]/path without user, password, query or fragment, such "
        "as http://127.0.0.1:8000/v1; a key goes into the environment variable DAVIDGEN_API_KEY."
    )


def test_the_engine_needs_no_torch_to_write(serve):
    """A machine that only asks a server should not pay for what it does not run."""
    import subprocess

    code = (
        "import sys; from davidgen_hf.engines import EngineSettings, Sampling, load_engine;"
        f"engine = load_engine(EngineSettings(kind='server', base_url={serve(texts).url!r}, model='tiny'));"
        "print(engine.generate(['a'], 1, Sampling()), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[['text 0']] False"
