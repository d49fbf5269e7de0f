"""Exercise 16.2: the seconds that a collective takes, by α and β."""

from torch import Generator

from tplearn.checks.ch16_cost.collective_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick

OPS = ("all_reduce", "all_gather", "reduce_scatter")


def collective_seconds(op: str, nbytes: int, p: int, messages: int, alpha: float, beta: float) -> float:
    """messages · α + β · (the bytes that a rank sends on a ring); 0 on one rank."""
    rounds = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}
    if op not in rounds:
        raise ValueError(f"op = {op!r} is not known; ops that work: {', '.join(rounds)}")
    if p == 1:
        return 0.0
    return messages * alpha + rounds[op] * (p - 1) / p * nbytes * beta


def _cases(generator: Generator) -> list[Case]:
    """Each op in one message and in several; both terms count; and an op that is not known."""
    cases = []
    for p in (1, 2, 3, 4, 8):
        for label in (*OPS, "an unknown op"):
            for messages in (1, pick(generator, 3, 9)):
                alpha, nbytes = pick(generator, 11, 99) * 1e-6, pick(generator, 50_000, 90_000, 24)
                beta = alpha / nbytes * pick(generator, 11, 47) / 10
                op = label if label in OPS else "broadcast"
                cases.append(Case(p, (op, nbytes, p, messages, alpha, beta), label=label))
    return cases


COLLECTIVE_SECONDS = Exercise(
    number="16.2",
    name="collective_seconds",
    points=10,
    difficulty=1,
    minutes=8,
    reference=collective_seconds,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.planning.links",),
)
