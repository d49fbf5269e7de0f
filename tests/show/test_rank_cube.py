"""Chapter 17's layouts and blocks: groups are those of a real mesh, nodes are counted, work is what ranks compute."""

import itertools

import pytest
import torch.distributed as dist
from matplotlib.figure import Figure
from torch.distributed.device_mesh import init_device_mesh

from tplearn import run_ranks
from tplearn.parallel.context import blocks_at, own_positions
from tplearn.show.figures.ch17 import EIGHT
from tplearn.show.figures.ch17_cube import LETTERS, MOST, NODE, ORDERS, Layout, paint_cube
from tplearn.show.figures.ch17_ring import owners, work
from tplearn.show.widgets import rank_cube

SETTING = {"dp": 2, "pp": 4, "cp": 2, "tp": 8, "order": ORDERS[0], "rank": 21}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def real_groups(sizes: dict[str, int]) -> dict[str, list[int]]:
    mesh = init_device_mesh("cpu", tuple(sizes.values()), mesh_dim_names=tuple(sizes))
    return {name: dist.get_process_group_ranks(mesh.get_group(name)) for name in sizes}


@pytest.mark.parametrize("sizes", [{"dp": 1, "pp": 2, "cp": 3, "tp": 1}, {"tp": 3, "cp": 1, "pp": 1, "dp": 2}])
def test_groups_are_those_of_init_device_mesh(sizes: dict[str, int]) -> None:
    layout = Layout(sizes)
    for rank, real in enumerate(run_ranks(real_groups, 6, sizes, record=False).values):
        assert {name: layout.group(name, rank) for name in sizes} == real


def test_the_cube_of_eight_is_the_mesh_pp_dp_tp() -> None:
    layout = Layout({"pp": 2, "dp": 2, "tp": 2})
    for name, (step, _) in EIGHT.items():
        assert layout.group(name, 0) == [0, step]


def test_nodes_are_those_of_the_widest_group() -> None:
    for sizes in ({"dp": 3, "tp": 4}, {"pp": 3, "cp": 2, "tp": 6}, {"tp": 8, "dp": 4}):
        layout = Layout(sizes)
        for name in sizes:
            groups = [layout.group(name, rank) for rank in range(layout.ranks)]
            assert layout.nodes(name) == max(len({rank // NODE for rank in group}) for group in groups)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ("128 ranks on 16 nodes", "tp 16, 17, 18, 19, 20, 21, 22, 23 (inside one node)", "dp 21, 85 (across 2")),
        ({"order": "tp, cp, pp, dp"}, ("(across 8 nodes)", "dp 20, 21 (inside one node)")),
        (
            {"order": "dp, pp, tp, cp"},
            ("tp 17, 19, 21, 23, 25, 27, 29, 31 (across 2 nodes)", "cp 20, 21 (inside one node)"),
        ),
        ({"tp": 4}, ("tp 20, 21, 22, 23 (inside one node)", "cp 17, 21 (inside one node)")),
        ({"tp": 16, "cp": 1}, ("cp by itself (nothing to send)", "tp 16, 17, 18, 19, …, 31 (across 2 nodes)")),
        ({"dp": 1, "pp": 1, "cp": 1, "tp": 4, "rank": 0}, ("4 ranks on 1 node.", "tp 0, 1, 2, 3 (inside one node)")),
    ],
)
def test_the_words_say_who_is_in_a_group_and_where(change: dict, said: tuple[str, ...]) -> None:
    words = paint_cube(Figure(), **SETTING | change)
    for part in said:
        assert part in words, words


def test_the_groups_are_drawn_and_only_tp_is_judged() -> None:
    figure = Figure()
    paint_cube(figure, **SETTING)
    shown = texts(figure)
    members = {*range(16, 24), 29, 5, 37, 53, 85}
    assert {int(text) for text in shown if text.isdigit()} == members
    assert [text for text in shown if text.startswith(("✓", "✗"))] == ["✓ inside one node"]
    paint_cube(figure, **SETTING | {"order": "tp, cp, pp, dp"})
    assert [text for text in texts(figure) if text.startswith(("✓", "✗"))] == ["✗ across 8 nodes"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rank": 200}, "rank = 200 does not exist; with 128 ranks, ranks go from 0 to 127"),
        ({"dp": 8}, "8 · 4 · 2 · 8 = 512 ranks are too many to draw; sizes whose product is 256 work"),
        ({"order": "dp, tp"}, "order = 'dp, tp' is none; orders that work: dp, pp, cp, tp"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match="work|go from") as caught:
        paint_cube(Figure(), **SETTING | change)
    assert reason in str(caught.value)


def test_every_setting_of_the_controls_draws_or_is_refused() -> None:
    controls = rank_cube.show().children[0].children
    *sizes, orders, _ = (control.options for control in controls)
    figure, drawn = Figure(), 0
    for number, setting in enumerate(itertools.product(*sizes)):
        if number % 9:
            continue
        names = dict(zip(("dp", "pp", "cp", "tp"), setting, strict=True))
        try:
            paint_cube(figure, **names, order=orders[number % len(orders)], rank=number % 3)
        except ValueError as error:
            assert "work" in str(error) or "go from" in str(error)
        else:
            drawn += 1
            assert len(figure.axes[0].get_children()) < 230, "more artists than a quick redraw can bear"
    assert drawn >= 20 and set(LETTERS) == set(names)
    assert max(controls[-1].options) == MOST - 1


def test_blocks_by_rank_are_what_ring_attention_computes() -> None:
    p = 4
    for zigzag in (False, True):
        owner = owners(p, zigzag)
        chunks = [own_positions(2 * p, rank, p, zigzag=zigzag).tolist() for rank in range(p)]
        assert [owner[chunk] for own in chunks for chunk in own] == [rank for rank in range(p) for _ in range(2)]
    assert work(owners(p, False)) == [2, 6, 10, 14] and work(owners(p, True)) == [8] * p
    for rank in range(p):
        pairs = [pair for step in range(p) for pair in blocks_at(rank, step, p)]
        assert sum(0.5 if query == key else 1 for query, key in pairs) == work(owners(p, True))[rank]
