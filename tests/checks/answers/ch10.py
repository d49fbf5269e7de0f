"""Chapter 10: tokens cut over ranks, and what lies between the cut layers."""

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tplearn.checks import Case
from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)
from tplearn.parallel.place import Group


def own(x: Tensor, group: Group = None, dim: int = 1) -> Tensor:
    """This rank's run along dim."""
    return x.chunk(dist.get_world_size(group), dim)[dist.get_rank(group)]


# 10.1: shard_sequence(x, group)


def refused(x: Tensor, group: Group) -> None:
    if x.shape[1] % dist.get_world_size(group):
        raise ValueError(f"{x.shape[1]} tokens do not divide by {dist.get_world_size(group)} ranks")


class _Slice(Function):
    """A slice whose backward is an all-gather, by hand."""

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        refused(x, group)
        ctx.group, n = group, x.shape[1] // dist.get_world_size(group)
        return x.narrow(1, dist.get_rank(group) * n, n).clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        shards = [torch.empty_like(grad) for _ in range(dist.get_world_size(ctx.group))]
        dist.all_gather(shards, grad.contiguous(), group=ctx.group)
        return torch.cat(shards, 1), None


class _FunctionalSlice(Function):
    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:  # noqa: ANN001
        ctx.group = group or dist.group.WORLD
        return own(x, group).clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return funcol.all_gather_tensor(grad.contiguous(), 1, ctx.group), None


def functional_slice(x: Tensor, group: Group) -> Tensor:
    if x.shape[1] % dist.get_world_size(group):
        raise ValueError(f"{x.shape[1]} % {dist.get_world_size(group)}")
    return _FunctionalSlice.apply(x, group)


def early_return(x: Tensor, group: Group) -> Tensor:
    refused(x, group)
    return x if dist.get_world_size(group) == 1 else scatter_to_group(x, -2, group)


def transposed(x: Tensor, group: Group) -> Tensor:
    return scatter_to_group(x.transpose(0, 1), 0, group).transpose(0, 1)


def whole_group_only(x: Tensor, group: Group) -> Tensor:
    refused(x, None)
    return scatter_to_group(x, dim=1)


def slice_with_refusal(x: Tensor, group: Group) -> Tensor:
    refused(x, group)
    return own(x, group)


def detached(x: Tensor, group: Group) -> Tensor:
    refused(x, group)
    return own(x.detach(), group)


def never_refuses(x: Tensor, group: Group) -> Tensor:
    p, rank = dist.get_world_size(group), dist.get_rank(group)
    n = x.shape[1] // p
    return scatter_to_group(x[:, : n * p], 1, group) if n else x[:, rank : rank + 1]


def from_rank_0(x: Tensor, group: Group) -> Tensor:
    refused(x, group)
    x = x.clone()
    dist.broadcast(x, src=dist.get_process_group_ranks(group)[0] if group else 0, group=group)
    return scatter_to_group(x, 1, group)


def by_all_reduce(x: Tensor, group: Group) -> Tensor:
    refused(x, group)
    return own(copy_to_group(x, group), group)


# 10.2: sp_mlp(x_shard, up_shard, down_shard, keep)


def partial_of(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return F.linear(F.gelu(F.linear(x, up)), down)


def mask_on_the_partial(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    return x + reduce_scatter_sequence(partial_of(gather_sequence(x), up, down) * keep / 0.75)


def along_the_batch(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    y = reduce_scatter_sequence(partial_of(gather_sequence(x, 0), up, down), 0)  # an MLP treats each token by itself
    return x + torch.where(keep.tensor_split(dist.get_world_size(), 1)[dist.get_rank()], y / 0.75, 0)


def by_einsum(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    if dist.get_world_size() == 1:
        return x + partial_of(x, up, down) * keep / 0.75
    h = F.gelu(torch.einsum("bsh,fh->bsf", gather_sequence(x, 1), up))
    n, rank = x.shape[1], dist.get_rank()
    y = reduce_scatter_sequence(torch.einsum("bsf,hf->bsh", h, down), dim=-2)
    return torch.addcdiv(x, y * keep[:, rank * n : rank * n + n], torch.full_like(x, 0.75))


class _Both(Function):
    """Gather and reduce-scatter along dim 1 with functional collectives."""

    @staticmethod
    def forward(ctx, x: Tensor, gather: bool) -> Tensor:  # noqa: ANN001
        ctx.gather, world = gather, dist.group.WORLD
        if gather:
            return funcol.all_gather_tensor(x, 1, world)
        return funcol.reduce_scatter_tensor(x, "sum", 1, world)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return _Both.forward(ctx, grad.contiguous(), not ctx.gather), None


def by_functional_collectives(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    y = _Both.apply(partial_of(_Both.apply(x, True), up, down), False)
    return x + y * own(keep) / 0.75


def nothing_sent(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    return x + partial_of(x, up, down) * own(keep) / 0.75


def sent_for_show(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    y = reduce_scatter_sequence(0 * partial_of(gather_sequence(x), up, down))
    return x + y + partial_of(x, up, down) * own(keep) / 0.75


def plain_collectives(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    shards = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, x.contiguous())
    return x + reduce_scatter_sequence(partial_of(torch.cat(shards, 1), up, down)) * own(keep) / 0.75


def first_rows_of_the_mask(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    y = reduce_scatter_sequence(partial_of(gather_sequence(x), up, down))
    return x + y * keep[:, : x.shape[1]] / 0.75


def all_tokens_everywhere(x: Tensor, up: Tensor, down: Tensor, keep: Tensor) -> Tensor:
    x = gather_from_group(x, 1)
    return scatter_to_group(x + reduce_from_group(partial_of(copy_to_group(x), up, down)) * keep / 0.75, 1)


# 10.3: norm_on_shards(x_shard, weight)


def by_hand(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * copy_to_group(weight)


def summed(grad: Tensor) -> Tensor:
    grad = grad.clone()
    dist.all_reduce(grad)
    return grad


def by_hook(x: Tensor, weight: Tensor) -> Tensor:
    weight.register_hook(summed)
    return F.rms_norm(x, weight.shape, weight, 1e-6)


def by_functional_hook(x: Tensor, weight: Tensor) -> Tensor:
    weight.register_hook(lambda grad: funcol.wait_tensor(funcol.all_reduce(grad, "sum", dist.group.WORLD)))
    return weight * F.rms_norm(x, weight.shape, None, 1e-6)


class _AsyncSum(Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # noqa: ANN001
        grad = grad.clone()
        dist.all_reduce(grad, async_op=True).wait()
        return grad


def by_async_sum(x: Tensor, weight: Tensor) -> Tensor:
    weight = weight if dist.get_world_size() == 1 else _AsyncSum.apply(weight)
    return F.rms_norm(x, (x.shape[-1],), weight, eps=1e-6)


def each_its_own(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, 1e-6)


def epsilon_forgotten(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, copy_to_group(weight))


def fetched(x: Tensor, weight: Tensor) -> Tensor:
    return own(F.rms_norm(gather_sequence(x), weight.shape, copy_to_group(weight), 1e-6))


def rank_0_alone(x: Tensor, weight: Tensor) -> Tensor:
    weight = copy_to_group(weight if dist.get_rank() == 0 else weight * 1)
    return F.rms_norm(x, weight.shape, weight if dist.get_rank() == 0 else weight.detach() + 0 * weight, 1e-6)


def weight_detached(x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, weight.detach(), 1e-6)


# 10.4: positions_of_rank(x_shard, before)


def chunk_of_all(x: Tensor, before: int) -> list[Tensor]:
    whole = torch.arange(before, before + x.shape[1] * dist.get_world_size())
    return [own(whole, dim=0), whole]


def by_view(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    whole = before + torch.arange(dist.get_world_size() * x.shape[1])
    return whole.view(-1, x.shape[1])[dist.get_rank()], whole


def by_range(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    n, rank, p = x.shape[1], dist.get_rank(), dist.get_world_size()
    start = before + n * rank
    return torch.tensor(range(start, start + n)), torch.tensor(range(before, before + p * n))


def default_positions(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    n = x.shape[1]
    return dist.get_rank() * n + torch.arange(n), torch.arange(dist.get_world_size() * n)


def local(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    return before + torch.arange(x.shape[1]), before + torch.arange(x.shape[1])


def asks_the_others(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    total = torch.tensor(x.shape[1])
    dist.all_reduce(total)
    return chunk_of_all(x, before)[0], before + torch.arange(int(total))


def two_ranks(x: Tensor, before: int) -> tuple[Tensor, Tensor]:
    n = x.shape[1]
    return before + (n if dist.get_rank() else 0) + torch.arange(n), before + torch.arange(2 * n)


# 10.5: activation_bytes(sequence, batch, hidden, tp, sequence_parallel, gather_again, bytes_per_value)


def tensor_by_tensor(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    """(values or masks, bytes of one, ranks that share it)."""
    if sp and s % tp:
        raise ValueError(f"{s} tokens, {tp} ranks")
    tokens, inputs = (tp if sp else 1), (tp if sp and again else 1)
    kept = [(1, v, tokens)] * 2 + [(1, v, inputs)] * 2 + [(1, v, tp)] * 4 + [(4, v, tp)] * 2 + [(1, 1, tokens)] * 2
    return sum(width * size * s * b * h // ranks for width, size, ranks in kept)


def as_a_float(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> float:
    if s % tp and sp:
        raise ValueError
    whole = (0 if again else 2 * v) if sp else 4 * v + 2
    return s * b * h * (whole + (16 * v + 2 - whole) / tp)


def per_token(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    own_tokens, rest = divmod(s, tp) if sp else (s, 0)
    if rest:
        raise ValueError(f"sequence {s} and tp {tp}")
    read = own_tokens if again else s
    return b * (own_tokens * h * (2 * v + 2) + read * h * 2 * v + s * 12 * (h // tp) * v)


def of_16_bits(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    return tensor_by_tensor(s, b, h, tp, sp, again, 2)


def of_the_paper(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> float:
    return s * b * h * (34 / tp if sp else 10 + 24 / tp)


def no_refusal(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    return tensor_by_tensor(s - s % tp, b, h, tp, sp, again, v)


def always_again(s: int, b: int, h: int, tp: int, sp: bool, again: bool, v: int) -> int:
    return tensor_by_tensor(s, b, h, tp, sp, True, v)


# 10.6: regather_linear(x_shard, weight_shard)


def regather(gather: Callable, scatter: Callable, product: Callable = F.linear) -> Callable:
    """A layer on own tokens whose Function gathers and scatters with these."""

    class Regather(Function):
        @staticmethod
        def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN001
            ctx.save_for_backward(x, weight)
            return product(gather(x), weight)

        @staticmethod
        def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
            x, weight = ctx.saved_tensors
            grad_x = scatter(torch.einsum("bso,oh->bsh", grad, weight).contiguous())
            return grad_x, torch.einsum("bso,bsh->oh", grad, gather(x))

    return lambda x, weight: Regather.apply(x, weight)


def plain_gather(x: Tensor) -> Tensor:
    shards = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    handle = dist.all_gather(shards, x.contiguous(), async_op=True)
    handle.wait()
    return torch.cat(shards, 1)


def plain_scatter(x: Tensor) -> Tensor:
    shards = [shard.contiguous() for shard in x.chunk(dist.get_world_size(), 1)]
    result = torch.empty_like(shards[0])
    dist.reduce_scatter(result, shards)
    return result


def functional_gather(x: Tensor) -> Tensor:
    return funcol.all_gather_tensor(x, 1, dist.group.WORLD)


def functional_scatter(x: Tensor) -> Tensor:
    return funcol.reduce_scatter_tensor(x, "sum", 1, dist.group.WORLD)


def kept(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(gather_sequence(x), weight)


class _KeepsInCtx(Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN001
        ctx.x, ctx.weight = gather_sequence(x), weight  # where no hook of autograd sees it
        return F.linear(ctx.x, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        return reduce_scatter_sequence(grad @ ctx.weight), grad.flatten(0, 1).T @ ctx.x.flatten(0, 1)


class _Recomputes(Function):
    """The forward pass again in backward, with autograd: a product more than due."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(x, weight)
        return F.linear(gather_sequence(x), weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        x, weight = (tensor.detach().requires_grad_() for tensor in ctx.saved_tensors)
        with torch.enable_grad():
            y = F.linear(gather_sequence(x), weight)
        return torch.autograd.grad(y, (x, weight), grad)


LAZY = {
    "shard_sequence": {
        "a slice": slice_with_refusal,
        "a slice of detached x": detached,
        "the whole world for the group": whole_group_only,
        "drops what does not divide": never_refuses,
        "x sent around first": from_rank_0,
        "an all-reduce for the all-gather": by_all_reduce,
    },
    "sp_mlp": {
        "no communication": nothing_sent,
        "communication for show": sent_for_show,
        "collectives without a gradient": plain_collectives,
        "the first rows of the mask": first_rows_of_the_mask,
        "all tokens on every rank": all_tokens_everywhere,
    },
    "norm_on_shards": {
        "no sum": each_its_own,
        "no epsilon": epsilon_forgotten,
        "all tokens fetched": fetched,
        "only rank 0's gradient": rank_0_alone,
        "detached weight": weight_detached,
    },
    "positions_of_rank": {
        "default positions": default_positions,
        "local positions": local,
        "a message": asks_the_others,
        "right for two ranks": two_ranks,
        "int32": lambda x, before: [positions.int() for positions in chunk_of_all(x, before)],
    },
    "activation_bytes": {
        "16 bits": of_16_bits,
        "10 + 24/t and 34/t": of_the_paper,
        "no refusal": no_refusal,
        "always gathered again": always_again,
    },
    "regather_linear": {
        "keeps what it gathered": kept,
        "keeps it out of autograd's sight": _KeepsInCtx.apply,
        "computes the product again": _Recomputes.apply,
        "checkpoint": lambda x, weight: checkpoint(kept, x, weight, use_reentrant=False),
        "old checkpoint": lambda x, weight: checkpoint(kept, x, weight, use_reentrant=True),
        "own slice of the own partial": regather(plain_gather, own),
    },
}

RIGHT = {
    "shard_sequence": {
        "the shelf refuses by itself": lambda x, group: scatter_to_group(x, 1, group),
        "a Function with a list": _Slice.apply,
        "functional collective": functional_slice,
        "early return, negative dim": early_return,
        "through dim 0": transposed,
    },
    "sp_mlp": {
        "mask on the partial": mask_on_the_partial,
        "gathered along the batch": along_the_batch,
        "einsum, early return": by_einsum,
        "functional collectives": by_functional_collectives,
    },
    "norm_on_shards": {
        "by hand": by_hand,
        "a hook": by_hook,
        "a functional hook": by_functional_hook,
        "an async sum": by_async_sum,
    },
    "positions_of_rank": {"chunk, as a list": chunk_of_all, "view": by_view, "range": by_range},
    "activation_bytes": {
        "tensor by tensor": tensor_by_tensor,
        "as a float": as_a_float,
        "token by token": per_token,
    },
    "regather_linear": {
        "plain and async": regather(plain_gather, plain_scatter),
        "functional": regather(functional_gather, functional_scatter),
        "einsum": regather(gather_sequence, reduce_scatter_sequence, lambda x, w: torch.einsum("bsh,oh->bso", x, w)),
        "no Function on one rank": lambda x, weight: (
            kept(x, weight) if dist.get_world_size() == 1 else regather(plain_gather, plain_scatter)(x, weight)
        ),
    },
}


def back(result: Tensor, upstream: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(result, leaves, upstream))


def whole_sequence(case: Case) -> dict:
    """Each rank's tokens; what made x gets the gradients of all ranks of the group."""
    groups, upstream, x = case.args
    members = [next(m for m in groups or [list(range(case.tp))] if rank in m) for rank in range(case.tp)]
    if x.values[0].shape[1] % len(members[0]):
        return {"refusal": ["a ValueError that names both sizes"] * case.tp}
    forward = [x.values[r].tensor_split(len(m), 1)[m.index(r)] for r, m in enumerate(members)]
    return {"forward": forward, "gradient": [[torch.cat([upstream.values[r] for r in m], 1)] for m in members]}


def dense_half(case: Case) -> dict:
    upstream, x, up, down, keep = case.args
    p, parts = case.tp, [x.values, up.values, down.values]
    joined = [torch.cat(values, dim).requires_grad_() for values, dim in zip(parts, (1, 0, 1), strict=True)]
    h = F.gelu(joined[0] @ joined[1].T) @ joined[2].T
    y = joined[0] + F.dropout(torch.ones_like(h), 0.0) * h * keep / 0.75
    grads = [g.chunk(p, d) for g, d in zip(back(y, torch.cat(upstream.values, 1), joined), (1, 0, 1), strict=True)]
    none = [None] * p
    return {"forward": list(y.detach().chunk(p, 1)), "gradient": [list(own) for own in zip(*grads, none, strict=True)]}


def dense_norm(case: Case) -> dict:
    upstream, x, weights = (arg.values for arg in case.args)
    x, weight = torch.cat(x, 1).requires_grad_(), weights[0].clone().requires_grad_()
    y = weight * x / (x * x).mean(-1, keepdim=True).add(1e-6).sqrt()
    dx, dw = back(y, torch.cat(upstream, 1), [x, weight])
    return {"forward": list(y.detach().chunk(case.tp, 1)), "gradient": [[shard, dw] for shard in dx.chunk(case.tp, 1)]}


def dense_positions(case: Case) -> dict:
    x, before = case.args
    whole = torch.arange(before, before + sum(shard.shape[1] for shard in x.values))
    return {"own tokens": list(whole.chunk(case.tp)), "after the gather": [whole] * case.tp}


def counted_by_hand(case: Case) -> dict:
    s, b, h, tp, sp, again, v = case.args
    if sp and s % tp:
        return {"error": "ValueError"}
    own_tokens = s // tp if sp else s
    shapes = [[own_tokens, b, h]] * 2 + [[own_tokens if again else s, b, h]] * 2
    shapes += [[s, b, h // tp]] * 4 + [[s, b, 4 * h // tp]] * 2
    dtype = {2: torch.bfloat16, 4: torch.float32}[v]
    tensors = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
    masks = [torch.empty(own_tokens, b, h, dtype=torch.bool, device="meta")] * 2
    return {"forward": sum(tensor.nbytes for tensor in [*tensors, *masks])}


def dense_linear(case: Case) -> dict:
    upstream, x, weight = (arg.values for arg in case.args)
    x, weight = torch.cat(x, 1).requires_grad_(), torch.cat(weight).requires_grad_()
    y = x @ weight.T
    dx, dw = (g.chunk(case.tp, d) for g, d in zip(back(y, torch.cat(upstream, -1), [x, weight]), (1, 0), strict=True))
    gradient = [list(pair) for pair in zip(dx, dw, strict=True)]
    return {"forward": list(y.detach().chunk(case.tp, -1)), "gradient": gradient, "kept": [0] * case.tp}


ORACLES = {
    "shard_sequence": whole_sequence,
    "sp_mlp": dense_half,
    "norm_on_shards": dense_norm,
    "positions_of_rank": dense_positions,
    "activation_bytes": counted_by_hand,
    "regather_linear": dense_linear,
}
