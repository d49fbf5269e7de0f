"""Real ranks: fresh processes for every call, their ledger, and a diagnosis where others hang.

Names are loaded where they are first used: the judge of torchrun's ranks is a process that needs no torch.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from tplearn.forkserver import warm_up

if TYPE_CHECKING:
    from tplearn.ranks.errors import (
        CollectiveMismatch,
        CollectiveOrderWarning,
        Deadlock,
        RankDied,
        RankError,
        RankFailed,
        RankTimeout,
        UnwaitedHandleWarning,
    )
    from tplearn.ranks.launch import run_ranks
    from tplearn.ranks.ledger import Ledger, Row
    from tplearn.ranks.run import Run, per_rank

_HOMES = {
    "errors": (
        "CollectiveMismatch",
        "CollectiveOrderWarning",
        "Deadlock",
        "RankDied",
        "RankError",
        "RankFailed",
        "RankTimeout",
        "UnwaitedHandleWarning",
    ),
    "launch": ("run_ranks",),
    "ledger": ("Ledger", "Row"),
    "run": ("Run", "per_rank"),
}
__all__ = [  # noqa: PLE0604 (names of _HOMES)
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
    "UnwaitedHandleWarning",
    "per_rank",
    "run_ranks",
]


def __getattr__(name: str) -> object:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"tplearn.ranks.{home}"), name)


if (ipython := sys.modules.get("IPython")) and ipython.get_ipython():  # the server gets ready while the reader reads
    warm_up()
