"""A worked example is taken with its whole solution, verbatim, and cuts no formula."""

import pytest
from datasets import Dataset

from davidgen_hf import apply
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.worked_example import ExtractWorkedExample
from davidgen_hf.recipe import load_recipe

LABELED = """Some theory comes first.

**Example 2.1 (Roots).** Find the roots of $x^2 - 5x + 6 = 0$.

**Solution.** We factor the left side and get

$$ (x - 2)(x - 3) = 0. $$

So the roots are 2 and 3."""
LATEX = r"""\begin{problem} Add $1 + 1$ to five and say what it is.\end{problem}

\begin{solution} It is
\[ 7. \]\end{solution}"""
GERMAN = "Aufgabe 3: Wie groß ist die Summe der Zahlen von 1 bis 100?\n\nLösung: Es sind 50 Paare, also ist sie 5050."
CHINESE = "例1：求方程 $x^2=4$ 的所有实数解，并且说明理由。\n解：两边开方，得到 $x=2$ 或者 $x=-2$，所以有两个解。"
SESSION = """The sum of the squares of the first ten numbers is a whole number:

>>> sum(number**2 for number in range(1, 11))
385

>>> sum([])
0"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LABELED, LABELED[LABELED.index("**Example") :]),
        (f"{LABELED}\n\n## Next section\n\nMore theory.", LABELED[LABELED.index("**Example") :]),
        (f"Theory.\n\n{LATEX}\n\nMore.", LATEX),
        (GERMAN, GERMAN),
        (CHINESE, CHINESE),
        (f"Examples\n========\n\n{SESSION}\n\nMore text follows here.", SESSION),
        ("Example files are in a folder.\n\nSolution files are not, and that is how it always was with them.", None),
        ("Example 1. A statement that nobody solves, although it is long enough for that.\n\nExample 2.", None),
        ("It is assigned to a name without any result that a reader could see:\n\n>>> x = 1 + 1", None),
    ],
)
def test_statement_and_solution_are_one_output(text, expected):
    found = apply(ExtractWorkedExample(), Dataset.from_dict({"text": [text]}))
    assert [row["output"] for row in found] == ([expected] if expected else [])
    assert all(text[row["start"] : row["end"]] == row["output"] for row in found)


def test_its_settings():
    rows = Dataset.from_dict({"text": [LABELED, SESSION]})
    assert [row["output"] for row in apply(ExtractWorkedExample(sessions=False), rows)] == [LABELED[26:]]
    assert not len(apply(ExtractWorkedExample(max_words=12), rows))
    with pytest.raises(SettingError, match="max_words"):
        ExtractWorkedExample(min_words=9, max_words=8)
    assert ExtractWorkedExample(max_words=300) in load_recipe("math").corpus.extract.strategies()
