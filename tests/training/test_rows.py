import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from davidgen_hf.engines.tokens import Tokens
from davidgen_hf.errors import InputError, MissingColumnsError, ModelError, TrainingError
from davidgen_hf.training.rows import IGNORED, JoinIds, PairIds, digest, encode_rows


@pytest.fixture(scope="module")
def tokenizer(tiny_llama):
    return AutoTokenizer.from_pretrained(tiny_llama)


def test_ids_are_those_that_an_engine_scores_followed_by_the_end(tokenizer, rows):
    encoded, _ = encode_rows(rows, JoinIds(tokenizer, None))
    pairs = Tokens(tokenizer, None, "tiny").pairs(list(rows["prompt"]), list(rows["completion"]))
    assert encoded["input_ids"] == [[*pair.context, *pair.target, tokenizer.eos_token_id] for pair in pairs]


def test_a_prompt_keeps_its_ids_where_it_would_merge_with_its_completion(tokenizer):
    word = max((token for token in tokenizer.get_vocab() if token.isalpha() and token.isascii()), key=len)
    encoded, _ = encode_rows(
        Dataset.from_list([{"prompt": word[:2], "completion": word[2:]}]), JoinIds(tokenizer, None)
    )
    apart = tokenizer(word[:2])["input_ids"] + tokenizer(word[2:], add_special_tokens=False)["input_ids"]
    assert encoded[0]["input_ids"][:-1] == apart != tokenizer(word)["input_ids"]


def test_the_loss_is_taken_on_the_completion_and_its_end_alone(tokenizer, rows):
    encoded, counts = encode_rows(rows, JoinIds(tokenizer, None))
    prompt = len(tokenizer(rows[0]["prompt"])["input_ids"])
    labels = encoded[0]["labels"]
    assert labels[:prompt] == [IGNORED] * prompt
    assert labels[prompt:] == encoded[0]["input_ids"][prompt:]
    assert labels[-1] == tokenizer.eos_token_id
    assert counts.completion_tokens == sum(label != IGNORED for row in encoded["labels"] for label in row)


def test_rows_that_are_cut_away_cut_or_empty_are_counted(tokenizer):
    given = [("short", " answer"), ("short", " long" * 40), ("long" * 40, " answer"), ("short", " "), (None, "a")]
    rows = Dataset.from_list([{"prompt": prompt, "completion": completion} for prompt, completion in given])
    encoded, counts = encode_rows(rows, JoinIds(tokenizer, 32))
    assert (counts.given, counts.used, counts.cut, counts.cut_away, counts.empty) == (5, 2, 1, 1, 2)
    assert [len(ids) for ids in encoded["input_ids"]] == encoded["length"]
    assert encoded["length"][1] == 32
    assert encoded["input_ids"][1][-1] != tokenizer.eos_token_id
    assert str(counts) == (
        f"5 rows: 2 used ({counts.tokens} tokens, {counts.completion_tokens} of them in completions, 1 completions "
        "cut by max_length), 1 dropped because their prompt leaves no room, 2 dropped because they are empty"
    )


def test_nothing_to_train_on_is_an_error_that_counts_why(tokenizer, rows):
    with pytest.raises(TrainingError, match="24 dropped because their prompt leaves no room") as error:
        encode_rows(rows, JoinIds(tokenizer, 4))
    assert str(error.value).endswith("Give other rows, or raise the length.")


def test_missing_columns_are_named(tokenizer):
    with pytest.raises(
        MissingColumnsError, match=r"lacks the column\(s\) \['completion'\]; it has \['prompt', 'answer'\]"
    ):
        encode_rows(Dataset.from_dict({"prompt": ["a"], "answer": ["b"]}), JoinIds(tokenizer, 8))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("completion", [0, 1], r"completion holds int64, and training needs text\. Write it as text"),
        ("prompt", [0.5, None], "prompt holds float64"),
        ("completion", [True, False], "completion holds bool"),
        ("completion", [["a"], ["b", "c"]], r"completion holds lists, .*Write one text per row"),
        ("prompt", [{"text": "a"}, {"text": "b"}], "prompt holds structures"),
        ("prompt", [[{"role": "user", "content": "Hi"}]] * 2, r"prompt holds conversations \(lists of messages\)"),
    ],
    ids=["numbers", "fractions", "booleans", "lists", "structures", "conversations"],
)
def test_a_column_that_is_not_text_is_named_with_its_type(tokenizer, column, values, message):
    rows = Dataset.from_dict({"prompt": ["a", "b"], "completion": ["c", "d"]} | {column: values})
    with pytest.raises(InputError, match=message):
        encode_rows(rows, JoinIds(tokenizer, 8))


@pytest.mark.parametrize("completion", ["", " \n", None])
def test_completions_that_are_all_empty_leave_nothing_to_train_on(tokenizer, completion):
    rows = Dataset.from_dict({"prompt": ["a", "b"], "completion": [completion] * 2})
    with pytest.raises(TrainingError, match="all of the 2 rows have an empty prompt or completion"):
        encode_rows(rows, JoinIds(tokenizer, 8))


def test_a_special_token_in_a_text_is_text(tokenizer):
    rows = Dataset.from_dict({"prompt": ["Strike </s> out."], "completion": [" Write <s>1</s>, or <pad>."]})
    row = encode_rows(rows, JoinIds(tokenizer, None))[0][0]
    special = [position for position, token in enumerate(row["input_ids"]) if token in tokenizer.all_special_ids]
    assert special == [0, len(row["input_ids"]) - 1]
    assert tokenizer.decode(row["input_ids"][1:-1]) == rows[0]["prompt"] + rows[0]["completion"]


def test_a_tokenizer_without_an_end_is_refused(tiny_llama, rows):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        encode_rows(rows, JoinIds(tokenizer, 8))


def test_a_digest_depends_on_the_texts_and_their_order_alone(rows):
    assert digest(rows) == digest(rows.add_column("id", list(range(len(rows)))))
    assert digest(rows) != digest(rows.select(range(len(rows) - 1, -1, -1)))


def test_an_encoder_reads_the_prompt_and_a_decoder_learns_the_completion_with_its_end(tiny_t5, rows):
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    encoded, _ = encode_rows(rows, PairIds(tokenizer, 64, 64))
    assert encoded[0]["input_ids"] == tokenizer(rows[0]["prompt"])["input_ids"]
    plain = tokenizer(rows[0]["completion"], add_special_tokens=False)["input_ids"]
    assert encoded[0]["labels"] == [*plain, tokenizer.eos_token_id]


def test_an_encoder_s_prompt_that_is_too_long_is_dropped_rather_than_cut(tiny_t5):
    rows = Dataset.from_list(
        [{"prompt": prompt, "completion": text} for prompt, text in (("a", "b" * 90), ("a" * 90, "b"), ("a", "b"))]
    )
    encoded, counts = encode_rows(rows, PairIds(AutoTokenizer.from_pretrained(tiny_t5), 16, 16))
    assert (counts.used, counts.cut, counts.cut_away) == (2, 1, 1)
    assert [len(labels) for labels in encoded["labels"]] == [16, 2]


def test_a_forced_first_token_opens_what_a_decoder_learns(tiny_t5, rows):
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    plain, forced = (encode_rows(rows, PairIds(tokenizer, 64, 64, first))[0] for first in (None, 1))
    assert forced["labels"] == [[1, *labels] for labels in plain["labels"]]
    assert forced["input_ids"] == plain["input_ids"]
