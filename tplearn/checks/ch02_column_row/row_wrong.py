"""What can go wrong in a layer that is cut by its inputs: the mutants of 02.4."""

from collections.abc import Callable

from torch import Tensor

from tplearn.checks.ch02_column_row.wrong import NO_WIRE, products
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ledger, all_gather, all_reduce, reduce_scatter

Shards = list[Tensor]


def _ending_in(ending: Callable[[Shards, Shards, Ledger], Shards]) -> Callable[..., Shards]:
    """The layer with another ending: right up to the partials."""

    def answer(x_shards: Shards, weight_shards: Shards, biases: Shards, ledger: Ledger) -> Shards:
        return ending(products(x_shards, weight_shards), biases, ledger)

    return answer


def _each(tensors: Shards, biases: Shards) -> Shards:
    return [y + bias for y, bias in zip(tensors, biases, strict=True)]


def _summed(tensors: Shards, ledger: Ledger) -> Shards:
    return all_reduce(tensors, ledger=ledger)


def _gathered_and_summed(partials: Shards, biases: Shards, ledger: Ledger) -> Shards:
    stacks = all_gather([partial[None] for partial in partials], 0, ledger=ledger)  # p of [p, batch, tokens, out]
    return _each([stack.sum(0) for stack in stacks], biases)


_right = _ending_in(lambda partials, biases, ledger: _each(_summed(partials, ledger), biases))


def _as_wide_as_rank_0(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    width = xs[0].shape[-1]
    return _right([x[..., :width] for x in xs], [weight[:, :width] for weight in weights], biases, ledger)


MUTANTS = (
    Mutant(
        "bias × tp",
        _ending_in(lambda partials, biases, ledger: _summed(_each(partials, biases), ledger)),
        "Your result minus the truth is (tp − 1) · bias. The bias is in it tp times. Where it is added before "
        "the all-reduce, every rank's copy is summed with the rest. At tp = 1 that cannot be seen, which is why "
        "one-rank tests pass.",
        "where the bias enters, before or after the all-reduce.",
    ),
    Mutant(
        "bias / tp",
        _ending_in(
            lambda partials, biases, ledger: _summed(_each(partials, [b / len(biases) for b in biases]), ledger)
        ),
        "The numbers are right and the gradient is not. A tp-th of every rank's bias went into every result, so "
        "each copy of the bias learns from all ranks' results, divided by tp, and not from its own. On real ranks "
        "the bias then learns tp times too slowly.",
        "add the whole bias once, after the sum: each rank its own copy.",
    ),
    Mutant(
        "rank 0's bias for all",
        _ending_in(lambda partials, biases, ledger: [y + biases[0] for y in _summed(partials, ledger)]),
        "The numbers are right, but only rank 0's copy of the bias was used. It gets every rank's gradient and "
        "the other copies get none: after one training step the copies differ.",
        "whose bias rank 1 adds.",
    ),
    Mutant(
        "gather for sum",
        _ending_in(lambda partials, biases, ledger: _each(all_gather(partials, -1, ledger=ledger), biases)),
        "You put the products side by side: what you have is tp · out wide, and the bias does not fit it. Each "
        "product has all outputs already. It is a partial: the products are added.",
        "the shape of one rank's product, against the shape of Y.",
    ),
    Mutant(
        "gather for sum, bias repeated",
        _ending_in(
            lambda partials, biases, ledger: _each(
                all_gather(partials, -1, ledger=ledger), [b.repeat(len(biases)) for b in biases]
            )
        ),
        "You put the products side by side, and your result is tp · out wide. Each product has all outputs "
        "already, but of its own inputs alone. It is a partial: the products are added.",
        "the shape of one rank's product, against the shape of Y.",
    ),
    Mutant(
        "gathered, then summed",
        _ending_in(_gathered_and_summed),
        "The result is right and cost too much: you gathered every rank's partial and added them up yourself. An "
        "all-reduce gives the same sum, and above two ranks it sends less.",
        "all_reduce(partials, ledger=ledger).",
    ),
    Mutant(
        "never summed",
        _ending_in(lambda partials, biases, ledger: _each(partials, biases)),
        "Each rank kept its own product. It has the right shape, which is what makes this bug hard to see, but "
        "it is a partial, of this rank's inputs alone. What is missing is the all-reduce.",
        "whether rank 0's result depends on rank 1's shard of x.",
    ),
    Mutant(
        "no collective",
        _ending_in(lambda partials, biases, ledger: _each([sum(partials)] * len(partials), biases)),
        NO_WIRE,
        "all_reduce(partials, ledger=ledger).",
    ),
    Mutant(
        "mean for sum",
        _ending_in(
            lambda partials, biases, ledger: _each([y / len(partials) for y in _summed(partials, ledger)], biases)
        ),
        "You averaged the products. Averaging is for the gradients of data parallel copies. Here each rank holds "
        "a partial of one sum, so what you add the bias to is tp times too small.",
        "the division by the number of ranks.",
    ),
    Mutant(
        "summed twice",
        _ending_in(lambda partials, biases, ledger: _each(_summed(_summed(partials, ledger), ledger), biases)),
        "You all-reduced twice. After the first all-reduce every rank has the whole sum; the second one makes it "
        "tp times too large.",
        "the second all_reduce.",
    ),
    Mutant(
        "all of it summed again",
        _ending_in(lambda partials, biases, ledger: _summed(_each(_summed(partials, ledger), biases), ledger)),
        "Your result is exactly tp times the right one: it was right, and you all-reduced it once more.",
        "the last all_reduce.",
    ),
    Mutant(
        "last rank's bias for all",
        _ending_in(lambda partials, biases, ledger: [y + biases[-1] for y in _summed(partials, ledger)]),
        "The numbers are right, but only the last rank's copy of the bias was used. It gets every rank's gradient "
        "and the other copies get none: after one training step the copies differ.",
        "whose bias rank 0 adds.",
    ),
    Mutant(
        "stacked on the batch",
        _ending_in(lambda partials, biases, ledger: _each(all_gather(partials, 0, ledger=ledger), biases)),
        "You put the products one after the other along dim 0, the batch. Each product is a partial of every "
        "token of the batch: the products are added.",
        "the shape of one rank's product, against the shape of Y.",
    ),
    Mutant(
        "reduce-scatter for all-reduce",
        _ending_in(lambda partials, biases, ledger: _each(reduce_scatter(partials, -1, ledger=ledger), biases)),
        "A reduce-scatter leaves each rank a shard of the sum, and the bias does not fit it. Asked is all of Y on "
        "every rank: an all-reduce.",
        "the collective.",
    ),
    Mutant(
        "as wide as rank 0's",
        _as_wide_as_rank_0,
        "You took from every rank as many inputs as rank 0 has. The cut need not be even: the last inputs of wider "
        "shards never reached the sum.",
        "the width that you slice by: each shard has its own.",
    ),
    Mutant(
        "not transposed",
        lambda xs, weights, biases, ledger: _right(xs, [w.T for w in weights], biases, ledger),
        "A weight shard is [out, in_r], nn.Linear's layout, and x is [batch, tokens, in_r]. Their product needs "
        "the transpose: x @ weight.T.",
        "the two shapes that meet at the @.",
    ),
    Mutant(
        "bias forgotten",
        _ending_in(lambda partials, biases, ledger: _summed(partials, ledger)),
        "The sum is right, but the bias never entered it. Each rank adds its own copy once, when the sum is done.",
        "where biases[rank] is used.",
    ),
    Mutant(
        "rank 0's product everywhere",
        _ending_in(lambda partials, biases, ledger: _each([partials[0]] * len(partials), biases)),
        "Every rank has rank 0's product: the partial of rank 0's inputs alone. The partials of all ranks are summed.",
        "what becomes of the products of ranks 1 and above.",
    ),
)
