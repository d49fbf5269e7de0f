"""Texts of compiled programs for exercise 15.2, in lines as XLA writes them, with random sizes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from tplearn.checks.inputs import one_of, pick

HEAD = "HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[4,4]{1,0})->f32[4,4]{1,0}}, num_partitions=8"
ADD = "%add.clone (x.1: f32[], y.1: f32[]) -> f32[] {\n  ROOT %add = f32[] add(%x.1, %y.1)\n}"
LISTED = {2: "{{0,4},{1,5},{2,6},{3,7}}", 4: "{{0,1,2,3},{4,5,6,7}}", 8: "{{0,1,2,3,4,5,6,7}}"}
IOTA = {2: "[4,2]<=[2,4]T(1,0)", 4: "[2,4]<=[8]", 8: "[1,8]<=[8]"}
MESH = {
    2: "mesh['axis_0'=4,'axis_1'=2] {'axis_1'}",
    4: "mesh['axis_0'=2,'axis_1'=1,'axis_2'=4], device_ids=([4,2]T(1,0)) {'axis_2'}",
    8: "mesh['axis_0'=2,'axis_1'=2,'axis_2'=2] {'axis_0','axis_1','axis_2'}",
}
MESH_OF_TWO = "mesh['axis_0'=2,'axis_1'=2,'axis_2'=2], device_ids=([4,2]T(1,0)) {'axis_0','axis_2'}"  # groups of 4
DTYPES = ("f32", "f64", "bf16", "s32")


@dataclass
class Text:
    """A program that is written line by line; `groups` are written in one of the spellings."""

    generator: Generator
    lines: list[str]

    @staticmethod
    def begin(generator: Generator) -> Text:
        """With a parameter."""
        return Text(generator, ["  %param.1 = f32[4,4]{1,0} parameter(0), sharding={devices=[2,4]<=[8]}"])

    def tensor(self, p: int, dtype: str | None = None) -> str:
        """A type such as `f32[3,8]{1,0}`; its last dimension divides by p."""
        dtype = dtype or str(one_of(self.generator, DTYPES))
        return f"{dtype}[{pick(self.generator, 2, 9)},{pick(self.generator, 1, 4, p)}]{{1,0}}"

    def call(self, op: str, result: str, groups: str, name: str = "", operand: str = "%param.1") -> str:
        """A collective; its name, to be used by others."""
        name = name or f"%{op}.{len(self.lines)}"
        more = {"all-gather": "dimensions={1}, ", "reduce-scatter": "dimensions={1}, to_apply=%add.clone, "}
        self.lines.append(
            f"  {name} = {result} {op}({operand}), channel_id={len(self.lines)}, replica_groups={groups}, "
            f"{more.get(op, 'to_apply=%add.clone, ')}use_global_device_ids=true, "
            f'metadata={{op_name="jit(f)/dot_general" stack_frame_id={pick(self.generator, 1, 40)}}}'
        )
        return name

    def uses(self, name: str, kind: str) -> None:
        """A line that only names a collective."""
        number, own = len(self.lines), name[1:].partition(".")[0]
        if kind == "element":
            line = f"%get-tuple-element.{number} = f32[4,8]{{1,0}} get-tuple-element({name}), index=0"
        else:
            line = f"%{own}_fusion.{number} = f32[4,8]{{1,0}} fusion({name}), kind=kLoop, calls=%fused.{number}"
            line += ', metadata={op_name="jit(f)/all-reduce/mul"}'
        self.lines.append("  " + line)

    def __str__(self) -> str:
        """The whole text."""
        last = "  ROOT %tanh = f32[4,4]{1,0} tanh(%param.1)"
        return "\n".join(
            [HEAD, "", ADD, "", "ENTRY %main.0_spmd (param.1: f32[4,4]) -> f32[4,4] {", *self.lines, last, "}", ""]
        )


def one_each(generator: Generator, p: int) -> str:
    """One of each kind, lines that only use them, and groups as lists."""
    text = Text.begin(generator)
    for op in ("all-reduce", "all-gather", "reduce-scatter", "all-reduce"):
        name = text.call(op, text.tensor(p), LISTED[p])
        text.uses(name, "fusion")
    return str(text)


def other_names(generator: Generator, p: int) -> str:
    """What shard_map makes: the left side is JAX's name of the operation."""
    text = Text.begin(generator)
    for name, op in (("psum", "all-reduce"), ("all_gather", "all-gather"), ("pmax", "all-reduce")):
        text.uses(text.call(op, text.tensor(p), LISTED[p], f"%{name}.{pick(generator, 1, 9)}"), "fusion")
    return str(text)


def combined(generator: Generator, p: int) -> str:
    """An all-reduce of three tensors, one of seven with XLA's counts between, and one of one."""
    text = Text.begin(generator)
    for count in (3, 7, 1):
        tensors = [text.tensor(p) for _ in range(count)]
        tensors = [f"/*index={k}*/{tensor}" if k and k % 5 == 0 else tensor for k, tensor in enumerate(tensors)]
        result = f"({', '.join(tensors)})" if count > 1 else tensors[0]
        text.uses(text.call("all-reduce", result, LISTED[p]), "element")
    return str(text)


def numbers_and_bits(generator: Generator, p: int) -> str:
    """A single number, a row of bits, a vector."""
    text = Text.begin(generator)
    for result in ("f32[]", f"pred[{pick(generator, 3, 9)}]{{0}}", "f64[]", f"bf16[{pick(generator, 3, 9)}]{{0}}"):
        text.call("all-reduce", result, LISTED[p])
    return str(text)


def short_groups(generator: Generator, p: int) -> str:
    """Groups as the shape of a range."""
    return _in_groups(generator, p, IOTA[p])


def mesh_groups(generator: Generator, p: int) -> str:
    """Groups as axes of a mesh."""
    return _in_groups(generator, p, MESH[p])


def two_axes(generator: Generator, p: int) -> str:
    """Groups along two axes of three: p = 4."""
    return _in_groups(generator, p, MESH_OF_TWO)


def _in_groups(generator: Generator, p: int, groups: str) -> str:
    text = Text.begin(generator)
    for op in ("all-reduce", "all-gather", "reduce-scatter"):
        text.call(op, text.tensor(p), groups)
    return str(text)
