"""Between the cut layers: norms and dropout on whole activations, or on each rank's shard of the sequence."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import own_shard
from tplearn.parallel.inputs import require_input
from tplearn.parallel.partition import Partition
from tplearn.parallel.place import Group, Place
from tplearn.sizes import is_number, require_dim, require_flags, require_size, require_whole, shown
from tplearn.tensors import require_floating


class ParallelRMSNorm(nn.Module):
    """y = x / √(mean(x²) + ε) · weight over the last dimension (Zhang and Sennrich 2019); the weight is not cut.

    With sequence_parallel each rank sees its own tokens only, so the weight's gradient is a partial: call
    `sync_gradients(model)` after backward. Communication: none.

    Raises ValueError where hidden_size is no size or eps not above 0, and in forward for an x of another shape, dtype
    or device.
    """

    def __init__(
        self, hidden_size: int, eps: float = 1e-6, group: Group = None, *, sequence_parallel: bool = False
    ) -> None:
        super().__init__()
        hidden_size = require_size("hidden_size", hidden_size)
        require_flags(sequence_parallel=sequence_parallel)
        if not (is_number(eps) and 0 < eps < math.inf):
            raise ValueError(f"eps = {shown(eps)} does not work; numbers above 0 do, such as 1e-6")
        self.eps = eps
        place = Place.of(group)
        self.partitions = {"weight": Partition.replicated((hidden_size,), place, partial=sequence_parallel)}
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., hidden] → the same shape."""
        require_input(self, x, self.weight.shape[0], self.weight)
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class ParallelDropout(nn.Module):
    """Dropout with the dense model's own mask: all of it where x is whole, this rank's part where x is cut.

    All ranks must have the same seed, and draw the same whole mask. So masks are equal where x is replicated,
    different where it is cut, and the sharded model drops exactly what the dense one does. The price is p times the
    random numbers; Megatron-LM keeps a second generator instead (`model_parallel_rng`), and gives up the equality.

    dim: the dimension of x that is cut over `group`, in equal shards. data_group: the data-parallel ranks, where dim 0
    of x is this rank's hand of the batch: rows r, r + dp, r + 2 dp, …, as DistributedSampler deals them.

    Raises ValueError for a p that is no share below 1, a dim that x does not have, and an x without fractions.
    """

    def __init__(self, p: float = 0.5, dim: int | None = None, group: Group = None, data_group: Group = None) -> None:
        super().__init__()
        if not (is_number(p) and 0 <= p < 1):
            raise ValueError(f"p = {shown(p)} is no share that can be dropped; values from 0 up to, but not, 1 work")
        if dim is not None:
            require_whole("dim", dim, "None works for an x that is not cut, and the number of a dimension of x")
        self.p, self.dim, self.place = p, dim, Place.of(group)
        self.dealt = Place() if data_group is None else Place.of(data_group)

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape → the same shape, with about a share p of it zero and the rest divided by 1 − p."""
        require_floating(f"{type(self).__name__}: input", x)
        dim = None if self.dim is None else require_dim(self.dim, x.ndim)
        if not self.training or self.p == 0:
            return x
        shape = list(x.shape)
        if dim is not None:
            shape[dim] *= self.place.world_size
        if self.dealt.world_size > 1:
            shape[0] *= self.dealt.world_size
        kept = torch.rand(shape, device=x.device) >= self.p
        if self.dealt.world_size > 1:
            kept = kept[self.dealt.rank :: self.dealt.world_size]
        if dim is not None:
            kept = own_shard(kept, dim, self.place)
        return x * kept / (1 - self.p)
