"""Methods: each is an ordered tuple of stages from passages to pairs, which the rest of a run walks."""

from davidgen_hf.methods.back_translation import BackTranslation
from davidgen_hf.methods.base import Method, PassageMethod, Stage, check_method
from davidgen_hf.methods.self_instruct import SelfInstruct
from davidgen_hf.plugins import Table

# The values of ``method`` in 3_corpus.yaml, as "module:Class"; a user's own is named by that alone.
METHODS = Table(
    "methods",
    {
        "back_translation": "davidgen_hf.methods.back_translation:BackTranslation",
        "self_instruct": "davidgen_hf.methods.self_instruct:SelfInstruct",
    },
    check_method,
)

__all__ = ["METHODS", "BackTranslation", "Method", "PassageMethod", "SelfInstruct", "Stage", "check_method"]
