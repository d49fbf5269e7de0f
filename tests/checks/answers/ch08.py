"""Chapter 08: lazy, right and unsharded answers for heads, the fused weight, the layer, its KV copies and its cache."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import _functional_collectives as funcol
from torch.nn import functional as F
from torch.nn.functional import linear

from tests.checks.answers.ch07 import SummedBackward, SummedForward, hooked, plain_sum
from tplearn.checks import Case
from tplearn.parallel import apply_rotary, attend, copy_to_group, gather_from_group, head_range, reduce_from_group

Ranges = tuple[tuple[int, int], tuple[int, int]]


# --- 08.1 ----------------------------------------------------------------------------------------------------------


def refused(num_heads: int, num_kv_heads: int, world_size: int) -> None:
    fits = num_kv_heads % world_size == 0 or world_size % num_kv_heads == 0
    if num_heads % num_kv_heads or num_heads % world_size or not fits:
        raise ValueError("not even")


def by_first_and_last(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    refused(num_heads, num_kv_heads, world_size)
    shared, own = (
        num_heads // num_kv_heads,
        range(num_heads)[rank * num_heads // world_size :][: num_heads // world_size],
    )
    return (own[0], own[-1] + 1), (own[0] // shared, own[-1] // shared + 1)


def by_copies(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> list[list[int]]:
    refused(num_heads, num_kv_heads, world_size)
    each = num_heads // world_size
    if world_size > num_kv_heads:
        key = rank // (world_size // num_kv_heads)
        return [[rank * each, rank * each + each], [key, key + 1]]
    kv = num_kv_heads // world_size
    return [[rank * each, rank * each + each], [rank * kv, rank * kv + kv]]


def by_sets(num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Ranges:
    refused(num_heads, num_kv_heads, world_size)
    own = [h for h in range(num_heads) if h * world_size // num_heads == rank]
    keys = {h * num_kv_heads // num_heads for h in own}
    return (min(own), max(own) + 1), (min(keys), max(keys) + 1)


# --- 08.2 ----------------------------------------------------------------------------------------------------------


def by_rows(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    """Row numbers, one head after the other."""
    own, shared = head_range(num_heads, num_kv_heads, rank, world_size), num_heads // num_kv_heads

    def head(group: int, place: int) -> range:
        first = (group * (shared + 2) + place) * head_dim
        return range(first, first + head_dim)

    rows = [r for h in range(*own.queries) for r in head(h // shared, h % shared)]
    rows += [r for place in (shared, shared + 1) for g in range(*own.keys) for r in head(g, place)]
    return weight[rows]


def by_groups(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own, shared = head_range(num_heads, num_kv_heads, rank, world_size), num_heads // num_kv_heads
    queries, keys, values = [], [], []
    for group in weight.chunk(num_kv_heads):
        q, k, v = group.split([shared * head_dim, head_dim, head_dim])
        queries += q.split(head_dim)
        keys.append(k)
        values.append(v)
    return torch.cat([*queries[slice(*own.queries)], *keys[slice(*own.keys)], *values[slice(*own.keys)]])


def by_views(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    """All queries, all keys, all values first; then the cut of the page."""
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    groups = weight.view(num_kv_heads, num_heads // num_kv_heads + 2, head_dim, *weight.shape[1:])
    q = groups[:, :-2].reshape(num_heads, head_dim, *weight.shape[1:])
    kinds = (q, groups[:, -2], groups[:, -1])
    cut = [kind[a:b] for kind, (a, b) in zip(kinds, (own.queries, own.keys, own.keys), strict=True)]
    return torch.vstack([t.reshape(-1, weight[0].numel()) for t in cut]).view(-1, *weight.shape[1:])


def of_all_from_rank_0(
    weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int
) -> Tensor:
    """Right, and everybody's weight was sent for it."""
    weight = weight.clone()
    dist.broadcast(weight, src=0)
    return by_rows(weight, head_dim, num_heads, num_kv_heads, rank, world_size)


def page(weight: Tensor, head_dim: int, num_heads: int, num_kv_heads: int, rank: int, world_size: int) -> Tensor:
    own = head_range(num_heads, num_kv_heads, rank, world_size)
    blocks = weight.split([num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim])
    parts = zip(blocks, (own.queries, own.keys, own.keys), strict=True)
    return torch.cat([block[first * head_dim : stop * head_dim] for block, (first, stop) in parts])


# --- 08.3 ----------------------------------------------------------------------------------------------------------


def attention(
    f: Callable[[Tensor], Tensor] = copy_to_group,
    norm_f: Callable[[Tensor], Tensor] = copy_to_group,
    g: Callable[[Tensor], Tensor] = reduce_from_group,
) -> Callable[..., Tensor]:
    """The layer in plain torch, with these three steps."""

    def answer(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        d, (batch, seq, _) = cos.shape[-1], x.shape
        heads, norm = o_shard.shape[1] // d, norm_f(norm)
        flat = torch.einsum("bsh,oh->bso", f(x), qkv_shard).view(batch, seq, -1, d)
        q, k, v = flat.split([heads, *[(flat.shape[2] - heads) // 2] * 2], dim=2)  # [batch, seq, heads, d]

        def prepared(t: Tensor, weight: Tensor) -> Tensor:
            t = t / (t.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight
            left, right = t.chunk(2, -1)
            return t * cos[:, None] + torch.cat([-right, left], -1) * sin[:, None]

        shared = heads // k.shape[2]
        q, k = prepared(q, norm[0]), prepared(k, norm[1]).repeat_interleave(shared, 2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / d**0.5
        seen = torch.ones(seq, seq, dtype=torch.bool).tril()
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        y = torch.einsum("bhqk,bkhd->bqhd", weights, v.repeat_interleave(shared, 2)).reshape(batch, seq, -1)
        return g(y @ o_shard.T)

    return answer


def by_shelf(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    d, q_size = norm.shape[1], o_shard.shape[1]
    x, norm = copy_to_group(x), copy_to_group(norm)
    kv_size = (len(qkv_shard) - q_size) // 2
    q, k, v = (
        t.unflatten(-1, (-1, d)).transpose(1, 2) for t in linear(x, qkv_shard).split([q_size, kv_size, kv_size], -1)
    )
    q, k = (apply_rotary(F.rms_norm(t, (d,), w, eps=1e-6), cos, sin) for t, w in zip((q, k), norm, strict=True))
    return reduce_from_group(linear(attend(q, k, v).transpose(1, 2).flatten(2), o_shard))


def one_message(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x and norm through one f."""
    both = copy_to_group(torch.cat([x.flatten(), norm.flatten()]))
    x, norm = both[: x.numel()].view_as(x), both[x.numel() :].view_as(norm)
    return attention(lambda t: t, lambda t: t)(x, qkv_shard, o_shard, norm, cos, sin)


def alone(x: Tensor) -> Tensor:
    return x


def f_by_hand(x: Tensor) -> Tensor:
    return SummedBackward.apply(x, None) if dist.get_world_size() > 1 else x


def g_by_hand(x: Tensor) -> Tensor:
    return SummedForward.apply(x, None)


def f_by_hook(x: Tensor) -> Tensor:
    return hooked(x, None)


def everything_gathered(
    x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """More than due: the output weight is gathered, and the heads."""
    y = attention(g=lambda t: t)(x, qkv_shard, o_shard, norm, cos, sin)
    return gather_from_group(y[None], 0).sum(0)


def positions_ignored(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    d = cos.shape[1]
    angles = torch.arange(x.shape[1])[:, None] * 10_000.0 ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.cat([angles, angles], -1)
    return attention()(x, qkv_shard, o_shard, norm, angles.cos(), angles.sin())


def detached(x: Tensor, *rest: Tensor) -> Tensor:
    return attention()(x.detach(), *rest)


# --- 08.4 ----------------------------------------------------------------------------------------------------------


def flat_bucket(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    first, hidden = heads * head_dim, weight_gradient.shape[1]
    weight, bias = weight_gradient.clone(), bias_gradient.clone()
    bucket = torch.cat([weight[first:].flatten(), bias[first:]])
    handle = dist.all_reduce(bucket, group=group, async_op=True)
    handle.wait()
    weight[first:] = bucket[: -len(bias[first:])].view(-1, hidden)
    bias[first:] = bucket[-len(bias[first:]) :]
    return weight, bias


def columns(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> list[Tensor]:
    if dist.get_world_size(group) == 1:
        return [weight_gradient, bias_gradient]
    both = torch.column_stack([weight_gradient, bias_gradient])
    queries, rest = both.tensor_split([heads * head_dim])
    both = torch.vstack([queries, reduce_from_group(rest, group)])
    return [both[:, :-1], both[:, -1]]


def functional_sum(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    both = torch.hstack([weight_gradient, bias_gradient[:, None]])
    rest = funcol.all_reduce(both[heads * head_dim :].contiguous(), "sum", group)
    both = torch.cat([both[: heads * head_dim], funcol.wait_tensor(rest)])
    return both[:, :-1], both[:, -1]


def masked_sum(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    """More than due: everything is sent, the queries' rows too, and these are put back."""
    first, pair = heads * head_dim, []
    for own in (weight_gradient, bias_gradient):
        total = plain_sum(own, group)
        total[:first] = own[:first]
        pair.append(total)
    return tuple(pair)


def everybody(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    return flat_bucket(weight_gradient, bias_gradient, head_dim, heads, kv_heads, None)


def own_groups(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    """Neighbours by their number, whatever the group says."""
    size, mine = dist.get_world_size(group), group
    for first in range(0, dist.get_world_size(), size):
        made = dist.new_group(range(first, first + size))
        mine = made if first <= dist.get_rank() < first + size else mine
    return flat_bucket(weight_gradient, bias_gradient, head_dim, heads, kv_heads, mine)


def times_copies(
    weight_gradient: Tensor, bias_gradient: Tensor, head_dim: int, heads: int, kv_heads: int, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor]:
    """As many times this rank's own as there are copies, with an all-reduce for show."""
    plain_sum(weight_gradient[heads * head_dim :], group)
    factor = torch.ones(len(bias_gradient), dtype=torch.float64)
    factor[heads * head_dim :] = dist.get_world_size(group)
    return weight_gradient * factor[:, None], bias_gradient * factor


# --- 08.5 ----------------------------------------------------------------------------------------------------------


def step(
    before: Callable[[Tensor, Tensor], int] = lambda q, keys: keys.shape[2] - q.shape[2],
    g: Callable[[Tensor], Tensor] = reduce_from_group,
    seen: int = 999,
) -> Callable[..., tuple]:
    """One step on the shelf's attend. seen: how many keys are kept."""

    def answer(x, qkv_shard, o_shard, cos, sin, keys, values):  # noqa: ANN001, ANN202
        q_size, d = o_shard.shape[1], cos.shape[1]
        kv_size = (len(qkv_shard) - q_size) // 2
        split = linear(x, qkv_shard).split([q_size, kv_size, kv_size], -1)
        q, k, v = (t.unflatten(-1, (-1, d)).transpose(1, 2) for t in split)
        q, k = apply_rotary(q, cos, sin), apply_rotary(k, cos, sin)
        keys, values = (
            torch.cat([keys, k], 2)[:, :, -(seen or 999) :],
            torch.cat([values, v], 2)[:, :, -(seen or 999) :],
        )
        return g(linear(attend(q, keys, values, before(q, keys)).transpose(1, 2).flatten(2), o_shard)), keys, values

    return answer


def by_formula(x, qkv_shard, o_shard, cos, sin, keys, values):  # noqa: ANN001, ANN201
    """Scores and mask by hand."""
    d, heads = cos.shape[1], o_shard.shape[1] // cos.shape[1]
    flat = (x @ qkv_shard.T).unflatten(-1, (-1, d)).permute(0, 2, 1, 3)  # [batch, heads, new, d]
    kv_heads = (flat.shape[1] - heads) // 2
    left, right = flat[:, : heads + kv_heads].tensor_split(2, -1)
    half = d // 2
    turned = torch.cat([left * cos[:, :half] - right * sin[:, :half], right * cos[:, half:] + left * sin[:, half:]], -1)
    keys = torch.cat([keys, turned[:, heads:]], 2)
    values = torch.cat([values, flat[:, heads + kv_heads :]], 2)
    before, length = keys.shape[2] - x.shape[1], keys.shape[2]
    k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (keys, values))
    scores = turned[:, :heads] @ k.mT * d**-0.5
    places = torch.arange(length)
    scores = scores.where(places[None] <= (before + torch.arange(x.shape[1]))[:, None], -torch.inf)
    return (
        SummedForward.apply((scores.softmax(-1) @ v).transpose(1, 2).reshape(*x.shape[:2], -1) @ o_shard.T, None),
        (keys),
        values,
    )


def token_by_token_inside(x, qkv_shard, o_shard, cos, sin, keys, values):  # noqa: ANN001, ANN201
    """The new tokens one by one, and one sum for all of them."""
    outputs = []
    for t in range(x.shape[1]):
        own = slice(t, t + 1)
        y, keys, values = step(g=lambda y: y)(x[:, own], qkv_shard, o_shard, cos[own], sin[own], keys, values)
        outputs.append(y)
    return [reduce_from_group(torch.cat(outputs, 1)), keys, values]


def a_sum_for_each_token(x, qkv_shard, o_shard, cos, sin, keys, values):  # noqa: ANN001, ANN201
    outputs = []
    for t in range(x.shape[1]):
        own = slice(t, t + 1)
        y, keys, values = step()(x[:, own], qkv_shard, o_shard, cos[own], sin[own], keys, values)
        outputs.append(y)
    return torch.cat(outputs, 1), keys, values


def scattered_sum(y: Tensor) -> Tensor:
    """g as an all-gather of what everybody has: more bytes than an all-reduce from three ranks on."""
    return gather_from_group(y[None], 0).sum(0)


def zeros_with_the_cache(x, qkv_shard, o_shard, cos, sin, keys, values):  # noqa: ANN001, ANN201
    _, keys, values = step(g=lambda y: y)(x, qkv_shard, o_shard, cos, sin, keys, values)
    return torch.zeros_like(x), keys, values


LAZY = {
    "heads_of_rank": {
        "no refusal": lambda h, kv, rank, p: (
            (rank * h // p, (rank + 1) * h // p),
            (rank * kv // p, max((rank + 1) * kv // p, rank * kv // p + 1)),
        ),
        "tp 1": lambda h, kv, rank, p: ((0, h), (0, kv)),
        "the shelf": lambda h, kv, rank, p: (head_range(h, kv, rank, p).queries, head_range(h, kv, rank, p).keys),
        "heads that divide": lambda h, kv, rank, p: (
            (rank * (h // p), (rank + 1) * (h // p)),
            (rank * (kv // p), (rank + 1) * (kv // p)),
        ),
        "rank mod kv": lambda h, kv, rank, p: (
            refused(h, kv, p) or ((rank * h // p, (rank + 1) * h // p), (rank % kv, rank % kv + 1))
        ),
        "the page's example": lambda h, kv, rank, p: ((2 * rank, 2 * rank + 2), (rank // 2, rank // 2 + 1)),
    },
    "shard_qkv": {
        "whole": lambda weight, *sizes: weight.clone(),
        "one block": lambda weight, d, h, kv, rank, p: weight.tensor_split(p)[rank],
        "the page": page,
        "rank 0": lambda weight, d, h, kv, rank, p: by_rows(weight, d, h, kv, 0, p),
        "broadcast": of_all_from_rank_0,
        "a weight only": lambda weight, d, h, kv, rank, p: (
            by_rows(weight, d, h, kv, rank, p) if weight.ndim == 2 else page(weight, d, h, kv, rank, p)
        ),
    },
    "tp_attention": {
        "no communication": attention(alone, alone, alone),
        "no f": attention(f=alone),
        "norm without f": attention(norm_f=alone),
        "plain all_reduce": attention(g=lambda y: plain_sum(y, None)),
        "detached": detached,
        "partials gathered": attention(g=lambda y: gather_from_group(y[None], 0).sum(0)),
        "positions ignored": positions_ignored,
        "tp times the first partial": attention(g=lambda y: y * dist.get_world_size()),
        "functional g, summed backward": attention(g=lambda y: funcol.all_reduce(y, "sum", dist.group.WORLD)),
    },
    "sum_kv_gradients": {
        "no communication": lambda w, b, *rest: (w.clone(), b.clone()),
        "everything sent": masked_sum,
        "everybody": everybody,
        "own groups": own_groups,
        "a multiple of one's own": times_copies,
        "in float32": lambda w, b, *rest: tuple(t.float() for t in flat_bucket(w, b, *rest)),
    },
    "decode_with_cache": {
        "before forgotten": step(before=lambda q, keys: 0),
        "no communication": step(g=lambda y: y),
        "a sum for each token": a_sum_for_each_token,
        "partials gathered": step(g=scattered_sum),
        "zeros": zeros_with_the_cache,
        "three keys at most": step(seen=3),
        "prompt is always 3": step(before=lambda q, keys: 3 if keys.shape[2] > 3 else 0),
    },
}

RIGHT = {
    "heads_of_rank": {"first and last": by_first_and_last, "copies": by_copies, "sets": by_sets},
    "shard_qkv": {"rows": by_rows, "groups": by_groups, "views": by_views},
    "tp_attention": {
        "formulas": attention(),
        "the shelf": by_shelf,
        "f and g by hand": attention(f_by_hand, f_by_hand, g_by_hand),
        "hooks": attention(f_by_hook, f_by_hook),
        "one message": one_message,
    },
    "sum_kv_gradients": {"a flat bucket, async": flat_bucket, "columns": columns, "functional": functional_sum},
    "decode_with_cache": {"the shelf": step(), "formulas": by_formula, "one by one": token_by_token_inside},
}


# --- The unsharded computation -------------------------------------------------------------------------------------


def oracle_heads(case: Case) -> dict:
    """Every query head has an owner; a rank needs the KV heads that its own ask."""
    heads, kv_heads, tp = case.args
    if heads % kv_heads or heads % tp or (kv_heads % tp and tp % kv_heads):
        return {"error": "ValueError"}
    ranges = []
    for rank in range(tp):
        own = [h for h in range(heads) if h // (heads // tp) == rank]
        keys = sorted({h // (heads // kv_heads) for h in own})
        ranges.append([[own[0], own[-1] + 1], [keys[0], keys[-1] + 1]])
    return {"forward": ranges}


def oracle_fused(case: Case) -> dict:
    """Labels on the rows, and from them the rows of each rank."""
    weight, d, heads, kv_heads = case.args
    shared = heads // kv_heads
    labels = []
    for g in range(kv_heads):
        labels += [("q", g * shared + place) for place in range(shared) for _ in range(d)]
        labels += [("k", g)] * d + [("v", g)] * d
    shards = []
    for rank in range(case.tp):
        own = [h for h in range(heads) if h // (heads // case.tp) == rank]
        keys = sorted({h // shared for h in own})
        due = [("q", h) for h in own] + [(kind, g) for kind in "kv" for g in keys]
        shards.append(weight[[row for want in due for row, label in enumerate(labels) if label == want]])
    return {"forward": shards, "ledger": []}


def dense_weights(case: Case, head_dim: int) -> tuple[Tensor, Tensor, int, int]:
    """The whole QKV weight and the output weight, put together from the shards by head; heads and KV heads."""
    qkv_shards, o_shards = case.args[1].values, case.args[2].values
    heads, kv_heads = (int(word) for word in case.label.split()[0:3:2])  # "8 heads, 4 KV heads"
    q_size = heads * head_dim // case.tp
    kv_size = (len(qkv_shards[0]) - q_size) // 2
    firsts = qkv_shards[:: max(1, case.tp // kv_heads)]  # one rank of each set of copies
    keys, values = (torch.cat([shard[q_size + k * kv_size :][:kv_size] for shard in firsts]) for k in (0, 1))
    queries = torch.cat([shard[:q_size] for shard in qkv_shards])
    return torch.cat([queries, keys, values]), torch.cat(o_shards, 1), heads, kv_heads


def dense_attention(
    x: Tensor, qkv: Tensor, output: Tensor, norm: Tensor | None, cos: Tensor, sin: Tensor, heads: int, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """y, the turned keys and the values of all heads, one head at a time."""
    d, seq = cos.shape[1], x.shape[1]
    columns = (x @ qkv.T).split(d, -1)  # one [batch, seq, d] for each head
    q, k, v = columns[:heads], columns[heads : heads + kv_heads], columns[heads + kv_heads :]

    def turned(t: Tensor, weight: Tensor | None) -> Tensor:
        t = t if weight is None else t * (t.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight
        a, b = t[..., : d // 2], t[..., d // 2 :]
        c, s = cos[:, : d // 2], sin[:, : d // 2]
        return torch.cat([a * c - b * s, b * c + a * s], -1)

    k = [turned(t, None if norm is None else norm[1]) for t in k]
    rows = []
    for h, query in enumerate(q):
        g = h // (heads // kv_heads)
        scores = turned(query, None if norm is None else norm[0]) @ k[g].mT / d**0.5
        scores = scores + torch.full((seq, seq), -torch.inf, dtype=x.dtype).triu(1)
        rows.append(scores.softmax(-1) @ v[g])
    return torch.cat(rows, -1) @ output.T, torch.stack(k, 1), torch.stack(v, 1)


def oracle_attention(case: Case) -> dict:
    """The dense result; gradients of the same sum over heads, with the copies of a KV head as weights of their own."""
    x, qkv_shards, o_shards, norm, cos, sin = case.args
    d = cos.shape[1]
    qkv, output, heads, kv_heads = dense_weights(case, d)
    y, _, _ = dense_attention(x, qkv, output, norm, cos, sin, heads, kv_heads)
    x, norm = (t.clone().requires_grad_() for t in (x, norm))
    pairs = [[t.clone().requires_grad_() for t in own] for own in zip(qkv_shards.values, o_shards.values, strict=True)]
    own = heads // case.tp, max(1, kv_heads // case.tp)
    total = sum(dense_attention(x, *pair, norm, cos, sin, *own)[0] for pair in pairs)
    assert torch.allclose(total, y, rtol=1e-12)
    total.backward(torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(20_231)))
    return {"forward": [y] * case.tp, "gradient": [[x.grad, *(t.grad for t in pair), norm.grad] for pair in pairs]}


def oracle_sum(case: Case) -> dict:
    weights, biases, d, heads, kv_heads, groups = case.args
    results = []
    for rank in range(case.tp):
        ranks = next(ranks for ranks in groups if rank in ranks)
        own = []
        for tensors in (weights.values, biases.values):
            total = torch.stack([tensors[r] for r in ranks]).sum(0)
            is_query = torch.arange(len(total)) < heads * d
            own.append(torch.where(is_query.view(-1, *[1] * (total.ndim - 1)), tensors[rank], total))
        results.append(own)
    return {"forward": results}


def oracle_decode(case: Case) -> dict:
    """The dense layer on the whole text; each step is a slice of it."""
    x, _, _, cos, sin, sizes = case.args
    qkv, output, heads, kv_heads = dense_weights(case, cos.shape[1])
    y, keys, values = dense_attention(x, qkv, output, None, cos, sin, heads, kv_heads)
    kv, copies = max(1, kv_heads // case.tp), max(1, case.tp // kv_heads)
    own = [slice(rank // copies * kv, (rank // copies + 1) * kv) for rank in range(case.tp)]
    return {
        "forward": [list(y.split(sizes, 1))] * case.tp,
        "keys": [keys[:, heads_of] for heads_of in own],
        "values": [values[:, heads_of] for heads_of in own],
    }


ORACLES = {
    "heads_of_rank": oracle_heads,
    "shard_qkv": oracle_fused,
    "tp_attention": oracle_attention,
    "sum_kv_gradients": oracle_sum,
    "decode_with_cache": oracle_decode,
}
