"""The timeline of a script: a trace that Perfetto opens, one process for each rank, and a picture of it.

The format is the "Trace Event Format" of Chrome's about:tracing (complete events X, metadata M, flow s/t/f), times in
microseconds.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tplearn.ranks.ledger import Row
from tplearn.ranks.timeline import draw_timeline
from tplearn.running.outcome import Outcome
from tplearn.running.spans import RankSpans, Span, read_spans
from tplearn.running.tally import SET_UP, Entry

MAIN, LANES = 0, 1  # threads of a rank's process in the trace: its main thread, then collectives side by side


def write_timeline(outcome: Outcome, path: Path, folder: Path) -> list[str]:
    """Write the trace, and the picture with the ending .svg. folder: of the run, with each rank's marks.

    Returns what the user should know: where it is, and what was left out.
    """
    entries = outcome.tally.entries
    ranks = [read_spans(folder / f"marks.{rank}", [e.row.op for e in kept]) for rank, kept in enumerate(entries)]
    path.write_text(json.dumps({"traceEvents": trace_events(ranks, entries), "displayTimeUnit": "ms"}))
    said = [f"Timeline: {path} opens in https://ui.perfetto.dev"]
    cut = [f"rank {rank} without {what}" for rank, spans in enumerate(ranks) for what in spans.cut]
    said += [f"Timeline: {', '.join(cut)}"] if cut else []
    lanes = [_picture_lane(spans, kept) for spans, kept in zip(ranks, entries, strict=True)]
    if any(lanes):
        picture = path.with_suffix(".svg")
        draw_timeline(lanes).savefig(picture)
        said.append(f"Timeline: {picture} is a picture of it")
    return said


def trace_events(ranks: list[RankSpans], entries: list[list[Entry]]) -> list[dict]:
    """All events of the trace. entries: each rank's collectives, by number."""
    zero = min((span.start for spans in ranks for span in spans.all()), default=0)
    events: list[dict] = []
    for rank, spans in enumerate(ranks):
        rows = [entry.row for entry in entries[rank]]
        lanes = _lanes(spans.collectives)
        names = {MAIN: "main thread"} | {LANES + lane: "collectives" for lane in range(max(lanes, default=-1) + 1)}
        events += _named("process_name", rank, MAIN, f"rank {rank}")
        for thread, name in names.items():
            events += _named("thread_name", rank, thread, name)
        for span in spans.operators:
            events.append(_slice(span, rank, MAIN, zero, "operator", {}))
        for span in spans.waits:
            events.append(_slice(span, rank, MAIN, zero, "wait", {"collective": span.number}))
        for span, lane in zip(spans.collectives, lanes, strict=True):
            events.append(_slice(span, rank, LANES + lane, zero, "collective", _arguments(rows[span.number], span)))
    return events + list(_arrows(ranks, entries, zero))


def _named(what: str, rank: int, thread: int, name: str) -> list[dict]:
    order = {"name": what.replace("_name", "_sort_index"), "ph": "M", "pid": rank, "tid": thread}
    index = rank if what == "process_name" else thread
    return [
        {"name": what, "ph": "M", "pid": rank, "tid": thread, "args": {"name": name}},
        order | {"args": {"sort_index": index}},
    ]


def _slice(span: Span, rank: int, thread: int, zero: int, category: str, arguments: dict) -> dict:
    times = {"ts": (span.start - zero) / 1e3, "dur": (span.end - span.start) / 1e3}
    return {"name": span.name, "cat": category, "ph": "X", "pid": rank, "tid": thread} | times | {"args": arguments}


def _arguments(row: Row, span: Span) -> dict:
    said = {"number": row.index, "what": row.describe(), "bytes": row.bytes, "group": list(row.group)}
    said |= {"at": row.source, "code": row.code, "transport": row.transport}
    return said | ({"end": "not seen"} if span.open else {})


def _lanes(spans: list[Span]) -> list[int]:
    """A lane for each, the first that is free: in a trace, slices of one thread must not overlap."""
    free_from: list[int] = []
    lanes = []
    for span in spans:
        lane = next((lane for lane, free in enumerate(free_from) if free <= span.start), len(free_from))
        free_from[lane : lane + 1] = [span.end]
        lanes.append(lane)
    return lanes


def _arrows(ranks: list[RankSpans], entries: list[list[Entry]], zero: int) -> Iterator[dict]:
    """From the first rank that came to a collective to the last; from a send to its recv."""
    meetings: dict[tuple, list[tuple[Span, int, int]]] = defaultdict(list)
    for rank, spans in enumerate(ranks):
        seen: Counter[tuple] = Counter()
        for span, lane in zip(spans.collectives, _lanes(spans.collectives), strict=True):
            entry = entries[rank][span.number]
            kind = _meeting(entry)
            meetings[*kind, seen[kind]].append((span, rank, LANES + lane))
            seen[kind] += 1
    for number, come in enumerate(meetings.values()):
        come.sort(key=lambda each: each[0].start)
        for k, (span, rank, thread) in enumerate(come if len(come) > 1 else []):
            phase = {0: {"ph": "s"}, len(come) - 1: {"ph": "f", "bp": "e"}}.get(k, {"ph": "t"})
            event = {"name": span.name, "cat": "together", "id": number, "pid": rank, "tid": thread}
            yield event | {"ts": (span.start - zero) / 1e3} | phase


def _meeting(entry: Entry) -> tuple:
    """What is the same on all ranks that meet in it, but for its place among those of its kind."""
    row = entry.row
    if row.op in ("send", "recv"):
        ends = (row.rank, row.peer) if row.op == "send" else (row.peer, row.rank)
        return entry.group_name, ends, row.tag
    return entry.group_name, row.group, row.op if row.op in SET_UP else ""


def _picture_lane(spans: RankSpans, entries: list[Entry]) -> list[tuple[str, int, int]]:
    """As draw_timeline wants it."""
    sent = [span for span in spans.collectives if span.name not in SET_UP]
    named = [(f"{entries[span.number].row.transport}:{span.name}", span.start, span.end) for span in sent]
    return [(span.name, span.start, span.end) for span in spans.operators] + named
