"""A Llama that is asked and verified."""

from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints, prepare_ranks

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
    prepare_ranks()
    from tplearn.commands.generate import Request, generate_text
    from tplearn.commands.group import is_first
    from tplearn.llama import TINY_LLAMA

    with complaints():
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
    way: Annotated[
        str, typer.Option("--with", help="ranks, or what writes the collectives: jax, torch-xla.")
    ] = "ranks",
    batch: Annotated[int | None, typer.Option(help="With jax: texts; 8, or what the meshes deal evenly.")] = None,
    layers: Annotated[int | None, typer.Option(help="With jax: only so many of the layers.")] = None,
) -> None:
    """Compares the logits of a model on meshes of ranks with those of one rank. Exit code 1 where they differ."""
    from tplearn.cli.compilers import require_way, verify_with_jax, verify_with_torch_xla

    with complaints():
        require_way(way, ("ranks", "jax", "torch-xla"), device=device, batch=batch, layers=layers)
    if way == "jax":
        raise typer.Exit(verify_with_jax(model, mesh, batch, layers))
    if way == "torch-xla":
        raise typer.Exit(verify_with_torch_xla(model, mesh))
    prepare_ranks()
    from rich.console import Console

    from tplearn.commands import tables
    from tplearn.commands.group import is_first
    from tplearn.commands.verify import parse_meshes, verify_folder
    from tplearn.llama import TINY_LLAMA

    with complaints():
        verdicts = verify_folder(model or TINY_LLAMA, parse_meshes(mesh), device)
    if is_first():
        tables.show(verdicts, Console())
    raise typer.Exit(not all(verdict.agreement.close for verdict in verdicts))
