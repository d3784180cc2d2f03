"""Every prompt is the paper's to the letter, and comes back from its parser as it went in."""

import pytest

from davidgen_hf import prompts

TEXTS = ["Name a river.", "a\n\nb", "{instruction} {input}", "X:", "  a ", "多行\n文本", "### Response:", 'say "}{"']


@pytest.mark.parametrize("given", ["", "the input", "{instruction}"])
@pytest.mark.parametrize("instruction", TEXTS)
def test_follower_prompts_come_back(instruction, given):
    assert prompts.parse_follower(prompts.render_follower(instruction, given)) == (instruction, given)


@pytest.mark.parametrize("style", prompts.STYLES)
@pytest.mark.parametrize("output", TEXTS)
def test_generator_prompts_come_back(output, style):
    assert prompts.parse_generator(prompts.render_generator(output, style)) == (output, style)


@pytest.mark.parametrize("given", ["", "the input", "two\nlines"])
def test_answers_come_back(given):
    assert prompts.parse_answer(prompts.render_answer("Do this.", given)) == ("Do this.", given)


@pytest.mark.parametrize("passage", TEXTS)
def test_extraction_prompts_come_back(passage):
    assert prompts.parse_extraction(prompts.render_extraction(passage)) == passage


def test_examples_of_the_meta_prompt_come_back():
    examples = [("Name a river.", "", "The Nile."), ("Translate.", "Guten Tag", "Good day"), ("a", "b\nc", "d")]
    assert prompts.parse_tasks(prompts.render_meta(examples)) == examples


def test_a_list_of_tasks_is_its_prompt_and_what_follows():
    tasks = [("Name a river.", "", "The Nile."), ("Translate.", "Guten Tag", "Good day"), ("Sort.", "b\na", "a\nb")]
    prompt, following = prompts.render_meta(tasks[:1], 3), prompts.render_tasks(tasks[1:], 2)
    assert prompt + following + "\n4. Instruction:\n" == prompts.render_meta(tasks, 4).replace(
        prompts.META_HEAD.format(n_tasks=4), prompts.META_HEAD.format(n_tasks=3)
    )
    assert prompts.parse_tasks(prompt + following) == tasks
    text = "2. Instruction:\n" + following
    assert [text[one.start :][: len(one.output)] for one in prompts.split_tasks(text)] == ["Good day", "a\nb"]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("1. Instruction:\nSort.\n1. Input:\nb a\n1. Output:\na b", None),
        ("1. Instruction: Sort.\n1. Input: <NoInput>\n1. Output: a b\n", None),
        ("1. Instruction:\nSort.\n1. Input:\n1. Output:\na b", None),
        ("1. Instruction:\nSort.\n1. Output:\na b", "no_input"),
        ("1. Instruction:\nSort.\n1. Input:\nb a", "no_output"),
        ("1. Instruction:\nSort.\n1. Input:\nb a\n2. Output:\na b", "wrong_number"),
        ("1. Instruction:\nSort.\n1. Input:\nb\n1. Input:\na\n1. Output:\na b", "repeated_part"),
        ("1. Instruction:\n1. Input:\nb a\n1. Output:\na b", "empty_instruction"),
        ("1. Instruction:\nSort.\n1. Input:\nb a\n1. Output:\n \n", "empty_output"),
        ("1. Instruction:\nSort.\n1. Input:\nb a\n1. Output:\n<noinput>", "empty_output"),
    ],
)
def test_a_broken_task_says_why(text, broken):
    (task,) = prompts.split_tasks("Here is the list:\n" + text)
    assert task.broken == broken
    assert prompts.parse_tasks(text) == ([] if broken else [("Sort.", task.input, "a b")])


def test_a_text_without_a_task():
    assert prompts.split_tasks("Write a poem.\n1. Output:\nRoses") == []


@pytest.mark.parametrize("style", prompts.STYLES)
def test_a_follower_gets_the_question_of_table_9(style):
    question, given = prompts.parse_follower(prompts.render_following("The heart pumps blood.", style))
    assert question.endswith("?")
    assert "X:" not in question
    assert f"{given}\n\n{question}\n\nX:" == prompts.render_generator("The heart pumps blood.", style)


@pytest.mark.parametrize("count", [0, 20])
def test_a_meta_prompt_needs_examples_and_room(count):
    with pytest.raises(ValueError, match="1 to 19 examples"):
        prompts.render_meta([("a", "", "b")] * count)


def test_table_7_to_the_letter():
    assert prompts.render_follower("Sort these.", "3 1 2") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n"
        "\n### Instruction:\nSort these.\n\n### Input:\n3 1 2\n\n### Response:"
    )
    assert prompts.render_follower("Name a river.") == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n"
        "\n### Instruction:\nName a river.\n\n### Response:"
    )


def test_table_9_to_the_letter():
    assert [prompts.render_generator("T", style) for style in ("instruction", "chatbot", "search_query")] == [
        "Instruction: X\n\nOutput: T\n\nWhat kind of instruction could this be the answer to?\n\nX:",
        "You are a chatbot. A user sent you an informal message and your reply is as follows.\n\n"
        "Message: X\n\nReply: T\n\nWhat is the informal message X?\n\nX:",
        "You are a search engine. A person queried something in detail and the most relevant document about the query "
        "is as follows.\n\nQuery: X\n\nDocument: T\n\nWhat is the detailed query X?\n\nX:",
    ]


def test_table_10_to_the_letter():
    assert prompts.render_extraction("P").endswith(
        "### Instruction:\nSelect key segments from the given article below.\n\n### Input:\nP\n\n### Response:"
    )


@pytest.mark.parametrize("parse", [prompts.parse_follower, prompts.parse_generator, prompts.parse_extraction])
def test_another_text_is_refused(parse):
    with pytest.raises(ValueError, match="not a prompt of Table"):
        parse("Write a poem.")


def test_another_instruction_is_not_an_extraction():
    with pytest.raises(ValueError, match="not a prompt of Table 10: its instruction is 'Sum up'"):
        prompts.parse_extraction(prompts.render_follower("Sum up", "text"))
