# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# timeout = "6h"
# secrets = ["HF_TOKEN"]
# ///
"""Fine-tune a generator or a follower on rows with the columns `prompt` and `completion`.

# Full parameters, with the recipe of the demo
accelerate launch recipes/sft.py --config recipes/demo/2_generator.yaml --dataset_name rows.jsonl --output_dir model

# LoRA, with the paper's settings
accelerate launch recipes/sft.py --model_name_or_path HuggingFaceTB/SmolLM2-1.7B --dataset_name rows.jsonl \
    --use_peft --learning_rate 2e-4 --output_dir adapter

Every option of TRL's SFTConfig, ModelConfig, ScriptArguments and DatasetMixtureConfig may stand in the YAML or here.
"""

from davidgen_hf.training.script import run_script

if __name__ == "__main__":
    run_script(__doc__)
