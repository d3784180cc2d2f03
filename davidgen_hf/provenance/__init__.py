"""Where data and models come from, and under which licence what is made of them may be published."""

from davidgen_hf.provenance.judge import judge_dataset, judge_file, judge_model, judge_source
from davidgen_hf.provenance.licences import CorpusLicence, compose_licences, normalise_licence
from davidgen_hf.provenance.record import Part, Provenance, read_provenance, require_publishable, with_license
from davidgen_hf.provenance.rules import Declaration, ProvenanceRules, require
from davidgen_hf.provenance.verdict import Verdict, compose

__all__ = [
    "CorpusLicence",
    "Declaration",
    "Part",
    "Provenance",
    "ProvenanceRules",
    "Verdict",
    "compose",
    "compose_licences",
    "judge_dataset",
    "judge_file",
    "judge_model",
    "judge_source",
    "normalise_licence",
    "read_provenance",
    "require",
    "require_publishable",
    "with_license",
]
