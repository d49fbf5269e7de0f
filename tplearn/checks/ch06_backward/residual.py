"""Exercise 06.6: f and g at the right two places of an MLP with a residual, whose shards are given."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import silu

from tplearn.checks.ch06_backward.inputs import same, summed
from tplearn.checks.ch06_backward.observe import through_autograd
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each, randn
from tplearn.parallel import copy_to_group as f
from tplearn.parallel import reduce_from_group as g
from tplearn.ranks import per_rank


def residual_mlp(x: Tensor, gate_shard: Tensor, up_shard: Tensor, down_shard: Tensor, bias: Tensor) -> Tensor:
    """x: [tokens, hidden]; gate, up: [ffn/p, hidden]; down: [hidden, ffn/p]; bias: [hidden] → [tokens, hidden]."""
    h = f(x)
    part = (silu(h @ gate_shard.T) * (h @ up_shard.T)) @ down_shard.T
    return x + g(part) + bias


def _cases(generator: torch.Generator) -> list[Case]:
    cases = []
    for tp in (1, 2, 3, 4):
        x, bias, upstream = randn(generator, 5, 6), randn(generator, 6), randn(generator, 5, 6)
        gates, ups, downs = (one_each(tp, generator, *shape) for shape in ((4, 6), (4, 6), (6, 4)))
        shards = [[x, *own, bias] for own in zip(gates, ups, downs, strict=True)]
        cases.append(Case(tp, (per_rank(shards), upstream)))
    return cases


def _variant(
    into: Callable[[Tensor], Tensor] = f,
    out: Callable[[Tensor], Tensor] = g,
    *,
    around: Callable[[Tensor], Tensor] = same,
) -> Callable[..., Tensor]:
    """The MLP with other functions in the two places, and one `around` x before the residual branches off."""

    def answer(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
        x = around(x)
        h = into(x)
        return x + out((silu(h @ gate.T) * (h @ up.T)) @ down.T) + bias

    return answer


def _one_f_per_layer(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    return x + g((silu(f(x) @ gate.T) * (f(x) @ up.T)) @ down.T) + bias


def _bias_before_the_sum(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    h = f(x)
    return x + g((silu(h @ gate.T) * (h @ up.T)) @ down.T + bias)


def _residual_before_the_sum(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, bias: Tensor) -> Tensor:
    h = f(x)
    return g(x + (silu(h @ gate.T) * (h @ up.T)) @ down.T) + bias


RESIDUAL_MLP = Exercise(
    number="06.6",
    name="residual_mlp",
    points=15,
    difficulty=3,
    minutes=15,
    reference=residual_mlp,
    cases=_cases,
    observe=through_autograd,
    ranks=True,
    mutants=(
        Mutant(
            "f missing",
            _variant(into=same),
            "The result and all weight gradients are right, but x's gradient holds only what your own columns send "
            "back. x goes into every rank's columns: without f nobody adds the parts up, and each rank goes on with "
            "another gradient.",
            "where x enters gate and up.",
        ),
        Mutant(
            "one f per column layer",
            _one_f_per_layer,
            "All numbers are right, and the backward pass has two all-reduces, where one is due. gate and up read the "
            "same x: put it through f once, and let both use it. Autograd adds their gradients up at home, before the "
            "wire.",
            "the ledger of the backward pass; how often f is called.",
        ),
        Mutant(
            "f before the branch",
            _variant(into=same, around=f),
            "The residual goes through f too. Its gradient is the same on every rank, and f summed it: x's gradient "
            "has tp times the residual's share. f belongs to the branch that enters the shards, and to it alone.",
            "x + ...: which x.",
        ),
        Mutant(
            "g missing",
            _variant(out=same),
            "Every rank returns its own part of the MLP. down is cut by its inputs, so its result is a summand, and "
            "the sum over ranks is due.",
            "after down.",
        ),
        Mutant(
            "residual before g",
            _residual_before_the_sum,
            "The residual went into the sum, once from every rank: your result has tp · x where x is due. Add it after "
            "g.",
            "what stands inside g.",
        ),
        Mutant(
            "bias before g",
            _bias_before_the_sum,
            "Every rank added the bias before the sum, so it was counted tp times. Add it after g.",
            "what stands inside g.",
        ),
        Mutant(
            "f and g swapped",
            _variant(into=g, out=f),
            "f and g have changed places. g at the entry sums p copies of x, so the shards see tp · x; f at the exit "
            "leaves the summands as they are.",
            "f where the copy goes in, g where the summands come out.",
        ),
        Mutant(
            "plain all_reduce for g",
            _variant(out=summed),
            "The numbers are right by luck: autograd does not know dist.all_reduce and sends the gradient on as if "
            "nothing had happened. torch warns of it (pytorch/pytorch#121587). g says what its backward is.",
            "what sums after down.",
        ),
    ),
)
