"""Exercise 07.4: a SwiGLU MLP in a group, gate and up in one weight, for one all-reduce forward and one backward."""

from functools import partial

import torch
from torch.nn.functional import gelu, silu

from tplearn.checks.ch07_mlp_on_gloo import mlp, steps
from tplearn.checks.ch07_mlp_on_gloo.drive import layer_in_group
from tplearn.checks.ch07_mlp_on_gloo.inputs import LAYOUTS, layer_case
from tplearn.checks.ch07_mlp_on_gloo.mlp import SwiGLU, SwiGLUWith
from tplearn.checks.ch07_mlp_on_gloo.swiglu_weights import WEIGHTS
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import pick
from tplearn.parallel import copy_to_group, gather_from_group, reduce_from_group, scatter_to_group


def _cases(generator: torch.Generator) -> list[Case]:
    """ffn comes out even: 12, 24 or 36. hidden does not have to."""
    return [
        layer_case(generator, tp, groups, (hidden, pick(generator, 1, 3, 12)), hidden)
        for tp, groups in LAYOUTS
        for hidden in [pick(generator, 5, 8)]
    ]


SWIGLU = Exercise(
    number="07.4",
    name="SwiGLU",
    points=15,
    difficulty=3,
    minutes=15,
    reference=SwiGLU,
    cases=_cases,
    observe=layer_in_group,
    ranks=True,
    mutants=(
        Mutant(
            "one f for gate and one for up",
            partial(SwiGLUWith, enter=(copy_to_group, copy_to_group)),
            "Every number is right, but the ledger shows 2 all-reduces backward where 1 is due. gate and up each have "
            "an f of their own, so each sums a gradient of its own over the ranks. Both read the same x: with one f, "
            "autograd adds the two on the rank first, for nothing, and the sum travels once.",
            "the calls of copy_to_group: one, before gate and up.",
        ),
        Mutant(
            "no f",
            partial(SwiGLUWith, enter=(steps.keep, steps.keep)),
            "The forward is right, and the ledger is too short: nothing runs in the backward pass. dx is then one "
            "rank's partial, and everything below this MLP trains on it.",
            "what x passes through first: copy_to_group.",
        ),
        Mutant(
            "a sum both ways",
            partial(SwiGLUWith, enter=(steps.keep,), leave=steps.summed_both_ways),
            "The forward is right. But there is no f, and your g sums on the way back too, as the all_reduce of "
            "torch.distributed.nn does. Every rank has the same gradient of y: their sum is p times that, so the "
            "gradients of the weights are p times too large; and dx is p times this rank's part of it.",
            "reduce_from_group after down, whose backward sends nothing, and copy_to_group on x.",
        ),
        Mutant(
            "f for gate only",
            partial(SwiGLUWith, enter=(copy_to_group, steps.keep)),
            "Only gate reads x through f. What comes back through gate is summed over the ranks, what comes through "
            "up is not. The ledger looks right, 1 and 1, and dx is wrong: a count of collectives alone proves no "
            "gradient.",
            "the x that up reads: the one that came out of copy_to_group.",
        ),
        Mutant(
            "f for up only",
            partial(SwiGLUWith, enter=(steps.keep, copy_to_group)),
            "Only up reads x through f. What comes back through up is summed over the ranks, what comes through gate "
            "is not. The ledger looks right, 1 and 1, and dx is wrong: a count of collectives alone proves no "
            "gradient.",
            "the x that gate reads: the one that came out of copy_to_group.",
        ),
        Mutant(
            "f after the activation",
            partial(SwiGLUWith, enter=(steps.keep,), middle=copy_to_group),
            "Your f stands between the activation and down. It sums the gradients of different columns there, of which "
            "each belongs to one rank, so the gradients of the weights are wrong as well. x is what every rank reads: "
            "f stands before gate and up.",
            "the place of copy_to_group: on x.",
        ),
        Mutant(
            "f after gate and up",
            partial(SwiGLUWith, enter=(steps.keep,), after_matmul=copy_to_group),
            "Your f stands after the matmul of gate and up, and sums the gradients of different columns, of which "
            "each belongs to one rank. x is what every rank reads: f stands before gate and up.",
            "the place of copy_to_group: on x, before the matmul.",
        ),
        Mutant(
            "no g",
            partial(SwiGLUWith, leave=steps.keep),
            "Each rank returns its own partial. down's products have the full shape, but only their sum over the "
            "ranks is y.",
            "what comes after down: reduce_from_group.",
        ),
        Mutant(
            "g before down",
            partial(SwiGLUWith, middle=reduce_from_group, leave=steps.keep),
            "Your g stands before down. It adds up different columns of the activations, which are not partials: each "
            "is finished. What down makes of them is a partial.",
            "the place of reduce_from_group: after down.",
        ),
        Mutant(
            "over the world",
            partial(SwiGLUWith, leave=steps.over_the_world(reduce_from_group)),
            "Your g sums over all ranks of the world, so the partials of other groups, which have another x, come "
            "into y too. With one group alone that cannot be seen.",
            "reduce_from_group(…, group).",
        ),
        Mutant(
            "f over the world",
            partial(SwiGLUWith, enter=(steps.over_the_world(copy_to_group),) * 2),
            "Your f sums dx over all ranks of the world. Another group has another x: the sum runs over this group.",
            "copy_to_group(x, group).",
        ),
        Mutant(
            "group ignored",
            mlp.of_the_world,
            "You never used the group: the MLP is cut over all ranks, and summed over all of them. In a world of two "
            "groups each rank then holds too small a shard, and adds up partials of different inputs.",
            "group, in init_shard, copy_to_group and reduce_from_group.",
        ),
        Mutant(
            "mean for sum on the way back",
            partial(SwiGLUWith, enter=(steps.mean_gradient,)),
            "Your dx is divided by p. The ranks' gradients of x come through other columns each: they add up.",
            "the division in the backward pass.",
        ),
        Mutant(
            "plain all_reduce",
            partial(SwiGLUWith, leave=steps.plain_all_reduce),
            "The numbers are right, by luck: autograd does not know dist.all_reduce, and sends the gradient on as if "
            "no sum had happened. Here that is what is due. torch warns of it, and may change it "
            "(pytorch/pytorch#121587).",
            "reduce_from_group, which is an autograd Function.",
        ),
        Mutant(
            "gathered in the middle",
            partial(SwiGLUWith, middle=lambda h, group: scatter_to_group(gather_from_group(h, -1, group), -1, group)),
            "The numbers are right, but the activations were gathered and cut again: an all-gather of the widest "
            "tensor there is, forward and backward. down wants its input cut, and cut is how it arrives.",
            "what stands between the activation and down: nothing.",
        ),
        Mutant(
            "silu on up",
            partial(SwiGLUWith, activate=lambda gate, up: gate * silu(up)),
            "silu went over up, and gate was left as it is. It is the other way round: silu(gate(x)) · up(x).",
            "which half of the product is gate: the first.",
        ),
        Mutant(
            "gate and up read in turn",
            partial(SwiGLUWith, after_matmul=mlp.read_in_turn),
            "You took every other column for gate. The weight has all rows of gate first, so the result has all of "
            "gate's columns first: chunk(2, dim=-1).",
            "how the result of the matmul is taken apart.",
        ),
        Mutant(
            "sigmoid",
            partial(SwiGLUWith, activate=lambda gate, up: torch.sigmoid(gate) * up),
            "Your activation is sigmoid. silu(z) is z · sigmoid(z).",
            "the activation.",
        ),
        Mutant(
            "gelu",
            partial(SwiGLUWith, activate=lambda gate, up: gelu(gate) * up),
            "Your activation is gelu: that would be GeGLU. SwiGLU takes silu.",
            "the activation.",
        ),
        Mutant(
            "silu over the product",
            partial(SwiGLUWith, activate=lambda gate, up: silu(gate * up)),
            "silu went over the whole product. It is silu(gate(x)) · up(x).",
            "the brackets.",
        ),
        *WEIGHTS,
    ),
)
