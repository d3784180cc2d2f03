import jinja2
import pytest
from datasets import Dataset
from transformers import AutoTokenizer, pipeline

from davidgen_hf.engines.tokens import Tokens
from davidgen_hf.prompts import render_follower, render_generator
from davidgen_hf.training import train
from davidgen_hf.training.chat_template import are_follower_prompts, follower_template

MESSAGES = [
    ("Count to 3.", ""),
    ("Translate 'it's {this}'.\n\nBriefly.", 'One "line"\nand\\another {{ brace }}'),
]


@pytest.fixture(params=["tiny_llama", "embedded_model"])
def tokenizer(request):
    """One tokenizer that opens a prompt with a special token, and one that does not."""
    tokenizer = AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))
    tokenizer.chat_template = follower_template(tokenizer)
    return tokenizer


@pytest.mark.parametrize(("instruction", "given"), MESSAGES)
def test_a_message_has_the_ids_of_the_follower_s_prompt(tokenizer, instruction, given):
    message = {"role": "user", "content": instruction} | ({"input": given} if given else {})
    ids = tokenizer.apply_chat_template([message], add_generation_prompt=True)["input_ids"]
    assert ids == Tokens(tokenizer, None, "").contexts([render_follower(instruction, given)])[0]


def test_a_server_s_argument_is_the_input_of_the_last_message(tokenizer):
    def render(*messages, **given):
        return tokenizer.apply_chat_template(list(messages), tokenize=False, **given)

    first, answer = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}
    last = {"role": "user", "content": "Say it."}
    expected = render(first, answer, last | {"input": "two"})
    assert render(first, answer, last, input="two") == expected
    assert expected.count("### Input:") == 1


def test_an_answer_closes_with_the_end_that_the_follower_learnt(tokenizer):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text.endswith(render_follower("Hi") + "Ho" + tokenizer.eos_token)


def test_content_parts_are_joined(tokenizer):
    def ids(content, **given):
        return tokenizer.apply_chat_template([{"role": "user", "content": content} | given])["input_ids"]

    parts = [{"type": "text", "text": "Name a "}, {"type": "text", "text": "river."}]
    assert ids(parts) == ids("Name a river.")
    assert ids(parts, input=[{"type": "text", "text": "Africa"}]) == ids("Name a river.", input="Africa")
    assert ids(None) == ids("") == ids([])


def test_a_part_that_is_not_text_is_refused(tokenizer):
    with pytest.raises(jinja2.TemplateError, match="reads text alone"):
        tokenizer.apply_chat_template([{"role": "user", "content": [{"type": "image", "url": "x"}]}])


def test_an_answer_that_was_begun_can_be_continued(tokenizer):
    messages = [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Ni"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True)
    assert text.endswith(render_follower("Name a river.") + "The Ni")


def test_a_role_that_was_not_trained_is_refused(tokenizer):
    with pytest.raises(jinja2.TemplateError, match="user and assistant alone"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be brief."}])


def test_a_follower_answers_in_a_chat_pipeline(recipe, tmp_path):
    rows = Dataset.from_list([{"prompt": render_follower("Say one."), "completion": " one"}] * 40)
    train(rows, recipe | {"max_length": 256}, output_dir=tmp_path / "follower")
    chat = pipeline("text-generation", str(tmp_path / "follower"), device="cpu")
    answer = chat([{"role": "user", "content": "Say one."}], max_new_tokens=8, do_sample=False)
    assert answer[0]["generated_text"][-1] == {"role": "assistant", "content": " one"}


def test_a_generators_prompts_differ_from_a_followers():
    follower, generator = ({"prompt": prompt} for prompt in (render_follower("a"), render_generator("a", "chatbot")))
    assert are_follower_prompts(Dataset.from_list([follower, {"prompt": None}, follower]))
    assert not are_follower_prompts(Dataset.from_list([follower, generator]))
