"""Exercise 11.5: the dense model's gradient norm, from shards and copies, with one all-reduce of one number."""

import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch11_llama_block.drive import of_number
from tplearn.checks.ch11_llama_block.gradients_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick, randn
from tplearn.ranks import per_rank


def gradient_norm(gradients: list[Tensor], copies: list[int]) -> Tensor:
    """gradients: this rank's; copies[i]: on how many neighbouring ranks the same gradients[i] is → the norm."""
    total = sum(g.square().sum() / n for g, n in zip(gradients, copies, strict=True))
    dist.all_reduce(total)
    return total.sqrt()


def _cases(generator: Generator) -> list[Case]:
    """A shard and words on each rank, a norm's weight on all, KV heads on some; then a last rank without words."""
    cases = []
    for tp, kv_copies, last in ((1, 1, 2), (2, 1, 2), (3, 3, 2), (4, 2, 2), (2, 2, 0), (4, 2, 0)):
        shards = one_each(tp, generator, pick(generator, 3, 5), 6)
        norm = 3 * randn(generator, 6)
        kv = [2 * randn(generator, 2, 4, 6) for _ in range(tp // kv_copies)]
        words = [randn(generator, rows, 5) for rows in [2] * (tp - 1) + [last]]
        own = [[shards[r], norm.clone(), kv[r // kv_copies].clone(), words[r]] for r in range(tp)]
        label = "" if last else "no words on the last rank"
        cases.append(Case(tp, (per_rank(own), [1, tp, kv_copies, 1]), label=label))
    return cases


GRADIENT_NORM = Exercise(
    number="11.5",
    name="gradient_norm",
    points=10,
    difficulty=2,
    minutes=10,
    reference=gradient_norm,
    cases=_cases,
    observe=of_number,
    ranks=True,
    mutants=MUTANTS,
    ready=("tplearn.parallel.gradients",),
)
