"""What a compiler makes of a model on a mesh: verified with real weights, and planned without any."""

from collections.abc import Sequence
from pathlib import Path

import typer

from tplearn.cli.app import complaints


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


def plan_with_jax(model: str, mesh: str, batch: int | None, layers: int | None) -> None:
    """`tplearn plan --with jax`: prints its tables."""
    from rich.console import Console

    with complaints():
        _require_jax()
        from tplearn.commands import plan_jax, tables_jax
        from tplearn.commands.jax_meshes import Request
        from tplearn.commands.verify import parse_meshes

        request = Request(parse_meshes(mesh), batch, layers)
        config = request.cut(plan_jax.known_model(model))
        programs = list(plan_jax.plan_with_jax(config, request, _tell))
    tables_jax.show_programs(programs, config, Console())
