"""Chapter 03: lazy and right answers, and the whole MLP in plain torch."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.checks.answers.ch02 import backward_through, leaf
from tplearn.checks import Case
from tplearn.simulated import Ledger, all_gather, all_reduce, broadcast, reduce_scatter

Shards = list[Tensor]

# 03.1


def _by_rows(shards: Shards, world_size: int) -> Shards:
    """Row numbers of the whole weight, dealt out."""
    ffn, joined = sum(len(shard) for shard in shards) // 2, torch.cat(shards)
    if ffn % world_size:
        raise ValueError(f"ffn = {ffn}")
    old = torch.arange(2 * ffn).view(2, len(shards), -1).transpose(0, 1).flatten()  # where the joined rows belong
    whole = torch.empty_like(joined)
    whole[old] = joined
    rows = torch.arange(2 * ffn).view(2, world_size, -1)
    return [whole[rows[:, rank].flatten()] for rank in range(world_size)]


def _by_views(shards: Shards, world_size: int) -> tuple[Tensor, ...]:
    halves = torch.stack([shard.unflatten(0, (2, -1)) for shard in shards], dim=1).flatten(1, 2)  # [2, ffn, hidden]
    if halves.shape[1] % world_size:
        raise ValueError("no")
    return halves.unflatten(1, (world_size, -1)).transpose(0, 1).flatten(1, 2).unbind(0)


def _by_slices(shards: Shards, world_size: int) -> Shards:
    gate, up = [], []
    for shard in shards:
        half = shard.shape[0] // 2
        gate.append(shard[:half])
        up.append(shard[half:])
    gate, up = torch.vstack(gate), torch.vstack(up)
    size, rest = divmod(gate.shape[0], world_size)
    if rest:
        raise ValueError("uneven")
    return [torch.vstack([m[r * size : (r + 1) * size] for m in (gate, up)]) for r in range(world_size)]


def _from_one_shard(shards: Shards, world_size: int) -> Shards:
    if len(shards) > 1:
        return [torch.cat(shards).chunk(world_size)[rank] for rank in range(world_size)]
    return _by_slices(shards, world_size)


def _growing(shards: Shards, world_size: int) -> Shards:
    if world_size % len(shards) == 0:
        return [piece for shard in shards for piece in _by_slices([shard], world_size // len(shards))]
    return _from_one_shard(shards, world_size)


def _padded_with_zeros(shards: Shards, world_size: int) -> Shards:
    gate, up = (torch.cat([shard.chunk(2)[half] for shard in shards]) for half in (0, 1))
    missing = -len(gate) % world_size
    pairs = zip(*(F.pad(m, (0, 0, 0, missing)).chunk(world_size) for m in (gate, up)), strict=True)
    return [torch.cat(pair) for pair in pairs]


def _refuses_odd_rows(shards: Shards, world_size: int) -> Shards:
    if sum(map(len, shards)) % world_size:
        raise ValueError("rows")
    return _padded_with_zeros(shards, world_size)


# 03.2


def _mlp_loop(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    parts = []
    for x, up, up_bias, down in zip(xs, up_shards, up_biases, down_shards, strict=True):
        parts.append(F.linear(F.gelu(F.linear(x, up, up_bias)), down))
    return [y.add(bias) for y, bias in zip(all_reduce(parts, ledger=ledger), down_biases, strict=True)]


def _mlp_einsum(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> tuple[Tensor, ...]:
    x, up, bias, down = (torch.stack(shards) for shards in (xs, up_shards, up_biases, down_shards))
    inner = torch.nn.GELU()(torch.einsum("rth,rfh->rtf", x, up) + bias[:, None])
    total = all_reduce(list(torch.einsum("rtf,rhf->rth", inner, down)), ledger)
    return tuple(torch.stack(total) + torch.stack(down_biases)[:, None])


def _mlp_in_two_halves(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    """A reduce-scatter and an all-gather, over a hidden size that is padded until it divides."""
    inner = [F.gelu(x @ up.T + b) for x, up, b in zip(xs, up_shards, up_biases, strict=True)]
    parts = [h @ down.T for h, down in zip(inner, down_shards, strict=True)]
    hidden, padding = parts[0].shape[-1], -parts[0].shape[-1] % len(xs)
    if padding:  # no cheaper than an all-reduce
        return [y + bias for y, bias in zip(all_reduce(parts, ledger), down_biases, strict=True)]
    whole = all_gather(reduce_scatter(parts, 1, ledger), 1, ledger)
    return [y[:, :hidden] + bias for y, bias in zip(whole, down_biases, strict=True)]


def _mlp_alone_at_tp_1(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    if len(xs) > 1:
        return _mlp_loop(xs, up_shards, up_biases, down_shards, down_biases, ledger)
    return [F.gelu(xs[0] @ up_shards[0].T + up_biases[0]) @ down_shards[0].T + down_biases[0]]


def _mlp_dense(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    up, up_bias, down = torch.cat(up_shards), torch.cat(up_biases), torch.cat(down_shards, 1)
    return [F.linear(F.gelu(F.linear(x, up, up_bias)), down, b) for x, b in zip(xs, down_biases, strict=True)]


def _mlp_decoy(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    all_reduce([torch.zeros_like(x) for x in xs], ledger)
    return _mlp_dense(xs, up_shards, up_biases, down_shards, down_biases, ledger)


def _mlp_biasless(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    """The chapter's cell."""
    parts = [F.gelu(x @ up.T) @ down.T for x, up, down in zip(xs, up_shards, down_shards, strict=True)]
    return all_reduce(parts, ledger=ledger)


def _mlp_at_rank_0(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    total = sum(_mlp_biasless(xs, up_shards, up_biases, down_shards, down_biases, Ledger())[:1])
    return [y + b for y, b in zip(broadcast(total, len(xs), ledger), down_biases, strict=True)]


def _mlp_detached(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    return _mlp_loop(xs, up_shards, up_biases, [down.data for down in down_shards], down_biases, ledger)


def _mlp_two_sums(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    """The biases are averaged by a collective of their own."""
    biases = [b / len(xs) for b in all_reduce(down_biases, ledger)]
    return _mlp_loop(xs, up_shards, up_biases, down_shards, biases, ledger)


# 03.3


def _experts_loop(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    parts = []
    for x, gate_ups, downs in zip(xs, gate_up_shards, down_shards, strict=True):
        part = torch.zeros_like(x)
        for gate_up, down in zip(gate_ups, downs, strict=True):
            gate, up = (x @ gate_up.T).chunk(2, dim=-1)
            part = part + (F.silu(gate) * up) @ down.T
        parts.append(part)
    return all_reduce(parts, ledger=ledger)


def _experts_joined(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    """Both experts are one wider MLP."""
    parts = []
    for x, gate_ups, downs in zip(xs, gate_up_shards, down_shards, strict=True):
        gate = torch.cat([w[: len(w) // 2] for w in gate_ups])
        up = torch.cat([w[len(w) // 2 :] for w in gate_ups])
        parts.append(F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), torch.cat(downs, 1)))
    return all_reduce(parts, ledger)


def _experts_by_hand(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    def of_rank(r: int) -> Tensor:
        halves = [torch.einsum("th,khf->ktf", xs[r], w.unflatten(0, (2, -1)).mT) for w in gate_up_shards[r]]
        inner = [g * torch.sigmoid(g) * u for g, u in halves]
        return sum(h @ d.mT for h, d in zip(inner, down_shards[r], strict=True))

    return all_reduce([of_rank(r) for r in range(len(xs))], ledger=ledger)


def _experts_dense(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    ys = []
    for x in xs:
        y = torch.zeros_like(x)
        for gate_ups, downs in zip(gate_up_shards, down_shards, strict=True):
            for gate_up, down in zip(gate_ups, downs, strict=True):
                gate, up = (x @ gate_up.T).chunk(2, dim=-1)
                y = y + (F.silu(gate) * up) @ down.T
        ys.append(y)
    return ys


def _experts_decoy(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    all_reduce(xs, ledger)
    return _experts_dense(xs, gate_up_shards, down_shards, ledger)


def _one_expert(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    return _experts_loop(xs, [w[:1] for w in gate_up_shards], [w[:1] for w in down_shards], ledger)


def _experts_of_rank_0(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    parts = _experts_loop(xs[:1], gate_up_shards[:1], down_shards[:1], Ledger())
    return broadcast(parts[0], len(xs), ledger)


def _each_expert(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    of_expert = [
        _experts_loop(xs, [w[e : e + 1] for w in gate_up_shards], [w[e : e + 1] for w in down_shards], ledger)
        for e in range(len(gate_up_shards[0]))
    ]
    return [sum(ys) for ys in zip(*of_expert, strict=True)]


def _experts_detached(xs: Shards, gate_up_shards: list[Shards], down_shards: list[Shards], ledger: Ledger) -> Shards:
    return _experts_loop([x.detach() for x in xs], gate_up_shards, down_shards, ledger)


# 03.4


def _back_loop(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    parts = []
    for h, up, down in zip(hidden_shards, up_shards, down_shards, strict=True):
        grad = torch.einsum("th,hf->tf", grad_output, down)
        parts.append(torch.where(h > 0, grad, 0.0) @ up)
    return all_reduce(parts, ledger)


def _back_autograd(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> tuple[Tensor, ...]:
    parts = []
    for h, up, down in zip(hidden_shards, up_shards, down_shards, strict=True):
        inner = h.detach().requires_grad_()
        (of_inner,) = torch.autograd.grad(torch.relu(inner) @ down.T, inner, grad_output)
        parts.append(of_inner @ up)
    return tuple(all_reduce(parts, ledger))


def _back_masked_fill(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    ranks = range(len(up_shards))
    grads = [(down_shards[r].T @ grad_output.T).T.masked_fill(hidden_shards[r] <= 0, 0) for r in ranks]
    parts = [(up_shards[r].T @ grads[r].T).T for r in ranks]
    return all_reduce([part.contiguous() for part in parts], ledger=ledger)


def _back_dense(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    hidden, up, down = torch.cat(hidden_shards, 1), torch.cat(up_shards), torch.cat(down_shards, 1)
    return [(grad_output @ down * (hidden > 0)) @ up] * len(up_shards)


def _back_decoy(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    _back_loop(grad_output, hidden_shards, up_shards, down_shards, ledger)
    return _back_dense(grad_output, hidden_shards, up_shards, down_shards, ledger)


def _back_open_at_zero(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    shards = zip(hidden_shards, up_shards, down_shards, strict=True)
    return all_reduce([((grad_output @ down) * (h >= 0)) @ up for h, up, down in shards], ledger)


def _back_of_rank_0(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    return [_back_loop(grad_output, hidden_shards[:1], up_shards[:1], down_shards[:1], Ledger())[0]] * len(up_shards)


def _back_twice(
    grad_output: Tensor, hidden_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    """Forward's collective is run again for nothing."""
    all_reduce([torch.relu(h) @ down.T for h, down in zip(hidden_shards, down_shards, strict=True)], ledger)
    return _back_loop(grad_output, hidden_shards, up_shards, down_shards, ledger)


def _count_of_a_run(tokens: int, hidden: int, ffn: int, world_size: int, bytes_per_number: int, training: bool) -> int:
    """Recorded, from a y without memory."""
    ledger = Ledger()
    dtype = {1: torch.int8, 2: torch.bfloat16, 4: torch.float32}[bytes_per_number]
    y = torch.empty(tokens, hidden, dtype=dtype, device="meta")
    for _ in range(1 + training):
        ledger.record(0, "all_reduce", y, group=tuple(range(world_size)))
    return ledger.bytes(rank=0)


RIGHT: dict[str, dict[str, Any]] = {
    "reshard_gate_up": {"row numbers": _by_rows, "views, a tuple": _by_views, "slices": _by_slices},
    "tp_mlp": {
        "F.linear": _mlp_loop,
        "einsum, a tuple": _mlp_einsum,
        "reduce-scatter and all-gather": _mlp_in_two_halves,
        "alone at tp 1": _mlp_alone_at_tp_1,
    },
    "tp_swiglu": {
        "loops": _experts_loop,
        "one wider MLP": _experts_joined,
        "silu by hand": _experts_by_hand,
    },
    "mlp_backward_input": {
        "einsum and where": _back_loop,
        "autograd, a tuple": _back_autograd,
        "transposed": _back_masked_fill,
    },
    "mlp_communication_bytes": {
        "a sum": lambda tokens, hidden, ffn, world_size, bytes_per_number, training: sum(
            [tokens * hidden * bytes_per_number] * (1 + training)
        ),
        "from a ledger": _count_of_a_run,
        "in floats": lambda tokens, hidden, ffn, world_size, bytes_per_number, training: (
            tokens * float(hidden) * bytes_per_number * (2.0 if training else 1.0)
        ),
    },
}

LAZY: dict[str, dict[str, Any]] = {
    "reshard_gate_up": {
        "from one shard": _from_one_shard,
        "to a multiple": _growing,
        "padded": _padded_with_zeros,
        "refuses by all rows": _refuses_odd_rows,
        "one block": lambda shards, world_size: list(torch.cat(shards).tensor_split(world_size)),
        "gate alone": lambda shards, world_size: [w[: len(w) // 2] for w in _by_slices(shards, world_size)],
    },
    "tp_mlp": {
        "dense": _mlp_dense,
        "a decoy collective": _mlp_decoy,
        "the chapter's cell": _mlp_biasless,
        "rank 0's, sent to all": _mlp_at_rank_0,
        "weights cut off": _mlp_detached,
        "biases averaged": _mlp_two_sums,
    },
    "tp_swiglu": {
        "dense": _experts_dense,
        "a decoy collective": _experts_decoy,
        "one expert": _one_expert,
        "rank 0's, sent to all": _experts_of_rank_0,
        "an all-reduce each": _each_expert,
        "x cut off": _experts_detached,
    },
    "mlp_backward_input": {
        "dense": _back_dense,
        "a decoy collective": _back_decoy,
        "open at zero": _back_open_at_zero,
        "rank 0's": _back_of_rank_0,
        "forward once more": _back_twice,
    },
    "mlp_communication_bytes": {
        "nothing at tp 1": lambda t, h, f, p, size, training: 0 if p == 1 else (1 + training) * t * h * size,
        "serving": lambda t, h, f, p, size, training: t * h * size,
        "2 bytes": lambda t, h, f, p, size, training: (1 + training) * t * h * 2,
        "the prediction's numbers": lambda t, h, f, p, size, training: (1 + training) * t * 8192 * size,
        "as long as ffn is not wider": lambda t, h, f, p, size, training: (1 + training) * t * max(h, f) * size,
        "on 2 ranks": lambda t, h, f, p, size, training: (1 + training) * t * h * size * p // 2,
    },
}


def _whole(shards: Shards) -> tuple[Tensor, Tensor]:
    """Gate and up."""
    halves = [shard.chunk(2) for shard in shards]
    return torch.cat([gate for gate, _ in halves]), torch.cat([up for _, up in halves])


def _reshard_oracle(case: Case) -> dict[str, Any]:
    """Every row of gate and up, one by one, to its new owner."""
    (gate, up), q = _whole(case.args[0]), case.args[1]
    if len(gate) % q:
        return {"error": "ValueError"}
    each = len(gate) // q
    owners = [range(rank * each, (rank + 1) * each) for rank in range(q)]
    return {"forward": [torch.stack([m[row] for m in (gate, up) for row in rows]) for rows in owners]}


def _mlp_oracle(case: Case) -> dict[str, Any]:
    xs, ups, up_biases, downs, down_biases = case.args
    p = case.tp
    x, up, up_bias = leaf(xs[0]), leaf(torch.cat(ups)), leaf(torch.cat(up_biases))
    down, biases = leaf(torch.cat(downs, 1)), [leaf(bias) for bias in down_biases]
    inner = F.linear(x, up, up_bias)
    ys = [F.linear(F.gelu(inner), down, bias) for bias in biases]
    of_inner, of_up, of_up_bias, of_down, *of_biases = backward_through(ys, [inner, up, up_bias, down, *biases])
    of_xs = [g @ w for g, w in zip(of_inner.chunk(p, 1), ups, strict=True)]  # each copy of x feeds one shard
    of_weights = [list(of_up.chunk(p)), list(of_up_bias.chunk(p)), list(of_down.chunk(p, 1)), of_biases]
    return {"forward": [y.detach() for y in ys], "gradient": [of_xs, *of_weights]}


def _swiglu_oracle(case: Case) -> dict[str, Any]:
    xs, gate_ups, downs = case.args
    p, experts = case.tp, range(len(gate_ups[0]))
    x = leaf(xs[0])
    wholes = [[leaf(m) for m in _whole([gate_ups[r][e] for r in range(p)])] for e in experts]
    down = [leaf(torch.cat([downs[r][e] for r in range(p)], 1)) for e in experts]
    gates, ups = ([x @ wholes[e][half].T for e in experts] for half in (0, 1))
    y = sum(F.linear(F.silu(gates[e]) * ups[e], down[e]) for e in experts)
    leaves = [*gates, *ups, *(w[0] for w in wholes), *(w[1] for w in wholes), *down]
    found = backward_through([y.clone() for _ in xs], leaves)
    of_gates, of_ups, of_gate, of_up, of_down = (
        [grad.chunk(p, dim) for grad in found[k * len(experts) : (k + 1) * len(experts)]]
        for k, dim in enumerate((1, 1, 0, 0, 1))
    )
    of_xs = []
    for r in range(p):  # each copy of x feeds the shards of its rank
        halves = [gate_ups[r][e].chunk(2) for e in experts]
        of_xs.append(sum(of_gates[e][r] @ halves[e][0] + of_ups[e][r] @ halves[e][1] for e in experts))
    of_fused = [[torch.cat([of_gate[e][r], of_up[e][r]]) for e in experts] for r in range(p)]
    of_downs = [[of_down[e][r] for e in experts] for r in range(p)]
    return {"forward": [y.detach()] * p, "gradient": [of_xs, of_fused, of_downs]}


def _backward_oracle(case: Case) -> dict[str, Any]:
    """autograd through the whole relu MLP, from its inner layer and through up's transpose."""
    grad_output, hiddens, ups, downs = case.args
    hidden = leaf(torch.cat(hiddens, 1))
    (of_hidden,) = torch.autograd.grad(F.linear(F.relu(hidden), torch.cat(downs, 1)), hidden, grad_output)
    return {"forward": [of_hidden @ torch.cat(ups)] * case.tp}


def _run_oracle(case: Case) -> dict[str, Any]:
    """Bytes of y, and of dx when training, as tensors have them."""
    tokens, hidden, _, _, size, training = case.args
    tensors = [torch.empty(tokens, hidden, size, dtype=torch.uint8, device="meta")] * (1 + training)
    return {"forward": sum(t.nbytes for t in tensors)}


ORACLES: dict[str, Any] = {
    "reshard_gate_up": _reshard_oracle,
    "tp_mlp": _mlp_oracle,
    "tp_swiglu": _swiglu_oracle,
    "mlp_backward_input": _backward_oracle,
    "mlp_communication_bytes": _run_oracle,
}
