# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# timeout = "6h"
# secrets = ["HF_TOKEN"]
# ///
"""Train a generator on preferences (DPO): rows with the columns `prompt`, `chosen` and `rejected`.

# The best and the worst candidate of each fragment of a run, as `davidgen export --format dpo` writes them
davidgen export runs/mine --format dpo --output preferences.parquet
accelerate launch recipes/dpo.py --config recipes/dpo.yaml --model_name_or_path runs/mine/generator \
    --dataset_name preferences.parquet --output_dir next-generator

Every option of TRL's DPOConfig, ModelConfig, ScriptArguments and DatasetMixtureConfig may stand in the YAML or here.
"""

from davidgen_hf.training.script import run_script

if __name__ == "__main__":
    run_script(__doc__, "dpo")
