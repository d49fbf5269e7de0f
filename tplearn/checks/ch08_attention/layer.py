"""Exercise 08.3: the attention layer on its own heads, with one f and one g around it."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import linear

from tplearn.checks.ch08_attention.inputs import BATCH, HIDDEN, SIZES, TOKENS, layer_shards
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import (
    apply_rotary,
    attend,
    copy_to_group,
    gather_from_group,
    reduce_from_group,
    rotary_tables,
    scatter_to_group,
)
from tplearn.ranks import per_rank

Project = Callable[[Tensor, Tensor, list[int]], list[Tensor]]


def _fused(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(linear(copy_to_group(x), qkv_shard).split(sizes, dim=-1))


def _to_heads(t: Tensor, head_dim: int) -> Tensor:
    """[batch, seq, heads·d] -> [batch, heads, seq, d]."""
    return t.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def _as_they_come(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attend(q, k, v)


def _with(
    project: Project = _fused,
    to_heads: Callable[[Tensor, int], Tensor] = _to_heads,
    pair: Callable[[Tensor, Tensor, Tensor], Tensor] = _as_they_come,
    before_output: Callable[[Tensor], Tensor] = lambda y: y,
    end: Callable[[Tensor], Tensor] = reduce_from_group,
    turn_keys: bool = True,
) -> Callable[..., Tensor]:
    """The layer, with one step of it replaced."""

    def answer(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, positions: Tensor, head_dim: int) -> Tensor:
        q_size = o_shard.shape[1]
        kv_size = (qkv_shard.shape[0] - q_size) // 2
        q, k, v = (to_heads(t, head_dim) for t in project(x, qkv_shard, [q_size, kv_size, kv_size]))
        cos, sin = rotary_tables(positions, head_dim)
        y = pair(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin) if turn_keys else k, v)
        return end(linear(before_output(y.transpose(1, 2).flatten(2)), o_shard))

    return answer


def tp_attention(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, positions: Tensor, head_dim: int) -> Tensor:
    """x: [batch, seq, hidden]; qkv_shard: [(q + 2·kv)·d, hidden]; o_shard: [hidden, q·d]; positions: [seq] → as x."""
    return _with()(x, qkv_shard, o_shard, positions, head_dim)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in SIZES:
        qkv_shards, o_shards, head_dim = layer_shards(generator, tp)
        x = randn(generator, BATCH, TOKENS, HIDDEN)
        cases.append(Case(tp, (x, per_rank(qkv_shards), per_rank(o_shards), torch.arange(TOKENS), head_dim)))
    return cases


def _without_f(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(linear(x, qkv_shard).split(sizes, dim=-1))


def _three_fs(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
    return [linear(copy_to_group(x), weight) for weight in qkv_shard.split(sizes)]


def _f_for_queries_only(x: Tensor, qkv_shard: Tensor, sizes: list[int]) -> list[Tensor]:
    q, k, v = qkv_shard.split(sizes)
    return [linear(copy_to_group(x), q), linear(x, k), linear(x, v)]


def _number_first(t: Tensor, head_dim: int) -> Tensor:
    return t.unflatten(-1, (head_dim, -1)).permute(0, 3, 1, 2)


def _by_turns(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    times = q.shape[1] // k.shape[1]
    return attend(q, k.repeat(1, times, 1, 1), v.repeat(1, times, 1, 1))


def _gather_and_cut(y: Tensor) -> Tensor:
    return scatter_to_group(gather_from_group(y, -1), -1)


def _end_open(y: Tensor) -> Tensor:
    return y


TP_ATTENTION = Exercise(
    number="08.3",
    name="tp_attention",
    points=15,
    difficulty=3,
    minutes=15,
    reference=tp_attention,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=(
        Mutant(
            "f missing",
            _with(project=_without_f),
            "Your forward is right and your gradient of x is not: it holds the share of this rank's heads alone. Every "
            "head reads all of x, so dx is a sum over ranks. copy_to_group makes that sum on the way back.",
            "what x passes through before the projection.",
        ),
        Mutant(
            "f for the queries only",
            _with(project=_f_for_queries_only),
            "The gradient that comes back through q is summed over ranks, what comes through k and v is not: dx lacks "
            "the other ranks' share. The ledger shows nothing, one all-reduce each way. This happened in "
            "bigcode-project/Megatron-LM#35, where the loss ended at 3.741 instead of 2.641.",
            "put one copy_to_group before all three projections.",
        ),
        Mutant(
            "one f for each projection",
            _with(project=_three_fs),
            "The numbers are right. You sent x through copy_to_group three times, for q, k and v, and each makes an "
            "all-reduce on the way back: 3 where 1 is due. Sum once, what all three send back.",
            "copy_to_group(x), once, before the fused projection.",
        ),
        Mutant(
            "never summed",
            _with(end=_end_open),
            "Each rank kept the share of its own heads. The output projection is cut by its inputs, so what it gives "
            "is a summand: reduce_from_group is due.",
            "the end: does rank 0's result depend on rank 1's heads?",
        ),
        Mutant(
            "heads gathered before the output projection",
            _with(before_output=_gather_and_cut),
            "The numbers are right, the ledger is not: you gathered all heads and then used your own part of them. The "
            "output projection is cut by its inputs and takes the heads as they lie. Two all-gathers too many.",
            "between attend and the output projection: nothing should be sent.",
        ),
        Mutant(
            "head_dim before heads",
            _with(to_heads=_number_first),
            "You read [heads·d] as d times heads. A head's numbers lie side by side: head 0 is numbers 0 to d − 1. "
            "Yours takes every heads-th number, a little of each head, as if head_dim had been split over the heads.",
            "unflatten(-1, (-1, head_dim)), then transpose(1, 2).",
        ),
        Mutant(
            "KV heads by turns",
            _with(pair=_by_turns),
            "Query head i went to KV head i mod kv. Query heads that share a KV head are neighbours, so it is "
            "i // (heads / kv). With one KV head on a rank the two are the same, which is why few tests see it.",
            "repeat_interleave, not repeat; attend does it by itself.",
        ),
        Mutant(
            "keys not turned",
            _with(turn_keys=False),
            "You turned the queries by their positions and left the keys as they are. The score must depend on the "
            "distance of two tokens, so both are turned. Values are not.",
            "apply_rotary: on q and on k.",
        ),
    ),
)
