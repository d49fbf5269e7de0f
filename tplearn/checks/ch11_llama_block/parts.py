"""The parts of chapter 11's blocks: norm, attention and MLP up to their partials, and random weights.

A block's weights are a dict: norm_1 and norm_2 [hidden] before the halves (Gemma's block has post_1 and post_2 after
them), on every rank; q [heads/p·4, hidden], k and v [kv heads/p·4, hidden], gate and up [ffn/p, hidden], cut by
outputs; o [hidden, heads/p·4], down [hidden, ffn/p], cut by inputs.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from tplearn.checks.inputs import randn
from tplearn.parallel import apply_rotary, attend, rotary_tables

HIDDEN, HEAD = 12, 4
NORMS = ("norm_1", "norm_2")
Weights = dict[str, Tensor]


def norm(x: Tensor, weight: Tensor) -> Tensor:
    """x / root of mean square over the last dimension, times weight."""
    return F.rms_norm(x, weight.shape, weight, 1e-6)


def attention(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden] → this rank's partial of the result, from its own heads."""
    q, k, v = (F.linear(x, w[name]).unflatten(-1, (-1, HEAD)).transpose(1, 2) for name in "qkv")
    cos, sin = rotary_tables(torch.arange(x.shape[1]), HEAD)
    y = attend(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v)
    return F.linear(y.transpose(1, 2).flatten(2), w["o"])  # [batch, heads, seq, d] → [batch, seq, hidden]


def mlp(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden] → this rank's partial of the result."""
    return F.linear(F.silu(F.linear(x, w["gate"])) * F.linear(x, w["up"]), w["down"])


def weights(generator: Generator, tp: int, norms: tuple[str, ...] = NORMS) -> list[Weights]:
    """The weights of a block with 2·tp query heads, tp KV heads and an MLP of 3·tp, as tp ranks hold them."""
    replicated = {name: 1 + 0.5 * randn(generator, HIDDEN) for name in norms}
    shapes = {"q": (2 * HEAD, HIDDEN), "k": (HEAD, HIDDEN), "v": (HEAD, HIDDEN), "o": (HIDDEN, 2 * HEAD)}
    shapes |= {"gate": (3, HIDDEN), "up": (3, HIDDEN), "down": (HIDDEN, 3)}
    return [
        {name: weight.clone() for name, weight in replicated.items()}
        | {name: 0.4 * randn(generator, *shape) for name, shape in shapes.items()}
        for _ in range(tp)
    ]
