# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "cpu-upgrade"
# timeout = "2h"
# secrets = ["HF_TOKEN"]
# ///
"""Build one corpus of all pairs that one or more runs hold, whatever they were made to (Table 2, both together).

python dataset_scripts/davidgen_combined.py runs/unsupervised runs/supervised --output davidgen-combined

``--help`` lists the options.
"""

from davidgen_hf.publish import build_from_command_line

if __name__ == "__main__":
    build_from_command_line(__doc__)
