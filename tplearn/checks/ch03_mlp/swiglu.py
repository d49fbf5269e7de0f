"""Exercise 03.3: two of Llama's MLPs side by side, y = Σ down(silu(gate(x)) · up(x)), with one all-reduce for both."""

from torch import Generator, Tensor
from torch.nn.functional import silu

from tplearn.checks.ch02_column_row.inputs import copies
from tplearn.checks.ch03_mlp.gate_up import fuse
from tplearn.checks.ch03_mlp.inputs import SIZES, TOKENS, sizes
from tplearn.checks.ch03_mlp.swiglu_wrong import MUTANTS, Experts
from tplearn.checks.ch03_mlp.wrong import Shards
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_reduce, split


def tp_swiglu(xs: Shards, gate_up_shards: Experts, down_shards: Experts, ledger: Ledger) -> Shards:
    """xs[r]: [tokens, hidden]; gate_up_shards[r][e]: [2·ffn_e/p, hidden], gate rows above up rows;
    down_shards[r][e]: [hidden, ffn_e/p] → p of [tokens, hidden]."""
    partials = [
        sum(_expert(x, gate_up, down) for gate_up, down in zip(gate_ups, downs, strict=True))
        for x, gate_ups, downs in zip(xs, gate_up_shards, down_shards, strict=True)
    ]
    return all_reduce(partials, ledger=ledger)


def _expert(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    gate, up = (x @ gate_up.T).chunk(2, dim=-1)
    return (silu(gate) * up) @ down.T


def swiglu_cases(generator: Generator) -> list[Case]:
    """Two MLPs of different ffn on each tp; every rank has its own x."""
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator, tp)
        widths = [ffn, ffn + 2 * tp]
        x = randn(generator, TOKENS, hidden)
        fused = [fuse(randn(generator, width, hidden), randn(generator, width, hidden), tp) for width in widths]
        downs = [split(randn(generator, hidden, width), tp, 1) for width in widths]
        by_rank = [[[expert[rank] for expert in shards] for rank in range(tp)] for shards in (fused, downs)]
        cases.append(Case(tp, (copies(x, tp), *by_rank)))
    return cases


TP_SWIGLU = Exercise(
    number="03.3",
    name="tp_swiglu",
    points=10,
    difficulty=2,
    minutes=12,
    reference=tp_swiglu,
    cases=swiglu_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=MUTANTS,
)
