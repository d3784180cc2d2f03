"""The transformers engine: any causal or encoder-decoder language model, on CPU or CUDA."""

import torch

from davidgen_hf.engines.base import Sampling, Score, check_numbers, finite_score, warn_of_endless_texts
from davidgen_hf.engines.batching import CPU_PASS_TOKENS, TokenBudget
from davidgen_hf.engines.cached_rows import CachedRows
from davidgen_hf.engines.decoding import decode, end_tokens
from davidgen_hf.engines.elimination import Elimination, eliminate
from davidgen_hf.engines.loading import load_model, model_limit
from davidgen_hf.engines.scoring import share_opening, target_nll
from davidgen_hf.engines.settings import LocalSettings
from davidgen_hf.engines.shared_prefix import SharedPrefix, choose_prefix
from davidgen_hf.engines.tokens import CountsTokens, TokenPair, Tokens
from davidgen_hf.errors import ModelError


class LocalEngine(CountsTokens):
    """Generates and scores in this process; see ``Engine`` for what the methods promise.

    Args:
        settings: Names the model, its dtype, device and limits.

    Raises:
        ModelError: The model cannot be loaded; see ``load_model``.
    """

    restricted: bool = False

    def __init__(self, settings: LocalSettings) -> None:
        loaded = load_model(settings)
        self.settings = settings
        self.model, self.tokenizer, self.commit = loaded.model, loaded.tokenizer, loaded.commit
        self.max_length = model_limit(self.model.config, settings.model, settings.max_length)
        is_encoder_decoder = self.model.config.is_encoder_decoder
        self.tokens = Tokens(self.tokenizer, self.max_length, settings.model, closes_contexts=is_encoder_decoder)
        self.budget = TokenBudget(settings.max_batch_tokens)
        on_cpu = self.model.device.type == "cpu"
        self.score_budget = TokenBudget(min(settings.max_batch_tokens, CPU_PASS_TOKENS)) if on_cpu else self.budget
        self._prefix_class = choose_prefix(self.model)
        self.end_tokens = end_tokens(self.model, self.tokenizer)

    @torch.inference_mode()
    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Write ``n`` continuations of each prompt; equal prompts are run once."""
        warn_of_endless_texts(self.settings, sampling, bool(self.end_tokens))
        ids = dict(zip(prompts, self.tokens.contexts(prompts), strict=True))
        for row, prompt in enumerate(prompts):
            self.tokens.check_fit(row, len(ids[prompt]), sampling.max_new_tokens)
        written: dict[str, list[str] | None] = {}

        def work(batch: list[str]) -> None:
            prefix = self._prefix_class(self.model, [ids[prompt] for prompt in batch], n, sampling.max_new_tokens)
            written.update(zip(batch, decode(prefix, batch, self.tokenizer, self.end_tokens, sampling), strict=True))

        sizes = {prompt: len(ids[prompt]) + n * sampling.max_new_tokens for prompt in prompts}
        self.budget.run(sizes, work, "generate", name=lambda prompt: f"Row {prompts.index(prompt)}")
        check_numbers(list(written.values()), self.settings.model, self.model.dtype)
        return [None if (texts := written[prompt]) is None else list(texts) for prompt in prompts]

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Score ``targets[i]`` given ``contexts[i]``; equal pairs are run once."""
        pairs = self.tokens.pairs(contexts, targets, max_target_tokens)
        scores = [finite_score(nll.sum().item(), nll.tolist()) for nll in self.token_nll(pairs)]
        check_numbers(scores, self.settings.model, self.model.dtype)
        return scores

    @torch.inference_mode()
    def score_by_elimination(
        self, contexts: list[str], targets: list[str], rule: Elimination, max_target_tokens: list[int]
    ) -> list[Score | None]:
        """Score as ``score`` does; rows of a target that fall behind are not ``complete``."""
        pairs = self.tokens.pairs(contexts, targets, max_target_tokens)
        if not issubclass(self._prefix_class, SharedPrefix):
            raise ModelError(
                f"{self.settings.model!r} has no full attention whose cache can be kept, and eliminate needs one. "
                "Scoring by elimination runs on causal models without sliding windows. Leave out score.eliminate, or "
                "name another model."
            )
        opening = share_opening(self.model, pairs)
        groups: dict[tuple[str, int], list[int]] = {}
        for row, target in enumerate(targets):
            groups.setdefault((target, max_target_tokens[row]), []).append(row)
        nll: dict[int, list[float]] = {}

        def work(batch: list[tuple[str, int]]) -> None:
            rows = [(number, row) for number, group in enumerate(batch) for row in groups[group]]
            given = [pairs[row] for _, row in rows]
            found = eliminate(
                rule, [number for number, _ in rows], given, CachedRows(self.model, given, opening).advance
            )
            nll.update(zip([row for _, row in rows], found, strict=True))

        skipped = opening.tokens if opening else 0
        sizes = {
            group: sum(len(one.context) - skipped + min(rule.first_tokens, len(one.target)) for one in unique)
            for group, rows in groups.items()
            if (unique := {pairs[row] for row in rows})
        }
        self.score_budget.run(sizes, work, "score", name=lambda group: f"Row {targets.index(group[0])}")
        scores = [
            finite_score(sum(nll[row]), nll[row], len(nll[row]) == len(pair.target)) for row, pair in enumerate(pairs)
        ]
        check_numbers(scores, self.settings.model, self.model.dtype)
        return scores

    @torch.inference_mode()
    def token_nll(self, pairs: list[TokenPair]) -> list[torch.Tensor]:
        """Return the negative log-likelihood of each target's tokens, in nats, one tensor per pair."""
        nll: dict[TokenPair, torch.Tensor] = {}
        opening = share_opening(self.model, pairs)

        def work(batch: list[TokenPair]) -> None:
            nll.update(zip(batch, target_nll(self.model, batch, opening), strict=True))

        sizes = {pair: len(pair.context) + len(pair.target) for pair in pairs}
        self.score_budget.run(sizes, work, "score", name=lambda pair: f"Row {pairs.index(pair)}")
        return [nll[pair] for pair in pairs]
