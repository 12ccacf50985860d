"""One vector per utterance by an encoder of transformers inside the model: what those of text and of speech share."""

import torch
from torch import Tensor, nn

from .chunks import rows_at_a_time
from .inner_encoder import PretrainedEncoder
from .reach import ALONE


class UtteranceEncoder(PretrainedEncoder):
    """An encoder of transformers whose states are pooled over an utterance, and normalised.

    A layer norm brings the vectors to entries of about unit size, as standardised features have; it learns with the
    rest of the model. `forward` is `encode` and then `normalize`. What a frozen encoder makes of an utterance stays
    the same, so training can compute `encode` once, and go on from there.
    """

    reach = ALONE
    norm: nn.LayerNorm

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Tokens or samples (N, T) and their mask (N, T), 1 = real, padded at the end -> (N, hidden size).

        Zeros where an utterance has none.
        """
        return self.normalize(self.encode(inputs, mask), mask.bool().any(-1, keepdim=True))

    def encode(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """(N, T) and its mask (N, T) -> pooled states (N, hidden size); whatever stands where there is no input."""
        real = mask.bool()
        # An absent utterance is read as one token or sample, which no attention turns into NaN, and then dropped.
        read = real | (~real.any(-1, keepdim=True) & (torch.arange(real.size(1), device=real.device) == 0))
        return self._encode(inputs, read) if torch.compiler.is_compiling() else self._encode_in_chunks(inputs, read)

    def normalize(self, pooled: Tensor, present: Tensor) -> Tensor:
        """Pooled states (N, hidden size), and where there is an input (N, 1) bool -> (N, hidden size)."""
        return torch.where(present, self.norm(pooled.to(self.norm.weight.dtype)), pooled.new_zeros(()))

    @torch.no_grad()
    def standardize(self, pooled: Tensor) -> None:
        """Let a fresh layer norm begin with outputs of mean 0 and variance 1 on pooled states (N, hidden size)."""
        norm = self.norm
        if len(pooled) < 2 or not (bool((norm.weight == 1).all()) and bool((norm.bias == 0).all())):
            return
        deviation, mean = torch.std_mean(norm(pooled.to(norm.weight)).float(), dim=0)
        deviation = torch.where(deviation > norm.eps, deviation, 1.0)
        norm.weight.copy_(1 / deviation)
        norm.bias.copy_(-mean / deviation)

    def elements_per_input(self) -> int:
        """Elements that the encoder holds at a time for each token or sample."""
        raise NotImplementedError

    def _encode_in_chunks(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Encode the shortest first, as many at a time as suit the device: little padding, and little memory."""
        lengths = mask.sum(-1).cpu()
        order = lengths.argsort(stable=True)
        most = rows_at_a_time(self.elements_per_input(), mask.device)
        chunks = similar_chunks(lengths[order].tolist(), most)
        order = order.to(mask.device)
        vectors = []
        for rows, (_, longest) in zip(order.split([size for size, _ in chunks]), chunks, strict=True):
            vectors.append(self._encode(inputs[rows, :longest], mask[rows, :longest]))
        return torch.cat(vectors)[order.argsort()]

    def _encode(self, inputs: Tensor, mask: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learns):
            return self.pool(inputs, mask).to(self.norm.weight.dtype)

    def pool(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """(n, T) and its mask (n, T) bool, at least one of each row -> (n, hidden size), in full precision."""
        raise NotImplementedError


def similar_chunks(lengths: list[int], most: int) -> list[tuple[int, int]]:
    """Cut ascending lengths into chunks of at most so many tokens or samples, padding included, of one row at least.

    Returns:
        Rows and longest length of each chunk.
    """
    chunks: list[tuple[int, int]] = []
    for length in lengths:
        if chunks and (chunks[-1][0] + 1) * length <= most:
            chunks[-1] = (chunks[-1][0] + 1, length)
        else:
            chunks.append((1, length))
    return chunks
