"""Exercise 07.1: first values that are the dense layer's own slice, also where the cut does not come out even."""

from functools import partial

import torch
from torch import nn

from tplearn.checks.ch07_mlp_on_gloo import draws, steps
from tplearn.checks.ch07_mlp_on_gloo.drive import first_values
from tplearn.checks.ch07_mlp_on_gloo.first_cuts import CUTS
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
            "sent from rank 0",
            draws.from_rank_0,
            "The numbers are right, but one rank's were sent to the others. All ranks have the same random state: "
            "each can draw the dense layer alone, and nothing has to be sent.",
            "the ledger due: no collective.",
        ),
        Mutant(
            "bias / p",
            partial(draws.drawn, bias=steps.shared),
            "Where the inputs are cut your bias is divided by the ranks of the group. It is a copy on every rank, "
            "whole, and enters once, after the sum.",
            'the bias where cut is "inputs".',
        ),
        Mutant(
            "bias on the first rank only",
            partial(draws.drawn, bias=steps.on_the_first),
            "Where the inputs are cut only the first rank of the group has the bias; the others have zeros. It is a "
            "copy on every rank.",
            'the bias where cut is "inputs".',
        ),
        Mutant(
            "transposed",
            draws.transposed,
            "Your weight is [in, out]. nn.Linear keeps it as [out, in], and so does the shard.",
            "the shape of the weight.",
        ),
        Mutant(
            "times √p",
            draws.times_root,
            "Your weight is the right one times √p. nn.Linear's bound, 1/√in_features, is the dense layer's already: "
            "there is nothing to correct.",
            "the factor.",
        ),
        Mutant(
            "not nn.Linear's numbers",
            draws.normal,
            "You drew normal numbers with torch.randn. nn.Linear draws uniform ones, between ± 1/√in_features: make "
            "an nn.Linear and take its numbers.",
            "what draws the numbers: nn.Linear(in_features, out_features).",
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
        *CUTS,
    ),
)
