"""Exercise 07.1: first values that are the dense layer's own slice, also where the cut does not come out even."""

from functools import partial

import torch
from torch import nn

from tplearn.checks.ch07_mlp_on_gloo import draws
from tplearn.checks.ch07_mlp_on_gloo.drive import first_values
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, Group, Shard, bounds
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.groups import named
from tplearn.checks.inputs import pick


def init_shard(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
    """This rank's slice of nn.Linear(in_features, out_features), as tensors of their own."""
    dense = nn.Linear(in_features, out_features)
    weight, bias = dense.weight.detach(), dense.bias.detach()
    start, stop = bounds(out_features if cut == "outputs" else in_features, group)
    if cut == "outputs":
        return weight[start:stop].clone(), bias[start:stop].clone()
    return weight[:, start:stop].clone(), bias.clone()


def _cases(generator: torch.Generator) -> list[Case]:
    """Each cut with a remainder of 1 and with the largest one, and with fewer numbers than ranks."""
    cases = []
    for tp, groups in LAYOUTS:
        for cut in ("outputs", "inputs"):
            for rest in (1, tp - 1) if groups is None and tp > 2 else (1,):
                size = tp * pick(generator, 3, 6) + rest
                cases.append(_case(generator, tp, cut, groups, size, f"remainder {rest}"))
    few = [_case(generator, 4, cut, None, 3, "3 numbers") for cut in ("outputs", "inputs")]
    return cases + few


def _case(generator: torch.Generator, tp: int, cut: str, groups: tuple | None, size: int, what: str) -> Case:
    other = 30 + pick(generator, 0, 9)
    sizes = (other, size) if cut == "outputs" else (size, other)
    label = ", ".join(filter(None, (f'cut = "{cut}"', what if tp > 1 else "", named(groups))))
    return Case(tp, (*sizes, cut, groups, pick(generator, 1, 10**6)), label=label)


INIT_SHARD = Exercise(
    number="07.1",
    name="init_shard",
    points=10,
    difficulty=2,
    minutes=12,
    reference=init_shard,
    cases=_cases,
    observe=first_values,
    ranks=True,
    mutants=(
        Mutant(
            "same-seed shards",
            draws.same_seed,
            "Every rank drew a small layer of its own, from the random state that all ranks share, so all shards "
            "begin with the same numbers. Joined, the weight repeats itself: the layer is narrower than it says.",
            "what is drawn: the dense layer on every rank, of which each keeps another slice.",
        ),
        Mutant(
            "a seed for each rank",
            draws.own_seed,
            "You gave each rank a seed of its own and let it draw its shard. The shards differ now, but they are no "
            "slices of the dense layer; and where inputs are cut, a small nn.Linear takes its bound from the shard's "
            "inputs, which makes the numbers about √p times too large.",
            "the layer that is drawn: nn.Linear(in_features, out_features), the dense one, from the shared state.",
        ),
        Mutant(
            "bound of the shard",
            draws.wide,
            "Where the inputs are cut your numbers are too large, by about √p. Their bound came from the number of "
            "inputs that the shard has. It is a property of the dense layer: 1/√in_features.",
            "the fan-in in the bound: in_features.",
        ),
        Mutant(
            "bias cut with the inputs",
            partial(draws.drawn, cut_bias=True),
            "You cut the bias also where the inputs are cut. There every rank ends with all outputs, and the whole "
            "bias is added to them once: it is a copy on every rank.",
            'the bias where cut is "inputs".',
        ),
        Mutant(
            "bias whole with the outputs",
            partial(draws.drawn, cut_bias=False),
            "You kept the whole bias where the outputs are cut. Each output has its own number of the bias: the bias "
            "is cut as the rows of the weight are.",
            'the bias where cut is "outputs".',
        ),
        Mutant(
            "the other dimension",
            draws.other_dim,
            "You cut the other dimension. nn.Linear keeps its weight as [out, in]: cutting the outputs is dim 0, "
            "cutting the inputs is dim 1.",
            "the dim of the cut.",
        ),
        Mutant(
            "sent from rank 0",
            draws.from_rank_0,
            "The numbers are right, but one rank's were sent to the others. All ranks have the same random state: "
            "each can draw the dense layer alone, and nothing has to be sent.",
            "the ledger due: no collective.",
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
            "torch.chunk(n, p) makes chunks of ⌈n/p⌉, and where these are used up early it returns fewer than p: the "
            "last rank then has no chunk to take. torch.tensor_split always gives p, the first n mod p one longer.",
            "how many chunks torch.ones(3).chunk(2) and torch.ones(9).chunk(4) have.",
            alone=True,
        ),
        Mutant(
            "remainder on the last rank",
            partial(draws.drawn, own=draws.rest_last),
            "Your last rank holds what is left over, all of it. The rest is dealt to the first ranks, one each: no "
            "rank has more than one number more than another.",
            "the sizes: 11 on 3 ranks is 4, 4, 3.",
        ),
        Mutant(
            "remainder on the last ranks",
            partial(draws.drawn, own=draws.rest_spread_last),
            "Your shards are as even as they can be, but the longer ones are not the first. From r · n // p to (r + "
            "1) · n // p the later ranks come out longer; here the first n mod p ranks are.",
            "the sizes: 7 on 3 ranks is 3, 2, 2.",
        ),
        Mutant(
            "remainder on rank 0",
            partial(draws.drawn, own=draws.rest_first),
            "Rank 0 holds what is left over, all of it. The rest is dealt to the first ranks, one each: no rank has "
            "more than one number more than another.",
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
            "You cut over all ranks, whatever group was given. With a group of two in a world of four a rank holds "
            "half of the layer, not a quarter: rank and size are those in the group.",
            "dist.get_rank(group) and dist.get_world_size(group).",
        ),
        Mutant(
            "rank of the world in the group",
            partial(draws.drawn, own=draws.world_rank),
            "The number of shards is the group's, but the rank is the one in the world. In the group [2, 3] rank 2 is "
            "the first: dist.get_rank(group) gives 0 there, dist.get_rank() gives 2, and nothing is left from there "
            "on.",
            "dist.get_rank(group).",
        ),
        Mutant(
            "index of the world in the group",
            draws.indexed(torch.tensor_split, in_the_world=True),
            "You cut into as many shards as the group has ranks, and took the one with the rank's number in the "
            "world. In the group [2, 3] there are shards 0 and 1, and rank 2 asks for shard 2.",
            "dist.get_rank(group): a rank's place in the group.",
            alone=True,
        ),
        Mutant(
            "first shard on every rank",
            partial(draws.drawn, own=draws.first_shard),
            "Every rank kept the first rows (or columns) of the dense layer, which are those of the group's first "
            "rank. The others' belong to nobody.",
            "where a rank's slice starts.",
        ),
        Mutant(
            "bias of zeros",
            draws.zero_bias,
            "Your bias is zero. nn.Linear draws its bias too, right after the weight.",
            "dense.bias.",
        ),
        Mutant(
            "two layers drawn",
            draws.two_layers,
            "The weight is right, and the bias is that of a second layer: you called nn.Linear twice, and the second "
            "call draws on. Keep one dense layer, and take both from it.",
            "how often nn.Linear is called: once.",
        ),
        Mutant(
            "a view of the dense layer",
            draws.views,
            "The numbers are right, but your tensors are views: each keeps the whole dense tensor in memory, on every "
            "rank. And .contiguous() makes no copy of rows that lie side by side already.",
            ".clone().",
        ),
    ),
)
