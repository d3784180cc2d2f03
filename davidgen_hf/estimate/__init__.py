"""What a run will cost, estimated from a small sample that is run for real."""

from davidgen_hf.estimate.figures import Estimate, Part
from davidgen_hf.estimate.sampling import Population, survey
from davidgen_hf.estimate.steps import EstimateSettings, estimate

__all__ = ["Estimate", "EstimateSettings", "Part", "Population", "estimate", "survey"]
