"""What a compiler makes of a model on a mesh: verified with real weights, and planned without any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints


def require_way(way: str, works: Sequence[str], *, device: str = "auto", **for_jax: int | None) -> None:
    """Raises ValueError for a way (--with) that does not exist, and for options that it cannot follow.

    for_jax: options that only jax takes, None where they were not typed.
    """
    from tplearn.commands.options import require
    from tplearn.forkserver import under_torchrun

    require("with", way, way in works, f"values that work: {', '.join(works)}")
    if way != "ranks":
        require("with", way, not under_torchrun(), "one process plays all devices; without torchrun it works")
        require("device", device, device in ("auto", "cpu"), f"--with {way} plays its devices on the CPU; cpu works")
    for option, value in for_jax.items():
        require(option, value, way == "jax" or value is None, f"--with {way} does not take it; --with jax does")


def _require_jax() -> None:
    """Raises ValueError, which says what to do, where JAX is not installed. Another import that fails is a bug."""
    from tplearn.gspmd.devices import require_jax

    try:
        require_jax()
    except ImportError as error:
        raise ValueError(str(error)) from None


def verify_with_jax(model: Path | None, mesh: str, batch: int | None, layers: int | None) -> int:
    """`tplearn verify --with jax`: prints its tables and returns the exit code."""
    from rich.console import Console

    with complaints():
        _require_jax()
        from tplearn.commands import tables_jax
        from tplearn.commands.jax_meshes import Request
        from tplearn.commands.verify import parse_meshes
        from tplearn.commands.verify_jax import verify_folder
        from tplearn.llama import TINY_LLAMA

        verdicts = verify_folder(model or TINY_LLAMA, Request(parse_meshes(mesh), batch, layers))
    tables_jax.show(verdicts, Console())
    return int(not all(verdict.agreement.close for verdict in verdicts))


def verify_with_torch_xla(model: Path | None, mesh: str) -> int:
    """`tplearn verify --with torch-xla`: prints its tables and returns the exit code."""
    from tplearn.commands import verify_torch_xla

    with complaints():
        return verify_torch_xla.verify_with_torch_xla(model, mesh, _tell)


def _tell(line: str) -> None:
    """What goes on, beside the tables."""
    typer.echo(line, err=True)


@app.command()
def plan(
    model: Annotated[str, typer.Option(help="A public model, such as llama-3.1-8b.")],
    mesh: Annotated[str, typer.Option(help="batch × model meshes, all of the same number of devices.")] = "1x8",
    way: Annotated[str, typer.Option("--with", help="The compiler: jax.")] = "jax",
    batch: Annotated[int | None, typer.Option(help="Texts; 8, or what the meshes deal evenly.")] = None,
    layers: Annotated[int | None, typer.Option(help="Compile only so many of the layers: it takes less time.")] = None,
) -> None:
    """Compiles a model of real size for a mesh, without its weights: the collectives, and bytes a device."""
    from rich.console import Console

    with complaints():
        require_way(way, ("jax",))
        _require_jax()
        from tplearn.commands import tables_jax
        from tplearn.commands.jax_meshes import Request
        from tplearn.commands.plan_jax import known_model, plan_with_jax
        from tplearn.commands.verify import parse_meshes

        request = Request(parse_meshes(mesh), batch, layers)
        config = request.cut(known_model(model))
        programs = list(plan_with_jax(config, request, _tell))
    tables_jax.show_programs(programs, config, Console())
