"""Exercise 16.1: α and β from measured times, so that the relative error is smallest."""

import torch
from torch import Generator

from tplearn.checks.ch16_cost.drive import fitted_line
from tplearn.checks.ch16_cost.fit_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn

KB, MB = 2**10, 2**20


def fit_alpha_beta(nbytes: list[int], seconds: list[float]) -> tuple[float, float]:
    """(α, β) that minimise the sum of ((α + β·n) / t − 1)² over all measurements (n, t)."""
    if len(set(nbytes)) < 2:
        raise ValueError(f"nbytes = {nbytes} is one size; a line needs two that differ")
    n, t = (torch.tensor(values, dtype=torch.float64) for values in (nbytes, seconds))
    rows = torch.stack([1 / t, n / t], dim=1)  # [measurements, 2]
    alpha, beta = torch.linalg.lstsq(rows, torch.ones_like(t)[:, None]).solution.flatten().tolist()
    return alpha, beta


def _times(generator: Generator, sizes: list[int], noise: float) -> tuple[list[int], list[float]]:
    """Measurements in any order, on a line of this case's own."""
    alpha, beta = pick(generator, 20, 900) * 1e-6, pick(generator, 20, 90) * 1e-11
    order = torch.randperm(len(sizes), generator=generator).tolist()
    shuffled = [sizes[k] for k in order]
    errors = (noise * randn(generator, len(sizes))).clamp(-3 * noise, 3 * noise).tolist()
    return shuffled, [(alpha + beta * n) * (1 + error) for n, error in zip(shuffled, errors, strict=True)]


def _cases(generator: Generator) -> list[Case]:
    """On a line and beside it; sizes once and three times; one size alone, and one measurement."""
    cases = []
    for ranks in (2, 4, 8):
        powers = [KB * 4**k + 8 * pick(generator, 0, 9) for k in range(8)]  # 1 KB to 16 MB
        thrice = [size for size in (4 * KB, 16 * KB, 64 * KB, MB, pick(generator, 2, 6) * MB) for _ in range(3)]
        for label, sizes, noise in (
            ("on a line", powers, 0.0),
            ("noise of 5 %", powers, 0.05),
            ("each size three times, noise of 5 %", thrice, 0.05),
            ("one size", [pick(generator, 1, 9) * KB] * 3, 0.05),
            ("one measurement", [pick(generator, 1, 9) * KB], 0.05),
        ):
            cases.append(Case(ranks, _times(generator, sizes, noise), label=label))
    return cases


FIT_ALPHA_BETA = Exercise(
    number="16.1",
    name="fit_alpha_beta",
    points=10,
    difficulty=2,
    minutes=12,
    reference=fit_alpha_beta,
    cases=_cases,
    observe=fitted_line,
    mutants=MUTANTS,
    ready=("tplearn.planning.links",),
)
