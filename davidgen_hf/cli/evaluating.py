"""Commands that measure: eval, judge and diversity."""

from pathlib import Path
from typing import Annotated, Any

import typer

from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import Terminal, say


def evaluate(
    targets: Annotated[list[str] | None, typer.Argument(help="Run folders, model folders or Hub ids.")] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks and groups, separated by commas: ours, lm-eval's or yours. Default: SuperNI and LongForm."
        ),
    ] = None,
    include_path: Annotated[Path | None, typer.Option(help="Folder of your own lm-eval tasks.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Local test data of a benchmark instead of the Hub's, such as superni=FOLDER."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Continue if task files or predictions are missing or damaged.")
    ] = False,
    limit: Annotated[
        float | None, typer.Option(help="Instances per task: a share if below 1, otherwise a number.")
    ] = None,
    max_gen_toks: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    batch_size: Annotated[str, typer.Option(help="Prompts per batch, or auto with vLLM.")] = "8",
    backend: Annotated[str, typer.Option(help="hf or vllm.")] = "hf",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; ignored by vLLM.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number type; auto uses the checkpoint's if it is native here.")] = "auto",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")] = None,
    model_args: Annotated[str, typer.Option(help="More model arguments of lm-eval: key=value,key=value.")] = "",
    chat_template: Annotated[bool, typer.Option("--chat-template", help="Use the model's chat template.")] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Score these rows of id and prediction instead of running a model.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results. Default: one in the run folder.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Name of the method in the table.")] = None,
    size: Annotated[
        int | None, typer.Option(min=0, help="Number of pairs in its training data, for the table.")
    ] = None,
    restricted: Annotated[
        bool | None,
        typer.Option(
            "--restricted/--no-restricted",
            "--potential-risks/--no-potential-risks",
            help="Whether a closed model contributed to its data, for the table.",
        ),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Compare the stored results of the targets in a table; nothing is run.")
    ] = False,
    tasks_path: Annotated[
        bool, typer.Option("--tasks-path", help="Print the folder for lm-eval's --include_path; nothing is run.")
    ] = False,
) -> None:
    """Run SuperNI and LongForm on followers, score predictions, or compare stored results."""
    if table:
        from davidgen_hf.evaluation.table import write_comparison

        say(write_comparison([Path(target) for target in targets or []], output), end="")
        return
    from davidgen_hf.evaluation.benchmark import default_tasks, is_ours
    from davidgen_hf.evaluation.tasks import parse_data, task_folder

    names = default_tasks() if tasks is None else [name for name in map(str.strip, tasks.split(",")) if name]
    if not names:
        raise SettingError("--tasks names no task. Name some, separated by commas, or leave it out.")
    local = parse_data(data or [], names)
    if tasks_path:
        say(task_folder(local, [name for name in names if is_ours(name)], partial))
        return
    from davidgen_hf.evaluation.command import Evaluation, evaluate_all
    from davidgen_hf.evaluation.harness import HarnessSettings, parse_model_args
    from davidgen_hf.publish.cards import refresh_cards

    evaluation = Evaluation(names, local, partial, output, method, size, restricted, include_path)
    settings = HarnessSettings(
        revision=revision,
        backend=backend,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        limit=limit,
        max_gen_toks=max_gen_toks,
        chat_template=chat_template,
        model_args=parse_model_args(model_args),
    )
    for path in evaluate_all(targets or [], predictions, evaluation, settings):
        say(path)
        refresh_cards(path.parents[1])


def judge(
    model: Annotated[
        str | None, typer.Argument(help="The model to judge: a .jsonl file of its answers, a run, or a model.")
    ] = None,
    reference: Annotated[str | None, typer.Argument(help="The model to compare it with, in the same forms.")] = None,
    judge_model: Annotated[str, typer.Option("--judge", help="Folder or Hub id of the judge, or 'embedded'.")] = "",
    kind: Annotated[str, typer.Option(help="Engine of the judge: transformers, vllm or server.")] = "transformers",
    base_url: Annotated[str | None, typer.Option(help="Address of the judge's server.")] = None,
    endpoint: Annotated[
        str, typer.Option(help="What the judge's server answers: completions, or chat (/v1/chat/completions).")
    ] = "completions",
    allow_closed_source: Annotated[bool, typer.Option(help="Allow a closed model as the judge.")] = False,
    follower_kind: Annotated[str, typer.Option(help="Engine of the models that answer: transformers or vllm.")] = (
        "transformers"
    ),
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    chat_tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer whose chat template formats the judge's prompts. Default: its own.")
    ] = None,
    questions: Annotated[
        str | None, typer.Option(help="FastChat's question.jsonl. Default: read from the Hub.")
    ] = None,
    all_questions: Annotated[bool, typer.Option(help="Include the ten questions on code and mathematics.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first questions, this many.")] = None,
    max_review_tokens: Annotated[int, typer.Option(min=1, help="Longest review, in tokens.")] = 256,
    max_answer_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 1024,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(help="Reviews written elsewhere. In a second file, the reference answer came first."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for answers, reviews and judge.json.")] = Path("runs/judge"),
) -> None:
    """Compare two models' answers to the Vicuna questions: scores from 1 to 10 by an open judge, in both orders."""
    from davidgen_hf.engines.base import Sampling
    from davidgen_hf.engines.settings import EngineSettings
    from davidgen_hf.evaluation.comparison import Comparison, review_table, summarize_files
    from davidgen_hf.evaluation.reviews import explain_failures

    if outputs:
        summary = summarize_files(outputs, output, all_questions)
    else:
        placed: dict[str, Any] = {"dtype": dtype, "device": device}
        server: dict[str, Any] = {
            "base_url": base_url,
            "allow_closed_source": allow_closed_source,
            "endpoint": endpoint,
        }
        summary = Comparison(
            model=model,
            reference=reference,
            judge=EngineSettings(kind, judge_model, **server, **placed),
            follower=EngineSettings(follower_kind, **placed),
            questions=questions,
            keep_code_and_math=all_questions,
            limit=limit,
            chat_tokenizer=chat_tokenizer,
            answer_sampling=Sampling(max_new_tokens=max_answer_tokens),
            review_sampling=Sampling(max_new_tokens=max_review_tokens, temperature=0.0),
        ).run(output)
    Terminal().print(review_table(summary))
    for line in explain_failures(summary):
        say(line)


def diversity(
    sources: Annotated[
        list[str],
        typer.Argument(help="Run folders, instruction files, SuperNI tasks, Hub ids, 'superni' or 'longform'."),
    ],
    parser: Annotated[str, typer.Option(help="Parser that finds verbs and nouns: spacy or berkeley.")] = "spacy",
    parser_model: Annotated[
        str | None, typer.Option(help="Model of the parser. Default: the parser's own choice.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of parsing processes.")] = 1,
    tokenizer: Annotated[
        str | None, typer.Option(help="Count lengths in tokens of this tokenizer. Default: in words.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Number of instructions to compare with each other.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of that sample.")] = 0,
    unique: Annotated[bool, typer.Option("--unique", help="Count equal instructions once.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for counts and pictures.")] = Path("runs/diversity"),
) -> None:
    """Count and draw root verbs with their nouns; measure n-grams, similarity and length of instructions."""
    from davidgen_hf.evaluation.diversity_report import DiversitySettings, diversity_table, report_diversity

    settings = DiversitySettings(parser, parser_model, workers, tokenizer, sample, seed, unique)
    Terminal().print(diversity_table(report_diversity(sources, output, settings)))
    say(f"Counts (.json) and pictures (.png, .svg) are in {output}.")
