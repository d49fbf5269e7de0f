"""Tables and ids for chapter 09's exercises: vocabularies that no number of ranks divides, padded to a multiple."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.inputs import randn


def words_of(vocab_size: int, rank: int, world_size: int, multiple: int = 1) -> tuple[int, int, int]:
    """(start, stop, rows): the words of `rank`, and the rows of every rank, a multiple of `multiple`."""
    rows = -(-vocab_size // (world_size * multiple)) * multiple
    return min(rank * rows, vocab_size), min((rank + 1) * rows, vocab_size), rows


def own_words(vocab_size: int, rows: int) -> tuple[int, int]:
    """(start, stop) of this rank, whose shard has so many rows."""
    return words_of(vocab_size, dist.get_rank(), dist.get_world_size(), rows)[:2]


def is_padding(vocab_size: int, rows: int) -> Tensor:
    """[rows]: True where this rank's row is no word."""
    start, stop = own_words(vocab_size, rows)
    return torch.arange(rows) >= stop - start


def words(generator: Generator, vocab_size: int, rows: int, tp: int, *shape: int) -> Tensor:
    """Random words; among them the first and the last word of every rank that has some, as far as there is room."""
    ids = torch.randint(vocab_size, shape, generator=generator)
    ranges = [words_of(vocab_size, rank, tp, rows)[:2] for rank in range(tp)]
    edges = [word for start, stop in ranges if stop > start for word in (start, stop - 1)][: ids.numel()]
    ids.view(-1)[: len(edges)] = torch.tensor(edges)
    return ids


def upstreams(generator: Generator, tokens: int, vocab_size: int, rows: int, tp: int) -> list[Tensor]:
    """Each rank's gradient of its logits; zeros in the padding, as a softmax sends them back to −∞."""
    return padded_shards(generator, randn(generator, tokens, vocab_size), tp, 1, rows, 0.0)


def padded_shards(
    generator: Generator, dense: Tensor, tp: int, dim: int, rows: int, padding: float | None
) -> list[Tensor]:
    """`dense` cut along `dim` by words, `rows` on each rank; `padding` fills the rest, None with random numbers."""
    shape = list(dense.shape)
    shape[dim] = rows * tp - dense.shape[dim]
    rest = 5 + randn(generator, *shape).abs() if padding is None else dense.new_full(shape, padding)
    return [shard.contiguous() for shard in torch.cat([dense, rest], dim).chunk(tp, dim)]
