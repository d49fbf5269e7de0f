"""Wrong answers to 04.3: a ring all-reduce of tensors of any shape."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tplearn.checks.ch04_collectives.loops import (
    add_round,
    all_gather,
    all_reduce,
    chunked,
    in_shape,
    reduce_scatter,
    total_to_rank_0_and_back,
    whole_tensors_round,
)
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ring
from tplearn.simulated import ring_all_reduce as to_the_right


def _only_reduce_scatter(flat: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    return [torch.cat(mine) for mine in add_round(chunked(flat, p), ring, p - 1)]


def _chunks_among_zeros(flat: list[Tensor], ring: Ring) -> list[Tensor]:
    mine = reduce_scatter(flat, ring)
    zero = torch.zeros_like(mine[0])
    return [torch.cat([mine[rank] if k == rank else zero for k in range(len(mine))]) for rank in range(len(mine))]


def _added_inall_reduce_rounds(flat: list[Tensor], ring: Ring) -> list[Tensor]:
    p = ring.world_size
    return [torch.cat(mine) for mine in add_round(chunked(flat, p), ring, 2 * (p - 1))]


def _gathered_without_sum(flat: list[Tensor], ring: Ring) -> list[Tensor]:
    return all_gather([tensor.chunk(len(flat))[rank] for rank, tensor in enumerate(flat)], ring)


def _flat(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return [total.flatten() for total in in_shape(all_reduce)(tensors, ring)]


MUTANTS = (
    Mutant(
        "the page's direction",
        in_shape(to_the_right),
        "You send to rank r + 1, as on the page. This ring runs the other way: rank r can send to rank r − 1 only. "
        "Your two functions from above do.",
        "which ring_reduce_scatter and ring_all_gather you call.",
    ),
    Mutant(
        "all to rank 0 and back",
        total_to_rank_0_and_back,
        "Your numbers are right, and over budget from three ranks on. A running total of whole tensors went from rank "
        "to rank and came back: ranks in between sent 2 whole tensors where 2 (p − 1)/p do, and at every moment all "
        "but one of them were idle.",
        "the length of what you send: a chunk of 1/p. Then everybody can send at once.",
    ),
    Mutant(
        "whole tensors round the ring",
        whole_tensors_round,
        "Your numbers are right, but the cost grows with p: every whole tensor visited every rank, (p − 1) · n bytes "
        "each. Add before you pass on, and pass on one chunk at a time: then each rank sends less than 2 · n, for any "
        "p.",
        "reduce-scatter first, all-gather second.",
    ),
    Mutant(
        "all-gather forgotten",
        in_shape(_only_reduce_scatter),
        "On rank r, chunk r is right and the others are half-finished sums. You stopped after the reduce-scatter. The "
        "p − 1 steps of the all-gather are missing: they carry the finished chunks to everybody.",
        "the second phase.",
    ),
    Mutant(
        "chunks among zeros",
        in_shape(_chunks_among_zeros),
        "On rank r, chunk r is right and the others are zero. The reduce-scatter is done and the p − 1 steps of the "
        "all-gather are missing: they carry the finished chunks to everybody.",
        "the second phase.",
    ),
    Mutant(
        "added in both rounds",
        in_shape(_added_inall_reduce_rounds),
        "In the second round a chunk that arrives is finished. You added it to your own, so some partials are counted "
        "twice. It has to take the other's place.",
        "the second p − 1 steps: replace, do not add.",
    ),
    Mutant(
        "gathered without a sum",
        in_shape(_gathered_without_sum),
        "Every rank has the same numbers, and chunk r of them is rank r's alone: you gathered chunks that nobody had "
        "added up.",
        "the first phase: reduce-scatter, then gather what it gives.",
    ),
    Mutant(
        "a chunk each",
        lambda tensors, ring: reduce_scatter(
            [F.pad(t.flatten(), (0, -t.numel() % len(tensors))) for t in tensors], ring
        ),
        "Each rank returns its chunk of the sum. That is the reduce-scatter; the all-gather is missing.",
        "the second phase.",
    ),
    Mutant(
        "summed twice",
        in_shape(lambda flat, ring: all_reduce(all_reduce(flat, ring), ring)),
        "You all-reduced twice: the second sum adds tp copies of the finished one, so it is tp times too large.",
        "the second all-reduce.",
    ),
    Mutant(
        "flat result",
        _flat,
        "The numbers are right, in a flat tensor. The result has the shape that the tensors came in.",
        "reshape at the end.",
    ),
    Mutant(
        "mean for sum",
        lambda tensors, ring: [total / ring.world_size for total in in_shape(all_reduce)(tensors, ring)],
        "Your result is the right one divided by tp. A mean is right for gradients of data-parallel replicas. Here the "
        "ranks hold partials of one tensor: they are added.",
        "a division by p that does not belong there.",
    ),
    Mutant(
        "tensors changed in place",
        lambda tensors, ring: [
            tensor.copy_(total) for tensor, total in zip(tensors, in_shape(all_reduce)(tensors, ring), strict=True)
        ],
        "The sums are right, and you wrote them into the caller's tensors. The caller still needs the partials.",
        "copy_ or += on a tensor, a chunk or a view that came in.",
    ),
)
