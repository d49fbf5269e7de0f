"""Column, merged and row parallel layers against nn.Linear: forward, every gradient, first values, and what is sent."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.parallel.twin import Job, assert_like_dense, assert_shows, fresh_seed, numbers
from tplearn import run_ranks
from tplearn.parallel import (
    ColumnParallelLinear,
    MergedColumnParallelLinear,
    ParallelMLP,
    RowParallelLinear,
    partitions,
    reduce_from_group,
)

TP = (1, 2, 3, 4, 8)
BUILDS: dict[str, Callable[[bool], nn.Module]] = {
    "column": lambda bias: ColumnParallelLinear(24, 48, bias=bias),
    "merged": lambda bias: MergedColumnParallelLinear(24, (48, 24), bias=bias),
    "row": lambda bias: RowParallelLinear(48, 24, bias=bias),
}


class Joined(nn.Module):
    """A merged layer whose parts come out side by side, each gathered."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.layer = MergedColumnParallelLinear(7, (48, 24), bias=bias, gather_output=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.layer(x), dim=-1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gather", [True, False])
@pytest.mark.parametrize("tp", TP)
def test_column(tp: int, gather: bool, bias: bool) -> None:
    seed = fresh_seed()
    x, dy = numbers(2, 5, 7, seed=seed), numbers(2, 5, 48, seed=seed + 1)
    build = lambda: ColumnParallelLinear(7, 48, bias=bias, gather_output=gather).double()  # noqa: E731
    assert_like_dense(Job(build, (x,), dy, seed, cut_out=None if gather else -1), tp)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("tp", TP)
def test_row(tp: int, parallel: bool, bias: bool) -> None:
    seed = fresh_seed()
    x, dy = numbers(2, 5, 48, seed=seed), numbers(2, 5, 7, seed=seed + 1)
    build = lambda: RowParallelLinear(48, 7, bias=bias, input_is_parallel=parallel).double()  # noqa: E731
    assert_like_dense(Job(build, (x,), dy, seed, cut_in=-1 if parallel else None), tp)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tp", TP)
def test_merged(tp: int, bias: bool) -> None:
    seed = fresh_seed()
    job = Job(lambda: Joined(bias).double(), (numbers(3, 7, seed=seed),), numbers(3, 72, seed=seed + 1), seed)
    assert_like_dense(job, tp)


@pytest.mark.parametrize("tp", TP)
def test_mlp(tp: int) -> None:
    seed = fresh_seed()
    x, dy = numbers(2, 5, 7, seed=seed), numbers(2, 5, 7, seed=seed + 1)
    assert_like_dense(Job(lambda: ParallelMLP(7, 48).double(), (x,), dy, seed), tp)


def test_one_rank_is_nn_linear() -> None:
    x = numbers(4, 6, seed=fresh_seed())
    for layer in (ColumnParallelLinear(6, 8), RowParallelLinear(6, 8), MergedColumnParallelLinear(6, (3, 5))):
        layer = layer.double()
        y = layer(x)
        whole = torch.cat(y, -1) if isinstance(y, tuple) else y
        assert torch.equal(whole, F.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("tp", TP)
def test_first_values_are_the_dense_layers_own_slices(kind: str, tp: int) -> None:
    seed = fresh_seed()

    def draw() -> tuple[dict[str, Tensor], Tensor]:
        torch.manual_seed(seed)
        layer = BUILDS[kind](True)
        dense = {name: partition.full_tensor(p.detach()) for name, p, partition in partitions(layer)}
        return dense, torch.rand(1)  # the generator stands at the same place afterwards

    torch.manual_seed(seed)
    twin = nn.Linear(48, 24) if kind == "row" else nn.Linear(24, 72 if kind == "merged" else 48)
    after = torch.rand(1)
    for dense, then in run_ranks(draw, tp, record=False).values:
        assert torch.equal(dense["weight"], twin.weight) and torch.equal(dense["bias"], twin.bias)
        assert torch.equal(then, after)


class BiasOnEveryRank(RowParallelLinear):
    """The bias enters the sum tp times."""

    def forward(self, x: Tensor) -> Tensor:
        return reduce_from_group(F.linear(x, self.weight, self.bias))


class BiasByTp(RowParallelLinear):
    """bias / tp on every rank: the forward is right."""

    def forward(self, x: Tensor) -> Tensor:
        return reduce_from_group(F.linear(x, self.weight, self.bias / self.place.world_size))


class NoF(ColumnParallelLinear):
    """Without f, the input's gradient is one rank's summand."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@pytest.mark.parametrize("tp", [2, 4])
def test_a_broken_rule_shows(tp: int) -> None:
    seed = fresh_seed()
    x, dy = numbers(3, 8, seed=seed), numbers(3, 8, seed=seed + 1)
    assert_shows(Job(lambda: BiasOnEveryRank(8, 8).double(), (x,), dy, seed, cut_in=-1), tp, "output")
    assert_shows(Job(lambda: BiasByTp(8, 8).double(), (x,), dy, seed, cut_in=-1), tp, "bias")
    assert_shows(Job(lambda: NoF(8, 8).double(), (x,), dy, seed, cut_out=-1), tp, "input 0")


def _refusals() -> list[str]:
    said = []
    for make in (
        lambda: ColumnParallelLinear(4, 10),
        lambda: RowParallelLinear(10, 4),
        lambda: MergedColumnParallelLinear(4, (8, 10)),
        lambda: ColumnParallelLinear(4, 8)(torch.ones(2, 5)),
        lambda: RowParallelLinear(8, 4)(torch.ones(2, 8)),
        lambda: ColumnParallelLinear(4, 8)(torch.ones(2, 4, dtype=torch.float64)),
    ):
        try:
            make()
        except ValueError as error:
            said.append(str(error))
    return said


def test_bad_sizes_are_refused_on_every_rank() -> None:
    for said in run_ranks(_refusals, 4).values:
        assert said == [
            "out_features = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
            "in_features = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
            "out_features[1] = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
            "ColumnParallelLinear: input of shape (2, 5); shapes that work: [..., 4]",
            "RowParallelLinear: input of shape (2, 8); shapes that work: [..., 2]",
            "ColumnParallelLinear: input of dtype torch.float64, weight of dtype torch.float32; torch.float32 works",
        ]
