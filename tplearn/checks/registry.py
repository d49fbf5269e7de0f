"""Finds exercises: each chapter's folder here, chNN_name, holds `EXERCISES: tuple[Exercise, ...]`."""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterator

from tplearn.checks.exercise import Exercise


def _chapters() -> Iterator[tuple[Exercise, ...]]:
    """Import the chapters one by one, in order, so that a check pays only for those up to its own."""
    package = importlib.import_module("tplearn.checks")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if re.match(r"ch\d\d_", module.name):
            found = getattr(importlib.import_module(f"tplearn.checks.{module.name}"), "EXERCISES", ())
            if not found:
                raise ValueError(f"tplearn/checks/{module.name} has no EXERCISES; a tuple of Exercise works")
            yield found


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
    near = difflib.get_close_matches(name, [exercise.name for exercise in exercises()], n=3, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else "define it with def, under the name in the heading."
    raise ValueError(f"no exercise is called {name!r}; {advice}")
