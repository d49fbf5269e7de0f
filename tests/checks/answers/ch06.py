"""Chapter 06: lazy answers, right ones written in other ways, and the gradients of the whole tensors."""

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Tensor
from torch.autograd import Function
from torch.distributed import ProcessGroup
from torch.nn.functional import silu

from tplearn.checks import Case
from tplearn.parallel import copy_to_group as f
from tplearn.parallel import reduce_from_group as g

WORLD = None
Wire = Callable[[Tensor, ProcessGroup | None], Tensor]


def function(there: Callable, back: Callable) -> Callable:
    """An autograd function of (x, *more) from two plain ones of (tensor, *more)."""

    class Both(Function):
        @staticmethod
        def forward(ctx, x: Tensor, *more: object) -> Tensor:  # noqa: ANN001
            ctx.more = more
            return there(x, *more)

        @staticmethod
        def backward(ctx, grad_output: Tensor) -> tuple:  # noqa: ANN001
            return back(grad_output, *ctx.more), *(None for _ in ctx.more)

    return lambda x, *more: Both.apply(x, *more)


def same(x: Tensor, group: ProcessGroup | None = WORLD) -> Tensor:
    return x.view_as(x)


def total(x: Tensor, group: ProcessGroup | None = WORLD) -> Tensor:
    y = x.contiguous().clone()
    dist.all_reduce(y, group=group)
    return y


def total_async(x: Tensor, group: ProcessGroup | None = WORLD) -> Tensor:
    y = torch.empty_like(x).copy_(x)
    work = dist.all_reduce(y, group=group, async_op=True)
    work.wait()
    return y


def total_functional(x: Tensor, group: ProcessGroup) -> Tensor:
    return funcol.wait_tensor(funcol.all_reduce(x, "sum", group))


def total_unwaited(x: Tensor, group: ProcessGroup) -> Tensor:
    """A functional result waits by itself when it is used."""
    return funcol.all_reduce(x, "sum", group)


def total_in_halves(x: Tensor, group: ProcessGroup) -> Tensor:
    """A reduce-scatter and an all-gather of the padded numbers, where they come out even; else an all-reduce."""
    p = dist.get_world_size(group)
    if x.numel() % p or p == 1:
        return total(x, group)
    mine = x.new_empty(x.numel() // p)
    dist.reduce_scatter_single(mine, x.flatten(), group=group)
    whole = x.new_empty(x.numel())
    dist.all_gather_single(whole, mine, group=group)
    return whole.view_as(x)


def copy_by_hook(x: Tensor, group: ProcessGroup) -> Tensor:
    y = x.view_as(x)
    y.register_hook(lambda grad: total(grad, group))
    return y


def reduce_straight_through(x: Tensor, group: ProcessGroup) -> Tensor:
    """The sum's value with x's gradient."""
    return x + (total(x.detach(), group) - x.detach())


def inner_in_a_loop(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    once = torch.zeros((), dtype=torch.float64)
    every = torch.zeros((), dtype=torch.float64)
    for k, kind in enumerate(kinds):
        if kind == "one":
            once += (a[k] * b[k]).sum()
        else:
            every += torch.dot(a[k].flatten(), b[k].flatten())
    if "each" in kinds:
        dist.all_reduce(every)
    return once + every


def inner_in_one_sum(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    """Rank 0 brings the copies into the sum, where there is one."""
    if "each" not in kinds:
        return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()
    counted = [
        torch.einsum("ij,ij->", x, y)
        for x, y, kind in zip(a, b, kinds, strict=True)
        if kind == "each" or dist.get_rank() == 0
    ]
    everything = sum(counted, torch.zeros((), dtype=torch.float64))
    dist.all_reduce(everything)
    return everything


def inner_functional(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    by_kind = {kind: torch.zeros(1, dtype=torch.float64) for kind in ("one", "each")}
    for x, y, kind in zip(a, b, kinds, strict=True):
        by_kind[kind] = by_kind[kind] + (x * y).sum()
    if "each" in kinds:
        by_kind["each"] = funcol.wait_tensor(funcol.all_reduce(by_kind["each"], "sum", dist.group.WORLD))
    return (by_kind["one"] + by_kind["each"]).squeeze()


def inner_for_one_pair(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    product = (a[0] * b[0]).sum()
    return total(product) if kinds[0] == "each" else product


def inner_at_home(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    return sum((x * y).sum() for x, y in zip(a, b, strict=True))


def inner_all_summed(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    return total(inner_at_home(a, b, kinds))


def inner_message_each(a: list[Tensor], b: list[Tensor], kinds: list[str]) -> Tensor:
    products = [(x * y).sum() for x, y in zip(a, b, strict=True)]
    return sum(total(x) if kind == "each" else x for x, kind in zip(products, kinds, strict=True))


def whole(x: Tensor, dim: int) -> Tensor:
    shards = [torch.empty(x.shape, dtype=x.dtype) for _ in range(dist.get_world_size())]
    dist.all_gather(shards, x.contiguous())
    return torch.cat(shards, dim)


def whole_single(x: Tensor, dim: int) -> Tensor:
    p = dist.get_world_size()
    rows = x.new_empty(p * x.shape[0], *x.shape[1:])
    dist.all_gather_single(rows, x.contiguous())
    return torch.cat(rows.chunk(p), dim)


def whole_functional(x: Tensor, dim: int) -> Tensor:
    return funcol.wait_tensor(funcol.all_gather_tensor(x, dim % x.ndim, dist.group.WORLD))


def whole_by_movedim(x: Tensor, dim: int) -> Tensor:
    front = x.movedim(dim, 0).contiguous()
    rows = front.new_empty(dist.get_world_size() * front.shape[0], *front.shape[1:])
    dist.all_gather_single(rows, front)
    return rows.movedim(0, dim).contiguous()


def own_chunk(grad: Tensor, dim: int) -> Tensor:
    return grad.chunk(dist.get_world_size(), dim)[dist.get_rank()]


def own_narrow(grad: Tensor, dim: int) -> Tensor:
    n = grad.shape[dim] // dist.get_world_size()
    return grad.narrow(dim, dist.get_rank() * n, n).clone()


def own_unflatten(grad: Tensor, dim: int) -> Tensor:
    return grad.unflatten(dim % grad.ndim, (dist.get_world_size(), -1)).select(dim % grad.ndim, dist.get_rank())


def own_tensor_split(grad: Tensor, dim: int) -> Tensor:
    return torch.tensor_split(grad, dist.get_world_size(), dim)[dist.get_rank()].contiguous()


def tokens_reduced(grad: Tensor) -> Tensor:
    parts = [part.contiguous() for part in grad.chunk(dist.get_world_size(), dim=1)]
    mine = torch.empty_like(parts[0])
    dist.reduce_scatter(mine, parts)
    return mine


def tokens_reduced_single(grad: Tensor) -> Tensor:
    p = dist.get_world_size()
    by_rank = grad.unflatten(1, (p, -1)).movedim(1, 0).contiguous()
    mine = grad.new_empty(by_rank.shape[1:])
    dist.reduce_scatter_single(mine, by_rank.flatten(0, 1))
    return mine


def tokens_reduced_functional(grad: Tensor) -> Tensor:
    return funcol.wait_tensor(funcol.reduce_scatter_tensor(grad, "sum", 1, dist.group.WORLD))


def tokens_cut(grad: Tensor) -> Tensor:
    return own_chunk(grad, 1)


def tokens_all_reduced(grad: Tensor) -> Tensor:
    return own_chunk(total(grad), 1).contiguous()


def tokens_as_they_lie(grad: Tensor) -> Tensor:
    """Right where the batch is one text."""
    mine = grad.new_empty(grad.numel() // dist.get_world_size())
    dist.reduce_scatter_single(mine, grad.flatten())
    return mine.view(grad.shape[0], -1, grad.shape[2])


def mlp(
    entry: Callable = f,
    leave: Callable = g,
    residual: Callable = lambda x: x,
    inside: Callable = lambda part, x, b: part,
) -> Callable:
    def answer(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
        h = entry(x)
        part = torch.nn.functional.linear(silu(h @ gate.T) * (h @ up.T), down)
        return residual(x) + leave(inside(part, x, bias)) + (bias if inside(part, x, bias) is part else 0)

    return answer


def mlp_fused(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    """gate and up in one matmul."""
    gate_h, up_h = (f(x) @ torch.cat([gate, up]).T).chunk(2, dim=-1)
    return bias + x + g((silu(gate_h) * up_h) @ down.T)


def mlp_by_einsum(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    h = function(same, total)(x)
    inner = silu(torch.einsum("th,fh->tf", h, gate)) * torch.einsum("th,fh->tf", h, up)
    return function(total, same)(torch.einsum("tf,hf->th", inner, down)) + (x + bias)


LAZY = {
    "inner_product": {
        "one pair only": inner_for_one_pair,
        "no message": inner_at_home,
        "everything summed": inner_all_summed,
        "a message for each pair": inner_message_each,
    },
    "copy_to_group": {
        "no Function": lambda x, group: x,
        "the world": lambda x, group: function(same, total)(x),
        "p times its own gradient": function(same, lambda grad, group: grad * dist.get_world_size(group)),
        "the gradient that came in, overwritten": function(
            same, lambda grad, group: dist.all_reduce(grad, group=group) or grad
        ),
        "detached": lambda x, group: x.detach(),
        "a message forward too": lambda x, group: function(lambda y, g: total(y, g) / dist.get_world_size(g), total)(
            x, group
        ),
    },
    "reduce_from_group": {
        "dist.all_reduce on a clone": total,
        "the world": lambda x, group: function(total, same)(x),
        "p times its own": function(lambda x, group: x * dist.get_world_size(group), same),
        "detached": lambda x, group: total(x.detach(), group),
        "in place": function(lambda x, group: dist.all_reduce(x, group=group) or x.view_as(x), same),
        "summed on both ways": function(total, total),
    },
    "gather_from_group": {
        "the graph is cut": whole,
        "dim 0": lambda x, dim: function(lambda x: whole(x, 0), lambda grad: own_chunk(grad, 0))(x),
        "its own, p times": function(lambda x, dim: torch.cat([x] * dist.get_world_size(), dim), own_chunk),
        "a message back": function(whole, lambda grad, dim: own_chunk(total(grad), dim) / dist.get_world_size()),
        "the last dim": lambda x, dim: function(lambda x: whole(x, -1), lambda grad: own_chunk(grad, -1))(x),
    },
    "gather_sequence": {
        "cut without a sum": function(lambda x: whole(x, 1), tokens_cut),
        "all-reduce, then cut": function(lambda x: whole(x, 1), tokens_all_reduced),
        "a batch of one text": function(lambda x: whole(x, 1), tokens_as_they_lie),
        "the graph is cut": lambda x: whole(x, 1),
        "p times its own": function(
            lambda x: whole(x, 1), lambda grad: own_chunk(grad, 1).contiguous() * dist.get_world_size()
        ),
    },
    "residual_mlp": {
        "tp 1": mlp(entry=lambda x: x, leave=lambda part: part),
        "no f": mlp(entry=lambda x: x),
        "plain all_reduce": mlp(leave=total),
        "bias and residual on rank 0": mlp(
            residual=lambda x: 0, inside=lambda part, x, b: part + (x + b) * (dist.get_rank() == 0)
        ),
        "all shared out inside the sum": mlp(
            residual=lambda x: 0, inside=lambda part, x, b: part + (x + b) / dist.get_world_size()
        ),
    },
}

RIGHT = {
    "inner_product": {
        "in a loop": inner_in_a_loop,
        "rank 0 brings the copies into the one sum": inner_in_one_sum,
        "functional": inner_functional,
    },
    "copy_to_group": {
        "a Function": function(same, total),
        "asynchronous": function(lambda x, group: x.clone(), total_async),
        "functional": function(same, total_functional),
        "functional, not waited for": function(same, total_unwaited),
        "a reduce-scatter and an all-gather": function(same, total_in_halves),
        "a hook": copy_by_hook,
        "the shelf's": f,
    },
    "reduce_from_group": {
        "a Function": function(total, same),
        "asynchronous": function(total_async, lambda grad, group: grad.clone()),
        "functional": function(total_functional, same),
        "a reduce-scatter and an all-gather": function(total_in_halves, same),
        "straight through": reduce_straight_through,
        "the shelf's": g,
    },
    "gather_from_group": {
        "chunk": function(whole, own_chunk),
        "one tensor, narrow": function(whole_single, own_narrow),
        "functional, unflatten": function(whole_functional, own_unflatten),
        "movedim, tensor_split": function(whole_by_movedim, own_tensor_split),
    },
    "gather_sequence": {
        "a list": function(lambda x: whole(x, 1), tokens_reduced),
        "one tensor": function(lambda x: whole_single(x, 1), tokens_reduced_single),
        "functional": function(lambda x: whole_functional(x, 1), tokens_reduced_functional),
    },
    "residual_mlp": {
        "f and g of the shelf": mlp(),
        "one matmul for gate and up": mlp_fused,
        "einsum, own f and g": mlp_by_einsum,
    },
}


def of_ranks(case: Case, k: int = 0) -> list:
    return list(case.args[k].values)


def mine(case: Case) -> list[list[int]]:
    """For each rank the ranks of its group."""
    groups = case.args[3]
    return [next(list(ranks) for ranks in groups if rank in ranks) for rank in range(case.tp)]


def pairs_of_all(case: Case) -> dict:
    """Every copy once, every rank's own numbers all of them, side by side in one long vector."""
    a, b, kinds = of_ranks(case), of_ranks(case, 1), case.args[2]

    def long(xs: list) -> Tensor:
        parts = [xs[0][k] if kind == "one" else torch.cat([x[k] for x in xs]) for k, kind in enumerate(kinds)]
        return torch.cat([part.flatten() for part in parts])

    return {"forward": [torch.dot(long(a), long(b))] * case.tp}


def copied(case: Case) -> dict:
    """One x per group as a leaf; the loss is what all its ranks make of it."""
    xs, upstream = [x[0] for x in of_ranks(case)], of_ranks(case, 1)
    gradients = []
    for ranks in mine(case):
        leaf = xs[ranks[0]].clone().requires_grad_()
        sum((leaf * upstream[rank]).sum() for rank in ranks).backward()
        gradients.append({"x": leaf.grad})
    return {"forward": xs, "gradient": gradients}


def added(case: Case) -> dict:
    leaves = [x[0].clone().requires_grad_() for x in of_ranks(case)]
    groups = {tuple(ranks) for ranks in mine(case)}
    for ranks in groups:
        (sum(leaves[rank] for rank in ranks) * of_ranks(case, 1)[ranks[0]]).sum().backward()
    sums = [sum(leaves[rank].detach() for rank in ranks) for ranks in mine(case)]
    return {"forward": sums, "gradient": [{"x": leaf.grad} for leaf in leaves]}


def side_by_side(case: Case) -> dict:
    """One whole tensor, used once."""
    leaves = [x[0].clone().requires_grad_() for x in of_ranks(case)]
    joined = torch.cat(leaves, case.args[2][0])
    (joined * of_ranks(case, 1)[0]).sum().backward()
    return {"forward": [joined.detach()] * case.tp, "gradient": [{"x": leaf.grad} for leaf in leaves]}


def sequence_used_by_all(case: Case) -> dict:
    """One whole sequence, which every rank uses in its own way."""
    leaves = [x[0].clone().requires_grad_() for x in of_ranks(case)]
    joined = torch.cat(leaves, 1)
    sum((joined * upstream).sum() for upstream in of_ranks(case, 1)).backward()
    return {"forward": [joined.detach()] * case.tp, "gradient": [{"x": leaf.grad} for leaf in leaves]}


def dense_mlp(case: Case) -> dict:
    """The MLP of the joined weights, on one rank."""
    inputs = of_ranks(case)
    x, bias = inputs[0][0], inputs[0][4]
    joined = [torch.cat([own[k] for own in inputs], dim) for k, dim in ((1, 0), (2, 0), (3, 1))]
    x, gate, up, down, bias = (tensor.clone().requires_grad_() for tensor in (x, *joined, bias))
    y = x + (silu(x @ gate.T) * (x @ up.T)) @ down.T + bias
    y.backward(of_ranks(case, 1)[0])
    cut = [gate.grad.chunk(case.tp), up.grad.chunk(case.tp), down.grad.chunk(case.tp, 1)]
    names = ("x", "gate_shard", "up_shard", "down_shard", "bias")
    gradients = [dict(zip(names, (x.grad, *own, bias.grad), strict=True)) for own in zip(*cut, strict=True)]
    return {"forward": [y.detach()] * case.tp, "gradient": gradients}


ORACLES = {
    "inner_product": pairs_of_all,
    "copy_to_group": copied,
    "reduce_from_group": added,
    "gather_from_group": side_by_side,
    "gather_sequence": sequence_used_by_all,
    "residual_mlp": dense_mlp,
}
