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


def _complain(error: Exception) -> int:
    """Prints one line about what went wrong and returns the exit code for it."""
    typer.echo(f"tplearn: {error}", err=True)
    return 2


if __name__ == "__main__":
    app()
