"""Where data and models come from, and under which licence what is made of them may be published."""

from davidgen_hf.provenance.judge import judge_dataset, judge_file, judge_model, judge_source
from davidgen_hf.provenance.licenses import CorpusLicense, compose_licenses, normalise_license, split_licenses
from davidgen_hf.provenance.record import (
    Part,
    Provenance,
    find_provenance,
    read_provenance,
    require_publishable,
    with_license,
)
from davidgen_hf.provenance.rules import Declaration, ProvenanceRules, require
from davidgen_hf.provenance.verdict import Verdict, compose

__all__ = [
    "CorpusLicense",
    "Declaration",
    "Part",
    "Provenance",
    "ProvenanceRules",
    "Verdict",
    "compose",
    "compose_licenses",
    "find_provenance",
    "judge_dataset",
    "judge_file",
    "judge_model",
    "judge_source",
    "normalise_license",
    "read_provenance",
    "require",
    "require_publishable",
    "split_licenses",
    "with_license",
]
