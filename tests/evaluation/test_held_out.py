"""Held-out seeds: answers in any script, and seeds that do not fit."""

import pytest
from datasets import Dataset
from rouge_score.rouge_scorer import RougeScorer

from davidgen_hf.engines import EngineSettings, load_engine
from davidgen_hf.evaluation.held_out import compare_on_held_out
from davidgen_hf.evaluation.rouge import text_rouge_l

ENGLISH = [
    ("The rivers were running dry in summer.", "In summer, running rivers had been dry!"),
    ("It's 3.5 km_per_hour", "It is 3.5 km per hour."),
    ("", "Anything"),
]


@pytest.mark.parametrize(("answer", "reference"), ENGLISH)
def test_english_has_the_figure_of_rouge_score(answer, reference):
    golden = RougeScorer(["rougeL"], use_stemmer=True).score(reference, answer)["rougeL"].fmeasure
    assert text_rouge_l(answer, reference) == golden


@pytest.mark.parametrize(
    "text",
    [
        *(
            "黄河流入渤海。",
            "東京は日本の首都です。",
            "กรุงเทพเป็นเมืองหลวง",
            "Волга впадает в море.",
            "दिल्ली राजधानी है",
            "القاهرة عاصمة مصر",
        ),
        *("한강은 서울을 흐른다", "Η Αθήνα είναι πόλη", "🙂🙃", "¿?"),
    ],
)
def test_equal_answers_are_a_full_match_in_any_script_and_others_are_not(text):
    assert text_rouge_l(f" {text}\n", text) == 1.0
    assert text_rouge_l("something else", text) == 0.0


def test_half_of_the_words_is_half_of_the_match_without_spaces():
    assert 0.3 < text_rouge_l("黄河流入", "黄河流入渤海湾中") < 0.9


@pytest.fixture
def seeds():
    long = "word " * 600
    rows = [("Name a river.", "Nile"), ("Repeat it.", long), (long, "Yes"), ("Name a sea.", "Aral")]
    return Dataset.from_list([{"instruction": text, "input": "", "output": output} for text, output in rows])


def test_a_seed_that_does_not_fit_is_left_out_and_counted(seeds, tiny_llama):
    settings = EngineSettings(dtype="float32", device="cpu")
    models = {"base": str(tiny_llama), "follower": str(tiny_llama)}
    whole = compare_on_held_out(models, seeds, settings, 4)
    few = compare_on_held_out(models, seeds.select([0, 3]), settings, 4)
    for name in models:
        assert whole[name].too_long == 2
        assert [answer is None for answer in whole[name].answers] == [False, True, True, False]
        assert (whole[name].rouge_l, whole[name].perplexity) == (few[name].rouge_l, few[name].perplexity)
        assert few[name].too_long == 0


def test_where_no_seed_fits_nothing_is_measured(seeds, tiny_llama):
    scores = compare_on_held_out({"base": str(tiny_llama)}, seeds.select([1, 2]), EngineSettings(device="cpu"), 4)
    assert (scores["base"].rouge_l, scores["base"].perplexity, scores["base"].too_long) == (None, None, 2)


def test_the_smallest_room_of_the_models_counts(seeds, tiny_llama, tiny_model):
    from transformers import LlamaConfig

    room = load_engine(EngineSettings(model=str(tiny_llama))).max_length
    wide = tiny_model(LlamaConfig, max_position_embeddings=4 * room)
    settings = EngineSettings(device="cpu")
    assert compare_on_held_out({"wide": str(wide)}, seeds, settings, 4)["wide"].too_long == 0
    both = compare_on_held_out({"wide": str(wide), "narrow": str(tiny_llama)}, seeds, settings, 4)
    assert {one.too_long for one in both.values()} == {2}
