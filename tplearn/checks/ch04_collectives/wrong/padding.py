"""Wrong answers to 04.3 where p does not divide the size."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tplearn.checks.ch04_collectives.loops import (
    add_round,
    all_gather,
    all_reduce,
    in_shape,
)
from tplearn.checks.exercise import Mutant
from tplearn.simulated import Ring


def _remainder_dropped(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The last n mod p numbers stay what they were on each rank."""
    p, shape = ring.world_size, tensors[0].shape
    kept = tensors[0].numel() // p * p
    totals = all_reduce([tensor.flatten()[:kept] for tensor in tensors], ring)
    return [torch.cat([a, b.flatten()[kept:]]).reshape(shape) for a, b in zip(totals, tensors, strict=True)]


def _cut_short(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """The last n mod p numbers are gone."""
    kept = tensors[0].numel() // ring.world_size * ring.world_size
    return all_reduce([tensor.flatten()[:kept] for tensor in tensors], ring)


def _no_padding(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    """Chunks by tensor.chunk(p), which gives fewer than p of them where ceil(n / p) numbers a chunk use n up early."""
    p = ring.world_size
    chunks = [list(tensor.flatten().chunk(p)) for tensor in tensors]
    add_round(chunks, ring, p - 1)
    held = all_gather([chunks[rank][rank] for rank in range(p)], ring)
    return [total.reshape(tensors[0].shape) for total in held]


def _padded_sums(tensors: list[Tensor], ring: Ring, front: bool = False) -> list[Tensor]:
    missing = -tensors[0].numel() % ring.world_size
    return all_reduce([F.pad(t.flatten(), (missing, 0) if front else (0, missing)) for t in tensors], ring)


def _padding_kept(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    n, shape = tensors[0].numel(), tensors[0].shape
    return [total.reshape(shape) if len(total) == n else total for total in _padded_sums(tensors, ring)]


def _padding_reshaped(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    return [total.reshape(tensors[0].shape) for total in _padded_sums(tensors, ring)]


def _padding_in_front(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    n, shape = tensors[0].numel(), tensors[0].shape
    return [total[:n].reshape(shape) for total in _padded_sums(tensors, ring, front=True)]


def _rows_padded(tensors: list[Tensor], ring: Ring) -> list[Tensor]:
    n, shape, p = tensors[0].numel(), tensors[0].shape, ring.world_size
    flat = [F.pad(t, (0, -n % p) if t.ndim else ()).flatten() for t in tensors]
    return [total[:n].reshape(shape) for total in in_shape(all_reduce)(flat, ring)]


MUTANTS = (
    Mutant(
        "remainder left alone",
        _remainder_dropped,
        "Right where p divides the size. Where it does not, n // p numbers for each chunk leave a remainder that was "
        "never summed: the last n mod p numbers are each rank's own.",
        "pad with zeros to a multiple of p before, cut the padding off after.",
    ),
    Mutant(
        "remainder cut off",
        _cut_short,
        "n // p numbers for each chunk leave a remainder, and your result ends before it: the last n mod p numbers are "
        "missing, and with them the tensor's shape.",
        "pad with zeros to a multiple of p before, cut the padding off after, then reshape.",
    ),
    Mutant(
        "no padding",
        _no_padding,
        "You cut a length that is no multiple of p. tensor.chunk(p) gives at most p chunks, of ceil(n / p) numbers "
        "each, and there may be fewer than p: 9 numbers on 4 ranks make 3 chunks of 3, and nothing is left for rank 3.",
        "pad with zeros to a multiple of p before, cut the padding off after.",
    ),
    Mutant(
        "no padding, cut by reshape",
        in_shape(all_reduce, lambda n, p: 0),
        "reshape(p, -1) wants a size that p divides. Here p need not divide it.",
        "pad with zeros to a multiple of p before, cut the padding off after.",
    ),
    Mutant(
        "one chunk of padding too many",
        in_shape(all_reduce, lambda n, p: p - n % p),
        "Your numbers are right, and over budget where p divides n: p − n % p is then p, not 0, so every chunk carries "
        "one zero more than it must.",
        "-n % p is what is missing to a multiple of p; 0 where nothing is missing.",
    ),
    Mutant(
        "padding kept",
        _padding_kept,
        "Right where p divides the size. Where it does not, the zeros that you added are still there at the end.",
        "[:n] before the reshape.",
    ),
    Mutant(
        "padding kept and reshaped",
        _padding_reshaped,
        "reshape fails where p does not divide the size: the zeros that you added are still there.",
        "[:n] before the reshape.",
    ),
    Mutant(
        "padding in front",
        _padding_in_front,
        "Your zeros stand in front of the numbers, and you cut as many off at the end: the last numbers are lost.",
        "F.pad(flat, (0, missing)): first how many in front, then how many behind.",
    ),
    Mutant(
        "rows padded",
        _rows_padded,
        "You padded before you flattened, so every row got its zeros, and what you cut off at the end was no padding.",
        "flatten first, then pad.",
    ),
)
