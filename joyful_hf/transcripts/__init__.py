"""Transcripts of other tools turned into dialogues, and predictions turned into tables, subtitles and tiers."""
