"""Chapter 07: lazy, right and unsharded answers for first values, the two linear layers, the MLP and its ledger."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.distributed import _functional_collectives as funcol
from torch.nn.functional import linear, silu

from tests.checks.answers import Alone
from tplearn.checks import Case
from tplearn.parallel import RowParallelLinear, copy_to_group, reduce_from_group, scatter_to_group

Group = dist.ProcessGroup | None
Pair = tuple[Tensor, Tensor]


def place(group: Group) -> tuple[int, int]:
    return dist.get_rank(group), dist.get_world_size(group)


# --- 07.1: every way to take a slice -------------------------------------------------------------------------------


def by_tensor_split(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    rank, p = place(group)
    dense = nn.Linear(in_features, out_features).requires_grad_(False)
    weight = dense.weight.tensor_split(p, 0 if cut == "outputs" else 1)[rank].clone()
    return weight, (dense.bias.tensor_split(p)[rank] if cut == "outputs" else dense.bias).clone()


def by_sizes(in_features: int, out_features: int, cut: str, group: Group) -> list[Tensor]:
    rank, p = place(group)
    dense, dim = nn.Linear(in_features, out_features), 0 if cut == "outputs" else 1
    size = dense.weight.shape[dim]
    sizes = [size // p + (r < size % p) for r in range(p)]
    start = sum(sizes[:rank])
    weight = dense.weight.narrow(dim, start, sizes[rank])
    bias = dense.bias[start : start + sizes[rank]] if dim == 0 else dense.bias
    return [nn.Parameter(torch.empty(t.shape).copy_(t.detach())) for t in (weight, bias)]


def by_index(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    dense = nn.Linear(in_features, out_features)
    if place(group)[1] == 1:
        return dense.weight.data, dense.bias.data
    dim = 0 if cut == "outputs" else 1
    own = torch.arange(dense.weight.shape[dim]).tensor_split(place(group)[1])[place(group)[0]]
    bias = dense.bias if cut == "inputs" else dense.bias.index_select(0, own)
    return dense.weight.index_select(dim, own).detach(), bias.detach().clone()


def whole(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    dense = nn.Linear(in_features, out_features)
    return dense.weight.data, dense.bias.data


def sizes_that_divide(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    rank, p = place(group)
    dense = nn.Linear(in_features, out_features)
    size = (out_features if cut == "outputs" else in_features) // p
    own = slice(rank * size, (rank + 1) * size)
    return (dense.weight[own] if cut == "outputs" else dense.weight[:, own]).data.clone(), dense.bias.data.clone()


def outputs_always(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    return by_tensor_split(in_features, out_features, "outputs", group)


def world_always(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    return by_tensor_split(in_features, out_features, cut, None)


def own_seed_of_zero(in_features: int, out_features: int, cut: str, group: Group) -> Pair:
    torch.manual_seed(0)
    return by_tensor_split(in_features, out_features, cut, group)


def zeros_of_the_shape(in_features: int, out_features: int, cut: str, group: Group) -> list[Tensor]:
    return [torch.zeros_like(t) for t in by_tensor_split(in_features, out_features, cut, group)]


def float32(in_features: int, out_features: int, cut: str, group: Group) -> list[Tensor]:
    return [t.float() for t in by_tensor_split(in_features, out_features, cut, group)]


# --- 07.2 and 07.3: f, g and the cut, in other ways ----------------------------------------------------------------


class SummedBackward(Function):
    """f by hand."""

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        handle = dist.all_reduce(gradient, group=ctx.group, async_op=True)
        handle.wait()
        return gradient, None


class FunctionalBackward(Function):
    """f with a functional collective."""

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:
        ctx.group = dist.group.WORLD if group is None else group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return funcol.wait_tensor(funcol.all_reduce(gradient.contiguous(), "sum", ctx.group)), None


class SummedForward(Function):
    """g by hand."""

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class GatheredBackward(Function):
    """Own columns; the shards of the gradient come together again."""

    @staticmethod
    def forward(ctx, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return x.tensor_split(place(group)[1], -1)[place(group)[0]].clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        shards = [torch.empty_like(gradient.contiguous()) for _ in range(place(ctx.group)[1])]
        dist.all_gather(shards, gradient.contiguous(), group=ctx.group)
        return torch.cat(shards, -1), None


def hooked(x: Tensor, group: Group) -> Tensor:
    """f as a hook on the tensor."""
    x = x.view_as(x)
    if x.requires_grad and place(group)[1] > 1:
        x.register_hook(lambda gradient: FunctionalBackward.backward(_Ctx(group), gradient)[0])
    return x


class _Ctx:
    def __init__(self, group: Group) -> None:
        self.group = dist.group.WORLD if group is None else group


class Layer(nn.Module):
    """A linear layer from `draw`, whose forward is run(self, x)."""

    def __init__(self, cut: str, run: Callable, draw: Callable, sizes: tuple[int, int], group: Group) -> None:
        super().__init__()
        weight, bias = draw(*sizes, cut, group)
        self.weight, self.bias, self.group, self.run = nn.Parameter(weight), nn.Parameter(bias), group, run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def column(run: Callable, draw: Callable = by_tensor_split) -> Callable[..., nn.Module]:
    return lambda i, o, group: Layer("outputs", run, draw, (i, o), group)


def row(run: Callable, draw: Callable = by_tensor_split) -> Callable[..., nn.Module]:
    return lambda i, o, group: Layer("inputs", run, draw, (i, o), group)


def plain_sum(x: Tensor, group: Group) -> Tensor:
    x = x.clone()
    dist.all_reduce(x, group=group)
    return x


def scattered_by_hand(layer: Layer, x: Tensor) -> Tensor:
    x_shard = GatheredBackward.apply(x, layer.group)
    return layer.bias + SummedForward.apply(torch.einsum("...i,oi->...o", x_shard, layer.weight), layer.group)


class Dense(nn.Module):
    """Right numbers without a word to anybody: the dense layer, recomputed from the common state."""

    def __init__(self, cut: str, i: int, o: int, group: Group) -> None:
        super().__init__()
        state = torch.get_rng_state()
        weight, bias = by_tensor_split(i, o, cut, group)
        torch.set_rng_state(state)
        dense = nn.Linear(i, o)
        self.dense, self.cut, self.group = [dense.weight.detach(), 20 * dense.bias.detach()], cut, group
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        y = linear(x, *self.dense)
        zero = self.weight.sum() * 0 + self.bias.sum() * 0
        rank, p = place(self.group)
        return (y if self.cut == "inputs" else y.tensor_split(p, -1)[rank]) + zero


def decoy(layer: Layer, x: Tensor) -> Tensor:
    """An all-reduce of something, for show."""
    plain_sum(x.detach(), layer.group)
    return linear(x, layer.weight, layer.bias)


def first_rank_only(layer: Layer, x: Tensor) -> Tensor:
    """The first rank's partial for everybody."""
    y = linear(x.tensor_split(place(layer.group)[1], -1)[place(layer.group)[0]], layer.weight).detach()
    dist.broadcast(y, group=layer.group, group_src=0)
    return y + layer.bias


# --- 07.4 ----------------------------------------------------------------------------------------------------------


class MLP(nn.Module):
    """gate and up in one weight; run(self, x)."""

    def __init__(self, run: Callable, hidden: int, ffn: int, group: Group, draw: Callable = by_tensor_split) -> None:
        super().__init__()
        gate, up = draw(hidden, ffn, "outputs", group)[0], draw(hidden, ffn, "outputs", group)[0]
        self.down = nn.Parameter(draw(ffn, hidden, "inputs", group)[0])
        self.gate_up, self.group, self.run = nn.Parameter(torch.cat([gate, up])), group, run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def mlp(run: Callable, **how: Callable) -> Callable[..., nn.Module]:
    return lambda hidden, ffn, group: MLP(run, hidden, ffn, group, **how)


def two_matmuls(mlp: MLP, x: Tensor) -> Tensor:
    x = copy_to_group(x, mlp.group)
    gate, up = mlp.gate_up.tensor_split(2)
    return reduce_from_group((silu(x @ gate.T) * (x @ up.T)) @ mlp.down.T, mlp.group)


def by_unflatten(mlp: MLP, x: Tensor) -> Tensor:
    x = SummedBackward.apply(x, mlp.group) if place(mlp.group)[1] > 1 else x
    both = linear(x, mlp.gate_up).unflatten(-1, (2, -1))
    h = both[..., 0, :].sigmoid() * both[..., 0, :] * both[..., 1, :]
    return SummedForward.apply(linear(h, mlp.down), mlp.group)


def hooked_mlp(mlp: MLP, x: Tensor) -> Tensor:
    gate, up = torch.einsum("...h,fh->...f", hooked(x, mlp.group), mlp.gate_up).split(mlp.down.shape[1], dim=-1)
    return reduce_from_group(torch.einsum("...f,hf->...h", silu(gate) * up, mlp.down), mlp.group)


def alone(mlp: MLP, x: Tensor) -> Tensor:
    gate, up = linear(x, mlp.gate_up).chunk(2, dim=-1)
    return linear(silu(gate) * up, mlp.down)


def tp_1_only(mlp: MLP, x: Tensor) -> Tensor:
    """As many times the first rank's partial as there are ranks."""
    return alone(mlp, copy_to_group(x, mlp.group)) * place(mlp.group)[1]


def gathered_weights(mlp: MLP, x: Tensor) -> Tensor:
    """More work than due: every rank gathers the weights and computes all of it."""
    group, (rank, p) = mlp.group, place(mlp.group)
    shards = [torch.empty_like(mlp.gate_up) for _ in range(p)]
    dist.all_gather(shards, mlp.gate_up.detach(), group=group)
    shards[rank] = mlp.gate_up
    gate, up = (torch.cat(parts) for parts in zip(*(shard.chunk(2) for shard in shards), strict=True))
    downs = [torch.empty_like(mlp.down) for _ in range(p)]
    dist.all_gather(downs, mlp.down.detach(), group=group)
    downs[rank] = mlp.down
    return linear(silu(linear(x, gate)) * linear(x, up), torch.cat(downs, 1))


def detached(mlp: MLP, x: Tensor) -> Tensor:
    return two_matmuls(mlp, x.detach())


# --- 07.5 ----------------------------------------------------------------------------------------------------------


def walked(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> list[list]:
    forward = ([["all_gather", 4 * tokens * (ffn // tp)]] if gathered else []) + [["all_reduce", 4 * tokens * hidden]]
    backward = forward[:-1] + forward[-1:] * fs
    return (forward + backward) * (tp > 1)


def appended(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> list[tuple[str, float]]:
    rows = []
    if tp == 1:
        return rows
    for _, sums in (("there", 1), ("back", fs)):
        if gathered:
            rows.append(("all_gather", tokens * ffn * 4 / tp))
        rows.extend([("all_reduce", 4.0 * tokens * hidden)] * sums)
    return rows


def yielded(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> tuple:
    def rows():
        for sums in (1, fs):
            yield from [("all_gather", tokens * ffn // tp * 4)] * bool(gathered)
            yield from [("all_reduce", tokens * hidden * 4)] * sums

    return tuple(rows()) if tp != 1 else ()


LAZY = {
    "init_shard": {
        "whole": whole,
        "sizes that divide": sizes_that_divide,
        "outputs always": outputs_always,
        "the world always": world_always,
        "a seed of zero": own_seed_of_zero,
        "zeros": zeros_of_the_shape,
        "float32": float32,
    },
    "ColumnLinear": {
        "no communication": column(lambda layer, x: linear(x, layer.weight, layer.bias)),
        "decoy": column(decoy),
        "dense, recomputed": partial(Dense, "outputs"),
        "detached": column(lambda layer, x: linear(copy_to_group(x, layer.group).detach(), layer.weight, layer.bias)),
        "the world's f": column(lambda layer, x: linear(copy_to_group(x), layer.weight, layer.bias)),
        "a seed of zero": column(
            lambda layer, x: linear(copy_to_group(x, layer.group), layer.weight, layer.bias), own_seed_of_zero
        ),
        "even shards": Alone(
            column(lambda layer, x: linear(copy_to_group(x, layer.group), layer.weight, layer.bias), sizes_that_divide)
        ),
        "nothing without outputs": Alone(
            column(
                lambda layer, x: linear(
                    copy_to_group(x, layer.group) if len(layer.weight) else x, layer.weight, layer.bias
                )
            )
        ),
        "plain all_reduce on x": column(
            lambda layer, x: linear(plain_sum(x, layer.group) / place(layer.group)[1], layer.weight, layer.bias)
        ),
    },
    "RowLinear": {
        "no communication": row(
            lambda layer, x: linear(
                x.tensor_split(place(layer.group)[1], -1)[place(layer.group)[0]], layer.weight, layer.bias
            )
        ),
        "dense, recomputed": partial(Dense, "inputs"),
        "first rank only": row(first_rank_only),
        "a slice for a scatter": row(
            lambda layer, x: (
                reduce_from_group(
                    linear(x.tensor_split(place(layer.group)[1], -1)[place(layer.group)[0]], layer.weight), layer.group
                )
                + layer.bias
            )
        ),
        "plain all_reduce": row(
            lambda layer, x: (
                plain_sum(linear(scatter_to_group(x, -1, layer.group), layer.weight), layer.group) + layer.bias
            )
        ),
        "f and a slice": row(
            lambda layer, x: (
                reduce_from_group(
                    linear(
                        copy_to_group(x, layer.group).tensor_split(place(layer.group)[1], -1)[place(layer.group)[0]],
                        layer.weight,
                    ),
                    layer.group,
                )
                + layer.bias
            )
        ),
        "summed twice": row(
            lambda layer, x: reduce_from_group(scattered_by_hand(layer, x) / place(layer.group)[1], layer.group)
        ),
        "bias by rank 0": row(
            lambda layer, x: reduce_from_group(
                linear(scatter_to_group(x, -1, layer.group), layer.weight) + layer.bias * (place(layer.group)[0] == 0),
                layer.group,
            )
        ),
    },
    "SwiGLU": {
        "no communication": mlp(alone),
        "p times the first partial": mlp(tp_1_only),
        "weights gathered": mlp(gathered_weights),
        "detached": mlp(detached),
        "a seed of zero": mlp(two_matmuls, draw=own_seed_of_zero),
        "no f": mlp(lambda m, x: reduce_from_group(alone(m, x), m.group)),
        "plain all_reduce": mlp(lambda m, x: plain_sum(alone(m, copy_to_group(x, m.group)), m.group)),
        "two f": mlp(
            lambda m, x: reduce_from_group(
                linear(
                    silu(linear(copy_to_group(x, m.group), m.gate_up.chunk(2)[0]))
                    * linear(copy_to_group(x, m.group), m.gate_up.chunk(2)[1]),
                    m.down,
                ),
                m.group,
            )
        ),
    },
    "mlp_ledger": {
        "the page's example": lambda *sizes: [("all_reduce", 128), ("all_reduce", 128)],
        "nothing": lambda *sizes: [],
        "tp 1 forgotten": lambda tokens, hidden, ffn, tp, fs, gathered: (
            walked(tokens, hidden, ffn, 2, fs, gathered)
            if not gathered
            else walked(tokens, hidden, ffn, tp, fs, gathered)
        ),
        "never gathered": lambda tokens, hidden, ffn, tp, fs, gathered: walked(tokens, hidden, ffn, tp, fs, False),
        "tp 2 always": lambda tokens, hidden, ffn, tp, fs, gathered: walked(
            tokens, hidden, ffn, min(tp, 2), fs, gathered
        ),
        "ops alone": lambda *sizes: [(op, 0) for op, _ in walked(*sizes)],
    },
}

RIGHT = {
    "init_shard": {"tensor_split": by_tensor_split, "a list of sizes": by_sizes, "index_select": by_index},
    "ColumnLinear": {
        "einsum and a bias": column(
            lambda layer, x: torch.einsum("...i,oi->...o", copy_to_group(x, layer.group), layer.weight) + layer.bias
        ),
        "f by hand, async": column(
            lambda layer, x: linear(SummedBackward.apply(x, layer.group), layer.weight, layer.bias), by_sizes
        ),
        "functional f": column(
            lambda layer, x: linear(FunctionalBackward.apply(x, layer.group), layer.weight, layer.bias)
        ),
        "a hook": column(lambda layer, x: linear(hooked(x, layer.group), layer.weight, layer.bias)),
    },
    "RowLinear": {
        "by hand": row(scattered_by_hand),
        "early at one rank": row(
            lambda layer, x: (
                scattered_by_hand(layer, x) if place(layer.group)[1] > 1 else linear(x, layer.weight, layer.bias)
            )
        ),
        "from the shelf": lambda i, o, group: RowParallelLinear(i, o, input_is_parallel=False, group=group),
        "matmul": row(
            lambda layer, x: (
                reduce_from_group(scatter_to_group(x, dim=x.ndim - 1, group=layer.group) @ layer.weight.mT, layer.group)
                + layer.bias[None]
            )
        ),
    },
    "SwiGLU": {"two matmuls": mlp(two_matmuls), "unflatten": mlp(by_unflatten), "a hook, einsum": mlp(hooked_mlp)},
    "mlp_ledger": {"lists, forward again": walked, "a loop, in fractions": appended, "generator": yielded},
}


# --- The unsharded computation -------------------------------------------------------------------------------------


def own_group(case: Case) -> list[list[int]]:
    """For each rank, its group."""
    groups = case.args[3] if isinstance(case.args[0], int) else case.args[1]
    layout = [list(range(case.tp))] if groups is None else [list(ranks) for ranks in groups]
    return [next(ranks for ranks in layout if rank in ranks) for rank in range(case.tp)]


def oracle_init_shard(case: Case) -> dict:
    in_features, out_features, cut, _, seed = case.args
    torch.manual_seed(seed)
    dense = nn.Linear(in_features, out_features, dtype=torch.float64).requires_grad_(False)
    shards = []
    for rank, ranks in enumerate(own_group(case)):
        k, p = ranks.index(rank), len(ranks)
        weight = dense.weight.tensor_split(p, 0 if cut == "outputs" else 1)[k]
        shards.append([weight, dense.bias.tensor_split(p)[k] if cut == "outputs" else dense.bias])
    return {"forward": shards, "ledger": []}


def oracle_layer(case: Case, layer: str) -> dict:
    (inputs, outputs), _, seed, xs, dys = case.args
    seen = {"weights": [], "forward": [], "gradient": []}
    for rank, ranks in enumerate(own_group(case)):
        k, p = ranks.index(rank), len(ranks)
        torch.manual_seed(seed)
        x = xs.values[rank][0].clone().requires_grad_()
        dense = nn.Linear(inputs, outputs, dtype=torch.float64)
        dim = 0 if layer == "column" else 1
        cut = {"weight": (p, dim), "bias": (p, 0) if layer == "column" else (1, 0)}
        seen["weights"].append(
            {n: t.detach().clone().tensor_split(*cut[n])[k % cut[n][0]] for n, t in dense.named_parameters()}
        )
        with torch.no_grad():
            dense.bias.mul_(20)
        y = dense(x)
        dy = torch.cat([dys.values[r] for r in ranks], -1) if layer == "column" else dys.values[rank]
        y.backward(dy)
        seen["forward"].append(y.detach().tensor_split(p, -1)[k] if layer == "column" else y.detach())
        parameters = {n: t.grad.tensor_split(*cut[n])[k % cut[n][0]] for n, t in dense.named_parameters()}
        seen["gradient"].append({"inputs": [x.grad], "parameters": parameters})
    return seen


def oracle_mlp(case: Case) -> dict:
    (hidden, ffn), _, seed, xs, dys = case.args
    seen = {"weights": [], "forward": [], "gradient": []}
    for rank, ranks in enumerate(own_group(case)):
        k, p = ranks.index(rank), len(ranks)
        torch.manual_seed(seed)
        layers = [nn.Linear(*sizes, dtype=torch.float64) for sizes in ((hidden, ffn), (hidden, ffn), (ffn, hidden))]
        gate, up, down = (layer.weight for layer in layers)
        x = xs.values[rank][0].clone().requires_grad_()
        y = (silu(x @ gate.T) * (x @ up.T)) @ down.T
        y.backward(dys.values[rank])
        of_rank = [
            {"gate_up": torch.cat([g.tensor_split(p)[k], u.tensor_split(p)[k]]), "down": d.tensor_split(p, 1)[k]}
            for g, u, d in ((gate.detach(), up.detach(), down.detach()), (gate.grad, up.grad, down.grad))
        ]
        seen["weights"].append(of_rank[0])
        seen["forward"].append(y.detach())
        seen["gradient"].append({"inputs": [x.grad], "parameters": of_rank[1]})
    return seen


def oracle_ledger(case: Case) -> dict:
    """Counted from what the collectives are: one for each f, for g, for the gather and for the cut's way back."""
    tokens, hidden, ffn, tp, fs, gathered = case.args
    if tp == 1:
        return {"forward": []}
    y, shard = ["all_reduce", 4 * tokens * hidden], ["all_gather", 4 * tokens * ffn // tp]
    way_there = [shard, y] if gathered else [y]
    way_back = [shard] + [y] * fs if gathered else [y] * fs
    return {"forward": way_there + way_back}


ORACLES = {
    "init_shard": oracle_init_shard,
    "ColumnLinear": partial(oracle_layer, layer="column"),
    "RowLinear": partial(oracle_layer, layer="row"),
    "SwiGLU": oracle_mlp,
    "mlp_ledger": oracle_ledger,
}
