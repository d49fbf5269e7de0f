"""The model of exercise 09.6, as steps of which a mutant replaces one."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch09_vocabulary.head import Head
from tplearn.checks.ch09_vocabulary.inputs import words_of
from tplearn.checks.ch09_vocabulary.lookup import Lookup

Draw = Callable[[int, int], Tensor]


def padded(own: Tensor, rows: int) -> Tensor:
    """Rows of zeros below."""
    return F.pad(own, (0, 0, 0, rows - len(own)))


def own_rows(vocab_size: int, width: int) -> Tensor:
    """This rank's rows of a dense table that every rank draws alike, zeros in the padding."""
    start, stop, rows = words_of(vocab_size, dist.get_rank(), dist.get_world_size())
    return padded(torch.randn(vocab_size, width)[start:stop], rows)


class TiedWords(nn.Module):
    """The smallest Gemma: look a word up, scale, compare the vector with every word of the same table.

    weight: [rows, width], this rank's rows of a dense table that every rank draws alike, zeros in the padding.
    """

    def __init__(self, vocab_size: int, width: int, cap: float, draw: Draw = own_rows) -> None:
        super().__init__()
        self.vocab_size, self.cap = vocab_size, cap
        self.weight = nn.Parameter(draw(vocab_size, width))

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [tokens] → [tokens, rows], −∞ in the padding."""
        return self.with_tables(ids, self.weight, self.weight, Head())

    def with_tables(self, ids: Tensor, table: Tensor, head_table: Tensor, head: Head, scale: float = 0.5) -> Tensor:
        """The model with these tables; the vectors are scaled by width to the power of `scale`."""
        x = Lookup()(ids, table, self.vocab_size, None) * table.shape[1] ** scale
        return head(x, head_table, self.vocab_size, self.cap)


class TiedWith(TiedWords):
    """The model with one of its steps replaced. table: what both uses read; head_table: what the head reads of it."""

    def __init__(
        self,
        *sizes: float,
        head: Head = Head(),  # noqa: B008 (a tuple)
        table: Callable[[Tensor], Tensor] = lambda weight: weight,
        head_table: Callable[[Tensor], Tensor] = lambda weight: weight,
        scale: float = 0.5,
        **how: Draw,
    ) -> None:
        super().__init__(*sizes, **how)
        self.head, self.table, self.head_table, self.scale = head, table, head_table, scale

    def forward(self, ids: Tensor) -> Tensor:
        table = self.table(self.weight)
        return self.with_tables(ids, table, self.head_table(table), self.head, self.scale)


class TwoTables(TiedWords):
    """A second parameter with the same first values."""

    def __init__(self, *sizes: float) -> None:
        super().__init__(*sizes)
        self.head = nn.Parameter(self.weight.detach().clone())

    def forward(self, ids: Tensor) -> Tensor:
        return self.with_tables(ids, self.weight, self.head, Head())


def own_size(vocab_size: int, width: int) -> Tensor:
    """A draw of the rank's own size."""
    start, stop, rows = words_of(vocab_size, dist.get_rank(), dist.get_world_size())
    return padded(torch.randn(rows, width)[: stop - start], rows)


def own_seed(vocab_size: int, width: int) -> Tensor:
    """The dense table from a state of the rank's own."""
    torch.manual_seed(dist.get_rank())
    return own_rows(vocab_size, width)


def first_rows(vocab_size: int, width: int) -> Tensor:
    """The table's first rows on every rank."""
    start, stop, rows = words_of(vocab_size, dist.get_rank(), dist.get_world_size())
    return padded(torch.randn(vocab_size, width)[: stop - start], rows)


def rows_without_padding(vocab_size: int, width: int) -> Tensor:
    """The rank's own rows, and no padding."""
    start, stop, _ = words_of(vocab_size, dist.get_rank(), dist.get_world_size())
    return torch.randn(vocab_size, width)[start:stop].clone()


def small(vocab_size: int, width: int) -> Tensor:
    """Divided by √width."""
    return own_rows(vocab_size, width) / width**0.5


def large(vocab_size: int, width: int) -> Tensor:
    """Multiplied by √width."""
    return own_rows(vocab_size, width) * width**0.5


def padded_draw(vocab_size: int, width: int) -> Tensor:
    """Random numbers in the padding too."""
    p = dist.get_world_size()
    return torch.randn(words_of(vocab_size, 0, p)[2] * p, width).chunk(p)[dist.get_rank()].clone()


def uniform(vocab_size: int, width: int) -> Tensor:
    """nn.Linear's own first values."""
    start, stop, rows = words_of(vocab_size, dist.get_rank(), dist.get_world_size())
    return padded(nn.Linear(width, vocab_size, bias=False).weight.detach()[start:stop], rows)
