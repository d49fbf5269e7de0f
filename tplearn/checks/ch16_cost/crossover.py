"""Exercise 16.7: the tokens of a micro-batch at which TP and FSDP send the same bytes."""

from torch import Generator

from tplearn.checks.ch16_cost.crossover_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick


def crossover_tokens(parameters: int, hidden: int, p: int, recompute: bool, gradient_bytes: int) -> float:
    """Tokens at which a layer's all-reduces send as much as its weights gathered twice and gradients scattered."""
    fsdp = (p - 1) / p * parameters * (2 + 2 + gradient_bytes)
    all_reduces = 6 if recompute else 4
    tp_for_a_token = all_reduces * 2 * (p - 1) / p * hidden * 2
    return fsdp / tp_for_a_token


def _cases(generator: Generator) -> list[Case]:
    """Gradients of 2 and of 4 bytes, with and without recomputation."""
    cases = []
    for p in (2, 3, 8):
        for recompute in (False, True):
            for gradient_bytes in (2, 4):
                hidden = pick(generator, 8, 64, 128)
                parameters = 12 * hidden * hidden + pick(generator, 1, 999, 512)
                label = f"gradients of {gradient_bytes} bytes" + ", recomputed" * recompute
                cases.append(Case(p, (parameters, hidden, p, recompute, gradient_bytes), label=label))
    return cases


CROSSOVER_TOKENS = Exercise(
    number="16.7",
    name="crossover_tokens",
    points=10,
    difficulty=2,
    minutes=12,
    reference=crossover_tokens,
    cases=_cases,
    mutants=MUTANTS,
)
