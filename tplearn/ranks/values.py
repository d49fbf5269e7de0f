"""How functions, arguments and results travel between processes: cloudpickle, with tensors as plain buffers."""

import pickle
from pathlib import Path

import cloudpickle
import torch
from torch import Tensor


def _rebuild(buffer: bytearray, dtype: torch.dtype, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    flat = torch.frombuffer(buffer, dtype=dtype) if buffer else torch.empty(0, dtype=dtype)
    return flat.view(shape).requires_grad_(requires_grad)


class _Pickler(cloudpickle.Pickler):
    """CPU tensors as one buffer of their bytes; a view sends its own elements, not the storage behind it."""

    def reducer_override(self, obj: object) -> object:
        if type(obj) is Tensor and obj.layout is torch.strided and obj.device.type == "cpu" and not obj.is_quantized:
            data = obj.detach().contiguous().resolve_conj().resolve_neg()
            raw = data.flatten().view(torch.uint8).numpy() if data.numel() else bytearray()
            return _rebuild, (pickle.PickleBuffer(raw), obj.dtype, tuple(obj.shape), obj.requires_grad)
        return super().reducer_override(obj)


def dump(value: object, path: Path) -> None:
    """Write any value to a file, tensors without their autograd graph. Raises what pickle raises."""
    with path.open("wb") as stream:
        _Pickler(stream, protocol=5).dump(value)


def load(path: Path) -> object:
    """Read what `dump` wrote."""
    with path.open("rb") as stream:
        return pickle.load(stream)
