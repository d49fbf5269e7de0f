"""Exercise 11.6: a block that carries the residual apart and leaves its MLP's partial to the next block's norm."""

from torch import Generator, Tensor

from tplearn.checks.ch11_llama_block.fused_mutants import MUTANTS
from tplearn.checks.ch11_llama_block.parts import HIDDEN, Weights, attention, mlp, norm, weights
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick, randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.parallel import copy_to_group, reduce_from_group
from tplearn.ranks import per_rank


def fused_block(partial: Tensor, residual: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """partial: [batch, seq, hidden], P; residual: the same shape, R; w: this rank's weights → the same two, later."""
    x = residual + reduce_from_group(partial)
    h = x + reduce_from_group(attention(copy_to_group(norm(x, w["norm_1"])), w))
    return mlp(copy_to_group(norm(h, w["norm_2"])), w), h


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        shape = 2, pick(generator, 3, 7), HIDDEN
        partials, residual = one_each(tp, generator, *shape), randn(generator, *shape)
        residuals = per_rank([residual.clone() for _ in range(tp)])
        cases.append(Case(tp, (per_rank(partials), residuals, per_rank(weights(generator, tp)))))
    return cases


FUSED_BLOCK = Exercise(
    number="11.6",
    name="fused_block",
    points=15,
    difficulty=3,
    minutes=15,
    reference=fused_block,
    cases=_cases,
    observe=forward_and_gradient,
    ranks=True,
    mutants=MUTANTS,
)
