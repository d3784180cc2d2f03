"""A comparison of two models: their answers, a judge's reviews, and a summary of the reviews."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table

from davidgen_hf.engines import load_engine
from davidgen_hf.engines.base import Sampling
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import EvaluationError, SettingError
from davidgen_hf.evaluation.judge import ANSWER_SAMPLING, REVIEW_SAMPLING, Judge, answer_questions, chat_renderer
from davidgen_hf.evaluation.reviews import ORDERS, Review, read_reviews, summarize_reviews, write_reviews
from davidgen_hf.evaluation.vicuna import (
    CODE_AND_MATH_IDS,
    describe_questions,
    load_answers,
    load_questions,
    write_answers,
)
from davidgen_hf.storage.files import explain_refusals, make_folder
from davidgen_hf.storage.record import is_run


@dataclass(frozen=True)
class Comparison:
    """Which models are compared, and by which judge.

    Args:
        model: The model in question: a JSON Lines file of its answers; a run's folder, whose evaluated answers are
            used or whose follower answers; or a model that ``follower`` can load.
        reference: The model it is compared with, likewise.
        judge: The engine that reviews.
        follower: The engine that answers; its ``model`` is put in from ``model`` and ``reference``.
        questions: JSON Lines of the questions; ``None`` reads them from the Hub.
        keep_code_and_math: Keep the ten questions that the paper leaves out.
        limit: Take the first so many questions.
        chat_tokenizer: Tokenizer whose chat template formats the judge's prompts; ``None`` takes that of the judge's
            own model, and none for ``kind: server``.
        answer_sampling: How answers are written.
        review_sampling: How reviews are written.

    Raises:
        SettingError: A model, a reference or a judge is missing.
    """

    model: str | None
    reference: str | None
    judge: EngineSettings
    follower: EngineSettings = field(default_factory=EngineSettings)
    questions: str | None = None
    keep_code_and_math: bool = False
    limit: int | None = None
    chat_tokenizer: str | None = None
    answer_sampling: Sampling = ANSWER_SAMPLING
    review_sampling: Sampling = REVIEW_SAMPLING

    def __post_init__(self) -> None:
        named = {"model": self.model, "reference": self.reference, "judge": self.judge.model}
        missing = [name for name, value in named.items() if not value]
        if missing:
            raise SettingError(
                f"A comparison needs a model, a reference and a judge; {' and '.join(missing)} is not named. Name "
                "them, or pass reviews that were written elsewhere as --outputs."
            )
        if self.chat_tokenizer and not self.judge.scores:
            raise SettingError(
                "chat_tokenizer is set, and the judge is behind a chat endpoint, which applies a chat template "
                "of its own. Leave chat_tokenizer out, or ask the endpoint completions."
            )

    def run(self, output: Path) -> dict[str, Any]:
        """Write answers that are missing, reviews and a summary to the folder ``output``.

        Returns:
            The summary of the reviews, with the settings: what ``judge.json`` holds.
        """
        make_folder(output)
        questions = load_questions(self.questions, self.keep_code_and_math)
        model, model_commit = self._answers(str(self.model), questions, output / "answers_model.jsonl")
        reference, reference_commit = self._answers(str(self.reference), questions, output / "answers_reference.jsonl")
        judge = Judge(load_engine(self.judge), self.review_sampling, self._chat_renderer())
        first = dict(islice(questions.items(), self.limit))
        with explain_refusals(output):
            reviews = write_reviews(output / "reviews.jsonl", judge.review(first, model, reference))
        commits = {"model": model_commit, "reference": reference_commit, "judge": judge.engine.commit}
        used = {"questions": describe_questions(self.questions), "commits": commits}
        return _write_summary(output, asdict(self) | used, reviews)

    def _answers(self, source: str, questions: dict[int, str], path: Path) -> tuple[dict[int, str], str | None]:
        """Return the answers by question number, and the commit of the model if a model of the Hub answered."""
        folder = Path(source)
        evaluated = folder / "evaluation" / "vicuna.jsonl"
        if evaluated.is_file():
            source = str(evaluated)
        elif is_run(folder):
            source = str(folder / "follower")
        if source.endswith(".jsonl") or Path(source).is_file():
            return load_answers(source, questions, self.limit), None
        engine = load_engine(replace(self.follower, model=source))
        answers = answer_questions(engine, dict(islice(questions.items(), self.limit)), self.answer_sampling)
        write_answers(path, answers)
        return answers, engine.commit

    def _chat_renderer(self) -> Callable[[str], str] | None:
        if self.chat_tokenizer is None and not self.judge.loads_model:
            return None
        return chat_renderer(self.chat_tokenizer or self.judge.model, self.judge.revision)


def summarize_files(paths: list[Path], output: Path, keep_code_and_math: bool = False) -> dict[str, Any]:
    """Write ``judge.json`` from reviews that were written elsewhere, and return its content.

    Args:
        paths: One or two files; see ``read_reviews``.
        output: Folder of ``judge.json``.
        keep_code_and_math: Keep the ten questions that the paper leaves out.

    Raises:
        EvaluationError: No review is left.
    """
    make_folder(output)
    dropped = frozenset() if keep_code_and_math else CODE_AND_MATH_IDS
    read = read_reviews(*paths)
    reviews = [review for review in read if review.question_id not in dropped]
    if not reviews:
        raise EvaluationError(
            f"{' and '.join(path.name for path in paths)}: all {len(read)} reviews are of questions on code and "
            "mathematics, which the paper leaves out. Add reviews of other questions, or keep these with "
            "--all-questions."
        )
    return _write_summary(output, {"outputs": [path.name for path in paths]}, reviews)


def _write_summary(output: Path, settings: dict[str, Any], reviews: list[Review]) -> dict[str, Any]:
    summary = {"settings": settings} | summarize_reviews(reviews)
    (output / "judge.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


def review_table(summary: dict[str, Any]) -> Table:
    """Return the summary of reviews as a table, failures included; a dash marks a missing number."""
    table = Table("", "all", *(order.replace("_", " ") for order in ORDERS), title="Judged answers")
    columns = [summary, *(summary["orders"][order] for order in ORDERS)]
    for name, label in (("n_reviews", "reviews"), ("n_failures", "of them without scores")):
        table.add_row(label, *(str(column[name]) for column in columns))
    table.add_row("relative quality", *(_percent(column["relative_quality"]) for column in columns))
    bounds = summary["interval"] or [None, None]
    table.add_row(f"{summary['confidence']:.0%} interval", " to ".join(map(_percent, bounds)), "", "")
    by_order = columns[1:]
    results = (f"{order['wins']} / {order['ties']} / {order['losses']}" for order in by_order)
    table.add_row("won / tied / lost", "", *results)
    agreement = summary["agreement"]
    same = f"{agreement['same_preference']} of {agreement['n_questions']} ({_percent(agreement['share'])})"
    table.add_row("same preference in both orders", same, "", "")
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
