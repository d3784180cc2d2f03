"""Seeds become training rows: the output in the prompt, the instruction as the completion."""

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import ReverseSeeds, apply


@pytest.fixture
def seeds() -> Dataset:
    return Dataset.from_dict(
        {
            "instruction": ["Name a river.", "Translate."],
            "input": ["", "Guten Tag"],
            "output": ["The Nile", "Good day"],
            "id": ["a", "b"],
        }
    )


@pytest.mark.parametrize(
    ("inputs", "answers"),
    [
        ("append", [("Name a river.", ""), ("Translate.", "Guten Tag")]),
        ("omit", [("Name a river.", ""), ("Translate.", "")]),
        ("skip_row", [("Name a river.", "")]),
    ],
)
def test_inputs_are_appended_omitted_or_skipped(seeds, inputs, answers):
    rows = apply(ReverseSeeds(inputs=inputs), seeds)
    assert [prompts.parse_answer(text) for text in rows["completion"]] == answers
    assert [prompts.parse_generator(text)[0] for text in rows["prompt"]] == rows["output"][:]
    assert rows["id"][:] == ["a", "b"][: len(answers)]


def test_styles_are_drawn_by_seed():
    many = Dataset.from_dict(
        {"instruction": ["i"] * 300, "input": [""] * 300, "output": [f"o{n}" for n in range(300)]}
    )
    drawn = [
        [prompts.parse_generator(text)[1] for text in apply(ReverseSeeds(seed=seed), many)["prompt"]]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {style: drawn[0].count(style) > 70 for style in prompts.STYLES} == dict.fromkeys(prompts.STYLES, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": "drop"}, r"inputs must be one of \('append', 'omit', 'skip_row'\), got 'drop'"),
        (
            {"styles": ("poem",)},
            r"styles must be some of \['instruction', 'chatbot', 'search_query'\], got \['poem'\]",
        ),
        ({"styles": ()}, r"styles must be some of .*, got \[\]"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        ReverseSeeds(**settings)
