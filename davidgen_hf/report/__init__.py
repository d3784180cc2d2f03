"""The page of a run: what was made, what was thrown away and why, and every row with all its candidates."""

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.report.page import FILE_NAME, follow_report, write_report
from davidgen_hf.report.pictures import write_pictures
from davidgen_hf.report.served import serve_report

__all__ = ["FILE_NAME", "follow_report", "read_facts", "serve_report", "write_pictures", "write_report"]
