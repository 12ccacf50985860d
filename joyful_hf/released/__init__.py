"""Checkpoints of the authors' released code, read without running it and converted."""
