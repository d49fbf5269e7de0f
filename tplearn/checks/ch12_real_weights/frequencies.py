"""Exercise 12.3: Llama 3.1's rotary frequencies for long texts: fast ones kept, slow ones divided, a ramp between."""

import math

import torch
from torch import Generator, Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant


def llama3_frequencies(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    """plain: [d/2] radians a token → the same, slow ones divided by `factor`."""
    return _mixed(plain, factor, _kept(plain, low, high, trained))


def _kept(plain: Tensor, low: float, high: float, trained: int) -> Tensor:
    """The share of each frequency that stays: 1 for fast ones, 0 for slow ones."""
    turns = trained * plain / (2 * math.pi)  # in the text that the model was trained on
    return ((turns - low) / (high - low)).clamp(0, 1)


def _mixed(plain: Tensor, factor: float, kept: Tensor) -> Tensor:
    return kept * plain + (1 - kept) * plain / factor


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, d, theta, sizes in ((2, 128, 500_000.0, (8.0, 1.0, 4.0, 8192)), (1, 64, 10_000.0, (32.0, 1.5, 6.0, 512))):
        plain = theta ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
        noise = 1 + 0.1 * torch.rand(d // 2, generator=generator, dtype=torch.float64)
        cases.append(Case(tp, (plain * noise, *sizes)))
    return cases


def _no_ramp(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return _mixed(plain, factor, (_kept(plain, low, high, trained) == 1).to(plain))


def _fast_divided(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return _mixed(plain, factor, 1 - _kept(plain, low, high, trained))


def _multiplied(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return _mixed(plain, 1 / factor, _kept(plain, low, high, trained))


def _all_divided(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return plain / factor


def _no_two_pi(plain: Tensor, factor: float, low: float, high: float, trained: int) -> Tensor:
    return _mixed(plain, factor, _kept(2 * math.pi * plain, low, high, trained))


LLAMA3_FREQUENCIES = Exercise(
    number="12.3",
    name="llama3_frequencies",
    points=8,
    difficulty=2,
    minutes=8,
    reference=llama3_frequencies,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "no ramp between",
            _no_ramp,
            "Between low and high turns you divided the whole frequency. There a share s of it is kept, "
            "s = (turns − low) / (high − low), and the rest is divided: s · f + (1 − s) · f / factor. Without the ramp "
            "two neighbouring pairs of a head can turn at speeds that are a factor apart.",
            "the frequencies with more than low and fewer than high turns.",
        ),
        Mutant(
            "fast and slow exchanged",
            _fast_divided,
            "You divided the fast frequencies and kept the slow ones. The fast ones tell neighbours apart and stay. "
            "The slow ones have not made a full turn in training, and are stretched so that a longer text fits in.",
            "turns above high: share 1 is kept. Turns below low: share 0.",
        ),
        Mutant(
            "multiplied by factor",
            _multiplied,
            "You multiplied the slow frequencies by factor. They are radians a token, and the text gets longer: each "
            "token must turn the hand by less. A wavelength would be multiplied.",
            "frequency / factor.",
        ),
        Mutant(
            "all divided",
            _all_divided,
            "You divided all frequencies by factor. That is linear position interpolation, an older way: it also slows "
            "the fast pairs, by which the model tells a token from its neighbour.",
            "which frequencies must stay as they are.",
        ),
        Mutant(
            "2π forgotten",
            _no_two_pi,
            "You took trained · frequency for the number of turns. That is radians. A turn has 2π of them, and low and "
            "high count turns.",
            "turns = trained · frequency / (2π), which is trained / wavelength.",
        ),
    ),
)
