"""`tplearn verify --with torch-xla`: one Hugging Face Llama, annotated in several ways, over meshes of devices."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tplearn.commands.options import require
from tplearn.commands.verify import parse_meshes
from tplearn.gspmd.torch_xla import Collective, Outcome, Report, run_torch_xla
from tplearn.llama import TINY_LLAMA
from tplearn.llama.loading import examine

WIDTH = 130  # columns that the tables need
DEVICES = 64  # threads of one process, each with a copy of the inputs
GROUPS = 4  # so many are written out
PROGRAMS = "Ways with one program gave Torch-XLA the same graph: it sees the marks, and not who has written them."
THREADS = "The devices are threads of one process: what they hold and send is real, and they make nothing faster."


def verify_with_torch_xla(model: Path | None, mesh: str, tell: Callable[[str], None]) -> int:
    """Run and print everything; the exit code. tell: gets a line before each part.

    Raises ValueError for meshes that do not work and a folder that is no Llama's, FileNotFoundError without Torch-XLA,
    RuntimeError where it fails.
    """
    meshes = parse_meshes(mesh)
    require("mesh", mesh, math.prod(meshes[0]) <= DEVICES, f"up to {DEVICES} devices work")
    folder = model or TINY_LLAMA
    examine(folder)
    report = run_torch_xla(folder, meshes, tell=tell)
    show(report, Console())
    return int(not all(outcome.close for outcome in report.outcomes))


def show(report: Report, console: Console) -> None:
    """Print the outcomes, and the collectives of each program."""
    console.width = max(console.width, WIDTH)
    console.print(outcomes(report))
    console.print(collectives(report))
    console.print(PROGRAMS)
    console.print(THREADS)
    console.print("made by " + ", ".join(f"{name} {version}" for name, version in report.versions.items()))


def outcomes(report: Report) -> Table:
    """A line for each way on each mesh."""
    shape = " × ".join(map(str, report.logits))
    columns = ("mesh", "way", "max |Δlogit|", "PCC", "top-1", "a device's weights", "program", "verdict")
    table = Table(*columns, title=f"logits of {shape} (batch × sequence × vocabulary) in Torch-XLA, against one device")
    shown = None
    for outcome in report.outcomes:
        if shown not in (None, _mesh(outcome)):
            table.add_section()
        table.add_row(
            "" if shown == _mesh(outcome) else _mesh(outcome),
            outcome.way,
            f"{outcome.max_difference:.1e}",
            f"{outcome.pcc:.9f}",
            f"{outcome.top_1:.1%}",
            decimal(outcome.bytes_on_a_device),
            str(outcome.program),
            "same" if outcome.close else "DIFFERENT",
        )
        shown = _mesh(outcome)
    return table


def collectives(report: Report) -> Table:
    """Of each program once: which collectives the partitioner has written into the forward pass, and among whom."""
    table = Table("program", "mesh", "how many", "collective", "groups of devices", title="collectives, forward")
    programs = {outcome.program: outcome for outcome in reversed(report.outcomes)}  # the first that ran each
    for number, outcome in sorted(programs.items()):
        rows = [(str(one.count), one.op, _groups(one)) for one in outcome.collectives] or [("0", "none", "")]
        for line, row in enumerate(rows):
            table.add_row(*(("", "") if line else (str(number), _mesh(outcome))), *row)
        table.add_section()
    return table


def _mesh(outcome: Outcome) -> str:
    """ "2 × 4"; "1 × (kv 4 × copy 2)" where the model's axis is two."""
    batch, *model = outcome.mesh
    return f"{batch} × {model[0]}" if len(model) == 1 else "{} × (kv {} × copy {})".format(batch, *model)


def _groups(collective: Collective) -> str:
    """ "0,1 | 2,3", or "0→1 | 2→3" of a permute."""
    arrow = "→" if collective.op == "collective_permute" else ","
    return _first(arrow.join(map(str, group)) for group in collective.groups)


def _first(texts: Iterable[str]) -> str:
    every = list(texts)
    return " | ".join(every[:GROUPS]) + (f" and {len(every) - GROUPS} more" if len(every) > GROUPS else "")
