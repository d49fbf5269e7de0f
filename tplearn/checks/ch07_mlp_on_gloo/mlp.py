"""The SwiGLU MLP of exercise 07.4, and its wrong versions: steps replaced, weights drawn or cut in another way."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from tplearn.checks.ch07_mlp_on_gloo import draws, steps
from tplearn.checks.ch07_mlp_on_gloo.first_values import init_shard
from tplearn.checks.ch07_mlp_on_gloo.inputs import Group, Shard
from tplearn.checks.ch07_mlp_on_gloo.steps import Step
from tplearn.parallel import copy_to_group, reduce_from_group

Draw = Callable[..., Shard]
Weights = tuple[Tensor, Tensor]  # gate_up and down


def fused(hidden: int, ffn: int, group: Group, draw: Draw = init_shard) -> Weights:
    """gate_up: this rank's rows of gate, then its rows of up; down: its columns. Three dense draws, in this order."""
    gate, up = (draw(hidden, ffn, "outputs", group)[0] for _ in range(2))
    return torch.cat([gate, up]), draw(ffn, hidden, "inputs", group)[0]


class SwiGLU(nn.Module):
    """y = down(silu(gate(x)) · up(x)): f, one column matmul for gate and up, the activation, one row matmul, g."""

    def __init__(
        self, hidden: int, ffn: int, group: Group, weights: Callable[[int, int, Group], Weights] = fused
    ) -> None:
        super().__init__()
        gate_up, down = weights(hidden, ffn, group)
        self.gate_up, self.down, self.group = nn.Parameter(gate_up), nn.Parameter(down), group

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., hidden] → [..., hidden]; both the same on every rank of the group."""
        gate, up = linear(copy_to_group(x, self.group), self.gate_up).chunk(2, dim=-1)
        return reduce_from_group(linear(silu(gate) * up, self.down), self.group)


class SwiGLUWith(SwiGLU):
    """The layer with one of its steps replaced."""

    def __init__(
        self,
        *sizes: int | Group,
        enter: tuple[Step, ...] = (copy_to_group,),
        after_matmul: Step = steps.keep,
        activate: Callable[[Tensor, Tensor], Tensor] = lambda gate, up: silu(gate) * up,
        middle: Step = steps.keep,
        leave: Step = reduce_from_group,
        **how: Callable,
    ) -> None:
        super().__init__(*sizes, **how)
        self.enter, self.after_matmul, self.activate = enter, after_matmul, activate
        self.middle, self.leave = middle, leave

    def forward(self, x: Tensor) -> Tensor:
        if len(self.enter) == 2:  # gate and up apart
            pairs = zip(self.enter, self.gate_up.chunk(2), strict=True)
            gate, up = (linear(step(x, self.group), weight) for step, weight in pairs)
        else:
            gate_up = linear(self.enter[0](x, self.group), self.gate_up)
            gate, up = self.after_matmul(gate_up, self.group).chunk(2, dim=-1)
        return self.leave(linear(self.middle(self.activate(gate, up), self.group), self.down), self.group)


def _down(hidden: int, ffn: int, group: Group) -> Tensor:
    return init_shard(ffn, hidden, "inputs", group)[0]


def read_in_turn(gate_up: Tensor, group: Group) -> Tensor:
    """Every other column first, then the rest."""
    return gate_up.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


def of_the_world(hidden: int, ffn: int, group: Group) -> nn.Module:
    """The MLP of all ranks."""
    return SwiGLU(hidden, ffn, None)


def one_block(hidden: int, ffn: int, group: Group) -> Weights:
    dense = torch.cat([nn.Linear(hidden, ffn).weight for _ in range(2)])
    return draws.sliced(dense, dense[:, 0], "outputs", group)[0], _down(hidden, ffn, group)


def up_first(hidden: int, ffn: int, group: Group) -> Weights:
    gate_up, down = fused(hidden, ffn, group)
    return torch.cat(gate_up.chunk(2)[::-1]), down


def interleaved(hidden: int, ffn: int, group: Group) -> Weights:
    gate_up, down = fused(hidden, ffn, group)
    return torch.stack(gate_up.chunk(2), dim=1).flatten(0, 1), down


def no_biases(hidden: int, ffn: int, group: Group) -> Weights:
    def draw(in_features: int, out_features: int, cut: str, group: Group) -> Shard:
        weight = nn.Linear(in_features, out_features, bias=False).weight
        return draws.sliced(weight, weight[:, 0], cut, group)

    return fused(hidden, ffn, group, draw)


def one_draw(hidden: int, ffn: int, group: Group) -> Weights:
    gate, up = nn.Linear(hidden, 2 * ffn).weight.chunk(2)
    rows = [draws.sliced(weight, weight[:, 0], "outputs", group)[0] for weight in (gate, up)]
    return torch.cat(rows), _down(hidden, ffn, group)


def down_second(hidden: int, ffn: int, group: Group) -> Weights:
    gate = init_shard(hidden, ffn, "outputs", group)[0]
    down = _down(hidden, ffn, group)
    return torch.cat([gate, init_shard(hidden, ffn, "outputs", group)[0]]), down


def same_draw(hidden: int, ffn: int, group: Group) -> Weights:
    gate = init_shard(hidden, ffn, "outputs", group)[0]
    return torch.cat([gate, gate]), _down(hidden, ffn, group)


def down_drawn_first(hidden: int, ffn: int, group: Group) -> Weights:
    down = _down(hidden, ffn, group)
    return fused(hidden, ffn, group)[0], down


def down_transposed(hidden: int, ffn: int, group: Group) -> Weights:
    gate, up, down = (init_shard(hidden, ffn, "outputs", group)[0] for _ in range(3))
    return torch.cat([gate, up]), down.T.contiguous()


def down_small(hidden: int, ffn: int, group: Group) -> Weights:
    gate, up = (init_shard(hidden, ffn, "outputs", group)[0] for _ in range(2))
    return torch.cat([gate, up]), draws.same_seed(ffn, hidden, "inputs", group)[0]
