"""The same work done by this package, by ``generate``, by lm-eval, and by vLLM in an environment of its own."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from davidgen_hf.engines import Sampling
from davidgen_hf.engines.local import LocalEngine

SAMPLING = {"temperature": 0.7, "top_p": 0.9, "top_k": 40}
BATCH = {"cpu": 16, "cuda": 64}


class Generate:
    """``model.generate(num_return_sequences=n)`` in batches of prompts, in the order given, padded on the left."""

    def __init__(self, folder: str, dtype: torch.dtype, device: torch.device) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
        self.batch = BATCH[device.type]
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")

    def candidates(self, prompts: list[str], n: int, new_tokens: int) -> list[str]:
        """Write ``n`` candidates of exactly ``new_tokens`` tokens for each prompt."""
        texts = []
        for start in range(0, len(prompts), self.batch):
            batch = self.tokenizer(prompts[start : start + self.batch], padding=True, return_tensors="pt")
            batch = batch.to(self.model.device)
            written = self.model.generate(
                **batch,
                do_sample=True,
                num_return_sequences=n,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
                **SAMPLING,
            )
            texts += self.tokenizer.batch_decode(written[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
        return texts


def ours(engine: LocalEngine, prompts: list[str], n: int, new_tokens: int) -> list[list[str]]:
    """Write ``n`` candidates of exactly ``new_tokens`` tokens for each prompt."""
    engine.end_tokens = set()
    return engine.generate(prompts, n, Sampling(max_new_tokens=new_tokens, **SAMPLING))


class LmEval:
    """lm-eval's ``HFLM.loglikelihood`` in batches of the same size, on a model that is loaded already."""

    def __init__(self, reference: Generate) -> None:
        tokenizer = AutoTokenizer.from_pretrained(reference.tokenizer.name_or_path)
        device = str(reference.model.device)
        self.lm = HFLM(pretrained=reference.model, tokenizer=tokenizer, batch_size=reference.batch, device=device)

    def scores(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Return the summed nll of each pair, in nats."""
        requests = [Instance("loglikelihood", {}, pair, place) for place, pair in enumerate(pairs)]
        return [-loglikelihood for loglikelihood, _ in self.lm.loglikelihood(requests, disable_tqdm=True)]


def vllm(python: str, request: dict) -> dict:
    """Let ``vllm_side.py`` answer ``request`` under the Python of another environment."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request))
        side = Path(__file__).with_name("vllm_side.py")
        environment = os.environ | {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
        subprocess.run([python, str(side), str(asked), str(answered)], check=True, env=environment)
        return json.loads(answered.read_text())
