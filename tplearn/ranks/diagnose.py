"""Judges a run from its events, without timeouts: who waits for what, who differs, who ended first."""

from collections import defaultdict

from tplearn.ranks.events import Block, Calls, Done, Enter, Event, Exiting, Raised, Renumbered, Returned, Started
from tplearn.ranks.known import End, Group, Issued, RankState
from tplearn.ranks.ledger import Row
from tplearn.ranks.mail import Mail
from tplearn.ranks.tail import Tail

# Ops whose contributions may differ in size between ranks.
UNEVEN = {"all_to_all"}


class Judge:
    """Takes the events of all ranks and knows, after each, what they mean together."""

    def __init__(self, world_size: int, recorded: bool) -> None:
        self.recorded = recorded  # else no rank tells of its collectives
        self.renumbered = False  # a script's ranks have other numbers than its groups say
        self.ranks = [RankState() for _ in range(world_size)]
        self.groups: dict[Group, dict[int, Tail[Row]]] = defaultdict(lambda: defaultdict(Tail))  # rank -> its rows
        self.mail = Mail()
        self.mismatch: list[Row] | None = None  # the rows that differ, one a rank that came
        self.mismatch_place: tuple[Group, int] | None = None

    # --- events -----------------------------------------------------------------------------------------------

    def handle(self, rank: int, event: Event) -> None:
        """One event of a rank."""
        state = self.ranks[rank]
        match event:
            case Started():
                state.started = True
            case Calls(source, code):
                state.called = source, code
            case Enter():
                self._enter(state, event)
            case Block(index, thread, others):
                state.blocked[thread], state.others = index, others
            case Done(_, thread):
                state.blocked.pop(thread, None)
            case Renumbered():
                self.renumbered, self.mismatch = True, None
            case Exiting(status, source, code):
                self._ended(state, End("died", f"left by os._exit({status})", source, code))
            case Raised():
                self._ended(state, End("raise", event.what, event.source, event.code, event.traceback))
            case Returned():
                state.unwaited = event.unwaited
                self._ended(state, End("return", "", event.source, event.code))

    def died(self, rank: int, what: str, source: str = "", code: str = "") -> None:
        """A rank's process is gone, and has not said why."""
        state = self.ranks[rank]
        if not source and state.last:
            what += f", last seen in {state.last.op} #{state.last.index}"
            source, code = state.last.source, state.last.code
        elif not source:
            source, code = state.called
            what += ", before its first collective" if self.recorded else ""
            what += ", in" if source else ""
        self._ended(state, End("died", what, source, code))

    def _ended(self, state: RankState, end: End) -> None:
        state.end = state.end or end
        state.blocked.clear()

    def _enter(self, state: RankState, event: Enter) -> None:
        row, group = event.row, Group(event.group_name, event.row.group)
        if event.blocking:
            state.blocked[event.thread], state.others = row.index, event.others
        else:
            state.blocked.pop(event.thread, None)
        if row.op in ("send", "recv"):
            place, other = self.mail.post(row, group.name)
            if self._may_differ() and other and (other.bytes, other.dtype) != (row.bytes, row.dtype):
                self.mismatch = sorted([other, row], key=lambda r: r.op != "send")
        else:
            place = self._meet(row, group)
        state.issued.append(Issued(row, group, place))

    def _meet(self, row: Row, group: Group) -> int:
        """Compare a collective with those of the same place on other ranks."""
        rows = self.groups[group]
        place = len(rows[row.rank])
        rows[row.rank].append(row)
        others = [theirs[place] for rank, theirs in rows.items() if rank != row.rank and len(theirs) > place]
        if self._may_differ() and any(fingerprint(other) != fingerprint(row) for other in others):
            self.mismatch, self.mismatch_place = [], (group, place)
        if self.mismatch_place == (group, place):
            self.mismatch = sorted([*others, row], key=lambda r: r.rank)
        return place

    def _may_differ(self) -> bool:
        return self.mismatch is None and not self.renumbered

    def forget(self, kept: int) -> None:
        """Drop what all have come to, but for the last `kept` collectives of each group and of each rank."""
        for group, rows in self.groups.items():
            together = min(len(rows[rank]) for rank in group.ranks)
            for of_rank in rows.values():
                of_rank.forget(together - kept)
        self.mail.forget(kept)
        for state in self.ranks:
            first = min(state.blocked.values(), default=len(state.issued))
            while state.issued.forgotten < min(first, len(state.issued) - kept):
                if not self.complete(state.issued[state.issued.forgotten]):
                    break
                state.issued.forget(state.issued.forgotten + 1)

    # --- what they mean ---------------------------------------------------------------------------------------

    def complete(self, issued: Issued) -> bool:
        """Has everybody come that this collective needs?"""
        if issued.row.op in ("send", "recv"):
            return self.mail.matched(issued.row, issued.group.name, issued.place)
        return not self.missing(issued)

    def missing(self, issued: Issued) -> list[int]:
        """Ranks of the group that have not come to this collective."""
        rows = self.groups[issued.group]
        return [rank for rank in issued.group.ranks if len(rows[rank]) <= issued.place]

    def waiting(self, rank: int) -> bool:
        """Does this rank wait for somebody who has not come, and can nothing else of it go on?"""
        state = self.ranks[rank]
        if state.end is not None or not state.blocked or state.others or self.renumbered:
            return False
        return not any(self.complete(state.issued[number]) for number in state.blocked.values())

    def live(self) -> list[int]:
        """Ranks that have not ended."""
        return [rank for rank, state in enumerate(self.ranks) if state.end is None]

    def all_started(self) -> bool:
        """Every rank has joined."""
        return all(state.started for state in self.ranks)

    def settled(self) -> bool:
        """Nothing more will happen: every rank has ended or waits in vain."""
        return all(self.waiting(rank) for rank in self.live())

    def failures(self) -> list[int]:
        """Ranks that raised or died. A death comes first; last, what it makes others raise: "connection reset"."""
        bad = [rank for rank, state in enumerate(self.ranks) if state.end is not None and state.end.kind != "return"]
        died = [rank for rank in bad if self.ranks[rank].end.kind == "died"]
        return died or [rank for rank in bad if not self.ranks[rank].lost_a_peer] or bad

    def unmatched(self) -> list[Issued]:
        """After the end: collectives that not everybody came to."""
        if self.renumbered:
            return []
        return [issued for state in self.ranks for issued in state.issued if not self.complete(issued)]

    def unwaited(self) -> list[Row]:
        """Collectives for whose handle nobody has waited."""
        kept = [(state.issued, number) for state in self.ranks for number in state.unwaited]
        return [issued[number].row for issued, number in kept if number >= issued.forgotten]

    def tracebacks(self) -> dict[int, str]:
        """Of every rank that raised."""
        return {r: state.end.traceback for r, state in enumerate(self.ranks) if state.end and state.end.traceback}


def fingerprint(row: Row) -> tuple:
    """What must be equal on all ranks of a collective."""
    return (row.op, None if row.op in UNEVEN else row.shape, row.dtype, row.reduce_op, row.root, row.detail)
