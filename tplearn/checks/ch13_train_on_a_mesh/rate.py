"""Exercise 13.2: tokens a second of a training run on a mesh, from what one rank measures."""

from torch import Generator

from tplearn.checks.ch13_train_on_a_mesh.rate_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn


def tokens_per_second(
    world_size: int, tp: int, local_batch: int, accumulation: int, seq: int, seconds: list[float], warmup: int
) -> float:
    """Tokens that the mesh learns from in a second, over the steps after the first `warmup` ones."""
    tokens = world_size // tp * local_batch * accumulation * seq
    measured = seconds[warmup:]
    return tokens * len(measured) / sum(measured)


def _cases(generator: Generator) -> list[Case]:
    """First steps are slow. All sizes differ, so that none can stand for another."""
    cases = []
    for dp, tp in ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (1, 4), (2, 8), (16, 4)):
        local, accumulation, seq = pick(generator, 5, 9), pick(generator, 2, 4), pick(generator, 11, 19)
        warmup, steps = pick(generator, 1, 3), pick(generator, 4, 6)
        seconds = (0.1 + 0.2 * randn(generator, warmup + steps).abs()).tolist()
        seconds = [round(t + 2 * (k < warmup), 3) for k, t in enumerate(seconds)]
        cases.append(Case(dp * tp, (dp * tp, tp, local, accumulation, seq, seconds, warmup), mesh=(dp, tp)))
    return cases


TOKENS_PER_SECOND = Exercise(
    number="13.2",
    name="tokens_per_second",
    points=10,
    difficulty=1,
    minutes=6,
    reference=tokens_per_second,
    cases=_cases,
    mutants=MUTANTS,
)
