"""Exercise 17.6: which tokens a rank has in context parallel, so that causal attention is as much work on each."""

from torch import Generator

from tplearn.checks.ch17_beyond_tp.drive import tokens_and_work
from tplearn.checks.ch17_beyond_tp.zigzag_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def zigzag(rank: int, p: int, tokens: int) -> list[int]:
    """Chunks r and 2p − 1 − r of 2p: the Llama 3 report, section 3.3.2."""
    size = tokens // (2 * p)
    return [chunk * size + k for chunk in (rank, 2 * p - 1 - rank) for k in range(size)]


def _cases(generator: Generator) -> list[Case]:
    """Several tokens a chunk: with one, runs cannot be told from stripes."""
    return [Case(p, (p, 2 * p * pick(generator, 2, 6))) for p in (1, 2, 3, 4, 8)]


ZIGZAG = Exercise(
    number="17.6",
    name="zigzag",
    points=10,
    difficulty=2,
    minutes=10,
    reference=zigzag,
    cases=_cases,
    observe=tokens_and_work,
    items="for rank {}".format,
    mutants=MUTANTS,
    ready=("tplearn.parallel.context",),
)
