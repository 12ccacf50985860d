"""The layers of a pretrained encoder that become features, as the name of an extractor says: `user/model#-4:`.

| after `#` | features |
|---|---|
| `6` or `-1` | one hidden state; 0 are the embeddings, 1 is the first layer, -1 the last |
| `3,5,6` | several, side by side |
| `4:9`, `4:`, `-4:` | several that follow each other, as in Python, side by side |
| `mean`, `mean:-4:` | the mean of all, or of several |
| `weighted`, `weighted:4:9` | all, or several, which the model mixes with weights that it learns |
| `pooled` | what the encoder's authors made for whole inputs: the pooling of a sentence, CLIP's vector of an image |

Each hidden state is averaged over the tokens, the time or the places of a picture.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

POOLED, SIDE_BY_SIDE, MEAN, WEIGHTED = "pooled", "side by side", "mean", "weighted"
_DEFAULTS = {"text": "-4:", "audio": "mean", "visual": "mean:-4:"}
_LISTED = re.compile(r"-?\d+(,-?\d+)*")
_SLICE = re.compile(r"(?P<first>-?\d+)?:(?P<stop>\d+)?")
_EXAMPLES = "a layer (6 or -1), several (3,5 or -4:), mean, mean:-4:, weighted, weighted:4:9 or pooled"


@dataclass(frozen=True)
class Layers:
    """A choice among the hidden states of an encoder, and what becomes of several."""

    mix: str = SIDE_BY_SIDE
    listed: tuple[int, ...] = ()
    """Hidden states that are named one by one; a slice otherwise."""
    first: int = 0
    stop: int | None = None
    """End of the slice; None is the last hidden state."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a user has written.

        Raises:
            ValueError: it is no choice of layers.
        """
        mix, _, chosen = text.partition(":")
        if text == POOLED:
            return cls(POOLED)
        if mix in (MEAN, WEIGHTED):
            text = chosen or ":"
        else:
            mix = SIDE_BY_SIDE
        if _LISTED.fullmatch(text):
            return cls(mix, tuple(map(int, text.split(","))))
        found = _SLICE.fullmatch(text)
        if found is None or (text == ":" and mix == SIDE_BY_SIDE):
            raise ValueError(f"{text!r} is no choice of layers; write {_EXAMPLES}")
        first, stop = int(found["first"] or 0), None if found["stop"] is None else int(found["stop"])
        if stop is not None and not 0 <= first < stop:
            raise ValueError(f"{text!r} holds no layer; write it as in 4:9 or -4:")
        return cls(mix, (), first, stop)

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        if self.mix == POOLED:
            return POOLED
        chosen = ",".join(map(str, self.listed)) or f"{self.first}:{'' if self.stop is None else self.stop}"
        if self.mix == SIDE_BY_SIDE:
            return chosen
        return self.mix if chosen == "0:" else f"{self.mix}:{chosen}"

    @property
    def number(self) -> int | None:
        """The number of layers; None if that depends on the encoder."""
        if self.listed:
            return len(self.listed)
        if self.stop is not None:
            return self.stop - self.first
        return -self.first if self.first < 0 else None

    def indices(self, count: int) -> list[int]:
        """Return the places of the layers among the hidden states of an encoder.

        Args:
            count: of hidden states.

        Raises:
            ValueError: the encoder has no such layer.
        """
        last = count if self.stop is None else self.stop
        first = self.first + count if self.first < 0 else self.first
        places = [place + count if place < 0 else place for place in self.listed] or list(range(first, last))
        if not places or not all(0 <= place < count for place in places):
            has = f"has layers 0, its embeddings, to {count - 1}" if count else "returns no hidden states"
            raise ValueError(f"there are no layers {self} in this encoder, which {has}")
        return places

    def of(self, count: int) -> Self:
        """Return the same layers of an encoder with so many hidden states, independent of the encoder.

        Raises:
            ValueError: the encoder has no such layer.
        """
        if self.mix == POOLED:
            return self
        self.indices(count)
        is_open = not self.listed and self.stop is None and self.first >= 0
        return replace(self, stop=count) if is_open else self

    def fits(self, other: Self) -> bool:
        """Whether two choices can be of the same layers: an end that is left open stands for any."""
        same = (self.mix, self.listed, self.first) == (other.mix, other.listed, other.first)
        return same and (self.stop == other.stop or (self.first >= 0 and None in (self.stop, other.stop)))

    def describe(self) -> str:
        """Say in words which layers they are."""
        if self.mix == POOLED:
            return "pooled as its authors do"
        several = self.number != 1
        if not self.listed and self.first < 0:
            chosen = f"last {-self.first} layers" if several else "last layer"
        elif not self.listed and self.stop is None:
            chosen = "layers" if self.first == 0 else f"layers from {self.first} on"
        elif not self.listed and several and self.stop is not None:
            chosen = f"layers {self.first} to {self.stop - 1}"
        elif self.listed == (-1,):
            chosen = "last layer"
        else:
            chosen = f"layer{'s' * several} {', '.join(map(str, self.listed or (self.first,)))}"
        if self.mix == MEAN:
            return f"mean of its {chosen}"
        how = {SIDE_BY_SIDE: " side by side" * several, WEIGHTED: " weighed by the model"}[self.mix]
        return f"its {chosen}{how}"


def default_layers(modality: str, widths: Sequence[int], frames: bool = False) -> Layers:
    """Return the layers that become features where nobody has said which.

    Args:
        widths: size of each hidden state of the encoder.
        frames: whether they become frames of a sequence: the last layer then, as a sequence has a size to keep.
    """
    if not widths:
        return Layers(POOLED)
    if frames:
        return Layers(listed=(-1,))
    layers = Layers.parse(_DEFAULTS[modality])
    if layers.first < 0:
        layers = replace(layers, first=max(layers.first, -len(widths)))
    if layers.mix == MEAN and len({widths[place] for place in layers.indices(len(widths))}) > 1:
        return Layers(listed=(-1,))  # stages of a convolutional network
    return layers.of(len(widths))


def split_layers(extractor: str) -> tuple[str, str | None]:
    """Split `user/model@revision#layers` into the encoder and its layers, None where the name does not say."""
    encoder, mark, layers = extractor.rpartition("#")
    return (encoder, layers) if mark and not Path(extractor).is_dir() else (extractor, None)


def layers_of(extractor: str) -> Layers | None:
    """Return the layers that the name of an extractor chooses; None where it does not say.

    Raises:
        ValueError: it says something else.
    """
    layers = split_layers(extractor)[1]
    return None if layers is None else Layers.parse(layers)


def with_layers(extractor: str, layers: Layers) -> str:
    """Return the name of an extractor with these layers in place of its own."""
    return f"{split_layers(extractor)[0]}#{layers}"
