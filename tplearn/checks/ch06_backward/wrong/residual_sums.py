"""Wrong answers to 06.6: what else goes into the sum, or is left out of the MLP."""

import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import silu

from tplearn.checks.ch06_backward.wires import pair, same
from tplearn.checks.ch06_backward.wrong.residual import Variant
from tplearn.checks.exercise import Mutant
from tplearn.parallel import copy_to_group as f
from tplearn.parallel import reduce_from_group as g


def _partial(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    h = f(x)
    return (silu(h @ gate.T) * (h @ up.T)) @ down.T


def _residual_in_the_sum(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return g(x + _partial(x, gate, up, down)) + bias


def _bias_in_the_sum(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return x + g(_partial(x, gate, up, down) + bias)


def _shared_bias(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return x + g(_partial(x, gate, up, down) + bias / dist.get_world_size())


def _shared_residual(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return g(x / dist.get_world_size() + _partial(x, gate, up, down)) + bias


def _residual_of_rank_0(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    part = _partial(x, gate, up, down)
    return g(part + x if dist.get_rank() == 0 else part) + bias


def _bias_of_rank_0(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    part = _partial(x, gate, up, down)
    return x + g(part + bias if dist.get_rank() == 0 else part)


def _silu_on_up(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return Variant()(x, up, gate, down, bias)


def _silu_of_the_product(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    h = f(x)
    return x + g(silu((h @ gate.T) * (h @ up.T)) @ down.T) + bias


MUTANTS = (
    Mutant(
        "residual before g",
        _residual_in_the_sum,
        "The residual went into the sum, once from every rank: your result has p · x where x is due. Add it after g.",
        "what stands inside g.",
    ),
    Mutant(
        "bias before g",
        _bias_in_the_sum,
        "Every rank added the bias before the sum, so it was counted p times. Add it after g.",
        "what stands inside g.",
    ),
    Mutant(
        "bias / p before g",
        _shared_bias,
        "The result is right. But each rank's bias went into the sum divided by p, so its gradient is divided by p "
        "too: a training step moves it p times too little (pytorch/torchtitan#4332).",
        "the bias: whole, and after g.",
    ),
    Mutant(
        "x / p before g",
        _shared_residual,
        "The result is right. But each rank's residual went into the sum divided by p, and its gradient is divided by "
        "p too. x is the same on every rank: its residual needs no sum.",
        "the residual: whole, and after g.",
    ),
    Mutant(
        "residual on rank 0 only",
        _residual_of_rank_0,
        "The result is right. But only rank 0 has a residual, so only its x gets the residual's gradient; on the "
        "others the gradient of x lacks it.",
        "the residual: on every rank, after g.",
    ),
    Mutant(
        "bias on rank 0 only",
        _bias_of_rank_0,
        "The result is right. But only rank 0 adds the bias, so on the others it gets no gradient, and the copies "
        "drift apart.",
        "the bias: on every rank, after g.",
    ),
    Mutant(
        "bias through f",
        Variant(bias=f),
        "The bias passes through f. Its gradient is the same on every rank already, and f sums it: p times too large.",
        "the bias: as it is.",
    ),
    Mutant(
        "weights through f",
        Variant(weight=f),
        "A weight passes through f. f adds up the gradients of copies; each rank holds another shard of the weight, "
        "and its gradient belongs to that rank alone.",
        "f around x, and nothing else.",
    ),
    Mutant(
        "residual forgotten",
        lambda x, *shards: Variant(residual=lambda x: x * 0)(x, *shards),
        "The residual is missing: y = x + ...",
        "the line that you return.",
    ),
    Mutant(
        "bias forgotten",
        Variant(bias=lambda bias: bias * 0),
        "The bias is missing.",
        "the line that you return.",
    ),
    Mutant(
        "silu on up",
        _silu_on_up,
        "silu went over up. SwiGLU bends the gate alone: silu(gate) · up.",
        "which of the two products goes through silu.",
    ),
    Mutant(
        "silu of the product",
        _silu_of_the_product,
        "You took silu(gate · up). SwiGLU bends the gate alone: silu(gate) · up.",
        "the brackets around silu.",
    ),
    Mutant(
        "residual cut off",
        Variant(residual=pair(same, lambda grad: grad * 0)),
        "The result is right, and the residual gives x no gradient: a detach or .data stands on its way.",
        "the x in x + ...",
    ),
)
