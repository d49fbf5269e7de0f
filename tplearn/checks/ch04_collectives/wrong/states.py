"""Ways to be wrong between two kinds of state, and right between all others."""

from collections.abc import Callable

from torch import Tensor

from tplearn.simulated import Ledger, Partial, Replicate, Shard, convert, split
from tplearn.simulated.states import State

Answer = Callable[[list[Tensor], State, State, Ledger], list[Tensor]]
Kinds = tuple[type, type]
TO_SHARD, TO_REPLICATE, FROM_REPLICATE = (Partial, Shard), (Partial, Replicate), (Replicate, Shard)
GATHER, MOVE, SPREAD = (Shard, Replicate), (Shard, Shard), (Replicate, Partial)


def instead(kinds: Kinds, answer: Answer) -> Answer:
    """The right answer, except from one kind of state to another; a state to itself stays right."""

    def mutant(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
        wanted = source != target and isinstance(source, kinds[0]) and isinstance(target, kinds[1])
        return (answer if wanted else convert)(shards, source, target, ledger)

    return mutant


def own_cuts(wholes: list[Tensor], dim: int) -> list[Tensor]:
    """Rank r's shard of its own copy."""
    return [split(whole, len(wholes), dim)[rank] for rank, whole in enumerate(wholes)]
