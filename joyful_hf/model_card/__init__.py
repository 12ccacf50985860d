"""The model card: written from the summary of a run."""
