"""Exercise 05.4: agree on the root, then broadcast."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def _scores(score: Tensor) -> Tensor:
    scores = [torch.empty_like(score) for _ in range(dist.get_world_size())]
    dist.all_gather(scores, score)
    return torch.cat(scores)


def _from(root: int, settings: Tensor) -> Tensor:
    shared = settings.clone()
    dist.broadcast(shared, src=root)
    return shared


def share_settings(score: Tensor, settings: Tensor) -> Tensor:
    """score: [1], settings: [n] -> the settings of the rank with the highest score, on every rank."""
    return _from(int(_scores(score).argmax()), settings)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, best, worst in ((1, 0, 0), (2, 1, 0), (4, 2, 3)):
        scores = 0.6 + 0.1 * torch.rand(tp, 1, generator=generator, dtype=torch.float64)
        scores[worst] = 0.55
        scores[best] = 0.9
        cases.append(Case(tp, (per_rank(list(scores)), per_rank(one_each(tp, generator, 4)))))
    return cases


def _own_root(score: Tensor, settings: Tensor) -> Tensor:
    return _from(dist.get_rank() if score > 0.5 else 0, settings)


def _always_rank_0(score: Tensor, settings: Tensor) -> Tensor:
    return _from(0, settings)


def _lowest_score(score: Tensor, settings: Tensor) -> Tensor:
    return _from(int(_scores(score).argmin()), settings)


def _average(score: Tensor, settings: Tensor) -> Tensor:
    shared = settings.clone()
    dist.all_reduce(shared)
    return shared / dist.get_world_size()


def _in_place(score: Tensor, settings: Tensor) -> Tensor:
    dist.broadcast(settings, src=int(_scores(score).argmax()))
    return settings


SHARE_SETTINGS = Exercise(
    number="05.4",
    name="share_settings",
    points=10,
    difficulty=1,
    minutes=8,
    reference=share_settings,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "different roots",
            _own_root,
            "Each rank decides from its own score who the root is, so the ranks disagree. Everybody speaks, nobody "
            "listens.",
            "the root must be computed from something that is the same on every rank: all the scores.",
            alone=True,
        ),
        Mutant(
            "rank 0 is the boss",
            _always_rank_0,
            "All ranks agree on a root, so nothing hangs. But you took rank 0, whatever its score. Rank 0 is not "
            "special.",
            "src=0. The scores are not used.",
        ),
        Mutant(
            "lowest score",
            _lowest_score,
            "You shared the settings of the rank with the lowest score.",
            "argmin or argmax.",
        ),
        Mutant(
            "average",
            _average,
            "You averaged the settings of all ranks. The settings of one rank were asked for, as they are.",
            "all_reduce mixes; broadcast copies.",
        ),
        Mutant(
            "input changed in place",
            _in_place,
            "The right settings reach everybody, but broadcast wrote them over this rank's own. The caller may still "
            "need them.",
            "broadcast fills the tensor that it is given: give it a clone.",
        ),
    ),
)
