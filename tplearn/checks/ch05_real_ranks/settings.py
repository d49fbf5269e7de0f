"""Exercise 05.4: agree on the root, then broadcast."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch05_real_ranks.wrong.settings import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank

MIDDLE = {"positive scores": 0.7, "negative scores": -2.0}
BEST_AND_WORST = {1: ((0, 0),), 2: ((1, 0), (0, 1)), 3: ((1, 0), (2, 1)), 4: ((2, 3), (1, 2))}


def share_settings(score: Tensor, settings: Tensor) -> Tensor:
    """score: [1], settings: [n] -> the settings of the rank with the highest score, on every rank."""
    scores = [torch.empty_like(score) for _ in range(dist.get_world_size())]
    dist.all_gather(scores, score)
    shared = settings.clone()
    dist.broadcast(shared, src=int(torch.cat(scores).argmax()))
    return shared


def _cases(generator: Generator) -> list[Case]:
    """All scores differ. Around 0.7, so that every rank thinks well of itself; all below zero; in the 12th digit."""
    cases = []
    for tp, several in BEST_AND_WORST.items():
        for (label, middle), (best, worst) in zip(MIDDLE.items(), several, strict=False):
            others = torch.rand(tp, 1, generator=generator, dtype=torch.float64).sort(dim=0).values
            scores = middle + 0.1 * others  # sorted: who is second must not depend on the seed
            scores[worst] = middle - 0.1
            scores[best] = middle + 0.2
            settings = one_each(tp, generator, pick(generator, 6, 9))
            cases.append(Case(tp, (per_rank(list(scores)), per_rank(settings)), label=label))
        if tp > 1:
            best, _ = several[0]
            scores = 0.7 - 1e-12 * torch.arange(1, tp + 1, dtype=torch.float64)[:, None]
            scores[best] = 0.7
            settings = one_each(tp, generator, pick(generator, 6, 9))
            cases.append(Case(tp, (per_rank(list(scores)), per_rank(settings)), label="scores that are close"))
    return cases


SHARE_SETTINGS = Exercise(
    number="05.4",
    name="share_settings",
    points=10,
    difficulty=1,
    minutes=8,
    reference=share_settings,
    cases=_cases,
    ranks=True,
    mutants=MUTANTS,
)
