"""What `apply` takes: dataset dictionaries, null, types of columns, and media that nobody decodes."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value, disable_caching

from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import ColumnTypeError, SettingError
from davidgen_hf.processors import (
    Decontaminate,
    ExtractKeywords,
    ExtractSentence,
    ExtractWithModel,
    GenerateInstructions,
    GuardCandidates,
    KeepWhole,
    LimitPassages,
    ReverseSeeds,
    apply,
)
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.schema import CANDIDATES, empty_candidate
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.passages import PassageSource
from davidgen_hf.sources.seeds import SeedColumns
from davidgen_hf.sources.source import Source

ECHO = EngineSettings(kind="echo")
TEXT = "Glaciers carve valleys with round floors. Rivers carve them with a sharp one."


@pytest.fixture(autouse=True)
def no_cache():
    disable_caching()


def candidates(*texts: str) -> list[dict]:
    return [empty_candidate(instruction=text) for text in texts]


def test_each_split_of_a_dictionary_is_processed():
    splits = DatasetDict({name: Dataset.from_dict({"text": [name, TEXT]}) for name in ("train", "test")})
    found = apply(KeepWhole(), splits)
    assert type(found) is DatasetDict
    assert {name: rows["output"][:] for name, rows in found.items()} == {
        "train": ["train", TEXT],
        "test": ["test", TEXT],
    }


def test_each_split_of_a_stream_is_processed():
    from datasets import IterableDatasetDict

    splits = IterableDatasetDict({"train": Dataset.from_dict({"text": [TEXT]}).to_iterable_dataset()})
    assert [row["output"] for row in apply(KeepWhole(), splits)["train"]] == [TEXT]


def test_other_rows_than_a_dataset_are_refused():
    with pytest.raises(SettingError, match=r"list is not a dataset .*Dataset\.from_list"):
        apply(KeepWhole(), [{"text": TEXT}])


@pytest.mark.parametrize(
    "step",
    [KeepWhole(), LimitPassages(engine=ECHO), ExtractWithModel(engine=ECHO), ExtractSentence(), ExtractKeywords()],
    ids=lambda step: type(step).__name__,
)
@pytest.mark.parametrize("stream", [False, True])
def test_null_text_is_left_out(step, stream):
    rows = Dataset.from_dict({"text": [TEXT, None, TEXT], "language": ["en", None, "en"]})
    found = apply(step, rows.to_iterable_dataset() if stream else rows)
    assert [row["text"] for row in found] == [TEXT, TEXT]
    plain = rows.map(step, batched=True, remove_columns=rows.column_names)
    assert plain["text"][:] == [TEXT, TEXT]


def test_half_a_seed_is_left_out():
    rows = {"instruction": ["a", None, "c"], "input": [None, "", ""], "output": ["x", "y", None]}
    assert apply(ReverseSeeds(), Dataset.from_dict(rows))["instruction"][:] == ["a"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_step_that_keeps_every_row_refuses_null(stream):
    rows = Dataset.from_dict({"output": [TEXT, None]})
    with pytest.raises(ColumnTypeError, match=r"GenerateInstructions reads a column that has null .*dataset\.filter"):
        list(apply(GenerateInstructions(engine=ECHO), rows.to_iterable_dataset() if stream else rows))


def test_null_in_rows_that_are_not_selected_does_not_matter():
    rows = Dataset.from_dict({"output": [TEXT, None]}).select([0])
    assert len(apply(GenerateInstructions(engine=ECHO), rows)["candidates"][0]) == 4


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([["Why?"]], "a list of string"),
        (["Why?"], "string"),
        ([[{"instruction": "Why?"}]], "a list of a record of instruction"),
        ([[{**empty_candidate(), "instruction": 3}]], "a list of a record of instruction, input"),
    ],
)
def test_candidates_of_another_form_are_named_with_the_fields_they_need(values, found):
    rows = Dataset.from_dict({"output": [TEXT], "candidates": values})
    with pytest.raises(
        ColumnTypeError, match=rf"'candidates', which is {found}.* must be a list of a record of .*empty_candidate"
    ):
        apply(GuardCandidates(), rows)


@pytest.mark.parametrize("values", [[3], [["a"]], [b"a"], [{"a": "b"}]])
def test_a_text_of_another_type(values):
    with pytest.raises(ColumnTypeError, match=r"KeepWhole reads the column 'text', which is .*It must be string\."):
        apply(KeepWhole(), Dataset.from_dict({"text": values}))


def test_a_language_of_another_type():
    features = Features({"text": Value("string"), "language": ClassLabel(names=["en", "de"])})
    rows = Dataset.from_dict({"text": [TEXT], "language": [1]}, features=features)
    with pytest.raises(ColumnTypeError, match="'language', which is ClassLabel"):
        apply(ExtractSentence(), rows)


def test_candidates_without_any_value_keep_their_row():
    rows = Dataset.from_dict({"output": [TEXT], "candidates": [[]]})
    assert apply(GuardCandidates(), rows)["candidates"][:] == [[]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("step", [KeepWhole(), GuardCandidates()], ids=["changes rows", "keeps rows"])
def test_a_picture_in_another_column_is_not_decoded(step, stream):
    broken = {"bytes": b"not a picture", "path": None}
    features = Features({"text": Value("string"), "output": Value("string")} | CANDIDATES)
    features |= Features({"image": Image(), "album": List(Image()), "record": {"image": Image()}})
    row = {"text": TEXT, "output": TEXT, "candidates": candidates("Why?")}
    row |= {"image": broken, "album": [broken], "record": {"image": broken}}
    rows = Dataset.from_list([row], features=features)
    found = apply(step, rows.to_iterable_dataset() if stream else rows)
    assert found.features["image"] == Image()
    assert [row["output"] for row in found.select_columns(["output"])] == [TEXT]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: GenerateInstructions(styles="chatbot"),
            r"GenerateInstructions has .*styles: .*valid tuple.*'chatbot'",
        ),
        (lambda: GuardCandidates(max_words="many"), r"max_words: Input should be a valid integer.*'many'"),
        (lambda: Decontaminate(sources="a.txt"), r"Decontaminate has .*sources: Input should be a valid tuple"),
        (lambda: Source("a.txt", allowed_licenses="mit"), r"Source has .*allowed_licenses: .*valid tuple"),
        (lambda: PassageSource(3), r"PassageSource has .*source: Input should be a valid string, got 3"),
        (lambda: LimitPassages(engine="gpt2"), r"LimitPassages has .*engine"),
        (lambda: NearDuplicates(threshold=None), r"threshold: Input should be a valid number"),
        (lambda: KeepWhole(version="x"), r"KeepWhole has .*version"),
        (lambda: Paragraphs(min_words="x"), r"Paragraphs has .*min_words"),
        (lambda: SeedColumns(output=3), r"SeedColumns has .*output"),
    ],
)
def test_settings_of_other_types_are_refused_when_they_are_given(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_a_list_is_read_as_a_tuple_and_a_path_as_its_name(tmp_path):
    (tmp_path / "a.txt").write_text("A text.")
    step = Decontaminate(sources=[Source(tmp_path / "a.txt")])
    assert step == Decontaminate((Source(str(tmp_path / "a.txt")),))
    rows = Dataset.from_dict({"output": [TEXT], "candidates": [candidates("Why?")]})
    assert apply(step, rows)["candidates"][0][0]["reject_reason"] is None
    assert ReverseSeeds(styles=["chatbot"]) == ReverseSeeds(styles=("chatbot",))
