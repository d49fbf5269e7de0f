"""The course: opened, copied, checked and made."""

from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints


@app.command()
def lab(
    page: Annotated[str, typer.Argument(help="The notebook to open, such as exercises/02_column_row.ipynb.")] = "",
    port: Annotated[int | None, typer.Option(help="Port to serve on; a free one near 8888 when not given.")] = None,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="Open a browser; by default where a display is.")
    ] = None,
) -> None:
    """Opens your copy of the course in JupyterLab: the one you are in, else my-course, made on the first call."""
    from tplearn import lab as jupyter

    with complaints():
        jupyter.open_lab(page or jupyter.FIRST_PAGE, port, browser)


@app.command()
def start(folder: Annotated[Path, typer.Argument(help="The folder to make it in; what it holds stays.")]) -> None:
    """Makes a copy of the course to work in, or brings one up to date: what you have changed in it stays."""
    from tplearn.course.copy import update
    from tplearn.course.places import course_folder

    with complaints():
        news = update(folder, course_folder())
    for line in (*news.lines(), f"Your copy of the course is in {folder}. To open it: cd there, tplearn lab"):
        typer.echo(line)


@app.command()
def doctor() -> None:
    """Says whether this machine can run the course, and what to do where it cannot."""
    from tplearn.doctor import examine, report

    findings = examine()
    report(findings)
    raise typer.Exit(any(finding.state == "problem" for finding in findings))


@app.command()
def check(number: Annotated[str, typer.Argument(help="The chapter's number, such as 02.")]) -> None:
    """Runs an exercise notebook in a fresh kernel and prints every verdict and the points."""
    with complaints():
        from tplearn.grading.self_check import check_notebook

        code = check_notebook(number)
    raise typer.Exit(code)


@app.command()
def release(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file is out of date.")
    ] = False,
    class_folder: Annotated[
        Path | None,
        typer.Option("--for-class", help="Instead, make a folder for a class: the course without solutions."),
    ] = None,
) -> None:
    """Makes exercises/ from solutions/. The same solutions always give the same bytes."""
    if class_folder:
        _for_class(class_folder)
        return
    from tplearn.course.places import clone_folder

    with complaints():
        folder = clone_folder()
        from tplearn.grading.release import release as make

        changed = make(folder / "solutions", folder / "exercises", check_only=check_only)
    for path in changed:
        typer.echo(f"{'out of date' if check_only else 'written'}: {path.relative_to(folder)}")
    if not changed:
        typer.echo("exercises/ is what solutions/ make.")
    raise typer.Exit(1 if changed and check_only else 0)


def _for_class(out: Path) -> None:
    from tplearn.course.places import clone_folder

    with complaints():
        course = clone_folder()
        from tplearn.grading.for_class import for_class

        news = for_class(course, out)
    for line in (*news, f"The class folder is {out}. course.toml in it is yours to fill in: see TEACHING.md"):
        typer.echo(line)
