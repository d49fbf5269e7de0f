"""Exercise 18.2: by which law a factor goes with the number of ranks, if the sizes that were tried can tell."""

import torch
from torch import Generator

from tplearn.checks.ch18_bug_museum.fresh import READY
from tplearn.checks.ch18_bug_museum.law_mutants import MUTANTS
from tplearn.checks.ch18_bug_museum.laws import LAWS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn


def law(factors: dict[int, float]) -> str:
    """The one law of eight that fits at every size; "?" where several do, "none" where none does."""
    fits = [name for name, of in LAWS.items() if all(abs(f - of(p)) < 1e-6 for p, f in factors.items())]
    return fits[0] if len(fits) == 1 else "?" if fits else "none"


SIZES = ((2, 4), (1, 2, 4), (4, 8), (2, 3), (1, 4), (3,))


def _cases(generator: Generator) -> list[Case]:
    """Each law at several sizes, with rounding; sizes that cannot tell; and numbers that follow none."""
    tried = [(name, SIZES[k % len(SIZES)]) for k, name in enumerate([*LAWS, *reversed(LAWS)])]
    tried += [("tp", (2,)), ("1", (2,)), ("1/tp", (2,)), ("tp * tp", (2,)), ("1", (1,)), ("0", (1,)), ("tp", (1, 2))]
    tried += [(name, (2, 3, 4)) for name in LAWS]
    cases = [Case(max(sizes), ({p: LAWS[name](p) for p in sizes},)) for name, sizes in tried]
    cases += [Case(8, ({4: 3e-14, 8: -2e-14},)), Case(8, ({4: 16.0, 8: 64.0 + 3e-5},))]  # 0, and not tp * tp
    mixed = {2: 2.0, 4: 2.0 + pick(generator, 1, 9) / 20}
    cases += [Case(4, (mixed,)), Case(4, ({1: 1.0, 2: 2.0, 4: 3.0},)), Case(4, ({2: 1.0, 4: 4.0},))]
    shuffled = [cases[k] for k in torch.randperm(len(cases), generator=generator).tolist()]
    return [_rounded(case, generator) for case in sorted(shuffled, key=lambda case: case.tp)]


def _rounded(case: Case, generator: Generator) -> Case:
    """Factors as they are measured, in any order of sizes."""
    (factors,) = case.args
    order = torch.randperm(len(factors), generator=generator).tolist()
    noise = (1 + 1e-14 * randn(generator, len(factors))).tolist()
    sizes = list(factors)
    return Case(case.tp, ({sizes[k]: factors[sizes[k]] * noise[k] for k in order},))


LAW = Exercise(
    number="18.2",
    name="law",
    points=10,
    difficulty=1,
    minutes=8,
    reference=law,
    cases=_cases,
    mutants=MUTANTS,
    ready=READY,
)
