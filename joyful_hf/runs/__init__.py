"""The files of a training run: their names, their folder, and the summary that is written and read back."""
