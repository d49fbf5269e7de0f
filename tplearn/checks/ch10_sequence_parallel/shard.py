"""Exercise 10.1: a whole sequence in, this rank's tokens out, and the gradients of all tokens back, in any group."""

import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch10_sequence_parallel.drive import in_a_group
from tplearn.checks.ch10_sequence_parallel.shard_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import members, named
from tplearn.checks.inputs import one_each, one_of, randn
from tplearn.parallel import scatter_to_group
from tplearn.parallel.place import Group
from tplearn.ranks import per_rank

BATCH, HIDDEN = 12, 24  # both divide by every group, so that a cut along the wrong dim comes out even


def shard_sequence(x: Tensor, group: Group) -> Tensor:
    """x: [batch, seq, hidden], the same on every rank of the group → [batch, seq/p, hidden], this rank's tokens."""
    p = dist.get_world_size(group)
    if x.shape[1] % p:
        raise ValueError(f"a sequence of {x.shape[1]} tokens cannot be cut over {p} ranks")
    return scatter_to_group(x, dim=1, group=group)


def _cases(generator: Generator) -> list[Case]:
    pairs = [[0, 2], [1, 3]]
    odd = 2 * one_of(generator, (3, 4, 5)) + 1
    kinds = [  # tp, groups, tokens
        *((1, None, 5), (2, None, 10), (3, None, 15), (4, None, 20)),
        *((2, None, odd), (3, None, 2), (4, None, one_of(generator, (6, 9, 11)))),
        *((4, pairs, 8), (4, pairs, 2 * one_of(generator, (3, 5, 7))), (4, pairs, odd)),
    ]
    cases = []
    for tp, groups, tokens in kinds:
        own = members(groups, tp)
        whole = {tuple(ranks): randn(generator, BATCH, tokens, HIDDEN) for ranks in own}
        upstream = one_each(tp, generator, BATCH, tokens // len(own[0]), HIDDEN)
        x = [whole[tuple(ranks)].clone() for ranks in own]
        rest = "a sequence that does not divide" * bool(tokens % len(own[0]))
        label = ", ".join(filter(None, (named(groups), rest)))
        cases.append(Case(tp, (groups, per_rank(upstream), per_rank(x)), label=label))
    return cases


SHARD_SEQUENCE = Exercise(
    number="10.1",
    name="shard_sequence",
    points=10,
    difficulty=1,
    minutes=8,
    reference=shard_sequence,
    cases=_cases,
    observe=in_a_group,
    ranks=True,
    mutants=MUTANTS,
)
