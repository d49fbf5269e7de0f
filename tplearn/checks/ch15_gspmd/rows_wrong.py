"""Readers of HLO text with one mistake each, for the mutants of exercise 15.2."""

import math
import re

BYTES = {"pred": 1, "bf16": 2, "f32": 4, "s32": 4, "f64": 8}
OP = r"all-reduce|all-gather|reduce-scatter"
TENSOR = re.compile(r"(\w+)\[([\d,]*)\]")
Row = tuple[str, int, int]


def wrong_rows(hlo_text: str, wrong: str) -> list[Row]:
    """Rows, with one thing `wrong`."""
    rows: list[Row] = []
    for line in hlo_text.splitlines():
        found = _op_and_tensors(line, wrong)
        if found is None:
            continue
        op, tensors = found
        p = _size_of_group(line, wrong)
        sizes = [_bytes(dtype, shape, wrong) for dtype, shape in tensors]
        if wrong == "combined as one row":
            sizes = [sum(sizes)]
        if wrong == "first tensor only":
            sizes = sizes[:1]
        if wrong == "single numbers left out":
            sizes = [size for size, (_, shape) in zip(sizes, tensors, strict=True) if shape]
        name = op if wrong == "hyphens" else op.replace("-", "_")
        rows += [(name, _given(op, size, p, wrong), p) for size in sizes]
    return sorted(rows) if wrong == "sorted" else rows


def _op_and_tensors(line: str, wrong: str) -> tuple[str, list[tuple[str, str]]] | None:
    """The collective of a line and the tensors of its result, or None."""
    left, _, right = line.partition(" = ")
    if wrong == "the word anywhere":
        found = re.search(OP, line)
        result = right.partition("%")[0]
    elif wrong == "the name on the left":
        found = re.match(rf" *%({OP})[.\d]* *$", left)
        result = right.partition("%")[0]
    elif wrong == "no tuples":
        found = re.search(rf" = \S+ ({OP})\(", line)
        result = right.partition(" ")[0]
    else:
        found = re.search(rf" = (?:\(.*?\)|\S+) ({OP})\(", line)
        result = right.partition("%")[0]
    if found is None:
        return None
    return found[found.lastindex or 0], TENSOR.findall(result)


def _bytes(dtype: str, shape: str, wrong: str) -> int:
    numbers = [int(n) for n in shape.split(",") if n]
    count = math.prod(numbers) if numbers or wrong != "single numbers without bytes" else 0
    return count * {"numbers for bytes": 1, "four bytes each": 4}.get(wrong, BYTES[dtype])


def _given(op: str, size: int, p: int, wrong: str) -> int:
    """From the result's bytes to those that a device gives in."""
    if op == "all-gather" and wrong not in ("results", "results of all-gathers"):
        return size * p if wrong == "the wrong way round" else size // p
    if op == "reduce-scatter" and wrong not in ("results", "results of reduce-scatters"):
        return size // p if wrong == "the wrong way round" else size * p
    return size


def _size_of_group(line: str, wrong: str) -> int:
    if "replica_groups=" not in line:
        return 1
    if listed := re.search(r"replica_groups=\{(\{.*?\})\}", line):
        groups = listed[1].split("},{")
        return len(groups) if wrong == "groups, not members" else len(groups[0].split(","))
    if wrong == "lists only":
        return 8
    if wrong == "lists only, and an error":
        raise ValueError("no groups are found")
    if short := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", line):
        if wrong == "turned by T" and re.search(r"replica_groups=\[[\d,]+\]<=\[[\d,]+\]T", line):
            return int(short[1])
        return int(short[1 if wrong in ("groups, not members", "the first of two numbers") else 2])
    if wrong == "no meshes":
        raise ValueError("no groups are found")
    if wrong == "device_ids for groups" and (ids := re.search(r"device_ids=\(\[([\d,]+)\]", line)):
        return int(ids[1].split(",")[-1])
    axes, own = re.search(r"replica_groups=mesh\[(.*?)\].*? \{(.*?)\}", line).groups()
    sizes = {axis.split("=")[0]: int(axis.split("=")[1]) for axis in axes.split(",")}
    names = own.split(",")
    if wrong == "the mesh's devices":
        return math.prod(sizes.values())
    if wrong == "axes counted":
        return len(names)
    if wrong == "groups, not members":
        return math.prod(size for name, size in sizes.items() if name not in names)
    return sizes[names[0]] if wrong == "one axis only" else math.prod(sizes[name] for name in names)
