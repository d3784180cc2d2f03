"""K candidates per output, drawn by seed, whatever the other rows are."""

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.engines.echo import EchoEngine
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import GenerateInstructions, apply
from davidgen_hf.processors import generate as generate_module

ECHO = EngineSettings(kind="echo")


def test_each_output_gets_k_candidates_of_one_style():
    outputs = [f"text number {n}" for n in range(40)]
    made = apply(GenerateInstructions(ECHO, n=3), Dataset.from_dict({"output": outputs}))["candidates"][:]
    assert [len(row) for row in made] == [3] * 40
    assert [len({one["style"] for one in row}) for row in made] == [1] * 40
    assert {row[0]["style"] for row in made} == set(prompts.STYLES)
    assert all(one["reject_reason"] is None and one["nll"] is None for row in made for one in row)


def test_candidates_do_not_depend_on_other_rows(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    step = GenerateInstructions(settings, sampling=Sampling(max_new_tokens=6))
    together = step({"output": ["first text", "a second, longer text"]})["candidates"]
    alone = step({"output": ["a second, longer text"]})["candidates"]
    assert together[1] == alone[0]


def test_the_seed_decides(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    made = [
        GenerateInstructions(settings, sampling=Sampling(max_new_tokens=6, seed=seed))({"output": ["text"]})
        for seed in (0, 0, 1)
    ]
    assert made[0] == made[1] != made[2]


def test_a_candidate_at_the_limit_of_tokens_is_unfinished(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    made = GenerateInstructions(settings, n=8, sampling=Sampling(max_new_tokens=1))({"output": ["text"]})
    assert {one["finished"] for one in made["candidates"][0] if one["instruction"]} == {False}


@pytest.mark.parametrize("restricted", [False, True])
def test_candidates_of_a_closed_models_host_are_marked(monkeypatch, restricted):
    monkeypatch.setattr(EchoEngine, "restricted", restricted)
    made = GenerateInstructions(ECHO, n=2)({"output": ["text"]})["candidates"][0]
    assert [one["closed_source"] for one in made] == [restricted] * 2


def test_a_prompt_on_which_the_engine_failed_is_marked(monkeypatch):
    class FailingEngine:
        def generate(self, prompts, n, sampling):
            return [None] * len(prompts)

    monkeypatch.setattr(generate_module, "load_engine", lambda _: FailingEngine())
    made = GenerateInstructions(n=2)({"output": ["text"]})["candidates"][0]
    assert [one["reject_reason"] for one in made] == ["engine_failed"] * 2


def test_k_is_checked():
    with pytest.raises(SettingError, match="n must be 1 to 10,000, got 0"):
        GenerateInstructions(n=0)


def test_a_follower_is_prompted_in_its_own_format():
    step = GenerateInstructions(EngineSettings(kind="echo"), prompt_format="following", styles=("chatbot",))
    (prompt,) = step.prompts({"output": ["Good evening."]})
    assert prompts.parse_follower(prompt)[0] == "What is the informal message X?"
    with pytest.raises(SettingError, match="prompt_format"):
        GenerateInstructions(prompt_format="chat")


SUMMARY = {"head": "Text: ", "tail": "\n\nAsk for it in short:"}


def test_candidates_are_spread_over_styles_of_the_recipe_too(tiny_llama):
    engine = EngineSettings(model=str(tiny_llama), dtype="float32")
    step = GenerateInstructions(
        engine, n=5, sampling=Sampling(max_new_tokens=4), styles={"summary": SUMMARY}, styles_per_passage=3
    )
    given = Dataset.from_dict({"output": [f"text number {n}" for n in range(12)]})
    rows = given.map(step, batched=True)["candidates"][:]
    drawn = [[one["style"] for one in row] for row in rows]
    assert {style for row in drawn for style in row} == {*prompts.STYLES, "summary"}
    assert {tuple(row.count(style) for style in dict.fromkeys(row)) for row in drawn} == {(2, 2, 1)}
    assert step(given[3:4])["candidates"] == rows[3:4]
    of_summary = [one["instruction"] for row in rows for one in row if one["style"] == "summary"]
    places = [number for number, row in enumerate(drawn) if "summary" in row]
    texts = [prompts.render_generator(given[place]["output"], prompts.Style(**SUMMARY)) for place in places]
    assert [text for text in step.prompts(given[:]) if text.endswith("in short:")] == texts
    expected = [
        prompts.parse_answer(text)[0]
        for place, prompt in zip(places, texts, strict=True)
        for text in load_engine(engine).generate([prompt], drawn[place].count("summary"), step.sampling)[0]
    ]
    assert of_summary == expected


def test_a_style_of_table_9_can_be_left_out():
    step = GenerateInstructions(ECHO, styles={"chatbot": "none", "search_query": "none", "summary": SUMMARY}, n=1)
    made = step({"output": [f"text {n}" for n in range(20)]})["candidates"]
    assert {row[0]["style"] for row in made} == {"instruction", "summary"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"styles": {"a b": SUMMARY}}, "styles.a b is not a name"),
        ({"styles": {"chatbot": SUMMARY}}, "styles.chatbot is a style of Table 9, which stays as it is"),
        ({"styles": {"one": {"head": " ", "tail": "x"}}}, "styles.one has a blank head or tail"),
        ({"styles": {"one": {"head": "x", "tail": "x: "}}}, "styles.one has a tail that ends in white space"),
        ({"styles": {"one": SUMMARY, "two": SUMMARY}}, "styles.two has the prompt of another style"),
        (
            {"styles": {"one": "none"}},
            "styles.one is none, which leaves out a style of Table 9",
        ),
        ({"styles": dict.fromkeys(prompts.STYLES, "none")}, "styles leaves out all styles"),
        ({"styles": ["one"]}, r"styles must be some of \['instruction', .* as a mapping"),
        ({"styles_per_passage": 4}, "styles_per_passage must be 1 to 3, got 4.* 4 candidates and 3 styles"),
        ({"n": 1, "styles_per_passage": 2}, "styles_per_passage must be 1 to 1, got 2"),
    ],
)
def test_styles_are_checked(settings, message):
    with pytest.raises(SettingError, match=message):
        GenerateInstructions(ECHO, **settings)
