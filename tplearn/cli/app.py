"""The `tplearn` command itself, and what all its subcommands share: complaints of one line, and ranks made ready."""

import contextlib
from collections.abc import Iterator

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tensor parallelism, from two matmuls to a Llama.")


def prepare_ranks(*modules: str) -> None:
    """Start the server of the ranks before torch is imported here: each takes seconds to load it, side by side.

    modules: what the ranks need beside the Llama.
    """
    from tplearn.forkserver import warm_up

    with complaints():
        warm_up(["tplearn.llama", *modules])


@contextlib.contextmanager
def complaints() -> Iterator[None]:
    """A wrong value, a file that cannot be read or written, a fault on a rank: one message and exit code 2.

    A package that is not installed, too: what the notebooks need is an extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise typer.Exit(_complain(ValueError(f"{error}; pip install 'tplearn-course[course]' brings it"))) from error
    except (ValueError, OSError, RuntimeError) as error:
        raise typer.Exit(_complain(error)) from error


def _complain(error: Exception) -> int:
    """Prints one line about what went wrong and returns the exit code for it."""
    typer.echo(f"tplearn: {error}", err=True)
    return 2
