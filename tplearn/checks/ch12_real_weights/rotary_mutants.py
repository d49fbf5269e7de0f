"""Wrong answers to exercise 12.2: the wrong way round, across heads, the wrong rows of a head, the wrong dimension."""

import torch
from torch import Tensor

from tplearn.checks.exercise import mutants_of


def _converted(shard: Tensor, head_dim: int, rotary_dim: int, wrong: str) -> Tensor:
    """Rows in Hugging Face's order, with one thing `wrong`."""
    if wrong == "columns moved" and shard.ndim == 2:
        return shard[:, _pairs_apart(shard.shape[1])]
    if wrong == "across heads":
        return shard[_pairs_apart(len(shard))]
    if wrong == "a bias as it is" and shard.ndim == 1:
        return shard
    order = torch.arange(head_dim)
    if wrong == "the whole head":
        order = _pairs_apart(head_dim)
    elif wrong == "the last rows":
        order[head_dim - rotary_dim :] = head_dim - rotary_dim + _pairs_apart(rotary_dim)
    elif wrong == "halves of the head":
        first, second = _pairs_apart(rotary_dim).chunk(2)
        rest = torch.arange(rotary_dim, head_dim)
        gap = head_dim // 2 - len(first)
        order = torch.cat([first, rest[:gap], second, rest[gap:]])
    elif wrong == "the way back":
        order[:rotary_dim] = _pairs_apart(rotary_dim).argsort()
    elif wrong == "second of each pair first":
        order[:rotary_dim] = _pairs_apart(rotary_dim).roll(rotary_dim // 2)
    elif wrong == "pairs in reverse":
        order[:rotary_dim] = torch.arange(rotary_dim).flip(0)
    elif wrong == "rotary rows alone":
        order = _pairs_apart(rotary_dim)
    elif wrong not in ("taken as it is", "heads and numbers exchanged"):
        order[:rotary_dim] = _pairs_apart(rotary_dim)
    heads = shard.unflatten(0, (-1, head_dim))[:, order]
    return (heads.transpose(0, 1) if wrong == "heads and numbers exchanged" else heads).flatten(0, 1)


def _pairs_apart(n: int) -> Tensor:
    """0, 2, 4, …, 1, 3, 5, …"""
    return torch.cat([torch.arange(0, n, 2), torch.arange(1, n, 2)])


MUTANTS = mutants_of(
    _converted,
    (
        "taken as it is",
        "You left Meta's order: there the rows 2i and 2i + 1 of a head turn together. Hugging Face's code turns rows "
        "i and i + rotary/2. Every shape is right, and every query and key is turned by wrong angles.",
        "which two rows of a head make a pair before, and which after.",
    ),
    (
        "a bias as it is",
        "The bias stayed in Meta's order. It is added to what the rows of the weight give, number by number: where "
        "rows move, the numbers of the bias move with them.",
        "a shard of one dimension.",
    ),
    (
        "the whole head",
        "You rearranged whole heads. Only the first rotary_dim rows of a head turn; the others have no partner and "
        "stay where they are.",
        "rotary_dim, where it is smaller than head_dim.",
    ),
    (
        "the last rows",
        "You rearranged the last rotary_dim rows of each head. It is the first ones that turn.",
        "the slice of each head: its first rotary_dim rows.",
    ),
    (
        "halves of the head",
        "You put the second rows of the pairs half a head further on. They belong half of the turning rows further "
        "on: i and i + rotary/2. What does not turn comes after them.",
        "rotary_dim // 2, not head_dim // 2.",
    ),
    (
        "rotary rows alone",
        "You returned the rows that turn, and dropped the others.",
        "the rows from rotary_dim on: they stay where they are.",
    ),
    (
        "the way back",
        "That is the way from Hugging Face to Meta. You split the turning rows into two halves and interleaved them; "
        "it is the other way round. For 4 turning rows both are the same, so a small test does not see it.",
        "a table of pairs, [rotary/2, 2]: the pair comes last, because its two rows are neighbours.",
    ),
    (
        "second of each pair first",
        "The second row of each pair comes first in yours. A pair (a, b) turns to (a cos − b sin, b cos + a sin): "
        "exchanged, it turns the other way.",
        "the first of each pair, then the second of each.",
    ),
    (
        "pairs in reverse",
        "You reversed the rows. Rows 2i and 2i + 1 become rows i and i + rotary/2.",
        "the first of each pair, then the second of each.",
    ),
    (
        "across heads",
        "You took all even rows of the shard, then all odd ones. That mixes the heads: each is put in order by "
        "itself. With one head it would have been right, where all of it turns.",
        "the first dimension after unflatten: the heads stay where they are.",
    ),
    (
        "columns moved",
        "You moved the columns. They are the numbers of x, which nobody turns. A query's numbers are the rows of its "
        "weight, [out, in].",
        "the dimension that you unflatten: 0.",
    ),
    (
        "heads and numbers exchanged",
        "You exchanged heads and their rows: first row of each head, then second row of each. Within a head the pairs "
        "and the two of a pair change places; the heads do not move.",
        "transpose(1, 2), with the heads as dimension 0.",
    ),
)
