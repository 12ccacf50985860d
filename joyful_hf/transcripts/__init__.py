"""Transcripts that other tools wrote, made into dialogues, and predictions made into tables, subtitles and tiers."""
