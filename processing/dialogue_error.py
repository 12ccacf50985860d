"""The error that names the place of a mistake."""

# A message quotes what it was given, which may be of any length; its end says what to do.
_BEGINNING, _END = 1200, 400


class DialogueError(ValueError):
    """Bad input. The message names the dialogue, the utterance, what is wrong, and the way out."""

    def __init__(self, message: str) -> None:
        if len(message) > _BEGINNING + _END:
            message = f"{message[:_BEGINNING]} ... {message[-_END:]}"
        super().__init__(message)
