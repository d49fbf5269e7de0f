"""tplearn: tensor parallelism by hand, on ranks that explain their mistakes.

A name is loaded where it is first used: torch takes seconds, and the `tplearn` command often needs none of it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tplearn import ranks

    return getattr(ranks, name)


def __dir__() -> list[str]:
    return __all__
