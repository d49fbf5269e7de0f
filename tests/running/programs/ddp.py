"""Data parallel training with DistributedDataParallel, a checkpoint of rank 0 that all load, and a sampler's shards.

In the spirit of "Getting Started with Distributed Data Parallel" (docs.pytorch.org,
tutorials/intermediate/ddp_tutorial).
"""

import os
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(10, 10), nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(torch.relu(self.inner(x)))


def main() -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(rank)  # DDP hands rank 0's weights to all
    model = DistributedDataParallel(Toy())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(7)
    data = TensorDataset(torch.randn(32, 10), torch.randn(32, 5))
    sampler = DistributedSampler(data, shuffle=True, seed=1)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for x, y in DataLoader(data, batch_size=4, sampler=sampler):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.6f}")
    path = os.path.join(tempfile.gettempdir(), f"toy-{os.environ['MASTER_PORT']}.pt")
    if rank == 0:
        torch.save(model.state_dict(), path)
    dist.barrier()
    model.load_state_dict(torch.load(path, weights_only=True))
    dist.barrier()
    if rank == 0:
        os.remove(path)
    print(f"weights {sum(p.abs().sum() for p in model.parameters()).item():.6f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
