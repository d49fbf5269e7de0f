"""The pictures of chapters 00 and 05 say what really happens: the real verdict, and the groups of a real mesh."""

import pytest
import torch
import torch.distributed as dist
from matplotlib.figure import Figure
from torch.distributed.device_mesh import init_device_mesh

from tplearn import Deadlock, run_ranks
from tplearn.show.lanes import verdict
from tplearn.show.mesh import groups_of
from tplearn.show.style import png_bytes
from tplearn.show.widgets import device_mesh, swim_lanes


def meet(leaver: int, after: int, meetings: int) -> None:
    for meeting in range(meetings):
        if dist.get_rank() == leaver and meeting == after:
            return
        dist.all_reduce(torch.ones(1))


def own_groups(shape: tuple[int, int]) -> dict[str, list[int]]:
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("dp", "tp"))
    return {name: dist.get_process_group_ranks(mesh.get_group(name)) for name in ("tp", "dp")}


@pytest.mark.parametrize(("world_size", "leaver", "after"), [(2, 0, 0), (3, 1, 2), (4, 2, 1)])
def test_the_drawn_verdict_is_the_real_one(world_size: int, leaver: int, after: int) -> None:
    with pytest.raises(Deadlock) as caught:
        run_ranks(meet, world_size, leaver, after, 3)
    report, drawn = str(caught.value), verdict(world_size, 3, leaver, after)
    assert drawn.startswith("✗ " + report.splitlines()[0])
    assert report.count(f"waits in all_reduce #{after}") == world_size - 1
    assert f"in all_reduce #{after}" in drawn
    gone = f"returned after {after} collective"
    assert f"rank {leaver}  {gone}" in report
    assert f"rank {leaver} {gone}" in drawn


def test_nobody_leaves() -> None:
    run_ranks(meet, 2, -1, 0, 3)
    assert verdict(2, 3, None, 0).startswith("✓")
    assert verdict(2, 3, 1, 3).startswith("✓"), "to leave after the last appointment harms nobody"


def test_groups_are_those_of_device_mesh() -> None:
    real = run_ranks(own_groups, 4, (2, 2)).values
    assert real == [groups_of(4, 2, rank) for rank in range(4)]


@pytest.mark.parametrize("values", [(2, -1, 0), (3, 0, 0), (4, 3, 3)])
def test_swim_lanes_draw(values: tuple[int, int, int]) -> None:
    figure = Figure()
    assert swim_lanes.draw(figure, *values)
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_bad_choices_are_explained() -> None:
    with pytest.raises(ValueError, match="ranks that work: 0 to 1"):
        swim_lanes.draw(Figure(), 2, 3, 1)
    with pytest.raises(ValueError, match="numbers that work: 0 to 3"):
        swim_lanes.draw(Figure(), 2, 1, 4)
    with pytest.raises(ValueError, match="tp = 3 does not divide world size 8; sizes that work: 1, 2, 4, 8"):
        device_mesh.draw(Figure(), 8, 3, 0)
    with pytest.raises(ValueError, match="rank = 8 is not among 8"):
        device_mesh.draw(Figure(), 8, 2, 8)


def test_device_mesh_says_its_groups() -> None:
    assert "tp group 4, 5, 6, 7; dp group 1, 5." in device_mesh.draw(Figure(), 8, 4, 5)
    assert len(device_mesh.show().children) == len(swim_lanes.show().children) == 3
