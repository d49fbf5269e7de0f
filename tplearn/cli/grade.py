"""A class's submissions, graded."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints


@app.command()
def grade(
    submissions: Annotated[
        Path, typer.Argument(help="A folder of notebooks or of students' folders, a Canvas or Moodle zip, a notebook.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for reports. The same one again does only what has changed.")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Answers at a time; one for each two cores when not given.")
    ] = max(1, (os.cpu_count() or 1) // 2),
    seed: Annotated[int | None, typer.Option(help="Of the hidden inputs; a new one when not given.")] = None,
    course: Annotated[Path | None, typer.Option(help="course.toml: deadlines, points, cases of your own.")] = None,
    canvas: Annotated[Path | None, typer.Option(help="Canvas's gradebook as exported; canvas.csv: filled.")] = None,
    moodle: Annotated[Path | None, typer.Option(help="Moodle's grading worksheet; moodle.csv: filled.")] = None,
    no_jail: Annotated[bool, typer.Option("--no-jail", help="For a class you trust, where no jail works.")] = False,
) -> None:
    """Grades submissions in jails, and writes a page for the class, one for each student, and gradebooks."""
    with complaints():
        from tplearn.commands.grade import Order
        from tplearn.commands.grade import grade as run

        code = run(Order(submissions, out, jobs, seed, course, canvas, moodle, not no_jail))
    raise typer.Exit(code)
