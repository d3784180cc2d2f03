# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# timeout = "6h"
# secrets = ["HF_TOKEN"]
# ///
"""Fine-tune T5, Flan-T5 or another encoder-decoder on rows with the columns `prompt` and `completion`.

# Full parameters
accelerate launch recipes/sft_seq2seq.py --config recipes/paper/t5_xl.yaml recipes/paper/follower_t5_xl/combined.yaml

# LoRA, with the paper's settings
accelerate launch recipes/sft_seq2seq.py --model_name_or_path google/flan-t5-base --dataset_name rows.jsonl \
    --use_peft --lora_target_modules q v --learning_rate 2e-4 --output_dir adapter

Every option of transformers' Seq2SeqTrainingArguments and TRL's ModelConfig, ScriptArguments and DatasetMixtureConfig
may stand in the YAML or here.
"""

from davidgen_hf.training.script import run_script

if __name__ == "__main__":
    run_script(__doc__, "seq2seq")
