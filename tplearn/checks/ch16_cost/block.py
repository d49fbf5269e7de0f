"""Exercise 16.3: the FLOPs of one Llama block on one rank, forward."""

from torch import Generator

from tplearn.checks.ch01_why_split.inputs import SIZES, kv_kinds, kv_label, shape_for
from tplearn.checks.ch16_cost.block_mutants import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick
from tplearn.planning.models import ModelShape


def block_flops(shape: ModelShape, batch: int, seq: int, tp: int, causal: bool) -> int:
    """FLOPs of one rank of tp in one block, forward: matrix products alone, a multiply and an add are two."""
    heads, kv_heads = shape.num_attention_heads // tp, max(1, shape.num_key_value_heads // tp)
    q, kv = heads * shape.head_dim, kv_heads * shape.head_dim
    weights = shape.hidden_size * (2 * q + 2 * kv + 3 * (shape.intermediate_size // tp))
    pairs = seq * (seq + 1) // 2 if causal else seq * seq  # of a query and a key
    scores = 2 * batch * pairs * q  # q·k, and the sum of values
    return 2 * (batch * seq * weights + scores)


def _cases(generator: Generator) -> list[Case]:
    """KV heads cut and copied, with all pairs of tokens and with the causal half; no two sizes are the same."""
    cases = []
    for tp in SIZES:
        for copied in kv_kinds(tp):
            for causal in (False, True):
                shape = shape_for(generator, tp, copied=copied)
                while causal and not copied and shape.num_key_value_heads == tp:  # more than one of them on a rank
                    shape = shape_for(generator, tp)
                batch, seq = pick(generator, 2, 5), pick(generator, 30, 50)
                label = f"{kv_label(copied)}, {'the causal half' if causal else 'all pairs'}"
                cases.append(Case(tp, (shape, batch, seq, tp, causal), label=label))
    return cases


BLOCK_FLOPS = Exercise(
    number="16.3",
    name="block_flops",
    points=10,
    difficulty=2,
    minutes=14,
    reference=block_flops,
    cases=_cases,
    mutants=MUTANTS,
    ready=("tplearn.planning.flops",),
)
