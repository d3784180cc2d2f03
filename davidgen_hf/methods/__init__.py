"""Methods: each is an ordered tuple of stages from passages to pairs, which the rest of a run walks."""

from davidgen_hf.methods.back_translation import BackTranslation
from davidgen_hf.methods.base import Method, PassageMethod, Stage
from davidgen_hf.methods.self_instruct import SelfInstruct

# The values of ``method`` in 3_corpus.yaml; a user's own is named as package.module:Class.
METHODS: dict[str, type[Method]] = {
    "back_translation": BackTranslation,
    "self_instruct": SelfInstruct,
}

__all__ = ["METHODS", "BackTranslation", "Method", "PassageMethod", "SelfInstruct", "Stage"]
