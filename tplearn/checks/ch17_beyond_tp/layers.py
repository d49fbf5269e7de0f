"""Exercise 17.4: how many layers each GPU gets when a model is dealt out by proportions, as llama.cpp does it."""

from bisect import bisect_right
from itertools import accumulate

from torch import Generator

from tplearn.checks.ch17_beyond_tp.layers_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_of, pick


def split_layers(num_layers: int, proportions: list[float], with_head: bool) -> list[int]:
    """Slot k of n goes to the first GPU whose running share is above k / n: `load_tensors` in llama-model.cpp."""
    n, ends = num_layers + with_head, list(accumulate(proportions))
    layers = [0] * len(proportions)
    for k in range(num_layers):
        layers[bisect_right([end / ends[-1] for end in ends], k / n)] += 1
    return layers


LAYERS, HEAD, NOTHING, FEW = "layers alone", "with lm_head", "a GPU that gets nothing", "fewer layers than GPUs"
EDGE = "a share that ends where a layer begins"
DECIMALS = ([0.5, 0.3, 0.2], [0.6, 0.4], [0.45, 0.35, 0.2], [0.15, 0.25, 0.6], [0.1, 0.2, 0.3, 0.4])
DRAWS = 4  # of each kind: on a single split two rules may agree by chance
MARGIN = 1e-6  # of a slot: nearer to its edge the rounding of a sum could decide


def _is_clear(num_layers: int, proportions: list[float], with_head: bool) -> bool:
    """Whether no end of a share falls on the beginning of a slot: any way of adding up gives the same split then."""
    total, n = sum(proportions), num_layers + with_head
    ends = [end / total * n for end in accumulate(proportions) if end < total]
    return all(abs(end - round(end)) > MARGIN for end in ends)


def _drawn(generator: Generator, p: int, kind: str, with_head: bool) -> tuple[int, list[float], bool]:
    """Arguments for so many GPUs, drawn until they are clear; whole numbers of GB, and fractions that add up to 1."""
    while True:
        proportions = [float(8 * pick(generator, 1, 10)) for _ in range(p)]
        fractions = [own for own in DECIMALS if len(own) == p]
        if kind == HEAD and fractions:
            proportions = list(one_of(generator, fractions))
        layers = pick(generator, 1, p - 1) if kind == FEW else pick(generator, 20, 80)
        if kind == NOTHING:
            proportions[-1 if with_head else pick(generator, 0, p - 2)] = 0.0
        if p == 1 or (len(set(proportions)) > 1 and _is_clear(layers, proportions, with_head)):
            return layers, proportions, with_head


def _cases(generator: Generator) -> list[Case]:
    """All kinds; a share that ends where a layer begins is three quarters, which no sum rounds."""
    kinds = [
        (LAYERS, False, (1, 2, 3, 4)),
        (HEAD, True, (2, 3, 4)),
        (NOTHING, False, (3, 4)),
        (NOTHING, True, (3,)),
        (FEW, False, (4, 6)),
    ]
    cases = [
        Case(p, _drawn(generator, p, kind, with_head), label=kind)
        for kind, with_head, several in kinds
        for p in several
        for _ in range(DRAWS)
    ]
    return [*cases, Case(2, (4 * pick(generator, 5, 9), [3.0, 1.0], False), label=EDGE)]


SPLIT_LAYERS = Exercise(
    number="17.4",
    name="split_layers",
    points=10,
    difficulty=1,
    minutes=10,
    reference=split_layers,
    cases=_cases,
    mutants=MUTANTS,
)
