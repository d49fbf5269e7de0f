"""Exercise 12.3: Llama 3.1's rotary frequencies for long texts: fast ones kept, slow ones divided, a ramp between."""

import math

import torch
from torch import Generator, Tensor

from tplearn.checks.ch12_real_weights.frequencies_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.observe import forward


def llama3_frequencies(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    """plain: [d/2] radians a token → the same, slow ones divided by `factor`."""
    turns = trained * plain / (2 * math.pi)  # in the text that the model was trained on
    share = ((turns - low) / (high - low)).clamp(0, 1)  # that stays: 1 for fast ones, 0 for slow ones
    return share * plain + (1 - share) * plain / factor


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, d, theta, sizes in ((1, 128, 500_000.0, (8.0, 1.0, 4.0, 8192)), (2, 64, 10_000.0, (32.0, 1.5, 8.0, 512))):
        plain = theta ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
        noise = 1 + 0.1 * torch.rand(d // 2, generator=generator, dtype=torch.float64)
        cases.append(Case(tp, (plain * noise, *sizes)))
    return cases


LLAMA3_FREQUENCIES = Exercise(
    number="12.3",
    name="llama3_frequencies",
    points=8,
    difficulty=2,
    minutes=8,
    reference=llama3_frequencies,
    cases=_cases,
    observe=forward,
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.llama",),
)
