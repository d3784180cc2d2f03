"""Formulas, equations and quantities stay whole in sentences, keywords and guards, in any notation."""

import ast
import time
from pathlib import Path

import pytest
import sympy

from davidgen_hf.processors import ExtractKeywords, GuardCandidates
from davidgen_hf.processors.language import is_other_language
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.formulas import formulas, whole_parts, words_and_formulas
from davidgen_hf.sources.sentences import sentences
from davidgen_hf.sources.words import words


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Let $f(x) = 1. Then$ hold. Let $x! Y$ be. So $a.\\; B = c$. Done.", 4),
        ("$$ a = b. \\quad C = d $$ is it. And \\( x. Y \\) too. It costs $5. And $6. Yes.", 5),
        ("<math><mi>x</mi><mo>.</mo> <mi>Y</mi></math> is it. The end.", 2),
        ("We define\n\n$$\nx = y.\n\nZ = w\n$$\n\nwhere x is large. Next one.", 2),
        ("We define it.\n\n\\[ x = y. \\]\n\nNext one.", 3),
        ("It is\n\n.. math::\n\n   f(x) = 1.\n\n   G(x) = 2\n\nwhere f is. Done.", 2),
        ("The integral :math:`\\int f. D` and {math}`x. Y` exist. Next.", 2),
        ("\\begin{align*} x &= 1. \\\\ Y &= 2. \\end{align*} hold. Next.", 2),
        ("```math\nx = 1.\n\nY = 2\n```\n\nNext.", 2),
        ("We have 5! = 120 and n! = n (n - 1)! for all numbers. Then stop.", 2),
        ("By Eq. (3) and Eqs. (4)-(5), see Thm. 5. It follows from Prop. 2.1 and Cor. 3. Done.", 3),
        ("The rod is 5 cm. It moves at 0.5 m/s. The end.", 3),
        ("El ancho es de 1600 mm. Sin embargo, hay dos.", 2),
        ("Wow! he said. Is it \\$5? A lone $ sign. And \\[ too.", 5),
    ],
)
def test_no_sentence_cuts_a_formula(text, number):
    found = sentences(text, "es" if text.startswith("El") else "en")
    assert len(found) == number, [one for one, _, _ in found]
    assert "".join("".join(one.split()) for one, _, _ in found) == "".join(text.split())


def test_equations_and_quantities_are_found_in_plain_text():
    text = "Light moves at 3.0 × 10^8 m/s, and E = mc^2. P = NP? Prices - $5 and $6 - fell by 40 %, if x<=5 or y ∈ A."
    found = [text[start:end] for start, end in whole_parts(text)]
    assert found == ["3.0 × 10^8 m/s", "E = mc^2", "P = NP", "40 %", "x<=5", "y ∈ A"]
    text = "It (x = 4) cost $800 ($900 today), so $n$ or $f(x)$ hold (for B = 2)."
    assert [text[start:end] for start, end in whole_parts(text)] == ["(x = 4)", "$n$", "$f(x)$", "B = 2"]
    plain = "A long-term plan - with dashes - costs $5 and $6 a day, and/or more."
    assert whole_parts(plain) == []
    assert words_and_formulas(plain) == words(plain)
    text = "At 1.5×10⁻³ mol/L, 10 000 m/s² or 5 kWh in the 1990s, 1,234.5 of 10^6 men got 3 T-shirts. 共3.5千克"
    whole = ["1.5×10⁻³mol/L", "10000m/s²", "5kWh", "1,234.5", "10^6", "3.5"]
    assert [one for one in words_and_formulas(text) if not one.isalnum()] == [*whole[:2], *whole[3:]]
    assert {"5kwh", "1990s", "t", "3"} - {one.lower() for one in words_and_formulas(text)} == set()
    assert words_and_formulas("So $x^2 + 1$ is x = 3 now") == ["so", "x^2+1", "is", "x=3", "now"]


def test_keywords_hold_whole_formulas():
    text = "The kinetic energy $\\frac{1}{2} m v^2$ of a body of 80 kg. The kinetic energy grows with $v^2$."
    found = ExtractKeywords(top=20, max_words=1)({"text": [text]})["output"][0].split(", ")
    assert {"80 kg", "$\\frac{1}{2} m v^2$", "$v^2$", "energy"} <= set(found)
    chinese = ExtractKeywords(top=20, max_words=1)(
        {"text": ["动能 $\\frac{1}{2} m v^2$ 随着速度增加。"], "language": ["zh"]}
    )
    assert "$\\frac{1}{2} m v^2$" in chinese["output"][0]


def test_a_problem_may_restate_a_formula_and_must_not_copy_the_words():
    output = "The roots of $x^2 - 5 x + 6 = 0$ are $x = 2$ and $x = 3$, since the sum of the two numbers is five."
    asked = ["Solve $x^2 - 5 x + 6 = 0$.", "Why? $x = 2$ and $x = 3$, since the sum of the two numbers is five."]
    candidates = [empty_candidate(instruction=text, input="", finished=True) for text in asked]
    marked = GuardCandidates()({"output": [output], "candidates": [candidates], "language": ["en"]})
    assert [one["reject_reason"] for one in marked["candidates"][0]] == [None, "copies_output"]
    assert not is_other_language("$\\alpha \\in \\mathbb{R}$", "en", 0.8)
    assert is_other_language("Berechne den Wert von \\(x^2\\) für alle reellen Zahlen, die es gibt.", "en", 0.8)


def test_no_fragment_of_real_documentation_cuts_a_formula():
    folder, number = Path(sympy.__file__).parent, 0
    for path in [*sorted((folder / "functions" / "special").glob("*.py")), folder / "solvers" / "ode" / "ode.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) else None
            found = sentences(text or "", "en")
            for first, last in formulas(text or ""):
                number += 1
                inside = [place for _, start, end in found for place in (start, end) if first < place < last]
                assert not [place for place in inside if text[first:place].strip() and text[place:last].strip()]
    assert number > 400


@pytest.mark.parametrize(
    "unit", ["$a ", "\\[", "$$", "= x ", "a = ", ".. math::\n\n", "1 m ", "(", "<math ", "!= ", ">>> "]
)
def test_time_is_linear(unit):
    started = time.process_time()
    text = unit * (100_000 // len(unit))
    whole_parts(text)
    sentences(text, "en")
    assert time.process_time() - started < 10
