"""The verdict a reader sees: one stable line when all is right, and the reason when it is not."""

import textwrap
from dataclasses import dataclass, field

from tplearn.checks.exercise import Exercise

WIDTH = 90
PRINTED_LINES = 20
LOOK_AT = "Look at: "


@dataclass(frozen=True)
class Verdict:
    """What `judge` found. `str(verdict)` is what `check` prints.

    status: "passed", "wrong", "error", "not attempted", "ready-made", "time limit", "exited", or "not checked", where
    this machine lacks what the exercise needs. aspects and sizes: right or not, by aspect ("forward", "gradient",
    "ledger", "inputs", "refusal") and by tp or mesh ("2×4"). misconception: the mutant that it equals.
    """

    exercise: Exercise
    status: str
    aspects: dict[str, bool] = field(default_factory=dict)
    sizes: dict[int | str, bool] = field(default_factory=dict)
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
            kind = "mesh" if any(isinstance(size, str) for size in self.sizes) else "tp"
            middle += f"   {kind} " + "  ".join(f"{size} {mark[right]}" for size, right in self.sizes.items())
        points = "" if self.status == "not checked" else f"      {self.earned}/{self.exercise.points}"
        return f"{self.exercise.name}   {middle}{points}"

    def _printed_lines(self) -> list[str]:
        lines = self.printed.strip("\n").splitlines() if self.printed.strip() else []
        if len(lines) > PRINTED_LINES:
            lines = [*lines[:PRINTED_LINES], f"… and {len(lines) - PRINTED_LINES} lines more"]
        return ["  Your function printed:", *("    " + line[: WIDTH - 4] for line in lines)] if lines else []


def _wrapped(text: str, hanging: str = "  ") -> list[str]:
    """Prose is wrapped; a line that begins with blanks is a report or code and is kept, indented."""
    if text.startswith("  "):
        return ["  " + text]
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent=hanging, break_on_hyphens=False)
