"""Exercise 03.2: an MLP with GELU and biases: column, activation on the shards, row, one all-reduce, one bias."""

from torch import Generator
from torch.nn.functional import gelu

from tplearn.checks.ch02_column_row.inputs import copies
from tplearn.checks.ch03_mlp.gelu_wrong import MUTANTS
from tplearn.checks.ch03_mlp.inputs import SIZES, TOKENS, sizes
from tplearn.checks.ch03_mlp.wrong import Shards
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_reduce, split


def tp_mlp(
    xs: Shards, up_shards: Shards, up_biases: Shards, down_shards: Shards, down_biases: Shards, ledger: Ledger
) -> Shards:
    """xs[r]: [tokens, hidden]; up_shards[r]: [ffn/p, hidden]; up_biases[r]: [ffn/p]; down_shards[r]: [hidden, ffn/p];
    down_biases[r]: [hidden], a copy each → p of [tokens, hidden]."""
    shards = zip(xs, up_shards, up_biases, down_shards, strict=True)
    partials = [gelu(x @ up.T + bias) @ down.T for x, up, bias, down in shards]
    return [y + bias for y, bias in zip(all_reduce(partials, ledger=ledger), down_biases, strict=True)]


def mlp_cases(generator: Generator) -> list[Case]:
    """One MLP on each tp; every rank has its own x and its own bias of down."""
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator, tp)
        x, up, down = (randn(generator, *shape) for shape in ((TOKENS, hidden), (ffn, hidden), (hidden, ffn)))
        up_bias, down_bias = 1 + randn(generator, ffn), 1 + randn(generator, hidden)
        weights = split(up, tp, 0), split(up_bias, tp, 0), split(down, tp, 1), copies(down_bias, tp)
        cases.append(Case(tp, (copies(x, tp), *weights)))
    return cases


TP_MLP = Exercise(
    number="03.2",
    name="tp_mlp",
    points=10,
    difficulty=2,
    minutes=12,
    reference=tp_mlp,
    cases=mlp_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=MUTANTS,
)
