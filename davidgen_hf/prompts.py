"""Every prompt of the paper's Tables 7 to 10, each ``render_*`` next to its ``parse_*``.

Tables 7, 9 and 10 are formats that models are trained on, so they are reproduced exactly (whitespace as in Alpaca's
and LongForm's own releases). A prompt and its completion are joined without a separator.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FOLLOWER_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
FOLLOWER_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
EXTRACTION_INSTRUCTION = "Select key segments from the given article below."

# Separates an instruction from its input where one text holds both. Tables 7 to 10 have no such case; our own rule.
INPUT_MARK = "\nInput: "

NO_INPUT = "<noinput>"
META_HEAD = """\
Write {n_tasks} tasks that differ from each other. A language model will be given each of them, and its answers \
will be judged.
The tasks have to meet these requirements:
1. Let every instruction begin with another verb where you can.
2. Vary the wording: some instructions ask a question, others give an order.
3. Vary the kind of task: free writing, classification, editing and others all belong in the list.
4. A language model must be able to do the task. It can neither see nor draw, and it cannot act in the world: no \
alarms, no reminders.
5. Write in English.
6. Keep an instruction to one or two sentences, an order or a question.
7. Give the instruction a fitting input: a particular, realistic example, no placeholder, with enough in it to make \
the task worthwhile, in at most 100 words.
8. Where an instruction needs no input, such as a question about general knowledge, put "<noinput>" in its place.
9. Give the right output for instruction and input, in fewer than 100 words.

List of {n_tasks} tasks:
"""
# Begins a part of a task: "4. Input:", which is followed by a line break, or by the text itself.
TASK_PART = re.compile(r"^(\d+)\. (Instruction|Input|Output):[ \t]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class ListedTask:
    """A task as a list of Table 8 holds it, whole or broken.

    Args:
        instruction: Its instruction, without white space around it.
        input: Its input; empty for ``<noinput>``.
        output: Its output.
        start: Where the output starts in the list, in characters.
        broken: Why it is not a task: ``wrong_number``, ``repeated_part``, ``no_input``, ``no_output``,
            ``empty_instruction`` or ``empty_output`` (nothing, or ``<noinput>``); None if it is one.
    """

    instruction: str
    input: str = ""
    output: str = ""
    start: int = 0
    broken: str | None = None


@dataclass(frozen=True)
class Style:
    """A prompt for the instruction of a text, which is between head and tail: LongForm's three are in Table 9."""

    head: str
    tail: str


STYLES = {
    "instruction": Style(
        "Instruction: X\n\nOutput: ",
        "\n\nWhat kind of instruction could this be the answer to?\n\nX:",
    ),
    "chatbot": Style(
        "You are a chatbot. A user sent you an informal message and your reply is as follows.\n\n"
        "Message: X\n\nReply: ",
        "\n\nWhat is the informal message X?\n\nX:",
    ),
    "search_query": Style(
        "You are a search engine. A person queried something in detail and the most relevant document about the query "
        "is as follows.\n\nQuery: X\n\nDocument: ",
        "\n\nWhat is the detailed query X?\n\nX:",
    ),
}


def render_follower(instruction: str, input: str = "") -> str:
    """Return the prompt of the instruction follower (Table 7), with an input part if there is an input."""
    template = FOLLOWER_WITH_INPUT if input else FOLLOWER_WITHOUT_INPUT
    return template.format(instruction=instruction, input=input)


def parse_follower(prompt: str) -> tuple[str, str]:
    """Return ``(instruction, input)`` of a prompt that ``render_follower`` made.

    Raises:
        ValueError: The text is not such a prompt.
    """
    for template, marks in (
        (FOLLOWER_WITHOUT_INPUT, ("\n\n### Response:",)),
        (FOLLOWER_WITH_INPUT, ("\n\n### Input:\n", "\n\n### Response:")),
    ):
        head = template.split("{instruction}")[0]
        if prompt.startswith(head) and prompt.endswith(marks[-1]):
            body = prompt[len(head) : -len(marks[-1])]
            if len(marks) == 1:
                return body, ""
            if marks[0] in body:
                instruction, _, given = body.partition(marks[0])
                return instruction, given
    raise ValueError(f"not a prompt of Table 7: {prompt[:80]!r}")


def render_generator(output: str, style: str | Style) -> str:
    """Return the prompt that asks for the instruction of ``output``; those of Table 9 end in ``X:``.

    Args:
        output: The text.
        style: One of ``STYLES``, by its name, or a style of your own.

    Raises:
        KeyError: ``style`` is a name and not one of ``STYLES``.
    """
    style = STYLES[style] if isinstance(style, str) else style
    return style.head + output + style.tail


def render_following(output: str, style: str | Style) -> str:
    """Return the prompt that asks an instruction follower for the instruction of ``output``, in the form of Table 7.

    The paper does not show this prompt. Our own rule: the question that ends a style's prompt in Table 9 is the
    instruction, and what comes before it, with the text, is the input, as Table 10 does it for extraction.

    Raises:
        KeyError: ``style`` is a name and not one of ``STYLES``.
    """
    style = STYLES[style] if isinstance(style, str) else style
    question = style.tail.strip().removesuffix("X:").rstrip()
    return render_follower(question, style.head + output)


def parse_generator(prompt: str) -> tuple[str, str]:
    """Return ``(output, style)`` of a prompt that ``render_generator`` made.

    Raises:
        ValueError: The text is not such a prompt.
    """
    for name, style in STYLES.items():
        if prompt.startswith(style.head) and prompt.endswith(style.tail):
            return prompt[len(style.head) : -len(style.tail)], name
    raise ValueError(f"not a prompt of Table 9: {prompt[:80]!r}")


def render_answer(instruction: str, input: str = "") -> str:
    """Return what the generator should write after ``X:``: a space, the instruction, and its input if it has one."""
    return f" {instruction}{INPUT_MARK}{input}" if input else f" {instruction}"


def parse_answer(text: str) -> tuple[str, str]:
    """Return ``(instruction, input)`` of what a generator wrote; the input is empty if none is marked."""
    instruction, _, given = text.strip().partition(INPUT_MARK)
    return instruction.strip(), given.strip()


def render_extraction(passage: str) -> str:
    """Return the prompt that asks a follower for the key segments of a passage (Table 10)."""
    return render_follower(EXTRACTION_INSTRUCTION, passage)


def parse_extraction(prompt: str) -> str:
    """Return the passage of a prompt that ``render_extraction`` made.

    Raises:
        ValueError: The text is not such a prompt.
    """
    instruction, passage = parse_follower(prompt)
    if instruction != EXTRACTION_INSTRUCTION:
        raise ValueError(f"not a prompt of Table 10: its instruction is {instruction[:80]!r}")
    return passage


def render_meta(examples: Sequence[tuple[str, str, str]], n_tasks: int = 20) -> str:
    """Return the prompt that asks for new tasks after ``(instruction, input, output)`` examples (Table 8).

    The requirements are the table's in our own words; the numbered layout is the table's.

    Raises:
        ValueError: The examples are missing, or leave no task to write.
    """
    if not 0 < len(examples) < n_tasks:
        raise ValueError(f"needs 1 to {n_tasks - 1} examples, got {len(examples)}")
    return META_HEAD.format(n_tasks=n_tasks) + _numbered(examples, 1) + f"{len(examples) + 1}. Instruction:\n"


def render_tasks(tasks: Sequence[tuple[str, str, str]], first: int) -> str:
    """Return what should follow a prompt of ``render_meta`` whose last line is ``{first}. Instruction:``."""
    return _numbered(tasks, first).removeprefix(f"{first}. Instruction:\n").removesuffix("\n")


def _numbered(tasks: Sequence[tuple[str, str, str]], first: int) -> str:
    return "".join(
        f"{number}. {name}:\n{text}\n"
        for number, (instruction, given, output) in enumerate(tasks, start=first)
        for name, text in (("Instruction", instruction), ("Input", given or NO_INPUT), ("Output", output))
    )


def split_tasks(text: str) -> list[ListedTask]:
    """Return each task of a list in the layout of Table 8, broken ones too; text before the first is left out."""
    marks = list(TASK_PART.finditer(text))
    starts = [place for place, mark in enumerate(marks) if mark[2] == "Instruction"]
    return [
        _task(text, marks[start:end], marks[end].start() if end < len(marks) else len(text))
        for start, end in pairwise([*starts, len(marks)])
    ]


def _task(text: str, marks: list[re.Match[str]], end: int) -> ListedTask:
    ends = [*(mark.start() for mark in marks[1:]), end]
    parts: dict[str, str] = {}
    for mark, part_end in zip(marks, ends, strict=True):
        parts.setdefault(mark[2], text[mark.end() : part_end].strip())
    start = next((mark.end() for mark in marks if mark[2] == "Output"), end)
    start += len(text[start:end]) - len(text[start:end].lstrip())
    numbers = {mark[1] for mark in marks}
    missing = next((f"no_{name.lower()}" for name in ("Input", "Output") if name not in parts), None)
    texts = {name: "" if part.lower() == NO_INPUT else part for name, part in parts.items()}
    empty = next((f"empty_{name.lower()}" for name, text in texts.items() if not text and name != "Input"), None)
    repeated = "repeated_part" if len(marks) > len(parts) else None
    broken = ("wrong_number" if len(numbers) > 1 else None) or repeated or missing or empty
    return ListedTask(parts["Instruction"], texts.get("Input", ""), texts.get("Output", ""), start, broken)


def parse_tasks(text: str) -> list[tuple[str, str, str]]:
    """Return ``(instruction, input, output)`` of each whole task in the layout of Table 8; drop broken ones."""
    return [(one.instruction, one.input, one.output) for one in split_tasks(text) if one.broken is None]
