"""What an answer was called with: by name, as tensors, as numbers, and in words."""

import inspect
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import WithLedger
from tplearn.ranks.job import PerRank

SHOWN = 120  # characters of an argument
NOT_SHOWN = ("seed", "groups", "mesh", "inputs", "upstream")  # the observer's own, or said elsewhere


def arguments_of(exercise: Exercise, case: Case) -> dict[str, Any]:
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


def tensors_in(arguments: dict[str, Any], tp: int) -> dict[str, list[Tensor]]:
    """The arguments that are tensors, one for all ranks or one for each."""
    found: dict[str, list[Tensor]] = {}
    for name, value in arguments.items():
        values = list(value.values) if isinstance(value, PerRank) else value if isinstance(value, list) else [value]
        if values and all(isinstance(item, Tensor) for item in values) and len(values) in (1, tp):
            found[name] = values
    return found


def numbers_in(arguments: dict[str, Any]) -> dict[str, float]:
    """The whole numbers among the arguments, in their fields and of their lists, by name."""
    found: dict[str, float] = {}
    for name, value in arguments.items():
        if type(value) is int:
            found[name] = value
        elif is_dataclass(value):
            found |= {f.name: own for f in fields(value) if type(own := getattr(value, f.name)) is int}
        elif isinstance(value, list) and value and all(type(item) is int for item in value):
            found |= {f"sum({name})": sum(value), f"len({name})": len(value), f"max({name})": max(value)}
    return found


def called_with(exercise: Exercise, case: Case) -> str:
    """What the function was called with, where that can be read: numbers, words and sizes, not tensors alone."""
    arguments = {name: value for name, value in arguments_of(exercise, case).items() if name not in NOT_SHOWN}
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
    if isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values()):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    text = repr(value)
    return text if len(text) <= SHOWN or hasattr(value, "__dataclass_fields__") else text[: SHOWN - 1] + "…"
