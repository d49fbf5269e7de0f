"""Frames: how the judge and a rank say values to each other, as JSON with raw numbers behind it, and never as pickle.

A frame is [u32 length of what follows][u32 length of the head][head][buffers], little-endian. The head is JSON in the
forms of tplearn.jailed.forms; each tensor's bytes follow as one of the buffers, in the order of the head.
"""

import json
import os
from typing import Any

import torch
from torch import Tensor

from tplearn.jailed.forms import DEPTH, FRAME, HEAD, LENGTH, NAMES, WHOLE, Failure, Made, Named, Opaque, WireError
from tplearn.jailed.parse import decode


def encode(value: Any) -> bytes:
    """The frame of a value. Raises WireError where it is over a cap; what has no form becomes Opaque."""
    buffers: list[bytes] = []
    head = json.dumps(_said(value, buffers, 0), separators=(",", ":")).encode()
    length = LENGTH.size + len(head) + sum(map(len, buffers))
    if len(head) > HEAD or length > FRAME:
        raise WireError(f"a value of {length} bytes, {len(head)} of them in its head, where {FRAME} and {HEAD} fit")
    return b"".join([LENGTH.pack(length), LENGTH.pack(len(head)), head, *buffers])


def _said(value: Any, buffers: list[bytes], depth: int) -> Any:
    if depth > DEPTH:
        raise WireError(f"a value is nested more than {DEPTH} deep")
    kind, inner = type(value), depth + 1
    if value is None or kind in (bool, float) or (kind is int and abs(value) < WHOLE):
        return value
    if kind is str:
        return value.encode("utf-8", "replace").decode()
    if kind is list:
        return [_said(item, buffers, inner) for item in value]
    if kind is tuple:
        return {"u": [_said(item, buffers, inner) for item in value]}
    if kind is dict and all(type(key) is str or (type(key) is int and abs(key) < WHOLE) for key in value):
        return {"d": [[_said(key, buffers, inner), _said(item, buffers, inner)] for key, item in value.items()]}
    if kind in (Tensor, torch.nn.Parameter) and _has_numbers(value):
        buffers.append(_bytes_of(value))
        return {"t": NAMES[value.dtype], "s": list(value.shape), "n": len(buffers[-1])}
    if kind is Named:
        return {"named": value.path}
    if kind is Made:
        return {"made": [value.path, _said(value.state, buffers, inner)]}
    # The course's own Opaque and Failure (tplearn.checks.compare) have the same fields as those here.
    if kind.__name__ == Opaque.__name__ and type(getattr(value, "type_name", None)) is str:
        return {"opaque": _said(value.type_name, buffers, inner)}
    if kind.__name__ == Failure.__name__ and hasattr(value, "kind"):
        return {"failure": [_said(str(part), buffers, inner) for part in (value.kind, value.text, value.detail)]}
    return {"opaque": kind.__qualname__}


def _has_numbers(tensor: Tensor) -> bool:
    return tensor.dtype in NAMES and tensor.layout == torch.strided and tensor.device.type != "meta"


def _bytes_of(tensor: Tensor) -> bytes:
    """A tensor's numbers in the order of its dimensions; bfloat16 and complex have no other way through numpy."""
    data = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return data.view(-1).view(torch.uint8).numpy().tobytes() if data.numel() else b""


class Inbox:
    """Puts frames together from the pieces in which they come. making: as in `decode`."""

    def __init__(self, making: bool = False) -> None:
        self.making, self._data = making, bytearray()

    def feed(self, data: bytes) -> None:
        """What has come. Raises WireError as soon as a frame would be too long."""
        self._data += data
        if len(self._data) >= LENGTH.size and LENGTH.unpack_from(self._data)[0] > FRAME:
            raise WireError(f"a frame of more than {FRAME} bytes")

    def take(self) -> tuple[Any] | None:
        """(the next value,), or None while it is not there in full. Raises WireError."""
        if len(self._data) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._data)[0]
        if len(self._data) < end:
            return None
        body = bytes(memoryview(self._data)[LENGTH.size : end])
        del self._data[:end]
        return (decode(body, self.making),)


def write_all(descriptor: int, data: bytes) -> None:
    """Write until all is written. Raises OSError where nobody reads any more."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]
