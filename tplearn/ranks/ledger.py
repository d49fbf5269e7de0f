"""The ledger: every collective that ran, on which rank, with its shape and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# What a ring algorithm makes one rank send, for p ranks that each contribute n bytes (Patarasuk and Yuan 2009;
# nccl-tests, PERFORMANCE.md, uses the same factors). A tree or a direct exchange moves the same total or more.
WIRE_BYTES: dict[str, Callable[[int, int], float]] = {
    "all_reduce": lambda n, p: 2 * (p - 1) / p * n,
    "reduce_scatter": lambda n, p: (p - 1) / p * n,
    "all_gather": lambda n, p: (p - 1) * n,
    "all_to_all": lambda n, p: (p - 1) / p * n,
    "send": lambda n, p: n,
    "collective_permute": lambda n, p: n,  # a compiler's send: each row is a sender's
    # Rooted ops run as a chain: every rank but the last passes the tensor on once.
    "broadcast": lambda n, p: n,
    "reduce": lambda n, p: n,
    "gather": lambda n, p: n,
    "scatter": lambda n, p: n,
    "recv": lambda n, p: 0,  # counted where it is sent
    "barrier": lambda n, p: 0,
    "new_group": lambda n, p: 0,
}


def _once(n: int, p: int) -> float:
    """An op that is not in the table: its bytes, once."""
    return n


@dataclass(frozen=True, slots=True)
class Row:
    """One collective, seen from one rank.

    Shapes and bytes are those of the tensor that this rank contributes (for recv: receives).
    `root` and `peer` are global ranks. `source` is where the reader called it, `code` the text of that line.
    """

    rank: int
    index: int
    op: str
    group: tuple[int, ...]
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    reduce_op: str | None = None
    root: int | None = None
    peer: int | None = None
    bytes: int = 0
    source: str = ""
    code: str = ""
    transport: str = "gloo"
    detail: str = ""
    tag: int = 0

    @property
    def wire_bytes(self) -> int:
        """Bytes that a ring algorithm makes this rank send, rounded; 0 in a group of one rank."""
        ranks = len(self.group)
        return round(WIRE_BYTES.get(self.op, _once)(self.bytes, ranks)) if ranks > 1 else 0

    def describe(self, world_size: int | None = None) -> str:
        """Text such as `all_reduce (4×8 float32, SUM)`; with the group where it is smaller than the world."""
        parts = []
        if self.shape is not None:
            parts.append(f"{'×'.join(map(str, self.shape)) or 'scalar'} {self.dtype}")
        if self.reduce_op:
            parts.append(self.reduce_op)
        if self.root is not None:
            parts.append(f"root {self.root}")
        if self.peer is not None:
            parts.append(f"{'to' if self.op == 'send' else 'from'} rank {self.peer if self.peer >= 0 else 'any'}")
        if self.tag:
            parts.append(f"tag {self.tag}")
        if self.detail:
            parts.append(self.detail)
        if world_size is not None and len(self.group) < world_size and self.peer is None:
            parts.append(f"group {list(self.group)}")
        return f"{self.op} ({', '.join(parts)})" if parts else self.op


@dataclass
class Ledger:
    """All rows of a run, by rank, then in time; rows recorded by hand stand in the order of their recording."""

    rows: list[Row] = field(default_factory=list)
    _recorded: Counter = field(default_factory=Counter, repr=False, compare=False)  # rows by hand, by rank

    def _select(self, op: str | None, rank: int | None) -> list[Row]:
        return [row for row in self.rows if op in (None, row.op) and rank in (None, row.rank)]

    def count(self, op: str | None = None, rank: int | None = None) -> int:
        """Number of collectives; of one op and of one rank where given."""
        return len(self._select(op, rank))

    def bytes(self, op: str | None = None, rank: int | None = None) -> int:
        """Bytes contributed: the size of the tensors handed to the collectives."""
        return sum(row.bytes for row in self._select(op, rank))

    def wire_bytes(self, op: str | None = None, rank: int | None = None) -> int:
        """Bytes sent when every collective runs as a ring; see `Row.wire_bytes`."""
        return sum(row.wire_bytes for row in self._select(op, rank))

    def record(
        self,
        rank: int,
        op: str,
        tensor: Tensor | None = None,
        *,
        group: tuple[int, ...],
        reduce_op: str | None = None,
        root: int | None = None,
        peer: int | None = None,
    ) -> None:
        """Write one row by hand: how simulated ranks keep the same books."""
        self._recorded[rank] += 1
        self.rows.append(
            Row(
                rank=rank,
                index=self._recorded[rank] - 1,
                op=op,
                group=group,
                shape=tuple(tensor.shape) if tensor is not None else None,
                dtype=str(tensor.dtype).removeprefix("torch.") if tensor is not None else None,
                reduce_op=reduce_op,
                root=root,
                peer=peer,
                bytes=tensor.numel() * tensor.element_size() if tensor is not None else 0,
                transport="simulated",
            )
        )

    def deliver(self, tensors: list[Tensor]) -> list[Tensor]:
        """What simulated collectives pass their results through; a check overrides it to see whether they are used."""
        return tensors

    def table(self, rank: int | None = None) -> str:
        """The ledger as text, one line a row; of one rank where given."""
        head = ("rank", "#", "op", "shape", "dtype", "bytes", "group", "where")
        lines = [head] + [
            (
                str(row.rank),
                str(row.index),
                row.op if row.peer is None else f"{row.op} {'→' if row.op == 'send' else '←'} {row.peer}",
                "×".join(map(str, row.shape)) if row.shape is not None else "",
                row.dtype or "",
                str(row.bytes),
                ",".join(map(str, row.group)),
                row.source,
            )
            for row in self._select(None, rank)
        ]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(
            "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines
        )
