"""Whole functions, classes and files of real code are fragments, and instructions for them must not copy them."""

import ast
import warnings
from pathlib import Path

import networkx
import pytest
from datasets import Dataset

from davidgen_hf import apply
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import GuardCandidates
from davidgen_hf.processors.extract_code import ExtractClass, ExtractFile, ExtractFunction
from davidgen_hf.processors.guard_code import GuardCode
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import empty_candidate
from davidgen_hf.secrecy import holds_secret
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages

FUNCTION = '''\
def count_vowels(text: str, vowels: str = "aeiou") -> int:
    """Count the vowels of a text.

    Letters in either case are compared with the given vowels one by one.
    """
    lowered_text = text.lower()
    number_found = sum(letter in vowels for letter in lowered_text)
    return number_found
'''
HEADER = "# Copyright 2026 A. Author\n# Licensed under the MIT license.\n\n"


def code(*texts: str, language: str = "Python") -> Dataset:
    return Dataset.from_dict({"text": list(texts), "language": [language] * len(texts)})


def reasons(guard, *instructions: str, output: str = FUNCTION, language: str = "Python") -> list[str | None]:
    candidates = [empty_candidate(instruction=text, input="", finished=True) for text in instructions]
    marked = guard({"output": [output], "candidates": [candidates], "language": [language]})
    return [one["reject_reason"] for one in marked["candidates"][0]]


def test_functions_of_a_real_package_are_whole_and_verbatim():
    folder = Path(networkx.__file__).parent / "algorithms"
    source = PassageSource(str(folder), kind="code", max_rows=300, paragraphs=Paragraphs(min_words=20, max_words=300))
    passages = Dataset.from_list(list(read_passages(source, Skipped())))
    found = apply(ExtractFunction(max_lines=100), passages)
    assert len(found) >= 200
    for row in found:
        assert row["text"][row["start"] : row["end"]] == row["output"]
        assert not holds_secret(row["output"])
        with warnings.catch_warnings(action="ignore"):
            parsed = ast.parse(row["output"]).body
        assert [type(one) for one in parsed] in ([ast.FunctionDef], [ast.AsyncFunctionDef])


def test_class_and_file_are_taken_whole():
    text = HEADER + FUNCTION + "\n\nclass Counter:\n    n = 0\n\n    def get(self):\n        return self.n\n"
    assert apply(ExtractFunction(), code(text))[0]["output"] == FUNCTION.rstrip()
    assert apply(ExtractClass(), code(text))[0]["output"] == text[text.index("class") :].rstrip()
    assert apply(ExtractFile(), code(text))[0]["output"] == text[len(HEADER) :].rstrip()
    broken, generated = FUNCTION + "def f(:\n", "# This file was automatically generated.\n" + FUNCTION
    secret = FUNCTION.replace("lowered_text =", 'password = "q8fK2mZ0vT4xW9aB"\n    lowered_text =')
    assert len(apply(ExtractFile(), code(broken, generated, secret, FUNCTION))) == 1
    assert len(apply(ExtractFunction(), code(secret, "x = 1\n", ""))) == 0
    assert len(apply(ExtractFunction(), code(FUNCTION, language="en"))) == 0
    assert len(apply(ExtractFunction(max_lines=4), code(FUNCTION))) == 0
    with pytest.raises(SettingError, match="max_lines"):
        ExtractClass(min_lines=9, max_lines=8)


def test_an_instruction_may_use_the_docstring_and_must_not_copy_it():
    assert reasons(
        GuardCode(),
        "Write a function that counts the vowels of a given text in Python.",
        "Python: count the vowels of a text. Explain it.",
        "Use the key sk-abcdefghijklmnopqrstuvwxyz0123456789 here.",
    ) == [None, "copies_docstring", "holds_secret"]
    raw = FUNCTION.replace('"""Count', 'r"""Count')
    assert reasons(GuardCode(), "Python: count the vowels of a text.", output=raw) == ["copies_docstring"]
    assert reasons(GuardCode(), "Please count the vowels of a text.", language="en") == [None]


def test_copies_of_code_are_counted_over_its_identifiers_and_comments():
    guard = GuardCandidates()
    # Keywords, numbers and punctuation say nothing; a request in any language is about code.
    keywords = "Return if not in for is and or else while true."
    assert reasons(guard, "Écris une fonction qui compte les voyelles.", keywords) == [None, None]
    copied = "lowered_text = text.lower() number_found = sum(letter in vowels for letter"
    assert reasons(guard, copied, "Letters in either case are compared with the given vowels one by one.") == [
        *("copies_output", "copies_output"),
    ]
    literal = 'x = "one two three four five six seven eight nine"\n'
    assert reasons(guard, "Print one two three four five six seven eight nine", output=literal) == [None]


def test_a_recipe_can_name_them():
    names = ["function", "class", "file"]
    corpus = load_recipe("demo", [f"corpus.extract.{name}={{}}" for name in names] + ["corpus.guards.code={}"]).corpus
    assert {ExtractFunction(), ExtractClass(), ExtractFile()} < set(corpus.extract.strategies())
    assert GuardCode() in corpus.guards.on_rows()
