"""The catalogue: twenty models, each beside what it should be. What is wrong with which is told in labels.py alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch.distributed as dist
from torch import nn

from tplearn.museum import layers, models, vocabulary
from tplearn.museum.models import Half
from tplearn.museum.sizes import Sizes
from tplearn.museum.vocabulary import SmallLlama, TokenLoss
from tplearn.parallel import ColumnParallelLinear, Place, RowParallelLinear, partitions, sync_gradients

Build = Callable[[Sizes, Place], nn.Module]
Finish = Callable[[nn.Module, Place], None]


def sync(model: nn.Module, place: Place) -> None:
    """What is due after backward: partials are summed over the ranks that hold the copies."""
    sync_gradients(model)


@dataclass(frozen=True)
class Exhibit:
    """A model to look at, and the right one beside it, which on one rank alone is its dense twin.

    build and right: (sizes, place) → a module whose parameters have the same names. inputs: see `sizes.inputs_of`.
    finish: what it does with its gradients after backward.
    """

    name: str
    room: str
    build: Build
    right: Build
    inputs: str = "x"
    finish: Finish = sync


def nothing(model: nn.Module, place: Place) -> None:
    """Leave the gradients as backward has made them."""


def mean_of_partials(model: nn.Module, place: Place) -> None:
    """Sum the partials, and divide by the ranks."""
    sync_gradients(model)
    for _, parameter, cut in partitions(model):
        if cut is not None and cut.partial is not None:
            parameter.grad /= place.world_size


def sum_of_copies(model: nn.Module, place: Place) -> None:
    """Sum the gradient of every parameter of which each rank has a copy."""
    sync_gradients(model)
    for _, parameter, cut in partitions(model):
        if cut is not None and cut.shape == cut.dense_shape and place.world_size > 1:
            dist.all_reduce(parameter.grad, group=place.group)


def seeded_by_rank(sizes: Sizes, place: Place) -> Half:
    """Half, with dropout at the end, whose seed is the rank."""
    return Half(sizes, place, last=partial(layers.SeededDropout, 0.3, place.rank))


def seeded_alike(sizes: Sizes, place: Place) -> Half:
    """Half, with dropout at the end, whose seed is 0."""
    return Half(sizes, place, last=partial(layers.SeededDropout, 0.3, 0))


def with_down(row: models.Layer) -> Build:
    """Half, with another row-parallel layer."""
    return partial(Half, down=row)


_loss = partial(TokenLoss, loss=vocabulary.loss_of_shards, gather=False)
_deep = partial(models.Chain, halves=8)
_gated = partial(models.Gated, column=layers.BareColumn, shared=True)
_branches = partial(models.Parallel, column=ColumnParallelLinear, row=RowParallelLinear, shared=False)

EXHIBITS = (
    Exhibit("A", "forward", with_down(layers.RowWithBiasInside), Half),
    Exhibit("B", "forward", partial(models.WholeHalf, summed=True), Half),
    Exhibit("C", "forward", with_down(layers.RowWithBiasOnFirst), Half),
    Exhibit("D", "forward", with_down(layers.BareRow), Half),
    Exhibit("E", "forward", seeded_by_rank, seeded_alike),
    Exhibit(
        "F",
        "forward",
        partial(TokenLoss, loss=vocabulary.loss_of_shards_unchecked, gather=True),
        _loss,
        "x and targets",
    ),
    Exhibit("G", "forward", partial(models.Attention, layer=layers.AttentionCutAsBlock), models.Attention),
    Exhibit("H", "forward", _deep, _deep),
    Exhibit("I", "gradient", with_down(layers.RowWithShareOfBias), Half),
    Exhibit("J", "gradient", models.HalfOnSequence, models.HalfOnSequence, finish=mean_of_partials),
    Exhibit("K", "gradient", partial(Half, up=layers.BareColumn), Half),
    Exhibit("L", "gradient", with_down(layers.RowWithoutWayBack), Half),
    Exhibit("M", "gradient", partial(models.Chain, down=layers.RowSummedBothWays), models.Chain),
    Exhibit("N", "gradient", Half, Half, finish=sum_of_copies),
    Exhibit("O", "gradient", SmallLlama, SmallLlama, "ids", nothing),
    Exhibit(
        "P", "gradient", partial(vocabulary.Words, layer=layers.EmbeddingWithLocalPadding), vocabulary.Words, "ids"
    ),
    Exhibit("Q", "ledger", partial(models.Gated, column=ColumnParallelLinear, shared=False), _gated),
    Exhibit(
        "R",
        "ledger",
        partial(models.Parallel, column=layers.BareColumn, row=layers.BareRow, shared=True),
        _branches,
    ),
    Exhibit("S", "ledger", partial(TokenLoss, loss=vocabulary.loss_of_whole, gather=True), _loss, "x and targets"),
    Exhibit("T", "ledger", partial(models.WholeHalf, summed=False), Half),
)


def find(name: str) -> Exhibit:
    """The exhibit of this name. Raises ValueError where there is none."""
    for exhibit in EXHIBITS:
        if exhibit.name == name:
            return exhibit
    names = ", ".join(exhibit.name for exhibit in EXHIBITS)
    raise ValueError(f"no exhibit is called {name!r}; names that work: {names}")
