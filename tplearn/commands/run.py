"""`tplearn run`: a script on ranks, and what is said and written of it at the end."""

import json
import shutil
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import typer

from tplearn.ranks.report import name_ranks
from tplearn.running.launch import ScriptSupervisor
from tplearn.running.live import Live
from tplearn.running.outcome import Outcome
from tplearn.running.program import Program

STDOUT = Path("-")
ROWS_SHOWN = 40  # of the ledger; a script has easily thousands


@dataclass(frozen=True)
class Wish:
    """What the user has typed."""

    program: Program
    ranks: int
    timeout: float
    record: bool
    ledger: bool
    json: Path | None
    timeline: Path | None
    output: Path | None

    def require(self) -> None:
        """Raises ValueError or OSError for what cannot work, before a rank starts: a run may take days."""
        self.program.require()
        if not self.record and (self.ledger or self.timeline):
            option = "--ledger" if self.ledger else "--timeline"
            raise ValueError(f"{option} needs what --no-record leaves out; one of them works")
        if self.output:
            self.output.mkdir(parents=True, exist_ok=True)
        if self.timeline and self.timeline.suffix != ".json":
            raise ValueError(
                f"--timeline {self.timeline}: the trace is JSON, and the picture stands beside it; .json works"
            )
        for option, path in (("--json", self.json), ("--timeline", self.timeline)):
            if path and path != STDOUT and not path.parent.is_dir():
                raise ValueError(f"{option} {path}: the folder {path.parent} does not exist")
            if path and path != STDOUT:
                path.open("a").close()


def run(wish: Wish) -> int:
    """Run the script, say how it ended, write what was asked for; the exit code."""
    live = Live(wish.ranks, wish.output, errors_only=wish.json == STDOUT)
    folder = Path(tempfile.mkdtemp(prefix="tplearn-"))
    try:
        supervisor = ScriptSupervisor(wish.program, wish.ranks, folder, wish.timeout, wish.record, live, _say)
        outcome = supervisor.run_script(bool(wish.timeline))
        _tell(outcome)
        if wish.ledger:
            _show_ledger(outcome, to_stderr=wish.json == STDOUT)
        if wish.json:
            _write_json(outcome, wish.json)
        if wish.timeline:
            _write_timeline(outcome, wish.timeline, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome.exit_code


def _say(text: str) -> None:
    """To the user, beside what the ranks print."""
    typer.secho(text, err=True, fg="red", bold=True) if sys.stderr.isatty() else typer.echo(text, err=True)


def _tell(outcome: Outcome) -> None:
    for ranks, text in outcome.tracebacks():
        typer.echo(f"{name_ranks(ranks).capitalize()}:\n{text}", err=True)
    if outcome.kind and not outcome.kind.startswith("SIG"):  # then it was said at once
        _say(outcome.report)
    for warning in outcome.warnings:
        typer.echo(f"Warning: {warning}", err=True)


def _show_ledger(outcome: Outcome, to_stderr: bool) -> None:
    """Totals by op, once for all ranks that have the same, then the first rows."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    console = Console(stderr=to_stderr, soft_wrap=True)
    table = Table("op", "ranks", "count", "bytes", "bytes on the wire, as a ring", title="what each rank sent")
    alike: dict[tuple[str, int, int, int], list[int]] = defaultdict(list)
    for (op, rank), total in sorted(outcome.tally.totals.items()):
        alike[op, total.count, total.bytes, total.wire_bytes].append(rank)
    for (op, count, size, wire), ranks in alike.items():
        table.add_row(op, ", ".join(map(str, ranks)), f"{count:,}", decimal(size), decimal(wire))
    console.print(table)
    ledger = outcome.tally.ledger()
    shown, rest = ledger.rows[:ROWS_SHOWN], len(ledger.rows[ROWS_SHOWN:]) + sum(outcome.tally.left_out.values())
    console.print(type(ledger)(shown).table(), markup=False, highlight=False)
    if rest:
        console.print(f"… and {rest:,} more; --json FILE writes them", highlight=False)


def _write_json(outcome: Outcome, path: Path) -> None:
    text = json.dumps(outcome.as_json(), indent=1) + "\n"
    if path == STDOUT:
        typer.echo(text, nl=False)
    else:
        path.write_text(text)


def _write_timeline(outcome: Outcome, path: Path, folder: Path) -> None:
    from tplearn.running.trace import write_timeline

    for line in write_timeline(outcome, path, folder):
        typer.echo(line, err=True)
