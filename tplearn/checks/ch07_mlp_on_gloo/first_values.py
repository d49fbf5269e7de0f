"""Exercise 07.1: first values that are the dense layer's own slice, on every rank."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.checks.ch07_mlp_on_gloo.inputs import place
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.observe import plain

Shard = tuple[Tensor, Tensor]


def own_slice(weight: Tensor, bias: Tensor, cut: str) -> Shard:
    """This rank's part of a dense layer's weight and bias, as tensors of their own."""
    rank, p = place()
    if cut == "outputs":
        return weight.detach().chunk(p, dim=0)[rank].clone(), bias.detach().chunk(p)[rank].clone()
    return weight.detach().chunk(p, dim=1)[rank].clone(), bias.detach().clone()


def init_shard(in_features: int, out_features: int, cut: str) -> Shard:
    """The slice of nn.Linear(in_features, out_features) that this rank holds. All ranks have the same seed."""
    dense = nn.Linear(in_features, out_features)
    return own_slice(dense.weight, dense.bias, cut)


def same_seed(in_features: int, out_features: int, cut: str) -> Shard:
    """Mutant: a draw of the shard's size, from the seed that all ranks share."""
    _, p = place()
    columns = cut == "outputs"
    own = nn.Linear(in_features if columns else in_features // p, out_features // p if columns else out_features)
    return own.weight.detach(), own.bias.detach()


def wide(in_features: int, out_features: int, cut: str) -> Shard:
    """Mutant: the dense draw, but with the bound of the shard's fan-in, √p too wide where inputs are cut."""
    _, p = place()
    bound = 1 / math.sqrt(in_features if cut == "outputs" else in_features // p)
    weight = torch.empty(out_features, in_features).uniform_(-bound, bound)
    return own_slice(weight, torch.empty(out_features).uniform_(-bound, bound), cut)


def _own_seed(in_features: int, out_features: int, cut: str) -> Shard:
    torch.manual_seed(place()[0])
    return same_seed(in_features, out_features, cut)


def _bias_cut_always(in_features: int, out_features: int, cut: str) -> Shard:
    rank, p = place()
    weight, bias = init_shard(in_features, out_features, cut)
    return weight, bias if cut == "outputs" else bias.chunk(p)[rank].clone()


def _wrong_dim(in_features: int, out_features: int, cut: str) -> Shard:
    return init_shard(in_features, out_features, "inputs" if cut == "outputs" else "outputs")


def _from_rank_0(in_features: int, out_features: int, cut: str) -> Shard:
    dense = nn.Linear(in_features, out_features).requires_grad_(False)
    for tensor in (dense.weight, dense.bias):
        dist.broadcast(tensor, src=0)
    return own_slice(dense.weight, dense.bias, cut)


def first_values_in_float64(fn: Callable[..., Any], *sizes: Any) -> dict[str, Any]:
    """{"forward": fn(*sizes)} with float64 as the default dtype, so that a shard drawn there is float64."""
    torch.set_default_dtype(torch.float64)
    return {"forward": plain(fn(*sizes))}


def _cases(generator: torch.Generator) -> list[Case]:
    width = 12 * int(torch.randint(1, 4, (), generator=generator))
    sizes = ((1, "inputs"), (2, "outputs"), (3, "outputs"), (4, "inputs"))
    return [Case(tp, (24, width, cut) if cut == "inputs" else (width, 24, cut)) for tp, cut in sizes]


INIT_SHARD = Exercise(
    number="07.1",
    name="init_shard",
    points=10,
    difficulty=2,
    minutes=12,
    reference=init_shard,
    cases=_cases,
    observe=first_values_in_float64,
    ranks=True,
    mutants=(
        Mutant(
            "same-seed shards",
            same_seed,
            "Every rank drew a small layer of its own, and all ranks have the same seed: they all hold the same "
            "numbers. Joined, the weight has the same rows (or columns) p times, so the layer is p times narrower "
            "than it says.",
            "what is drawn: the dense weight on every rank, of which each keeps another part.",
        ),
        Mutant(
            "a seed for each rank",
            _own_seed,
            "You gave each rank a seed of its own and let it draw its shard. The shards differ now, but they are no "
            "slices of the dense layer; and where inputs are cut, nn.Linear(in/p, out) takes its bound from in/p: "
            "1/√(in/p) is √p times too wide.",
            "the layer that is drawn: nn.Linear(in_features, out_features), the dense one.",
        ),
        Mutant(
            "std off by √tp",
            wide,
            "Where the inputs are cut your numbers are √p times too large. The bound came from the shard's fan-in, "
            "1/√(in/p). It is a property of the dense layer: 1/√in.",
            "the fan-in in the bound: in_features, not in_features / p.",
        ),
        Mutant(
            "bias always cut",
            _bias_cut_always,
            "You cut the bias also where the inputs are cut. There every rank ends with all outputs, and the whole "
            "bias is added to them once: it is a copy on every rank.",
            'the bias when cut is "inputs".',
        ),
        Mutant(
            "the other dimension",
            _wrong_dim,
            "You cut the other dimension. nn.Linear keeps its weight as [out, in]: cutting the outputs is dim 0, "
            "cutting the inputs is dim 1.",
            "the dim of the cut.",
        ),
        Mutant(
            "sent from rank 0",
            _from_rank_0,
            "The numbers are right, but rank 0's were sent to everybody. All ranks have the same seed: each can draw "
            "the dense layer alone, and nothing has to be sent.",
            "the ledger due: no collective.",
        ),
    ),
)
