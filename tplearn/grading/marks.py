"""From a verdict to a mark: what of its words a student reads, and what only the teacher does.

A verdict is written for a reader who may see the inputs. Those of a graded batch stay hidden, so that the same answer
can be graded again with the same seed: what an exercise was called with goes into `Mark.detail`. An answer can still
print or raise what it is given, and its own error's text is shown.
"""

import re

from tplearn.checks.verdict import Verdict
from tplearn.grading.results import Mark

ENDED = ("time limit", "memory limit", "exited")
CALLED_WITH = "It was called with "
# How `explain_failure` begins where ranks wait for ever or call different collectives: the lines below it are the rest.
REPORT_FOLLOWS = re.compile(r"On (tp = \d+|a \S+ mesh)( \(.*\))?:")
# The reference's refusal names the sizes that it has refused.
REFUSAL = re.compile(r"(, where an? \w+ is due)(?: \(.*\)$|:$)")


def mark_of(verdict: Verdict, status: str, notes: tuple[str, ...] = (), detail: str = "") -> Mark:
    """The mark of one answer.

    Args:
        verdict: what `tplearn.checks` says. Points are its exercise's.
        status: one of `results.STATUSES`; the jail knows some that the verdict does not.
        notes: sentences for the student that change no points.
        detail: for the teacher only; what the verdict says of hidden inputs, and what was printed, is put below it.

    Raises:
        ValueError: there is no such status.
    """
    exercise = verdict.exercise
    told, kept = _divided(verdict.explanation, status)
    printed = verdict.printed.strip("\n")
    return Mark(
        exercise.number,
        exercise.name,
        exercise.points,
        status,
        reason="\n".join(told),
        misconception=verdict.misconception or "",
        hint=verdict.look_at,
        notes=notes,
        detail="\n".join(filter(None, [detail, *kept, printed and f"It printed:\n{printed}"])),
    )


def _divided(explanation: str, status: str) -> tuple[list[str], list[str]]:
    """The lines for the student, and those for the teacher: inputs, and reports that the reason does not need."""
    lines = [line for line in explanation.split("\n") if line.strip()]
    needs_report = status in ENDED or bool(lines and REPORT_FOLLOWS.fullmatch(lines[0]))
    told, kept = [], []
    for line in lines:
        if line.startswith(CALLED_WITH) or line.startswith("  ") and not needs_report:
            kept.append(line)
            continue
        shown = REFUSAL.sub(r"\1.", line)
        told.append(shown.removeprefix("  "))
        kept += [line] if shown != line else []
    return told, kept
