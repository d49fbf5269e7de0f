"""What the mutants of chapter 03 share: endings of an MLP that are wrong, and what each of them shows."""

from collections.abc import Callable

from torch import Tensor

from tplearn.checks.ch02_column_row.wrong import NO_WIRE
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ledger, all_gather, all_reduce

Shards = list[Tensor]
X_SUMMED = (
    "x summed",
    "You all-reduced x. Every rank has all of x already, the same numbers: their sum is tp · x.",
    "the first collective: there is none before the matmuls.",
)
Ending = Callable[[Shards, Ledger], Shards]


def summed(partials: Shards, ledger: Ledger) -> Shards:
    """The one all-reduce that an MLP needs."""
    return all_reduce(partials, ledger=ledger)


def wrong_endings(ending_in: Callable[[Ending], Callable[..., Shards]], result: str) -> tuple[Mutant, ...]:
    """Mutants that are right up to the partials of `result`, a name such as "y"."""
    return (
        Mutant(
            "never summed",
            ending_in(lambda partials, ledger: partials),
            f"Each rank kept its own partial of {result}. It has the right shape, and holds what this rank's ffn/tp "
            "columns contribute. The all-reduce at the end is missing.",
            "whether rank 0's result depends on rank 1's shards.",
        ),
        Mutant(
            "rank 0's partial everywhere",
            ending_in(lambda partials, ledger: [partials[0]] * len(partials)),
            f"Every rank has rank 0's partial of {result}. The partials of all ranks are to be summed.",
            "what becomes of the other ranks' partials.",
        ),
        Mutant(
            "summed twice",
            ending_in(lambda partials, ledger: all_reduce(all_reduce(partials, ledger=ledger), ledger=ledger)),
            f"The sum in your {result} is tp times too large: something was all-reduced that was whole already. After "
            "an all-reduce every rank holds the same finished numbers: they are replicated, and must not be summed "
            "again.",
            "the all_reduce whose input is the same on every rank.",
        ),
        Mutant(
            "gather for sum",
            ending_in(lambda partials, ledger: all_gather(partials, -1, ledger=ledger)),
            f"You put the partials of {result} side by side. Each of them has its full shape already: they lie on top "
            "of each other, and are added.",
            f"the shape of one rank's partial, against the shape of {result}.",
        ),
        Mutant(
            "mean for sum",
            ending_in(
                lambda partials, ledger: [total / len(partials) for total in all_reduce(partials, ledger=ledger)]
            ),
            f"You averaged the partials of {result}: the sum is tp times too small. Averaging is for data parallel "
            "copies; partials are added.",
            "the division by the number of ranks.",
        ),
        Mutant(
            "sum without a collective",
            ending_in(lambda partials, ledger: [sum(partials)] * len(partials)),
            NO_WIRE,
            "all_reduce(partials, ledger=ledger).",
        ),
    )
