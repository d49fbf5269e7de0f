"""Exercise 02.3: a layer cut by its outputs ends in an all-gather."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from tplearn.checks.ch02_column_row.inputs import SIZES, activations, copies, features
from tplearn.checks.ch02_column_row.wrong import NO_WIRE, RANK_0_X, output_shards
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import WithLedger, forward_and_gradient
from tplearn.simulated import Ledger, all_gather, all_reduce, split

Shards = list[Tensor]


def column_parallel(xs: Shards, weight_shards: Shards, bias_shards: Shards, ledger: Ledger) -> Shards:
    """xs[r]: [batch, tokens, in]; weight_shards[r]: [out/p, in]; bias_shards[r]: [out/p] → p copies of Y."""
    return all_gather(output_shards(xs, weight_shards, bias_shards), -1, ledger=ledger)


def column_cases(generator: Generator) -> list[Case]:
    """One layer on each tp, cut by its outputs; every rank has its own copy of x."""
    cases = []
    for tp in SIZES:
        out_features, in_features = features(generator, tp)
        x, weight = activations(generator, in_features), randn(generator, out_features, in_features)
        bias = 1 + randn(generator, out_features)
        cases.append(Case(tp, (copies(x, tp), split(weight, tp, 0), split(bias, tp, 0))))
    return cases


def _ending_in(ending: Callable[[Shards, Ledger], Shards]) -> Callable[..., Shards]:
    """The layer with another ending: right up to the finished shards of Y."""

    def answer(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
        return ending(output_shards(xs, weights, biases), ledger)

    return answer


def _padded(finished: Shards, ledger: Ledger) -> Shards:
    p, width = len(finished), finished[0].shape[-1]
    wide = [pad(y, (rank * width, (p - 1 - rank) * width)) for rank, y in enumerate(finished)]
    return all_reduce(wide, ledger=ledger)


def _weights_gathered(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    whole = all_gather(weights, 0, ledger=ledger), all_gather(biases, 0, ledger=ledger)
    return output_shards(xs, *whole)


def _bias_gathered(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    products = all_gather([x @ w.T for x, w in zip(xs, weights, strict=True)], -1, ledger=ledger)
    return [y + b for y, b in zip(products, all_gather(biases, 0, ledger=ledger), strict=True)]


def _no_bias(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return all_gather([x @ w.T for x, w in zip(xs, weights, strict=True)], -1, ledger=ledger)


def _not_transposed(xs: Shards, weights: Shards, biases: Shards, ledger: Ledger) -> Shards:
    return all_gather([x @ w + b for x, w, b in zip(xs, weights, biases, strict=True)], -1, ledger=ledger)


COLUMN_PARALLEL = Exercise(
    number="02.3",
    name="column_parallel",
    points=10,
    difficulty=1,
    minutes=9,
    reference=column_parallel,
    cases=column_cases,
    observe=WithLedger(forward_and_gradient),
    mutants=(
        Mutant(
            "sum for gather",
            _ending_in(lambda shards, ledger: all_reduce(shards, ledger=ledger)),
            "You summed what the ranks computed. Each rank has other outputs, and they are finished: a sum adds "
            "unrelated columns of Y, and the result is out/tp wide.",
            "the shape of your result: all outputs must be there, side by side.",
        ),
        Mutant(
            "joined along the tokens",
            _ending_in(lambda shards, ledger: all_gather(shards, 1, ledger=ledger)),
            "You joined along dim 1. In the chapter x was a matrix, and its outputs were dim 1; here dim 1 is the "
            "tokens. The shards differ in their outputs, the last dimension: dim -1 in both.",
            "the dim of the all_gather.",
        ),
        Mutant(
            "joined along the batch",
            _ending_in(lambda shards, ledger: all_gather(shards, 0, ledger=ledger)),
            "You joined along dim 0, the batch. The shards differ in their outputs, so they belong side by side along "
            "the last dimension.",
            "the dim of the all_gather.",
        ),
        Mutant(
            "never gathered",
            _ending_in(lambda shards, ledger: shards),
            "Each rank kept its own shard of Y. The shards are right, but the task asks for all of Y on every rank, "
            "and for that something must cross between ranks: this is the all-gather.",
            "what rank 0 knows about the outputs of rank 1.",
        ),
        Mutant(
            "no collective",
            _ending_in(lambda shards, ledger: [torch.cat(shards, -1) for _ in shards]),
            NO_WIRE,
            "all_gather(shards, -1, ledger=ledger).",
        ),
        Mutant(
            "padded and summed",
            _ending_in(_padded),
            "The result is right, and it took an all-reduce of mostly zeros. It works, because a sum of shards that "
            "are padded to full width is their concatenation, and it moves more bytes.",
            "the collective that puts finished shards side by side.",
        ),
        Mutant(
            "weights gathered",
            _weights_gathered,
            "The result is right and cost too much: you gathered the weights, and every rank computed all of Y. The "
            "point of the cut is that weights stay where they are, and each rank computes its own outputs.",
            "what is handed to all_gather: outputs, not weights.",
        ),
        Mutant(
            "bias gathered",
            _bias_gathered,
            "The result is right, with one collective too many: you gathered the bias, too. Each rank can add its "
            "shard of the bias to its own outputs before the gather.",
            "where bias_shards[rank] enters.",
        ),
        Mutant(
            "rank 0's x",
            lambda xs, weights, biases, ledger: column_parallel([xs[0]] * len(xs), weights, biases, ledger),
            RANK_0_X,
            "the index of xs inside your loop.",
        ),
        Mutant(
            "rank 0's shard everywhere",
            lambda xs, weights, biases, ledger: column_parallel(
                xs, [weights[0]] * len(xs), [biases[0]] * len(xs), ledger
            ),
            "Every rank computed with rank 0's shards, so Y repeats its first out/tp columns. At tp = 1 that cannot be "
            "seen. Real weight loaders have had this bug.",
            "the index of the shard inside your loop.",
        ),
        Mutant(
            "rank 0's bias everywhere",
            lambda xs, weights, biases, ledger: column_parallel(xs, weights, [biases[0]] * len(xs), ledger),
            "Every rank added rank 0's shard of the bias. An output's bias lives where the output lives.",
            "the index of bias_shards inside your loop.",
        ),
        Mutant(
            "rank 0's bias alone",
            lambda xs, weights, biases, ledger: column_parallel(
                xs, weights, [biases[0], *map(torch.zeros_like, biases[1:])], ledger
            ),
            "Only rank 0 added its shard of the bias. Nothing is summed here: each rank adds its own shard.",
            "the condition before the bias.",
        ),
        Mutant(
            "bias after the gather",
            lambda xs, weights, biases, ledger: [
                y + b for y, b in zip(_no_bias(xs, weights, biases, ledger), biases, strict=True)
            ],
            "You added a rank's shard of the bias to all of Y: the shard has out/tp numbers, and Y has out. Each rank "
            "adds its shard to its own outputs, before the gather.",
            "where bias_shards[rank] enters.",
        ),
        Mutant(
            "x summed",
            lambda xs, weights, biases, ledger: column_parallel(all_reduce(xs, ledger), weights, biases, ledger),
            "You all-reduced x. Every rank has all of x already, the same numbers: their sum is tp · x.",
            "the first collective: there is none before the matmul.",
        ),
        Mutant(
            "bias forgotten",
            _no_bias,
            "Your result lacks the bias. In column parallel the bias is cut like the outputs, and each rank adds its "
            "shard to its own outputs: nothing is counted twice.",
            "where bias_shards[rank] enters.",
        ),
        Mutant(
            "not transposed",
            _not_transposed,
            "A weight shard is [out/tp, in], nn.Linear's layout, and x is [batch, tokens, in]. Their product needs the "
            "transpose: x @ weight.T.",
            "the two shapes that meet at the @.",
        ),
    ),
)
