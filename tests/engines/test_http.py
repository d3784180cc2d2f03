"""What a server may do to a request: every fault here is sent over a real connection on loopback."""

import email.utils
import time
from contextlib import nullcontext

import pytest
from server_faults import (
    bad_request,
    elsewhere,
    garbage,
    half_a_body,
    half_a_body_of_unknown_length,
    hang_up,
    no_texts,
    nothing_at_all,
    server_error,
    texts,
    too_few_texts,
)

from davidgen_hf.engines import Sampling
from davidgen_hf.errors import ModelError

GREEDY = Sampling(temperature=0.0, max_new_tokens=4)
KEY = "sk-a-secret-of-this-test"

TRANSIENT = {
    server_error: 'HTTP 500: {"error": "out of luck"}',
    half_a_body: "RemoteProtocolError: peer closed connection without sending complete message body",
    half_a_body_of_unknown_length: '{"choices": [{"index": 0, "te',
    garbage: "not a JSON object (expected value at line 1 column 1): <html>",
    hang_up: "RemoteProtocolError: Server disconnected without sending a response.",
    nothing_at_all: "ReadTimeout: timed out",
}
FINAL = {
    bad_request: 'HTTP 400: {"error": "prompt is too long"}',
    no_texts: "an answer without texts, with ['choices']",
    too_few_texts: "0 texts where n=1 were requested",
    elsewhere: "HTTP 307",
}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_passing_fault_is_retried(serve, engine, fault):
    server = serve(lambda *call: (fault if call[2] == 0 else texts)(*call))
    assert engine(server, timeout_seconds=0.4).generate(["a"], 2, GREEDY) == [["a!0", "a!0"]]
    assert len(server.asked) == 2


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(("fault", "reason"), (TRANSIENT | FINAL).items())
def test_a_permanent_failure_leaves_its_row_without_an_answer_and_the_run_continues(
    serve, engine, caplog, fault, reason
):
    server = serve(lambda handler, body, number: (fault if body["prompt"] == "b" else texts)(handler, body, number))
    answers = engine(server, timeout_seconds=0.4, concurrency=2).generate(["a", "b", "c"], 1, GREEDY)
    assert answers == [["a!0"], None, ["c!0"]]
    [message] = [record.getMessage() for record in caplog.records if record.name.startswith("davidgen_hf")]
    assert message.startswith(f"1 of 3 requests to {server.url} failed, their rows are left without an answer: ")
    assert reason in message


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("fault", FINAL)
def test_a_fault_of_the_request_is_not_retried(serve, engine, fault):
    server = serve(fault)
    engine(server).generate(["a"], 1, GREEDY)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        (lambda: "1", (0.95, 2.0)),
        (lambda: email.utils.formatdate(time.time() + 2, usegmt=True), (0.95, 3.0)),
        (lambda: "soon", (0.0, 0.9)),
    ],
    ids=["seconds", "date", "neither"],
)
def test_retry_after_is_waited_for(serve, engine, status, retry_after, waits):
    def busy_once(handler, body, number):
        if number == 0:
            handler.reply({}, status=status, headers={"Retry-After": retry_after()})
        else:
            texts(handler, body, number)

    server = serve(busy_once)
    assert engine(server).generate(["a"], 1, GREEDY) == [["a!0"]]
    assert waits[0] < server.times[1] - server.times[0] < waits[1]


def test_retries_wait_longer_each_time(serve, engine):
    server = serve(lambda *call: (server_error if call[2] < 3 else texts)(*call))
    assert engine(server).generate(["a"], 1, GREEDY) == [["a!0"]]
    waits = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert waits[1] > 0.9  # the first retry comes at once
    assert waits[2] > 1.9


def test_requests_under_way_at_once_are_bounded(serve, engine):
    def slow(*call):
        time.sleep(0.05)
        texts(*call)

    server = serve(slow)
    prompts = [str(number) for number in range(20)]
    assert engine(server, concurrency=4).generate(prompts, 1, GREEDY) == [[f"{prompt}!0"] for prompt in prompts]
    assert server.most_under_way == 4


def test_no_server_is_an_error_that_says_how_to_start_one(serve, engine):
    server = serve(texts)
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError) as error:
        engine(server)
    assert str(error.value) == (
        f"No OpenAI-compatible server answers at {server.url}: ConnectError: [Errno 111] Connection refused. Start "
        "one, e.g. `vllm serve tiny --host 127.0.0.1 --port 8000`, wait until it says that it is up, and set base_url "
        "to its address with /v1 at the end."
    )


@pytest.mark.usefixtures("quick_retries")
def test_a_server_that_goes_away_ends_the_run_rather_than_marking_every_row(serve, engine):
    def list_models_and_hang_up(handler):
        handler.reply({"data": [{"id": "tiny"}]})
        handler.close_connection = True

    server = serve(texts, list_models_and_hang_up)
    talking = engine(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(
        ModelError, match=r"has gone: .*Connection refused, for all 3 requests after 5 retries. Start it"
    ):
        talking.generate(["a", "b", "c"], 1, GREEDY)


@pytest.mark.parametrize("refusal", [(401, "", "is not set"), (403, KEY, "was refused")], ids=["no key", "wrong key"])
def test_a_refused_key_is_an_error_that_names_the_variable(serve, engine, monkeypatch, refusal):
    status, key, state = refusal
    monkeypatch.setenv("DAVIDGEN_API_KEY", key)
    server = serve(lambda handler, *_: handler.reply({"error": f"bad key {KEY}"}, status=status))
    with pytest.raises(ModelError) as error:
        engine(server).generate(["a", "b"], 1, GREEDY)
    assert str(error.value) == (
        f"The server at {server.url} answered {status}: it needs a key, and the environment variable DAVIDGEN_API_KEY "
        f"{state}. Set it to a key that this server knows."
    )


def test_the_key_goes_into_the_header_and_nowhere_else(serve, engine, monkeypatch):
    monkeypatch.setenv("DAVIDGEN_API_KEY", KEY)
    server = serve(texts)
    talking = engine(server)
    talking.generate(["a"], 1, GREEDY)
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 2
    assert KEY not in repr(talking) + repr(talking.settings) + str(server.asked)


@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_key_that_the_server_repeats_is_left_out_of_messages(serve, engine, monkeypatch, caplog, status):
    monkeypatch.setenv("DAVIDGEN_API_KEY", KEY)
    server = serve(lambda handler, *_: handler.send(f"your key is {KEY}".encode(), status))
    with nullcontext() if status != 404 else pytest.raises(ModelError, match=r"your key is \[key\]"):
        assert engine(server).generate(["a"], 1, GREEDY) == [None]
        assert "your key is [key]" in caplog.text
    assert KEY not in caplog.text


def test_an_unknown_path_is_an_error_that_says_how_addresses_end(serve, engine):
    server = serve(lambda handler, *_: handler.reply({"detail": "Not Found"}, status=404))
    with pytest.raises(ModelError, match=r"answered 404 to /completions: .*Not Found.* base_url usually ends in /v1"):
        engine(server).generate(["a"], 1, GREEDY)
