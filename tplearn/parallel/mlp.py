"""The MLP of a Llama block: gate and up cut by outputs, down cut by inputs, one all-reduce."""

from torch import Tensor, nn
from torch.nn import functional as F

from tplearn.parallel.linear import MergedColumnParallelLinear, RowParallelLinear
from tplearn.parallel.place import Group


class ParallelMLP(nn.Module):
    """y = down(silu(gate(x)) · up(x)) (SwiGLU: Shazeer 2020). vLLM: `LlamaMLP`.

    x: [batch, seq, hidden], the same on every rank → y of the same kind. Communication: one all-reduce forward, one
    backward. With sequence_parallel x and y are [batch, seq/p, hidden], and each way has one all-gather and one
    reduce-scatter.
    """

    def __init__(
        self, hidden_size: int, intermediate_size: int, group: Group = None, *, sequence_parallel: bool = False
    ) -> None:
        super().__init__()
        sizes = (intermediate_size, intermediate_size)
        self.gate_up_proj = MergedColumnParallelLinear(
            hidden_size, sizes, bias=False, group=group, sequence_parallel=sequence_parallel
        )
        self.down_proj = RowParallelLinear(
            intermediate_size, hidden_size, bias=False, group=group, sequence_parallel=sequence_parallel
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → [batch, seq, hidden]."""
        gate, up = self.gate_up_proj(x)  # [batch, seq, intermediate/p] each
        return self.down_proj(F.silu(gate) * up)
