"""Wrong answers to 05.4: the settings of the best rank for all."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Mutant


def _scores(score: Tensor) -> Tensor:
    scores = [torch.empty_like(score) for _ in range(dist.get_world_size())]
    dist.all_gather(scores, score)
    return torch.cat(scores)


def _from(root: int, settings: Tensor) -> Tensor:
    shared = settings.clone()
    dist.broadcast(shared, src=root)
    return shared


def _one_list_entry(score: Tensor, settings: Tensor) -> Tensor:
    """p names for one tensor: the last score that arrives is the only one left, and all entries are equal."""
    scores = [torch.empty_like(score)] * dist.get_world_size()
    dist.all_gather(scores, score)
    return _from(int(torch.cat(scores).argmax()), settings)


def _only_the_root(score: Tensor, settings: Tensor) -> Tensor:
    root = int(_scores(score).argmax())
    return _from(root, settings) if dist.get_rank() == root else settings.clone()


def _average(score: Tensor, settings: Tensor) -> Tensor:
    shared = settings.clone()
    dist.all_reduce(shared)
    return shared / dist.get_world_size()


def _sum_of_masked(score: Tensor, settings: Tensor) -> Tensor:
    shared = settings * (dist.get_rank() == int(_scores(score).argmax()))
    dist.all_reduce(shared)
    return shared


def _sum_where_best(score: Tensor, settings: Tensor) -> Tensor:
    best = score.clone()
    dist.all_reduce(best, op=dist.ReduceOp.MAX)
    shared = settings * (score == best)
    dist.all_reduce(shared)
    return shared


def _everybodys_settings(score: Tensor, settings: Tensor) -> Tensor:
    everybody = [torch.empty_like(settings) for _ in range(dist.get_world_size())]
    dist.all_gather(everybody, settings)
    return everybody[int(_scores(score).argmax())]


def _own(score: Tensor, settings: Tensor) -> Tensor:
    _from(int(_scores(score).argmax()), settings)
    return settings.clone()


def _in_place(score: Tensor, settings: Tensor) -> Tensor:
    dist.broadcast(settings, src=int(_scores(score).argmax()))
    return settings


MUTANTS = (
    Mutant(
        "different roots",
        lambda score, settings: _from(dist.get_rank() if score > 0.5 else 0, settings),
        "Each rank decides from what it alone knows, such as its own score, who the root is, so the ranks disagree. "
        "Several speak, or all listen to somebody who listens too.",
        "the root must be computed from something that is the same on every rank: all the scores.",
        alone=True,
    ),
    Mutant(
        "every rank its own root",
        lambda score, settings: _from(dist.get_rank(), settings),
        "The ranks name different roots: each goes by what it alone knows, such as its own number, or whether it is "
        "the best itself. So several speak and nobody listens to them, or one speaks to ranks that listen to another.",
        "src: it must be computed from something that is the same on every rank, all the scores.",
        alone=True,
    ),
    Mutant(
        "only the root comes",
        _only_the_root,
        "Only the best rank calls broadcast. A collective is an appointment of all ranks: those who listen call it "
        "too, with the same src.",
        "an if around the broadcast.",
        alone=True,
    ),
    Mutant(
        "rank 0 in spite of the scores",
        _one_list_entry,
        "The scores were gathered, and yet every rank took rank 0 as the root. Either the list holds one tensor p "
        "times ([t] * p makes p names for one tensor, so that all scores are equal in the end), or what is compared "
        "is not all ranks' scores as they are: int(score), for one, makes 0 of both 0.4 and 0.7.",
        "[torch.empty_like(score) for _ in range(p)], and what is compared.",
    ),
    Mutant(
        "nobody beats zero",
        lambda score, settings: _from(int(_scores(score).clamp(min=0).argmax()), settings),
        "Right where the best score is positive. Where all are negative you took rank 0: nobody beats a search that "
        "starts from a best score of 0.",
        "the first value of the search: rank 0's score, or −∞.",
    ),
    Mutant(
        "rank 0 is the boss",
        lambda score, settings: _from(0, settings),
        "All ranks agree on a root, so nothing hangs. But you took rank 0, whatever its score. Rank 0 is not special.",
        "src=0. The scores are not used.",
    ),
    Mutant(
        "last rank",
        lambda score, settings: _from(dist.get_world_size() - 1, settings),
        "All ranks agree on a root, so nothing hangs. But you took the last rank, whatever its score.",
        "the src. The scores are not used.",
    ),
    Mutant(
        "lowest score",
        lambda score, settings: _from(int(_scores(score).argmin()), settings),
        "You shared the settings of the rank with the lowest score.",
        "argmin or argmax.",
    ),
    Mutant(
        "highest score without its sign",
        lambda score, settings: _from(int(_scores(score).abs().argmax()), settings),
        "You compared the scores without their signs. They may be negative: −1 is higher than −2.",
        "abs, or a square.",
    ),
    Mutant(
        "scores in float32",
        lambda score, settings: _from(int(_scores(score.float()).argmax()), settings),
        "Right where the scores lie apart. Two that are close are one number in float32, and the best is not found.",
        "the dtype in which the scores are compared.",
    ),
    Mutant(
        "average",
        _average,
        "You averaged the settings of all ranks. The settings of one rank were asked for, as they are.",
        "all_reduce mixes; broadcast copies.",
    ),
    Mutant(
        "the own settings",
        _own,
        "Every rank returns its own settings. What the broadcast brought is not in your result.",
        "the tensor that broadcast has filled.",
    ),
    Mutant(
        "everybody's settings",
        _everybodys_settings,
        "The result is right, but every rank got everybody's settings, where one rank's are needed. Agree on the "
        "scores, which are small, and let one rank send its settings.",
        "the ledger due: one all_gather of the scores, one broadcast of the settings.",
    ),
    Mutant(
        "a sum with zeros",
        _sum_of_masked,
        "The result is right, and a broadcast would be cheaper: an all_reduce sends every number to one rank and back "
        "again, though all but one rank bring zeros.",
        "the ledger due: one all_gather of the scores, one broadcast of the settings.",
    ),
    Mutant(
        "a maximum, and a sum with zeros",
        _sum_where_best,
        "The result is right, and a broadcast would be cheaper. The maximum says how good the best score is, not whose "
        "it is, so the settings had to be found by a sum to which all but one rank bring zeros.",
        "the ledger due: one all_gather of the scores, which says who is best, and one broadcast of the settings.",
    ),
    Mutant(
        "input changed in place",
        _in_place,
        "The right settings reach everybody, but broadcast wrote them over this rank's own. The caller may still need "
        "them.",
        "broadcast fills the tensor that it is given: give it a clone.",
    ),
)
