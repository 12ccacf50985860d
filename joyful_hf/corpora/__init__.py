"""The field's corpora as their makers give them, made into training files."""
