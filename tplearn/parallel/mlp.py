"""The MLP of a Llama block: gate and up cut by outputs, down cut by inputs, one all-reduce."""

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.column import MergedColumnParallelLinear
from tplearn.parallel.place import Group, Place
from tplearn.parallel.row import RowParallelLinear
from tplearn.sizes import require_divisible, require_size


class ParallelMLP(nn.Module):
    """y = down(silu(gate(x)) · up(x)) (SwiGLU: Shazeer 2020). vLLM: `LlamaMLP`.

    x: [batch, seq, hidden], the same on every rank → y of the same kind. Communication: one all-reduce forward, one
    backward. With sequence_parallel x and y are [batch, seq/p, hidden], and each way has one all-gather and one
    reduce-scatter.

    Raises ValueError where a size is none or intermediate_size does not divide by the ranks, and in forward for an x of
    another shape, dtype or device.
    """

    def __init__(
        self, hidden_size: int, intermediate_size: int, group: Group = None, *, sequence_parallel: bool = False
    ) -> None:
        super().__init__()
        place = Place.of(group)
        hidden_size = require_size("hidden_size", hidden_size)
        intermediate_size = require_size("intermediate_size", intermediate_size)
        require_divisible("intermediate_size", intermediate_size, place.world_size)
        options = {"bias": False, "group": place, "sequence_parallel": sequence_parallel}
        self.gate_up_proj = MergedColumnParallelLinear(hidden_size, (intermediate_size, intermediate_size), **options)
        self.down_proj = RowParallelLinear(intermediate_size, hidden_size, **options)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → [batch, seq, hidden]."""
        gate, up = self.gate_up_proj(x)  # [batch, seq, intermediate/p] each
        return self.down_proj(F.silu(gate) * up)
