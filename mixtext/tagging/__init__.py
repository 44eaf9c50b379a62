"""Tagging: CoNLL files in, a tagger out, with SeqMix and active learning; a wing on the base."""
