"""A rank's times, as it has left them, as spans with a beginning and an end."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tplearn.running.bounds import OPERATORS, ROWS


@dataclass
class Span:
    """From start to end, in nanoseconds of the machine's clock. number: of a collective."""

    name: str
    start: int
    end: int
    number: int = -1
    open: bool = False  # its end was not seen: it goes on to the end of the run


@dataclass
class RankSpans:
    """operators: of the main thread. collectives: from their call until they are over. waits: what the rank stood still
    for."""

    operators: list[Span] = field(default_factory=list)
    collectives: list[Span] = field(default_factory=list)
    waits: list[Span] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)  # what is left out

    def all(self) -> list[Span]:
        return [*self.operators, *self.collectives, *self.waits]


def read_spans(path: Path, ops: list[str]) -> RankSpans:
    """What one rank's marks say. ops: the names of its collectives, by number."""
    spans, under_way, waits, last = RankSpans(), dict[int, Span](), dict[int, Span](), 0
    lines = path.read_text().split("\n") if path.exists() else []
    for line in lines[:-1]:  # the last is empty, or was cut off when the rank was killed
        what, subject, *times = json.loads(line)
        last = max(last, times[-1])
        match what:
            case "operator":
                spans.operators.append(Span(subject, *times))
            case "cut":
                spans.cut.append(f"operators after the first {OPERATORS:,}")
            case "enter" if subject < len(ops):
                under_way[subject] = Span(ops[subject], times[0], times[0], subject, open=True)
                spans.collectives.append(under_way[subject])
            case "block" if subject in under_way:
                waits[subject] = Span(f"wait: {ops[subject]}", times[0], times[0], subject, open=True)
                spans.waits.append(waits[subject])
            case "done":
                for span in (under_way.pop(subject, None), waits.pop(subject, None)):
                    if span:
                        span.end, span.open = times[0], False
    for span in (*under_way.values(), *waits.values()):
        span.end = last
    if len(ops) >= ROWS:
        spans.cut.append(f"collectives after the first {ROWS:,}")
    return spans
