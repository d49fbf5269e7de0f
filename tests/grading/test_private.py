"""A class's own cases and points: they count, they change no seed, and mistakes in them are named."""

from pathlib import Path

import pytest
import torch

from tplearn.checks import Exercise, find_exercise, judge
from tplearn.grading.course_file import CourseFile
from tplearn.grading.private import with_private

HEAD = "import torch\nfrom torch import Generator\nfrom tplearn.checks import Case\n"
WIDE = "def split_columns(generator):\n    return [Case(2, (torch.ones(2, 97, dtype=torch.float64), 2))]\n"


def exercise_with(folder: Path, text: str, name: str = "split_columns", **points: int) -> Exercise:
    path = folder / "private_cases.py"
    path.write_text(HEAD + text)
    return with_private([find_exercise(name)], CourseFile(cases=path, points=points))[name]


def test_private_cases_come_behind_the_courses_and_change_none_of_them(tmp_path: Path) -> None:
    exercise = exercise_with(tmp_path, WIDE, split_columns=7)
    own = find_exercise("split_columns").cases(torch.Generator().manual_seed(5))
    both = exercise.cases(torch.Generator().manual_seed(5))
    assert len(both) == len(own) + 1 and exercise.points == 7
    assert all(torch.equal(one.args[0], other.args[0]) for one, other in zip(own, both, strict=False))


def test_an_answer_that_fails_only_there_fails(tmp_path: Path) -> None:
    def split_columns(weight: torch.Tensor, world_size: int) -> list:
        if weight.shape[-1] == 97:
            raise ValueError("too wide")
        return find_exercise("split_columns").reference(weight, world_size)

    exercise = exercise_with(tmp_path, WIDE)
    assert judge(find_exercise("split_columns"), split_columns, 5).passed
    assert not judge(exercise, split_columns, 5).passed
    assert judge(exercise, exercise.reference, 5).passed


def test_other_exercises_stay_as_they_are(tmp_path: Path) -> None:
    assert exercise_with(tmp_path, WIDE, "row_parallel") == find_exercise("row_parallel")
    row_parallel = find_exercise("row_parallel")
    assert with_private([row_parallel], CourseFile()) == {"row_parallel": row_parallel}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def split_colums(generator): ...", "no exercise is called 'split_colums'; did you mean split_columns"),
        ("1 / 0", "cannot be run: ZeroDivisionError: division by zero"),
        ("def f(:", "cannot be run: SyntaxError"),
        ("_helper = 1", "has no function: def row_parallel"),
        ("def split_columns(generator): return 7", "split_columns returned 7, where a list of at least one Case"),
        ("def split_columns(generator): return []", r"split_columns returned \[\], where"),
        ("def split_columns(generator): return [Case(0, (1, 2))]", "a case with tp = 0; whole numbers from 1"),
        ("def split_columns(generator): return [Case(1, (1,))]", "a case with 1 arguments; the course's own have 2"),
        ("def split_columns(generator): return nothing", "split_columns failed: NameError: name 'nothing'"),
    ],
)
def test_a_mistake_is_told_with_file_function_and_value(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"private_cases.py:? (split_columns has )?{says}"):
        exercise_with(tmp_path, text)
