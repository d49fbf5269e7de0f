"""Exercise 10.1: a whole sequence in, this rank's tokens out, and the gradients of all tokens back."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch10_sequence_parallel.observers import with_refusal
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.parallel import scatter_to_group
from tplearn.ranks import per_rank


def shard_sequence(x: Tensor) -> Tensor:
    """x: [batch, seq, hidden], the same on every rank -> [batch, seq/p, hidden], this rank's tokens."""
    p = dist.get_world_size()
    if x.shape[1] % p:
        raise ValueError(f"a sequence of {x.shape[1]} tokens cannot be split over {p} ranks")
    return scatter_to_group(x, dim=1)


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp, sequence in ((1, 3), (2, 6), (3, 9), (4, 8), (2, 7)):
        x = randn(generator, 2, sequence, 12)
        upstream = [randn(generator, 2, sequence // tp, 12) for _ in range(tp)]
        cases.append(Case(tp, (per_rank(upstream), x)))
    return cases


def _remainder_dropped(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    return scatter_to_group(x[:, : x.shape[1] // p * p], dim=1)


def _uneven(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    return shard_sequence(x) if x.shape[1] % p == 0 else x.tensor_split(p, dim=1)[dist.get_rank()].clone()


def _sizes_not_named(x: Tensor) -> Tensor:
    if x.shape[1] % dist.get_world_size():
        raise ValueError("the sequence does not divide")
    return shard_sequence(x)


def _plain_slice(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    if x.shape[1] % p:
        return shard_sequence(x)
    return x.chunk(p, dim=1)[dist.get_rank()].clone()


def _hidden_cut(x: Tensor) -> Tensor:
    return scatter_to_group(x, dim=-1) if x.shape[1] % dist.get_world_size() == 0 else shard_sequence(x)


def _by_turns(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    if x.shape[1] % p:
        return shard_sequence(x)
    order = torch.arange(x.shape[1]).view(-1, p).T.flatten()  # 0, p, 2p, ... first
    return scatter_to_group(x[:, order], dim=1)


SHARD_SEQUENCE = Exercise(
    number="10.1",
    name="shard_sequence",
    points=10,
    difficulty=1,
    minutes=8,
    reference=shard_sequence,
    cases=_cases,
    observe=with_refusal,
    ranks=True,
    mutants=(
        Mutant(
            "a plain slice",
            _plain_slice,
            "Each rank has the right tokens, but the gradients stop there: a slice knows nothing of the other ranks' "
            "tokens and returns zeros for them. What made x is a copy on every rank and needs the gradients of all "
            "tokens: one all-gather backward.",
            "how x becomes its part. A slice has no collective in its backward pass.",
        ),
        Mutant(
            "remainder dropped",
            _remainder_dropped,
            "Where the sequence does not divide, you cut off its last tokens without a word. 7 tokens on 2 ranks came "
            "back as 6: the model never sees the last one.",
            "7 tokens on 2 ranks. Raise a ValueError that names both sizes.",
        ),
        Mutant(
            "uneven shards",
            _uneven,
            "Where the sequence does not divide, your ranks get different numbers of tokens. Collectives take equal "
            "shapes: the next all-gather hangs or mixes tokens up (pytorch/torchtitan#1306).",
            "7 tokens on 2 ranks. Raise a ValueError that names both sizes.",
        ),
        Mutant(
            "sizes not named",
            _sizes_not_named,
            "You refuse a sequence that does not divide, and do not say which sizes met. Whoever reads the message "
            "has a long run behind them and needs the two numbers.",
            "the text of the ValueError: it must hold the sequence length and the number of ranks.",
        ),
        Mutant(
            "hidden cut",
            _hidden_cut,
            "You cut the hidden dimension (the last one) instead of the sequence. A norm needs all the numbers of a "
            "token, so no rank could go on.",
            "dim. In [batch, seq, hidden] the sequence is dim 1.",
        ),
        Mutant(
            "tokens by turns",
            _by_turns,
            "You deal the tokens out by turns: rank r has tokens r, r + p, and so on. An all-gather puts shards one "
            "after the other, so the sequence would come back in another order.",
            "rank r owns the tokens from r · seq/p up to (r + 1) · seq/p.",
        ),
    ),
)
