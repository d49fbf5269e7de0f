"""A device mesh made without init_process_group, DTensors redistributed on it, and a tensor parallel MLP.

In the spirit of "Getting Started with DeviceMesh" and "Large Scale Transformer model training with Tensor Parallel"
(docs.pytorch.org, tutorials/recipes/distributed_device_mesh and tutorials/intermediate/TP_tutorial).
"""

import os

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x)))


def main() -> None:
    world_size = int(os.environ["WORLD_SIZE"])
    mesh = init_device_mesh("cpu", (world_size,), mesh_dim_names=("tp",))
    torch.manual_seed(0)
    whole = torch.arange(24.0).reshape(6, 4)
    rows = distribute_tensor(whole, mesh, [Shard(0)])
    columns = rows.redistribute(mesh, [Shard(1)])
    print(f"rows {rows.to_local().tolist()}")
    print(f"columns {columns.to_local().tolist()} sum {columns.sum().full_tensor().item()}")
    model, x = Mlp(), torch.randn(4, 8)
    due = model(x)
    parallel = parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    out = parallel(x)
    out.sum().backward()
    gradient = parallel.up.weight.grad
    print(f"same {torch.allclose(out, due, atol=1e-5)} {gradient.placements} {gradient.full_tensor().sum().item():.5f}")
    print(f"replicated {rows.redistribute(mesh, [Replicate()]).to_local().equal(whole)}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
