"""Wrong answers to 05.2: an exchange with both neighbours."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Mutant

Places = Callable[[int, int], tuple[int, int]]  # (rank, p) → (left, right)


def _ring(rank: int, p: int) -> tuple[int, int]:
    return (rank - 1) % p, (rank + 1) % p


def _asynchronous(
    places: Places = _ring, rows: str = "lxr", listens: Places | None = None
) -> Callable[[Tensor], Tensor]:
    """The right answer with other neighbours (`listens`: to receive from), or other rows of l(eft), x, r(ight)."""

    def answer(x: Tensor) -> Tensor:
        rank, p = dist.get_rank(), dist.get_world_size()
        (to_left, to_right), (left, right) = places(rank, p), (listens or places)(rank, p)
        seen = {"l": torch.empty_like(x), "x": x, "r": torch.empty_like(x)}
        works = [dist.irecv(seen["l"], src=left), dist.irecv(seen["r"], src=right)]
        works += [dist.isend(x, dst=to_right), dist.isend(x, dst=to_left)]
        for work in works:
            work.wait()
        return torch.stack([seen[row] for row in rows])

    return answer


def _blocking(order: Callable[[int], str]) -> Callable[[Tensor], Tensor]:
    """order(rank): which of "receive" and "send" comes first."""

    def answer(x: Tensor) -> Tensor:
        rank, p = dist.get_rank(), dist.get_world_size()
        left, right = _ring(rank, p)
        from_left, from_right = torch.empty_like(x), torch.empty_like(x)
        steps = {
            "receive": lambda: (dist.recv(from_left, src=left), dist.recv(from_right, src=right)),
            "send": lambda: (dist.send(x, dst=right), dist.send(x, dst=left)),
        }
        first = order(rank)
        steps[first]()
        steps["send" if first == "receive" else "receive"]()
        return torch.stack([from_left, x, from_right])

    return answer


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
    everybody = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(everybody, x)
    left, right = _ring(dist.get_rank(), len(everybody))
    return torch.stack([everybody[left], x, everybody[right]])


def _one_buffer(x: Tensor) -> Tensor:
    """Both messages into one tensor, the right neighbour's last."""
    both = _asynchronous()(x)
    return torch.stack([both[2], x, both[2]])


def _read_too_early(x: Tensor) -> Tensor:
    """The rows of what arrives hold the zeros that were there before."""
    both = _asynchronous()(x)
    return torch.stack([torch.zeros_like(x), both[1], torch.zeros_like(x)])


MUTANTS = (
    Mutant(
        "recv before send",
        _blocking(lambda rank: "receive"),
        "Every rank listens first, so nobody ever speaks: a circle of recv that wait for each other.",
        "isend and irecv return at once: start all four, then wait for all four.",
        alone=True,
    ),
    Mutant(
        "send before recv",
        _blocking(lambda rank: "send"),
        "Every rank speaks first, so nobody listens: gloo's send returns when the other side takes the message. A "
        "circle of send that wait for each other.",
        "isend and irecv return at once: start all four, then wait for all four.",
        alone=True,
    ),
    Mutant(
        "only rank 0 speaks first",
        _blocking(lambda rank: "send" if rank == 0 else "receive"),
        "Only rank 0 sends first. With 2 ranks that is enough. With more, rank 1 takes rank 0's message and then waits "
        "for rank 2, while rank 2 waits for rank 1.",
        "isend and irecv return at once: start all four, then wait for all four.",
        alone=True,
    ),
    Mutant(
        "no ring",
        _asynchronous(lambda rank, p: (rank - 1, rank + 1)),
        "The first rank has no left neighbour at rank − 1, and the last none at rank + 1: there are no such ranks. In "
        "a ring they are neighbours of each other.",
        "(rank − 1) % p and (rank + 1) % p.",
        alone=True,
    ),
    Mutant(
        "left and right swapped",
        _asynchronous(rows="rxl"),
        "Left and right are swapped: row 0 holds the right neighbour's tensor. With 2 ranks both neighbours are the "
        "same rank, so only larger rings show it.",
        "left is rank − 1, and its tensor is row 0 of the result.",
    ),
    Mutant(
        "a line instead of a ring",
        _line,
        "Your ranks stand in a line: the first has no left neighbour and the last no right one, and zeros fill the "
        "gap. In a ring they are neighbours of each other.",
        "the neighbours' numbers are taken mod p.",
    ),
    Mutant(
        "everybody to everybody",
        _gather_all,
        "The result is right, but all_gather brings you everybody's tensor: p − 1 of them, where two are needed.",
        "the ledger due is 2 send and 2 recv on each rank, whatever p is.",
    ),
    Mutant(
        "one tensor for both",
        _one_buffer,
        "Rows 0 and 2 of your result are the same. Either both messages were received into one tensor, where the "
        "second has overwritten the first, or both came from the right neighbour.",
        "two empty tensors, one for each irecv, and the src of each.",
    ),
    Mutant(
        "the left neighbour twice",
        lambda x: _asynchronous()(x)[[0, 1, 0]],
        "Rows 0 and 2 of your result are both the left neighbour's. Either both messages were received into one "
        "tensor, or row 2 was never asked of the right neighbour.",
        "two empty tensors, one for each irecv, and the src of each.",
    ),
    Mutant(
        "own tensor missing",
        _asynchronous(rows="lr"),
        "Your result has two rows, the neighbours'. The rank's own x stands between them.",
        "torch.stack([from_left, x, from_right]).",
    ),
    Mutant(
        "own tensor first",
        _asynchronous(rows="xlr"),
        "The three tensors are there in another order: x first. Row 0 is the left neighbour's, x is in the middle.",
        "torch.stack([from_left, x, from_right]).",
    ),
    Mutant(
        "read too early",
        _read_too_early,
        "Rows 0 and 2 of your result are zeros, though both neighbours' messages came. Either the result was put "
        "together before wait(), and torch.stack copied buffers in which nothing was yet; or it is made of other "
        "tensors than irecv has filled.",
        "the order: start all four, wait for all four, and only then read what has arrived.",
    ),
    Mutant(
        "own tensor three times",
        lambda x: _asynchronous()(x)[[1, 1, 1]],
        "All three rows are the rank's own x: nothing that came in is in your result.",
        "what irecv has filled.",
    ),
)
