"""`tplearn run`: a script made for torchrun, on ranks that are watched."""

from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints

# All that follows the script is the script's.
AS_TYPED = {"allow_interspersed_args": False, "ignore_unknown_options": True}
MORE_MACHINES = ("nnodes", "node-rank", "rdzv-", "master-", "local-addr", "max-restarts")
OTHER_NAMES = {"log-dir": "--output", "redirects": "--output", "tee": "--output", "r": "--output", "t": "--output"}


@app.command(context_settings=AS_TYPED)
def run(
    words: Annotated[
        list[str], typer.Argument(metavar="SCRIPT [ARGUMENTS]...", help="A script, and all that it is given.")
    ],
    ranks: Annotated[
        int, typer.Option("--ranks", "-n", "--nproc-per-node", "--nproc_per_node", min=1, help="How many ranks.")
    ] = 4,
    module: Annotated[bool, typer.Option("--module", "-m", help="SCRIPT is a module, as for python -m.")] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Stop after so many seconds; without it, a run may take days.")
    ] = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="At the end, print what each rank has sent.")] = False,
    as_json: Annotated[
        Path | None,
        typer.Option("--json", help="Write how it ended, and the ledger; - is stdout, then ranks print to stderr."),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Write a trace that ui.perfetto.dev opens, and beside it a picture (.svg).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="A folder for what each rank prints, as it is: rank0.out, rank0.err, ...")
    ] = None,
    no_record: Annotated[
        bool, typer.Option("--no-record", help="Watch no collectives: full speed, torch.compile, no ledger.")
    ] = False,
    standalone: Annotated[bool, typer.Option("--standalone", hidden=True)] = False,
) -> None:
    """Runs a script that is made for torchrun on ranks of this machine, and names what goes wrong.

    Each line is labelled with its rank. Where ranks wait for each other in vain, the run ends with the line of each,
    and exit code 1. Options stand before the script; what follows it is the script's own. Ranks have no terminal and no
    stdin. Not seen are processes that the script starts by itself. Several machines are torchrun's work.
    """
    from tplearn.forkserver import under_torchrun, warm_up
    from tplearn.running.program import Program

    with complaints():
        if under_torchrun():
            raise ValueError("this process is a rank already (TORCHELASTIC_RUN_ID is set); without torchrun it works")
        name, *arguments = words
        _require_no_option(name)
        if timeout is not None and not timeout > 0:
            raise ValueError(f"--timeout {timeout:g}: seconds above 0 work")
        program = Program(name, tuple(arguments), module)
        program.require()
        warm_up(["tplearn.ranks.preload", "tplearn.running.rank"])
        from tplearn.commands.run import Wish
        from tplearn.commands.run import run as run_program

        limit = float("inf") if timeout is None else timeout
        wish = Wish(program, ranks, limit, not no_record, ledger, as_json, timeline, output)
        wish.require()
    raise typer.Exit(run_program(wish))


def _require_no_option(word: str) -> None:
    """Raises ValueError for an option where the script should stand."""
    if not word.startswith("-"):
        return
    option = word.split("=")[0]
    name = option.lstrip("-").replace("_", "-")
    if name.startswith(MORE_MACHINES):
        raise ValueError(f"{option} is torchrun's: tplearn run has this machine only; use torchrun for several")
    hint = f"{OTHER_NAMES[name]} DIR works" if name in OTHER_NAMES else "tplearn run --help lists those that do"
    raise ValueError(f"{option} is no option here; {hint}")
