"""The three cards of a run: of its corpus, its generator and its follower."""

from davidgen_hf.publish.cards.corpus import CardContext, Config, corpus_card
from davidgen_hf.publish.cards.model import model_card
from davidgen_hf.publish.cards.notes import read_notes
from davidgen_hf.publish.cards.writing import README, refresh_cards, write_cards

__all__ = [
    "README",
    "CardContext",
    "Config",
    "corpus_card",
    "model_card",
    "read_notes",
    "refresh_cards",
    "write_cards",
]
