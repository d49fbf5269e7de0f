"""What can go wrong in a layer with experts: the mutants of 03.3."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import gelu, sigmoid, silu

from tplearn.checks.ch02_column_row.wrong import RANK_0_X
from tplearn.checks.ch03_mlp.wrong import X_SUMMED, Ending, Shards, summed, wrong_endings
from tplearn.checks.exercise import mutants_of
from tplearn.simulated import Ledger, all_gather, all_reduce, split

Experts = list[Shards]  # of rank r: one shard for each expert

MIDDLES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "": lambda gate, up: silu(gate) * up,
    "gate and up swapped": lambda gate, up: gate * silu(up),
    "silu of the product": lambda gate, up: silu(gate * up),
    "silu on both": lambda gate, up: silu(gate) * silu(up),
    "silu of the result": lambda gate, up: silu(silu(gate) * up),
    "added": lambda gate, up: silu(gate) + up,
    "sigmoid": lambda gate, up: sigmoid(gate) * up,
    "gelu": lambda gate, up: gelu(gate) * up,
    "no silu": lambda gate, up: gate * up,
}


def _experts(
    xs: Shards, gate_ups: Experts, downs: Experts, ledger: Ledger, wrong: str = "", ending: Ending = summed
) -> Shards:
    """The experts' sum with one thing `wrong`, or with another ending."""
    if wrong == "rank 0's x":
        xs = [xs[0]] * len(xs)
    if wrong == "x summed":
        xs = all_reduce(xs, ledger=ledger)
    if wrong == "one after the other":
        for e in range(len(gate_ups[0])):
            xs = ending(_partials(xs, gate_ups, downs, e, ledger, wrong), ledger)
        return xs
    if wrong == "experts joined":
        gate_ups = [[torch.cat(of_rank)] for of_rank in gate_ups]
        downs = [[torch.cat(of_rank, -1)] for of_rank in downs]
    if wrong == "rank 0's shards":
        gate_ups, downs = [gate_ups[0]] * len(xs), [downs[0]] * len(xs)
    experts = range(len(gate_ups[0]))
    partials = [_partials(xs, gate_ups, downs, e, ledger, wrong) for e in experts]  # partials[expert][rank]
    if wrong == "one all-reduce each":
        return [sum(ys) for ys in zip(*(ending(of_expert, ledger) for of_expert in partials), strict=True)]
    chosen = {"first only": partials[:1], "last only": partials[-1:]}.get(wrong, partials)
    together = {
        "experts multiplied": lambda of_rank: torch.stack(of_rank).prod(0),
        "experts side by side": lambda of_rank: torch.cat(of_rank, -1),
    }.get(wrong, sum)
    sums = [together(of_rank) for of_rank in zip(*chosen, strict=True)]
    if wrong == "residual":
        return [x + y for x, y in zip(xs, ending(sums, ledger), strict=True)]
    return ending([y / len(experts) for y in sums] if wrong == "experts averaged" else sums, ledger)


def _partials(xs: Shards, gate_ups: Experts, downs: Experts, e: int, ledger: Ledger, wrong: str) -> Shards:
    """Each rank's partial of expert e."""
    hidden = [x @ shards[e].T for x, shards in zip(xs, gate_ups, strict=True)]  # [tokens, 2·ffn/p]
    middle = MIDDLES.get(wrong, MIDDLES[""])
    if wrong == "gathered, then halved":
        wholes = [middle(*h.chunk(2, dim=-1)) for h in all_gather(hidden, -1, ledger=ledger)]
        inner = [split(whole, len(xs), 1)[rank] for rank, whole in enumerate(wholes)]
    elif wrong == "every other column":
        inner = [middle(h[:, 0::2], h[:, 1::2]) for h in hidden]
    else:
        inner = [middle(*h.chunk(2, dim=-1)) for h in hidden]
    return [h @ shards[e].T for h, shards in zip(inner, downs, strict=True)]


def _ending_in(ending: Ending) -> Callable[..., Shards]:
    return lambda *args, ledger: _experts(*args, ledger, ending=ending)


MUTANTS = (
    *wrong_endings(_ending_in, "y"),
    *mutants_of(
        _experts,
        (
            "one all-reduce each",
            "The numbers are right, and you all-reduced once for each expert. A sum of sums is one sum: each rank "
            "adds its own partials first, and then one all-reduce is enough.",
            "what a rank can add up before anything is sent.",
        ),
        (
            "first only",
            "Your y is that of the first expert alone. It is the sum of all of them.",
            "the loop over experts.",
        ),
        (
            "last only",
            "Your y is that of the last expert alone. It is the sum of all of them.",
            "the loop over experts.",
        ),
        (
            "one after the other",
            "You fed the first expert's result to the second. The experts stand side by side: all of them read x, "
            "and their results are added.",
            "what the second expert reads.",
        ),
        ("experts averaged", "You averaged the experts. Their results are added.", "the division by their number."),
        (
            "experts multiplied",
            "You multiplied the experts' results. They are added.",
            "the operator between them.",
        ),
        (
            "experts side by side",
            "You put the experts' results side by side. Each has the shape of y already: they are added.",
            "the shape of your result.",
        ),
        (
            "experts joined",
            "You joined the rank's fused weights and cut the product in halves. The joined rows are gate₀ up₀ gate₁ "
            "up₁, of one expert and then of the next: the first half is not gate.",
            "gate and up of each expert by itself.",
        ),
        (
            "residual",
            "You added x to the result. A transformer's block does that; here y is the MLPs alone.",
            "the last addition.",
        ),
        (
            "rank 0's shards",
            "Every rank computed with rank 0's shards. The sum is then tp times rank 0's partial.",
            "the index of the shards inside your loop.",
        ),
        (
            "gate and up swapped",
            "You applied silu to up and multiplied by gate. The two have the same shape, so nothing complains. In "
            "a fused shard gate lies above up: the first half of the columns of x @ shard.T is gate.",
            "which half goes through silu.",
        ),
        (
            "silu of the product",
            "You took silu(gate · up). In SwiGLU silu goes over the gate alone: silu(gate) · up.",
            "the brackets around silu.",
        ),
        (
            "silu on both",
            "silu went over gate and up: silu(gate) · silu(up). In SwiGLU it goes over gate alone: silu(gate) · up.",
            "what enters silu: cut the product in halves first.",
        ),
        (
            "silu of the result",
            "You applied silu twice: to the gate, and to its product with up.",
            "the outer silu.",
        ),
        ("added", "You added silu(gate) and up. The gate is a valve: it multiplies.", "the operator before up."),
        ("sigmoid", "You took sigmoid(gate) for silu(gate). silu(g) is g · sigmoid(g).", "the activation."),
        ("gelu", "You took gelu(gate). SwiGLU's activation is silu.", "the activation."),
        ("no silu", "There is no silu in your product of gate and up: silu(gate) · up is due.", "silu."),
        (
            "every other column",
            "You took every other column as gate. These shards hold gate as one block above up, so gate is the "
            "first half of the columns, not the even ones.",
            "how the shard was put together in 03.1.",
        ),
        (
            "gathered, then halved",
            "You gathered the fused products and cut the whole in halves. The gathered order is gate₀ up₀ gate₁ "
            "up₁, so the first half is not gate. And no gather is due: each rank has matching columns of gate and "
            "up.",
            "the all_gather: remove it.",
        ),
        X_SUMMED,
        ("rank 0's x", RANK_0_X, "the index of xs inside your loop."),
    ),
)
