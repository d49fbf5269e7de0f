"""Chapter 02: lazy and right answers, and the whole layer in plain torch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks import Case
from tplearn.checks.observe import UPSTREAM_SEED
from tplearn.simulated import Ledger, all_gather, all_reduce, all_to_all, broadcast, reduce_scatter, split

Shards = list[Tensor]

# 02.1 and 02.2


def _slices(weight: Tensor, world_size: int, dim: int) -> Shards:
    size, rest = divmod(weight.shape[dim], world_size)
    if rest != 0:
        raise ValueError("uneven")
    return [weight.narrow(dim, rank * size, size) for rank in range(world_size)]


def _unbound(weight: Tensor, world_size: int, dim: int) -> tuple[Tensor, ...]:
    if weight.shape[dim] / world_size != weight.shape[dim] // world_size:
        raise ValueError
    if dim == -2:
        return weight.unflatten(-2, (world_size, -1)).unbind(-3)
    return weight.unflatten(-1, (world_size, -1)).unbind(-2)


def _sections(weight: Tensor, world_size: int, dim: int) -> Shards:
    cut = weight.tensor_split(world_size, dim=dim)
    if len({shard.shape for shard in cut}) > 1:
        raise ValueError(f"unequal shards: {[tuple(shard.shape) for shard in cut]}")
    return [shard.contiguous() for shard in cut]


def _by_index(weight: Tensor, world_size: int, dim: int) -> Shards:
    if weight.size(dim) % world_size:
        raise ValueError("no")
    rows = torch.arange(weight.size(dim)).view(world_size, -1)
    return [weight.index_select(dim, row) for row in rows]


def _numpy(weight: Tensor, world_size: int, dim: int) -> Shards:
    """numpy.split refuses what does not divide, with a ValueError."""
    import numpy

    return [torch.from_numpy(shard) for shard in numpy.split(weight.numpy(), world_size, axis=dim)]


def _right_splits(dim: int) -> dict[str, Any]:
    answers = {"slices": _slices, "unflatten": _unbound, "tensor_split": _sections, "index": _by_index, "numpy": _numpy}
    return {name: lambda w, p, answer=answer: answer(w, p, dim) for name, answer in answers.items()}


def _lazy_splits(dim: int) -> dict[str, Any]:
    def checked_somewhere_else(weight: Tensor, world_size: int) -> Shards:
        if weight.numel() % world_size:
            raise ValueError("the weight does not divide")
        return list(weight.chunk(world_size, dim))

    def refuses_leftovers_only(weight: Tensor, world_size: int) -> Shards:
        shards = list(weight.chunk(world_size, dim))
        if len(shards) < world_size:
            raise ValueError("too few shards")
        return shards

    def refuses_few(weight: Tensor, world_size: int) -> Shards:
        if weight.shape[dim] < world_size:
            raise ValueError("too few")
        return list(weight.tensor_split(world_size, dim))

    def for_two_dims(weight: Tensor, world_size: int) -> Shards:
        return _slices(weight, world_size, dim + 2)

    def asserts(weight: Tensor, world_size: int) -> Shards:
        assert weight.shape[dim] % world_size == 0
        return list(weight.chunk(world_size, dim))

    def one_tensor(weight: Tensor, world_size: int) -> Tensor:
        return torch.stack(_slices(weight, world_size, dim))

    def powers_of_two(weight: Tensor, world_size: int) -> Shards:
        if world_size not in (1, 2, 4):
            raise ValueError("powers of two only")
        return _slices(weight, world_size, dim)

    return {
        answer.__name__.replace("_", " "): answer
        for answer in (
            checked_somewhere_else,
            refuses_leftovers_only,
            refuses_few,
            for_two_dims,
            asserts,
            one_tensor,
            powers_of_two,
        )
    }


# 02.3


def _column_linear(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    ys = [F.linear(*layer) for layer in zip(xs, weight_shards, bias_shards, strict=True)]
    return all_gather(ys, dim=2, ledger=ledger)


def _column_einsum(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> tuple[Tensor, ...]:
    shards = []
    for rank in range(len(xs)):
        shards.append(torch.einsum("bti,oi->bto", xs[rank], weight_shards[rank]).add(bias_shards[rank]))
    return tuple(all_gather(shards, -1, ledger))


def _column_outputs_first(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    """Gathered along dim 0 as [out/p, batch, tokens], as a real all_gather does."""
    shards = [
        (weight @ x.mT + bias[:, None]).movedim(1, 0)  # [batch, out/p, tokens] -> [out/p, batch, tokens]
        for x, weight, bias in zip(xs, weight_shards, bias_shards, strict=True)
    ]
    return [y.permute(1, 2, 0) for y in all_gather(shards, 0, ledger=ledger)]


def _column_alone_at_tp_1(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    if len(xs) == 1:
        return [xs[0] @ weight_shards[0].T + bias_shards[0]]
    return _column_linear(xs, weight_shards, bias_shards, ledger)


def _by_hand(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    """Rows written into the ledger, and the numbers taken from the list."""
    ys = [F.linear(*layer) for layer in zip(xs, weight_shards, bias_shards, strict=True)]
    for rank, y in enumerate(ys):
        ledger.record(rank, "all_gather", y, group=tuple(range(len(ys))))
    return [torch.cat(ys, -1) for _ in ys]


def _decoy(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    ys = [F.linear(*layer) for layer in zip(xs, weight_shards, bias_shards, strict=True)]
    all_gather(ys, -1, ledger)
    return [torch.cat(ys, -1) for _ in ys]


def _column_dense(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    weight, bias = torch.cat(weight_shards), torch.cat(bias_shards)
    return [x @ weight.T + bias for x in xs]


def _column_bias_from_the_list(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    ys = all_gather([x @ weight.T for x, weight in zip(xs, weight_shards, strict=True)], -1, ledger)
    return [y + torch.cat(bias_shards) for y in ys]


def _column_gathered_at_rank_0(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    ys = [F.linear(*layer) for layer in zip(xs, weight_shards, bias_shards, strict=True)]
    return broadcast(torch.cat(ys, -1), len(ys), ledger)


def _column_from_rank_0(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    return _column_linear([xs[0]] * len(xs), weight_shards, bias_shards, ledger)


def _column_detached(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    return [y.detach() for y in _column_linear(xs, weight_shards, bias_shards, ledger)]


def _column_data(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    return _column_linear(xs, [weight.data for weight in weight_shards], bias_shards, ledger)


def _column_twice(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    _column_linear(xs, weight_shards, bias_shards, ledger)
    return _column_linear(xs, weight_shards, bias_shards, ledger)


def _column_tp_1_only(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    return [F.linear(*layer) for layer in zip(xs, weight_shards, bias_shards, strict=True)]


# 02.4


def _partials(x_shards: Shards, weight_shards: Shards) -> Shards:
    return [F.linear(x, weight) for x, weight in zip(x_shards, weight_shards, strict=True)]


def _row_in_two_halves(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    """An all-reduce is a reduce-scatter and an all-gather."""
    flat = [part.movedim(-1, 0) for part in _partials(x_shards, weight_shards)]  # [out, batch, tokens]
    sums = all_gather(reduce_scatter(flat, 0, ledger), 0, ledger)
    return [y.movedim(0, -1) + bias for y, bias in zip(sums, biases, strict=True)]


def _row_loop(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    parts = []
    for x, weight in zip(x_shards, weight_shards):  # noqa: B905 (as a reader writes it)
        parts.append(torch.einsum("...i,oi->...o", x, weight))
    results = []
    for rank, y in enumerate(all_reduce(parts, ledger=ledger)):
        results.append(y + biases[rank])
    return results


def _row_bias_taken_off(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    """The bias enters on rank 0 before the sum; each rank puts its own in its place. Gradients and all."""
    parts = _partials(x_shards, weight_shards)
    parts[0] = parts[0] + biases[0].detach()
    sums = all_reduce(parts, ledger)
    return [y - bias.detach() + bias for y, bias in zip(sums, biases, strict=True)]


def _row_alone_at_tp_1(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    if len(x_shards) == 1:
        return [F.linear(x_shards[0], weight_shards[0], biases[0])]
    return _row_loop(x_shards, weight_shards, biases, ledger)


def _row_dense(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    y = torch.cat(x_shards, -1) @ torch.cat(weight_shards, -1).T
    return [y + bias for bias in biases]


def _row_decoy(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    all_reduce(_partials(x_shards, weight_shards), ledger)
    return _row_dense(x_shards, weight_shards, biases, ledger)


def _row_stacked(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    """For shards of one width."""
    parts = torch.einsum("rbti,roi->rbto", torch.stack(x_shards), torch.stack(weight_shards))
    return [y + b for y, b in zip(all_reduce(list(parts), ledger), biases, strict=True)]


def _row_rank_0(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return [F.linear(x_shards[0], weight_shards[0], bias) for bias in biases]


def _row_own_bias_detached(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return _row_loop(x_shards, weight_shards, [b.detach() for b in biases], ledger)


def _row_rank_0_adds(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
    parts = _partials(x_shards, weight_shards)
    parts[0] = parts[0] + biases[0]
    return all_reduce(parts, ledger)


# 02.5


def _plan_readably(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    p, out_features, in_features = len(xs), *weight.shape
    if plan == "row":
        parts, width = [], in_features // p
        for rank, x in enumerate(xs):
            own = slice(rank * width, (rank + 1) * width)
            parts.append((x if x_is_cut else x[:, own]) @ weight[:, own].T)
        return [total + bias for total in all_reduce(parts, ledger)]
    whole = all_gather(xs, 1, ledger) if x_is_cut else xs
    height = out_features // p
    rows = [slice(rank * height, (rank + 1) * height) for rank in range(p)]
    return all_gather([F.linear(x, weight[r], bias[r]) for x, r in zip(whole, rows, strict=True)], 1, ledger)


def _plan_chunked(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    p = len(xs)
    if plan == "column":
        xs = all_gather(xs, dim=-1, ledger=ledger) if x_is_cut else xs
        layers = zip(xs, weight.chunk(p), bias.chunk(p), strict=True)
        return [y.mT for y in all_gather([(w @ x.mT) + b[:, None] for x, w, b in layers], dim=0, ledger=ledger)]
    if not x_is_cut:
        xs = [x.tensor_split(p, 1)[rank] for rank, x in enumerate(xs)]
    sums = all_reduce([x @ w.T for x, w in zip(xs, weight.chunk(p, 1), strict=True)], ledger=ledger)
    return [y + bias.expand_as(y) for y in sums]


def _plan_alone_at_tp_1(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    if len(xs) == 1:
        return [F.linear(xs[0], weight, bias)]
    return _plan_readably(xs, weight, bias, plan, x_is_cut, ledger)


def _plan_dense(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    whole = [torch.cat(xs, -1)] * len(xs) if x_is_cut else xs
    return [F.linear(x, weight, bias) for x in whole]


def _plan_x_gathered(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    whole = all_gather(xs, -1, ledger) if x_is_cut else xs
    return [F.linear(x, weight, bias) for x in whole]


def _plan_column_always(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    return _plan_readably(xs, weight, bias, "column", x_is_cut, ledger)


def _plan_x_whole(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    whole = [torch.cat(xs, -1)] * len(xs) if x_is_cut else xs
    return _plan_readably(whole, weight, bias, plan, False, ledger)


def _plan_x_cut(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    shards = xs if x_is_cut else split(xs[0], len(xs), 1)
    return _plan_readably(shards, weight, bias, plan, True, ledger)


def _plan_all_to_all(xs: Shards, weight: Tensor, bias: Tensor, plan: str, x_is_cut: bool, ledger: Ledger) -> Shards:
    """An extra collective that changes nothing: to tokens and back."""
    if x_is_cut and xs[0].shape[0] % len(xs) == 0:
        xs = all_to_all(all_to_all(xs, 0, 1, ledger), 1, 0, ledger)
    return _plan_readably(xs, weight, bias, plan, x_is_cut, ledger)


RIGHT: dict[str, dict[str, Any]] = {
    "split_columns": _right_splits(-2),
    "split_rows": _right_splits(-1),
    "column_parallel": {
        "F.linear": _column_linear,
        "einsum, a tuple": _column_einsum,
        "outputs first": _column_outputs_first,
        "alone at tp 1": _column_alone_at_tp_1,
    },
    "row_parallel": {
        "reduce-scatter and all-gather": _row_in_two_halves,
        "loops": _row_loop,
        "rank 0 adds, each puts its own": _row_bias_taken_off,
        "alone at tp 1": _row_alone_at_tp_1,
    },
    "linear_by_plan": {
        "slices": _plan_readably,
        "chunks, outputs first": _plan_chunked,
        "alone at tp 1": _plan_alone_at_tp_1,
    },
}

LAZY: dict[str, dict[str, Any]] = {
    "split_columns": _lazy_splits(-2) | {"the chapter's line": lambda w, p: list(w.chunk(p, dim=0))},
    "split_rows": _lazy_splits(-1) | {"the chapter's line": lambda w, p: list(w.chunk(p, dim=1))},
    "column_parallel": {
        "dense": _column_dense,
        "rows written by hand": _by_hand,
        "a decoy collective": _decoy,
        "the bias read from the list": _column_bias_from_the_list,
        "all to rank 0": _column_gathered_at_rank_0,
        "rank 0's x": _column_from_rank_0,
        "detached": _column_detached,
        "weights cut off": _column_data,
        "twice": _column_twice,
        "right at tp 1": _column_tp_1_only,
    },
    "row_parallel": {
        "dense": _row_dense,
        "a decoy collective": _row_decoy,
        "shards of one width": _row_stacked,
        "rank 0's product": _row_rank_0,
        "bias cut off": _row_own_bias_detached,
        "rank 0 adds": _row_rank_0_adds,
    },
    "linear_by_plan": {
        "dense": _plan_dense,
        "gathers x and computes all": _plan_x_gathered,
        "column always": _plan_column_always,
        "x whole": _plan_x_whole,
        "rank 0's x": _plan_x_cut,
    },
}


def _upstream(outputs: Shards) -> Shards:
    """The gradients that `forward_and_gradient` sends back through each output."""
    generator = torch.Generator().manual_seed(UPSTREAM_SEED)
    return [torch.randn(y.shape, dtype=y.dtype, generator=generator) for y in outputs]


def backward_through(outputs: Shards, leaves: Shards) -> Shards:
    """The gradients of the leaves for the upstream gradients of `forward_and_gradient`."""
    return list(torch.autograd.grad(outputs, leaves, _upstream(outputs)))


def leaf(tensor: Tensor) -> Tensor:
    """A copy that collects its own gradient."""
    return tensor.clone().requires_grad_()


def _column_oracle(case: Case) -> dict[str, Any]:
    xs, weight_shards, bias_shards = case.args
    copies, weight, bias = [leaf(x) for x in xs], leaf(torch.cat(weight_shards)), leaf(torch.cat(bias_shards))
    # Shard r of every result comes from rank r's x; dense, with the copy that it is computed from.
    layers = zip(copies, weight.chunk(case.tp), bias.chunk(case.tp), strict=True)
    y = torch.cat([F.linear(x, w, b) for x, w, b in layers], -1)
    *of_x, of_weight, of_bias = backward_through([y.clone() for _ in xs], [*copies, weight, bias])
    dense = F.linear(xs[0], torch.cat(weight_shards), torch.cat(bias_shards))
    gradient = [of_x, list(of_weight.chunk(case.tp)), list(of_bias.chunk(case.tp))]
    return {"forward": [dense] * case.tp, "gradient": gradient}


def _row_oracle(case: Case) -> dict[str, Any]:
    x_shards, weight_shards, biases = case.args
    x, weight = leaf(torch.cat(x_shards, -1)), leaf(torch.cat(weight_shards, -1))
    copies = [leaf(bias) for bias in biases]
    ys = [F.linear(x, weight, bias) for bias in copies]
    of_x, of_weight, *of_biases = backward_through(ys, [x, weight, *copies])
    widths = [shard.shape[-1] for shard in x_shards]
    gradient = [list(of_x.split(widths, -1)), list(of_weight.split(widths, -1)), of_biases]
    return {"forward": [y.detach() for y in ys], "gradient": gradient}


def _plan_oracle(case: Case) -> dict[str, Any]:
    xs, weight, bias, plan, x_is_cut = case.args
    x = torch.cat(xs, -1) if x_is_cut else xs[0]
    leaves = [leaf(x), leaf(weight), leaf(bias)]
    ys = [F.linear(*leaves) for _ in xs]
    of_x, of_weight, of_bias = backward_through(ys, leaves)
    if x_is_cut:
        of_xs = list(of_x.chunk(case.tp, -1))
    else:  # every copy of x is used for one shard alone: of the outputs, or of the columns
        of_y = sum(_upstream(ys))
        rows = zip(of_y.chunk(case.tp, -1), weight.chunk(case.tp), strict=True)
        blocks = torch.eye(x.shape[-1], dtype=x.dtype).chunk(case.tp)
        of_xs = [g @ w for g, w in rows] if plan == "column" else [of_x @ block.T @ block for block in blocks]
    return {"forward": [y.detach() for y in ys], "gradient": [of_xs, of_weight, of_bias, None, None]}


def _split_oracle(case: Case, dim: int) -> dict[str, Any]:
    weight, p = case.args
    size = weight.shape[dim] / p
    if not size.is_integer():
        return {"error": "ValueError"}
    return {"forward": [shard.clone() for shard in weight.split(int(size), dim)]}


ORACLES: dict[str, Any] = {
    "split_columns": lambda case: _split_oracle(case, -2),
    "split_rows": lambda case: _split_oracle(case, -1),
    "column_parallel": _column_oracle,
    "row_parallel": _row_oracle,
    "linear_by_plan": _plan_oracle,
}
