"""Chapter 11: a block in three forms, the loss after it, and the norm of its gradients."""

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as funcol
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from tplearn.checks import Case
from tplearn.checks.ch11_llama_block.parts import attention, mlp, norm
from tplearn.checks.observe import UPSTREAM_SEED
from tplearn.parallel import (
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    rotary_tables,
    scatter_to_group,
    vocab_parallel_cross_entropy,
)

Weights = dict[str, Tensor]


class _F(Function):
    """f, by a functional collective."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # noqa: ANN001
        return funcol.wait_tensor(funcol.all_reduce(grad.contiguous(), "sum", dist.group.WORLD))


class _G(Function):
    """g, by a reduce-scatter and an all-gather; or in any other way that is handed in."""

    @staticmethod
    def forward(ctx, x: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ANN001
        return total(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return grad, None


def async_total(x: Tensor) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, async_op=True).wait()
    return x


def in_two_steps(x: Tensor) -> Tensor:
    p = dist.get_world_size()
    rows = F.pad(x.flatten(), (0, -x.numel() % p)).view(p, -1)
    own = torch.empty_like(rows[0])
    dist.reduce_scatter(own, list(rows.unbind()))
    shards = [torch.empty_like(own) for _ in range(p)]
    dist.all_gather(shards, own)
    return torch.cat(shards)[: x.numel()].view_as(x)


# 11.1: block_states(batch, seq, hidden, ffn, tp, sequence_parallel)


def states_as_lists(batch: int, seq: int, hidden: int, ffn: int, tp: int, sp: bool) -> dict:
    tokens = [batch, seq // tp if sp else seq, hidden]
    state = "S(1)" if sp else "R"
    table = {name: [state, tokens] for name in ("x", "normed", "reduced", "y")}
    table |= {"read": ["R", [batch, seq, hidden]], "inner": ["S(2)", [batch, seq, ffn // tp]]}
    table |= {name: ["P", [batch, seq, hidden]] for name in ("partial", "gradient of read")}
    table |= {"norm weight": ["R", [hidden]], "gradient of norm weight": ["RP"[sp], [hidden]]}
    return table | {"gate weight": ["S(0)", [ffn // tp, hidden]], "down weight": ["S(1)", [hidden, ffn // tp]]}


def states_from_tensors(batch: int, seq: int, hidden: int, ffn: int, tp: int, sp: bool) -> dict:
    """Shapes of tensors that are cut."""
    x = torch.empty(batch, seq, hidden, device="meta")
    own = x.chunk(tp, 1)[0].shape if sp else x.shape
    gate = torch.empty(ffn, hidden, device="meta").tensor_split(tp)[0]
    between = ("S(1)" if sp else "R", own)
    return {
        **dict.fromkeys(["x", "normed", "reduced", "y"], between),
        "read": ("R", x.shape),
        "inner": ("S(2)", (x @ gate.T).shape),
        "partial": ("P", (x @ gate.T @ gate).shape),
        "norm weight": ("R", x[0, 0].shape),
        "gate weight": ("S(0)", gate.shape),
        "down weight": ("S(1)", gate.T.shape),
        "gradient of read": ("P", x.shape),
        "gradient of norm weight": ("P" if sp else "R", x.shape[-1:]),
    }


def states_by_updates(batch: int, seq: int, hidden: int, ffn: int, tp: int, sp: bool) -> dict:
    table = states_as_lists(batch, seq, hidden, ffn, tp, False)
    if sp:
        table.update(dict.fromkeys(("y", "reduced", "normed", "x"), ("S(1)", (batch, seq // tp, hidden))))
        table["gradient of norm weight"] = ("P", (hidden,))
    return {name: (state, tuple(shape)) for name, (state, shape) in reversed(table.items())}


def changed_states(**changes: Callable) -> Callable:
    """The right table with some entries changed: name → f(state, shape)."""

    def answer(*sizes: int) -> dict:
        table = states_as_lists(*sizes)
        return table | {name: change(*table[name]) for name, change in changes.items()}

    return answer


# 11.2: tp_block(x, w)


def block(f: Callable, g: Callable, each_norm: Callable = norm) -> Callable:
    def answer(x: Tensor, w: Weights) -> Tensor:
        h = x + each_norm(g(attention(f(each_norm(x, w["norm_1"])), w)), w["post_1"])
        return h + each_norm(g(mlp(f(each_norm(h, w["norm_2"])), w)), w["post_2"])

    return answer


def norm_by_hand(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def f_by_hook(x: Tensor) -> Tensor:
    x = x * 1
    x.register_hook(async_total)
    return x


def early(function: Callable) -> Callable:
    return lambda x: x if dist.get_world_size() == 1 else function(x)


def unchanged(x: Tensor) -> Tensor:
    return x


def plain_all_reduce(x: Tensor) -> Tensor:
    x = x.clone()
    dist.all_reduce(x)
    return x


def residual_on_rank_0(x: Tensor, w: Weights) -> Tensor:
    def half(x: Tensor, part: Callable, before: str, after: str) -> Tensor:
        y = norm(reduce_from_group(part(copy_to_group(norm(x, w[before])), w)), w[after])
        return reduce_from_group(x + y / dist.get_world_size() if dist.get_rank() == 0 else y / dist.get_world_size())

    return half(half(x, attention, "norm_1", "post_1"), mlp, "norm_2", "post_2")


# 11.3: next_word_loss(x, ids, lengths, norm_weight, head_shard)


def logits_of(x: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    return copy_to_group(norm(x, norm_weight)) @ head.T


def full_targets(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    targets = torch.full_like(ids, -100)
    for text, n in enumerate(lengths.tolist()):
        targets[text, : n - 1] = ids[text, 1:n]
    return vocab_parallel_cross_entropy(logits_of(x, norm_weight, head), targets)


def last_position_dropped(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    keep = torch.arange(1, ids.shape[1]) < lengths.unsqueeze(1)
    return vocab_parallel_cross_entropy(logits_of(x[:, :-1], norm_weight, head), ids[:, 1:].where(keep, -100))


def only_what_counts(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    counts = torch.arange(ids.shape[1] - 1) < lengths[:, None] - 1
    logits = logits_of(x[:, :-1][counts], norm_weight, head)
    return vocab_parallel_cross_entropy(logits, ids[:, 1:][counts], reduction="sum") / counts.sum()


def by_hand(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    """log Σ exp − own logit, with two sums in one message."""
    logits = logits_of(x, norm_weight, head)[:, :-1]
    top = logits.detach().amax(-1)
    top = funcol.wait_tensor(funcol.all_reduce(top, "max", dist.group.WORLD))
    own = ids[:, 1:] - dist.get_rank() * len(head)
    is_own = (own >= 0) & (own < len(head))
    picked = logits.gather(-1, own.clamp(0, len(head) - 1)[..., None]).squeeze(-1).sub(top) * is_own
    total, picked = reduce_from_group(torch.stack([(logits - top[..., None]).exp().sum(-1), picked]))
    counts = torch.arange(ids.shape[1] - 1) < lengths[:, None] - 1
    return (total.log() - picked)[counts].mean()


def lengths_ignored(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    return vocab_parallel_cross_entropy(logits_of(x, norm_weight, head)[:, :-1], ids[:, 1:])


def all_logits(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    targets = ids.roll(-1, 1).masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None] - 1, -100)
    logits = gather_from_group(logits_of(x, norm_weight, head))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def averaged(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    return reduce_from_group(full_targets(x, ids, lengths, norm_weight, head)) / dist.get_world_size()


def loss_alone(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    return full_targets(x, ids, lengths, norm_weight, head).detach()


def no_f(x: Tensor, ids: Tensor, lengths: Tensor, norm_weight: Tensor, head: Tensor) -> Tensor:
    targets = ids.roll(-1, 1).masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None] - 1, -100)
    return vocab_parallel_cross_entropy(norm(x, norm_weight) @ head.T, targets)


# 11.4: sp_block(x_shard, w)


class _Both(Function):
    """Gather and reduce-scatter along dim 1, each the other's backward, without the shelf."""

    @staticmethod
    def forward(ctx, x: Tensor, gather: bool) -> Tensor:  # noqa: ANN001
        ctx.gather, p = gather, dist.get_world_size()
        if gather:
            shards = [torch.empty_like(x) for _ in range(p)]
            dist.all_gather(shards, x.contiguous())
            return torch.cat(shards, 1)
        shards = [shard.contiguous() for shard in x.chunk(p, 1)]
        own = torch.empty_like(shards[0])
        dist.reduce_scatter(own, shards, async_op=True).wait()
        return own

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return _Both.forward(ctx, grad, not ctx.gather), None


def sp(gather: Callable, scatter: Callable, each_norm: Callable = norm, weights: Callable | None = None) -> Callable:
    def answer(x: Tensor, w: Weights) -> Tensor:
        norm_1, norm_2 = (weights or through_f)(w)
        h = x + scatter(attention(gather(each_norm(x, norm_1)), w))
        return h + scatter(mlp(gather(each_norm(h, norm_2)), w))

    return answer


def through_f(w: Weights) -> Tensor:
    return copy_to_group(torch.cat([w["norm_1"], w["norm_2"]])).chunk(2)


def as_they_are(w: Weights) -> tuple[Tensor, Tensor]:
    return w["norm_1"], w["norm_2"]


def by_functional_f(w: Weights) -> Tensor:
    return _F.apply(torch.stack([w["norm_1"], w["norm_2"]]))


def norms_of_all_tokens(x: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = through_f(w)
    h = x + reduce_scatter_sequence(attention(norm(gather_sequence(x), norm_1), w))
    return h + reduce_scatter_sequence(mlp(norm(gather_sequence(h), norm_2), w))


def norms_of_all_tokens_by_hand(x: Tensor, w: Weights) -> Tensor:
    norm_1, norm_2 = through_f(w)
    h = x + reduce_scatter_sequence(attention(norm_by_hand(gather_sequence(x), norm_1), w))
    return h + reduce_scatter_sequence(mlp(norm_by_hand(gather_sequence(h), norm_2), w))


def all_tokens_everywhere(x: Tensor, w: Weights) -> Tensor:
    x = gather_from_group(x, 1)
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return scatter_to_group(h + reduce_from_group(mlp(copy_to_group(norm(h, w["norm_2"])), w)), 1)


# 11.5: gradient_norm(gradients, copies)


def by_vector_norms(gradients: list[Tensor], copies: list[int]) -> Tensor:
    norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
    total = (norms**2 / torch.tensor(copies)).sum()
    dist.all_reduce(total, async_op=True).wait()
    return total**0.5


def first_of_the_copies(gradients: list[Tensor], copies: list[int]) -> float:
    own = [g.flatten() @ g.flatten() for g, n in zip(gradients, copies, strict=True) if dist.get_rank() % n == 0]
    total = funcol.wait_tensor(funcol.all_reduce(torch.stack(own).sum(), "sum", dist.group.WORLD))
    return total.sqrt().item()


def early_return(gradients: list[Tensor], copies: list[int]) -> Tensor:
    total = torch.cat([g.flatten() / n**0.5 for g, n in zip(gradients, copies, strict=True)]).square().sum()
    if dist.get_world_size() > 1:
        dist.all_reduce(total)
    return total.sqrt()


def by_reduce_op(gradients: list[Tensor], copies: list[int]) -> Tensor:
    """The mean over ranks, times their number."""
    total = sum((g * g / n).sum() for g, n in zip(gradients, copies, strict=True)) * dist.get_world_size()
    dist.all_reduce(total.div_(dist.get_world_size()))
    return total.sqrt()


def local_norm(gradients: list[Tensor], copies: list[int]) -> Tensor:
    return torch.nn.utils.get_total_norm(gradients)


def everything(gradients: list[Tensor], copies: list[int]) -> Tensor:
    total = sum(g.square().sum() for g in gradients)
    dist.all_reduce(total)
    return total.sqrt()


def copies_on_rank_0(gradients: list[Tensor], copies: list[int]) -> Tensor:
    first = dist.get_rank() == 0
    total = sum(g.square().sum() for g, n in zip(gradients, copies, strict=True) if n == 1 or first)
    dist.all_reduce(total)
    return total.sqrt()


def copies_by_tp(gradients: list[Tensor], copies: list[int]) -> Tensor:
    p = dist.get_world_size()
    total = sum(g.square().sum() / (p if n > 1 else 1) for g, n in zip(gradients, copies, strict=True))
    dist.all_reduce(total)
    return total.sqrt()


def many_messages(gradients: list[Tensor], copies: list[int]) -> Tensor:
    squares = [plain_all_reduce(g.square().sum() / n) for g, n in zip(gradients, copies, strict=True)]
    return sum(squares).sqrt()


# 11.6: fused_block(partial, residual, w)


def fused(f: Callable, g: Callable) -> Callable:
    def answer(partial: Tensor, residual: Tensor, w: Weights) -> list[Tensor]:
        x = g(partial) + residual
        h = g(attention(f(norm(x, w["norm_1"])), w)) + x
        return [mlp(f(norm(h, w["norm_2"])), w), h]

    return answer


def finished(partial: Tensor, residual: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    y, h = fused(copy_to_group, reduce_from_group)(partial, residual, w)
    return reduce_from_group(y), h


def taken_as_finished(partial: Tensor, residual: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    x = partial + residual
    h = reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w)) + x
    return mlp(copy_to_group(norm(h, w["norm_2"])), w), h


def added_on_rank_0(partial: Tensor, residual: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    x = reduce_from_group(partial + residual if dist.get_rank() == 0 else partial)
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return mlp(copy_to_group(norm(h, w["norm_2"])), w), h


f, g = copy_to_group, reduce_from_group

LAZY = {
    "block_states": {
        "no partials": changed_states(partial=lambda state, shape: ("R", shape)),
        "the same with and without own tokens": lambda b, s, h, ffn, tp, sp: states_as_lists(b, s, h, ffn, tp, False),
        "whole shapes": changed_states(inner=lambda state, shape: (state, [*shape[:2], 48])),
        "read on own tokens": lambda *sizes: (t := states_as_lists(*sizes)) | {"read": t["x"]},
        "finished gradients": changed_states(**{"gradient of norm weight": lambda state, shape: ("R", shape)}),
    },
    "tp_block": {
        "no communication": block(unchanged, unchanged),
        "no f": block(unchanged, g),
        "plain all_reduce": block(f, plain_all_reduce),
        "norm of a partial": lambda x, w: block(f, unchanged, lambda y, v: norm(y, v))(x, w),
        "residual on rank 0": residual_on_rank_0,
        "detached": lambda x, w: block(f, lambda y: g(y).detach())(x, w),
    },
    "next_word_loss": {
        "lengths ignored": lengths_ignored,
        "all logits gathered": all_logits,
        "averaged over the ranks": averaged,
        "no gradient": loss_alone,
        "no f": no_f,
    },
    "sp_block": {
        "norms of all tokens": norms_of_all_tokens,
        "norms of all tokens by hand": norms_of_all_tokens_by_hand,
        "no sum of the norms' gradients": sp(gather_sequence, reduce_scatter_sequence, weights=as_they_are),
        "all tokens everywhere": all_tokens_everywhere,
        "no communication": sp(unchanged, unchanged),
        "used alike": sp(lambda x: gather_from_group(x, 1), lambda x: scatter_to_group(x, 1)),
    },
    "gradient_norm": {
        "own numbers only": local_norm,
        "copies not looked at": everything,
        "copies on rank 0": copies_on_rank_0,
        "copies are everywhere or nowhere": copies_by_tp,
        "a message for each": many_messages,
        "a list of one number": lambda gradients, copies: by_vector_norms(gradients, copies)[None],
    },
    "fused_block": {
        "no communication": fused(unchanged, unchanged),
        "finished before it is handed on": finished,
        "taken as finished": taken_as_finished,
        "residual on rank 0": added_on_rank_0,
        "plain all_reduce": fused(f, plain_all_reduce),
    },
}

RIGHT = {
    "block_states": {
        "as lists": states_as_lists,
        "from tensors": states_from_tensors,
        "by updates": states_by_updates,
    },
    "tp_block": {
        "functional f": block(early(_F.apply), g),
        "async g, hook for f": block(early(f_by_hook), lambda y: _G.apply(y, async_total), norm_by_hand),
        "g in two steps": block(f, early(lambda y: _G.apply(y, in_two_steps))),
    },
    "next_word_loss": {
        "full targets": full_targets,
        "last position dropped": last_position_dropped,
        "only what counts": only_what_counts,
        "by hand": by_hand,
    },
    "sp_block": {
        "cat": sp(gather_sequence, reduce_scatter_sequence),
        "without the shelf": sp(lambda x: _Both.apply(x, True), lambda x: _Both.apply(x, False), norm_by_hand),
        "functional f, negative dims": sp(
            lambda x: gather_sequence(x, -2), lambda x: reduce_scatter_sequence(x, -2), weights=by_functional_f
        ),
    },
    "gradient_norm": {
        "vector norms": by_vector_norms,
        "first of the copies": first_of_the_copies,
        "one vector, early return": early_return,
        "in place on an own tensor": by_reduce_op,
    },
    "fused_block": {
        "as a list": fused(f, g),
        "functional f": fused(early(_F.apply), g),
        "g in two steps, hook for f": fused(early(f_by_hook), early(lambda y: _G.apply(y, in_two_steps))),
    },
}

CUT = {"q": 0, "k": 0, "v": 0, "gate": 0, "up": 0, "o": 1, "down": 1}


def joined(weights: list[Weights]) -> Weights:
    """The dense weights, each with a gradient to come."""
    dense = {
        name: torch.cat([w[name] for w in weights], CUT[name]) if name in CUT else weights[0][name].clone()
        for name in weights[0]
    }
    return {name: weight.requires_grad_() for name, weight in dense.items()}


def dense_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x * x).mean(-1, keepdim=True).add(1e-6).sqrt() * weight


def dense_attention(x: Tensor, w: Weights) -> Tensor:
    cos, sin = rotary_tables(torch.arange(x.shape[1]), 4)  # the same tables: they are float32

    def turned(t: Tensor) -> Tensor:
        a, b = t.chunk(2, -1)
        return t * cos + torch.cat([-b, a], -1) * sin

    q, k, v = ((x @ w[name].T).unflatten(-1, (-1, 4)).transpose(1, 2) for name in "qkv")
    y = F.scaled_dot_product_attention(turned(q), turned(k), v, is_causal=True, enable_gqa=True)
    return y.transpose(1, 2).flatten(2) @ w["o"].T


def dense_mlp(x: Tensor, w: Weights) -> Tensor:
    return (F.silu(x @ w["gate"].T) * (x @ w["up"].T)) @ w["down"].T


def by_rank(gradients: Weights, tp: int) -> list[Weights]:
    cut = {name: grad.chunk(tp, CUT[name]) if name in CUT else [grad] * tp for name, grad in gradients.items()}
    return [{name: shards[rank] for name, shards in cut.items()} for rank in range(tp)]


def dense_tp_block(case: Case) -> dict:
    upstream, x, weights = (arg.values for arg in case.args)
    w, x = joined(weights), x[0].clone().requires_grad_()
    h = x + dense_norm(dense_attention(dense_norm(x, w["norm_1"]), w), w["post_1"])
    y = h + dense_norm(dense_mlp(dense_norm(h, w["norm_2"]), w), w["post_2"])
    dx, *dw = torch.autograd.grad(y, [x, *w.values()], upstream[0])
    shards = by_rank(dict(zip(w, dw, strict=True)), case.tp)
    return {"forward": [y.detach()] * case.tp, "gradient": [[dx, own] for own in shards]}


def dense_sp_block(case: Case) -> dict:
    upstream, x, weights = (arg.values for arg in case.args)
    w, x = joined(weights), torch.cat(x, 1).requires_grad_()
    h = x + dense_attention(dense_norm(x, w["norm_1"]), w)
    y = h + dense_mlp(dense_norm(h, w["norm_2"]), w)
    dx, *dw = torch.autograd.grad(y, [x, *w.values()], torch.cat(upstream, 1))
    shards = by_rank(dict(zip(w, dw, strict=True)), case.tp)
    gradient = [[own, of_weights] for own, of_weights in zip(dx.chunk(case.tp, 1), shards, strict=True)]
    return {"forward": list(y.detach().chunk(case.tp, 1)), "gradient": gradient}


def dense_loss(case: Case) -> dict:
    x, ids, lengths, weight, heads = (arg.values for arg in case.args)
    x, weight = x[0].clone().requires_grad_(), weight[0].clone().requires_grad_()
    head = torch.cat(heads).requires_grad_()
    log_p = (dense_norm(x, weight) @ head.T).log_softmax(-1)
    losses = [-log_p[text, t, ids[0][text, t + 1]] for text, n in enumerate(lengths[0].tolist()) for t in range(n - 1)]
    loss = torch.stack(losses).mean()
    upstream = torch.randn((), dtype=torch.float64, generator=torch.Generator().manual_seed(UPSTREAM_SEED))
    dx, dweight, dhead = torch.autograd.grad(loss, [x, weight, head], upstream)
    gradient = [[dx, None, None, dweight, own] for own in dhead.chunk(case.tp)]
    return {"forward": [loss.detach()] * case.tp, "gradient": gradient}


def dense_fused(case: Case) -> dict:
    partials, residual, weights = (arg.values for arg in case.args)
    w, residual = joined(weights), residual[0].clone().requires_grad_()
    whole = torch.stack(partials).sum(0).requires_grad_()
    x = residual + whole
    h = x + dense_attention(dense_norm(x, w["norm_1"]), w)
    y = dense_mlp(dense_norm(h, w["norm_2"]), w)
    generator = torch.Generator().manual_seed(UPSTREAM_SEED)
    upstream = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in (y, h)]
    dwhole, dresidual, *dw = torch.autograd.grad([y, h], [whole, residual, *w.values()], upstream)
    shards = by_rank(dict(zip(w, dw, strict=True)), case.tp)
    own = [dense_mlp(dense_norm(h, w["norm_2"]), rank).detach() for rank in weights]
    return {
        "forward": [[partial, h.detach()] for partial in own],
        "gradient": [[dwhole, dresidual, of_weights] for of_weights in shards],
    }


def dense_gradient_norm(case: Case) -> dict:
    gradients, copies = case.args
    dense = [
        own[k]
        for rank, own in enumerate(gradients.values)
        for k, n in enumerate(copies)
        if rank % n == 0  # the first of n neighbours
    ]
    return {"forward": [torch.cat([g.flatten() for g in dense]).norm()] * case.tp}


def states_by_name(case: Case) -> dict:
    """The twelve tensors in three groups, each with its state and its shape on a rank."""
    b, s, h, ffn, tp, sp = case.args
    own = {"state": "S(1)", "shape": [b, s // tp, h]} if sp else {"state": "R", "shape": [b, s, h]}
    return {
        "names": "those of the table",
        "tokens": {
            **dict.fromkeys(("x", "normed", "reduced", "y"), own),
            "read": {"state": "R", "shape": [b, s, h]},
            "inner": {"state": "S(2)", "shape": [b, s, ffn // tp]},
            "partial": {"state": "P", "shape": [b, s, h]},
        },
        "weights": {
            "norm weight": {"state": "R", "shape": [h]},
            "gate weight": {"state": "S(0)", "shape": [ffn // tp, h]},
            "down weight": {"state": "S(1)", "shape": [h, ffn // tp]},
        },
        "gradients": {
            "gradient of read": {"state": "P", "shape": [b, s, h]},
            "gradient of norm weight": {"state": "P" if sp else "R", "shape": [h]},
        },
    }


ORACLES = {
    "block_states": states_by_name,
    "tp_block": dense_tp_block,
    "next_word_loss": dense_loss,
    "sp_block": dense_sp_block,
    "gradient_norm": dense_gradient_norm,
    "fused_block": dense_fused,
}
