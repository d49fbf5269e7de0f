"""The lookup of exercise 09.2, as steps of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import own_words
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group

Range = tuple[int, int]


def range_by_shard(vocab_size: int, rows: int) -> Range:
    """The rank's words, from the rows of its shard."""
    return own_words(vocab_size, rows)


def range_by_division(vocab_size: int, rows: int) -> Range:
    """The rank's words, if the rows were ⌈words / p⌉."""
    return own_words(vocab_size, -(-vocab_size // dist.get_world_size()))


def zeros_elsewhere(vectors: Tensor, elsewhere: Tensor) -> Tensor:
    """Zeros for words of other ranks."""
    return vectors.masked_fill(elsewhere[..., None], 0)


def own_padding(padding_idx: int | None, start: int, stop: int) -> int | None:
    """The owner's index of the padding word; None on other ranks."""
    return padding_idx - start if padding_idx is not None and start <= padding_idx < stop else None


class Lookup(NamedTuple):
    """embed_words, step by step."""

    own_range: Callable[[int, int], Range] = range_by_shard
    elsewhere: Callable[[Tensor, int, int], Tensor] = lambda ids, start, stop: (ids < start) | (ids >= stop)
    index: Callable[[Tensor, Tensor, int], Tensor] = lambda own, elsewhere, rows: own.masked_fill(elsewhere, 0)
    padding: Callable[[int | None, int, int], int | None] = own_padding
    mask: Callable[[Tensor, Tensor], Tensor] = zeros_elsewhere
    table: Callable[[Tensor], Tensor] = lambda shard: shard
    end: Callable[[Tensor], Tensor] = reduce_from_group

    def __call__(self, ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
        """[batch, seq] → [batch, seq, width]."""
        rows = weight_shard.shape[0]
        start, stop = self.own_range(vocab_size, rows)
        elsewhere = self.elsewhere(ids, start, stop)
        index = self.index(ids - start, elsewhere, rows)
        vectors = F.embedding(index, self.table(weight_shard), self.padding(padding_idx, start, stop))
        return self.end(self.mask(vectors, elsewhere))


def zero_forgotten(padding_idx: int | None, start: int, stop: int) -> int | None:
    """As if 0 were no padding word."""
    return own_padding(padding_idx or None, start, stop)


def taken_as_local(padding_idx: int | None, start: int, stop: int) -> int | None:
    """The number as it is, on every rank."""
    return padding_idx


def on_every_rank(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """Each rank's row of the same number within a shard takes no gradient."""
    rows = weight_shard.shape[0]
    own = Lookup(padding=lambda idx, start, stop: None if idx is None else idx % rows)
    return own(ids, weight_shard, vocab_size, padding_idx)


def not_subtracted(padding_idx: int | None, start: int, stop: int) -> int | None:
    """The owner's, without its start."""
    return padding_idx if padding_idx is not None and start <= padding_idx < stop else None


def largest(vectors: Tensor) -> Tensor:
    """MAX over the ranks."""
    total = vectors.detach().clone()
    dist.all_reduce(total, op=dist.ReduceOp.MAX)
    return vectors + (total - vectors).detach()


def mean(vectors: Tensor) -> Tensor:
    """The mean over the ranks."""
    return reduce_from_group(vectors) / dist.get_world_size()


def gathered(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """The whole table on every rank."""
    return F.embedding(ids, gather_from_group(weight_shard, 0), padding_idx)


def padding_zeroed(ids: Tensor, weight_shard: Tensor, vocab_size: int, padding_idx: int | None) -> Tensor:
    """The padding word's vector is zero."""
    vectors = Lookup()(ids, weight_shard, vocab_size, None)
    return vectors if padding_idx is None else vectors.masked_fill((ids == padding_idx)[..., None], 0)


def summed_table(shard: Tensor) -> Tensor:
    """The table through f."""
    return copy_to_group(shard)


def by_remainder(own: Tensor, elsewhere: Tensor, rows: int) -> Tensor:
    """The index modulo the rows, as a negative one counts from the end."""
    return torch.remainder(own, rows)
