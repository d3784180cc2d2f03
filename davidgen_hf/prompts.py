"""Every prompt of the paper's Tables 7 to 10, each ``render_*`` next to its ``parse_*``.

Tables 7, 9 and 10 are formats that models are trained on, so they are reproduced exactly (whitespace as in Alpaca's
and LongForm's own releases). A prompt and its completion are joined without a separator.
"""

import re
from dataclasses import dataclass

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
TASK = re.compile(
    r"^(\d+)\. Instruction:\n(.+?)\n\1\. Input:\n(.+?)\n\1\. Output:\n(.+?)(?=\n\d+\. Instruction:|\s*\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Style:
    """One of LongForm's three prompts for the instruction of a text (Table 9)."""

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


def render_generator(output: str, style: str) -> str:
    """Return the prompt that asks for the instruction of ``output`` (Table 9), ending in ``X:``.

    Raises:
        KeyError: ``style`` is not one of ``STYLES``.
    """
    return STYLES[style].head + output + STYLES[style].tail


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


def render_meta(examples: list[tuple[str, str, str]], n_tasks: int = 20) -> str:
    """Return the prompt that asks for new tasks after ``(instruction, input, output)`` examples (Table 8).

    The requirements are the table's in our own words; the numbered layout is the table's.

    Raises:
        ValueError: The examples are missing, or leave no task to write.
    """
    if not 0 < len(examples) < n_tasks:
        raise ValueError(f"needs 1 to {n_tasks - 1} examples, got {len(examples)}")
    parts = [META_HEAD.format(n_tasks=n_tasks)]
    for number, (instruction, given, output) in enumerate(examples, start=1):
        named = (("Instruction", instruction), ("Input", given or NO_INPUT), ("Output", output))
        parts += [f"{number}. {name}:\n{text}\n" for name, text in named]
    return "".join(parts) + f"{len(examples) + 1}. Instruction:\n"


def parse_tasks(text: str) -> list[tuple[str, str, str]]:
    """Return ``(instruction, input, output)`` of each whole task in the layout of Table 8; drop incomplete ones."""
    found = TASK.findall(text)
    tasks = [(instruction, given, output) for _, instruction, given, output in found]
    return [(instruction, "" if given == NO_INPUT else given, output) for instruction, given, output in tasks]
