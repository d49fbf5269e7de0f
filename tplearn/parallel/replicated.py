"""Are the copies still copies? Digests first, a few bytes each; numbers cross the wire only where digests differ."""

import json
from hashlib import blake2b

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tplearn.parallel.claims import Claim, claims_of, home_of
from tplearn.parallel.collectives import plain_all_gather
from tplearn.parallel.differences import (
    Brought,
    Difference,
    difference_in_kind,
    difference_in_numbers,
    problems_of,
)
from tplearn.parallel.digest import digest
from tplearn.parallel.place import Group, Place
from tplearn.tensors import described

BLOCK = 4096  # numbers that are fetched together where a digest differs


def assert_replicated(what: Tensor | nn.Module | dict | list, group: Group = None) -> None:
    """Raise the same AssertionError on every rank where what should be the same on all of them is not.

    what: a tensor; tensors in dictionaries and lists; or a module. Of a module are compared

    - over the group that a parameter is cut over: its copies (norms, biases of row-parallel layers, KV heads that
      several ranks hold). Shards differ, and should; but as long as they are as they were drawn, all must be cut from
      one dense draw. So another seed on each rank is found;
    - over `group`: all parameters and buffers of ordinary modules, and where it is another group than a parameter is
      cut over (the data-parallel one, say), its shards. What FSDP has cut is left out there.

    The message names the tensor, the ranks that differ, and the first place where they do, with both numbers; or names,
    shapes and dtypes that differ. NaN equals NaN. Every rank of the group must call it; where all is well, two
    all-gathers of a few bytes a tensor are sent. On one rank alone nothing is.

    Raises ValueError, on every rank, where one brings what cannot be compared: no tensor, or one without numbers.
    """
    try:
        claims, problem = claims_of(what, group), ""
    except ValueError as error:
        claims, problem = [], str(error)
    by_place: dict[Place, list[Claim]] = {}
    for claim in claims:
        by_place.setdefault(claim.place, []).append(claim)
    for place, members in (by_place or {home_of(what, group): []}).items():
        if place.world_size > 1:
            _compare(members, problem, Exchange(place))
        elif problem:
            raise ValueError(problem)


class Exchange:
    """Small messages among the ranks of a place, on a device that the group's backend can send from."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ranks = dist.get_process_group_ranks(place.group or dist.group.WORLD)
        on_cpu = "cpu:" in dist.get_backend_config(place.group)  # not so with NCCL alone
        self.device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()

    def gather(self, x: Tensor) -> Tensor:
        """[...] → [p, ...], every rank's x."""
        return plain_all_gather(x.to(self.device)[None], 0, self.place).cpu()

    def texts(self, text: str) -> list[str]:
        """Every rank's text."""
        own = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
        sizes = self.gather(torch.tensor(len(own))).tolist()
        padded = self.gather(torch.cat([own, own.new_zeros(max(sizes) - len(own))]))
        return [bytes(row[:size].tolist()).decode() for row, size in zip(padded, sizes, strict=True)]


@torch.no_grad()
def _compare(claims: list[Claim], problem: str, exchange: Exchange) -> None:
    """First whether all ranks speak of the same tensors, then digests, then numbers."""
    own = Brought(problem, [[claim.name, claim.kind, described(claim.x)] for claim in claims])
    text = json.dumps(own)
    fingerprint = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
    fingerprints = exchange.gather(torch.tensor(fingerprint))
    if (fingerprints != fingerprint).any() or problem:
        brought = [Brought(*json.loads(text)) for text in exchange.texts(text)]
        if problems := problems_of(brought, exchange.ranks):
            raise ValueError(problems)
        raise AssertionError(difference_in_kind(brought, exchange.ranks))
    if not claims:
        return
    keys, digests = torch.tensor([claim.key for claim in claims]), [digest(claim.x).cpu() for claim in claims]
    keys, digests = exchange.gather(torch.stack([keys, torch.stack(digests)])).unbind(1)  # [ranks, claims] each
    by_claim = {n: _others(keys[:, n].tolist(), digests[:, n].tolist(), claim.drawn) for n, claim in enumerate(claims)}
    suspects = [n for n, others in by_claim.items() if others]
    for number in suspects:
        if found := _differences(claims[number].x, by_claim[number], exchange):
            names = [claims[n].name for n in suspects if n > number]
            raise AssertionError(difference_in_numbers(claims[number], found, names))


def _others(keys: list[int], digests: list[int], drawn: bool) -> dict[int, int]:
    """{rank: the first rank with its key}, for the ranks whose digest is another one than there."""
    if drawn and -1 in keys:
        return {}
    firsts = {rank: keys.index(key) for rank, key in enumerate(keys)}
    return {rank: first for rank, first in firsts.items() if digests[rank] != digests[first]}


def _differences(x: Tensor, others: dict[int, int], exchange: Exchange) -> list[Difference]:
    """Where in x each rank begins to differ from its other, if it does: equal numbers may have other bits."""
    blocks = x.contiguous().flatten().split(BLOCK)
    digests = exchange.gather(torch.stack([digest(block).cpu() for block in blocks])).tolist()
    found: dict[int, Difference] = {}
    for number, block in enumerate(blocks):
        unseen = {rank: other for rank, other in others.items() if rank not in found}
        if all(digests[rank][number] == digests[other][number] for rank, other in unseen.items()):
            continue
        numbers = exchange.gather(block)
        for rank, other in unseen.items():
            ours, theirs = numbers[rank], numbers[other]
            differ = ((ours != theirs) & ~((ours != ours) & (theirs != theirs))).nonzero()  # NaN counts as equal to NaN
            if len(differ):
                at, ranks = int(differ[0]), exchange.ranks
                where = number * BLOCK + at
                found[rank] = Difference(ranks[rank], ranks[other], where, ours[at].item(), theirs[at].item())
    return list(found.values())
