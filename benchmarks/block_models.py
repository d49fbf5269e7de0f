"""The Llama block of benchmarks/block.py, from tplearn's layers and from plain modules that DTensor cuts."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn import functional as F

from tplearn.parallel import ParallelAttention, ParallelMLP, ParallelRMSNorm, apply_rotary, attend, rotary_tables

HIDDEN, HEADS, KV_HEADS, FFN, LAYERS = 1024, 16, 8, 2816, 4
HEAD_DIM = HIDDEN // HEADS


class Block(nn.Module):
    """Norm, attention, norm, MLP, with residuals; the two inner parts are given."""

    def __init__(self, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = ParallelRMSNorm(HIDDEN), ParallelRMSNorm(HIDDEN)
        self.attention, self.mlp = attention, mlp

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        x = x + self.attention(self.norm_1(x), cos, sin)
        return x + self.mlp(self.norm_2(x))


class Blocks(nn.Module):
    """LAYERS blocks one after the other, at positions 0, 1, 2, …"""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        cos, sin = rotary_tables(torch.arange(x.shape[1]), HEAD_DIM)
        for block in self.blocks:
            x = block(x, cos, sin)
        return x


def tplearn_model(group: dist.ProcessGroup | None) -> Blocks:
    """The blocks from tplearn's layers, cut over `group`."""
    return Blocks(
        [
            Block(ParallelAttention(HIDDEN, HEADS, KV_HEADS, HEAD_DIM, group=group), ParallelMLP(HIDDEN, FFN, group))
            for _ in range(LAYERS)
        ]
    )


class PlainAttention(nn.Module):
    """Attention as frameworks write it for DTensor: three projections, heads counted by what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(HIDDEN, HEADS * HEAD_DIM, bias=False)
        self.k_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM, bias=False)
        self.v_proj = nn.Linear(HIDDEN, KV_HEADS * HEAD_DIM, bias=False)
        self.o_proj = nn.Linear(HEADS * HEAD_DIM, HIDDEN, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        projections = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (proj(x).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2) for proj in projections)
        y = attend(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class PlainMLP(nn.Module):
    """SwiGLU with three projections."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, FFN, bias=False)
        self.up_proj = nn.Linear(HIDDEN, FFN, bias=False)
        self.down_proj = nn.Linear(FFN, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, seq, hidden] → the same."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def dtensor_model() -> Blocks:
    """The same blocks from plain modules, cut by `parallelize_module` as PyTorch's tutorial does."""
    model = Blocks([Block(PlainAttention(), PlainMLP()) for _ in range(LAYERS)])
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    plan = {f"attention.{name}_proj": ColwiseParallel() for name in "qkv"} | {"attention.o_proj": RowwiseParallel()}
    plan |= {"mlp.gate_proj": ColwiseParallel(), "mlp.up_proj": ColwiseParallel(), "mlp.down_proj": RowwiseParallel()}
    for block in model.blocks:
        parallelize_module(block, mesh, plan)
    return model
