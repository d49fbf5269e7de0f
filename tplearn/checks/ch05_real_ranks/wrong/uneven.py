"""Wrong answers to 05.3: a sum over ranks with different numbers of rows."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Mutant


def _agreed(count: Tensor, op: dist.ReduceOp.RedOpType = dist.ReduceOp.MAX) -> int:
    rows = count.clone()
    dist.all_reduce(rows, op=op)
    return int(rows)


def _padded_sum(rows: int, values: Tensor, first: int = 0) -> Tensor:
    """The sum of `rows` rows, with this rank's from row `first` on."""
    total = values.new_zeros(rows, values.shape[1])
    kept = values[: max(rows - first, 0)]
    total[first : first + len(kept)] = kept
    dist.all_reduce(total)
    return total


def _right(count: Tensor, values: Tensor) -> Tensor:
    return _padded_sum(_agreed(count), values)


def _with(op: dist.ReduceOp.RedOpType) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda count, values: _padded_sum(_agreed(count, op), values)


def _leaves_early(count: Tensor, values: Tensor) -> Tensor:
    total = values.clone()
    for row in total:
        dist.all_reduce(row)
    return total


def _row_by_row(count: Tensor, values: Tensor) -> Tensor:
    """All ranks for all rows, with a message each."""
    total = values.new_zeros(_agreed(count), values.shape[1])
    total[: len(values)] = values
    for row in total:
        dist.all_reduce(row)
    return total


def _own_rows_only(count: Tensor, values: Tensor) -> Tensor:
    return _right(count, values)[: len(values)]


def _more_rows_than_any(count: Tensor, values: Tensor, most: int = 32) -> Tensor:
    """One sum of so many rows that nobody needs to be asked; the zero rows are cut off again."""
    total = _padded_sum(most, values)
    return total[: int((total != 0).any(1).sum())]


def _not_summed(count: Tensor, values: Tensor) -> Tensor:
    total = values.new_zeros(_agreed(count), values.shape[1])
    total[: len(values)] = values
    return total


def _mean_of_those_with_a_row(count: Tensor, values: Tensor) -> Tensor:
    total = _right(count, values)
    owners = torch.zeros(len(total), 1, dtype=values.dtype)
    owners[: len(values)] = 1
    dist.all_reduce(owners)
    return total / owners


def _in_place(count: Tensor, values: Tensor) -> Tensor:
    dist.all_reduce(count, op=dist.ReduceOp.MAX)
    return _padded_sum(int(count), values)


def _at_the_bottom(count: Tensor, values: Tensor) -> Tensor:
    rows = _agreed(count)
    return _padded_sum(rows, values, first=rows - len(values))


def _ranks_0s_count(count: Tensor, values: Tensor) -> Tensor:
    rows = count.clone()
    dist.broadcast(rows, src=0)
    return _padded_sum(int(rows), values)


MUTANTS = (
    Mutant(
        "early return",
        _leaves_early,
        "A rank that has no rows, or no more of them, leaves, and the others wait for it in an all_reduce. It has "
        "zeros to bring: all ranks call a collective equally often, so that must not depend on a rank's own rows.",
        "the number of all_reduces must be the same on every rank: agree on the rows first.",
        alone=True,
    ),
    Mutant(
        "no agreement",
        lambda count, values: _padded_sum(len(values), values),
        "Each rank brings a tensor with its own number of rows. In an all_reduce all ranks must bring the same shape: "
        "agree on the number of rows first.",
        "the shape of what you sum.",
        alone=True,
    ),
    Mutant(
        "the rest is dropped",
        _with(dist.ReduceOp.MIN),
        "Nobody hangs, but you stop when the first rank runs out: the rows of the others are lost. Go on to the "
        "largest count; a rank without a row brings zeros.",
        "MIN or MAX over the counts.",
    ),
    Mutant(
        "counts added",
        _with(dist.ReduceOp.SUM),
        "You agreed on the sum of the counts. There are only as many rows as the longest rank has; yours end in zeros.",
        "the reduce op of the agreement. all_reduce sums unless told otherwise.",
    ),
    Mutant(
        "rank 0's count for all",
        _ranks_0s_count,
        "All ranks took rank 0's number of rows. Another rank may have more, and its last rows are lost.",
        "what decides how many rows the result has: the largest count.",
    ),
    Mutant(
        "only the own rows",
        _own_rows_only,
        "Each rank returns as many rows as it had. Asked for is the same tensor on every rank, with as many rows as "
        "the longest rank has.",
        "what is cut off at the end.",
    ),
    Mutant(
        "never summed",
        _not_summed,
        "Each rank returns its own rows, filled up with zeros. They were never added up over the ranks.",
        "the all_reduce of the padded tensor.",
    ),
    Mutant(
        "own rows at the bottom",
        _at_the_bottom,
        "You filled up with zeros above the rows, so last rows met last rows. Row i is the sum over the ranks that "
        "have a row i: the zeros stand below.",
        "total[: len(values)] = values.",
    ),
    Mutant(
        "a message for each row",
        _row_by_row,
        "The result is right, at the price of one all_reduce for each row. Every message has a fixed delay; the padded "
        "tensor can be summed in one go.",
        "the ledger due: one all_reduce to agree, one to add.",
    ),
    Mutant(
        "more rows than any rank has",
        _more_rows_than_any,
        "The result is right, but it comes from one all_reduce of many more rows than any rank has, and all those "
        "zeros were sent, too. Nobody was asked how many rows there are.",
        "the ledger due: one all_reduce of a single number, to agree, and one of that many rows.",
    ),
    Mutant(
        "mean for sum",
        lambda count, values: _right(count, values) / dist.get_world_size(),
        "Your result is the sum divided by the number of ranks. A mean was not asked for, and would be wrong here: not "
        "every rank has every row.",
        "the division by the world size.",
    ),
    Mutant(
        "mean over those who have a row",
        _mean_of_those_with_a_row,
        "You divided each row by the number of ranks that have it. A sum was asked for.",
        "the division.",
    ),
    Mutant(
        "count changed in place",
        _in_place,
        "The result is right, but count is not what it was: all_reduce wrote the largest count over this rank's own.",
        "all_reduce works on the tensor that it is given: give it a clone.",
    ),
)
