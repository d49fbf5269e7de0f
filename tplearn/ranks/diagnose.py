"""Judges a run from its events, without timeouts: who waits for what, who differs, who ended first."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tplearn.ranks.ledger import Row

# Ops whose contributions may differ in size between ranks.
UNEVEN = {"all_to_all"}


@dataclass
class End:
    """How a rank ended: "return", "raise" or "died"."""

    kind: str
    what: str = ""
    source: str = ""
    code: str = ""
    traceback: str = ""


@dataclass
class RankState:
    """What is known of one rank."""

    rows: list[Row] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # group name of each row
    places: list[int] = field(default_factory=list)  # each row's position among the collectives of its group
    blocked: int | None = None  # the row it waits in
    started: bool = False
    end: End | None = None
    called: tuple[str, str] = ("", "")  # where the function begins


class Judge:
    """Takes the events of all ranks and knows, after each, what they mean together."""

    def __init__(self, world_size: int, recorded: bool) -> None:
        self.recorded = recorded  # else no rank tells of its collectives
        self.ranks = [RankState() for _ in range(world_size)]
        # (group name, members) -> rank -> its rows in order
        self.groups: dict[tuple, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
        # (group name, src, dst) -> rows in order
        self.sends: dict[tuple, list[Row]] = defaultdict(list)
        self.recvs: dict[tuple, list[Row]] = defaultdict(list)
        self.mismatch: list[Row] | None = None  # the rows that differ, one a rank that came
        self.mismatch_place: tuple | None = None

    # --- events -----------------------------------------------------------------------------------------------

    def enter(self, rank: int, row: Row, group_name: str, blocking: bool) -> None:
        state = self.ranks[rank]
        state.rows.append(row)
        state.keys.append(group_name)
        state.blocked = row.index if blocking else state.blocked
        if row.op in ("send", "recv"):
            self._match_peer(state, row, group_name)
            return
        key = (group_name, row.group)
        mine = self.groups[key][rank]
        place = len(mine)
        mine.append(row)
        state.places.append(place)
        others = [rows[place] for other, rows in self.groups[key].items() if other != rank and len(rows) > place]
        if self.mismatch is None and any(fingerprint(other) != fingerprint(row) for other in others):
            self.mismatch, self.mismatch_place = [], (key, place)
        if self.mismatch_place == (key, place):
            self.mismatch = sorted([*others, row], key=lambda r: r.rank)

    def _match_peer(self, state: RankState, row: Row, group_name: str) -> None:
        sending = row.op == "send"
        pair = (group_name, row.rank, row.peer) if sending else (group_name, row.peer, row.rank)
        mine, theirs = (self.sends, self.recvs) if sending else (self.recvs, self.sends)
        mine[pair].append(row)
        state.places.append(len(mine[pair]) - 1)
        other = theirs[pair][len(mine[pair]) - 1 :][:1]
        if self.mismatch is None and other and (other[0].bytes, other[0].dtype) != (row.bytes, row.dtype):
            self.mismatch = sorted([*other, row], key=lambda r: r.op != "send")

    def block(self, rank: int, index: int) -> None:
        self.ranks[rank].blocked = index

    def done(self, rank: int, index: int) -> None:
        self.ranks[rank].blocked = None

    def ended(self, rank: int, end: End) -> None:
        if self.ranks[rank].end is None:
            self.ranks[rank].end = end
        self.ranks[rank].blocked = None

    # --- what they mean ---------------------------------------------------------------------------------------

    def complete(self, row: Row, group_name: str, place: int) -> bool:
        """Has everybody come that this row needs?"""
        if row.op == "send":
            any_source = self.recvs[(group_name, -1, row.peer)]
            return len(self.recvs[(group_name, row.rank, row.peer)]) + len(any_source) > place
        if row.op == "recv" and row.peer == -1:
            sent = sum(
                len(rows) for (name, _, dst), rows in self.sends.items() if (name, dst) == (group_name, row.rank)
            )
            return sent > place
        if row.op == "recv":
            return len(self.sends[(group_name, row.peer, row.rank)]) > place
        return not self.missing(row, group_name, place)

    def missing(self, row: Row, group_name: str, place: int) -> list[int]:
        """Ranks of the group that have not come to this collective."""
        rows = self.groups[(group_name, row.group)]
        return [rank for rank in row.group if len(rows[rank]) <= place]

    def waiting(self, rank: int) -> bool:
        """Does this rank wait for somebody who has not come?"""
        state = self.ranks[rank]
        if state.end is not None or state.blocked is None:
            return False
        k = state.blocked
        return not self.complete(state.rows[k], state.keys[k], state.places[k])

    def live(self) -> list[int]:
        return [rank for rank, state in enumerate(self.ranks) if state.end is None]

    def settled(self) -> bool:
        """Nothing more will happen: every rank has ended or waits in vain."""
        return all(self.waiting(rank) for rank in self.live())

    def failures(self) -> list[int]:
        """Ranks that raised or died. A death comes first: it makes others raise "connection reset"."""
        bad = [rank for rank, state in enumerate(self.ranks) if state.end is not None and state.end.kind != "return"]
        died = [rank for rank in bad if self.ranks[rank].end.kind == "died"]
        return died or bad

    def unmatched(self) -> list[tuple[Row, str]]:
        """After the end: collectives that not everybody came to, and what is missing."""
        found = []
        for state in self.ranks:
            for row, key, place in zip(state.rows, state.keys, state.places, strict=True):
                if not self.complete(row, key, place):
                    absent = [row.peer] if row.op in ("send", "recv") else self.missing(row, key, place)
                    found.append((row, "never matched by " + name_ranks(absent)))
        return found

    def swapped(self) -> list[str]:
        """Pairs of lines that two ranks run in swapped order though nothing else differs."""
        found: dict[tuple, str] = {}
        for by_rank in self.groups.values():
            lines = {rank: [(row.source, row.code) for row in rows] for rank, rows in by_rank.items()}
            counts = {rank: Counter(line) for rank, line in lines.items()}
            ranks = sorted(lines)
            for a, b in zip(ranks, ranks[1:], strict=False):
                for one, other in zip(lines[a], lines[b], strict=False):
                    pair = tuple(sorted((one, other)))
                    if one != other and one in counts[b] and other in counts[a] and pair not in found:
                        found[pair] = _swap_report(a, one, b, other)
        return list(found.values())


def fingerprint(row: Row) -> tuple:
    """What must be equal on all ranks of a collective."""
    return (row.op, None if row.op in UNEVEN else row.shape, row.dtype, row.reduce_op, row.root, row.detail)


def name_ranks(ranks: list[int]) -> str:
    """`rank 1`, `ranks 0, 2`."""
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join("any" if rank < 0 else str(rank) for rank in ranks)


def _swap_report(a: int, one: tuple[str, str], b: int, other: tuple[str, str]) -> str:
    return (
        "Collectives of the same kind run in swapped order; their results are mixed up and nothing else says so.\n"
        f"  rank {a}  {one[0]}:  {one[1]}\n"
        f"  rank {b}  {other[0]}:  {other[1]}"
    )
