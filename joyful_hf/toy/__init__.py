"""Corpora that are drawn by rules, so that their best possible scores are known."""
