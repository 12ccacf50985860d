"""The error that names the place of a mistake."""


class DialogueError(ValueError):
    """Bad input. The message names the dialogue, the utterance, what is wrong, and the way out."""
