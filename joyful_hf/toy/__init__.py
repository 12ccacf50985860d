"""Corpora made by rules, whose best possible score is known."""
