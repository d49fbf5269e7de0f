"""Exercise 04.4: the bytes that a ring makes one rank send, as a formula."""

from torch import Generator, randint

from tplearn.checks.exercise import Case, Exercise, Mutant

PHASES = {"reduce_scatter": 1, "all_gather": 1, "all_reduce": 2}


def bytes_per_rank(op: str, n_bytes: int, p: int) -> float:
    """Bytes that one of p ranks sends. n_bytes: the size of the whole tensor, also for an all-gather."""
    return float(PHASES[op] * (p - 1) / p * n_bytes)


def _cases(generator: Generator) -> list[Case]:
    """Every op at p from 1 to 64, with a size that p divides."""
    cases = []
    for p in (1, 2, 3, 4, 8, 64):
        n_bytes = int(randint(100, 999, (1,), generator=generator)) * p
        cases += [Case(p, (op, n_bytes, p)) for op in PHASES]
    return cases


BYTES_PER_RANK = Exercise(
    number="04.4",
    name="bytes_per_rank",
    points=5,
    difficulty=1,
    minutes=5,
    reference=bytes_per_rank,
    cases=_cases,
    mutants=(
        Mutant(
            "the cost grows with p",
            lambda op, n_bytes, p: float(PHASES[op] * (p - 1) * n_bytes),
            "Your cost grows with the number of ranks, as if a rank sent its whole tensor to every other one. There "
            "are p − 1 steps, but each carries a chunk of n/p. The product is (p − 1)/p · n, never more than n.",
            "the size of one message.",
        ),
        Mutant(
            "one phase for all",
            lambda op, n_bytes, p: (p - 1) / p * n_bytes,
            "You count one phase for every op. An all-reduce is a reduce-scatter and then an all-gather, so it sends "
            "twice as much as either.",
            "all_reduce: a factor 2.",
        ),
        Mutant(
            "nothing stays at home",
            lambda op, n_bytes, p: float(PHASES[op] * n_bytes),
            "You let a rank send all p chunks. One of them it never sends: p chunks need only p − 1 steps to visit "
            "everybody. Look at p = 1, where you count bytes and nobody is there to receive them.",
            "(p − 1)/p in place of 1.",
        ),
        Mutant(
            "n is a shard",
            lambda op, n_bytes, p: (p - 1) * n_bytes if op == "all_gather" else PHASES[op] * (p - 1) / p * n_bytes,
            "Your all-gather takes n_bytes for one rank's shard. Here n_bytes is the whole tensor, for every op. "
            "Libraries differ on this, so read which size a table of costs means: the ledger's bytes are the "
            "shard's.",
            "all_gather: a shard has n_bytes / p.",
        ),
        Mutant(
            "all ranks together",
            lambda op, n_bytes, p: (2 * (p - 1) if op == "all_reduce" else (p - 1) / p) * n_bytes,
            "Your all-reduce counts the bytes of all p ranks together. The wires work at the same time, so what "
            "matters is one rank's share: 2 (p − 1)/p · n.",
            "divide the total by p.",
        ),
    ),
)
