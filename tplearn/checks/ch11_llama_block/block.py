"""Exercise 11.2: Gemma 2's block: a norm before and a norm after each half, with f and g between norms and cuts."""

from torch import Generator, Tensor

from tplearn.checks.ch11_llama_block.block_mutants import MUTANTS
from tplearn.checks.ch11_llama_block.parts import HIDDEN, NORMS, Weights, attention, mlp, norm, weights
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.checks.live import with_upstream
from tplearn.parallel import copy_to_group, reduce_from_group
from tplearn.ranks import per_rank


def tp_block(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden], the same on every rank; w: this rank's weights → as x."""
    h = x + norm(reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w)), w["post_1"])
    return h + norm(reduce_from_group(mlp(copy_to_group(norm(h, w["norm_2"])), w)), w["post_2"])


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        tokens = pick(generator, 3, 7)
        x, upstream = ([randn(generator, 2, tokens, HIDDEN)] * tp for _ in range(2))
        shards = weights(generator, tp, (*NORMS, "post_1", "post_2"))
        cases.append(Case(tp, (per_rank(upstream), per_rank(x), per_rank(shards))))
    return cases


TP_BLOCK = Exercise(
    number="11.2",
    name="tp_block",
    points=15,
    difficulty=2,
    minutes=15,
    reference=tp_block,
    cases=_cases,
    observe=with_upstream,
    ranks=True,
    mutants=MUTANTS,
)
