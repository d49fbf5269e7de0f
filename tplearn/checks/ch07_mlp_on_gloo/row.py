"""Exercise 07.3: a linear layer with its inputs cut, as a module; its bias enters once."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch07_mlp_on_gloo.first_values import Shard, init_shard, wide
from tplearn.checks.ch07_mlp_on_gloo.inputs import SIZES, cut, place
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.layers import layer_on_ranks
from tplearn.parallel import reduce_from_group
from tplearn.ranks import per_rank


class RowLinear(nn.Module):
    """y = x Aᵀ + b with the inputs cut: the shard's matmul, g, then the bias."""

    draw: Callable[..., Shard] = staticmethod(init_shard)

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        weight, bias = self.draw(in_features, out_features, "inputs")
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x_shard: Tensor) -> Tensor:
        """x_shard: [..., in/p] → [..., out], the same on every rank."""
        return reduce_from_group(F.linear(x_shard, self.weight)) + self.bias


class _BiasOnEveryRank(RowLinear):
    def forward(self, x_shard: Tensor) -> Tensor:
        return reduce_from_group(F.linear(x_shard, self.weight, self.bias))


class _BiasByTp(RowLinear):
    def forward(self, x_shard: Tensor) -> Tensor:
        return reduce_from_group(F.linear(x_shard, self.weight, self.bias / place()[1]))


class _BiasOnRank0(RowLinear):
    def forward(self, x_shard: Tensor) -> Tensor:
        bias = self.bias if place()[0] == 0 else torch.zeros_like(self.bias) * self.bias
        return reduce_from_group(F.linear(x_shard, self.weight, bias))


class _Wide(RowLinear):
    draw = staticmethod(wide)


class _NoG(RowLinear):
    def forward(self, x_shard: Tensor) -> Tensor:
        return F.linear(x_shard, self.weight, self.bias)


def _cases(generator: torch.Generator) -> list[Case]:
    def case(tp: int) -> Case:
        x, dy = randn(generator, 2, 3, 24), randn(generator, 2, 3, 5)
        return Case(tp, ((24, 5), per_rank([[shard] for shard in cut(x, tp)]), dy))

    return [case(tp) for tp in SIZES]


ROW_LINEAR = Exercise(
    number="07.3",
    name="RowLinear",
    points=10,
    difficulty=2,
    minutes=10,
    reference=RowLinear,
    cases=_cases,
    observe=layer_on_ranks,
    ranks=True,
    mutants=(
        Mutant(
            "bias on every rank",
            _BiasOnEveryRank,
            "Your result minus the truth is (tp − 1) · bias. Every rank added the bias before the sum, so it was "
            "counted tp times. At tp = 1 that cannot be seen, which is why one-rank tests pass.",
            "where the bias enters: after reduce_from_group.",
        ),
        Mutant(
            "bias / tp",
            _BiasByTp,
            "The forward is right: tp times bias / tp is one bias. But the division is differentiated too, and g "
            "hands every rank the gradient as it is: the bias's gradient is the true one divided by tp. It trains, "
            "with a learning rate that shrinks as ranks are added.",
            "where the bias enters: whole, once, after reduce_from_group.",
        ),
        Mutant(
            "bias on rank 0 only",
            _BiasOnRank0,
            "The forward is right: one rank adds the bias. But only rank 0's copy gets a gradient, the others get "
            "zero, and after one step the copies differ. Fine for serving, wrong for training.",
            "where the bias enters: on every rank, after reduce_from_group.",
        ),
        Mutant(
            "std off by √tp",
            _Wide,
            "Your first values are √p times too large: the bound came from the shard's in/p inputs. The sum over "
            "ranks runs over all in_features, so the fan-in is in_features.",
            "the bound of the draw, 1/√in_features.",
        ),
        Mutant(
            "no g",
            _NoG,
            "Each rank returns its own summand. A row layer's products have the full shape, but they are parts: only "
            "their sum over ranks is y.",
            "what comes after the matmul: reduce_from_group.",
        ),
    ),
)
