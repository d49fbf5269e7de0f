"""Ranks as a grid: choose how many there are and how many share a layer, and see every group."""

from matplotlib.figure import Figure

from tplearn.show.mesh import draw_mesh, groups_of


def draw(figure: Figure, world_size: int = 8, tp: int = 4, rank: int = 5) -> str:
    """Draw the dp × tp grid, frame one rank's two groups, and say them. ValueError where tp does not divide."""
    draw_mesh(figure, world_size, tp, rank)
    groups = groups_of(world_size, tp, rank)
    names = {kind: ", ".join(map(str, members)) for kind, members in groups.items()}
    return (
        f'init_device_mesh("cpu", ({world_size // tp}, {tp}), mesh_dim_names=("dp", "tp")). '
        f"Rank {rank}: tp group {names['tp']}; dp group {names['dp']}."
    )


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: world size, tp, and the rank whose groups are marked."""
    from tplearn.show.widgets.picture import Picture, slider

    return Picture(
        draw,
        {
            "world_size": slider([2, 4, 6, 8], 8, "world size"),
            "tp": slider([1, 2, 3, 4, 6, 8], 4, "tp"),
            "rank": slider(list(range(8)), 5, "rank"),
        },
    )
