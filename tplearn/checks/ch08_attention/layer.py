"""Exercise 08.3: the attention layer on its own heads, with a norm on q and k of which every rank has a copy."""

from torch import Generator, Tensor

from tplearn.checks.ch08_attention.attention import Steps
from tplearn.checks.ch08_attention.attention_inside import INSIDE
from tplearn.checks.ch08_attention.attention_sent import SENT
from tplearn.checks.ch08_attention.drive import layer_and_gradient
from tplearn.checks.ch08_attention.inputs import BATCH, HIDDEN, LAYOUTS, layer_shards, tables
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.ranks import per_rank


def tp_attention(x: Tensor, qkv_shard: Tensor, o_shard: Tensor, norm: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, seq, hidden]; qkv_shard: [(q + 2·kv)·d, hidden]; o_shard: [hidden, q·d]; norm: [2, d] → as x."""
    return Steps()(x, qkv_shard, o_shard, norm, cos, sin)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for layout in LAYOUTS:
        qkv_shards, o_shards = layer_shards(generator, layout)
        tokens = pick(generator, 5, 7)
        x, norm = randn(generator, BATCH, tokens, HIDDEN), 1 + randn(generator, 2, layout.head_dim) / 2
        cos_sin = tables(generator, tokens, layout.head_dim)
        cases.append(Case(layout.tp, (x, per_rank(qkv_shards), per_rank(o_shards), norm, *cos_sin), label=layout.label))
    return cases


TP_ATTENTION = Exercise(
    number="08.3",
    name="tp_attention",
    points=15,
    difficulty=3,
    minutes=20,
    reference=tp_attention,
    cases=_cases,
    observe=layer_and_gradient,
    ranks=True,
    mutants=(*SENT, *INSIDE),
)
