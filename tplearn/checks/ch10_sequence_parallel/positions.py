"""Exercise 10.4: where a rank's new tokens stand in the text, and where those stand that attention sees as new."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch10_sequence_parallel.drive import two_positions
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank

Positions = tuple[Tensor, Tensor]


def positions_of_rank(x_shard: Tensor, before: int) -> Positions:
    """x_shard: [batch, seq/p, hidden] → positions of its tokens [seq/p]; of all that the gather brings [seq]."""
    n = x_shard.shape[1]
    return before + dist.get_rank() * n + torch.arange(n), before + torch.arange(dist.get_world_size() * n)


def _positions(x_shard: Tensor, before: int, wrong: str) -> Positions:
    """The same, with one thing `wrong`."""
    batch, n, hidden = x_shard.shape
    n = {"batch for tokens": batch, "hidden for tokens": hidden}.get(wrong, n)
    p, rank = dist.get_world_size(), dist.get_rank()
    own, gathered = before + rank * n + torch.arange(n), before + torch.arange(p * n)
    if wrong == "shard taken for the sequence":
        return before + rank * (n // p) + torch.arange(n // p), before + torch.arange(n)
    return {
        "local positions everywhere": (torch.arange(n), torch.arange(n)),
        "local positions after the old ones": (before + torch.arange(n), before + torch.arange(n)),
        "own tokens counted from the start": (before + torch.arange(n), gathered),
        "own tokens counted from 0": (torch.arange(n), gathered),
        "attention's positions cut": (own, own),
        "before forgotten": (own - before, gathered - before),
        "before forgotten for own tokens": (own - before, gathered),
        "before forgotten for attention": (own, gathered - before),
        "old tokens among the new": (own, torch.arange(before + p * n)),
        "old tokens on every rank": (own + before * (p - 1), gathered + before * (p - 1)),
        "offset by the rank": (before + rank + torch.arange(n), gathered),
        "before on every rank": (rank * (before + n) + torch.arange(n), gathered),
        "dealt out": (before + rank + p * torch.arange(n), gathered),
        "counted from 1": (own + 1, gathered + 1),
        "results exchanged": (gathered, own),
        "ranks in reverse": (before + (p - 1 - rank) * n + torch.arange(n), gathered),
    }.get(wrong, (own, gathered))


def _cases(generator: Generator) -> list[Case]:
    """Positions that begin at 0 in one kind of case only, and shards that a mistaken cut leaves even."""
    cases = []
    for tp in (1, 2, 3, 4):
        for before in (0, pick(generator, 11, 17)):
            x = one_each(tp, generator, 2, 2 * tp + 1, 5 + 8 * tp)
            cases.append(Case(tp, (per_rank(x), before), label="before = 0" * (not before)))
    return cases


OWN = "the first result: the tokens before this rank's are missing from it, old ones and those of lower ranks."

POSITIONS_OF_RANK = Exercise(
    number="10.4",
    name="positions_of_rank",
    points=5,
    difficulty=1,
    minutes=6,
    reference=positions_of_rank,
    cases=_cases,
    observe=two_positions,
    ranks=True,
    mutants=mutants_of(
        _positions,
        (
            "local positions everywhere",
            "You counted from 0 on every rank, and only as far as the shard goes. After the all-gather there are p "
            "times as many tokens: RoPE gets tables that are too short (huggingface/transformers#32597), and every "
            "rank takes its first token for the first of the text.",
            "x_shard.shape[1] is seq/p, for both results.",
        ),
        (
            "local positions after the old ones",
            "You counted as far as the shard goes, on every rank alike. Own tokens begin after those of the lower "
            "ranks, and after the all-gather there are p times as many.",
            "x_shard.shape[1] is seq/p, for both results.",
        ),
        (
            "own tokens counted from the start",
            "Attention's positions are right. But own tokens begin at the same position on every rank: rank 1's first "
            "token stands seq/p further. A position embedding added to the shard, or a loss mask, would be wrong on "
            "all ranks but the first.",
            OWN,
        ),
        (
            "own tokens counted from 0",
            "Attention's positions are right. But own tokens begin at 0 on every rank: the old tokens stand before "
            "them, and those of the lower ranks.",
            OWN,
        ),
        (
            "old tokens on every rank",
            "You counted the old tokens once for each rank. before is their number in the whole text: as many stand "
            "before the new ones, on every rank.",
            "before, without a factor p.",
        ),
        (
            "attention's positions cut",
            "The positions of your own tokens are right, but attention runs after the all-gather and sees the whole "
            "new sequence, on every rank.",
            "the second result: it is the same on every rank.",
        ),
        (
            "before forgotten",
            "You left `before` out: new tokens stand after the old ones, whose keys lie in the cache.",
            "where both results begin.",
        ),
        (
            "before forgotten for own tokens",
            "Own tokens are counted from the first new one. Their positions in the text begin after the old tokens: "
            "the same `before` as in the second result.",
            "where the first result begins.",
        ),
        (
            "before forgotten for attention",
            "Attention's positions begin at 0. The new tokens stand after the old ones, whose keys lie in the cache, "
            "turned already.",
            "where the second result begins.",
        ),
        (
            "old tokens among the new",
            "Your second result has the old tokens too. Their keys lie in the cache and were turned when they were "
            "new: what the all-gather brings are the new tokens alone.",
            "the second result: seq positions, from before on.",
        ),
        (
            "offset by the rank",
            "You added the rank to the positions. Before rank r's tokens stand r · seq/p others, not r.",
            "the offset: rank times the tokens of one rank.",
        ),
        (
            "before on every rank",
            "You counted the old tokens once for each lower rank: rank · (before + n). They stand before all of them, "
            "once.",
            "before + rank · n.",
        ),
        (
            "dealt out",
            "You took the tokens to be dealt out one by one. A rank's tokens are one run: an all-gather along the "
            "sequence puts the shards one after the other.",
            "the first result: neighbours differ by 1.",
        ),
        ("counted from 1", "You counted from 1. The first token of a text stands at position 0.", "both results."),
        ("ranks in reverse", "Your first result begins at the other end: rank 0 has the first tokens.", OWN),
        ("results exchanged", "You returned the two results in the other order: own tokens come first.", "the return."),
        (
            "shard taken for the sequence",
            "You took x_shard for the whole sequence and divided its length by the ranks. It is this rank's shard "
            "already.",
            "x_shard.shape[1] is seq/p.",
        ),
        ("batch for tokens", "You counted the texts of the batch, dim 0. Tokens lie along dim 1.", "x_shard.shape[1]."),
        (
            "hidden for tokens",
            "You counted the hidden numbers, the last dim. Tokens lie along dim 1.",
            "x_shard.shape[1].",
        ),
    ),
)
