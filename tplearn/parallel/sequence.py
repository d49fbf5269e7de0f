"""Between the cut layers: norms and dropout on whole activations, or on each rank's part of the sequence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.collectives import own_slice
from tplearn.parallel.partition import Partition
from tplearn.parallel.place import Group, Place, require_input
from tplearn.sizes import require_dim


class ParallelRMSNorm(nn.Module):
    """y = x / √(mean(x²) + ε) · weight over the last dimension (Zhang and Sennrich 2019); the weight is not cut.

    With sequence_parallel each rank sees its own tokens only, so the weight's gradient is a summand: call
    `sync_gradients(model)` after backward. Communication: none.
    """

    def __init__(
        self, hidden_size: int, eps: float = 1e-6, group: Group = None, *, sequence_parallel: bool = False
    ) -> None:
        super().__init__()
        self.eps = eps
        place = Place.of(group)
        self.partitions = {"weight": Partition.replicated((hidden_size,), place, partial=sequence_parallel)}
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., hidden] → the same shape."""
        require_input(x, self.weight.shape[0], self.weight, type(self).__name__)
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class ParallelDropout(nn.Module):
    """Dropout with the dense model's own mask: all of it where x is whole, this rank's part where x is cut along `dim`.

    All ranks must have the same seed, and draw the same whole mask. So masks are equal where x is replicated,
    different where it is cut, and the sharded model drops exactly what the dense one does. The price is p times the
    random numbers; Megatron-LM keeps a second generator instead (`model_parallel_rng`), and gives up the equality.
    """

    def __init__(self, p: float = 0.5, dim: int | None = None, group: Group = None) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p = {p} is no share that can be dropped; values from 0 up to, but not, 1 work")
        self.p, self.dim, self.place = p, dim, Place.of(group)

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape → the same shape, with about a share p of it zero and the rest divided by 1 − p."""
        if not self.training or self.p == 0:
            return x
        shape = list(x.shape)
        if self.dim is not None:
            shape[require_dim(self.dim, x.ndim)] *= self.place.world_size
        kept = torch.rand(shape, device=x.device) >= self.p
        if self.dim is not None:
            kept = own_slice(kept, require_dim(self.dim, x.ndim), self.place)
        return x * kept / (1 - self.p)
