"""The `tplearn` command: open the course, check the machine, check exercises, make the exercises."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tensor parallelism, from two matmuls to a Llama.")


@app.command()
def lab(
    page: Annotated[str, typer.Argument(help="The notebook to open, seen from the course's folder.")] = "",
    port: Annotated[int | None, typer.Option(help="Port to serve on; a free one near 8888 when not given.")] = None,
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="Open a browser; by default where a display is.")
    ] = None,
) -> None:
    """Opens the course in JupyterLab."""
    from tplearn import lab as jupyter

    try:
        jupyter.open_lab(page or jupyter.FIRST_PAGE, port, browser)
    except FileNotFoundError as error:
        raise typer.Exit(_complain(error)) from error


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
    from tplearn.grading.self_check import check_notebook

    try:
        raise typer.Exit(check_notebook(number))
    except ValueError as error:
        raise typer.Exit(_complain(error)) from error


@app.command()
def release(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file is out of date.")
    ] = False,
) -> None:
    """Makes exercises/ from solutions/. The same solutions always give the same bytes."""
    from tplearn.grading.release import release as make
    from tplearn.lab import course_folder

    try:
        folder = course_folder()
        changed = make(folder / "solutions", folder / "exercises", check_only=check_only)
    except (ValueError, FileNotFoundError) as error:
        raise typer.Exit(_complain(error)) from error
    for path in changed:
        typer.echo(f"{'out of date' if check_only else 'written'}: {path.relative_to(folder)}")
    if not changed:
        typer.echo("exercises/ is what solutions/ make.")
    raise typer.Exit(1 if changed and check_only else 0)


def _complain(error: Exception) -> int:
    """Prints one line about what went wrong and returns the exit code for it."""
    typer.echo(f"tplearn: {error}", err=True)
    return 2


if __name__ == "__main__":
    app()
