"""The models that exhibits are, from x to x: half a block, two of them, branches, attention, made of given layers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.museum.sizes import Sizes
from tplearn.parallel import (
    ColumnParallelLinear,
    ParallelAttention,
    ParallelRMSNorm,
    Place,
    RowParallelLinear,
    copy_to_group,
    gather_from_group,
    reduce_from_group,
    rotary_tables,
    scatter_to_group,
)

Layer = Callable[..., nn.Module]


class Half(nn.Module):
    """y = down(gelu(up(norm(x)))). x: [batch, seq, hidden], the same on every rank → as x."""

    def __init__(
        self,
        sizes: Sizes,
        place: Place,
        up: Layer = ColumnParallelLinear,
        down: Layer = RowParallelLinear,
        last: Layer = nn.Identity,
    ) -> None:
        super().__init__()
        self.norm = ParallelRMSNorm(sizes.hidden, group=place)
        self.up = up(sizes.hidden, sizes.intermediate, group=place)
        self.down = down(sizes.intermediate, sizes.hidden, group=place)
        self.last = last()

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        return self.last(self.down(F.gelu(self.up(self.norm(x)))))


class WholeHalf(Half):
    """Half, with both matrices whole on every rank; `summed`: the result goes through an all-reduce all the same."""

    def __init__(self, sizes: Sizes, place: Place, summed: bool) -> None:
        super().__init__(sizes, place, up=_whole, down=_whole)
        self.place, self.summed = place, summed

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        y = super().forward(copy_to_group(x, self.place) if self.summed else x)
        return reduce_from_group(y, self.place) if self.summed else y


def _whole(in_features: int, out_features: int, group: Place) -> nn.Linear:
    """An ordinary layer: `group` is not asked."""
    return nn.Linear(in_features, out_features)


class HalfOnSequence(nn.Module):
    """Half under sequence parallelism: the norm and both biases see this rank's tokens only."""

    def __init__(self, sizes: Sizes, place: Place) -> None:
        super().__init__()
        self.place, cut = place, {"group": place, "sequence_parallel": True}
        self.norm = ParallelRMSNorm(sizes.hidden, **cut)
        self.up = ColumnParallelLinear(sizes.hidden, sizes.intermediate, **cut)
        self.down = RowParallelLinear(sizes.intermediate, sizes.hidden, **cut)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        x_shard = scatter_to_group(x, 1, self.place)
        return gather_from_group(self.down(F.gelu(self.up(self.norm(x_shard)))), 1, self.place)


class Chain(nn.Sequential):
    """Halves, one after the other."""

    def __init__(self, sizes: Sizes, place: Place, down: Layer = RowParallelLinear, halves: int = 2) -> None:
        super().__init__(*(Half(sizes, place, down=down) for _ in range(halves)))


class Gated(nn.Module):
    """y = down(silu(gate(n)) · up(n)) with n = norm(x); f is in gate and in up, or `shared` before both."""

    def __init__(self, sizes: Sizes, place: Place, column: Layer, shared: bool) -> None:
        super().__init__()
        self.place, self.shared = place, shared
        self.norm = ParallelRMSNorm(sizes.hidden, group=place)
        self.gate, self.up = (column(sizes.hidden, sizes.intermediate, bias=False, group=place) for _ in range(2))
        self.down = RowParallelLinear(sizes.intermediate, sizes.hidden, bias=False, group=place)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        n = self.norm(x)
        n = copy_to_group(n, self.place) if self.shared else n
        return self.down(F.silu(self.gate(n)) * self.up(n))


class Parallel(nn.Module):
    """y = down(gelu(up(n))) + down_2(gelu(up_2(n))): two branches side by side, with f and g in each or `shared`."""

    def __init__(self, sizes: Sizes, place: Place, column: Layer, row: Layer, shared: bool) -> None:
        super().__init__()
        self.place, self.shared = place, shared
        self.norm = ParallelRMSNorm(sizes.hidden, group=place)
        wide, back = (sizes.hidden, sizes.intermediate), (sizes.intermediate, sizes.hidden)
        self.up, self.up_2 = (column(*wide, bias=False, group=place) for _ in range(2))
        self.down, self.down_2 = (row(*back, bias=False, group=place) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        n = self.norm(x)
        n = copy_to_group(n, self.place) if self.shared else n
        y = self.down(F.gelu(self.up(n))) + self.down_2(F.gelu(self.up_2(n)))
        return reduce_from_group(y, self.place) if self.shared else y


class Attention(nn.Module):
    """y = attention(norm(x)), with as many KV heads as query heads."""

    def __init__(self, sizes: Sizes, place: Place, layer: Layer = ParallelAttention) -> None:
        super().__init__()
        self.norm = ParallelRMSNorm(sizes.hidden, group=place)
        self.attention = layer(sizes.hidden, sizes.heads, sizes.heads, group=place)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → as x."""
        cos, sin = rotary_tables(torch.arange(x.shape[1]), self.attention.head_dim)
        return self.attention(self.norm(x), cos, sin)
