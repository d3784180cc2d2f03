# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "cpu-upgrade"
# timeout = "2h"
# secrets = ["HF_TOKEN"]
# ///
"""Build the extracted corpus: instructions to keywords, sentences or selections of passages (section 3.2).

davidgen run RECIPE --passages TEXTS 'corpus.extract={sentence: {}}' --output runs/extracted
python dataset_scripts/davidgen_extracted.py runs/extracted --output davidgen-extracted

``--help`` lists the options.
"""

from davidgen_hf.publish import build_from_command_line

if __name__ == "__main__":
    build_from_command_line(__doc__, holds=("extracted",))
