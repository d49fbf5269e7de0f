"""Exercise 01.1: count the parameters of a whole model."""

from torch import Generator

from tplearn.checks.ch01_why_split.counted import COUNTED
from tplearn.checks.ch01_why_split.counting import count
from tplearn.checks.ch01_why_split.inputs import shape_for
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.planning.memory import parameter_count
from tplearn.planning.models import ModelShape


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


def _rule_of_thumb(shape: ModelShape, wrong: str) -> int:
    """12 · layers · hidden², with the tables or without."""
    tables = {"rule of thumb": 2 - shape.tie_word_embeddings, "rule of thumb, two tables": 2}.get(wrong, 0)
    return (12 * shape.num_hidden_layers * shape.hidden_size + tables * shape.vocab_size) * shape.hidden_size


PARAMETER_COUNT = Exercise(
    number="01.1",
    name="parameter_count",
    points=10,
    difficulty=1,
    minutes=10,
    reference=parameter_count,
    cases=parameter_cases,
    mutants=(
        *mutants_of(count, *COUNTED),
        *mutants_of(
            _rule_of_thumb,
            (
                "rule of thumb",
                "You took the rule of thumb, 12 · layers · hidden², and the tables. It is for four matrices [hidden, "
                "hidden] in attention and an MLP of 8 · hidden². This model has other widths, and norms besides.",
                "the shape of each matrix of a layer.",
            ),
            (
                "rule of thumb, two tables",
                "You took the rule of thumb, 12 · layers · hidden², and two tables in every model. It is for four "
                "matrices [hidden, hidden] in attention and an MLP of 8 · hidden². This model has other widths.",
                "the shape of each matrix of a layer.",
            ),
            (
                "rule of thumb alone",
                "You took the rule of thumb, 12 · layers · hidden². It leaves out the tables, and is for four matrices "
                "[hidden, hidden] in attention and an MLP of 8 · hidden². This model has other widths.",
                "the shape of each matrix of a layer.",
            ),
        ),
    ),
    ready=("tplearn.planning.memory.parameter_count",),
)
