"""What the judge and a rank can say to each other: the forms of a frame's head, the kinds of numbers, the caps.

null, true, 3, 0.5, "text", [...]      as they are
{"t": "float64", "s": [2, 3], "n": 48} a tensor; its 48 bytes are the next of the buffers
{"d": [[key, value], ...]}             a dict with keys of text or whole numbers
{"u": [...]}                           a tuple
{"opaque": "module"}                   something else, of which only the type's name is told
{"failure": [kind, text, detail]}      an error as a value
{"named": "module:name"}               what stands there; only a rank looks it up, never the judge
{"made": ["module:name", state]}       an object of that class with this state; again only for a rank
"""

import struct
from dataclasses import dataclass
from typing import Any

import torch

FRAME, HEAD = 32 << 20, 1 << 20  # bytes at most
WHOLE = 1 << 64  # whole numbers are smaller: beyond, a judge that compares them with fractions would raise
DEPTH, NODES, DIMENSIONS = 20, 200_000, 16
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTH = struct.Struct("<I")


class WireError(ValueError):
    """What has come is no frame, or is over a cap; or a value cannot be said in one."""


@dataclass(frozen=True)
class Opaque:
    """Stands for a value that no frame can hold."""

    type_name: str


@dataclass(frozen=True)
class Failure:
    """An error as a value: its type, its first line, and more about it."""

    kind: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Named:
    """What stands at path, "module:name": a function or a class."""

    path: str


@dataclass(frozen=True)
class Made:
    """An object of the class at path, "module:name", with these attributes, as `copy` would make it."""

    path: str
    state: dict[str, Any]
