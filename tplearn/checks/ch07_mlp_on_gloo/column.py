"""Exercise 07.2: a linear layer with its outputs cut, as a module in a tensor-parallel group."""

from dataclasses import replace
from functools import partial

import torch

from tplearn.checks.ch07_mlp_on_gloo import draws, steps
from tplearn.checks.ch07_mlp_on_gloo.drive import layer_in_group
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, layer_case
from tplearn.checks.ch07_mlp_on_gloo.linear import ColumnLinear, ColumnOfTensors, ColumnOfTheWorld, ColumnWith
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group


def _cases(generator: torch.Generator) -> list[Case]:
    """The outputs come out even for no group but that of one rank; then a rank that is left without any."""
    cases = []
    for tp, groups in LAYOUTS:
        p = max(map(len, groups)) if groups else tp
        outputs = p * pick(generator, 1, 3) + 1
        cases.append(layer_case(generator, tp, groups, (pick(generator, 5, 8), outputs), outputs, cut=True))
    fewer = layer_case(generator, 3, None, (pick(generator, 5, 8), 2), 2, cut=True)
    return [*cases, replace(fewer, label="fewer outputs than ranks")]


COLUMN_LINEAR = Exercise(
    number="07.2",
    name="ColumnLinear",
    points=10,
    difficulty=2,
    minutes=10,
    reference=ColumnLinear,
    cases=_cases,
    observe=layer_in_group,
    ranks=True,
    mutants=(
        Mutant(
            "no f",
            partial(ColumnWith, enter=steps.keep),
            "The forward is right, and so are the gradients of weight and bias. But x went to every rank, each rank "
            "has only what its own columns say about dx, and nobody adds that up. Everything below this layer would "
            "train on a partial, another one on each rank.",
            "what x passes through before the matmul: copy_to_group, whose backward is the all-reduce.",
        ),
        Mutant(
            "g for f",
            partial(ColumnWith, enter=reduce_from_group),
            "x is the same on every rank, and you summed it over the ranks: the matmul sees p · x. On the way forward "
            "nothing is due here. The sum belongs on the way back: that is copy_to_group.",
            "which of the two stands before a column layer.",
        ),
        Mutant(
            "summed both ways",
            partial(ColumnWith, enter=steps.summed_both_ways),
            "You sum on both ways. On the way back that is right. But x is the same on every rank, and summed over "
            "the ranks the matmul sees p · x: on the way forward nothing is due.",
            "the forward of what stands before the matmul: x as it is.",
        ),
        Mutant(
            "f over the world",
            partial(ColumnWith, enter=steps.over_the_world(copy_to_group)),
            "Your f sums dx over all ranks of the world. Another group has another x, and its gradients have nothing "
            "to do with this one's: the sum runs over this layer's group. With one group alone the two are the same.",
            "copy_to_group(x, group).",
        ),
        Mutant(
            "group ignored",
            ColumnOfTheWorld,
            "You never used the group: the layer is cut over all ranks, and dx is summed over all of them. In a world "
            "of two groups each rank then holds too small a shard, and hears from ranks that have another x.",
            "group, in init_shard and in copy_to_group.",
        ),
        Mutant(
            "drawn over the world",
            partial(ColumnLinear, draw=partial(draws.drawn, own=draws.of_the_world)),
            "Your shard is that of a cut over all ranks. In a group of two in a world of four a rank holds half of "
            "the outputs, not a quarter.",
            "the group that init_shard is given.",
        ),
        Mutant(
            "a shard is summed",
            partial(ColumnWith, leave=copy_to_group, enter=steps.keep),
            "You sum something that is cut: the outputs, the weight or the bias. Each rank's shard belongs to it "
            "alone, and with shards of different sizes such a sum cannot even run. What is the same on every rank and "
            "used differently on each is x: its gradient needs a sum, and nothing else does.",
            "what copy_to_group gets: x, before the matmul.",
            alone=True,
        ),
        Mutant(
            "mean for sum",
            partial(ColumnWith, enter=steps.mean_gradient),
            "Your dx is divided by p. The ranks' gradients of x are no estimates of one thing, of which a mean would "
            "be taken: each comes through other columns, and they add up.",
            "the division in the backward pass of f.",
        ),
        Mutant(
            "f twice",
            partial(ColumnWith, enter=steps.twice(copy_to_group)),
            "x passes through f twice. The second all-reduce of the backward pass adds up p equal sums: dx is p times "
            "too large.",
            "how often copy_to_group is called for one x: once.",
        ),
        Mutant(
            "maximum for sum",
            partial(ColumnWith, enter=steps.largest_gradient),
            "Your backward pass takes the largest of the ranks' gradients of x. They come through other columns each, "
            "and add up.",
            "the reduce op in the backward pass: SUM.",
        ),
        Mutant(
            "x cut off",
            partial(ColumnWith, enter=lambda x, group: copy_to_group(x.detach(), group)),
            "Nothing comes back to x: your x is detached from what is below, which then learns nothing.",
            "detach(), .data, no_grad: x goes through none of them.",
        ),
        Mutant(
            "x / p",
            partial(ColumnWith, enter=lambda x, group: steps.shared(copy_to_group(x, group), group)),
            "You divided x by the number of ranks. x is whole on every rank, and each rank's columns of y are whole: "
            "nothing is to be divided.",
            "the division.",
        ),
        Mutant(
            "bias / p",
            partial(ColumnWith, bias=steps.shared),
            "You divided the bias by the number of ranks. Each rank adds its own numbers of the bias, once: no sum "
            "follows that would count them again.",
            "the division.",
        ),
        Mutant(
            "whole bias kept",
            partial(ColumnLinear, draw=partial(draws.drawn, cut_bias=False)),
            "Your bias parameter is the whole bias. Each rank needs the numbers of its own outputs; the rest is "
            "memory, and gets no gradient.",
            "the shape of bias: [own outputs].",
            alone=True,
        ),
        Mutant(
            "bias forgotten",
            partial(ColumnWith, bias=steps.forgotten),
            "Your output lacks the bias.",
            "the third argument of linear.",
        ),
        Mutant(
            "same-seed shards",
            partial(ColumnLinear, draw=draws.same_seed),
            "Every rank drew a shard of its own size from the state that all ranks share, so all hold the same rows: "
            "p ranks compute the same outputs p times.",
            "the first values: this rank's rows of the dense nn.Linear(in_features, out_features).",
        ),
        Mutant(
            "first shard on every rank",
            partial(ColumnLinear, draw=partial(draws.drawn, own=draws.first_shard)),
            "Every rank took the first rows of the dense layer. They belong to the group's first rank.",
            "which rows a rank keeps.",
        ),
        Mutant(
            "first shard of the bias on every rank",
            partial(ColumnLinear, draw=draws.first_bias),
            "The weight is right, and every rank took the first numbers of the bias. They belong to the group's first "
            "rank: each output has its own number of the bias.",
            "which numbers of the bias a rank keeps: those of its rows of the weight.",
        ),
        Mutant(
            "plain tensors",
            ColumnOfTensors,
            "Your weight and bias are plain tensors. A module knows its parameters by nn.Parameter: what is none is "
            "found by no optimizer, moved by no .to(...) and saved in no checkpoint.",
            "nn.Parameter(...), in __init__.",
        ),
        Mutant(
            "output gathered",
            partial(ColumnWith, leave=lambda y, group: gather_from_group(y, -1, group)),
            "You gathered the outputs. The row layer that comes next wants its input cut, so y stays as it is, and "
            "nothing is sent forward. And shards of different sizes cannot be gathered just like that.",
            "what forward returns: this rank's columns.",
            alone=True,
        ),
        Mutant(
            "the whole output",
            partial(ColumnWith, leave=steps.whole_output),
            "You return the outputs of all ranks. The row layer that comes next wants its input cut, so y stays as it "
            "is, and nothing is sent forward.",
            "what forward returns: this rank's columns.",
        ),
    ),
)
