"""The collectives of a program, read from compiled HLO text: what each device puts in, and who works together."""

import math
import re
from dataclasses import dataclass

from tplearn.gspmd.replica_groups import Groups, read_groups

Tensor = tuple[str, tuple[int, ...]]  # HLO's name of a dtype, and a shape

REDUCTIONS = {
    "add": "SUM",
    "multiply": "PRODUCT",
    "minimum": "MIN",
    "maximum": "MAX",
    "and": "BAND",
    "or": "BOR",
    "xor": "BXOR",
}
OPS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
NOT_READ = ("collective-broadcast", "ragged-all-to-all", "send", "recv")  # they communicate, too
NAMED = re.compile(r"\s*(?:ROOT )?%?([\w.-]+) = (?=\S)")
CALLED = re.compile(rf" ({'|'.join(OPS + NOT_READ)})(-start)?\(")
COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$")
ROOT = re.compile(r"\s+ROOT %?[\w.-]+ = \S+ ([\w-]+)\(")
TENSOR = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
SIZE = re.compile(r"\b(?:num_partitions|replica_count)=(\d+)")


@dataclass(frozen=True)
class Instruction:
    """One collective of a program, as all its devices run it."""

    name: str
    op: str
    """all_reduce, all_gather, reduce_scatter, all_to_all or collective_permute"""
    tensors: tuple[Tensor, ...]
    """what one device contributes; several where the compiler has combined them"""
    groups: Groups
    """the devices that work together, by their place in the mesh; of a permute the pairs (source, target)"""
    reduce_op: str | None
    made_by: str
    """the operation of the model that it serves"""


def instructions(text: str) -> list[Instruction]:
    """The collectives of a program, in the order of its text, which is that of `compiled.as_text()`.

    One in the body of a loop is listed once, however often the loop runs. An asynchronous pair (-start and -done)
    is one instruction.

    Raises ValueError, with what it has found, for a text that is no HLO, and for a collective, a reduction or a
    spelling of groups that is not read here.
    """
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    if not header.startswith("HloModule"):
        raise ValueError(f"a text that begins with {header[:40]!r} is no HLO; what compiled.as_text() returns works")
    devices = math.prod(int(size) for size in SIZE.findall(header))
    roots = _roots(lines)
    found = []
    for line in lines:
        named = NAMED.match(line)
        called = CALLED.match(line, _end_of_type(line, named.end())) if named else None
        if called:
            found.append(_instruction(line, named, called, devices, roots))
    return found


def _instruction(line: str, named: re.Match, called: re.Match, devices: int, roots: dict[str, str]) -> Instruction:
    (name,), (op, start) = named.groups(), called.groups()
    if op in NOT_READ:
        raise ValueError(f"%{name} is a {op}, which is not read here; {', '.join(OPS)} are")
    result = line[named.end() : called.start()]
    if start and op != "all-reduce":  # its type is (operands, results, …)
        begin = _end_of_type(result, 1) + 2
        result = result[begin : _end_of_type(result, begin)]
    groups = read_groups(line, devices)
    made_by = re.search(r'op_name="([^"]*)"', line)
    results = [
        (dtype, tuple(int(size) for size in shape.split(",") if size)) for dtype, shape in TENSOR.findall(result)
    ]
    return Instruction(
        name=name,
        op=op.replace("-", "_"),
        tensors=_contributed(op, results, line, len(groups[0])),
        groups=groups,
        reduce_op=_reduction(line, roots),
        made_by=made_by[1] if made_by else "",
    )


def _contributed(op: str, results: list[Tensor], line: str, members: int) -> tuple[Tensor, ...]:
    """What one device puts in, from what it gets out."""
    along = re.search(r"dimensions=\{(\d+)\}", line)
    if op == "all-to-all" and along is None:  # a tuple with the piece of each device
        dtype, piece = results[0]
        return ((dtype, (len(results), *piece)),)
    if op not in ("all-gather", "reduce-scatter"):
        return tuple(results)
    dim = int(along[1])
    own = []
    for dtype, shape in results:
        size = shape[dim] // members if op == "all-gather" else shape[dim] * members
        own.append((dtype, (*shape[:dim], size, *shape[dim + 1 :])))
    return tuple(own)


def _reduction(line: str, roots: dict[str, str]) -> str | None:
    """SUM, MAX, …: what the computation does that a reduction applies to two values."""
    applied = re.search(r"to_apply=%?([\w.-]+)", line)
    if applied is None:
        return None
    root = roots.get(applied[1], "nothing")
    if root not in REDUCTIONS:
        raise ValueError(f"%{applied[1]} reduces by {root}, which is not read here; {', '.join(REDUCTIONS)} are")
    return REDUCTIONS[root]


def _roots(lines: list[str]) -> dict[str, str]:
    """By computation: the operation that makes its result."""
    roots, computation = {}, ""
    for line in lines:
        if begun := COMPUTATION.match(line):
            computation = begun[1]
        elif root := ROOT.match(line):
            roots[computation] = root[1]
    return roots


def _end_of_type(text: str, begin: int) -> int:
    """Where a type ends that begins there: at the space or comma outside all its brackets, or at the bracket around it.

    A type is `f32[4,32]{1,0}` or a tuple of types in parentheses.
    """
    depth = 0
    for place in range(begin, len(text)):
        character = text[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return place
        elif character in " ," and depth == 0:
            return place
    return len(text)
