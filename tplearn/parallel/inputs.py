"""What a layer asks of its sizes and its input: only shapes and kinds, so no GPU is waited for and nothing is sent."""

import torch
from torch import Tensor

from tplearn.sizes import require_size
from tplearn.tensors import require_tensor


def require_features(in_features: int, out_features: int) -> tuple[int, int]:
    """Both as ints. Raises ValueError where one is no size: a layer without features has nothing to multiply."""
    return require_size("in_features", in_features), require_size("out_features", out_features)


def require_input(layer: object, x: Tensor, features: int, weight: Tensor, sequence_parallel: bool = False) -> None:
    """Raises ValueError where `x` is not [..., features] of the weight's dtype (autocast may change it) and device.

    With sequence_parallel dim 1 is the sequence: [batch, sequence/p, features].
    """
    require_tensor(_input_of(layer), x)
    if x.ndim < (3 if sequence_parallel else 1) or x.shape[-1] != features:
        works = f"[batch, sequence/p, {features}]" if sequence_parallel else f"[..., {features}]"
        raise ValueError(f"{_input_of(layer)} of shape {tuple(x.shape)}; shapes that work: {works}")
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{_input_of(layer)} of dtype {x.dtype}, weight of dtype {weight.dtype}; {weight.dtype} works")
    if x.device != weight.device:
        raise ValueError(f"{_input_of(layer)} on {x.device}, weight on {weight.device}; the same device works")


def _input_of(layer: object) -> str:
    return f"{type(layer).__name__}: input"
