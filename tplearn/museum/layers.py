"""The layers that exhibits are made of: each differs from tplearn.parallel's in a line or two of its forward."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed._functional_collectives import all_reduce
from torch.nn import functional as F

from tplearn.parallel import (
    Chunk,
    ColumnParallelLinear,
    ParallelAttention,
    Partition,
    Place,
    RowParallelLinear,
    VocabParallelEmbedding,
    reduce_from_group,
)
from tplearn.parallel.collectives import plain_all_reduce
from tplearn.parallel.parameters import make_parameters


class BareColumn(ColumnParallelLinear):
    """Column parallel, without f."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] → [..., out/p]."""
        return F.linear(x, self.weight, self.bias)


class BareRow(RowParallelLinear):
    """Row parallel, without g."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        y = F.linear(x, self.weight)
        return y if self.bias is None else y + self.bias


class RowWithBiasInside(RowParallelLinear):
    """Row parallel, with the bias in the matmul."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        return reduce_from_group(F.linear(x, self.weight, self.bias), self.place)


class RowWithShareOfBias(RowParallelLinear):
    """Row parallel, with bias/p in the matmul."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        return reduce_from_group(F.linear(x, self.weight, self.bias / self.place.world_size), self.place)


class RowWithBiasOnFirst(RowParallelLinear):
    """Row parallel, with the bias in rank 0's matmul; the other ranks have none."""

    def __init__(self, in_features: int, out_features: int, group: Place) -> None:
        super().__init__(in_features, out_features, group=group)
        rows = Chunk(0, out_features if self.place.rank == 0 else 0)
        self.partitions["bias"] = Partition((out_features,), self.place, (rows,))
        make_parameters(self, ("weight", "bias"))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        bias = self.bias if self.place.rank == 0 else None
        return reduce_from_group(F.linear(x, self.weight, bias), self.place)


class RowWithoutWayBack(RowParallelLinear):
    """Row parallel, whose all-reduce autograd does not see."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        y = F.linear(x, self.weight)
        if self.place.world_size > 1:
            y = plain_all_reduce(y.detach(), self.place)
        return y + self.bias


class RowSummedBothWays(RowParallelLinear):
    """Row parallel, with torch's own differentiable all_reduce."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in/p] → [..., out]."""
        return all_reduce(F.linear(x, self.weight), "sum", self.place.group or dist.group.WORLD) + self.bias


class AttentionCutAsBlock(ParallelAttention):
    """Attention, whose fused QKV weight is cut in p equal runs of rows."""

    def __init__(self, hidden_size: int, heads: int, kv_heads: int, group: Place) -> None:
        super().__init__(hidden_size, heads, kv_heads, group=group)
        rows = (heads + 2 * kv_heads) * self.head_dim
        self.qkv_proj = ColumnParallelLinear(hidden_size, rows, bias=False, group=group)


class EmbeddingWithLocalPadding(VocabParallelEmbedding):
    """Embedding, which hands padding_idx to F.embedding as it is."""

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [batch, seq] → [batch, seq, width]."""
        elsewhere = (ids < self.start) | (ids >= self.stop)
        own_ids = (ids - self.start).masked_fill(elsewhere, 0)
        y = F.embedding(own_ids, self.weight, self.padding_idx)
        return reduce_from_group(y.masked_fill(elsewhere[..., None], 0), self.place)


class SeededDropout(nn.Module):
    """Dropout, whose mask comes from a seed of its own."""

    def __init__(self, p: float, seed: int) -> None:
        super().__init__()
        self.p, self.seed = p, seed

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape → the same shape."""
        kept = torch.rand(x.shape, generator=torch.Generator().manual_seed(self.seed)) >= self.p
        return x * kept / (1 - self.p)
