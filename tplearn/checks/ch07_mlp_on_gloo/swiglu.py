"""Exercise 07.4: a SwiGLU MLP on real ranks that pays one all-reduce forward and one backward."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.checks.ch07_mlp_on_gloo.first_values import Shard, init_shard, same_seed
from tplearn.checks.ch07_mlp_on_gloo.inputs import SIZES
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.layers import layer_on_ranks
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group


class SwiGLU(nn.Module):
    """y = down(silu(gate(x)) · up(x)): f once, two column matmuls, the activation, one row matmul, g."""

    draw: Callable[..., Shard] = staticmethod(init_shard)

    def __init__(self, hidden: int, ffn: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(self.draw(hidden, ffn, "outputs")[0])
        self.up = nn.Parameter(self.draw(hidden, ffn, "outputs")[0])
        self.down = nn.Parameter(self.draw(ffn, hidden, "inputs")[0])

    def middle(self, x: Tensor) -> Tensor:
        """x: [..., hidden] → this rank's columns of silu(gate(x)) · up(x): [..., ffn/p]."""
        x = copy_to_group(x)
        return F.silu(F.linear(x, self.gate)) * F.linear(x, self.up)

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., hidden], the same on every rank → [..., hidden], the same on every rank."""
        return reduce_from_group(F.linear(self.middle(x), self.down))


class _OneFEach(SwiGLU):
    def middle(self, x: Tensor) -> Tensor:
        return F.silu(F.linear(copy_to_group(x), self.gate)) * F.linear(copy_to_group(x), self.up)


class _NoF(SwiGLU):
    def middle(self, x: Tensor) -> Tensor:
        return F.silu(F.linear(x, self.gate)) * F.linear(x, self.up)


class _FForGateOnly(SwiGLU):
    def middle(self, x: Tensor) -> Tensor:
        return F.silu(F.linear(copy_to_group(x), self.gate)) * F.linear(x, self.up)


class _SameSeed(SwiGLU):
    draw = staticmethod(same_seed)


class _GatheredMiddle(SwiGLU):
    def forward(self, x: Tensor) -> Tensor:
        whole = gather_from_group(self.middle(x))
        return reduce_from_group(F.linear(scatter_to_group(whole), self.down))


def _cases(generator: torch.Generator) -> list[Case]:
    return [Case(tp, ((5, 24), [randn(generator, 2, 3, 5)], randn(generator, 2, 3, 5))) for tp in SIZES]


SWIGLU = Exercise(
    number="07.4",
    name="SwiGLU",
    points=15,
    difficulty=3,
    minutes=15,
    reference=SwiGLU,
    cases=_cases,
    observe=layer_on_ranks,
    ranks=True,
    mutants=(
        Mutant(
            "one f per column layer",
            _OneFEach,
            "Every number is right, but the ledger shows 2 all-reduces backward where 1 is due. gate and up each "
            "have an f of their own, so each sends its own part of dx over the wire. Both read the same x: with one "
            "f, autograd adds the two parts on the rank first, for nothing, and the sum travels once.",
            "the calls of copy_to_group: one, before gate and up.",
        ),
        Mutant(
            "no f",
            _NoF,
            "The forward is right, and the ledger is too short: nothing runs in the backward pass. dx is then one "
            "rank's part of a sum over ranks, and everything below this MLP trains on it.",
            "what x passes through first: copy_to_group.",
        ),
        Mutant(
            "f for gate only",
            _FForGateOnly,
            "Only gate reads x through f. Its part of dx is summed over ranks, up's part is not. The ledger looks "
            "right, 1 and 1, and dx is wrong: a count of collectives alone does not prove a gradient.",
            "the x that up reads: the one that came out of copy_to_group.",
        ),
        Mutant(
            "same-seed shards",
            _SameSeed,
            "Every rank drew its shards from the same seed, so all ranks hold the same gate, up and down rows. They "
            "compute the same summand and get the same gradient, for ever: the MLP is ffn/p wide and p times too loud.",
            "the first values: each rank's slices of three dense layers, drawn one after the other.",
        ),
        Mutant(
            "gathered in the middle",
            _GatheredMiddle,
            "The numbers are right, but the hidden layer was gathered and cut again: an all-gather of the widest "
            "tensor there is, forward and backward. down wants its input cut, and cut is how it arrives.",
            "what stands between the activation and down: nothing.",
        ),
    ),
)
