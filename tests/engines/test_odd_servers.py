"""Servers that answer nothing or nonsense, and keys and addresses that cannot be used."""

import time
from contextlib import suppress

import pytest
from server_faults import (
    aborts,
    bad_request,
    compressed,
    deep,
    error_with_200,
    half_a_surrogate_pair,
    hang_up,
    ignores_n,
    knows_no_top_k,
    no_texts,
    server_error,
    text_is_a_number,
    texts,
    waits_for_ever,
    wants_money,
)

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.http import READ_RETRIES
from davidgen_hf.engines.server import ServerEngine
from davidgen_hf.engines.unanswered import collect_unanswered
from davidgen_hf.errors import ModelError, SettingError

GREEDY = Sampling(temperature=0.0, max_new_tokens=4)
KEY = "sk-a-secret-of-this-test"
ADDRESSES = ["http://a..b/v1", "http://xn--/v1", "http://[::1/v1", f"http://{'a' * 70}.example/v1"]
EVERYTHING = {
    knows_no_top_k: "HTTP 400: .*Unrecognized request argument: top_k",
    wants_money: "HTTP 402: .*Payment required",
    error_with_200: "an error instead of an answer: .*CUDA out of memory",
    ignores_n: "1 texts where n=2 were requested",
    aborts: "a text that the server aborted",
    text_is_a_number: r"an answer without texts, with \['choices'\]: choices.0.text: Input should be a valid string",
    half_a_surrogate_pair: r"not a JSON object \(.*\): \{",
    deep: r"not a JSON object \(recursion limit",
    compressed: "DecodingError: a compressed answer",
    waits_for_ever: "HTTP 429",
    server_error: "HTTP 500",
}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("fault", "reason"), EVERYTHING.items())
def test_a_server_that_answers_nothing_stops_the_run_with_its_words(serve, engine, fault, reason):
    server = serve(fault)
    with pytest.raises(
        ModelError, match=rf"answered none of the \d+ requests that were sent: .*{reason}.*run the same"
    ):
        engine(server).generate(["a", "b", "c"], 2, Sampling())


@pytest.mark.usefixtures("quick_retries")
def test_a_server_that_answers_nothing_is_not_sent_everything(serve, engine):
    server = serve(hang_up)
    prompts = [str(number) for number in range(50)]
    with pytest.raises(ModelError, match=r"\d+ x not sent, after 8 others had failed"):
        engine(server, concurrency=2).generate(prompts, 1, GREEDY)
    assert len(server.asked) <= 10 * (1 + READ_RETRIES)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("fault", "is_final"), [(server_error, False), (bad_request, True), (no_texts, True)])
def test_rows_that_another_call_may_answer_are_reported(serve, engine, fault, is_final):
    server = serve(lambda handler, body, number: (fault if body["prompt"] == "b" else texts)(handler, body, number))
    with collect_unanswered() as reasons:
        assert engine(server).generate(["a", "b"], 1, GREEDY) == [["a!0"], None]
    assert len(reasons) == (0 if is_final else 1)


def test_what_a_server_never_answered_is_reported_even_if_it_was_a_single_request(serve, engine):
    refusing = engine(serve(bad_request))
    with collect_unanswered() as reasons:
        assert refusing.generate(["a"], 1, GREEDY) == [None]
    assert reasons == ['HTTP 400: {"error": "prompt is too long"}']
    with pytest.raises(ModelError, match="answered none of the 1 requests"):
        refusing.generate(["b"], 1, GREEDY)


def test_an_answer_that_trickles_or_never_ends_is_given_up(serve, engine, monkeypatch, caplog):
    monkeypatch.setattr("davidgen_hf.engines.http.READ_RETRIES", 0)
    monkeypatch.setattr("davidgen_hf.engines.transport.MAX_ANSWER_BYTES", 10_000)

    def pour(handler, body, number):
        handler.send(b"", length=100_000)
        with suppress(OSError):
            while True:
                handler.wfile.write(b" " * (1 if body["prompt"] == "slow" else 5000))
                handler.wfile.flush()
                time.sleep(0.05)

    pouring = serve(lambda handler, body, number: (pour if number else texts)(handler, body, number))
    talking = engine(pouring, timeout_seconds=0.5)
    talking.generate(["first"], 1, GREEDY)
    assert talking.generate(["slow"], 1, GREEDY) == talking.generate(["large"], 1, GREEDY) == [None]
    assert "ReadTimeout: the answer did not end in time" in caplog.text
    assert "ReadError: an answer of more than 10000 bytes" in caplog.text


def test_a_redirect_does_not_take_the_key_to_another_host(serve, engine, monkeypatch):
    monkeypatch.setenv("DAVIDGEN_API_KEY", KEY)
    other = serve(texts)
    server = serve(lambda handler, *_: handler.reply({}, status=307, headers={"Location": f"{other.url}/completions"}))
    assert engine(server).generate(["a"], 1, GREEDY) == [None]
    assert other.asked == other.headers == []


def test_what_is_meant_for_openai_stays_here(serve, engine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-ours")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Token: ours\nAuthorization: Bearer ours")
    server = serve(texts)
    engine(server).generate(["a"], 1, GREEDY)
    assert not [name for headers in server.headers for name in headers if name.lower() in ("authorization", "x-token")]
    assert "ours" not in str(server.headers)
    assert "sk-openai" not in str(server.headers)


def test_a_key_with_a_line_break_is_an_error_that_does_not_show_it(serve, engine, monkeypatch):
    monkeypatch.setenv("DAVIDGEN_API_KEY", "first-line\nsecond-line")
    with pytest.raises(SettingError, match="DAVIDGEN_API_KEY holds a line break") as error:
        engine(serve(texts))
    assert "line\n" not in str(error.value)
    assert "first-line" not in str(error.value)


@pytest.mark.parametrize("base_url", ADDRESSES)
def test_an_address_that_no_host_can_have_is_an_error(base_url):
    with pytest.raises((ModelError, SettingError), match=r"base_url|No OpenAI-compatible server answers"):
        ServerEngine(EngineSettings(kind="server", base_url=base_url))


def test_half_a_surrogate_pair_in_a_prompt_fails_its_row_alone(serve, engine, caplog):
    assert engine(serve(texts)).generate(["a", "\ud800"], 1, GREEDY) == [["a!0"], None]
    assert "a text that UTF-8 cannot encode" in caplog.text


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ({"data": 5}, "data: Input should be a valid list, got 5"),
        ({"data": [{"id": "m", "max_model_len": "long"}]}, "data.0.max_model_len: Input should be a valid integer"),
        ({"data": [{"id": ["m"]}]}, "data.0.id: Input should be a valid string"),
        ({"data": ["m"]}, "data.0: Input should be a valid dictionary"),
        ({"models": []}, "data: Field required"),
    ],
)
def test_a_list_of_models_that_is_none_is_an_error_that_names_the_place(serve, engine, listed, reason):
    with pytest.raises(ModelError, match=f"does not list its models as OpenAI's do: {reason}.*Check that base_url"):
        engine(serve(texts, lambda handler: handler.reply(listed)))
