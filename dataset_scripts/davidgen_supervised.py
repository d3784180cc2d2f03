# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "cpu-upgrade"
# timeout = "2h"
# secrets = ["HF_TOKEN"]
# ///
"""Build the supervised corpus: instructions to the answers of instruction data, SuperNI's in the paper (Table 2).

davidgen run RECIPE --passages SUPERNI --text-column targets --output runs/supervised
python dataset_scripts/davidgen_supervised.py runs/supervised --output davidgen-supervised

``--help`` lists the options.
"""

from davidgen_hf.publish import build_from_command_line

if __name__ == "__main__":
    build_from_command_line(__doc__, holds=("supervised",))
