"""Training: the trainer, its arguments and callbacks, and what `joyful train` does."""
