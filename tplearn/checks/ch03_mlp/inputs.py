"""What the exercises of chapter 03 share: sizes, random layers cut over tp, and sums that cross the wire or cheat."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from tplearn.simulated import Ledger, all_reduce

SIZES = (1, 2, 4)  # tp
TOKENS = 5


def sizes(generator: Generator) -> tuple[int, int]:
    """(hidden, ffn): different from each other and from TOKENS, both multiples of 4."""
    first, step = torch.randint(1, 4, (2,), generator=generator).tolist()
    return 4 + 4 * first, 8 + 4 * first + 4 * step


def summed(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """The one all-reduce that an MLP needs."""
    return all_reduce(parts, ledger=ledger)


def unrecorded_sum(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """A sum over the list that no wire carried: the ledger stays empty."""
    return [sum(parts[1:], parts[0]).clone() for _ in parts]


def averaged(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """The mean where a sum is due."""
    return [total / len(parts) for total in all_reduce(parts, ledger=ledger)]


def kept(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """No ending at all: every rank keeps its own summand."""
    return [part.clone() for part in parts]


def summed_twice(parts: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """The sum, and then the sum of the sums."""
    return all_reduce(all_reduce(parts, ledger=ledger), ledger=ledger)


Ending = Callable[[list[Tensor], Ledger], list[Tensor]]

NO_WIRE = (
    "The numbers are right, and the ledger is empty. You added the list's entries in plain Python. In this list that "
    "works; on four GPUs rank 0 cannot read rank 1's memory. A sum over ranks is a collective."
)
