"""A compiled program as a ledger: the collectives in its HLO text, as rows like those of ranks."""

import math
from collections import Counter

from tplearn.gspmd.instructions import Instruction, instructions
from tplearn.ranks.ledger import Ledger, Row

# torch's names, and the bytes of one value.
DTYPES = {
    "pred": ("bool", 1),
    "s8": ("int8", 1),
    "s16": ("int16", 2),
    "s32": ("int32", 4),
    "s64": ("int64", 8),
    "u8": ("uint8", 1),
    "u16": ("uint16", 2),
    "u32": ("uint32", 4),
    "u64": ("uint64", 8),
    "f8e4m3fn": ("float8_e4m3fn", 1),
    "f8e5m2": ("float8_e5m2", 1),
    "f16": ("float16", 2),
    "bf16": ("bfloat16", 2),
    "f32": ("float32", 4),
    "f64": ("float64", 8),
    "c64": ("complex64", 8),
    "c128": ("complex128", 16),
}


def collectives(text: str) -> list[Row]:
    """The rows of every device of a compiled program, by device, then in the order of the text: one row a tensor.

    text: what `compiled.as_text()` returns. rank: the device's place in the mesh. Shapes and bytes are what the device
    contributes, as in the ledger of ranks; an all-to-all of pieces is [pieces, …]. A permute's row is the sender's, and
    its group is (source, target). source: the instruction's name, the same for tensors that the compiler has combined
    into one collective; code: the operation of the model that it serves.

    Raises ValueError as `instructions`, and for a dtype that torch does not have.
    """
    rows: dict[int, list[Row]] = {}
    for instruction in instructions(text):
        for group in instruction.groups:
            for rank in group[:1] if instruction.op == "collective_permute" else group:
                own = rows.setdefault(rank, [])
                own += _rows(instruction, rank, len(own), tuple(dict.fromkeys(group)))  # to itself: a group of one
    return [row for rank in sorted(rows) for row in rows[rank]]


def ledger_of(text: str) -> Ledger:
    """The ledger of a compiled program, one row a tensor; see `collectives`."""
    return Ledger(collectives(text))


def count_ops(text: str) -> dict[str, int]:
    """How many collectives of each kind a program has, combined ones counted once; the most frequent kind first."""
    return dict(Counter(instruction.op for instruction in instructions(text)).most_common())


def _rows(instruction: Instruction, rank: int, index: int, group: tuple[int, ...]) -> list[Row]:
    """A row for each tensor that one device contributes."""
    rows = []
    for number, (hlo_dtype, shape) in enumerate(instruction.tensors):
        if hlo_dtype not in DTYPES:
            raise ValueError(
                f"%{instruction.name} sends values of type {hlo_dtype}, which is not read here; {', '.join(DTYPES)} are"
            )
        dtype, size = DTYPES[hlo_dtype]
        rows.append(
            Row(
                rank=rank,
                index=index + number,
                op=instruction.op,
                group=group,
                shape=shape,
                dtype=dtype,
                reduce_op=instruction.reduce_op,
                bytes=math.prod(shape) * size,
                source=instruction.name,
                code=instruction.made_by,
                transport="xla",
            )
        )
    return rows
