"""What an exercise is: its reference, its inputs, and the wrong answers (mutants) that it can name.

A chapter's file in this folder holds `EXERCISES: tuple[Exercise, ...]`; nothing else registers them.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from tplearn.checks.observe import forward

FRAMEWORK = frozenset({"exercise", "observe", "layers", "compare", "verdict", "run", "check"})


@dataclass(frozen=True)
class Case:
    """One call of the answer: `fn(*args, **kwargs)`, on `tp` ranks (simulated or real).

    `args` may hold tensors, numbers, strings and nested lists of them (list index = rank). With `Exercise.ranks` they
    may hold `per_rank([...])`.
    """

    tp: int
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mutant:
    """A plausible wrong answer; `says` tells the misconception to a reader whose answer behaves exactly like it."""

    name: str
    answer: Callable[..., Any]
    says: str
    look_at: str = ""


def mutants_of(answer: Callable[..., Any], *rows: tuple[str, str, str]) -> tuple[Mutant, ...]:
    """A mutant for each (what is wrong, what it shows, where to look), of an answer that takes `wrong`."""
    return tuple(Mutant(wrong, partial(answer, wrong=wrong), says, look_at) for wrong, says, look_at in rows)


@dataclass(frozen=True)
class Exercise:
    """An exercise as the chapter's notebook announces it, and all that is needed to judge an answer.

    number: "02.3". name: the function's name, unique in the course. difficulty: 1 to 3. minutes: to solve it.
    reference(*args): the right answer; where it raises (a size that does not divide), the answer must raise that type.
    cases(generator): fresh float64 inputs at several tp, drawn from the generator only.
    observe(fn, *args, **kwargs) -> {aspect: value}: see tplearn.checks.observe; it runs in the child process.
    ranks: False, the answer runs in one child process on lists of shards; True, it runs on `case.tp` gloo ranks, and
    the ledger of its collectives is part of what is compared. timeout: seconds for one run of the answer.
    """

    number: str
    name: str
    points: int
    difficulty: int
    minutes: int
    reference: Callable[..., Any]
    cases: Callable[[torch.Generator], list[Case]]
    mutants: tuple[Mutant, ...]
    observe: Callable[..., dict[str, Any]] = forward
    ranks: bool = False
    timeout: float = 20.0

    def __post_init__(self) -> None:
        """Raise ValueError where a field cannot be what the notebooks need."""
        if not re.fullmatch(r"\d\d\.\d+", self.number):
            raise ValueError(f"number = {self.number!r} of exercise {self.name!r} must look like '02.3'")
        if not self.name.isidentifier():
            raise ValueError(f"name = {self.name!r} must be the name of the reader's function")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"difficulty = {self.difficulty} of {self.name!r} must be 1, 2 or 3")
        if self.points < 1 or self.minutes < 1:
            raise ValueError(
                f"{self.name!r} needs points and minutes of at least 1, got {self.points} and {self.minutes}"
            )

    @property
    def heading(self) -> str:
        """The exercise's heading in its notebook, without the leading ###."""
        dots = "●" * self.difficulty + "○" * (3 - self.difficulty)
        return f"{self.number} `{self.name}` · {self.points} points · {dots} · {self.minutes} minutes"


def _chapters() -> Iterator[tuple[Exercise, ...]]:
    """Import the chapters' files one by one, so that a check pays only for the files up to its own."""
    package = importlib.import_module("tplearn.checks")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in FRAMEWORK:
            yield getattr(importlib.import_module(f"tplearn.checks.{module.name}"), "EXERCISES", ())


def exercises(chapter: str | None = None) -> tuple[Exercise, ...]:
    """Every exercise of the course, or of one chapter ("02"), in the order of their numbers."""
    found = sorted((exercise for chapter_file in _chapters() for exercise in chapter_file), key=lambda e: e.number)
    for kind in ("name", "number"):
        seen = [getattr(exercise, kind) for exercise in found]
        twice = sorted({value for value in seen if seen.count(value) > 1})
        if twice:
            raise ValueError(f"exercises must have a {kind} of their own, but these are used twice: {', '.join(twice)}")
    return tuple(exercise for exercise in found if chapter is None or exercise.number.startswith(f"{chapter}."))


def find_exercise(name: str) -> Exercise:
    """The exercise whose function has this name; ValueError with the nearest names where there is none."""
    for chapter in _chapters():
        for exercise in chapter:
            if exercise.name == name:
                return exercise
    names = [exercise.name for exercise in exercises()]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    raise ValueError(f"no exercise is called {name!r}; did you mean one of these: {', '.join(near)}")
