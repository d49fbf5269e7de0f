"""Exercise 07.2: a linear layer with its outputs cut, as a module."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch07_mlp_on_gloo.first_values import Shard, init_shard, same_seed
from tplearn.checks.ch07_mlp_on_gloo.inputs import SIZES, cut
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.layers import layer_on_ranks
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group
from tplearn.ranks import per_rank


class ColumnLinear(nn.Module):
    """y = x Aᵀ + b with the outputs cut: f, then the shard's matmul and bias."""

    draw: Callable[..., Shard] = staticmethod(init_shard)

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        weight, bias = self.draw(in_features, out_features, "outputs")
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in], the same on every rank → [..., out/p]."""
        return F.linear(copy_to_group(x), self.weight, self.bias)


class _NoF(ColumnLinear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _GForF(ColumnLinear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(reduce_from_group(x), self.weight, self.bias)


class _SameSeed(ColumnLinear):
    draw = staticmethod(same_seed)


class _FirstBiasEverywhere(ColumnLinear):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        state = torch.get_rng_state()
        torch.manual_seed(0)  # the seed that the layer was drawn from
        dense = nn.Linear(in_features, out_features)
        torch.set_rng_state(state)
        self.bias = nn.Parameter(dense.bias.detach()[: len(self.bias)].clone())


class _Gathered(ColumnLinear):
    def forward(self, x: Tensor) -> Tensor:
        return gather_from_group(super().forward(x))


def _cases(generator: torch.Generator) -> list[Case]:
    def case(tp: int) -> Case:
        x, dy = randn(generator, 2, 3, 5), randn(generator, 2, 3, 24)
        return Case(tp, ((5, 24), [x], per_rank(cut(dy, tp))))

    return [case(tp) for tp in SIZES]


COLUMN_LINEAR = Exercise(
    number="07.2",
    name="ColumnLinear",
    points=10,
    difficulty=2,
    minutes=10,
    reference=ColumnLinear,
    cases=_cases,
    observe=layer_on_ranks,
    ranks=True,
    mutants=(
        Mutant(
            "no f",
            _NoF,
            "The forward is right, and so are the gradients of weight and bias. But x went to every rank, each rank "
            "has only its own columns' part of dx, and nobody adds the parts up. The layer below would train on 1/p "
            "of its gradient, another part on each rank.",
            "what x passes through before the matmul: copy_to_group, whose backward is the all-reduce.",
        ),
        Mutant(
            "g for f",
            _GForF,
            "x is the same on every rank, and you summed it over the ranks: the matmul sees p · x. And in the "
            "backward pass, where a sum is due, there is none. f and g are each other's backward: copy_to_group "
            "belongs here.",
            "which of the two stands before a column layer.",
        ),
        Mutant(
            "same-seed shards",
            _SameSeed,
            "Every rank drew a shard from the same seed, so all ranks hold the same rows. p ranks compute the same "
            "out/p outputs p times.",
            "the first values: rank r's rows of the dense nn.Linear(in_features, out_features).",
        ),
        Mutant(
            "rank 0's bias everywhere",
            _FirstBiasEverywhere,
            "Every rank took the first out/p numbers of the bias. They belong to the first out/p outputs, which are "
            "rank 0's. The bias is cut with the rows of the weight.",
            "the slice of the bias: the same rows as the weight's.",
        ),
        Mutant(
            "output gathered",
            _Gathered,
            "You gathered the outputs, so every rank returns all of y. The row layer that comes next wants its input "
            "cut: leave y cut, and the all-gather is not needed.",
            "what forward returns: [..., out/p].",
        ),
    ),
)
