"""Mutants of exercise 07.1: the right draw, and another slice of it."""

from functools import partial

import torch

from tplearn.checks.ch07_mlp_on_gloo import draws
from tplearn.checks.exercise import Mutant

CUTS = (
    Mutant(
        "the other dimension",
        draws.other_dim,
        "You cut the other dimension. nn.Linear keeps its weight as [out, in]: cutting the outputs is dim 0, cutting "
        "the inputs is dim 1.",
        "the dim of the cut.",
    ),
    Mutant(
        "shards of ⌈n/p⌉",
        partial(draws.drawn, own=draws.ceil),
        "Your shards have ⌈n/p⌉ numbers each, as torch.chunk makes them, until nothing is left for the last rank. "
        "Here the first n mod p ranks hold one more than the others, as with torch.tensor_split.",
        "the sizes: 7 on 3 ranks is 3, 2, 2; torch.chunk gives 3, 3, 1.",
    ),
    Mutant(
        "torch.chunk",
        draws.indexed(torch.chunk),
        "torch.chunk(n, p) makes chunks of ⌈n/p⌉, and where these are used up early it returns fewer than p: the last "
        "rank then has no chunk to take. torch.tensor_split always gives p, the first n mod p one longer.",
        "how many chunks torch.ones(3).chunk(2) and torch.ones(9).chunk(4) have.",
        alone=True,
    ),
    Mutant(
        "remainder on the last rank",
        partial(draws.drawn, own=draws.rest_last),
        "Your last rank holds what is left over, all of it. The rest is dealt to the first ranks, one each: no rank "
        "has more than one number more than another.",
        "the sizes: 11 on 3 ranks is 4, 4, 3.",
    ),
    Mutant(
        "remainder on the last ranks",
        partial(draws.drawn, own=draws.rest_spread_last),
        "Your shards are as even as they can be, but the longer ones are not the first. From r · n // p to (r + 1) · "
        "n // p the later ranks come out longer; here the first n mod p ranks are.",
        "the sizes: 7 on 3 ranks is 3, 2, 2.",
    ),
    Mutant(
        "remainder on rank 0",
        partial(draws.drawn, own=draws.rest_first),
        "Rank 0 holds what is left over, all of it. The rest is dealt to the first ranks, one each: no rank has more "
        "than one number more than another.",
        "the sizes: 11 on 3 ranks is 4, 4, 3.",
    ),
    Mutant(
        "remainder dropped",
        partial(draws.drawn, own=draws.floor),
        "Every rank has ⌊n/p⌋ numbers, and the last n mod p belong to nobody: outputs are lost, or inputs ignored.",
        "the sizes of all shards together.",
    ),
    Mutant(
        "cut over the world",
        partial(draws.drawn, own=draws.of_the_world),
        "You cut over all ranks, whatever group was given. With a group of two in a world of four a rank holds half "
        "of the layer, not a quarter: rank and size are those in the group.",
        "dist.get_rank(group) and dist.get_world_size(group).",
    ),
    Mutant(
        "size of the world",
        partial(draws.drawn, own=draws.world_size),
        "Your rank is the one in the group, but the number of shards is that of the world. With a group of two in a "
        "world of four a rank then holds a quarter, where it should hold half, and half of the layer belongs to "
        "nobody.",
        "dist.get_world_size(group).",
    ),
    Mutant(
        "None taken for one rank",
        draws.whole_without_group,
        "Where group is None you kept the whole layer. None is the default group, all ranks, as everywhere in "
        "torch.distributed.",
        "group = None.",
    ),
    Mutant(
        "rank of the world in the group",
        partial(draws.drawn, own=draws.world_rank),
        "The number of shards is the group's, but the rank is the one in the world. In the group [2, 3] rank 2 is the "
        "first: dist.get_rank(group) gives 0 there, dist.get_rank() gives 2, and nothing is left from there on.",
        "dist.get_rank(group).",
    ),
    Mutant(
        "rank of the world, modulo p",
        partial(draws.drawn, own=draws.world_rank_modulo),
        "You took the rank in the world modulo the size of the group for the rank in the group. In the groups [0, 1] "
        "and [2, 3] that is the same. In [0, 2] both ranks then have number 0, and hold the same shard.",
        "dist.get_rank(group).",
    ),
    Mutant(
        "index of the world in the group",
        draws.indexed(torch.tensor_split, in_the_world=True),
        "You cut into as many shards as the group has ranks, and took the one with the rank's number in the world. In "
        "the group [2, 3] there are shards 0 and 1, and rank 2 asks for shard 2.",
        "dist.get_rank(group): a rank's place in the group.",
        alone=True,
    ),
    Mutant(
        "shards padded to one size",
        draws.padded,
        "Your shards are filled up with zeros, so that all ranks have as many numbers. Here a shard is as long as it "
        "is: the first n mod p ranks hold one more.",
        "the sizes: 7 on 3 ranks is 3, 2, 2.",
    ),
    Mutant(
        "dealt like cards",
        draws.dealt,
        "Rank r holds the numbers r, r + p, r + 2p, … A shard is a run: the first ones belong to rank 0, the next "
        "ones to rank 1.",
        "slices with a step, such as [rank::p].",
    ),
    Mutant(
        "first shard on every rank",
        partial(draws.drawn, own=draws.first_shard),
        "Every rank kept the first rows (or columns) of the dense layer, which are those of the group's first rank. "
        "The others' belong to nobody.",
        "where a rank's slice starts.",
    ),
)
