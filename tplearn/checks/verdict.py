"""The verdict a reader sees: one stable line when all is right, and the reason when it is not."""

import inspect
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tplearn.checks.compare import Failure, first_difference
from tplearn.checks.exercise import Case, Exercise

WIDTH = 90
PRINTED_LINES = 20
LOOK_AT = "Look at: "
NOT_ATTEMPTED = "your turn"  # how every stub's NotImplementedError begins


@dataclass(frozen=True)
class Verdict:
    """What `judge` found. `str(verdict)` is what `check` prints.

    status: "passed", "wrong", "error", "not attempted", "time limit" or "exited". aspects and sizes: right or not, by
    aspect ("forward", "gradient", "ledger", "inputs", "refusal") and by tp. misconception: the mutant that it equals.
    """

    exercise: Exercise
    status: str
    aspects: dict[str, bool] = field(default_factory=dict)
    sizes: dict[int, bool] = field(default_factory=dict)
    explanation: str = ""
    look_at: str = ""
    misconception: str | None = None
    seed: int | None = None
    printed: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right on every case."""
        return self.status == "passed"

    @property
    def earned(self) -> int:
        """Points: all or none."""
        return self.exercise.points if self.passed else 0

    def __str__(self) -> str:
        """The verdict as text, wrapped at 90 columns."""
        lines = [self._headline()]
        if not self.passed:
            lines += [line for block in self.explanation.split("\n") for line in _wrapped(block)]
            lines += _wrapped(LOOK_AT + self.look_at, hanging="  " + " " * len(LOOK_AT)) if self.look_at else []
            lines += self._printed_lines()
            if self.seed is not None and self.status in ("wrong", "error"):
                lines += [f"  The same numbers again: check({self.exercise.name}, seed={self.seed})"]
        return "\n".join(lines)

    def _headline(self) -> str:
        mark = {True: "✓", False: "✗"}
        if self.status in ("passed", "wrong"):
            middle = "  ".join(f"{aspect} {mark[right]}" for aspect, right in self.aspects.items())
        else:
            middle = self.status
        if self.sizes and self.status in ("passed", "wrong", "error"):
            middle += "   tp " + "  ".join(f"{tp} {mark[right]}" for tp, right in self.sizes.items())
        return f"{self.exercise.name}   {middle}      {self.earned}/{self.exercise.points}"

    def _printed_lines(self) -> list[str]:
        lines = self.printed.strip("\n").splitlines() if self.printed.strip() else []
        if len(lines) > PRINTED_LINES:
            lines = [*lines[:PRINTED_LINES], f"… and {len(lines) - PRINTED_LINES} lines more"]
        return ["  Your function printed:", *("    " + line[: WIDTH - 4] for line in lines)] if lines else []


def explain(exercise: Exercise, case: Case, got: dict[str, Any], want: dict[str, Any]) -> str:
    """The generic explanation of one case that went wrong, for an answer that equals no known misconception."""
    failure, due = got.get("error"), want.get("error")
    if due and not failure:
        return f"On tp = {case.tp} your function returned a result, where a {due.kind} is due:\n  {due.text}"
    if failure:
        return explain_failure(failure, case.tp, due)
    aspects = dict.fromkeys(["inputs", *want, *got])  # a change in place spoils the rest, so it is told first
    aspect = next(a for a in aspects if first_difference(got.get(a), want.get(a)))
    names = list(inspect.signature(exercise.reference).parameters)
    if aspect == "inputs":
        positions = got[aspect][0] if exercise.ranks and isinstance(got[aspect][0], list) else got[aspect]
        changed = [names[p] if isinstance(p, int) and p < len(names) else str(p) for p in positions or []]
        return (
            f"Your function changed {' and '.join(changed) or 'an argument'} in place. The caller still needs the old "
            "values: work on a copy, or write y = y + z instead of y += z."
        )
    if aspect == "gradient" and isinstance(got[aspect], str):
        return (
            f"On tp = {case.tp} there is {got[aspect]}. A .detach(), .item(), .data, torch.tensor(...) or no_grad on "
            "the way ends the autograd graph."
        )
    if aspect == "ledger" and (books := _ledger_difference(got.get(aspect), want.get(aspect))):
        return f"On tp = {case.tp} {books}"
    difference = first_difference(got.get(aspect), want.get(aspect))
    path = list(difference.path) if difference else []
    how = difference.how if difference else "is missing"
    return f"On tp = {case.tp} {_subject(aspect, path, names, exercise.ranks)} {how}."


def explain_failure(failure: Failure, tp: int, due: Failure | None = None) -> str:
    """A sentence for an answer that raised, hung, died or exited on tp ranks."""
    if failure.kind == "SystemExit":
        return f"Your function called {failure.text}, which ends the process. Return the result instead."
    if failure.kind == "RankTimeout":
        return (
            "Your function did not finish within the time limit. Is there a loop that never ends?\n  " + failure.detail
        )
    if failure.kind == "RankDied":
        return "The process of your function ended before it returned.\n  " + failure.detail.replace("\n", "\n  ")
    if failure.kind in ("Deadlock", "CollectiveMismatch"):
        return f"On tp = {tp}:\n  " + failure.detail.replace("\n", "\n  ")
    wanted = f", where a {due.kind} is due ({due.text})" if due else ""
    where = f"\n  {failure.detail}" if failure.detail else ""
    return (
        f"On tp = {tp} your function raised {failure.kind}{': ' if failure.text else ''}{failure.text}{wanted}{where}"
    )


def _subject(aspect: str, path: list[int | str], names: list[str], ranks: bool) -> str:
    """ "your result[1]", "rank 2's gradient of weight", from the aspect and the path of the first difference."""
    rank = f"rank {path.pop(0)}'s " if ranks and path and aspect != "ledger" else ""
    if aspect == "gradient" and path:
        first = path.pop(0)
        name = names[first] if isinstance(first, int) and first < len(names) else str(first)
        subject = f"{rank or 'the '}gradient of {name}"
    else:
        what = "result" if aspect == "forward" else aspect
        subject = f"{rank or ('your ' if aspect == 'forward' else 'the ')}{what}"
    return subject + "".join(f"[{key!r}]" for key in path)


def _ledger_difference(got: Any, want: Any) -> str | None:
    """The collectives of the first rank whose books differ, counted by op; None where rows are of another kind."""
    for rank in range(1024):
        mine, right = ([row for row in rows or [] if row[0] == rank] for rows in (got, want))
        if not mine and not right:
            return None
        if mine != right:
            shown = [_counted(rows) for rows in (mine, right)]
            if shown[0] != shown[1]:
                return f"rank {rank} of your function ran {shown[0]}, where {shown[1]} is due."
            yours, due = next(pair for pair in zip(mine, right, strict=True) if pair[0] != pair[1])
            if len(due) < 5 or _details(yours) == _details(due):
                return None
            return f"rank {rank} of your function ran {_details(yours)}, where {_details(due)} is due."
    return None


def _details(row: list[Any]) -> str:
    """ "all_reduce (MAX)" or "send (peer 3)": what a row of a real rank says beyond its bytes."""
    extra = [str(row[3])] if row[3] else []
    return " ".join([row[1], *[f"({text})" for text in extra + ([f"peer {row[4]}"] if row[4] is not None else [])]])


def _counted(rows: list[Any]) -> str:
    """ "2 × all_reduce (1024 bytes)", or "no collective"."""
    count, size = Counter(row[1] for row in rows), Counter[str]()
    for row in rows:
        size[row[1]] += row[2]
    return ", ".join(f"{n} × {op} ({size[op]} bytes)" for op, n in sorted(count.items())) or "no collective"


def _wrapped(text: str, hanging: str = "  ") -> list[str]:
    """Prose is wrapped; a line that begins with blanks is a report or code and is kept, indented."""
    if text.startswith("  "):
        return ["  " + text]
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=hanging, break_on_hyphens=False)
