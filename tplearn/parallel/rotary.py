"""Rotary positions (RoPE: Su et al. 2021, section 3.2): pairs of numbers in a head turn by position · frequency."""

import math

import torch
from torch import Tensor

from tplearn.sizes import is_number, require_size, shown
from tplearn.tensors import described, require_floating, require_tensor

DTYPES = (torch.float32, torch.float64)


def rotary_frequencies(head_dim: int, theta: float = 10_000.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """[head_dim/2]: radians a token, theta^(−2i/d).

    In float32, as the published models were trained: whoever wants their logits needs their rounding. Cosines and sines
    from float32 and from float64 frequencies differ by up to 1e-7 · position (1e-3 at position 10,000), whatever the
    dtype of the model. For an oracle in float64 ask for dtype = torch.float64 here and in `rotary_tables`.

    Raises ValueError for an odd head_dim, a theta that is not above 0, and a dtype that cannot count positions.
    """
    require_head_dim(head_dim)
    _require_dtype(dtype)
    if not (is_number(theta) and 0 < theta < math.inf):
        raise ValueError(f"theta = {shown(theta)} does not work; numbers above 0 do, such as 10000.0")
    return 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=dtype, device="cpu") / head_dim)


def rotary_tables(
    positions: Tensor,
    head_dim: int,
    theta: float = 10_000.0,
    frequencies: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """positions: [seq] → cos and sin, [seq, head_dim] each, of `dtype`; float32 for a reason (`rotary_frequencies`).

    Hugging Face's layout: number i and number i + d/2 of a head turn together, by position · frequency[i]. Without
    `frequencies`, [head_dim/2] of `dtype`, those of theta.

    Raises ValueError for positions or frequencies of another shape or kind, and as `rotary_frequencies` does.
    """
    require_tensor("positions", positions)
    if positions.ndim != 1 or positions.dtype == torch.bool or positions.is_complex():
        raise ValueError(f"positions are {described(positions)}; a row of numbers works, as torch.arange(seq) gives")
    if frequencies is None:
        frequencies = rotary_frequencies(head_dim, theta, dtype)
    else:
        require_head_dim(head_dim)
        _require_dtype(dtype)
        require_tensor("frequencies", frequencies)
    if frequencies.shape != (head_dim // 2,) or frequencies.dtype != dtype:
        raise ValueError(f"frequencies are {described(frequencies)}; shape ({head_dim // 2},) and {dtype} work")
    angles = positions[:, None].to(dtype) * frequencies.to(positions.device)  # [seq, d/2]
    angles = torch.cat([angles, angles], dim=-1)  # [seq, d/2] → [seq, d]
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, heads, seq, d]; cos, sin: [seq, d] → the same, each pair (i, i + d/2) turned by its angle.

    Raises ValueError where the tables do not have one row for each position of x. Under sequence parallelism x is
    whole again here, and the tables are those of the whole sequence.
    """
    require_floating("x", x)
    require_floating("cos", cos)
    require_floating("sin", sin)
    if cos.shape != x.shape[-2:] or sin.shape != cos.shape or x.shape[-1] % 2:
        _refuse_tables(x, cos, sin)
    if cos.device != x.device or sin.device != x.device:
        raise ValueError(f"cos on {cos.device}, sin on {sin.device} and x on {x.device}; one device for all works")
    left, right = x.chunk(2, dim=-1)
    turned = torch.cat([-right, left], dim=-1)
    return torch.addcmul(x * cos.to(x.dtype), turned, sin.to(x.dtype))


def require_head_dim(head_dim: int) -> int:
    """`head_dim` as an int. Raises ValueError where a head has no pairs to turn."""
    head_dim = require_size("head_dim", head_dim)
    if head_dim % 2:
        raise ValueError(f"head_dim = {head_dim} cannot be turned in pairs; even sizes work")
    return head_dim


def _require_dtype(dtype: torch.dtype) -> None:
    """A half's whole numbers end at 2048 (bfloat16: 256), so it would put neighbours at one position."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype = {shown(dtype)} does not work for positions; torch.float32 and torch.float64 do")


def _refuse_tables(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    if x.ndim < 2:
        raise ValueError(f"x of shape {tuple(x.shape)}; [batch, heads, seq, head_dim] works")
    require_head_dim(x.shape[-1])
    raise ValueError(
        f"cos of shape {tuple(cos.shape)} and sin of shape {tuple(sin.shape)} do not fit x of shape {tuple(x.shape)}; "
        f"{tuple(x.shape[-2:])} works: a row for each of its {x.shape[-2]} positions, with sequence_parallel for those "
        "of the whole sequence"
    )
