"""How a script on ranks has ended: for people, and for programs."""

from dataclasses import asdict, dataclass, field

from tplearn.ranks import report
from tplearn.ranks.diagnose import Judge
from tplearn.ranks.known import GLOO_LOST_PEER
from tplearn.running.tally import Tally


@dataclass(frozen=True)
class Place:
    """What a rank was doing at the end, or how it had ended; where, and that line's text."""

    rank: int
    state: str
    where: str
    code: str
    traceback: str = ""


@dataclass
class Outcome:
    """kind: "" where all went well, else the name of the error, or of the signal that stopped the run."""

    seconds: float
    places: list[Place]
    tally: Tally
    warnings: list[str] = field(default_factory=list)
    kind: str = ""
    report: str = ""

    @property
    def exit_code(self) -> int:
        """As torchrun's: 1, whichever way the script has failed."""
        return 1 if self.kind else 0

    def tracebacks(self) -> list[tuple[list[int], str]]:
        """(ranks, traceback) of those that raised, equal ones together; without those that lost a peer, or exited."""
        found: dict[str, list[int]] = {}
        for place in self.places:
            last = place.traceback.rstrip().rpartition("\n")[2]
            if place.traceback and GLOO_LOST_PEER not in last and not last.startswith("SystemExit"):
                found.setdefault(place.traceback, []).append(place.rank)
        return [(ranks, text) for text, ranks in found.items()]

    def as_json(self) -> dict:
        """Everything, in names and units that say what they are. left_out: rows that are only counted."""
        totals = sorted(self.tally.totals.items())
        return {
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "error": {"type": self.kind, "report": self.report} if self.kind else None,
            "ranks": [asdict(place) for place in self.places],
            "warnings": self.warnings,
            "totals": [{"op": op, "rank": rank, **asdict(total)} for (op, rank), total in totals],
            "ledger": [asdict(row) | {"wire_bytes": row.wire_bytes} for row in self.tally.ledger().rows],
            "left_out": sum(self.tally.left_out.values()),
        }


def places(judge: Judge, where: dict[int, tuple[str, str]]) -> list[Place]:
    """Of every rank. where: the line that it is on, of those that could be asked."""
    tracebacks, found = judge.tracebacks(), []
    for rank in range(len(judge.ranks)):
        _, state, source, code = report.status(judge, rank, where.get(rank, ("", "")))
        found.append(Place(rank, state, source, code, tracebacks.get(rank, "")))
    return found
