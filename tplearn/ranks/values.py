"""How functions, arguments and results travel between processes: cloudpickle, with tensors as plain buffers."""

import builtins
import importlib
import pickle
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle
import torch
from torch import Tensor


def _rebuild(buffer: bytearray, dtype: torch.dtype, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    flat = torch.frombuffer(buffer, dtype=dtype) if buffer else torch.empty(0, dtype=dtype)
    return flat.view(shape).requires_grad_(requires_grad)


def _from_module(module: str, name: str) -> object:
    return getattr(importlib.import_module(module), name)


def _home(cls: type) -> str | None:
    """The module of a class that says it is a builtin and is none, as classes written in Rust do (safe_open)."""
    if cls.__module__ != "builtins" or hasattr(builtins, cls.__name__):
        return None
    modules = ((name, getattr(module, "__dict__", {})) for name, module in sys.modules.items() if name != "__main__")
    return next((name for name, there in modules if there.get(cls.__name__) is cls), None)


class Pickler(cloudpickle.Pickler):
    """CPU tensors as one buffer of their bytes; a view sends its own elements, not the storage behind it."""

    def reducer_override(self, obj: object) -> object:
        if isinstance(obj, ModuleType) and type(obj) is not ModuleType and sys.modules.get(obj.__name__) is obj:
            return importlib.import_module, (obj.__name__,)  # a module of a class of its own: torch.distributed.config
        if isinstance(obj, type) and (home := _home(obj)):
            return _from_module, (home, obj.__name__)
        if type(obj) is Tensor and obj.layout is torch.strided and obj.device.type == "cpu" and not obj.is_quantized:
            data = obj.detach().contiguous().resolve_conj().resolve_neg()
            # one number may have any stride; a last dimension of size 1 has the stride that view wants
            raw = data.flatten().unsqueeze(-1).view(torch.uint8).numpy() if data.numel() else bytearray()
            return _rebuild, (pickle.PickleBuffer(raw), obj.dtype, tuple(obj.shape), obj.requires_grad)
        return super().reducer_override(obj)


def dump(value: object, path: Path) -> None:
    """Write any value to a file, tensors without their autograd graph. Raises what pickle raises."""
    with path.open("wb") as stream:
        Pickler(stream, protocol=5).dump(value)


def load(path: Path) -> object:
    """Read what `dump` wrote."""
    with path.open("rb") as stream:
        return pickle.load(stream)
