"""Exercise 03.4: the gradient of an MLP's input, by hand: it too is a sum over ranks."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from tplearn.checks.ch03_mlp.inputs import SIZES, TOKENS, sizes
from tplearn.checks.ch03_mlp.wrong import Ending, Shards, summed, wrong_endings
from tplearn.checks.exercise import Case, Exercise, mutants_of
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def mlp_backward_input(
    grad_output: Tensor, inner_shards: Shards, up_shards: Shards, down_shards: Shards, ledger: Ledger
) -> Shards:
    """grad_output: [tokens, hidden]; inner_shards[r]: [tokens, ffn/p], before the relu → p of [tokens, hidden]."""
    return _backward(grad_output, inner_shards, up_shards, down_shards, ledger)


def backward_cases(generator: Generator) -> list[Case]:
    """One relu MLP on each tp: what its forward pass saved, and the gradient that arrives at its output.

    One token is all zeros, and one row of up on each rank: where the inner layer is exactly 0, relu lets nothing back.
    """
    cases = []
    for tp in SIZES:
        hidden, ffn = sizes(generator, tp)
        x, up, down = (randn(generator, *shape) for shape in ((TOKENS, hidden), (ffn, hidden), (hidden, ffn)))
        x[1], up[:: ffn // tp] = 0.0, 0.0
        grad_output = randn(generator, TOKENS, hidden)
        cases.append(Case(tp, (grad_output, split(x @ up.T, tp, 1), split(up, tp, 0), split(down, tp, 1))))
    return cases


MASKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "": lambda grad, h: grad * (h > 0),
    "no mask": lambda grad, h: grad,
    "open at zero": lambda grad, h: grad * (h >= 0),
    "relu of the gradient": lambda grad, h: grad.clamp(min=0),
    "mask of the gradient": lambda grad, h: grad * (grad > 0) * (h > 0),
    "times relu(inner)": lambda grad, h: grad * h.clamp(min=0),
    "times the inner layer": lambda grad, h: grad * h,
    "sign": lambda grad, h: grad * h.sign(),
    "mask turned over": lambda grad, h: grad * (h < 0),
    "mask turned over, zeros too": lambda grad, h: grad * (h <= 0),
}


def _backward(
    grad: Tensor,
    inners: Shards,
    ups: Shards,
    downs: Shards,
    ledger: Ledger,
    wrong: str = "",
    ending: Ending = summed,
) -> Shards:
    """The backward pass with one thing `wrong`, or with another ending."""
    p = len(ups)
    mask = MASKS.get(wrong, MASKS[""])
    if wrong == "rank 0's shards":
        inners, ups, downs = [inners[0]] * p, [ups[0]] * p, [downs[0]] * p
    if wrong == "down transposed":
        downs = [down.T for down in downs]
    if wrong == "up transposed":
        ups = [up.T for up in ups]
    grads = [mask(grad @ down, h) for h, down in zip(inners, downs, strict=True)]  # [tokens, ffn/p]
    if wrong == "summed in between":
        grads = all_reduce(grads, ledger=ledger)
    if wrong.startswith("inner gradient gathered"):
        whole_up = all_gather(ups, 0, ledger=ledger) if wrong.endswith("and up") else [torch.cat(ups)] * p
        return [h @ up for h, up in zip(all_gather(grads, 1, ledger=ledger), whole_up, strict=True)]
    if wrong == "residual":
        return [dx + grad for dx in ending([h @ up for h, up in zip(grads, ups, strict=True)], ledger)]
    return ending([h @ up for h, up in zip(grads, ups, strict=True)], ledger)


def _ending_in(ending: Ending) -> Callable[..., Shards]:
    return lambda *args, ledger: _backward(*args, ledger, ending=ending)


MLP_BACKWARD_INPUT = Exercise(
    number="03.4",
    name="mlp_backward_input",
    points=10,
    difficulty=3,
    minutes=15,
    reference=mlp_backward_input,
    cases=backward_cases,
    observe=WithLedger(forward),
    mutants=(
        *wrong_endings(_ending_in, "dx"),
        *mutants_of(
            _backward,
            (
                "no mask",
                "The gradient went straight through the relu. Where the number that went forward was not positive, "
                "relu put out zero, and no gradient comes back through it.",
                "(inner > 0), between down and up.",
            ),
            (
                "open at zero",
                "Your mask lets the gradient pass where the number that went forward was exactly 0. torch takes the "
                "derivative of relu at 0 to be 0: the mask is inner > 0.",
                ">= in the mask.",
            ),
            (
                "relu of the gradient",
                "You cut off the negative gradients. What counts is the sign of the number that went forward, not "
                "the sign of the gradient that comes back.",
                "inner_shards[rank]: where it enters.",
            ),
            (
                "mask of the gradient",
                "You masked rightly by inner > 0, and cut off negative gradients as well. A gradient of either sign "
                "passes.",
                "the second mask.",
            ),
            (
                "times relu(inner)",
                "You multiplied by relu(inner). The derivative of relu is 0 or 1, the mask inner > 0.",
                "what multiplies grad_output @ down.",
            ),
            (
                "times the inner layer",
                "You multiplied by the inner layer itself. The derivative of relu is 0 or 1, the mask inner > 0.",
                "what multiplies grad_output @ down.",
            ),
            (
                "sign",
                "You multiplied by the sign of the inner layer: where it is negative, the gradient came back negated. "
                "There relu is flat, and nothing comes back.",
                "inner > 0 instead of the sign.",
            ),
            (
                "mask turned over",
                "Your gradient passes where the inner layer was negative. relu lets a number through where it is "
                "positive.",
                "the < in the mask.",
            ),
            (
                "summed in between",
                "You all-reduced the gradient of the inner layer. The ranks hold shards of it: different columns, "
                "finished. Their sum means nothing. Only what comes out of up is a partial.",
                "the all_reduce between down and up: there is none.",
            ),
            (
                "mask turned over, zeros too",
                "Your gradient passes where the inner layer was 0 or negative. relu lets a number through where it is "
                "positive.",
                "the <= in the mask.",
            ),
            (
                "inner gradient gathered and up",
                "The result is right and cost too much: you gathered the inner layer's gradient and up. Each rank "
                "goes back through its own shard of up, and only dx is summed.",
                "the two all_gathers.",
            ),
            (
                "inner gradient gathered",
                "The result is right and cost too much: you gathered the inner layer's gradient, and every rank went "
                "back through all of up. It has its own shard of up only, and that fits its shard of the gradient.",
                "what crosses: dx, and nothing before it.",
            ),
            (
                "down transposed",
                "You transposed down. The forward pass multiplied by downᵀ; its backward multiplies by down as it is: "
                "[tokens, hidden] @ [hidden, ffn/p].",
                "the two shapes that meet at the first @.",
            ),
            (
                "up transposed",
                "You transposed up. The forward pass multiplied by upᵀ; its backward multiplies by up as it is: "
                "[tokens, ffn/p] @ [ffn/p, hidden].",
                "the two shapes that meet at the second @.",
            ),
            (
                "residual",
                "You added grad_output to dx. That is the way back around an MLP with a residual; here y is the MLP "
                "alone.",
                "the last addition.",
            ),
            (
                "rank 0's shards",
                "Every rank went back through rank 0's shards. The sum is then tp times rank 0's partial.",
                "the index of the shards inside your loop.",
            ),
        ),
    ),
)
