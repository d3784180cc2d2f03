# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "cpu-upgrade"
# timeout = "2h"
# secrets = ["HF_TOKEN"]
# ///
"""Build the unsupervised corpus: instructions to whole passages of plain text (Table 2, "Unsupervised").

davidgen run RECIPE --passages TEXTS --output runs/unsupervised
python dataset_scripts/davidgen_unsupervised.py runs/unsupervised --output davidgen-unsupervised

``--help`` lists the options.
"""

from davidgen_hf.publish import build_from_command_line

if __name__ == "__main__":
    build_from_command_line(__doc__, holds=("unsupervised",))
