"""The head of exercise 09.3, as steps of which a mutant replaces one."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.inputs import is_padding, own_words
from tplearn.parallel import copy_to_group, gather_from_group


def soft_cap(logits: Tensor, cap: float) -> Tensor:
    """cap · tanh(logits / cap): never beyond ± cap."""
    return cap * torch.tanh(logits / cap)


def in_padding(vocab_size: int, rows: int) -> Tensor:
    """[rows]: True where a row is no word."""
    return is_padding(vocab_size, rows)


def last_of_every_rank(vocab_size: int, rows: int) -> Tensor:
    """As many rows on every rank as the last one with words has in its padding."""
    return torch.arange(rows) >= (vocab_size - 1) % rows + 1


def on_the_last_rank(vocab_size: int, rows: int) -> Tensor:
    """The padding, as far as it is the last rank's."""
    return is_padding(vocab_size, rows) & (dist.get_rank() == dist.get_world_size() - 1)


def own_words_alone(logits: Tensor, vocab_size: int) -> Tensor:
    """No columns for the padding."""
    start, stop = own_words(vocab_size, logits.shape[-1])
    return logits[:, : stop - start]


def global_number(vocab_size: int, rows: int) -> Tensor:
    """Rows whose number within the shard is no word."""
    return torch.arange(rows) >= vocab_size


def by_division(vocab_size: int, rows: int) -> Tensor:
    """The padding, if there were ⌈words / p⌉ rows."""
    each = -(-vocab_size // dist.get_world_size())
    own = min(max(vocab_size - dist.get_rank() * each, 0), each)
    return torch.arange(rows) >= own


class Head(NamedTuple):
    """parallel_logits, step by step."""

    enter: Callable[[Tensor], Tensor] = copy_to_group
    weight: Callable[[Tensor], Tensor] = lambda shard: shard
    padding: Callable[[int, int], Tensor] = in_padding
    fill: float = -torch.inf
    cap: Callable[[Tensor, float], Tensor] = soft_cap
    mask_first: bool = False
    end: Callable[[Tensor, int], Tensor] = lambda logits, vocab_size: logits

    def __call__(self, x: Tensor, weight_shard: Tensor, vocab_size: int, cap: float) -> Tensor:
        """[tokens, width] → [tokens, rows]."""
        logits = F.linear(self.enter(x), self.weight(weight_shard))
        padding = self.padding(vocab_size, weight_shard.shape[0])
        if self.mask_first:
            return self.end(self.cap(logits.masked_fill(padding, self.fill), cap), vocab_size)
        return self.end(self.cap(logits, cap).masked_fill(padding, self.fill), vocab_size)


def gathered(logits: Tensor, vocab_size: int) -> Tensor:
    """All words on every rank."""
    return gather_from_group(logits, -1)[:, :vocab_size]


def mean_gradient(x: Tensor) -> Tensor:
    """f, with the mean of the gradients in place of their sum."""
    x = copy_to_group(x)
    share = x / dist.get_world_size()
    return share + (x - share).detach()
