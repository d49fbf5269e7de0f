"""Tensors as arguments: what to say where something else comes, or numbers of a kind that cannot be meant."""

import torch
from torch import Tensor

from tplearn.sizes import shown

PLAIN = {Tensor, torch.nn.Parameter}
NO_SUMS = {torch.bool, torch.uint16, torch.uint32, torch.uint64}  # torch adds bools as "or", and the others not at all


def require_tensor(name: str, x: object) -> Tensor:
    """Raises ValueError where `x` is no plain tensor: None, a number, a list, numpy's array, sparse, or a DTensor."""
    if isinstance(x, Tensor):
        if x.layout is not torch.strided:
            raise ValueError(f"{name} is {x.layout}; .to_dense() makes it whole")
        if type(x) not in PLAIN and hasattr(x, "device_mesh"):  # a DTensor; to import its class takes a second
            raise ValueError(f"{name} is a DTensor; .to_local() gives what this rank has of it")
        return x
    if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
        works = "one tensor works, such as torch.stack of these"
    elif hasattr(x, "__array__"):
        works = "torch.from_numpy(...) makes one"
    else:
        works = "a torch.Tensor works"
    raise ValueError(f"{name} = {shown(x)} is not a tensor; {works}")


def require_floating(name: str, x: object) -> Tensor:
    """A tensor that a layer can multiply. Raises ValueError for whole numbers, masks and complex numbers too."""
    if not require_tensor(name, x).is_floating_point():
        raise ValueError(f"{name} of dtype {x.dtype} has no fractions; torch.float32 works")
    return x


def require_summable(name: str, x: object) -> Tensor:
    """A tensor that can be summed over ranks. Raises ValueError for masks, where True + True would be True."""
    if require_tensor(name, x).dtype in NO_SUMS:
        raise ValueError(f"{name} of dtype {x.dtype} cannot be summed; torch.int64 works")
    return x


def described(x: Tensor) -> str:
    """Shape and dtype, such as `(4, 8) float32`."""
    return f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}"
