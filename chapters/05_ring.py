"""Ring all-reduce on real ranks: `python 05_ring.py`, or `torchrun --standalone --nproc_per_node=4 05_ring.py`."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn import run_ranks


def pass_right(x: Tensor) -> Tensor:
    """Send x to the right neighbour and return what the left one sent. Any shape, the same on every rank."""
    rank, p = dist.get_rank(), dist.get_world_size()
    arrived = torch.empty_like(x)
    works = [dist.isend(x, dst=(rank + 1) % p), dist.irecv(arrived, src=(rank - 1) % p)]
    for work in works:
        work.wait()
    return arrived


def ring_all_reduce(x: Tensor) -> Tensor:
    """x: [n] on each of p ranks, n divisible by p -> the sum over ranks [n], on every rank. x stays as it is."""
    rank, p = dist.get_rank(), dist.get_world_size()
    chunks = list(x.reshape(p, -1))  # [n] -> p times [n / p]
    for step in range(p - 1):  # reduce-scatter: rank r ends with the whole sum of chunk r
        arrived = pass_right(chunks[(rank - 1 - step) % p])
        chunks[(rank - 2 - step) % p] = chunks[(rank - 2 - step) % p] + arrived
    for step in range(p - 1):  # all-gather: pass on what arrived last
        chunks[(rank - 1 - step) % p] = pass_right(chunks[(rank - step) % p])
    return torch.cat(chunks)


def main() -> list[float]:
    """What every rank does: bring eight numbers of its own, leave with the sum."""
    x = torch.arange(8.0) + 100 * dist.get_rank()
    total = ring_all_reduce(x).tolist()
    print(f"rank {dist.get_rank()} of {dist.get_world_size()}: {total}", flush=True)
    return total


if __name__ == "__main__":
    run_ranks(main, 4)
