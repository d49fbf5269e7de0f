"""Exercise 02.3: a layer cut by its outputs ends in a concatenation."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import SIZES, each, pieces, two_sizes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.simulated import split


def column_parallel(x: Tensor, weight_shards: list[Tensor], bias_shards: list[Tensor]) -> list[Tensor]:
    """x: [batch, in]; weight_shards[r]: [out/p, in]; bias_shards[r]: [out/p] → p equal tensors [batch, out]."""
    y = torch.cat(pieces(x, weight_shards, bias_shards), dim=-1)
    return [y.clone() for _ in weight_shards]


def column_cases(generator: Generator) -> list[Case]:
    """One layer on each tp, cut by its outputs."""
    cases = []
    for tp in SIZES:
        out_features, in_features = two_sizes(generator)
        x, weight = randn(generator, 5, in_features), randn(generator, out_features, in_features)
        bias = randn(generator, out_features)
        cases.append(Case(tp, (x, split(weight, tp, 0), split(bias, tp, 0))))
    return cases


COLUMN_PARALLEL = Exercise(
    number="02.3",
    name="column_parallel",
    points=10,
    difficulty=1,
    minutes=8,
    reference=column_parallel,
    cases=column_cases,
    observe=forward_and_gradient,
    mutants=(
        Mutant(
            "sum for concatenation",
            lambda x, weights, biases: each(sum(pieces(x, weights, biases)), weights),
            "You summed the pieces. Each rank computed different outputs, and they are finished: a sum adds "
            "unrelated columns of Y, and the result is out/tp wide.",
            "the shape of your result: all outputs must be there, side by side.",
        ),
        Mutant(
            "stacked on the batch",
            lambda x, weights, biases: each(torch.cat(pieces(x, weights, biases), dim=0), weights),
            "You concatenated along dim 0, the batch. The pieces differ in their outputs, so they belong side by "
            "side along the last dimension.",
            "the dim of the concatenation.",
        ),
        Mutant(
            "never gathered",
            pieces,
            "Each rank kept its own piece. The pieces are right, but the task asks for all of Y on every rank, and "
            "for that the ranks must talk: this is the all-gather.",
            "what rank 0 knows about the outputs of rank 1.",
        ),
        Mutant(
            "not transposed",
            lambda x, weights, biases: each(
                torch.cat([x @ w + b for w, b in zip(weights, biases, strict=True)], dim=-1), weights
            ),
            "A weight shard is [out/tp, in], nn.Linear's layout, and x is [batch, in]. Their product needs the "
            "transpose: x @ weight.T.",
            "the two shapes that meet at the @.",
        ),
        Mutant(
            "bias forgotten",
            lambda x, weights, biases: each(
                torch.cat([x @ w.T + 0 * b for w, b in zip(weights, biases, strict=True)], -1), weights
            ),
            "Your result lacks the bias. In column parallel the bias is cut like the outputs, and each rank adds its "
            "shard to its own piece: nothing is counted twice.",
            "where bias_shards[rank] enters.",
        ),
        Mutant(
            "rank 0's shard everywhere",
            lambda x, weights, biases: each(
                torch.cat([x @ weights[0].T + biases[0] for _ in weights], dim=-1), weights
            ),
            "Every rank computed with rank 0's shard, so Y repeats its first out/tp columns tp times. At tp = 1 that "
            "cannot be seen. Real weight loaders have had this bug.",
            "the index of the shard inside your loop.",
        ),
    ),
)
