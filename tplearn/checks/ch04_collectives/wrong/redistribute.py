"""Wrong answers to 04.5: from one state to another."""

from torch import Tensor

from tplearn.checks.ch04_collectives.wrong.states import (
    GATHER,
    MOVE,
    SPREAD,
    TO_REPLICATE,
    TO_SHARD,
    instead,
    own_cuts,
)
from tplearn.checks.exercise import Mutant
from tplearn.simulated import (
    Ledger,
    Partial,
    all_gather,
    all_reduce,
    convert,
    reduce_scatter,
    unshard,
)
from tplearn.simulated.states import State


def _only_partial_to_replicate(shards: list[Tensor], source: State, target: State, ledger: Ledger) -> list[Tensor]:
    return all_reduce(shards, ledger) if source == Partial() else [shard.clone() for shard in shards]


MUTANTS = (
    Mutant(
        "all-reduce, then cut",
        instead(TO_SHARD, lambda xs, a, b, ledger: own_cuts(all_reduce(xs, ledger), b.dim)),
        "Right numbers, twice the bytes. From Partial to Shard you gave every rank the whole sum, and each threw away "
        "all but its shard. That is a reduce-scatter and an all-gather whose result nobody wanted.",
        "the ledger of Partial() to Shard(dim): one reduce_scatter.",
    ),
    Mutant(
        "all-gather, then cut",
        instead(MOVE, lambda xs, a, b, ledger: own_cuts(all_gather(xs, a.dim, ledger), b.dim)),
        "Right numbers, p times the bytes. From one Shard to another you gave every rank the whole tensor, and each "
        "threw away all but its new shard. An all-to-all sends every number once, to the rank that keeps it.",
        "the ledger of Shard(a) to Shard(b): one all_to_all.",
    ),
    Mutant(
        "copies are no partials",
        instead(SPREAD, lambda xs, a, b, ledger: [x.clone() for x in xs]),
        "From Replicate to Partial you left the copies as they were. Partial means that the ranks' tensors are added, "
        "and tp copies add up to tp times the right one. This is how a row-parallel bias is counted tp times.",
        "one rank keeps the tensor, the others hold zeros.",
    ),
    Mutant(
        "a shard each, one below the other",
        instead(SPREAD, lambda xs, a, b, ledger: own_cuts(xs, 0)),
        "From Replicate to Partial you cut shards. A partial has the full shape; the numbers that a rank does not keep "
        "are zeros in it.",
        "the shape of what rank r returns: that of the whole tensor.",
    ),
    Mutant(
        "gather where a sum is due",
        instead(TO_REPLICATE, lambda xs, a, b, ledger: all_gather(xs, 0, ledger)),
        "From Partial to Replicate you put the partials one below the other: tp times too many rows. Partials have the "
        "full shape already, so they are added. Only shards go side by side.",
        "unshard of Partial() is a sum.",
    ),
    Mutant(
        "a sum where a gather is due",
        instead(GATHER, lambda xs, a, b, ledger: all_reduce(xs, ledger)),
        "From Shard to Replicate you added the shards up. Each holds other numbers of the tensor: they go side by side "
        "along the state's dim.",
        "Shard(dim) to Replicate(): all_gather.",
    ),
    Mutant(
        "zeros on every rank",
        instead(SPREAD, lambda xs, a, b, ledger: [x * 0 for x in xs]),
        "From Replicate to Partial all ranks hold zeros, so the sum is zero. One rank must keep the tensor.",
        "the rank that keeps its copy.",
    ),
    Mutant(
        "shards added up",
        instead(MOVE, lambda xs, a, b, ledger: reduce_scatter(xs, b.dim, ledger)),
        "From one Shard to another you ran a reduce-scatter. It adds the ranks' tensors up, and shards are no "
        "partials: each holds other numbers.",
        "Shard(a) to Shard(b): all_to_all.",
    ),
    Mutant(
        "a state to itself is summed",
        lambda xs, a, b, ledger: all_reduce(xs, ledger) if a == b == Partial() else convert(xs, a, b, ledger),
        "From Partial to Partial nothing changes. You summed, and left the sum on every rank: as partials these are tp "
        "times the right tensor.",
        "source == target, before everything else.",
    ),
    Mutant(
        "mean for sum",
        instead(TO_REPLICATE, lambda xs, a, b, ledger: [x / len(xs) for x in all_reduce(xs, ledger)]),
        "From Partial to Replicate your result is the right one divided by tp. Partials are added. A mean would be "
        "right for copies that ought to be equal, and those are Replicate.",
        "a division by the number of ranks.",
    ),
    Mutant(
        "mean for sum in a scatter",
        instead(TO_SHARD, lambda xs, a, b, ledger: [x / len(xs) for x in reduce_scatter(xs, b.dim, ledger)]),
        "From Partial to Shard your result is the right one divided by tp. Partials are added.",
        "a division by the number of ranks.",
    ),
    Mutant(
        "the partials as they are",
        instead(TO_REPLICATE, lambda xs, a, b, ledger: [x.clone() for x in xs]),
        "From Partial to Replicate each rank kept its own partial. Replicate means that every rank holds the whole "
        "tensor, which is the sum.",
        "Partial() to Replicate(): all_reduce.",
    ),
    Mutant(
        "a shard of a partial",
        instead(TO_SHARD, lambda xs, a, b, ledger: own_cuts(xs, b.dim)),
        "From Partial to Shard each rank cut a shard out of its own partial, and the other ranks' partials were lost. "
        "A cut is enough when every rank holds the whole tensor. Partials must be added first.",
        "Partial() to Shard(dim): reduce_scatter.",
    ),
    Mutant(
        "a shard stays as it is",
        instead(MOVE, lambda xs, a, b, ledger: [x.clone() for x in xs]),
        "From one Shard to another you changed nothing. The cut has to move from the source's dim to the target's.",
        "Shard(a) to Shard(b): all_to_all.",
    ),
    Mutant(
        "joined without messages",
        instead(TO_REPLICATE, lambda xs, a, b, ledger: [unshard(xs, a).clone() for _ in xs]),
        "From Partial to Replicate the numbers are right and the ledger is empty: either you added the list yourself, "
        "or the collective was not given the ledger. On real ranks nobody can read another rank's tensor: only a "
        "collective brings it over, and the ledger counts it.",
        "all_reduce(shards, ledger).",
    ),
    Mutant(
        "never a message",
        lambda xs, a, b, ledger: convert(xs, a, b),
        "The numbers are right and the ledger is empty in every case: either you read the list yourself, or no "
        "collective was given the ledger. On real ranks nobody can read another rank's tensor: only a collective "
        "brings it over, and the ledger counts it.",
        "ledger=ledger in every call of a collective.",
    ),
    Mutant(
        "only all-reduce",
        _only_partial_to_replicate,
        "You sum where the source is Partial, and else return what came in. Each pair of states has its own way: a "
        "gather, a cut, a scatter, an all-to-all.",
        "one branch for each arrow of the map.",
    ),
)
