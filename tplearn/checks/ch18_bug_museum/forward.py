"""Exercise 18.3: the bug of a model whose result is off, from its fingerprint."""

import math

from torch import Generator

from tplearn.checks.ch18_bug_museum.confused import confused
from tplearn.checks.ch18_bug_museum.forward_mutants import MUTANTS
from tplearn.checks.ch18_bug_museum.fresh import READY, fresh_cases
from tplearn.checks.exercise import Case, Exercise


def name_forward_bug(fingerprint: dict[int, dict]) -> str:
    """Agreement first, then the one number by which the result is off, then the gradients."""
    tp = max(fingerprint)
    seen = fingerprint[tp]
    forward = seen["forward"]
    if not forward["agree"]:
        short = sum(seen["ledger"]["forward"].values()) < sum(seen["due"]["forward"].values())
        return "all-reduce missing" if short else "own dropout mask"
    if forward["factor"] is not None and abs(forward["factor"] - tp) < 1e-6:
        return "whole layer summed"
    if forward["shift"] is not None and abs(forward["shift"] - math.log(tp)) < 1e-6:
        return "whole logits taken for a shard"
    right_gradients = all(mark["error"] < 1e-10 for mark in seen["gradients"].values())
    return "bias added by every rank" if right_gradients else "QKV cut as one block"


def _cases(generator: Generator) -> list[Case]:
    return fresh_cases(generator, "ABDEFG", again="ABDEFG")


NAME_FORWARD_BUG = Exercise(
    number="18.3",
    name="name_forward_bug",
    points=15,
    difficulty=2,
    minutes=12,
    reference=name_forward_bug,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
    confused=confused,
)
