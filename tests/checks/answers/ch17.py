"""Chapter 17: pipelines and their order, layers by proportion, groups of a layout, and attention over a ring."""

import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from tests.checks.answers import Alone
from tplearn.checks import Case
from tplearn.checks.ch17_beyond_tp.drive_pipeline import stage_of
from tplearn.checks.groups import members

Group = dist.ProcessGroup
Layout = list[tuple[str, int]]

# 17.1: bubble(p, m, v)


def in_slots(p: int, m: int, v: int = 1) -> float:
    idle = Fraction(p - 1, v)
    return float(idle / (m + idle))


def one_less_the_work(p: int, m: int, v: int = 1) -> float:
    return 1 - m / (m + (p - 1) / v)


def simulated(p: int, m: int, v: int = 1) -> Fraction | float:
    """Forward as a slot of 1/v: m micro-batches in rounds of p through v chunks, on a clock."""
    if m % p:  # plain: chunks make no difference to the last rank's beginning
        return np.float64((p - 1) / (m * v + p - 1))
    end = [0] * p
    free = {}
    for round_, chunk, k in itertools.product(range(m // p), range(v), range(p)):
        for rank in range(p):
            before = free.get((round_, k, chunk - 1, p - 1), 0) if rank == 0 else free[round_, k, chunk, rank - 1]
            end[rank] = max(end[rank], before) + 1
            free[round_, k, chunk, rank] = end[rank]
    return 1 - m * v / end[-1]


# 17.2: one_f_one_b(rank, p, m)


def by_counting(rank: int, p: int, m: int) -> list[str]:
    """At most p − rank in flight: a backward where there are as many, or nothing is left to start."""
    order, f, b = [], 0, 0
    while b < m:
        if f < m and f - b < p - rank:
            order.append(f"F{f}")
            f += 1
        else:
            order.append(f"B{b}")
            b += 1
    return order


def by_queue(rank: int, p: int, m: int) -> tuple[str, ...]:
    waiting, order = deque(), []
    for k in range(m):
        order.append(f"F{k}")
        waiting.append(k)
        if len(waiting) == p - rank:
            order.append(f"B{waiting.popleft()}")
    return tuple(order + [f"B{k}" for k in waiting])


def by_places(rank: int, p: int, m: int) -> list[str]:
    """Sorted by the slot in which each would run, if every slot took as long."""
    w = min(p - rank - 1, m)
    keys = {f"F{k}": (max(0, k - w) * 2 + 1, k) if k >= w else (0, k) for k in range(m)}
    keys |= {f"B{k}": (2 * k + 2, k) for k in range(m)}
    return sorted(keys, key=lambda name: keys[name])


def gpipe(rank: int, p: int, m: int) -> list[str]:
    return [f"{kind}{k}" for kind in "FB" for k in range(m)]


def of_two_stages(rank: int, p: int, m: int) -> list[str]:
    """Right for p = 2."""
    return by_counting(min(rank, 1), 2, m)


# 17.3: pipeline_step(stage, batch, targets, m, shape, group)


def peers(group: Group) -> tuple[int | None, int | None]:
    """The stages before and after, as ranks of the world."""
    own, ranks = dist.get_rank(group), dist.get_process_group_ranks(group)
    return (ranks[own - 1] if own else None), (ranks[own + 1] if own + 1 < len(ranks) else None)


def one_f_one_b_step(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> float | None:
    """In 1F1B, with ranks of the world, and sends that are waited for at the end."""
    before, after = peers(group)
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    graphs, works, kept, losses = deque(), [], [], []

    def post(x: Tensor, to: int) -> None:
        kept.append(x)
        works.append(dist.isend(x, to, group=group))

    for step in by_counting(rank, p, m):
        k = int(step[1:])
        if step[0] == "F":
            if before is None:
                x = batch[k * shape[0] // m : (k + 1) * shape[0] // m]
            else:
                x = torch.zeros(shape[0] // m, shape[1], dtype=torch.float64)
                dist.irecv(x, before, group=group).wait()
                x.requires_grad = True
            y = stage(x)
            if after is None:
                losses.append(((y - targets.view(m, -1, shape[1])[k]) ** 2).mean())
            else:
                post(y.detach().clone(), after)
            graphs.append((x, y))
        else:
            x, y = graphs.popleft()
            if after is None:
                (losses[k] / m).backward()
            else:
                gradient = torch.zeros_like(y)
                dist.recv(gradient, after, group=group)
                y.backward(gradient)
            if before is not None:
                post(x.grad, before)
    for work in works:
        work.wait()
    return sum(loss.item() for loss in losses) / m if after is None else None


def by_autograd_grad(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor:
    """Backwards from the last micro-batch on; gradients added up by hand, and divided only at the end."""
    before, after = peers(group)
    ps = list(stage.parameters())
    total, graphs, loss = [torch.zeros_like(p) for p in ps], [], torch.zeros(())
    for k in range(m):
        x = torch.empty(shape[0] // m, shape[1]) if before is not None else batch.tensor_split(m)[k].clone()
        if before is not None:
            dist.recv(x, src=before, group=group)
        y = stage(x.requires_grad_())
        if after is None:
            y = F.mse_loss(y, targets.tensor_split(m)[k])
            loss += y.detach() / m
        else:
            dist.send(y.detach(), dst=after, group=group)
        graphs.append((x, y))
    for x, y in reversed(graphs):
        g = None if after is None else torch.empty(y.shape)
        if g is not None:
            dist.recv(g, src=after, group=group)
        to_x, *own = torch.autograd.grad(y, [x, *ps], g)
        total = [a + b for a, b in zip(total, own, strict=True)]
        if before is not None:
            dist.send(to_x, dst=before, group=group)
    for p, gradient in zip(ps, total, strict=True):
        p.grad = gradient / m
    return loss


class _FromBefore(torch.autograd.Function):
    """Receives in the forward, sends the gradient back in the backward."""

    @staticmethod
    def forward(ctx, anchor: Tensor, source: int, shape: tuple[int, int], group: Group) -> Tensor:  # noqa: ANN001
        ctx.source, ctx.group = source, group
        x = anchor.new_empty(shape)
        dist.recv(x, source, group=group)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple:  # noqa: ANN001
        dist.send(gradient.contiguous(), ctx.source, group=ctx.group)
        return torch.zeros(()), None, None, None


class _ToAfter(torch.autograd.Function):
    """Sends in the forward, receives the gradient in the backward."""

    @staticmethod
    def forward(ctx, y: Tensor, to: int, group: Group) -> Tensor:  # noqa: ANN001
        ctx.to, ctx.group, ctx.like = to, group, y
        dist.send(y.contiguous(), to, group=group)
        return y.new_zeros(())

    @staticmethod
    def backward(ctx, _: Tensor) -> tuple:  # noqa: ANN001
        gradient = torch.empty_like(ctx.like)
        dist.recv(gradient, ctx.to, group=ctx.group)
        return gradient, None, None


def by_functions(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor | None:
    """Messages as autograd Functions."""
    before, after = peers(group)
    roots = []
    for k in range(m):
        if before is None:
            x = batch[k * (shape[0] // m) :][: shape[0] // m]
        else:
            x = _FromBefore.apply(torch.zeros((), requires_grad=True), before, (shape[0] // m, shape[1]), group)
        y = stage(x)
        roots.append(F.mse_loss(y, targets.chunk(m)[k]) / m if after is None else _ToAfter.apply(y, after, group))
    for root in roots:
        root.backward()
    return torch.stack(roots).sum() if after is None else None


def each_alone(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor:
    """Nothing is sent: every stage trains on what it has."""
    x = torch.randn(shape) if batch is None else batch
    loss = F.mse_loss(stage(x), torch.zeros(shape) if targets is None else targets)
    loss.backward()
    return loss.detach()


def in_one_piece(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor | None:
    return by_functions(stage, batch, targets, 1, shape, group)


def gathered_batch(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor | None:
    """Right, and all activations are broadcast to every stage as well."""
    loss = by_functions(stage, batch, targets, m, shape, group)
    x = torch.zeros(shape) if batch is None else batch
    dist.broadcast(x.clone(), group_src=0, group=group)
    return loss


def nothing_trained(
    stage: nn.Module, batch: Tensor | None, targets: Tensor | None, m: int, shape: tuple[int, int], group: Group
) -> Tensor | None:
    """The loss alone."""
    before, after = peers(group)
    total = 0.0
    with torch.no_grad():
        for k in range(m):
            x = torch.empty(shape[0] // m, shape[1]) if batch is None else batch.chunk(m)[k]
            if before is not None:
                dist.recv(x, src=before, group=group)
            y = stage(x)
            if after is not None:
                dist.send(y, dst=after, group=group)
            else:
                total += F.mse_loss(y, targets.chunk(m)[k]) / m
    return total if after is None else None


# 17.4: split_layers(num_layers, proportions, with_head)


def by_ends(num_layers: int, proportions: list[float], with_head: bool) -> list[int]:
    """A share's end rounded up is where the next GPU begins."""
    total, n, ends, so_far = sum(proportions), num_layers + int(with_head), [0], 0.0
    for own in proportions:
        so_far += own
        ends.append(min(math.ceil(round(so_far * n / total, 9)), num_layers))
    return [b - a for a, b in itertools.pairwise(ends)]


def by_numpy(num_layers: int, proportions: list[float], with_head: bool) -> Tensor:
    ends = np.cumsum(np.array(proportions) / sum(proportions))
    ends[-1] = 1.0
    gpus = np.searchsorted(ends, np.arange(num_layers) / (num_layers + with_head), side="right")
    return np.bincount(gpus, minlength=len(proportions)).tolist()


def layer_by_layer(num_layers: int, proportions: list[float], with_head: bool) -> tuple[int, ...]:
    counts = Counter()
    for layer in range(num_layers):
        passed = 0.0
        for gpu, own in enumerate(proportions):
            passed += own
            if layer * sum(proportions) < passed * (num_layers + with_head) - 1e-9:
                counts[gpu] += 1
                break
    return tuple(counts[gpu] for gpu in range(len(proportions)))


def rounded(num_layers: int, proportions: list[float], with_head: bool) -> list[int]:
    return [round(num_layers * own / sum(proportions)) for own in proportions]


def as_in_the_task(num_layers: int, proportions: list[float], with_head: bool) -> list[int]:
    return [17, 10, 5] if with_head else [16, 10, 6]


# 17.5: ranks_of(names, rank, layout)


def by_numpy_axes(names: list[str], rank: int, layout: Layout) -> list[int]:
    order, sizes = zip(*layout, strict=True)
    world = np.arange(math.prod(sizes)).reshape(sizes)
    place = [int(axis[0]) for axis in np.nonzero(world == rank)]
    chosen = tuple(slice(None) if name in names else k for name, k in zip(order, place, strict=True))
    return sorted(world[chosen].flatten().tolist())


def by_comparison(names: list[str], rank: int, layout: Layout) -> Tensor:
    """Everybody whose other coordinates are the same."""
    grid = torch.cartesian_prod(*(torch.arange(size) for _, size in layout)).view(-1, len(layout))
    others = [k for k, (name, _) in enumerate(layout) if name not in names]
    same = (grid[:, others] == grid[rank, others]).all(1)
    return same.nonzero().flatten()


def by_divmod(names: list[str], rank: int, layout: Layout) -> tuple[int, ...]:
    found, stride = [rank], 1
    for name, size in layout[::-1]:
        if name in names:
            found = [r + (k - r // stride % size) * stride for r in found for k in range(size)]
        stride *= size
    return tuple(sorted(found))


def next_to_it(names: list[str], rank: int, layout: Layout) -> list[int]:
    size = math.prod(size for name, size in layout if name in names)
    return [rank // size * size + k for k in range(size)]


def from_the_inside(names: list[str], rank: int, layout: Layout) -> list[int]:
    return by_numpy_axes(names, rank, layout[::-1])


def of_one_name(names: list[str], rank: int, layout: Layout) -> list[int]:
    return by_numpy_axes(names[:1], rank, layout)


# 17.6: zigzag(rank, p, tokens)


def by_reshape(rank: int, p: int, tokens: int) -> Tensor:
    chunks = torch.arange(tokens).view(2 * p, -1)
    return torch.cat([chunks[rank], chunks[-1 - rank]])


def by_ranges(rank: int, p: int, tokens: int) -> list[int]:
    half = tokens // p // 2
    return [*range(rank * half, rank * half + half), *range(tokens - (rank + 1) * half, tokens - rank * half)]


def by_membership(rank: int, p: int, tokens: int) -> tuple[int, ...]:
    """Folded in the middle, a sequence has p pieces."""
    return tuple(t for t in range(tokens) if min(t, tokens - 1 - t) * 2 * p // tokens == rank)


def in_one_run(rank: int, p: int, tokens: int) -> list[int]:
    return [*range(rank * tokens // p, (rank + 1) * tokens // p)]


def to_and_fro(rank: int, p: int, tokens: int) -> list[int]:
    return [t for t in range(tokens) if t % (2 * p) in (rank, 2 * p - 1 - rank)]


def every_token(rank: int, p: int, tokens: int) -> list[int]:
    return [*range(tokens)]


# 17.7: ring_attention(q, k, v, group)


def turned(tensors: list[Tensor], group: Group) -> list[Tensor]:
    """From the left neighbour, in one batch."""
    p, own = dist.get_world_size(group), dist.get_rank(group)
    ranks = dist.get_process_group_ranks(group)
    arrived = [torch.empty_like(x) for x in tensors]
    ops = [dist.P2POp(dist.isend, x.contiguous(), ranks[(own + 1) % p], group) for x in tensors]
    ops += [dist.P2POp(dist.irecv, x, ranks[(own - 1) % p], group) for x in arrived]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    return arrived


def merged_at_the_end(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Each chunk's own attention and the logarithm of its sum; put together at the end."""
    p, own, share = dist.get_world_size(group), dist.get_rank(group), q.shape[1] // k.shape[1]
    parts, sums, here = [], [], [k, v]
    for step in range(p):
        if step:
            here = turned(here, group)
        if own - step >= 0:
            keys, values = (x.repeat_interleave(share, dim=1) for x in here)
            scores = torch.einsum("bhid,bhjd->bhij", q, keys) / math.sqrt(q.shape[-1])
            if not step:
                scores += torch.full(scores.shape[-2:], -math.inf).triu(1)
            sums.append(scores.logsumexp(-1))
            parts.append(scores.softmax(-1) @ values)
    weights = torch.stack(sums).softmax(0)
    return sum(w[..., None] * part for w, part in zip(weights, parts, strict=True))


def down_the_line(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Chunks go to the right only while somebody needs them: none comes back to rank 0. Head by head."""
    p, own, share = dist.get_world_size(group), dist.get_rank(group), q.shape[1] // k.shape[1]
    chunks, y = (k, v), torch.empty_like(q)
    state = [(None, None, None)] * q.shape[1]
    for step in range(own + 1):
        for head in range(q.shape[1]):
            scores = q[:, head] @ chunks[0][:, head // share].transpose(1, 2) / q.shape[-1] ** 0.5
            if step == 0:
                scores = scores.where(torch.ones(scores.shape[-2:]).tril().bool(), -math.inf)
            top, total, out = state[head]
            high = scores.max(-1, keepdim=True).values if top is None else scores.max(-1, keepdim=True).values.max(top)
            weights = torch.exp(scores - high)
            s, o = weights.sum(-1, keepdim=True), weights @ chunks[1][:, head // share]
            if top is not None:
                s, o = s + total * torch.exp(top - high), o + out * torch.exp(top - high)
            state[head] = (high, s, o)
        if own + 1 < p:
            for x in chunks:
                dist.send(x.contiguous(), group=group, group_dst=own + 1)
        if step < own:
            chunks = tuple(torch.empty_like(x) for x in chunks)
            for x in chunks:
                dist.recv(x, group=group, group_src=own - 1)
    for head, (_, total, out) in enumerate(state):
        y[:, head] = out / total
    return y


def to_the_left(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """The ring turned round, and the sum kept as a column of the output."""
    p, own = dist.get_world_size(group), dist.get_rank(group)
    n = k.shape[1]
    queries = q.reshape(q.shape[0], n, -1, *q.shape[2:])
    kv = torch.cat([k, v, torch.ones_like(v[..., :1])], dim=-1)
    top = torch.full((*queries.shape[:-1], 1), -math.inf, dtype=q.dtype)
    out = torch.zeros(*queries.shape[:-1], q.shape[-1] + 1, dtype=q.dtype)
    for step in range(p):
        source = (own + step) % p
        keys, values = kv[:, :, None].split([q.shape[-1], q.shape[-1] + 1], dim=-1)
        if source <= own:
            scores = queries @ keys.transpose(-1, -2) / q.shape[-1] ** 0.5
            if source == own:
                i = torch.arange(q.shape[2])
                scores = scores.masked_fill(i[:, None] < i, -math.inf)
            high = torch.maximum(top, scores.amax(-1, True))
            out, top = out * (top - high).exp() + (scores - high).exp() @ values, high
        if step + 1 < p:
            arrived, flat = torch.empty_like(kv[..., :-1]), kv[..., :-1].contiguous()
            sending = dist.isend(flat, group=group, group_dst=(own - 1) % p)
            dist.recv(arrived, group=group, group_src=(own + 1) % p)
            sending.wait()
            kv = torch.cat([arrived, torch.ones_like(arrived[..., :1])], dim=-1)
    return (out[..., :-1] / out[..., -1:]).reshape(q.shape)


def all_at_once(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Every chunk is kept, and one softmax taken at the end."""
    p, own = dist.get_world_size(group), dist.get_rank(group)
    chunks, here = [], [k, v]
    for step in range(p):
        here = turned(here, group) if step else here
        if own - step >= 0:
            chunks.insert(0, here)
    keys, values = (torch.cat(x, 2) for x in zip(*chunks, strict=True))
    mask = torch.ones(q.shape[2], keys.shape[2], dtype=torch.bool).tril(keys.shape[2] - q.shape[2])
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)


def own_tokens(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def gathered_keys(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """By a collective that is not to be used."""
    p, own = dist.get_world_size(group), dist.get_rank(group)
    both = [[torch.empty_like(x) for _ in range(p)] for x in (k, v)]
    for parts, x in zip(both, (k, v), strict=True):
        dist.all_gather(parts, x, group=group)
    keys, values = (torch.cat(parts[: own + 1], 2) for parts in both)
    mask = torch.ones(q.shape[2], keys.shape[2], dtype=torch.bool).tril(keys.shape[2] - q.shape[2])
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)


def one_head_each(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    """Right where every query head has a KV head of its own; q broadcasts over one KV head else."""
    return to_the_left(q, k[:, :1].expand(k.shape), v[:, :1].expand(v.shape), group)


def without_maximum(q: Tensor, k: Tensor, v: Tensor, group: Group) -> Tensor:
    p, own, share = dist.get_world_size(group), dist.get_rank(group), q.shape[1] // k.shape[1]
    total, y, here = 0.0, 0.0, [k, v]
    for step in range(p):
        here = turned(here, group) if step else here
        if own - step >= 0:
            keys, values = (x.repeat_interleave(share, 1) for x in here)
            weights = (q @ keys.mT / q.shape[-1] ** 0.5).exp()
            weights = weights if step else weights.tril()
            total, y = total + weights.sum(-1, keepdim=True), y + weights @ values
    return y / total


LAZY: dict[str, dict[str, Callable | Alone]] = {
    "bubble": {
        "of the work": lambda p, m, v=1: (p - 1) / m,
        "one chunk": lambda p, m, v=1: in_slots(p, m),
        "a constant": lambda p, m, v=1: 3 / 11,
    },
    "one_f_one_b": {
        "GPipe": gpipe,
        "two stages": of_two_stages,
        "the last stage's": lambda rank, p, m: by_counting(p - 1, p, m),
    },
    "pipeline_step": {
        "each alone": each_alone,
        "in one piece": in_one_piece,
        "broadcast as well": gathered_batch,
        "nothing trained": nothing_trained,
    },
    "split_layers": {
        "rounded": rounded,
        "the task's example": as_in_the_task,
        "evenly": lambda n, proportions, head: [n // len(proportions)] * len(proportions),
        "no head": lambda n, proportions, head: by_ends(n, proportions, False),
    },
    "ranks_of": {"next to it": next_to_it, "from the inside": from_the_inside, "one name": of_one_name},
    "zigzag": {"one run": in_one_run, "to and fro": to_and_fro, "every token": every_token},
    "ring_attention": {
        "all at once": all_at_once,
        "own tokens": own_tokens,
        "gathered": gathered_keys,
        "one KV head": one_head_each,
        "no maximum": without_maximum,
    },
}

RIGHT: dict[str, dict[str, Callable]] = {
    "bubble": {"slots": in_slots, "one less the work": one_less_the_work, "a clock": simulated},
    "one_f_one_b": {"counting": by_counting, "queue": by_queue, "places": by_places},
    "pipeline_step": {
        "1F1B": one_f_one_b_step,
        "autograd.grad": by_autograd_grad,
        "Functions": by_functions,
    },
    "split_layers": {"ends": by_ends, "numpy": by_numpy, "layer by layer": layer_by_layer},
    "ranks_of": {"numpy": by_numpy_axes, "comparison": by_comparison, "divmod": by_divmod},
    "zigzag": {"reshape": by_reshape, "ranges": by_ranges, "membership": by_membership},
    "ring_attention": {"merged": merged_at_the_end, "down the line": down_the_line, "to the left": to_the_left},
}


# The unsharded computation.


def clock(case: Case) -> dict:
    """Whole slots on a clock, plain or with v chunks that are 1/v of a slot: no formula."""
    p, m, v = (*case.args, 1)[:3]
    busy, now = v * m, 0
    first = list(range(p))  # rank r begins when r chunks are done
    for _ in range(busy):
        now = max(now, first[-1]) + 1
    return {"forward": 1 - busy / now}


def played(case: Case) -> dict:
    """All stages played on a clock: a stage takes a backward where one has come back, and else starts a micro-batch.

    A stage may not have more than p − rank of them in flight, which is what 1F1B promises.
    """
    p, m = case.args
    orders: list[list[str]] = [[] for _ in range(p)]
    arrived_f, arrived_b = [deque() for _ in range(p)], [deque() for _ in range(p)]
    arrived_f[0].extend(range(m))
    flying = [0] * p
    while any(len(order) < 2 * m for order in orders):
        sent = []
        for rank in range(p):
            if arrived_b[rank] and (flying[rank] == p - rank or not _starts_left(orders[rank], m)):
                k = arrived_b[rank].popleft()
                orders[rank].append(f"B{k}")
                flying[rank] -= 1
                sent += [(arrived_b, rank - 1, k)] if rank else []
            elif arrived_f[rank] and flying[rank] < p - rank:
                k = arrived_f[rank].popleft()
                orders[rank].append(f"F{k}")
                flying[rank] += 1
                sent.append((arrived_f, rank + 1, k) if rank + 1 < p else (arrived_b, rank, k))
        for to, rank, k in sent:
            to[rank].append(k)
    return {"forward": orders}


def _starts_left(order: list[str], m: int) -> bool:
    return sum(step[0] == "F" for step in order) < m


def dense_step(case: Case) -> dict:
    """All stages of a pipeline as one network, on the whole batch."""
    batches, targets, _, shape, groups, seed = case.args
    losses: list = [None] * case.tp
    gradients: list = [None] * case.tp
    for ranks in {tuple(own) for own in members(groups, case.tp)}:
        stages = nn.Sequential(*(stage_of(shape[1], seed + rank) for rank in ranks))
        loss = (stages(batches.values[ranks[0]]) - targets.values[ranks[-1]]).square().mean()
        loss.backward()
        losses[ranks[-1]] = loss.detach()
        for rank, stage in zip(ranks, stages, strict=True):
            gradients[rank] = {name: parameter.grad for name, parameter in stage.named_parameters()}
    return {"forward": losses, "gradients": gradients}


def dealt(case: Case) -> dict:
    """In exact fractions: slot k begins at k / n, and a share holds what begins in it."""
    layers, proportions, head = case.args
    exact = [Fraction(str(own)) for own in proportions]
    ends = [sum(exact[: k + 1]) / sum(exact) for k in range(len(exact))]
    starts = [Fraction(0), *ends]
    n = layers + head
    return {
        "forward": [sum(a <= Fraction(k, n) < b for k in range(layers)) for a, b in zip(starts, ends, strict=False)]
    }


def torchs_mesh(case: Case) -> dict:
    """By the grid of numbers that a DeviceMesh is made from."""
    layout, ranks, several = case.args
    grid = torch.arange(case.tp).view([size for _, size in layout])
    order = [name for name, _ in layout]
    found = {}
    for names in several:
        inside = [order.index(name) for name in names]
        outside = [k for k in range(len(order)) if k not in inside]
        rows = grid.permute(*outside, *inside).reshape(-1, math.prod(layout[k][1] for k in inside))
        found[" and ".join(names)] = {
            f"rank {rank}": sorted(next(row for row in rows.tolist() if rank in row)) for rank in ranks
        }
    return {"forward": found}


def folded(case: Case) -> dict:
    """Token t and token n − 1 − t belong together, and p runs of such pairs to the ranks; equal work follows."""
    p, tokens = case.args
    pairs = [(t, tokens - 1 - t) for t in range(tokens // 2)]
    size = len(pairs) // p
    owned = [sorted(t for pair in pairs[r * size : (r + 1) * size] for t in pair) for r in range(p)]
    return {"forward": owned, "work": [tokens * (tokens + 1) // 2 // p] * p}


def whole_attention(case: Case) -> dict:
    """One softmax over the whole sequence."""
    q, k, v, groups = case.args
    results: list = [None] * case.tp
    for ranks in {tuple(own) for own in members(groups, case.tp)}:
        whole_q, whole_k, whole_v = (torch.cat([x.values[rank] for rank in ranks], 2) for x in (q, k, v))
        share = whole_q.shape[1] // whole_k.shape[1]
        keys, values = (x.repeat_interleave(share, 1) for x in (whole_k, whole_v))
        scores = whole_q @ keys.mT / math.sqrt(whole_q.shape[-1])
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
        for rank, rows in zip(ranks, (scores.softmax(-1) @ values).chunk(len(ranks), 2), strict=True):
            results[rank] = rows
    return {"forward": results}


ORACLES = {
    "bubble": clock,
    "one_f_one_b": played,
    "pipeline_step": dense_step,
    "split_layers": dealt,
    "ranks_of": torchs_mesh,
    "zigzag": folded,
    "ring_attention": whole_attention,
}
