"""Exercise 08.4: KV heads that several ranks hold: their gradients are summands, and are summed over the copies."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch08_attention.inputs import HIDDEN
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward
from tplearn.parallel import reduce_from_group
from tplearn.ranks import per_rank

Group = dist.ProcessGroup | None
SIZES = {1: (4, 2, 4), 2: (8, 4, 4), 3: (9, 1, 4), 4: (8, 2, 4)}  # copies: 1, 1, 3, 2


def sum_kv_gradients(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    """gradient: [(heads + 2·kv_heads)·d, hidden], of this rank's fused shard → the same, its KV rows summed."""
    queries, keys_and_values = gradient.split([heads * head_dim, 2 * kv_heads * head_dim])
    return torch.cat([queries, reduce_from_group(keys_and_values, group)])


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, (num_heads, num_kv_heads, head_dim) in SIZES.items():
        heads, kv_heads = num_heads // tp, max(1, num_kv_heads // tp)
        gradients = [randn(generator, (heads + 2 * kv_heads) * head_dim, HIDDEN) for _ in range(tp)]
        copies = max(1, tp // num_kv_heads)
        cases.append(Case(tp, (per_rank(gradients), head_dim, heads, kv_heads, copies)))
    return cases


def among_copies(fn: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Make the groups of ranks that hold the same KV heads, `copies` neighbours each, and hand over this rank's."""
    *arguments, copies = args
    groups = [dist.new_group(range(first, first + copies)) for first in range(0, dist.get_world_size(), copies)]
    return forward(fn, *arguments, groups[dist.get_rank() // copies])


def _not_summed(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    return gradient.clone()


def _mean(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    total = sum_kv_gradients(gradient, head_dim, heads, kv_heads, group)
    total[heads * head_dim :] /= dist.get_world_size(group)
    return total


def _queries_too(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    return reduce_from_group(gradient, group).clone()


def _over_all_ranks(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    return sum_kv_gradients(gradient, head_dim, heads, kv_heads, None)


def _keys_only(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    queries, keys, values = gradient.split([heads * head_dim, kv_heads * head_dim, kv_heads * head_dim])
    return torch.cat([queries, reduce_from_group(keys, group), values])


def _two_messages(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    queries, *both = gradient.split([heads * head_dim, kv_heads * head_dim, kv_heads * head_dim])
    return torch.cat([queries, *(reduce_from_group(part, group) for part in both)])


def _in_place(gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: Group) -> Tensor:
    if dist.get_world_size(group) > 1:
        dist.all_reduce(gradient[heads * head_dim :], group=group)
    return gradient


SUM_KV_GRADIENTS = Exercise(
    number="08.4",
    name="sum_kv_gradients",
    points=10,
    difficulty=2,
    minutes=10,
    reference=sum_kv_gradients,
    cases=_cases,
    observe=among_copies,
    ranks=True,
    mutants=(
        Mutant(
            "replicated KV gradients not summed",
            _not_summed,
            "Each copy of a KV head kept the gradient of its own query heads. The dense gradient is the sum over all "
            "query heads of the group, which sit on several ranks. Each copy then takes a step of its own, and the "
            "copies drift apart. A missing KV sum cost bigcode-project/Megatron-LM#35, #37 a loss of 3.741 for 2.641.",
            "the rows from heads · d on: what the other copies know is missing.",
        ),
        Mutant(
            "mean for sum",
            _mean,
            "You divided by the number of copies. The copies' gradients are not estimates of one number, as in data "
            "parallelism: each is the share of other query heads. They add up.",
            "the division.",
        ),
        Mutant(
            "query gradients summed too",
            _queries_too,
            "You summed the whole shard. The query rows of different ranks belong to different heads: their gradients "
            "are finished, and have nothing to do with each other.",
            "the first heads · d rows: leave them.",
        ),
        Mutant(
            "summed over all ranks",
            _over_all_ranks,
            "You summed over every rank. Ranks 0 and 1 hold KV head 0 and ranks 2 and 3 hold KV head 1, so you added "
            "gradients of different heads. Only the ranks with the same head form a sum: that is what group is for.",
            "the group argument.",
        ),
        Mutant(
            "values forgotten",
            _keys_only,
            "Your keys are summed and your values are not. Both are copied, so both gradients are summands.",
            "where the rows to sum end: 2 · kv_heads · d rows after the queries.",
        ),
        Mutant(
            "two messages",
            _two_messages,
            "The numbers are right. You sent keys and values one after the other, two all-reduces. They lie side by "
            "side in the shard: one message is enough.",
            "sum the block of keys and values at once.",
        ),
        Mutant(
            "gradient changed in place",
            _in_place,
            "Your sum is right, and gradient is not what it was: its last rows are a view, and all_reduce writes into "
            "its argument. Whoever calls you twice gets the sum of sums.",
            "sum a copy, or use reduce_from_group, which makes one.",
        ),
    ),
)
