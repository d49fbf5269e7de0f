"""Wrong answers to 04.5 that take the right way along another dim, or from another rank."""

from tplearn.checks.ch04_collectives.wrong.states import (
    FROM_REPLICATE,
    GATHER,
    MOVE,
    TO_SHARD,
    instead,
    own_cuts,
)
from tplearn.checks.exercise import Mutant
from tplearn.simulated import (
    all_gather,
    convert,
    reduce_scatter,
    split,
)

MUTANTS = (
    Mutant(
        "gathered along dim 0",
        instead(GATHER, lambda xs, a, b, ledger: all_gather(xs, 0, ledger)),
        "You gather along dim 0 whatever the state says. For Shard(0) that is right. For other dims the shards belong "
        "side by side along that dim.",
        "source.dim: a Shard knows where it was cut.",
    ),
    Mutant(
        "cut along dim 0",
        instead(FROM_REPLICATE, lambda xs, a, b, ledger: own_cuts(xs, 0)),
        "From Replicate to Shard you cut along dim 0 whatever the state says.",
        "target.dim: a Shard knows where it is cut.",
    ),
    Mutant(
        "cut along dims 0, 1 and the last",
        instead(FROM_REPLICATE, lambda xs, a, b, ledger: own_cuts(xs, b.dim if b.dim in (0, 1) else -1)),
        "From Replicate to Shard you know dim 0 and dim 1, and take every other for the last. A negative dim counts "
        "from the end: of three, -2 is the second and -3 the first.",
        "target.dim, where it is negative.",
    ),
    Mutant(
        "scattered along dim 0",
        instead(TO_SHARD, lambda xs, a, b, ledger: reduce_scatter(xs, 0, ledger)),
        "From Partial to Shard you cut along dim 0 whatever the state says.",
        "target.dim: a Shard knows where it is cut.",
    ),
    *(
        Mutant(
            f"gathered along the {where} dim",
            instead(GATHER, lambda xs, a, b, ledger, dim=dim: all_gather(xs, dim, ledger)),
            f"You gather along the {where} dim whatever the state says. The shards belong side by side along the dim "
            "that they were cut along.",
            "source.dim: a Shard knows where it was cut.",
        )
        for where, dim in (("second", 1), ("last", -1))
    ),
    Mutant(
        "scattered along dim 1",
        instead(TO_SHARD, lambda xs, a, b, ledger: reduce_scatter(xs, 1, ledger)),
        "From Partial to Shard you cut along dim 1 whatever the state says.",
        "target.dim: a Shard knows where it is cut.",
    ),
    Mutant(
        "the first shard for all",
        instead(FROM_REPLICATE, lambda xs, a, b, ledger: [split(x, len(xs), b.dim)[0] for x in xs]),
        "From Replicate to Shard every rank keeps the first shard. Rank r keeps shard r.",
        "the index after split: the rank.",
    ),
    Mutant(
        "rank 0's copy, cut for all",
        instead(FROM_REPLICATE, lambda xs, a, b, ledger: split(xs[0], len(xs), b.dim)),
        "The numbers are right, but every rank's shard comes from rank 0's copy, and no message brought it over. Each "
        "rank has a copy of its own: rank r cuts that one.",
        "split(shards[rank], ...)[rank], for each rank.",
    ),
    Mutant(
        "all-to-all the wrong way round",
        instead(MOVE, lambda xs, a, b, ledger: convert(xs, b, a, ledger)),
        "From one Shard to another the two dims have changed places. The shards are cut along the target's dim, and "
        "what arrives is joined along the source's.",
        "all_to_all(shards, split_dim, concat_dim): which is which.",
    ),
)
