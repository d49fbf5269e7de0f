"""Exercise 05.2: exchange a tensor with both neighbours, without a circle of listeners."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def _neighbours() -> tuple[int, int]:
    rank, p = dist.get_rank(), dist.get_world_size()
    return (rank - 1) % p, (rank + 1) % p


def exchange(x: Tensor) -> Tensor:
    """x: [n] -> [3, n]: the left neighbour's x, my x, the right neighbour's x."""
    left, right = _neighbours()
    from_left, from_right = torch.empty_like(x), torch.empty_like(x)
    works = [
        dist.isend(x, dst=right),
        dist.isend(x, dst=left),
        dist.irecv(from_left, src=left),
        dist.irecv(from_right, src=right),
    ]
    for work in works:
        work.wait()
    return torch.stack([from_left, x, from_right])


def _cases(generator: torch.Generator) -> list[Case]:
    return [Case(tp, (per_rank(one_each(tp, generator, 5)),)) for tp in (2, 3, 4)]


def _recv_first(x: Tensor) -> Tensor:
    left, right = _neighbours()
    from_left, from_right = torch.empty_like(x), torch.empty_like(x)
    dist.recv(from_left, src=left)
    dist.recv(from_right, src=right)
    dist.send(x, dst=right)
    dist.send(x, dst=left)
    return torch.stack([from_left, x, from_right])


def _left_and_right_swapped(x: Tensor) -> Tensor:
    return exchange(x).flip(0)


def _line(x: Tensor) -> Tensor:
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    from_left, from_right, works = torch.zeros_like(x), torch.zeros_like(x), []
    if rank > 0:
        works += [dist.isend(x, dst=rank - 1), dist.irecv(from_left, src=rank - 1)]
    if rank < last:
        works += [dist.isend(x, dst=rank + 1), dist.irecv(from_right, src=rank + 1)]
    for work in works:
        work.wait()
    return torch.stack([from_left, x, from_right])


def _gather_all(x: Tensor) -> Tensor:
    left, right = _neighbours()
    everybody = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(everybody, x)
    return torch.stack([everybody[left], x, everybody[right]])


EXCHANGE = Exercise(
    number="05.2",
    name="exchange",
    points=10,
    difficulty=2,
    minutes=10,
    reference=exchange,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "recv before send",
            _recv_first,
            "Every rank listens first, so nobody ever speaks: a circle of recv that wait for each other.",
            "isend and irecv return at once: start all four, then wait for all four.",
            alone=True,
        ),
        Mutant(
            "left and right swapped",
            _left_and_right_swapped,
            "Left and right are swapped: row 0 holds the right neighbour's tensor. With 2 ranks both neighbours are "
            "the "
            "same rank, so only larger rings show it.",
            "left is rank − 1, and its tensor is row 0 of the result.",
        ),
        Mutant(
            "a line instead of a ring",
            _line,
            "Your ranks stand in a line: the first has no left neighbour and the last no right one, and zeros fill "
            "the gap. "
            "In a ring they are neighbours of each other.",
            "the neighbours' numbers are taken mod p.",
        ),
        Mutant(
            "everybody to everybody",
            _gather_all,
            "The result is right, but all_gather brings you everybody's tensor: p − 1 of them, where two are needed.",
            "the ledger due is 2 send and 2 recv on each rank, whatever p is.",
        ),
    ),
)
