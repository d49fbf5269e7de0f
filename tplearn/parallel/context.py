"""Context parallelism: causal attention over a sequence that is cut over the ranks; keys and values go round a ring."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from tplearn.parallel.collectives import plain_shift
from tplearn.parallel.place import Group, Place
from tplearn.sizes import require_rank, require_size
from tplearn.tensors import require_floating

Sums = tuple[Tensor, Tensor, Tensor]  # of a softmax that is not over: largest score, Σ exp, Σ exp · value


def ring_attention(q: Tensor, k: Tensor, v: Tensor, group: Group = None, *, zigzag: bool = True) -> Tensor:
    """Causal attention of this rank's own tokens to all tokens. q: [batch, heads, seq/p, d] → as q.

    k, v: [batch, kv heads, seq/p, d] of the same tokens; which those are, `own_positions` says. Each rank needs the
    rotary positions of its own. Sums are kept in q's dtype. Communication: p − 1 sends of k and v forward, p backward
    (the last brings dk and dv home), and nothing is sent while a rank computes.

    Ring Attention (Liu et al. 2023). zigzag gives every rank equal work; Llama 3 was trained with these chunks, but
    gathers all keys and values at once (Dubey et al. 2024, section 3.3.2). Megatron-LM: `context_parallel_size`.

    Raises ValueError where the shapes do not fit each other, and with zigzag for an odd number of tokens on a rank.
    """
    for name, x in (("q", q), ("k", k), ("v", v)):
        require_floating(name, x)
    fits = q.ndim == k.ndim == 4 and k.shape == v.shape and q.shape[0] == k.shape[0] and q.shape[2:] == k.shape[2:]
    if not fits or k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"q of shape {tuple(q.shape)}, k of shape {tuple(k.shape)} and v of shape {tuple(v.shape)} do not fit each "
            "other; [batch, heads, seq/p, d] and twice [batch, kv heads, seq/p, d] work, where kv heads divide heads"
        )
    if zigzag and q.shape[2] % 2:
        raise ValueError(f"{q.shape[2]} tokens on a rank are no two equal chunks; with zigzag, even numbers work")
    return _RingAttention.apply(q, k, v, Place.of(group), zigzag)


def own_chunks(rank: int, p: int, *, zigzag: bool = True) -> tuple[int, ...]:
    """Which chunks of the sequence a rank has: r and 2p − 1 − r of 2p with zigzag, else r of p."""
    rank = require_rank("rank", rank, p)
    return (rank, 2 * p - 1 - rank) if zigzag else (rank,)


def own_positions(seq: int, rank: int, p: int, *, zigzag: bool = True) -> Tensor:
    """[seq/p]: the positions of a rank's tokens in the whole sequence, in the order in which it has them.

    x[:, positions] is its part of x [batch, seq, ...], and whole[:, positions] = part puts it back.
    Raises ValueError where the sequence does not divide into the chunks.
    """
    chunks = own_chunks(rank, p, zigzag=zigzag)
    count = p * len(chunks)
    if require_size("seq", seq) % count:
        raise ValueError(f"seq = {seq} does not divide into {count} chunks; multiples of {count} work")
    return torch.cat([torch.arange(seq // count) + seq // count * chunk for chunk in chunks])


def blocks_at(rank: int, step: int, p: int, *, zigzag: bool = True) -> list[tuple[int, int]]:
    """The blocks that a rank computes in a step of the ring: (chunk of its queries, chunk of the keys it holds then).

    Keys of later chunks are not seen, and so not computed. In all p steps a zigzag rank computes 2p + 1 blocks; without
    zigzag rank r computes r + 1, each four times as large. Raises ValueError for a rank or a step that does not exist.
    """
    if not 0 <= step < p:
        raise ValueError(f"step = {step} does not exist; in a ring of {p} ranks, steps go from 0 to {p - 1}")
    queries, keys = (own_chunks(r, p, zigzag=zigzag) for r in (rank, (rank - step) % p))
    return [(query, key) for query in queries for key in keys if key <= query]


class _RingAttention(Function):
    """Attention block by block, with the sums of a softmax that grows (FlashAttention, Dao et al. 2022, section 3.1).

    forward:  z = q kᵀ / √d,  m = max z,  s = Σ exp(z − m),  y = Σ exp(z − m) v / s,  L = m + log s;
              after each block the sums so far are scaled by exp(m before − m)
    backward: a = exp(z − L),  dv = aᵀ dy,  dz = a (dy vᵀ − Σ dy y),  dq = dz k / √d,  dk = dzᵀ q / √d;
              dk and dv travel with their k and v, and every rank adds its own
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, place: Place, zigzag: bool) -> Tensor:  # noqa: ANN001
        heads, parts = k.shape[1], 1 + zigzag
        queries = _chunks(_grouped(q * q.shape[-1] ** -0.5, heads), parts)
        sums = [_nothing(query) for query in queries]
        held = torch.stack([k, v])  # [2, batch, kv heads, seq/p, d]
        for step in range(place.world_size):
            keys, values = (_chunks(x.unsqueeze(2), parts) for x in held)
            for i, j, diagonal in _pairs(place, step, zigzag):
                sums[i] = _add(sums[i], _scores(queries[i], keys[j], diagonal), values[j])
            if step < place.world_size - 1:
                held = plain_shift(held, place)
        y = torch.cat([weighted / total for _, total, weighted in sums], -2)
        log_total = torch.cat([top + total.log() for top, total, _ in sums], -2)
        ctx.place, ctx.zigzag = place, zigzag
        ctx.save_for_backward(q, k, v, y, log_total)
        return y.flatten(1, 2)  # [batch, kv heads, group, seq/p, d] → [batch, heads, seq/p, d]

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        q, k, v, y, log_total = ctx.saved_tensors
        place, scale, heads, parts = ctx.place, q.shape[-1] ** -0.5, k.shape[1], 1 + ctx.zigzag
        dq, dy = torch.zeros_like(y), _grouped(dy, heads)
        by_chunk = (_grouped(q * scale, heads), dy, (dy * y).sum(-1, keepdim=True), log_total, dq)
        queries, dys, pulls, logs, dqs = (_chunks(x, parts) for x in by_chunk)
        held = torch.stack([k, v, torch.zeros_like(k), torch.zeros_like(v)])
        for step in range(place.world_size):
            keys, values, dks, dvs = (_chunks(x.unsqueeze(2), parts) for x in held)  # views: what they get, held has
            for i, j, diagonal in _pairs(place, step, ctx.zigzag):
                a = (_scores(queries[i], keys[j], diagonal) - logs[i]).exp()
                dz = a * (dys[i] @ values[j].mT - pulls[i])
                dqs[i].add_(dz @ keys[j], alpha=scale)
                dks[j].add_((dz.mT @ queries[i]).sum(2, keepdim=True))  # over the query heads that share a KV head
                dvs[j].add_((a.mT @ dys[i]).sum(2, keepdim=True))
            held = plain_shift(held if step < place.world_size - 1 else held[2:], place)
        dk, dv = held
        return dq.flatten(1, 2), dk, dv, None, None


def _pairs(place: Place, step: int, zigzag: bool) -> Iterator[tuple[int, int, bool]]:
    """(which of the rank's chunks, which of those it holds, whether they are the same) for the blocks of a step."""
    p = place.world_size
    queries = own_chunks(place.rank, p, zigzag=zigzag)
    keys = own_chunks((place.rank - step) % p, p, zigzag=zigzag)
    for query, key in blocks_at(place.rank, step, p, zigzag=zigzag):
        yield queries.index(query), keys.index(key), query == key


def _grouped(x: Tensor, kv_heads: int) -> Tensor:
    """[batch, heads, seq/p, d] → [batch, kv heads, group, seq/p, d]: neighbours share a KV head."""
    return x.unflatten(1, (kv_heads, -1))


def _chunks(x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """Views of [..., seq/p, d], cut along the sequence."""
    return x.chunk(parts, -2)


def _scores(query: Tensor, key: Tensor, diagonal: bool) -> Tensor:
    """z of a block, query already divided by √d; on the diagonal a token does not see those after it."""
    z = query @ key.mT
    return z + torch.full(z.shape[-2:], -torch.inf, dtype=z.dtype, device=z.device).triu(1) if diagonal else z


def _nothing(query: Tensor) -> Sums:
    """The sums before the first block."""
    zero = query.new_zeros((*query.shape[:-1], 1))
    return zero - torch.inf, zero, torch.zeros_like(query)


def _add(sums: Sums, z: Tensor, value: Tensor) -> Sums:
    """The sums with one block more; what was summed under a smaller maximum is scaled to the new one."""
    top, total, weighted = sums
    new = torch.maximum(top, z.amax(-1, keepdim=True))
    kept, e = (top - new).exp(), (z - new).exp()
    return new, total * kept + e.sum(-1, keepdim=True), weighted * kept + e @ value
