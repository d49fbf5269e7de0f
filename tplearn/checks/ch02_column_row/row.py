"""Exercise 02.4: a layer cut by its inputs ends in a sum, and the bias enters once."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch02_column_row.inputs import SIZES, each, products, two_sizes
from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import randn
from tplearn.checks.observe import forward_and_gradient
from tplearn.simulated import split


def row_parallel(x_shards: list[Tensor], weight_shards: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
    """x_shards[r]: [batch, in/p]; weight_shards[r]: [out, in/p]; biases[r]: [out], a copy each → p of [batch, out]."""
    total = sum(products(x_shards, weight_shards))
    return [total + bias for bias in biases]


def row_cases(generator: Generator) -> list[Case]:
    """One layer on each tp, cut by its inputs; every rank has its own copy of the bias."""
    cases = []
    for tp in SIZES:
        out_features, in_features = two_sizes(generator)
        x, weight = randn(generator, 5, in_features), randn(generator, out_features, in_features)
        bias = 1 + randn(generator, out_features)
        cases.append(Case(tp, (split(x, tp, 1), split(weight, tp, 1), [bias.clone() for _ in range(tp)])))
    return cases


def _bias_times_tp(x_shards: list[Tensor], weight_shards: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
    parts = [y + bias for y, bias in zip(products(x_shards, weight_shards), biases, strict=True)]
    return each(sum(parts), biases)


def _bias_over_tp(x_shards: list[Tensor], weight_shards: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
    parts = [y + bias / len(biases) for y, bias in zip(products(x_shards, weight_shards), biases, strict=True)]
    return each(sum(parts), biases)


ROW_PARALLEL = Exercise(
    number="02.4",
    name="row_parallel",
    points=10,
    difficulty=2,
    minutes=10,
    reference=row_parallel,
    cases=row_cases,
    observe=forward_and_gradient,
    mutants=(
        Mutant(
            "bias × tp",
            _bias_times_tp,
            "Your result minus the truth is (tp − 1) · bias. Every rank added the bias before the sum, so it was "
            "counted tp times. At tp = 1 that cannot be seen, which is why one-rank tests pass.",
            "where the bias enters, before or after the all-reduce.",
        ),
        Mutant(
            "bias / tp",
            _bias_over_tp,
            "The numbers are right and the gradient is not. Each rank added bias / tp before the sum, so each copy "
            "of the bias learns from all ranks' results, divided by tp, and not from its own. On real ranks the bias "
            "then learns tp times too slowly.",
            "add the whole bias once, after the sum: each rank its own copy.",
        ),
        Mutant(
            "rank 0 alone adds its bias",
            lambda xs, weights, biases: each(sum(products(xs, weights)) + biases[0], biases),
            "The numbers are right, but only rank 0's copy of the bias was used. It gets every rank's gradient and "
            "the other copies get none: after one training step the copies differ.",
            "whose bias rank 1 adds.",
        ),
        Mutant(
            "gather for sum",
            lambda xs, weights, biases: [
                torch.cat(products(xs, weights), dim=-1) + b.repeat(len(biases)) for b in biases
            ],
            "You put the products side by side. Each of them already has all outputs, but is only a part of the sum "
            "over the inputs: the parts lie on top of each other, and are added.",
            "the shape of one rank's product, against the shape of Y.",
        ),
        Mutant(
            "never summed",
            lambda xs, weights, biases: [y + b for y, b in zip(products(xs, weights), biases, strict=True)],
            "Each rank kept its own product. It has the right shape, which is what makes this bug hard to see, but "
            "it holds only the share of in/tp inputs. The ranks must talk: this is the all-reduce.",
            "whether rank 0's result depends on rank 1's shard of x.",
        ),
        Mutant(
            "mean for sum",
            lambda xs, weights, biases: [sum(products(xs, weights)) / len(biases) + b for b in biases],
            "You averaged the products. Averaging is for gradients of data parallel copies. Here each rank holds a "
            "different part of one sum, so the result is tp times too small.",
            "the division by the number of ranks.",
        ),
        Mutant(
            "bias forgotten",
            lambda xs, weights, biases: [sum(products(xs, weights)) + 0 * b for b in biases],
            "The sum is right, but the bias never entered it. Each rank adds its own copy once, when the sum is done.",
            "where biases[rank] is used.",
        ),
    ),
)
