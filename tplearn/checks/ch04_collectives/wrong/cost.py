"""Wrong answers to 04.4: the bytes that one rank sends."""

import math

from tplearn.checks.ch04_collectives.formulas import COSTS, by_rule, with_costs
from tplearn.checks.ch04_collectives.wrong.cost_arithmetic import ARITHMETIC
from tplearn.checks.exercise import Mutant


def _handed_over(n: float, p: int) -> float:
    return (p - 1) * n


MUTANTS = (
    Mutant(
        "the cost grows with p",
        with_costs(reduce_scatter=_handed_over, all_gather=_handed_over, all_reduce=lambda n, p: 2 * (p - 1) * n),
        "Your cost of a ring grows with the number of ranks, as if whole tensors travelled. There are p − 1 steps, but "
        "each carries a chunk of n/p. The product is (p − 1)/p · n, never more than n.",
        "the size of one message.",
    ),
    Mutant(
        "one phase for all",
        with_costs(all_reduce=COSTS["all_gather"]),
        "Your all-reduce has one phase. It is a reduce-scatter and then an all-gather, so it sends twice as much as "
        "either.",
        "all_reduce: a factor 2.",
    ),
    Mutant(
        "two phases for all",
        with_costs(reduce_scatter=COSTS["all_reduce"], all_gather=COSTS["all_reduce"]),
        "You count two phases for every op of the ring. A reduce-scatter or an all-gather is one; only the all-reduce "
        "has both.",
        "reduce_scatter and all_gather: no factor 2.",
    ),
    Mutant(
        "nothing stays at home",
        with_costs(reduce_scatter=lambda n, p: n, all_gather=lambda n, p: n, all_reduce=lambda n, p: 2 * n),
        "You let a rank send all p chunks. One of them it never sends: p chunks need only p − 1 steps to visit "
        "everybody. Look at p = 1, where you count bytes and nobody is there to receive them.",
        "(p − 1)/p in place of 1.",
    ),
    Mutant(
        "all-to-all like the others",
        with_costs(all_to_all=COSTS["all_gather"]),
        "Your all-to-all sends (p − 1)/p of the whole tensor: as if a rank held all of it, or sent its whole shard to "
        "every other rank. It holds a p-th, and every other rank gets another p-th of that.",
        "all_to_all: what one rank holds, n/p, and the size of one message, n/p².",
    ),
    Mutant(
        "all-to-all hop by hop",
        with_costs(all_to_all=lambda n, p: n / p**2 * p * (p - 1) / 2),
        "Your all-to-all counts a block once for every rank that it passes on a ring. Here each block goes straight to "
        "its rank: p − 1 messages of one block.",
        "all_to_all: the number of messages.",
    ),
    Mutant(
        "all-to-all sends its whole shard",
        with_costs(all_to_all=lambda n, p: n / p),
        "Your all-to-all sends the whole shard away. One block of p stays: the one that is for the rank itself. Look "
        "at p = 1, where nobody is there to receive anything.",
        "all_to_all: p − 1 of p blocks.",
    ),
    Mutant(
        "all-gather: n is a shard",
        with_costs(all_gather=_handed_over),
        "Your all-gather takes n_bytes for one rank's shard. Here n_bytes is the whole tensor, for every op. Libraries "
        "differ on this, so read which size a table of costs means: the ledger's bytes are the shard's.",
        "all_gather: a shard has n_bytes / p.",
    ),
    Mutant(
        "reduce-scatter: n is a chunk",
        with_costs(reduce_scatter=_handed_over),
        "Your reduce-scatter takes n_bytes for one chunk. Here n_bytes is the whole tensor, which every rank has a "
        "partial of.",
        "reduce_scatter: a chunk has n_bytes / p.",
    ),
    Mutant(
        "one message",
        with_costs(reduce_scatter=lambda n, p: n / p, all_gather=lambda n, p: n / p, all_reduce=lambda n, p: 2 * n / p),
        "You count one message for each phase of the ring. A rank sends p − 1 of them, one in every step.",
        "the number of steps: p − 1.",
    ),
    Mutant(
        "all-to-all with one message",
        with_costs(all_to_all=lambda n, p: n / p**2),
        "Your all-to-all sends one block. A rank sends p − 1 of them, one to each of the others.",
        "all_to_all: the number of messages.",
    ),
    Mutant(
        "all-to-all as a ring of everything",
        with_costs(all_to_all=COSTS["all_reduce"]),
        "Your all-to-all costs as much as an all-reduce. Nothing is summed and nothing passed on: a rank holds n/p, "
        "and sends each of the others a p-th of that.",
        "all_to_all: what one rank holds, and what it keeps.",
    ),
    Mutant(
        "a whole tensor leaves in a reduce-scatter",
        with_costs(reduce_scatter=lambda n, p: n),
        "Your reduce-scatter sends the whole tensor. Rank r's own chunk r never leaves: p − 1 chunks of n/p do.",
        "reduce_scatter: look at p = 1.",
    ),
    Mutant(
        "p over p − 1",
        with_costs(
            reduce_scatter=lambda n, p: p / (p - 1) * n if p > 1 else 0,
            all_gather=lambda n, p: p / (p - 1) * n if p > 1 else 0,
            all_reduce=lambda n, p: 2 * p / (p - 1) * n if p > 1 else 0,
        ),
        "p and p − 1 have changed places: there are p chunks, and p − 1 steps.",
        "the numerator and the denominator.",
    ),
    Mutant(
        "all ranks together",
        with_costs(all_reduce=lambda n, p: 2 * (p - 1) * n),
        "Your all-reduce is p times too large: it counts the bytes of all p ranks, or whole tensors where chunks "
        "travel. The wires work at the same time, so what matters is one rank's share: 2 (p − 1)/p · n.",
        "all_reduce: divide by p.",
    ),
    Mutant(
        "all ranks together, for every op",
        by_rule(lambda cost, n, p: cost * p),
        "Every one of your numbers is p times too large: the bytes of all ranks together. Asked for is what one rank "
        "sends.",
        "divide by p.",
    ),
    Mutant(
        "sent and received",
        by_rule(lambda cost, n, p: 2 * cost),
        "Every one of your numbers is twice the right one, as if what a rank receives were counted too. It receives as "
        "much as it sends, at the same time; asked for is what it sends.",
        "a factor 2 that all ops have.",
    ),
    Mutant(
        "an all-reduce's cost for every op",
        by_rule(lambda cost, n, p: COSTS["all_reduce"](n, p)),
        "You count the same for every op: an all-reduce. It has two phases, a reduce-scatter and an all-gather, which "
        "cost half of it each. In an all-to-all a rank holds n/p, and sends each of the others a p-th of that.",
        "op: a formula for each.",
    ),
    Mutant(
        "all to rank 0 and back",
        with_costs(all_reduce=lambda n, p: (p - 1) * n),
        "Your all-reduce costs (p − 1) · n: what rank 0 sends when all tensors go there and back. On a ring a rank "
        "sends 2 (p − 1) chunks of n/p.",
        "all_reduce: the size of one message.",
    ),
    Mutant(
        "steps grow like log p",
        with_costs(
            reduce_scatter=lambda n, p: math.log2(p) * n,
            all_gather=lambda n, p: math.log2(p) * n,
            all_reduce=lambda n, p: 2 * math.log2(p) * n,
        ),
        "You count log₂ p messages of the whole tensor, as a tree would send them. A ring takes p − 1 steps of n/p.",
        "the ring of the chapter.",
    ),
    *ARITHMETIC,
)
