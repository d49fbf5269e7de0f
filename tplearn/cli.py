"""The `tplearn` command: the course, the exercises, and a Llama that is trained, verified and asked."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tensor parallelism, from two matmuls to a Llama.")


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

    with _complaints():
        jupyter.open_lab(page or jupyter.FIRST_PAGE, port, browser)


@app.command()
def start(folder: Annotated[Path, typer.Argument(help="The folder to make it in; what it holds stays.")]) -> None:
    """Makes a copy of the course to work in, or brings one up to date: what you have changed in it stays."""
    from tplearn.course.copy import update
    from tplearn.course.places import course_folder

    with _complaints():
        news = update(folder, course_folder())
    for line in (*news, f"Your copy of the course is in {folder}. To open it: cd there, tplearn lab"):
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
    from tplearn.grading.self_check import check_notebook

    with _complaints():
        code = check_notebook(number)
    raise typer.Exit(code)


@app.command()
def release(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file is out of date.")
    ] = False,
) -> None:
    """Makes exercises/ from solutions/. The same solutions always give the same bytes."""
    from tplearn.course.places import course_folder
    from tplearn.grading.release import release as make

    with _complaints():
        folder = course_folder()
        changed = make(folder / "solutions", folder / "exercises", check_only=check_only)
    for path in changed:
        typer.echo(f"{'out of date' if check_only else 'written'}: {path.relative_to(folder)}")
    if not changed:
        typer.echo("exercises/ is what solutions/ make.")
    raise typer.Exit(1 if changed and check_only else 0)


ModelOption = Annotated[Path | None, typer.Option(help="A Hugging Face folder; tiny-llama when not given.")]
TpOption = Annotated[int | None, typer.Option(help="Ranks; under torchrun all of them when not given, else one.")]
DeviceOption = Annotated[
    str, typer.Option(help="auto, cpu or cuda; auto takes GPUs where torchrun gives each rank one.")
]


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the text begins with.")],
    model: ModelOption = None,
    tp: TpOption = None,
    tokens: Annotated[int, typer.Option(help="New tokens, at most.")] = 64,
    temperature: Annotated[
        float | None, typer.Option(help="Draw the tokens; greedy (the likeliest each time) when not given.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="With --temperature: draw from the likeliest tokens with this share together.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --temperature: of the draws; 0 when not given.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the weights in memory.")] = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Writes on from a prompt, with a model that is cut over ranks."""
    _prepare_ranks()
    from tplearn.commands.generate import Request, generate_text
    from tplearn.commands.group import is_first
    from tplearn.llama import TINY_LLAMA

    with _complaints():
        request = Request(prompt, tokens, temperature, top_p, seed)
        answer = generate_text(model or TINY_LLAMA, request, tp, dtype, device)
    if is_first():
        typer.echo(answer.text)
        typer.echo(answer.summary(), err=True)


@app.command()
def verify(
    mesh: Annotated[
        str, typer.Option(help="batch × model meshes, all of the same number of ranks.")
    ] = "1x8,2x4,4x2,8x1",
    model: ModelOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Compares the logits of a model on meshes of ranks with those of one rank. Exit code 1 where they differ."""
    _prepare_ranks()
    from rich.console import Console

    from tplearn.commands import tables
    from tplearn.commands.group import is_first
    from tplearn.commands.verify import parse_meshes, verify_folder
    from tplearn.llama import TINY_LLAMA

    with _complaints():
        verdicts = verify_folder(model or TINY_LLAMA, parse_meshes(mesh), device)
    if is_first():
        tables.show(verdicts, Console())
    raise typer.Exit(not all(verdict.agreement.close for verdict in verdicts))


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="The folder to write; it must not hold a model.")],
    tp: TpOption = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder of .py, .md, .txt; Python's own library when not given.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A folder with a config.json; tiny-llama's when not given.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 2400,
    batch: Annotated[int, typer.Option(help="Windows in a step.")] = 16,
    length: Annotated[int, typer.Option(help="Tokens in a window.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the weights and the windows.")] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Trains a tokenizer and a Llama on text, cut over ranks, and writes a Hugging Face folder."""
    _prepare_ranks()
    from tplearn.commands.group import is_first
    from tplearn.commands.train import TINY, recipe_of, train_folder
    from tplearn.llama import LlamaConfig

    with _complaints():
        recipe = recipe_of(steps, batch, length, seed)
        shape = LlamaConfig.from_folder(config) if config else TINY
        told = train_folder(out, tp, data, shape, recipe, device)
    if is_first():
        bits = f"{told['bits_per_byte']:.2f} bits a byte of held-out text (xz -9e: {told['xz_bits_per_byte']:.2f})"
        typer.echo(f"{out}: {told['parameters']:,} parameters, {bits}")


def _prepare_ranks() -> None:
    """Start the server of the ranks before torch is imported here: each takes seconds to load it, side by side."""
    from tplearn.forkserver import warm_up

    with _complaints():
        warm_up(["tplearn.llama"])


@contextlib.contextmanager
def _complaints() -> Iterator[None]:
    """A wrong value, a file that cannot be read or written, or a fault on a rank, is one message and exit code 2."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise typer.Exit(_complain(error)) from error


def _complain(error: Exception) -> int:
    """Prints one line about what went wrong and returns the exit code for it."""
    typer.echo(f"tplearn: {error}", err=True)
    return 2


if __name__ == "__main__":
    app()
