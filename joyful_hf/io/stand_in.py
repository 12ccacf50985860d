"""Stand-ins for the classes and functions that a pickle names, so that nothing of it is imported or run."""

from typing import Any, ClassVar


class StandIn:
    """Takes the place of an object whose class is not imported, or of a result whose function is not called.

    Stand-ins are what `find_class` returns, so they stay inert under every opcode: as a class a stand-in can only
    be instantiated, and an instance can only be given its state.
    """

    __slots__ = ("arguments", "state")
    path: ClassVar[str]
    """The name that it stands for."""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any, **keywords: Any) -> "StandIn":
        del keywords
        instance = super().__new__(cls)
        instance.arguments = arguments
        instance.state = None
        return instance

    def __setstate__(self, state: Any) -> None:
        self.state = state
