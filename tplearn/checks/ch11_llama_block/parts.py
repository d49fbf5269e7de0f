"""The parts of chapter 11's blocks: norm, attention and MLP up to their summands, weights, and how they are seen.

A block's weights are a dict: norm_1 and norm_2 [hidden], on every rank; q [heads/p·4, hidden], k and v [kv heads/p·4,
hidden], gate and up [ffn/p, hidden], cut by outputs; o [hidden, heads/p·4], down [hidden, ffn/p], cut by inputs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tplearn.checks.inputs import randn
from tplearn.checks.observe import changed_inputs, plain
from tplearn.parallel import apply_rotary, attend, rotary_tables

HIDDEN, HEAD = 12, 4
Weights = dict[str, Tensor]


def norm(x: Tensor, weight: Tensor) -> Tensor:
    """x / root of mean square over the last dimension, times weight."""
    return F.rms_norm(x, weight.shape, weight, 1e-6)


def attention(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden] → this rank's summand of the result: own heads, and their part of the output weight."""
    q, k, v = (F.linear(x, w[name]).unflatten(-1, (-1, HEAD)).transpose(1, 2) for name in "qkv")
    cos, sin = rotary_tables(torch.arange(x.shape[1]), HEAD)
    y = attend(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v)
    return F.linear(y.transpose(1, 2).flatten(2), w["o"])  # [batch, heads, seq, d] → [batch, seq, hidden]


def mlp(x: Tensor, w: Weights) -> Tensor:
    """x: [batch, seq, hidden] → this rank's summand of the result."""
    return F.linear(F.silu(F.linear(x, w["gate"])) * F.linear(x, w["up"]), w["down"])


def weights(generator: torch.Generator, tp: int) -> list[Weights]:
    """The weights of a block with 2·tp query heads, tp KV heads and an MLP of 3·tp, as tp ranks hold them."""
    norms = {name: 1 + 0.5 * randn(generator, HIDDEN) for name in ("norm_1", "norm_2")}
    shapes = {"q": (2 * HEAD, HIDDEN), "k": (HEAD, HIDDEN), "v": (HEAD, HIDDEN), "o": (HIDDEN, 2 * HEAD)}
    shapes |= {"gate": (3, HIDDEN), "up": (3, HIDDEN), "down": (HIDDEN, 3)}
    return [
        {name: norm_weight.clone() for name, norm_weight in norms.items()}
        | {name: 0.4 * randn(generator, *shape) for name, shape in shapes.items()}
        for _ in range(tp)
    ]


def seen_of_block(fn: Callable[..., Any], upstream: Tensor, x: Tensor, w: Weights) -> dict[str, Any]:
    """{"forward", "gradient"} of fn(x, w); `upstream` is this rank's gradient of the result.

    Where the result has another shape than `upstream` there is no gradient to be had.
    """
    args = {"x": x} | w
    leaves = {name: t.clone().requires_grad_() for name, t in args.items()}
    given = {name: leaf.clone() for name, leaf in leaves.items()}  # a change in place then shows in the values
    result = fn(given["x"], {name: given[name] for name in w})
    after = {name: given[name] for name in w}
    seen = {"forward": plain(result)} | changed_inputs((plain([x, w]), {}), (plain([given["x"], after]), {}))
    if not isinstance(result, Tensor) or result.shape != upstream.shape or not result.requires_grad:
        return seen | {"gradient": "nothing to back-propagate"}
    result.backward(upstream.clone())
    gradients = {name: torch.zeros_like(t) if t.grad is None else t.grad for name, t in leaves.items()}
    return seen | {"gradient": plain(gradients)}
