"""tplearn: tensor parallelism by hand, on ranks that explain their mistakes."""

from tplearn.ranks import (
    CollectiveMismatch,
    CollectiveOrderWarning,
    Deadlock,
    Ledger,
    RankDied,
    RankError,
    RankFailed,
    RankTimeout,
    Run,
    per_rank,
    run_ranks,
)

__all__ = [
    "CollectiveMismatch",
    "CollectiveOrderWarning",
    "Deadlock",
    "Ledger",
    "RankDied",
    "RankError",
    "RankFailed",
    "RankTimeout",
    "Run",
    "per_rank",
    "run_ranks",
]
