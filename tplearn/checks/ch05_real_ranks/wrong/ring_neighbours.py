"""Wrong answers to 05.1: who sends to whom, and when."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from tplearn.checks.ch05_real_ranks.rounds import (
    Pass,
    add_round,
    chunks_of,
    exchanged,
    gather_round,
    pass_right,
    put_together,
)
from tplearn.checks.exercise import Mutant


def _recv_then_send(x: Tensor, group: ProcessGroup | None) -> Tensor:
    rank, p, arrived = dist.get_rank(group), dist.get_world_size(group), torch.empty_like(x)
    dist.recv(arrived, group=group, group_src=(rank - 1) % p)
    dist.send(x, group=group, group_dst=(rank + 1) % p)
    return arrived


def _send_then_recv(x: Tensor, group: ProcessGroup | None) -> Tensor:
    rank, p, arrived = dist.get_rank(group), dist.get_world_size(group), torch.empty_like(x)
    dist.send(x, group=group, group_dst=(rank + 1) % p)
    dist.recv(arrived, group=group, group_src=(rank - 1) % p)
    return arrived


def _global_places(group: ProcessGroup | None, in_group: bool, own: ProcessGroup | None) -> Pass:
    """Neighbours counted in `group` and named as ranks of the world, with or without the group in the call."""

    def pass_on(x: Tensor, used: ProcessGroup | None) -> Tensor:
        rank, p = dist.get_rank(own), dist.get_world_size(group)
        to, from_ = {"dst": (rank + 1) % p}, {"src": (rank - 1) % p}
        return exchanged(x, to, from_, group if in_group else None)

    return pass_on


def _with(pass_on: Pass) -> Callable[[Tensor, ProcessGroup], Tensor]:
    def answer(x: Tensor, group: ProcessGroup) -> Tensor:
        chunks = chunks_of(x, group)
        add_round(chunks, group, pass_on=pass_on)
        gather_round(chunks, group, pass_on)
        return put_together(chunks, x)

    return answer


def _to_first_and_back(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    others = range(1, dist.get_world_size(group))
    if dist.get_rank(group) == 0:
        for peer in others:
            arrived = torch.empty_like(x)
            dist.recv(arrived, group=group, group_src=peer)
            total = total + arrived
        for peer in others:
            dist.send(total, group=group, group_dst=peer)
    else:
        dist.send(total, group=group, group_dst=0)
        dist.recv(total, group=group, group_src=0)
    return total


def _built_in(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def _whole_tensors(x: Tensor, group: ProcessGroup) -> Tensor:
    total, travelling = x.clone(), x
    for _ in range(dist.get_world_size(group) - 1):
        travelling = pass_right(travelling, group)
        total = total + travelling
    return total


MUTANTS = (
    Mutant(
        "recv before send",
        _with(_recv_then_send),
        "Every rank waits in recv for a neighbour that also waits in recv. Nobody has sent yet, and nobody will.",
        "isend and irecv first, then wait for both.",
        alone=True,
    ),
    Mutant(
        "send before recv",
        _with(_send_then_recv),
        "Every rank waits in send for a neighbour that also waits in send: gloo's send returns when the other side "
        "takes the message, and nobody is there to take it.",
        "isend and irecv first, then wait for both.",
        alone=True,
    ),
    Mutant(
        "rank in the group taken for a global rank",
        lambda x, group: _with(_global_places(group, in_group=False, own=group))(x, group),
        "You count ranks inside the group, and name them to isend and irecv as ranks of the world. dst= and src= are "
        "global ranks. Where the group is all ranks the two are the same; in the group [0, 2] the second rank is 2.",
        "group=group with group_dst= and group_src=, or dist.get_global_rank(group, r).",
        alone=True,
    ),
    Mutant(
        "rank in the group as dst",
        lambda x, group: _with(_global_places(group, in_group=True, own=group))(x, group),
        "dst= and src= are global ranks also where a group is given. You gave ranks counted inside the group: torch "
        "finds no such rank in the group, or sends to another one than you meant.",
        "group_dst= and group_src=, or dist.get_global_rank(group, r).",
        alone=True,
    ),
    Mutant(
        "rank of the world among the group's",
        lambda x, group: _with(_global_places(group, in_group=True, own=None))(x, group),
        "You take the rank of the world, dist.get_rank(), and count on in the size of the group. In the group [1, 3] "
        "rank 3 is the second of two, and its right neighbour is rank 1.",
        "dist.get_rank(group) with group_dst= and group_src=.",
        alone=True,
    ),
    Mutant(
        "the world for the group",
        lambda x, group: _with(pass_right)(x, None),
        "Your ring runs through all ranks of the world: the result is the sum over all of them. Only the ranks of the "
        "group were asked for; the others have a sum of their own.",
        "dist.get_rank(group), dist.get_world_size(group), and the group in isend and irecv.",
    ),
    Mutant(
        "all to one rank and back",
        _to_first_and_back,
        "The numbers are right, the traffic is not: all tensors go to one rank and back, so that one sends and "
        "receives p − 1 whole tensors while the others wait for it. On a ring each rank sends 2 (p − 1) chunks of n / "
        "p.",
        "who sends to whom. Only neighbours may talk.",
    ),
    Mutant(
        "dist.all_reduce",
        _built_in,
        "The sum is right, but dist.all_reduce made it. The ledger should show your own 2 (p − 1) sends.",
        "the ledger: one all_reduce, no send.",
    ),
    Mutant(
        "whole tensors around the ring",
        _whole_tensors,
        "The sum is right, but whole tensors travel: (p − 1) · n instead of 2 (p − 1)/p · n. From 3 ranks on that is "
        "more, and it grows with p.",
        "cut x into p chunks before the first step; a step moves one chunk.",
    ),
)
