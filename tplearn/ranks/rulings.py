"""What ranks that somebody else has started, and the judge beside them, say to each other beside events."""

from dataclasses import dataclass, field

from tplearn.ranks import errors
from tplearn.ranks.errors import RankError
from tplearn.ranks.ledger import Row


@dataclass(frozen=True)
class Hello:
    """The first word of a rank."""

    rank: int


@dataclass(frozen=True)
class Begin:
    """A rank calls run_ranks. timeout: seconds for the run."""

    timeout: float
    recorded: bool


@dataclass(frozen=True)
class Where:
    """The judge asks on which line of the reader's a rank is; it answers with Here."""


@dataclass(frozen=True)
class Here:
    """The reader's line that a rank is on."""

    source: str
    code: str


@dataclass(frozen=True)
class Fine:
    """Every rank has returned."""

    warnings: list[UserWarning]


@dataclass(frozen=True)
class Fault:
    """The run is over, and this is why. speaker: the rank that shows the report; None where the judge has shown it."""

    kind: str
    report: str
    speaker: int | None
    tracebacks: dict[int, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def error(self, rank: int) -> RankError:
        """What run_ranks raises on a rank: the report on one of them, so that it is read once."""
        text = self.report if rank == self.speaker else f"{self.kind}: rank {self.speaker} shows the report."
        if self.speaker is None:
            text = f"{self.kind}: the report stands above."
        return getattr(errors, self.kind)(text, self.tracebacks)


Ruling = Fine | Fault
