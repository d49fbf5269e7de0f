"""What can go wrong in an MLP with GELU and biases: the mutants of 03.2."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import gelu, relu, silu

from tplearn.checks.ch02_column_row.wrong import RANK_0_X
from tplearn.checks.ch03_mlp.wrong import X_SUMMED, Ending, Shards, summed, wrong_endings
from tplearn.checks.exercise import mutants_of
from tplearn.simulated import Ledger, all_gather, all_reduce, split


def _mlp(
    xs: Shards,
    ups: Shards,
    up_biases: Shards,
    downs: Shards,
    down_biases: Shards,
    ledger: Ledger,
    wrong: str = "",
    ending: Ending = summed,
) -> Shards:
    """The MLP with one thing `wrong`, or with another ending."""
    p = len(xs)
    if wrong == "rank 0's x":
        xs = [xs[0]] * p
    if wrong == "x summed":
        xs = all_reduce(xs, ledger=ledger)
    if wrong == "rank 0's up bias":
        up_biases = [up_biases[0]] * p
    if wrong == "rank 0's shards":
        ups, up_biases, downs = [ups[0]] * p, [up_biases[0]] * p, [downs[0]] * p
    hidden = _hidden(xs, ups, up_biases, ledger, wrong)
    if wrong.startswith("inner layer"):
        whole = all_gather(hidden, 1, ledger=ledger)  # [tokens, ffn] on every rank
        downs = all_gather(downs, 1, ledger=ledger) if wrong.endswith("and down") else [torch.cat(downs, 1)] * p
        return [h @ down.T + bias for h, down, bias in zip(whole, downs, down_biases, strict=True)]
    partials = [h @ down.T for h, down in zip(hidden, downs, strict=True)]
    if wrong == "bias × tp":
        return ending([partial + bias for partial, bias in zip(partials, down_biases, strict=True)], ledger)
    if wrong == "bias / tp":
        return ending([partial + bias / p for partial, bias in zip(partials, down_biases, strict=True)], ledger)
    if wrong == "rank 0's bias for all":
        down_biases = [down_biases[0]] * p
    if wrong == "activation on the partials":
        partials = [gelu(partial) for partial in partials]
    ys = ending(partials, ledger)
    if wrong == "activation after the sum":
        ys = [gelu(y) for y in ys]
    if wrong in ("no bias of down", "no biases"):
        return ys
    ys = [y + bias for y, bias in zip(ys, down_biases, strict=True)]
    return [gelu(y) for y in ys] if wrong in ("activation at the very end", "activation twice") else ys


def _hidden(xs: Shards, ups: Shards, biases: Shards, ledger: Ledger, wrong: str) -> Shards:
    """Each rank's [tokens, ffn/p], after the activation."""
    products = [x @ up.T for x, up in zip(xs, ups, strict=True)]
    if wrong == "bias after the activation":
        return [gelu(h) + bias for h, bias in zip(products, biases, strict=True)]
    hidden = (
        products if wrong in ("no bias of up", "no biases") else [h + b for h, b in zip(products, biases, strict=True)]
    )
    if wrong == "two all-reduces":
        hidden = all_reduce(hidden, ledger=ledger)
    if wrong == "gathered in between":
        wholes = [gelu(h) for h in all_gather(hidden, 1, ledger=ledger)]  # [tokens, ffn] on every rank
        return [split(whole, len(ups), 1)[rank] for rank, whole in enumerate(wholes)]
    activation: dict[str, Callable[[Tensor], Tensor]] = {
        "tanh gelu": lambda h: gelu(h, approximate="tanh"),
        "relu": relu,
        "silu": silu,
        "no activation": lambda h: h,
        "activation on the partials": lambda h: h,
        "activation after the sum": lambda h: h,
        "activation at the very end": lambda h: h,
    }
    return [activation.get(wrong, gelu)(h) for h in hidden]


def _ending_in(ending: Ending) -> Callable[..., Shards]:
    return lambda *args, ledger: _mlp(*args, ledger, ending=ending)


MUTANTS = (
    *wrong_endings(_ending_in, "y"),
    *mutants_of(
        _mlp,
        (
            "gathered in between",
            "The numbers are right and the bill is not: you gathered the shards of the inner layer, applied gelu, "
            "and cut them again. Their numbers are finished, and gelu looks at one number at a time, so it may "
            "run on a shard.",
            "what the row-parallel half wants as its input.",
        ),
        (
            "two all-reduces",
            "You all-reduced after the first matmul as well. What the ranks hold there are shards: different "
            "columns, finished. Their sum means nothing. Only the second matmul leaves partials.",
            "the collective between the two matmuls: there is none.",
        ),
        (
            "activation after the sum",
            "gelu comes after the sum. It belongs between the two matmuls; without it there they are one matmul. "
            "Apply gelu to each rank's shard of the inner layer, before down.",
            "where gelu stands: before down, not after it.",
        ),
        (
            "activation at the very end",
            "gelu comes last, after the sum and the bias. It belongs between the two matmuls. Apply gelu to "
            "each rank's shard of the inner layer.",
            "where gelu stands: before down, not after it.",
        ),
        (
            "activation on the partials",
            "gelu was applied to each rank's partial, before the sum. gelu(a) + gelu(b) is not gelu(a + b). It "
            "belongs between the matmuls, on each rank's shard of the inner layer.",
            "whether what enters gelu is finished or is still to be summed.",
        ),
        (
            "no activation",
            "There is no activation at all. Two matmuls in a row are one matmul.",
            "gelu.",
        ),
        (
            "tanh gelu",
            "You used the tanh approximation of gelu. It is off by up to 0.0005, which float64 sees at once. The "
            "exercise asks for the exact one, the default of torch.nn.functional.gelu.",
            "approximate='tanh'.",
        ),
        ("relu", "Your activation is relu. The exercise asks for gelu.", "the activation."),
        ("silu", "Your activation is silu. The exercise asks for gelu.", "the activation."),
        (
            "activation twice",
            "You applied gelu twice: between the matmuls, where it belongs, and once more to the result.",
            "the last gelu.",
        ),
        (
            "inner layer gathered and down",
            "The numbers are right and the bill is not: you gathered the inner layer and the shards of down, and every "
            "rank computed all of y. Each rank can multiply its shard of the one with its shard of the other.",
            "what crosses: neither the inner layer nor a weight.",
        ),
        (
            "inner layer gathered",
            "The numbers are right and the bill is not: you gathered the inner layer, and every rank multiplied it "
            "with all of down. It has only its own shard, and that fits its shard of the inner layer.",
            "what crosses: not the inner layer.",
        ),
        (
            "no biases",
            "There are no biases in your MLP. The chapter's had none; here up has one, cut as its outputs are, and "
            "down has one, added once after the sum.",
            "up_biases[rank] and down_biases[rank].",
        ),
        (
            "bias × tp",
            "Your result minus the right one is (tp − 1) · the bias of down. It is in your result tp "
            "times. Where it is added before the all-reduce, every rank's copy is summed with the rest.",
            "where down_biases[rank] enters: after the all-reduce.",
        ),
        (
            "bias / tp",
            "The numbers are right and the gradient is not. A tp-th of every rank's down bias went into every "
            "result: each copy learns from all ranks' results, divided by tp, and not from its own.",
            "add the whole bias once, after the sum: each rank its own copy.",
        ),
        (
            "rank 0's bias for all",
            "The numbers are right, but only rank 0's copy of the down bias was used. It gets every rank's "
            "gradient and the other copies get none: after one training step the copies differ.",
            "whose bias rank 1 adds.",
        ),
        ("no bias of down", "The bias of down is missing. It is added once, after the sum.", "down_biases[rank]."),
        ("no bias of up", "The bias of up is missing. It is cut as up's outputs are.", "up_biases[rank]."),
        (
            "bias after the activation",
            "You added the bias of up after gelu. It belongs to the first layer, x · upᵀ + bias, and gelu comes after.",
            "the brackets around gelu's argument.",
        ),
        (
            "rank 0's up bias",
            "Every rank added rank 0's shard of the up bias. Rank r's outputs have rank r's bias.",
            "the index of up_biases inside your loop.",
        ),
        (
            "rank 0's shards",
            "Every rank computed with rank 0's shards. The sum is then tp times rank 0's partial.",
            "the index of the shards inside your loop.",
        ),
        X_SUMMED,
        ("rank 0's x", RANK_0_X, "the index of xs inside your loop."),
    ),
)
