"""Exercise 10.4: where a rank's tokens stand in the sequence, and which positions attention needs."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.ranks import per_rank


def positions_of_rank(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    """x_shard: [batch, seq/p, hidden] -> positions of its tokens [seq/p]; positions after the gather [seq]."""
    n = x_shard.shape[1]
    return dist.get_rank() * n + torch.arange(n), torch.arange(dist.get_world_size() * n)


def _cases(generator: torch.Generator) -> list[Case]:
    sizes = {1: 3, 2: 4, 3: 2, 4: 3}
    return [Case(tp, (per_rank([randn(generator, 2, n, 5) for _ in range(tp)]),)) for tp, n in sizes.items()]


def _local(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    own = torch.arange(x_shard.shape[1])
    return own, own


def _own_local(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    return torch.arange(x_shard.shape[1]), positions_of_rank(x_shard)[1]


def _attention_cut(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    own, _ = positions_of_rank(x_shard)
    return own, own


def _offset_by_rank(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    return dist.get_rank() + torch.arange(x_shard.shape[1]), positions_of_rank(x_shard)[1]


def _by_turns(x_shard: Tensor) -> tuple[Tensor, Tensor]:
    whole = positions_of_rank(x_shard)[1]
    return whole[dist.get_rank() :: dist.get_world_size()], whole


POSITIONS_OF_RANK = Exercise(
    number="10.4",
    name="positions_of_rank",
    points=5,
    difficulty=1,
    minutes=6,
    reference=positions_of_rank,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "local positions everywhere",
            _local,
            "You counted from 0 on every rank, and only as far as the shard goes. Behind the all-gather there are p "
            "times as many tokens: RoPE gets tables that are too short (huggingface/transformers#32597), and every "
            "rank takes its first token for the first of the text.",
            "x_shard.shape[1] is a part of the sequence, for both results.",
        ),
        Mutant(
            "own tokens counted from 0",
            _own_local,
            "Attention's positions are right. But your own tokens begin at 0 on every rank: rank 1's first token "
            "stands at seq/p. A position embedding added to the shard, or a loss mask, would be wrong on all ranks "
            "but the first.",
            "the first result: the tokens before this rank's are missing from it.",
        ),
        Mutant(
            "attention's positions cut",
            _attention_cut,
            "The positions of your own tokens are right, but attention runs behind the all-gather and sees the whole "
            "sequence, on every rank. It needs all positions, for its queries and its keys.",
            "the second result: it is the same on every rank.",
        ),
        Mutant(
            "offset by the rank",
            _offset_by_rank,
            "You added the rank to the positions. Before rank r's tokens stand r · seq/p others, not r.",
            "the offset: rank times the tokens of one rank.",
        ),
        Mutant(
            "tokens by turns",
            _by_turns,
            "You took the tokens to be dealt out by turns. A rank's tokens are one run: an all-gather along the "
            "sequence puts the shards one after the other.",
            "the first result: neighbours differ by 1.",
        ),
    ),
)
