"""Dialogues on disk: read, written, extracted and encoded."""
