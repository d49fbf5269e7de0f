"""What an answer sent, against what the reference sends: less is right, and so is another way; more is not."""

from collections import Counter
from dataclasses import dataclass

from tplearn.ranks.ledger import WIRE_BYTES, Row


@dataclass(frozen=True)
class Traffic:
    """The rule by which an exercise's ledger is judged, rank by rank.

    By default a rank may run as many collectives as the reference, whose bytes on the wire (`Row.wire_bytes`) are no
    more than the reference's. Fewer and cheaper ones are right wherever the values are: whether they were *used* is the
    business of tplearn.checks.probe. An all-reduce counts as two: it is a reduce-scatter and an all-gather. Messages
    from rank to rank may stand for a collective, p − 1 for each. A group of one rank costs nothing.

    spare: bytes that may be sent beside. bytes_only: any number of messages within those bytes. exact: the very same
    collectives, in any order. ops: the only ones allowed, where the exercise is to build something from them.
    """

    spare: int = 0
    bytes_only: bool = False
    exact: bool = False
    ops: frozenset[str] | None = None

    def complaint(self, got: list[Row], want: list[Row]) -> str | None:
        """A sentence about the first rank whose rows break the rule; None where all keep it."""
        for rank in sorted({row.rank for row in [*got, *want]}):
            mine, due = (_counting(rows, rank) for rows in (got, want))
            foreign = sorted({row.op for row in mine} - self.ops) if self.ops is not None else []
            if foreign:
                allowed = " and ".join(sorted(self.ops or ()))
                return f"rank {rank} of your function ran {counted(mine)}, where only {allowed} may be used."
            if self.exact:
                if sorted(map(_form, mine)) != sorted(map(_form, due)):
                    return _beside(rank, mine, due)
            elif _wire(mine) > _wire(due) + self.spare or (not self.bytes_only and _collectives(mine) > _rounds(due)):
                return self._excess(rank, mine, due)
        return None

    def _excess(self, rank: int, mine: list[Row], due: list[Row]) -> str:
        sent, budget = round(_wire(mine)), round(_wire(due))
        over = sent - budget
        if self.bytes_only:
            told = f"rank {rank} sent {sent} bytes, {over} too many: {budget} are due."
            return told + f" It sent {_messages(mine)}, where {_messages(due)} will do."
        if counted(mine) == counted(due):
            return f"rank {rank} of your function put {over} bytes too many on the wire."
        wire = f" On the wire that is {sent} bytes, where {budget} are due." if over > 0 else ""
        return _beside(rank, mine, due) + wire


def counted(rows: list[Row]) -> str:
    """ "2 × all_reduce (1024 bytes)", or "no collective"."""
    count, size = Counter(row.op for row in rows), Counter[str]()
    for row in rows:
        size[row.op] += row.bytes
    return ", ".join(f"{n} × {op} ({size[op]} bytes)" for op, n in sorted(count.items())) or "no collective"


def ops_by_rank(rows: list[Row]) -> dict[int, Counter]:
    """How often each rank ran each op, with its reduce op and group: what two spellings of one idea have in common."""
    found: dict[int, Counter] = {}
    for row in rows:
        if len(row.group) > 1:
            found.setdefault(row.rank, Counter())[(row.op, row.reduce_op, row.group)] += 1
    return found


def bytes_by_rank(rows: list[Row]) -> dict[int, float]:
    """What each rank put on the wire: where messages may be cut as one likes, their number says nothing."""
    return {rank: _wire(_counting(rows, rank)) for rank in {row.rank for row in rows}}


def _messages(rows: list[Row]) -> str:
    """ "3 messages of 144 bytes", "2 messages of 8 to 24 bytes"."""
    sizes = [row.bytes for row in rows if row.op != "recv"]
    if not sizes:
        return "no message"
    span = f"{min(sizes)}" + f" to {max(sizes)}" * (min(sizes) < max(sizes))
    return f"{len(sizes)} message{'s' * (len(sizes) > 1)} of {span} bytes"


def _counting(rows: list[Row], rank: int) -> list[Row]:
    return [row for row in rows if row.rank == rank and len(row.group) > 1]


def _rounds(rows: list[Row]) -> float:
    """Collectives, and messages from rank to rank."""
    return sum({"recv": 0, "all_reduce": 2}.get(row.op, 1) for row in rows)


def _collectives(rows: list[Row]) -> float:
    """Collectives; of messages from rank to rank, p − 1 make up one."""
    return _rounds(rows) - sum(1 - 1 / (len(row.group) - 1) for row in rows if row.op == "send")


def _wire(rows: list[Row]) -> float:
    """Not rounded row by row: two messages may be sent as one."""
    return round(sum(WIRE_BYTES[row.op](row.bytes, len(row.group)) for row in rows if row.op in WIRE_BYTES), 3)


def _form(row: Row) -> str:
    return repr((row.op, row.bytes, row.reduce_op, row.root, row.peer, row.group))


def _beside(rank: int, mine: list[Row], due: list[Row]) -> str:
    """Both in collectives; where the counts are alike, the first that differs in full."""
    shown = counted(mine), counted(due)
    if shown[0] == shown[1]:
        missing = sorted((Counter(map(_detailed, due)) - Counter(map(_detailed, mine))).elements())
        extra = sorted((Counter(map(_detailed, mine)) - Counter(map(_detailed, due))).elements())
        if missing and extra:
            shown = extra[0], missing[0]
    return f"rank {rank} of your function ran {shown[0]}, where {shown[1]} is due."


def _detailed(row: Row) -> str:
    """ "all_reduce (MAX, group [0, 1])": what a row says beyond its bytes."""
    more = [row.reduce_op or "", f"root {row.root}" if row.root is not None else ""]
    more += [f"peer {row.peer}" if row.peer is not None else f"group {list(row.group)}"]
    return f"{row.op} ({', '.join(filter(None, more))})"
