"""Turns a judgement into the one short report that a person reads."""

from tplearn.ranks.diagnose import Judge
from tplearn.ranks.ledger import Ledger, Row
from tplearn.ranks.source import reader_line_of_stack

GLOO_LOST_PEER = "gloo/transport"  # in what gloo raises on a rank whose peer has gone


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


def status(judge: Judge, rank: int, stack: str = "") -> tuple[str, str, str, str]:
    """What a rank is doing, or how it ended."""
    state, world_size = judge.ranks[rank], len(judge.ranks)
    count = plural(len(state.rows))
    who, last = f"rank {rank}", state.rows[-1] if state.rows else None
    if state.end is not None and last is not None and GLOO_LOST_PEER in state.end.what:
        # It was waiting; that gloo noticed the other's death first is chance.
        return who, f"waits in {_numbered(last, world_size)}", last.source, last.code
    if state.end is not None:
        if state.end.kind == "return":
            return who, f"returned after {count}" if judge.recorded else "returned", state.end.source, state.end.code
        verb = "raised " if state.end.kind == "raise" and not state.end.what.startswith("returned ") else ""
        return who, verb + state.end.what.splitlines()[0][:200], state.end.source, state.end.code
    if state.blocked is not None:
        row = state.rows[state.blocked]
        doing = "waits in" if judge.waiting(rank) else "is in"
        return who, f"{doing} {_numbered(row, world_size)}", row.source, row.code
    if stack:
        source, code = reader_line_of_stack(stack)
        if source:
            return who, f"is running, after {count}" if judge.recorded else "is running", source, code
    if last is not None:
        return who, f"is running, after {last.op} #{last.index}", last.source, last.code
    running = "is running, before its first collective" if judge.recorded else "is running"
    return who, running if state.started else "is starting", *state.called


def _numbered(row: Row, world_size: int) -> str:
    """`all_reduce #2 (4×8 float32, SUM)`."""
    return f"{row.op} #{row.index}{row.describe(world_size)[len(row.op) :]}"


def all_ranks(judge: Judge, stacks: dict[int, str] | None = None) -> str:
    stacks = stacks or {}
    return lines_of_ranks([status(judge, rank, stacks.get(rank, "")) for rank in range(len(judge.ranks))])


def deadlock(judge: Judge) -> str:
    return "Deadlock: no rank can make progress.\n" + all_ranks(judge)


def mismatch(judge: Judge) -> str:
    """The rows that differ, and who has not come."""
    rows = judge.mismatch or []
    entries = [(f"rank {row.rank}", row.describe(), row.source, row.code) for row in rows]
    if rows[0].op in ("send", "recv") or judge.mismatch_place is None:
        return "Collective mismatch: a send and its recv do not fit.\n" + lines_of_ranks(entries)
    (_, group), place = judge.mismatch_place
    whole = len(group) == len(judge.ranks)
    name = f"collective #{place}" + ("" if whole else f" of group {list(group)}")
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
    who = f"rank {same[0]}" if len(same) == 1 else f"ranks {', '.join(map(str, same))}"
    verb = "raised " if first.kind == "raise" and not first.what.startswith("returned ") else ""
    head = f"{who.capitalize()} {verb}{first.what}"
    if first.source:
        head += f"\n  at {first.source}" + (f":  {first.code}" if first.code else "")
    others = [rank for rank in range(len(judge.ranks)) if rank not in same]
    rest = lines_of_ranks([status(judge, rank) for rank in others])
    return head + ("\n" + rest if others else "")


def unmatched(judge: Judge) -> str:
    entries = [(f"rank {row.rank}", f"{row.describe()} {why}", row.source, row.code) for row, why in judge.unmatched()]
    return "Collective mismatch: every rank returned, but not everybody came.\n" + lines_of_ranks(entries)


def timeout(judge: Judge, seconds: float, stacks: dict[int, str]) -> str:
    return f"Time limit: the run was stopped after {seconds:g} s.\n" + all_ranks(judge, stacks)


def interrupted(judge: Judge, stacks: dict[int, str]) -> str:
    return "Interrupted. All ranks were stopped; this is where they were.\n" + all_ranks(judge, stacks)


def ledger_of(judge: Judge) -> Ledger:
    """All rows by rank, then in time; without the groups that were made."""
    return Ledger([row for state in judge.ranks for row in state.rows if row.op != "new_group"])
