"""The explanation of an answer that equals no known misconception: what differs, on which inputs, and how."""

import inspect
from typing import Any

import torch
from torch import Tensor

from tplearn.checks.aspects import wrong_aspects
from tplearn.checks.clues import clues
from tplearn.checks.compare import Difference, Failure, first_difference
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.leaf import Leaf
from tplearn.checks.observe import Observation, WithLedger
from tplearn.ranks import CollectiveMismatch, Deadlock, RankDied, RankTimeout
from tplearn.ranks.job import PerRank

Seen = list[Observation]
CUT_OFF = "A .detach(), .item(), .data, torch.tensor(...) or no_grad on the way ends the autograd graph."
SHOWN = 120  # characters of an argument
NOT_SHOWN = ("seed", "groups", "inputs", "upstream")  # what an observer is given for itself, or a case's label says


def explain(exercise: Exercise, cases: list[Case], got: Seen, want: Seen) -> str:
    """What is wrong in the case that shows most, what it was called with, and what all wrong cases have in common."""
    wrong = [wrong_aspects(exercise, g, w) for g, w in zip(got, want, strict=True)]
    k = min((k for k in range(len(cases)) if wrong[k]), key=lambda k: _weight(wrong[k], cases[k]))
    case, mine, due, aspect = cases[k], got[k], want[k], wrong[k][0]
    names = list(inspect.signature(exercise.reference).parameters)
    if "error" in due and "error" not in mine:
        error, called = due["error"], _called_with(exercise, case)
        return f"{case.where} your function returned a result, where a {error.kind} is due:\n  {error.text}{called}"
    if "error" in mine:
        return explain_failure(mine["error"], case, due.get("error"))
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
        return f"{case.where} {exercise.sent.complaint(mine.get('ledger', []), due.get('ledger', []))}"
    difference = first_difference(mine.get(aspect), due.get(aspect)) or Difference((), "is missing")
    text = f"{case.where} {subject(aspect, list(difference.path), names, exercise.ranks)} {difference.how}."
    if aspect == "gradient" and difference.how.startswith("is None"):
        return f"{text} No gradient comes back: it does not enter the result there, or the graph is cut. {CUT_OFF}"
    leaves = leaves_of(exercise, cases, got, want, aspect, difference.path)
    return text + _called_with(exercise, case) + "".join("\n" + clue for clue in clues(leaves))


def _weight(wrong: list[str], case: Case) -> tuple:
    """A wrong value on a small number of ranks says most, a bill least; one rank alone is a special case."""
    return ("ledger" in wrong[0], case.tp == 1, case.tp)


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
    wanted = f", where a {due.kind} is due ({due.text})" if due else ""
    return (
        f"{case.where} your function raised {failure.kind}{': ' if failure.text else ''}{failure.text}{wanted}{report}"
    )


def subject(aspect: str, path: list[int | str], names: list[str], ranks: bool) -> str:
    """ "your result[1]", "rank 2's gradient of weight", from the aspect and the path of the first difference."""
    rank = f"rank {path.pop(0)}'s " if ranks and path else ""
    if aspect == "gradient" and path:
        first = path.pop(0)
        name = names[first] if isinstance(first, int) and first < len(names) else str(first)
        told = f"{rank or 'the '}gradient of {name}"
    else:
        what = "result" if aspect == "forward" else aspect
        told = f"{rank or ('your ' if aspect == 'forward' else 'the ')}{what}"
    return told + "".join(f"[{key!r}]" for key in path)


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
            found.append(Leaf(case.tp, ones, others, _inputs(exercise, case)))
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


def _arguments(exercise: Exercise, case: Case) -> dict[str, Any]:
    """The arguments by name: as the observer says, by its own names, or by the reference's where it hands them over."""
    given = getattr(exercise.observe, "arguments", None)
    if given is not None:
        return given(*case.args)
    observer = exercise.observe.observer if isinstance(exercise.observe, WithLedger) else exercise.observe
    named = [
        name for name, own in inspect.signature(observer).parameters.items() if own.kind is own.POSITIONAL_OR_KEYWORD
    ]
    names = named[1:] or inspect.signature(exercise.reference).parameters  # the first one is the answer
    return dict(zip(names, case.args, strict=False))


def _inputs(exercise: Exercise, case: Case) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {}
    for name, value in _arguments(exercise, case).items():
        values = list(value.values) if isinstance(value, PerRank) else value if isinstance(value, list) else [value]
        if values and all(isinstance(item, Tensor) for item in values) and len(values) in (1, case.tp):
            found[name] = values
    return found


def _called_with(exercise: Exercise, case: Case) -> str:
    """What the function was called with, where that can be read: numbers, words and sizes, not tensors alone."""
    arguments = {name: value for name, value in _arguments(exercise, case).items() if name not in NOT_SHOWN}
    if not arguments or all(isinstance(value, Tensor | list | PerRank) for value in arguments.values()):
        return ""
    return "\nIt was called with " + ", ".join(f"{name} = {_short(value)}" for name, value in arguments.items()) + "."


def _short(value: Any) -> str:
    if isinstance(value, PerRank):
        return "on each rank another " + _short(value.values[0])
    if isinstance(value, Tensor):
        return f"{'×'.join(map(str, value.shape)) or 'a scalar'} numbers"
    if isinstance(value, list) and value and all(isinstance(item, Tensor) for item in value):
        return f"{len(value)} of {_short(value[0])}"
    text = repr(value)
    return text if len(text) <= SHOWN or hasattr(value, "__dataclass_fields__") else text[: SHOWN - 1] + "…"


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
