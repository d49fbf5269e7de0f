"""Exercise 01.1: count the parameters of a whole model."""

from torch import Generator

from tplearn.checks.ch01_why_split.counting import COUNTED, count
from tplearn.checks.ch01_why_split.inputs import shape_for
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.planning.memory import parameter_count


def parameter_cases(generator: Generator) -> list[Case]:
    """Whole models: tied or not, with biases or not."""
    return [
        Case(1, (shape_for(generator, 1, tied=tied, bias=bias),), label=label)
        for label, tied, bias in (
            ("an lm_head of its own", False, False),
            ("a tied lm_head", True, False),
            ("with biases", False, True),
            ("tied, with biases", True, True),
        )
    ]


PARAMETER_COUNT = Exercise(
    number="01.1",
    name="parameter_count",
    points=10,
    difficulty=1,
    minutes=10,
    reference=parameter_count,
    cases=parameter_cases,
    mutants=mutants_of(count, *COUNTED),
)
