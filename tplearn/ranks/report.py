"""Turns a judgement into the one short report that a person reads."""

from tplearn.ranks.diagnose import Judge
from tplearn.ranks.errors import CollectiveOrderWarning, UnwaitedHandleWarning
from tplearn.ranks.known import Issued
from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.order import swapped


def lines_of_ranks(entries: list[tuple[str, str, str, str]]) -> str:
    """Aligned lines: who, what, where, the code. Equal long messages are not padded."""
    width = min(60, max((len(what) for _, what, _, _ in entries), default=0))
    place = max((len(where) for _, _, where, _ in entries), default=0)
    return "\n".join(
        f"  {who}  {what.ljust(width) if where else what}{'   ' + where.ljust(place) if where else ''}"
        f"{':  ' + code if code else ''}".rstrip()
        for who, what, where, code in entries
    )


def plural(count: int) -> str:
    return f"{count} collective" + ("" if count == 1 else "s")


def name_ranks(ranks: list[int]) -> str:
    """`rank 1`, `ranks 0, 2`."""
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join("any" if rank < 0 else str(rank) for rank in ranks)


def status(judge: Judge, rank: int, where: tuple[str, str] = ("", "")) -> tuple[str, str, str, str]:
    """What a rank is doing, or how it ended. where: the reader's line that it is on, if it could be asked."""
    state, world_size = judge.ranks[rank], len(judge.ranks)
    count, last, who = plural(len(state.issued)), state.last, f"rank {rank}"
    if state.lost_a_peer:  # it was waiting
        return who, f"waits in {_numbered(last, world_size)}", last.source, last.code
    if state.end is not None:
        if state.end.kind == "return" and not state.end.source and last is not None:
            return who, f"returned after {count}, the last at", last.source, last.code
        if state.end.kind == "return":
            return who, f"returned after {count}" if judge.recorded else "returned", state.end.source, state.end.code
        return who, _verb(state.end) + state.end.what.splitlines()[0][:200], state.end.source, state.end.code
    row = state.waits_in
    if row is not None:
        doing = "waits in" if judge.waiting(rank) else "is in"
        return who, f"{doing} {_numbered(row, world_size)}{_tag_hint(judge, rank)}", row.source, row.code
    if where[0]:
        return who, f"is running, after {count}" if judge.recorded else "is running", *where
    if last is not None:
        return who, f"is running, after {last.op} #{last.index}", last.source, last.code
    running = "is running, before its first collective" if judge.recorded else "is running"
    return who, running if state.started else "is starting", *state.called


def _verb(end: object) -> str:
    return "raised " if end.kind == "raise" and not end.what.startswith("returned ") else ""


def _numbered(row: Row, world_size: int) -> str:
    """`all_reduce #2 (4×8 float32, SUM)`."""
    return f"{row.op} #{row.index}{row.describe(world_size)[len(row.op) :]}"


def _tag_hint(judge: Judge, rank: int) -> str:
    """Where the other side uses another tag, which is easily overlooked."""
    state = judge.ranks[rank]
    issued = state.issued[min(state.blocked.values())]
    if issued.row.op not in ("send", "recv") or judge.complete(issued):
        return ""
    tags = judge.mail.other_tags(issued.row, issued.group.name)
    return f", tag {issued.row.tag}; the other side has tag {', '.join(map(str, tags))}" if tags else ""


def all_ranks(judge: Judge, where: dict[int, tuple[str, str]] | None = None) -> str:
    places = where or {}
    return lines_of_ranks([status(judge, rank, places.get(rank, ("", ""))) for rank in range(len(judge.ranks))])


def deadlock(judge: Judge) -> str:
    return "Deadlock: no rank can make progress.\n" + all_ranks(judge)


def left_alone(judge: Judge) -> str:
    """All that raised have lost a peer, and that one is well: it has destroyed its group, or ended."""
    return "Deadlock: ranks wait for one that has left the group.\n" + all_ranks(judge)


def mismatch(judge: Judge) -> str:
    """The rows that differ, and who has not come."""
    rows = judge.mismatch or []
    entries = [(f"rank {row.rank}", row.describe(), row.source, row.code) for row in rows]
    if rows[0].op in ("send", "recv") or judge.mismatch_place is None:
        return "Collective mismatch: a send and its recv do not fit.\n" + lines_of_ranks(entries)
    group, place = judge.mismatch_place
    whole = len(group.ranks) == len(judge.ranks)
    name = f"collective #{place}" + ("" if whole else f" of group {list(group.ranks)}")
    what = differing(rows)
    return f"Collective mismatch: the ranks disagree about {name}: different {what}.\n" + lines_of_ranks(entries)


def differing(rows: list[Row]) -> str:
    """The first thing that is not the same: op, shape, dtype, …"""
    names = (("op", "op"), ("shape", "shape"), ("dtype", "dtype"), ("reduce_op", "reduce op"), ("root", "root"))
    for attribute, name in names:
        if len({getattr(row, attribute) for row in rows}) > 1:
            return name
    return "members"


def failure(judge: Judge) -> str:
    """A rank raised or died: that one first, then what it did to the others."""
    bad = judge.failures()
    first = judge.ranks[bad[0]].end
    same = [rank for rank in bad if judge.ranks[rank].end.what == first.what]
    head = f"{name_ranks(same).capitalize()} {_verb(first)}{first.what}"
    if first.source:
        head += f"\n  at {first.source}" + (f":  {first.code}" if first.code else "")
    others = [rank for rank in range(len(judge.ranks)) if rank not in same]
    rest = lines_of_ranks([status(judge, rank) for rank in others])
    return head + ("\n" + rest if others else "")


def unmatched(judge: Judge) -> str:
    entries = [
        (
            f"rank {issued.row.rank}",
            f"{issued.row.describe()} {_never(judge, issued)}",
            issued.row.source,
            issued.row.code,
        )
        for issued in judge.unmatched()
    ]
    return "Collective mismatch: every rank returned, but not everybody came.\n" + lines_of_ranks(entries)


def _never(judge: Judge, issued: Issued) -> str:
    point_to_point = issued.row.op in ("send", "recv")
    return "never matched by " + name_ranks([issued.row.peer] if point_to_point else judge.missing(issued))


def timeout(judge: Judge, seconds: float, where: dict[int, tuple[str, str]]) -> str:
    return f"Time limit: the run was stopped after {seconds:g} s.\n" + all_ranks(judge, where)


def interrupted(judge: Judge, where: dict[int, tuple[str, str]]) -> str:
    return "Interrupted. All ranks were stopped; this is where they were.\n" + all_ranks(judge, where)


def warnings(judge: Judge) -> list[UserWarning]:
    """What is suspicious though nothing failed: lines in another order, handles that nobody waited for."""
    found: list[UserWarning] = [CollectiveOrderWarning(text) for text in swapped(judge)]
    unwaited = judge.unwaited()
    if unwaited:
        entries = [(f"rank {row.rank}", _numbered(row, len(judge.ranks)), row.source, row.code) for row in unwaited]
        head = (
            "Nobody waited for a handle: what it brings may not be there yet, and what it sends may be overwritten. "
            "Call wait() on it.\n"
        )
        found.append(UnwaitedHandleWarning(head + lines_of_ranks(entries)))
    return found


def ledger_of(judge: Judge) -> Ledger:
    """All rows by rank, then in time; without the groups that were made."""
    return Ledger([issued.row for state in judge.ranks for issued in state.issued if issued.row.op != "new_group"])
