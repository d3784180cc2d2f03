"""The chat endpoint of a server: what is sent, what is read, and that nothing is scored."""

import sys

import pytest

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.engines.chat import ChatEngine
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.evaluation.comparison import Comparison
from davidgen_hf.evaluation.judge import Judge
from davidgen_hf.processors import GenerateInstructions, ScoreCandidates

THOUGHTS = {"role": "assistant", "content": None, "reasoning": "First, I compare the"}


def chats(handler, body, number):
    texts = [{"index": at, "message": {"role": "assistant", "content": f"10 {at}"}} for at in range(body["n"])]
    handler.reply({"choices": texts[::-1]})


@pytest.fixture
def chat(serve, quick_retries):
    """The settings of a server, and the server: ``settings, server = chat(on_post)``."""

    def start(on_post=chats, **settings):
        server = serve(on_post)
        return EngineSettings(kind="server", base_url=server.url, model="tiny", endpoint="chat", **settings), server

    return start


def test_each_prompt_is_the_message_of_a_user(chat):
    settings, server = chat()
    engine = load_engine(settings)
    assert isinstance(engine, ChatEngine)
    sampling = Sampling(max_new_tokens=9, seed=3, stop=("\n",))
    assert engine.generate(["a", "b", "a"], 3, sampling) == [["10 0", "10 1", "10 2"]] * 3
    assert len(server.asked) == 2
    assert next(body for body in server.asked if body["messages"][0]["content"] == "a") == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "a"}],
        "n": 3,
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "seed": sampling.seed_of("a"),
        "stop": ["\n"],
    }


def test_it_judges_without_a_tokenizer(chat):
    settings, server = chat()
    engine = load_engine(settings)
    assert engine.tokens_left(["a"]) == [sys.maxsize]
    reviews = list(Judge(engine).review({1: "Why?"}, {1: "So."}, {1: "Because."}))
    assert [review.scores for review in reviews] == [(10, 0), (0, 10)]
    assert server.asked[0]["messages"][0]["content"].startswith("Two assistants")


def test_thoughts_without_an_answer_are_open_thoughts(chat):
    settings, _ = chat(lambda handler, *_: handler.reply({"choices": [{"message": THOUGHTS}]}))
    (review, _) = Judge(load_engine(settings)).review({1: "Why?"}, {1: "So."}, {1: "Because."})
    assert review.failure == "unfinished_thoughts"


def test_answers_of_another_form_are_no_candidates(chat, caplog):
    def on_post(handler, body, number):
        few = {"choices": [{"message": {"content": "one"}}]}
        handler.reply([few, {"choices": [{"text": "a"}]}][number] if number < 2 else few)

    settings, _ = chat(on_post, concurrency=1)
    with pytest.raises(ModelError, match="answered none of the 2 requests"):
        load_engine(settings).generate(["a", "b"], 2, Sampling())


def test_nothing_is_scored_and_that_is_known_before_the_run(chat):
    settings, _ = chat()
    with pytest.raises(ModelError, match=r"The chat endpoint of .* cannot score"):
        load_engine(settings).score(["a"], ["b"])
    with pytest.raises(SettingError, match=r"scorer's engine has endpoint: chat\."):
        ScoreCandidates(settings)
    assert GenerateInstructions(settings).engine.endpoint == "chat"
    with pytest.raises(SettingError, match="applies a chat template of its own"):
        Comparison("a.jsonl", "b.jsonl", settings, chat_tokenizer="org/model")
    with pytest.raises(SettingError, match="endpoint"):
        EngineSettings(kind="server", base_url="http://127.0.0.1:1/v1", endpoint="messages")
