"""The means in the log beside the loss: those of its parts, and of the numbers that a model asks to watch."""

from collections.abc import Mapping

from torch import Tensor


class LoggedMeans:
    """Running means by name: `loss_<part>` for each part of the loss, and the model's metrics."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, values: Mapping[str, Tensor], count: int = 1) -> None:
        """Add sums over `count` steps or dialogues."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
        self.count += count

    def means(self) -> dict[str, Tensor]:
        """Name -> () mean."""
        return {name: total / self.count for name, total in sorted(self.sums.items())}
