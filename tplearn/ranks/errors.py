"""What run_ranks raises: one short report for people, with everything else one attribute away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tplearn.ranks.ledger import Ledger


class RankError(RuntimeError):
    """A run that did not end well. `str(error)` is the report.

    Attributes:
        tracebacks: full Python traceback of every rank that raised, by rank.
        output: what each rank printed, by rank (list of str).
        ledger: the collectives that ran until then.
    """

    def __init__(
        self,
        report: str,
        tracebacks: dict[int, str] | None = None,
        output: list[str] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(report)
        self.tracebacks = tracebacks or {}
        self.output = output or []
        self.ledger = ledger

    def _render_traceback_(self) -> list[str]:
        """Jupyter shows this instead of a page of frames that are not the reader's."""
        return [str(self)]


class RankFailed(RankError):
    """A rank raised an exception, or returned something that cannot be sent back."""


class RankDied(RankError):
    """A rank's process ended before its function returned: killed, aborted in C++, or `os._exit`."""


class Deadlock(RankError):
    """Every rank that is left waits for one that will never come."""


class CollectiveMismatch(RankError):
    """Ranks met for a collective with different op, shape, dtype, reduce op, root or size, or did not all come."""


class RankTimeout(RankError):
    """The wall-clock limit of the run was reached."""


class CollectiveOrderWarning(UserWarning):
    """Ranks run the same kind of collective in another order: legal for the backend, and seldom meant."""


class UnwaitedHandleWarning(UserWarning):
    """A collective was started with async_op=True, isend or irecv, and nobody called wait() on its handle."""
