"""Checkpoints that the authors' released code saved: read without running them, and converted."""
