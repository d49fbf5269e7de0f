"""A class's own hidden cases and points: `[points]` and `[private] cases` of course.toml, put into an exercise.

The file with the cases is the teacher's own Python and is run as such. It holds functions called as exercises are:

    from torch import Generator
    from tplearn.checks import Case

    def row_parallel(generator: Generator) -> list[Case]:

Each returns at least one case with as many arguments as a case of the course has, and draws from the generator alone,
so that the same seed gives the same inputs. Other names in the file begin with _ or are imported.
"""

import importlib.util
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.registry import find_exercise
from tplearn.grading.course_file import CourseFile

Cases = Callable[[torch.Generator], list[Case]]


def with_private(given: Iterable[Exercise], course: CourseFile) -> dict[str, Exercise]:
    """Exercises by name, with the class's points, and with the private cases behind the course's own.

    Raises:
        ValueError: the file cannot be run, a function in it is called like no exercise, or it returns something else
            than cases of its exercise. The message names file, function and value.
    """
    private = _functions(course.cases) if course.cases else {}
    found = {}
    for exercise in given:
        found[exercise.name] = replace(exercise, points=course.points.get(exercise.name, exercise.points))
        if exercise.name in private:
            both = BothCases(exercise, private[exercise.name], course.cases.name)  # type: ignore[union-attr]
            both(torch.Generator().manual_seed(0))  # a mistake is told before a class is graded, and not after
            found[exercise.name] = replace(found[exercise.name], cases=both)
    return found


@dataclass(frozen=True)
class BothCases:
    """The course's cases of an exercise, and then a private file's. The course's stay as a seed gives them."""

    exercise: Exercise
    private: Cases
    file: str

    def __call__(self, generator: torch.Generator) -> list[Case]:
        """Draw all of them."""
        own, where = self.exercise.cases(generator), f"{self.file}: {self.exercise.name}"
        try:
            found = self.private(generator)
        except Exception as error:
            raise ValueError(f"{where} failed: {type(error).__name__}: {error}") from error
        if not isinstance(found, list) or not found or not all(isinstance(case, Case) for case in found):
            raise ValueError(f"{where} returned {found!r:.200}, where a list of at least one Case is due")
        due = {len(case.args) for case in own}
        for case in found:
            if type(case.tp) is not int or case.tp < 1:
                raise ValueError(f"{where} has a case with tp = {case.tp!r}; whole numbers from 1 on work")
            if len(case.args) not in due:
                works = " or ".join(map(str, sorted(due)))
                raise ValueError(f"{where} has a case with {len(case.args)} arguments; the course's own have {works}")
        return own + found


def _functions(path: Path) -> dict[str, Cases]:
    """{exercise's name: function} of a private file."""
    spec = importlib.util.spec_from_file_location(f"private_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except Exception as error:
        raise ValueError(f"{path.name} cannot be run: {type(error).__name__}: {error}") from error
    found = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    if not found:
        raise ValueError(f"{path.name} has no function: def row_parallel(generator), for example, gives cases of 02.4")
    for name in found:
        try:
            find_exercise(name)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error} A helper's name begins with _.") from None
    return found
