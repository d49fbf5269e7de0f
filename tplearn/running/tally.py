"""The ledger of a run that may take days: every collective is counted, the first of each rank are kept as rows."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from tplearn.ranks.events import Enter
from tplearn.ranks.ledger import Ledger, Row
from tplearn.running.bounds import ROWS

SET_UP = ("init_process_group", "new_group")  # appointments too, but nothing is sent


@dataclass(frozen=True)
class Entry:
    """A collective, and the name of its group."""

    row: Row
    group_name: str


@dataclass
class Total:
    """What one rank has sent in one kind of collective. wire_bytes: as a ring; see Row.wire_bytes."""

    count: int = 0
    bytes: int = 0
    wire_bytes: int = 0


class Tally:
    """What the ranks have told of their collectives."""

    def __init__(self, world_size: int) -> None:
        self.entries: list[list[Entry]] = [[] for _ in range(world_size)]  # by rank; an entry's place is its number
        self.totals: dict[tuple[str, int], Total] = defaultdict(Total)  # (op, rank)
        self.left_out: Counter[int] = Counter()  # rows that are only counted, by rank

    def note(self, enter: Enter) -> None:
        """One more."""
        row = enter.row
        kept = self.entries[row.rank]
        if len(kept) < ROWS:
            kept.append(Entry(row, enter.group_name))
        if row.op in SET_UP:
            return
        if row.index >= ROWS:
            self.left_out[row.rank] += 1
        total = self.totals[row.op, row.rank]
        total.count += 1
        total.bytes += row.bytes
        total.wire_bytes += row.wire_bytes

    def ledger(self) -> Ledger:
        """The rows that are kept, by rank, then in time; without the groups that were made."""
        return Ledger([entry.row for kept in self.entries for entry in kept if entry.row.op not in SET_UP])
