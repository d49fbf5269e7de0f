"""Exercise 03.3: Llama's MLP, down(silu(gate(x)) · up(x)), from fused shards."""

from collections.abc import Callable

from torch import Generator, Tensor
from torch.nn.functional import silu

from tplearn.checks.ch03_mlp.gate_up import split_gate_up
from tplearn.checks.ch03_mlp.inputs import (
    NO_WIRE,
    SIZES,
    TOKENS,
    Ending,
    averaged,
    kept,
    sizes,
    summed,
    summed_twice,
    unrecorded_sum,
)
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def tp_swiglu(x: Tensor, gate_up_shards: list[Tensor], down_shards: list[Tensor], ledger: Ledger) -> list[Tensor]:
    """x: [tokens, hidden]; gate_up_shards[r]: [2·ffn/p, hidden]; down_shards[r]: [hidden, ffn/p] → p of x's shape."""
    return _ending_in(summed)(x, gate_up_shards, down_shards, ledger=ledger)


def swiglu_cases(generator: Generator) -> list[Case]:
    """One SwiGLU MLP on each tp."""
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator)
        x, gate_up, down = (randn(generator, *shape) for shape in ((TOKENS, hidden), (2 * ffn, hidden), (hidden, ffn)))
        cases.append(Case(tp, (x, split_gate_up(gate_up, tp), split(down, tp, 1))))
    return cases


def _ending_in(ending: Ending) -> Callable[..., list[Tensor]]:
    """The MLP with another ending: right up to the summands."""

    def answer(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
        parts = []
        for gate_up, down in zip(gate_ups, downs, strict=True):
            gate, up = (x @ gate_up.T).chunk(2, dim=-1)  # [tokens, 2·ffn/p] -> twice [tokens, ffn/p]
            parts.append((silu(gate) * up) @ down.T)
        return ending(parts, ledger)

    return answer


def _swapped(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    halves = [(x @ gate_up.T).chunk(2, dim=-1) for gate_up in gate_ups]
    parts = [(gate * silu(up)) @ down.T for (gate, up), down in zip(halves, downs, strict=True)]
    return all_reduce(parts, ledger=ledger)


def _silu_of_product(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    halves = [(x @ gate_up.T).chunk(2, dim=-1) for gate_up in gate_ups]
    parts = [silu(gate * up) @ down.T for (gate, up), down in zip(halves, downs, strict=True)]
    return all_reduce(parts, ledger=ledger)


def _added(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    halves = [(x @ gate_up.T).chunk(2, dim=-1) for gate_up in gate_ups]
    parts = [(silu(gate) + up) @ down.T for (gate, up), down in zip(halves, downs, strict=True)]
    return all_reduce(parts, ledger=ledger)


def _every_other(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    hidden = [x @ gate_up.T for gate_up in gate_ups]
    parts = [(silu(h[:, 0::2]) * h[:, 1::2]) @ down.T for h, down in zip(hidden, downs, strict=True)]
    return all_reduce(parts, ledger=ledger)


def _gathered_then_halved(x: Tensor, gate_ups: list[Tensor], downs: list[Tensor], ledger: Ledger) -> list[Tensor]:
    parts = []
    for rank, whole in enumerate(all_gather([x @ gate_up.T for gate_up in gate_ups], 1, ledger=ledger)):
        gate, up = whole.chunk(2, dim=-1)  # [tokens, 2·ffn] -> twice [tokens, ffn]: halves of the ranks, not of the MLP
        parts.append(split(silu(gate) * up, len(downs), 1)[rank] @ downs[rank].T)
    return all_reduce(parts, ledger=ledger)


TP_SWIGLU = Exercise(
    number="03.3",
    name="tp_swiglu",
    points=10,
    difficulty=2,
    minutes=12,
    reference=tp_swiglu,
    cases=swiglu_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=(
        Mutant(
            "gate and up swapped",
            _swapped,
            "You applied silu to up and multiplied by gate. The two have the same shape, so nothing complains. In a "
            "fused shard gate lies above up: the first half of the columns of x @ shard.T is gate.",
            "which half goes through silu.",
        ),
        Mutant(
            "silu of the product",
            _silu_of_product,
            "You took silu(gate · up). SwiGLU bends the gate alone: silu(gate) · up.",
            "the brackets around silu.",
        ),
        Mutant(
            "added for multiplied",
            _added,
            "You added silu(gate) and up. The gate is a valve: it multiplies.",
            "the operator between silu(gate) and up.",
        ),
        Mutant(
            "every other column",
            _every_other,
            "You took every other column as gate. These shards hold gate as one block above up, so gate is the first "
            "half of the columns, not the even ones.",
            "how the shard was put together in 03.1.",
        ),
        Mutant(
            "gathered, then halved",
            _gathered_then_halved,
            "You gathered the fused pieces and cut the whole in halves. The gathered order is gate₀ up₀ gate₁ up₁, "
            "so the first half is not gate. And no gather is due: each rank has matching columns of gate and up, and "
            "can multiply them alone.",
            "the all_gather: remove it.",
        ),
        Mutant(
            "summed twice",
            _ending_in(summed_twice),
            "Two all-reduces: the second one summed a result that was already whole, so it is tp times too large.",
            "the second all_reduce.",
        ),
        Mutant(
            "never summed",
            _ending_in(kept),
            "Each rank kept its own summand: the share of its ffn/tp hidden units. The all-reduce after down is "
            "missing.",
            "whether rank 0's result depends on rank 1's shards.",
        ),
        Mutant(
            "mean for sum",
            _ending_in(averaged),
            "You averaged the summands: the result is tp times too small.",
            "the division by the number of ranks.",
        ),
        Mutant("sum without a collective", _ending_in(unrecorded_sum), NO_WIRE, "all_reduce(parts, ledger=ledger)."),
    ),
)
