"""What a run gives back: every rank's value, prints, ledger and timeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tplearn.ranks.job import PerRank
from tplearn.ranks.ledger import Ledger

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Run:
    """The result of `run_ranks`.

    Attributes:
        values: what `fn` returned, by rank.
        output: what each rank printed, by rank (the first megabyte and the end).
        ledger: every collective, by rank, then in time.
        warnings: what was suspicious though nothing failed, such as collectives in swapped order.
        spans: (name, start ns, end ns) of each operator, by rank; only with profile=True.
    """

    values: list
    output: list[str]
    ledger: Ledger
    warnings: list[str] = field(default_factory=list)
    spans: list[list[tuple[str, int, int]]] = field(default_factory=list)

    def timeline(self) -> "Figure":
        """Compute and communication of every rank on one clock. ValueError without profile=True."""
        from tplearn.ranks.timeline import draw_timeline  # matplotlib is only loaded when a picture is wanted

        return draw_timeline(self.spans)


def per_rank(values: Sequence) -> PerRank:
    """An argument that differs by rank: rank r gets values[r].

    >>> run_ranks(fn, 4, per_rank([a, b, c, d]))
    """
    return PerRank(tuple(values))
