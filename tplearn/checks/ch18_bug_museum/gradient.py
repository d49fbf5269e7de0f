"""Exercise 18.4: the bug of a model whose result is right and whose gradients are not, from its fingerprint."""

from torch import Generator

from tplearn.checks.ch18_bug_museum.confused import confused
from tplearn.checks.ch18_bug_museum.fresh import READY, fresh_cases
from tplearn.checks.ch18_bug_museum.gradient_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise


def name_gradient_bug(fingerprint: dict[int, dict]) -> str:
    """By what the wrong gradients have in common, and then by the phase in which the ledger shows it."""
    seen = fingerprint[max(fingerprint)]
    wrong = [mark for mark in seen["gradients"].values() if mark["error"] > 1e-10]
    apart = {  # own minus due, by phase
        phase: sum(seen["ledger"][phase].values()) - sum(due.values()) for phase, due in seen["due"].items()
    }
    factors = [mark["factor"] for mark in wrong]
    if not all(mark["agree"] for mark in wrong):
        return "f missing" if apart["backward"] < 0 else "copies not summed"
    if None in factors:
        return "local padding index"
    if max(factors) == 0:
        return "graph cut"
    if max(factors) < 1:
        return "mean for sum" if seen["due"]["after"] else "bias divided by tp"
    return "summed on the way back" if apart["backward"] > 0 else "summed once more"


def _cases(generator: Generator) -> list[Case]:
    return fresh_cases(generator, "IJKLMNOP", again="IJKLMNOP")


NAME_GRADIENT_BUG = Exercise(
    number="18.4",
    name="name_gradient_bug",
    points=20,
    difficulty=3,
    minutes=18,
    reference=name_gradient_bug,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
    confused=confused,
)
