"""A study: many recipes that differ in one thing each, run on the same data, and their followers side by side."""

from davidgen_hf.study.arms import Study, read_study
from davidgen_hf.study.run import StudySettings, run_study

__all__ = ["Study", "StudySettings", "read_study", "run_study"]
