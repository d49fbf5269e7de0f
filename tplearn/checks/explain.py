"""The explanation of an answer that equals no known misconception: what differs, on which inputs, and how."""

import inspect
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.arguments import arguments_of, called_with, numbers_in, tensors_in
from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.beside import bill, only_kind, other_entries
from tplearn.checks.clues import ZERO, clues
from tplearn.checks.compare import Difference, Failure, first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.leaf import Leaf
from tplearn.checks.observe import Observation
from tplearn.ranks import CollectiveMismatch, Deadlock, RankDied, RankTimeout

Seen = list[Observation]
CUT_OFF = "A .detach(), .item(), .data, torch.tensor(...) or no_grad on the way ends the autograd graph."
NO_WAY_BACK = f"No gradient comes back: it does not enter the result there, or the graph is cut. {CUT_OFF}"


def explain(exercise: Exercise, cases: list[Case], got: Seen, want: Seen) -> str:
    """What is wrong in the case that shows most, what it was called with, and what all wrong cases have in common."""
    wrong = [wrong_aspects(exercise, g, w) for g, w in zip(got, want, strict=True)]
    k = telling_case(cases, wrong)
    case, mine, due, aspect = cases[k], got[k], want[k], wrong[k][0]
    names = list(inspect.signature(exercise.reference).parameters)
    if "error" in due and "error" not in mine:
        error, called = due["error"], called_with(exercise, case)
        returned = "None" if mine.get("forward", "") is None else "a result"
        told = f"{case.where} your function returned {returned}, where a {error.kind} is due:\n  {error.text}{called}"
        return told + only_kind(cases, wrong)
    if "error" in mine:
        return explain_failure(mine["error"], case, due.get("error")) + only_kind(cases, wrong)
    if aspect == "inputs":
        return _changed(exercise, mine[aspect], names)
    if aspect == "handles":
        return _handles(mine[aspect])
    if aspect == "gradient" and isinstance(_first(mine.get(aspect)), str):
        return f"{case.where} there is {_first(mine[aspect])}. {CUT_OFF}"
    complaint = _complaint(mine[aspect]) if aspect not in due else ""
    if complaint:
        return f"{case.where} {complaint}"
    if aspect == "ledger":
        complaint = exercise.sent.complaint(mine.get("ledger", []), due.get("ledger", []))
        return f"{case.where} {complaint}{only_kind(cases, wrong)}"
    difference = first_difference(mine.get(aspect), due.get(aspect)) or Difference((), "is missing")
    text = f"{case.where} {subject(aspect, list(difference.path), names, exercise)} {difference.how}."
    text += other_entries(mine.get(aspect), due.get(aspect), names)
    if aspect == "gradient" and difference.how.startswith("is None"):
        return f"{text} {NO_WAY_BACK}"
    leaves = leaves_of(exercise, cases, got, want, aspect, difference.path)
    found = clues(leaves)
    if aspect == "gradient" and ZERO in found:
        found.insert(1, NO_WAY_BACK)
    told = text + called_with(exercise, case) + "".join("\n" + clue for clue in found)
    return told + bill(exercise, mine, due) + only_kind(cases, wrong)


def telling_case(cases: list[Case], wrong: list[list[str]]) -> int:
    """The number of the case that says most, of those where an aspect is wrong.

    A wrong value on a small number of ranks says most, a bill least; one rank alone is a special case.
    """
    failing = (k for k in range(len(cases)) if wrong[k])
    return min(failing, key=lambda k: ("ledger" in wrong[k][0], cases[k].tp == 1, cases[k].tp))


def explain_failure(failure: Failure, case: Case, due: Failure | None = None) -> str:
    """A sentence for an answer that raised, hung, died or exited."""
    report = "\n  " + failure.detail.replace("\n", "\n  ") if failure.detail else ""
    if failure.kind == SystemExit.__name__:
        return f"Your function called {failure.text}, which ends the process. Return the result instead."
    if failure.kind == RankTimeout.__name__:
        return "Your function did not finish within the time limit." + report
    if failure.kind == RankDied.__name__:
        return "The process of your function ended before it returned." + report
    if failure.kind in (Deadlock.__name__, CollectiveMismatch.__name__):
        return f"On {case}:" + report
    refuses = failure.kind == ValueError.__name__ and "raise " in failure.detail
    wanted = f", where a {due.kind} is due ({due.text})" if due else ", where a result is due" if refuses else ""
    return (
        f"{case.where} your function raised {failure.kind}{': ' if failure.text else ''}{failure.text}{wanted}{report}"
    )


def subject(aspect: str, path: list[int | str], names: list[str], exercise: Exercise) -> str:
    """ "your result[1]", "rank 2's gradient of weight", from the aspect and the path of the first difference."""
    rank, where = f"rank {path.pop(0)}'s " if exercise.ranks and path else "", ""
    if aspect == "gradient" and path:
        first = path.pop(0)
        name = names[first] if isinstance(first, int) and first < len(names) else str(first)
        told = f"{rank or 'the '}gradient of {name}"
    else:
        what = "result" if aspect == "forward" else aspect
        if exercise.items and aspect == "forward" and path:
            where = f" {exercise.items(int(path.pop(0)))}"
        told = f"{rank or ('your ' if aspect == 'forward' else 'the ')}{what}"
    return told + "".join(f"[{key!r}]" for key in path) + where


def leaves_of(
    exercise: Exercise, cases: list[Case], got: Seen, want: Seen, aspect: str, path: tuple[int | str, ...]
) -> list[Leaf]:
    """The tensor at `path` in every case, with its twins on other ranks."""
    found = []
    for case, mine, due in zip(cases, got, want, strict=True):
        if aspect not in mine or aspect not in due:
            continue
        by_rank = exercise.ranks or _is_list_of_ranks(due[aspect], case.tp)
        if by_rank and path and isinstance(mine[aspect], list) and len(mine[aspect]) == case.tp:
            pairs = [(_at(mine[aspect][rank], path[1:]), _at(due[aspect][rank], path[1:])) for rank in range(case.tp)]
        else:
            pairs = [(_at(mine[aspect], path), _at(due[aspect], path))]
        tensors = [(_tensor(one), _tensor(other)) for one, other in pairs]
        if all(one is not None and other is not None for one, other in tensors):
            ones, others = (list(side) for side in zip(*tensors, strict=True))
            given = arguments_of(exercise, case)
            found.append(Leaf(case.tp, ones, others, tensors_in(given, case.tp), numbers_in(given), case.mesh))
    return found


def _is_list_of_ranks(value: Any, tp: int) -> bool:
    return isinstance(value, list) and len(value) == tp and all(isinstance(item, Tensor) for item in value)


def _at(value: Any, path: tuple[int | str, ...]) -> Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.float64) if type(value) in (int, float) else None


def _complaint(found: Any) -> str:
    """An aspect that is seen only where something is wrong says what, in a sentence: the first rank's."""
    return next((own for own in (found if isinstance(found, list) else [found]) if isinstance(own, str)), "")


def _first(value: Any) -> Any:
    """The first entry of a list by rank, or the value."""
    return value[0] if isinstance(value, list) and value else value


def _changed(exercise: Exercise, found: Any, names: list[str]) -> str:
    positions = next((own for own in found if own), []) if exercise.ranks else found
    changed = [names[p] if isinstance(p, int) and p < len(names) else str(p) for p in positions or []]
    return (
        f"Your function changed {' and '.join(changed) or 'an argument'} in place. The caller still needs the old "
        "values: work on a copy, or write y = y + z instead of y += z."
    )


def _handles(found: Any) -> str:
    first = next(own for own in found if own)
    return (
        f"Your function never waited for {first[0]}. A collective with async_op=True, isend and irecv return at once, "
        "before anything has arrived; only after handle.wait() may you read what it brings, or write what it sends."
    )
