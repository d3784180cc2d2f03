"""SuperNI's exact match and ROUGE-L for ``evaluate.load``; the figures are those of ``davidgen_hf.evaluation``."""

import datasets
import evaluate

import davidgen_hf.evaluation.superni

_DESCRIPTION = "Exact match and ROUGE-L of Super-NaturalInstructions, as its official script computes them."
_CITATION = """\
@inproceedings{wang-etal-2022-super,
  title={Super-NaturalInstructions: Generalization via Declarative Instructions on 1600+ NLP Tasks},
  author={Wang, Yizhong and Mishra, Swaroop and Alipoormolabashi, Pegah and Kordi, Yeganeh and others},
  booktitle={EMNLP},
  year={2022}
}"""
_INPUTS = """
Args:
    predictions: one answer an instance
    references: the list of right answers of each instance
    track: "default" or "xlingual"

Returns:
    exact_match and rougeL, in percent, rounded to 4 decimals
"""


class SuperNI(evaluate.Metric):  # type: ignore[misc] # evaluate ships no types
    """Exact match and ROUGE-L in percent, on the default or the cross-lingual track."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": text, "references": datasets.List(text)}),
            reference_urls=["https://github.com/allenai/natural-instructions/tree/master/eval/automatic"],
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], track: str = "default"
    ) -> dict[str, float]:
        return davidgen_hf.evaluation.superni.superni_scores(predictions, references, track)
