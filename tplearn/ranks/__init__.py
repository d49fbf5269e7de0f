"""Real ranks: fresh processes for every call, their ledger, and a diagnosis where others hang."""

import sys

from tplearn.forkserver import warm_up
from tplearn.ranks.errors import (
    CollectiveMismatch,
    CollectiveOrderWarning,
    Deadlock,
    RankDied,
    RankError,
    RankFailed,
    RankTimeout,
)
from tplearn.ranks.launch import run_ranks
from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.run import Run, per_rank

__all__ = [
    "CollectiveMismatch",
    "CollectiveOrderWarning",
    "Deadlock",
    "Ledger",
    "RankDied",
    "RankError",
    "RankFailed",
    "RankTimeout",
    "Row",
    "Run",
    "per_rank",
    "run_ranks",
]

if "ipykernel" in sys.modules:  # the server gets ready while the reader reads
    warm_up()
