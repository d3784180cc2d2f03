"""`davidgen …`: parses and calls, nothing else. Heavy imports stay inside the commands, so that --help is fast."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.secrecy import hide

if TYPE_CHECKING:
    from davidgen_hf.corpus.executors import ExecutorSettings

# Options of every command that makes a corpus.
ExecutorKind = Annotated[str, typer.Option("--executor", help="Where shards are made: local or ray (extra `ray`).")]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: auto, HOST:6379 or ray://HOST:10001; one of its own if not given.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Ray workers; one a GPU, or a machine, if not given.")]
GpusPerWorker = Annotated[
    float | None, typer.Option(min=0, help="GPUs of each; 1 if there are any. 0 where a server holds the model.")
]
Shard = Annotated[
    str | None,
    typer.Option(help="i/n: make this part of the corpus only, beside calls that make the others; i from 0 to n - 1."),
]

app = typer.Typer(
    help="Instruction-tuning data from plain text, made with open-weight models only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def davidgen() -> None:
    """Keep ``davidgen COMMAND`` the form of every call."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/demo"),
) -> None:
    """Go the whole way with the model, seeds and passages that come with installed packages: no Hub, no account."""
    _run("demo", [], output)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="Folder of numbered YAML files, or the name of a shipped recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, over the recipe's own.")] = None,
    passages: Annotated[
        str | None, typer.Option(help=".jsonl, .csv, .parquet or .txt file, a folder of them, or a Hub dataset id.")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the passages that holds the text.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Rows of instruction, input and output, in the same forms.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Folder or Hub id of the model to train and score with.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/run"),
    restart: Annotated[
        bool, typer.Option("--restart", help="With a changed recipe: keep what the change does not touch.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(help="Last step: seeds, generator, corpus, follower or evaluation.")
    ] = None,
    executor: ExecutorKind = "local",
    address: Address = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    shard: Shard = None,
) -> None:
    """Turn plain text into an instruction corpus, a generator and a follower; a second call does what is missing."""
    from davidgen_hf.corpus.executors import ExecutorSettings
    from davidgen_hf.run.run import steps_until

    asked = _named(passages, text_column, seeds, base_model) + (overrides or [])
    settings = ExecutorSettings(executor, address, workers, gpus_per_worker)
    _run(recipe, asked, output, restart=restart, steps=steps_until(until), executor=settings, shard=shard)


@app.command()
def corpus(
    recipe: Annotated[str, typer.Argument(help="Folder of numbered YAML files, or the name of a shipped recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, over the recipe's own.")] = None,
    generator: Annotated[
        str | None, typer.Option(help="Folder or Hub id of a generator; the run's own if not given.")
    ] = None,
    passages: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    text_column: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    base_model: Annotated[str | None, typer.Option(help="Folder or Hub id of the model to score with.")] = None,
    output: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/run"),
    restart: Annotated[bool, typer.Option("--restart", help="As for davidgen run.")] = False,
    executor: ExecutorKind = "local",
    address: Address = None,
    workers: Workers = None,
    gpus_per_worker: GpusPerWorker = None,
    shard: Shard = None,
) -> None:
    """Make the corpus only, with a generator that is there; train nothing."""
    from davidgen_hf.corpus.executors import ExecutorSettings

    asked = _named(passages, text_column, None, base_model)
    asked += [f"corpus.generate.engine.model={json.dumps(generator)}"] if generator else []
    settings = ExecutorSettings(executor, address, workers, gpus_per_worker)
    asked += overrides or []
    _run(recipe, asked, output, restart=restart, steps=("corpus",), executor=settings, shard=shard)


@app.command()
def estimate(
    recipe: Annotated[str, typer.Argument(help="Folder of numbered YAML files, or the name of a shipped recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value, over the recipe's own.")] = None,
    passages: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    text_column: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    seeds: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    base_model: Annotated[str | None, typer.Option(help="As for davidgen run.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Also tell the time on so many machines like this one.")] = 1,
    sample: Annotated[int, typer.Option(min=2, help="Passages that are run for real.")] = 24,
    total: Annotated[
        int | None, typer.Option(min=1, help="Number of passages, where there are too many to be counted.")
    ] = None,
    accepted_share: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of candidates that the guards will let through.")
    ] = 0.95,
) -> None:
    """Run a small sample for real, and tell the time, tokens, disk and memory of the whole."""
    import tempfile

    from rich.console import Console

    from davidgen_hf.estimate import EstimateSettings
    from davidgen_hf.estimate import estimate as make_estimate
    from davidgen_hf.recipe import load_recipe

    console = Console()
    read = load_recipe(recipe, _named(passages, text_column, seeds, base_model) + (overrides or []))
    settings = EstimateSettings(sample, total, accepted_share)
    with tempfile.TemporaryDirectory(prefix="davidgen_") as folder:
        found = make_estimate(read, settings, Path(folder), lambda step: console.print(step, style="bold"))
    console.print(found.table(workers))
    for note in found.notes:
        console.print(note)


def _named(passages: str | None, text_column: str | None, seeds: str | None, base_model: str | None) -> list[str]:
    """Return the overrides that the options of a run stand for."""
    options = {
        "corpus.passages.source": passages,
        "corpus.passages.text_column": text_column,
        "seeds.source.source": seeds,
        "generator.model_name_or_path": base_model,
        "follower.model_name_or_path": base_model,
    }
    return [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]


def _run(
    recipe: str,
    overrides: list[str],
    output: Path,
    *,
    restart: bool = False,
    steps: tuple[str, ...] | None = None,
    executor: "ExecutorSettings | None" = None,
    shard: str | None = None,
) -> None:
    from rich.console import Console

    from davidgen_hf.recipe import load_recipe
    from davidgen_hf.run.run import describe_missing, run_part, run_recipe
    from davidgen_hf.run.summary import print_summary
    from davidgen_hf.storage.shards import Part

    signal.signal(signal.SIGTERM, _stop)
    console = Console()
    part = Part.parse(shard) if shard else None
    if part and restart:
        raise SettingError("--restart and --shard do not go together: restart once without --shard.")
    read = load_recipe(recipe, overrides)
    try:
        if part:
            console.print(describe_missing(run_part(read, output, part, executor), part, output))
            return
        record = run_recipe(
            read,
            output,
            lambda step: console.print(step, style="bold"),
            steps=steps,
            restart=restart,
            executor=executor,
        )
    except KeyboardInterrupt as stop:
        console.print(f"Stopped. What is finished lies in {output}; the same command goes on from there.")
        raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
    if "corpus" in record.steps:
        print_summary(record, console)


def _stop(number: int, _: object) -> None:
    """End as Ctrl-C does when a scheduler or a shell asks for it."""
    raise KeyboardInterrupt(number)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="A training recipe: a plain TRL YAML.")] = None,
    seq2seq: Annotated[bool, typer.Option("--seq2seq", help="Train T5 or another encoder-decoder.")] = False,
) -> None:
    """Train on rows of prompt and completion, as recipes/sft.py does; any setting of the recipe may follow.

    Example: davidgen train --config recipes/demo/2_generator.yaml --dataset_name rows.jsonl --output_dir model
    """
    from davidgen_hf.training.script import train_from_command_line

    train_from_command_line([*(["--config", str(config)] if config else []), *context.args], seq2seq)


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of a training with use_peft: true.")],
    output: Annotated[Path, typer.Option(help="New folder for the whole model.")],
    dtype: Annotated[str, typer.Option(help="Type of its weights: float32, bfloat16 or float16.")] = "float32",
) -> None:
    """Merge a LoRA adapter into its base model, so that nothing needs peft to load it."""
    from davidgen_hf.training.merge import merge_adapter

    merge_adapter(adapter, output, dtype)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    preferences: Annotated[
        bool, typer.Option("--preferences", help="Best against worst instruction, as TRL's prompt, chosen, rejected.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help=".jsonl or .parquet file; else one in the run's folder.")] = None,
    min_margin: Annotated[
        float, typer.Option(min=0.0, help="Least distance of best and worst, in nats a token of the output.")
    ] = 0.0,
) -> None:
    """Write the corpus as instruction, input and output; or preferences to train an instruction generator on.

    The candidates of a fragment are answers to one prompt, that which asks for its instruction: so the preferences
    are the generator's, with the candidate that predicts the fragment best as chosen and the worst as rejected.
    """
    from davidgen_hf.publish.export import export_pairs, export_preferences

    path = output or run / ("preferences.jsonl" if preferences else "corpus.jsonl")
    count = export_preferences(run, path, min_margin) if preferences else export_pairs(run, path)
    print(f"{count} rows in {path}")


@app.command()
def judge(
    model: Annotated[
        str | None, typer.Argument(help="The model in question: .jsonl of its answers, a run, or a model.")
    ] = None,
    reference: Annotated[str | None, typer.Argument(help="The model it is compared with, likewise.")] = None,
    judge_model: Annotated[str, typer.Option("--judge", help="Folder or Hub id of the judge, or 'embedded'.")] = "",
    kind: Annotated[str, typer.Option(help="Engine of the judge: transformers, vllm or server.")] = "transformers",
    base_url: Annotated[str | None, typer.Option(help="Address of the judge's server.")] = None,
    allow_closed_source: Annotated[bool, typer.Option(help="Let a closed model be the judge.")] = False,
    follower_kind: Annotated[str, typer.Option(help="Engine of models that answer: transformers or vllm.")] = (
        "transformers"
    ),
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    chat_tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer whose chat format the judge is asked in, if not its own.")
    ] = None,
    questions: Annotated[str | None, typer.Option(help="FastChat's question.jsonl; else read from the Hub.")] = None,
    all_questions: Annotated[bool, typer.Option(help="Keep the ten on code and mathematics.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first so many questions.")] = None,
    max_review_tokens: Annotated[int, typer.Option(min=1, help="Longest review, in tokens.")] = 256,
    max_answer_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 1024,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(help="Reviews judged elsewhere; given twice, the second file saw the reference first."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of answers, reviews and judge.json.")] = Path("runs/judge"),
) -> None:
    """Compare two models' answers to the Vicuna questions: scores from 1 to 10 by an open judge, in both orders."""
    from rich.console import Console

    from davidgen_hf.engines.base import EngineSettings, Sampling
    from davidgen_hf.evaluation.comparison import Comparison, review_table, summarize_files

    if outputs:
        summary = summarize_files(outputs, output, all_questions)
    else:
        placed = {"dtype": dtype, "device": device}
        summary = Comparison(
            model=model,
            reference=reference,
            judge=EngineSettings(
                kind, judge_model, base_url=base_url, allow_closed_source=allow_closed_source, **placed
            ),
            follower=EngineSettings(follower_kind, **placed),
            questions=questions,
            keep_code_and_math=all_questions,
            limit=limit,
            chat_tokenizer=chat_tokenizer,
            answer_sampling=Sampling(max_new_tokens=max_answer_tokens),
            review_sampling=Sampling(max_new_tokens=max_review_tokens, temperature=0.0),
        ).run(output)
    Console().print(review_table(summary))


@app.command()
def diversity(
    sources: Annotated[
        list[str],
        typer.Argument(help="Run folders, instruction files, SuperNI tasks, Hub ids, 'superni' or 'longform'."),
    ],
    parser: Annotated[str, typer.Option(help="What finds verbs and nouns: spacy or berkeley.")] = "spacy",
    parser_model: Annotated[str | None, typer.Option(help="The parser's model, if not its default.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that parse.")] = 1,
    tokenizer: Annotated[str | None, typer.Option(help="Count lengths in its tokens; else in words.")] = None,
    sample: Annotated[int, typer.Option(min=1, help="Instructions that are compared with each other.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of that sample.")] = 0,
    unique: Annotated[bool, typer.Option("--unique", help="Count each different instruction once.")] = False,
    output: Annotated[Path, typer.Option(help="Folder of the counts and pictures.")] = Path("runs/diversity"),
) -> None:
    """Count and draw root verbs and their nouns, and measure n-grams, nearness and lengths of instructions."""
    from rich.console import Console

    from davidgen_hf.evaluation.diversity_report import DiversitySettings, diversity_table, report_diversity

    settings = DiversitySettings(parser, parser_model, workers, tokenizer, sample, seed, unique)
    Console().print(diversity_table(report_diversity(sources, output, settings)))
    print(f"Counts (.json) and pictures (.png, .svg) lie in {output}.")


@app.command("eval")
def evaluate(
    targets: Annotated[list[str] | None, typer.Argument(help="Run folders, model folders or Hub ids.")] = None,
    tasks: Annotated[str, typer.Option(help="Tasks and groups, as lm-eval takes them, separated by commas.")] = (
        "davidgen_superni,davidgen_longform"
    ),
    data: Annotated[
        list[str] | None,
        typer.Option(help="Local test data instead of the Hub's: superni=FOLDER, longform=FILE, vicuna=FILE."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on without task files or predictions that are absent or broken.")
    ] = False,
    limit: Annotated[
        float | None, typer.Option(help="Instances of every task: a share below 1, a number from 1 on.")
    ] = None,
    max_gen_toks: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    batch_size: Annotated[str, typer.Option(help="Prompts of one batch, or auto with vLLM.")] = "8",
    backend: Annotated[str, typer.Option(help="hf or vllm.")] = "hf",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; vLLM has its own.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto takes the checkpoint's.")] = "auto",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")] = None,
    model_args: Annotated[str, typer.Option(help="More of lm-eval's model arguments, key=value,key=value.")] = "",
    chat_template: Annotated[bool, typer.Option("--chat-template", help="Use the model's chat template.")] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Score these rows of id and prediction instead of running a model.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for the results; the run's own if not given.")] = None,
    method: Annotated[str | None, typer.Option(help="Name of the method in the table.")] = None,
    size: Annotated[int | None, typer.Option(help="Number of pairs it was trained on, for the table.")] = None,
    potential_risks: Annotated[
        bool | None, typer.Option(help="Whether a closed model had a part in its data, for the table.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Put the results of the targets side by side; nothing is run.")
    ] = False,
    tasks_path: Annotated[
        bool, typer.Option("--tasks-path", help="Print the folder for lm-eval's --include_path; nothing is run.")
    ] = False,
) -> None:
    """Run SuperNI and LongForm on followers, score predictions, or compare what was run before."""
    if table:
        from davidgen_hf.evaluation.table import write_comparison

        print(write_comparison([Path(target) for target in targets or []], output), end="")
        return
    from davidgen_hf.evaluation.tasks import parse_data, task_folder

    names = tasks.split(",")
    local = parse_data(data or [], names)
    if tasks_path:
        print(task_folder(local, names, partial))
        return
    from davidgen_hf.evaluation.command import Evaluation, evaluate_all
    from davidgen_hf.evaluation.harness import HarnessSettings, parse_model_args
    from davidgen_hf.publish.cards import refresh_cards

    asked = Evaluation(names, local, partial, output, method, size, potential_risks)
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
    for path in evaluate_all(targets or [], predictions, asked, settings):
        print(path)
        refresh_cards(path.parents[1])


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder; the run need not be finished.")],
    output: Annotated[Path | None, typer.Option(help="File to write, if not the run's report.html.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it here, for more rows than a file holds.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --serve; 0 takes a free one.")] = 8321,
    follow: Annotated[bool, typer.Option("--follow", help="Write it anew until the run ends.")] = False,
) -> None:
    """Show a run as one page: what was made, what was thrown away and why, and every row with all its candidates."""
    import time

    from davidgen_hf.report import follow_report, serve_report, write_report

    try:
        if serve:
            server = serve_report(run, port)
            print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)", flush=True)
            server.serve_forever()
        elif follow:
            for path in follow_report(run, output, time.sleep):
                print(path, flush=True)
        else:
            print(write_report(run, output))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def push(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    to: Annotated[str, typer.Argument(help="Id of the dataset, org/name; models: org/name-generator, -follower.")],
    what: Annotated[str, typer.Option(help="corpus, generator, follower or all.")] = "all",
    yes: Annotated[bool, typer.Option("--yes", help="Publish. Without it, files are only listed.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open pull requests instead.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Push shards as the run makes them, and publish it when it ends.")
    ] = False,
    publish_restricted: Annotated[
        bool, typer.Option("--publish-restricted", help="Publish what is restricted or a demo, marked as such.")
    ] = False,
) -> None:
    """Publish a run on the Hub: its corpus, generator and follower, with their cards.

    Without --yes nothing is sent: each file is listed, and the corpus' card shown. The Hub's token is read from
    HF_TOKEN or `hf auth login`. A second call commits only what has changed.
    """
    import time

    from davidgen_hf.publish.hub import PARTS, Push, list_files, push_while_it_runs
    from davidgen_hf.publish.hub import push as publish

    if what not in (*PARTS, "all"):
        raise SettingError(f"--what takes {', '.join(PARTS)} or all, got {what!r}.")
    asked = Push(to, PARTS if what == "all" else (what,), private, create_pr, publish_restricted)
    if not yes:
        for repo, files in list_files(run, asked).items():
            for file, size in files.items():
                print(f"{repo}  {file}  {size:,} bytes")
        card = run / "README.md"
        print(f"\n{card.read_text('utf-8') if card.is_file() else ''}\nNothing was sent. Add --yes to publish this.")
        return
    if follow:
        push_while_it_runs(run, asked, print, time.sleep)
    for one in publish(run, asked, print):
        print(f"{one.url}  commit {one.commit}")


@app.command()
def pull(
    repo: Annotated[str, typer.Argument(help="Id of a dataset that davidgen push made, org/name.")],
    run: Annotated[Path, typer.Argument(help="New folder for the run.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the dataset.")] = None,
) -> None:
    """Give back the folder of a run that was pushed, to go on where it stopped."""
    from davidgen_hf.publish.hub import pull as download

    print(download(repo, run, revision))


def main() -> None:
    """Run the command line; an error of ours is shown as its text, without a traceback, and exits with 2."""
    try:
        app()
    except DavidgenError as error:
        print(f"davidgen: {hide(str(error))}", file=sys.stderr)
        sys.exit(2)
