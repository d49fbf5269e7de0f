"""Exercise 17.7: causal attention over a ring of ranks, with fewer KV heads than query heads."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch17_beyond_tp.drive_ring import in_a_ring
from tplearn.checks.ch17_beyond_tp.ring_hanging import HANGING
from tplearn.checks.ch17_beyond_tp.ring_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.groups import Groups, named
from tplearn.checks.inputs import pick, randn
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank


def ring_attention(q: Tensor, k: Tensor, v: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Ring Attention (Liu et al. 2023) with the running softmax of Milakov and Gimelshein 2018."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    q = q.unflatten(1, (k.shape[1], -1))  # [batch, KV heads, query heads of each, s, d]
    top = q.new_full((*q.shape[:-1], 1), -torch.inf)
    total, y, kv = torch.zeros_like(top), torch.zeros_like(q), torch.stack([k, v], dim=0)
    for step in range(p):
        source = (rank - step) % p
        if source <= rank:
            keys, values = kv.unsqueeze(3)  # [batch, KV heads, 1, s, d]
            scores = q @ keys.mT * q.shape[-1] ** -0.5
            if source == rank:
                seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
                scores = scores.masked_fill(~seen, -torch.inf)
            new_top = torch.maximum(top, scores.amax(-1, keepdim=True))
            old, weights = (top - new_top).exp(), (scores - new_top).exp()
            top, total, y = new_top, total * old + weights.sum(-1, keepdim=True), y * old + weights @ values
        if step < p - 1:
            arrived = torch.empty_like(kv)
            works = [
                dist.isend(kv, group=group, group_dst=(rank + 1) % p),
                dist.irecv(arrived, group=group, group_src=(rank - 1) % p),
            ]
            for work in works:
                work.wait()
            kv = arrived
    return (y / total).flatten(1, 2)


LAYOUTS: dict[int, tuple[Groups, ...]] = {1: (None,), 2: (None,), 3: (None,), 4: (None, [[0, 2], [1, 3]])}
LARGE = "large scores"
SCORES = 2000.0  # exp of a float64 above 709 is infinite


def _cases(generator: Generator) -> list[Case]:
    """Query heads that share a KV head, and that do not; scores of which no exp can be taken; two rings at once."""
    cases = []
    for p, layouts in LAYOUTS.items():
        for groups in layouts:
            for label in ["", LARGE] if p in (2, 3) else [named(groups)]:
                batch, kv_heads, s, d = pick(generator, 1, 2), 2, pick(generator, 8, 10), 4
                heads = kv_heads * (2 if groups else 1 if p == 4 else 3)
                scale = SCORES if label == LARGE else 1.0
                q, k, v = (
                    per_rank([randn(generator, batch, n, s, d) * size for _ in range(p)])
                    for n, size in ((heads, scale), (kv_heads, 1.0), (kv_heads, 1.0))
                )
                cases.append(Case(p, (q, k, v, groups), label=label))
    return cases


RING_ATTENTION = Exercise(
    number="17.7",
    name="ring_attention",
    points=15,
    difficulty=3,
    minutes=20,
    reference=ring_attention,
    cases=_cases,
    observe=in_a_ring,
    ranks=True,
    sent=Traffic(bytes_only=True, ops=frozenset({"send", "recv"})),
    mutants=MUTANTS + HANGING,
    ready=("tplearn.parallel.context",),
)
