"""Exercise 10.5: the bytes of activations that a layer keeps on a rank: cut by matrices, by tokens, gathered again."""

from torch import Generator

from tplearn.checks.ch10_sequence_parallel.activations_mutants import MUTANTS
from tplearn.checks.ch10_sequence_parallel.kept import INPUTS, INSIDE, MASKS, NORMS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def activation_bytes(
    sequence: int, batch: int, hidden: int, tp: int, sequence_parallel: bool, gather_again: bool, bytes_per_value: int
) -> int:
    """Bytes of a GPT layer on a rank, without attention scores (Korthikanti et al. 2022, section 4)."""
    if sequence_parallel and sequence % tp:
        raise ValueError(f"sequence = {sequence} cannot be cut over tp = {tp} ranks")
    size, v = sequence * batch * hidden, bytes_per_value
    tokens = tp if sequence_parallel else 1
    gathered = tp if sequence_parallel and gather_again else 1
    return size * (NORMS * v + MASKS) // tokens + size * INPUTS * v // gathered + size * INSIDE * v // tp


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 4, 8):
        for sequence_parallel, gather_again in ((False, False), (False, True), (True, False), (True, True)):
            for v in (2, 4):
                sizes = 8 * pick(generator, 2, 9), pick(generator, 3, 5), 16 * pick(generator, 2, 9)
                cases.append(Case(tp, (*sizes, tp, sequence_parallel, gather_again, v)))
    for sequence_parallel in (True, False):
        cases.append(Case(4, (8 * pick(generator, 2, 9) + 2, 3, 64, 4, sequence_parallel, sequence_parallel, 2)))
    return cases


ACTIVATION_BYTES = Exercise(
    number="10.5",
    name="activation_bytes",
    points=10,
    difficulty=2,
    minutes=10,
    reference=activation_bytes,
    cases=_cases,
    mutants=MUTANTS,
)
