"""Reads frames that nobody vouches for: whatever bytes come, a value within the caps or WireError."""

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tplearn.jailed.forms import (
    DEPTH,
    DIMENSIONS,
    DTYPES,
    FRAME,
    HEAD,
    LENGTH,
    NODES,
    WHOLE,
    Failure,
    Made,
    Named,
    Opaque,
    WireError,
)


def decode(body: bytes, making: bool = False) -> Any:
    """The value in a frame's body: all that follows its first length. Raises WireError, and nothing else.

    making: `Named` and `Made` may stand in it. The judge says them to a rank, and never takes them from one.
    """
    if not LENGTH.size <= len(body) <= FRAME:
        raise WireError(f"a frame of {len(body)} bytes, where {LENGTH.size} to {FRAME} work")
    (length,) = LENGTH.unpack_from(body)
    if length > min(HEAD, len(body) - LENGTH.size):
        raise WireError(f"a head of {length} bytes in a frame of {len(body)}; at most {HEAD} work")
    start = LENGTH.size + length
    try:
        head = json.loads(body[LENGTH.size : start].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError("the head is not JSON") from error
    parser = _Parser(memoryview(body)[start:], making)
    value = parser.value(head, 0)
    if len(parser.rest):
        raise WireError(f"{len(parser.rest)} bytes are left behind the last tensor")
    return value


@dataclass
class _Parser:
    """Turns a head into its value, and takes the tensors from the buffers one after the other."""

    rest: memoryview
    making: bool
    nodes: int = 0

    def value(self, said: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > DEPTH or self.nodes > NODES:
            raise WireError(f"a value of more than {NODES} parts, or nested more than {DEPTH} deep")
        if type(said) is str:
            return _text(said)
        if type(said) is list:
            return [self.value(item, depth + 1) for item in said]
        if type(said) is int and abs(said) >= WHOLE:
            raise WireError("a whole number of more than 64 bits")
        if type(said) is not dict:
            return said  # None, a bool or a number: JSON has nothing else
        match said:
            case {"t": name, "s": shape, "n": size} if len(said) == 3:
                return self._tensor(name, shape, size)
            case {"u": list(items)} if len(said) == 1:
                return tuple(self.value(items, depth))
            case {"d": list(pairs)} if len(said) == 1:
                return self._dict(pairs, depth + 1)
            case {"opaque": str(name)} if len(said) == 1:
                return Opaque(_text(name))
            case {"failure": [str(kind), str(text), str(detail)]} if len(said) == 1:
                return Failure(_text(kind), _text(text), _text(detail))
            case {"named": str(path)} if len(said) == 1 and self.making:
                return Named(_text(path))
            case {"made": [str(path), {"d": list(pairs)}]} if len(said) == 1 and self.making:
                return Made(_text(path), self._dict(pairs, depth + 1))
        raise WireError(f"no value has the parts {sorted(said)[:5]}")

    def _dict(self, pairs: list[Any], depth: int) -> dict[str | int, Any]:
        if not all(type(pair) is list and len(pair) == 2 and type(pair[0]) in (str, int) for pair in pairs):
            raise WireError("a dict's entries must be pairs with a key of text or a whole number")
        return {self.value(key, depth): self.value(item, depth) for key, item in pairs}

    def _tensor(self, name: Any, shape: Any, size: Any) -> Tensor:
        dtype = DTYPES.get(name) if type(name) is str else None
        sizes_work = type(shape) is list and len(shape) <= DIMENSIONS and all(type(n) is int and n >= 0 for n in shape)
        # Also without its zeros a shape may not be larger than a frame: torch multiplies the rest to strides.
        if dtype is None or not sizes_work or math.prod(max(n, 1) for n in shape) > FRAME:
            raise WireError("a tensor's dtype or shape is not one that works")
        if type(size) is not int or size != math.prod(shape) * dtype.itemsize or size > len(self.rest):
            raise WireError(f"a tensor of {shape} does not have the bytes that are said")
        data, self.rest = self.rest[:size], self.rest[size:]
        if not size:
            return torch.empty(shape, dtype=dtype)
        if dtype == torch.bool:  # a byte of 2 would be neither true nor false
            return torch.frombuffer(bytearray(data), dtype=torch.uint8).ne(0).view(shape)
        return torch.frombuffer(bytearray(data), dtype=dtype).view(shape)


def _text(said: str) -> str:
    try:
        said.encode()
    except UnicodeEncodeError as error:
        raise WireError("a text holds half a character") from error
    return said
