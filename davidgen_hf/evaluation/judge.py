"""An open model as judge of two models' answers to the Vicuna questions (the paper's section 4.2 and Figure 4)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tqdm.auto import tqdm

from davidgen_hf.engines.base import Engine, Sampling
from davidgen_hf.engines.unanswered import require_answers
from davidgen_hf.errors import EvaluationError, ModelError
from davidgen_hf.evaluation.reviews import ORDERS, Review, thoughts_are_open
from davidgen_hf.prompts import render_follower

ANSWER_SAMPLING = Sampling(max_new_tokens=1024)
# Greedy, so that the same prompt always gives the same review.
REVIEW_SAMPLING = Sampling(max_new_tokens=256, temperature=0.0)
# Prompts per call of the engine: at most so many answers are lost if the process is stopped.
_BATCH = 8


def render_review(question: str, first: str, second: str) -> str:
    """Return a prompt for scores of two answers; ``parse_scores`` reads the review.

    Our own words; aspects, scale and output format are those of the Vicuna evaluation's prompt for general questions.
    """
    return (
        "Two assistants have answered the same question. Judge how good their answers are.\n\n"
        f"### Question\n{question}\n\n"
        f"### Answer 1\n{first}\n\n"
        f"### Answer 2\n{second}\n\n"
        "### Task\n"
        "Weigh the helpfulness, relevance, accuracy and level of detail of each answer, and give each answer one "
        "score for all of these together, from 1 (worst) to 10 (best). Which answer comes first must make no "
        "difference.\n"
        "Write a first line with nothing in it but two numbers separated by a space: the score of answer 1, then the "
        "score of answer 2. Explain the scores from the second line on."
    )


def answer_questions(
    engine: Engine, questions: dict[int, str], sampling: Sampling = ANSWER_SAMPLING
) -> dict[int, str]:
    """Return a follower's answers by question number, to the prompt it was trained on (Table 7).

    Raises:
        EvaluationError: The engine returned no answer to a question.
    """
    prompts = [render_follower(text) for text in questions.values()]
    answers = dict(zip(questions, _generate(engine, prompts, sampling, "answers"), strict=True))
    written = {number: answer.strip() for number, answer in answers.items() if answer is not None}
    failed = [number for number in questions if number not in written]
    if failed:
        raise EvaluationError(
            f"No answer to {len(failed)} of {len(questions)} questions: {failed}. See to the engine and ask again; a "
            "comparison needs all of them."
        )
    return written


@dataclass(frozen=True)
class Judge:
    """A model that reads pairs of answers, in both orders.

    Args:
        engine: Writes the reviews.
        sampling: How they are written.
        render_chat: Puts a prompt into the engine's chat format; ``None`` leaves it unchanged.
    """

    engine: Engine
    sampling: Sampling = REVIEW_SAMPLING
    render_chat: Callable[[str], str] | None = None

    def review(self, questions: dict[int, str], model: dict[int, str], reference: dict[int, str]) -> Iterator[Review]:
        """Yield two reviews per question, one in each order, as they are written.

        A prompt that leaves no room for ``sampling.max_new_tokens`` is skipped, and counts as a failure, as does a
        review that the engine did not return.

        Args:
            questions: Texts by number.
            model: Answers of the model in question, by number.
            reference: Answers of the model it is compared with.
        """
        cases = [(number, order) for number in questions for order in ORDERS]
        prompts = [self._prompt(questions[number], model[number], reference[number], order) for number, order in cases]
        fits = [room >= self.sampling.max_new_tokens for room in self.engine.tokens_left(prompts)]
        fitting = (prompt for prompt, fit in zip(prompts, fits, strict=True) if fit)
        written = _generate(self.engine, list(fitting), self.sampling, "reviews")
        for case, prompt, fit in zip(cases, prompts, fits, strict=True):
            text = next(written) if fit else None
            if not fit:
                failure = "prompt_too_long"
            elif text is None:
                failure = "no_answer"
            else:  # a chat template may open the thoughts at the end of its prompt
                failure = "unfinished_thoughts" if thoughts_are_open(prompt[-100:] + text) else "no_scores"
            yield Review.from_text(*case, text or "", failure)

    def _prompt(self, question: str, model: str, reference: str, order: str) -> str:
        shown = (model, reference) if order == ORDERS[0] else (reference, model)
        prompt = render_review(question, *shown)
        return self.render_chat(prompt) if self.render_chat else prompt


def chat_renderer(name: str, revision: str | None = None) -> Callable[[str], str] | None:
    """Return the function that puts a prompt into the chat format of the tokenizer ``name``; ``None`` if it has none.

    Control tokens in the prompt's own text are read as text.
    Where the template of a hybrid reasoning model can switch thinking off, it is off: a review begins with scores.

    Raises:
        ModelError: The tokenizer does not exist.
    """
    from davidgen_hf.engines.loading import load_tokenizer
    from davidgen_hf.engines.tokens import chat_prompt

    try:
        tokenizer = load_tokenizer(name, revision)
    except ModelError as error:
        raise ModelError(
            f"No tokenizer could be loaded from {name!r}. {error} Name the one whose chat format the judge was "
            "trained on."
        ) from error
    if not tokenizer.chat_template:
        return None
    # Qwen, SmolLM3 and GLM read the one name, DeepSeek the other; a template ignores what it does not know.
    return partial(chat_prompt, tokenizer, enable_thinking=False, thinking=False)


def _generate(engine: Engine, prompts: list[str], sampling: Sampling, what: str) -> Iterator[str | None]:
    """Yield one continuation of each prompt, ``None`` where the engine has none.

    Raises:
        ModelError: A server left a prompt without an answer.
    """
    with tqdm(total=len(prompts), desc=what) as bar:
        for start in range(0, len(prompts), _BATCH):
            with require_answers(what):
                answers = engine.generate(prompts[start : start + _BATCH], 1, sampling)
            for texts in answers:
                bar.update()
                yield texts[0] if texts else None
