"""Compiled text as a ledger: groups in all spellings, tensors as they are contributed, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tplearn.gspmd.hlo import collectives, count_ops, ledger_of
from tplearn.gspmd.instructions import instructions
from tplearn.gspmd.replica_groups import read_groups
from tplearn.ranks.ledger import Row

HEADER = "HloModule jit_f, is_scheduled=true, num_partitions=8\n\n"
ADD = "%add (x: f32[], y: f32[]) -> f32[] {\n  %x = f32[] parameter(0)\n  ROOT %a = f32[] add(%x, %y)\n}\n\n"
ROWS = "replica_groups={{0,1,2,3},{4,5,6,7}}"
IN_ROWS = ((0, 1, 2, 3), (4, 5, 6, 7))


def program(*lines: str) -> str:
    return HEADER + ADD + "ENTRY %main (p: f32[4,2]) -> f32[4,2] {\n  " + "\n  ".join(lines) + "\n}\n"


def one(line: str) -> tuple:
    (found,) = instructions(program(line))
    return found.op, found.tensors, found.groups, found.reduce_op


def test_one_collective_is_a_row_of_every_device() -> None:
    made = 'metadata={op_name="jit(f)/dot_general"}'
    text = program(f"ROOT %all-reduce.3 = f32[4,2]{{1,0}} all-reduce(%p), {ROWS}, to_apply=%add, {made}")
    due = [
        Row(
            rank=rank,
            index=0,
            op="all_reduce",
            group=IN_ROWS[rank // 4],
            shape=(4, 2),
            dtype="float32",
            reduce_op="SUM",
            bytes=32,
            source="all-reduce.3",
            code="jit(f)/dot_general",
            transport="xla",
        )
        for rank in range(8)
    ]
    assert collectives(text) == due
    ledger = ledger_of(text)
    assert ledger.count("all_reduce", rank=5) == 1 and ledger.wire_bytes(rank=0) == 48


def test_what_is_combined_has_a_row_for_each_tensor_and_counts_once() -> None:
    text = program(
        f"%all-reduce.1 = (f32[4,2]{{1,0}}, /*index=1*/bf16[3]{{0}}) all-reduce(%p, %q), {ROWS}, to_apply=%add",
        "%get-tuple-element = f32[4,2]{1,0} get-tuple-element(%all-reduce.1), index=0",
        f"%all-gather = pred[8]{{0}} all-gather(%all-reduce.1), {ROWS}, dimensions={{0}}",
    )
    own = [row for row in collectives(text) if row.rank == 6]
    assert [(row.index, row.op, row.shape, row.dtype, row.bytes) for row in own] == [
        (0, "all_reduce", (4, 2), "float32", 32),
        (1, "all_reduce", (3,), "bfloat16", 6),
        (2, "all_gather", (2,), "bool", 2),
    ]
    assert own[0].source == own[1].source == "all-reduce.1"
    assert count_ops(text) == {"all_reduce": 1, "all_gather": 1}
    assert ledger_of(text).count(rank=6) == 3


PERMUTED = "source_target_pairs={{0,1},{1,0},{2,2}}"
PAIRS = ((0, 1), (1, 0), (2, 2))
CONTRIBUTED = [
    (f"%g = f32[16,3]{{0,1}} all-gather(%p), {ROWS}, dimensions={{0}}", "all_gather", (4, 3), IN_ROWS),
    (f"%g = f32[4,12]{{1,0}} all-gather(%p), {ROWS}, dimensions={{1}}", "all_gather", (4, 3), IN_ROWS),
    (
        f"%g = (f32[1,3]{{1,0}}, f32[4,3]{{1,0:T(8,128)}}) all-gather-start(%p), {ROWS}, dimensions={{0}}",
        "all_gather",
        (1, 3),
        IN_ROWS,
    ),
    (f"%t = f32[16]{{0}} all-to-all(%p), {ROWS}, dimensions={{0}}", "all_to_all", (16,), IN_ROWS),
    (
        f"%t = (f32[2,3]{{1,0}}, f32[2,3]{{1,0}}, f32[2,3]{{1,0}}, f32[2,3]{{1,0}}) all-to-all(%a, %b, %c, %d), {ROWS}",
        "all_to_all",
        (4, 2, 3),
        IN_ROWS,
    ),
    (f"%c = f32[5]{{0}} collective-permute(%p), {PERMUTED}", "collective_permute", (5,), PAIRS),
    (
        f"%c = (f32[5]{{0}}, f32[5]{{0}}, u32[], u32[]) collective-permute-start(%p), {PERMUTED}",
        "collective_permute",
        (5,),
        PAIRS,
    ),
]


@pytest.mark.parametrize(("line", "op", "shape", "groups"), CONTRIBUTED)
def test_a_result_is_told_as_what_was_contributed(line: str, op: str, shape: tuple, groups: tuple) -> None:
    assert one(line) == (op, (("f32", shape),), groups, None)


@pytest.mark.parametrize(
    "line",
    [
        f"%s = f32[4,3]{{1,0}} reduce-scatter(%p), {ROWS}, dimensions={{0}}, to_apply=%add",
        f"%s = ((f32[16,3]{{1,0}}), f32[4,3]{{1,0}}) reduce-scatter-start(%p), {ROWS}, dimensions={{0}}, to_apply=%add",
        f"%s = f32[16,3]{{1,0}} all-reduce-start(%p), {ROWS}, to_apply=%add",
    ],
)
def test_what_is_summed_was_there_whole(line: str) -> None:
    op = "all_reduce" if "all-reduce" in line else "reduce_scatter"
    assert one(line) == (op, (("f32", (16, 3)),), IN_ROWS, "SUM")


def test_a_permute_is_a_row_of_each_sender() -> None:
    rows = collectives(program(f"%c = f32[5]{{0}} collective-permute(%p), {PERMUTED}"))
    assert [(row.rank, row.group, row.wire_bytes) for row in rows] == [(0, (0, 1), 20), (1, (1, 0), 20), (2, (2,), 0)]


def test_only_calls_count() -> None:
    text = program(
        "%fusion = f32[4,2]{1,0} fusion(%all-reduce.3), calls=%all-reduce-like",
        "%all-reduce-done = f32[4,2]{1,0} all-reduce-done(%all-reduce-start)",
        "ROOT %tuple = (f32[4,2]{1,0}, f32[4,2]{1,0}) tuple(%all-gather, %fusion)",
    )
    assert collectives(text) == [] and count_ops(text) == {}


REFUSED = [
    ("module @jit_f {\n}", "begins with 'module @jit_f {' is no HLO; what compiled.as_text() returns works"),
    ("", "begins with '' is no HLO"),
    (program(f"%b = f32[4] collective-broadcast(%p), {ROWS}"), "%b is a collective-broadcast, which is not read here"),
    (program("%s = (f32[4], u32[], token[]) send(%p), channel_id=1"), "%s is a send, which is not read here"),
    (program(f"%a = s4[4] all-reduce(%p), {ROWS}, to_apply=%add"), "%a sends values of type s4, which is not read"),
    (
        program(f"%a = f32[4] all-reduce(%p), {ROWS}, to_apply=%mean"),
        "%mean reduces by nothing, which is not read here",
    ),
    (program("%a = f32[4] all-reduce(%p), to_apply=%add"), "is no spelling of device groups that is read here"),
    (
        program("%a = f32[4] all-reduce(%p), replica_groups=mesh['x'=8] {'x':(1)2}, to_apply=%add"),
        "mesh['x'=8] {'x':(1)2}, to_apply=%add is no spelling of device groups that is read here",
    ),
    (
        program("%a = f32[4] all-reduce(%p), replica_groups={{0,8}}, to_apply=%add"),
        "((0, 8),) are no groups of 8 devices; each of 0 to 7 once works",
    ),
    (program("%a = f32[4] all-reduce(%p), replica_groups={{0,1},{1,2}}, to_apply=%add"), "are no groups of 8 devices"),
    (program("%c = f32[4] collective-permute(%p), source_target_pairs={{0,1},{2,1}}"), "are no groups of 8 devices"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_what_is_not_read_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        collectives(text)
    assert message in str(refused.value)


def test_groups_of_all_devices_may_be_left_out() -> None:
    assert read_groups("replica_groups={}, to_apply=%add", 4) == ((0, 1, 2, 3),)


LAID_OUT = st.lists(st.integers(1, 4), min_size=1, max_size=4).flatmap(
    lambda sizes: st.tuples(st.just(sizes), st.permutations(range(len(sizes))))
)


def spelled(sizes: list[int], order: list[int]) -> str:
    """[2,4]T(1,0), as XLA leaves out an order that changes nothing."""
    moved = f"T({','.join(map(str, order))})" if list(order) != sorted(order) else ""
    return f"[{','.join(map(str, sizes))}]{moved}"


@settings(max_examples=200, deadline=None)
@given(LAID_OUT, st.data())
def test_an_iota_is_what_numpy_makes_of_it(laid_out: tuple, data: st.DataObject) -> None:
    sizes, order = laid_out
    total = int(np.prod(sizes))
    members = data.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    due = np.arange(total).reshape(sizes).transpose(order).reshape(-1, members)
    line = f"x), replica_groups=[{total // members},{members}]<={spelled(sizes, order)}, dimensions={{0}}"
    assert read_groups(line, total) == tuple(map(tuple, due.tolist()))


@settings(max_examples=200, deadline=None)
@given(LAID_OUT, st.data())
def test_a_mesh_is_cut_along_its_axes(laid_out: tuple, data: st.DataObject) -> None:
    """Against walking over the coordinates: who differs only along the named axes works together."""
    sizes, order = laid_out
    ids = np.arange(int(np.prod(sizes))).reshape(sizes).transpose(order)
    names = [f"axis_{number}" for number in range(ids.ndim)]
    own = data.draw(st.lists(st.sampled_from(range(ids.ndim)), unique=True))
    places = itertools.product(*(range(size) for size in ids.shape))
    groups: dict[tuple, dict[tuple, int]] = {}
    for place in places:
        outside = tuple(c for axis, c in enumerate(place) if axis not in own)
        groups.setdefault(outside, {})[tuple(place[axis] for axis in own)] = int(ids[place])
    due = {tuple(group[inside] for inside in sorted(group)) for group in groups.values()}

    axes = ",".join(f"'{name}'={size}" for name, size in zip(names, ids.shape, strict=True))
    plain = np.array_equal(ids.ravel(), np.arange(ids.size))
    device_ids = "" if plain else f", device_ids=({spelled(sizes, order)})"
    along = ",".join(f"'{names[axis]}'" for axis in own)
    found = read_groups(f"x), replica_groups=mesh[{axes}]{device_ids} {{{along}}}, dimensions={{0}}", ids.size)
    assert set(found) == due and len(found) == len(due)
