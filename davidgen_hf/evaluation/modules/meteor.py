"""LongForm's METEOR for ``evaluate.load``; the figures are those of ``davidgen_hf.evaluation``."""

import datasets
import evaluate

import davidgen_hf.evaluation.meteor

_DESCRIPTION = "METEOR by NLTK on word_tokenize of both sides, mean over examples, as LongForm reports it."
_CITATION = """\
@inproceedings{banerjee-lavie-2005-meteor,
  title={{METEOR}: An Automatic Metric for {MT} Evaluation with Improved Correlation with Human Judgments},
  author={Banerjee, Satanjeev and Lavie, Alon},
  booktitle={ACL Workshop on Intrinsic and Extrinsic Evaluation Measures for MT and/or Summarization},
  year={2005}
}"""
_INPUTS = """
Args:
    predictions: one answer an example
    references: one right answer an example

Returns:
    meteor, from 0 to 1
"""


class Meteor(evaluate.Metric):  # type: ignore[misc] # evaluate ships no types
    """METEOR from 0 to 1; NLTK's WordNet and punkt_tab have to be there."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": text, "references": text}),
            reference_urls=["https://www.nltk.org/api/nltk.translate.meteor_score.html"],
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return davidgen_hf.evaluation.meteor.meteor_scores(predictions, references)
