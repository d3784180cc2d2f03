"""The three cards of a run: of its corpus, its generator and its follower."""

from davidgen_hf.cards.corpus import Config, corpus_card

__all__ = ["Config", "corpus_card"]
