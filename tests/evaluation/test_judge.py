import sys

import pytest

from davidgen_hf.engines import load_engine
from davidgen_hf.engines.base import Sampling
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import EvaluationError, ModelError
from davidgen_hf.evaluation.judge import Judge, answer_questions, chat_renderer, render_review
from davidgen_hf.evaluation.reviews import ORDERS

QUESTIONS = {1: "Why is the sky blue?", 7: "What is {a brace}?"}
MODEL = {1: "Because of {scattering}.", 7: "A mark."}
REFERENCE = {1: "It is not.", 7: "Part of a {set} notation."}
SHORT = Sampling(max_new_tokens=8, temperature=0.0)


class BiasedJudge:
    """Writes the same review whatever it reads, and keeps what it was asked."""

    def __init__(self, review):
        self.review, self.asked = review, []

    def tokens_left(self, contexts):
        return [sys.maxsize] * len(contexts)

    def generate(self, prompts, n, sampling):
        self.asked += prompts
        return [[self.review] if self.review is not None else None for _ in prompts]


def test_every_pair_is_read_in_both_orders():
    engine = BiasedJudge("9 3\nThe first is better.")

    reviews = list(Judge(engine).review(QUESTIONS, MODEL, REFERENCE))

    assert [(r.question_id, r.order) for r in reviews] == [(n, order) for n in QUESTIONS for order in ORDERS]
    assert [r.scores for r in reviews] == [(9, 3), (3, 9)] * 2
    assert engine.asked == [
        render_review(QUESTIONS[number], *shown)
        for number in QUESTIONS
        for shown in ((MODEL[number], REFERENCE[number]), (REFERENCE[number], MODEL[number]))
    ]


def test_a_review_that_never_came_is_a_failure():
    reviews = list(Judge(BiasedJudge(None)).review(QUESTIONS, MODEL, REFERENCE))

    assert {review.failure for review in reviews} == {"no_answer"}
    assert {review.scores for review in reviews} == {None}


def test_the_prompt_shows_question_and_answers_as_they_are():
    prompt = render_review("Q {x}", "A {y}", "B {z}")

    assert prompt.index("Q {x}") < prompt.index("A {y}") < prompt.index("B {z}")
    assert all(aspect in prompt for aspect in ("helpfulness", "relevance", "accuracy", "level of detail"))


def test_a_random_model_gives_no_scores_and_what_does_not_fit_is_skipped(tiny_llama):
    engine = load_engine(EngineSettings(model=str(tiny_llama)))
    short, long = {1: "a"}, {1: "word " * 500}

    fitting = Judge(engine, SHORT, render_chat=lambda prompt: prompt[-60:]).review(short, short, short)
    crowded = Judge(engine, SHORT).review(short, long, short)

    assert {review.failure for review in fitting} == {"no_scores"}
    assert {(review.failure, review.text) for review in crowded} == {("prompt_too_long", "")}


def test_a_follower_answers_with_table_7():
    engine = BiasedJudge(" An answer.\n")

    assert answer_questions(engine, QUESTIONS, SHORT) == dict.fromkeys(QUESTIONS, "An answer.")
    assert engine.asked[0].endswith("### Instruction:\nWhy is the sky blue?\n\n### Response:")


def test_a_question_without_an_answer_stops_the_comparison():
    with pytest.raises(EvaluationError, match=r"No answer to 2 of 2 questions: \[1, 7\]. See to the engine"):
        answer_questions(BiasedJudge(None), QUESTIONS)


def test_the_chat_format_opens_with_the_token_once(tiny_llama, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    assert chat_renderer(str(tiny_llama)) is None
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[bot]"
    tokenizer.save_pretrained(tmp_path)

    text = chat_renderer(str(tmp_path))("Judge!")

    assert text == "[user] Judge! [bot]"
    assert tokenizer(text).input_ids.count(tokenizer.bos_token_id) == 1


def test_an_absent_tokenizer_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"(?s)No tokenizer could be loaded from .*chat format the judge was"):
        chat_renderer(str(tmp_path))


def test_a_hybrid_judge_is_prompted_without_thinking(tiny_llama, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path)
    assert chat_renderer(str(tmp_path))("Judge!").endswith("Judge!<think></think>")


@pytest.mark.parametrize("opening", ["", "<think>\n"])
def test_thoughts_that_the_prompt_opened_and_nothing_ended_are_recognized(opening):
    judge = Judge(BiasedJudge("First, 9 3"), render_chat=lambda prompt: f"{prompt}\n{opening}")
    failures = {review.failure for review in judge.review({1: "Why?"}, MODEL, REFERENCE)}
    assert failures == {"unfinished_thoughts" if opening else "no_scores"}
