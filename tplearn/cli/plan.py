"""`tplearn plan`: how to lay a model out over accelerators, by the cost model, or by what a compiler makes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints
from tplearn.cli.compilers import plan_with_jax, require_way


@app.command()
def plan(
    name: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="A public model, such as llama-3.1-8b, a model folder or a config.json."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The same as MODEL.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many accelerators there are.")] = None,
    gpu: Annotated[str | None, typer.Option(help="Which: A100, H100, H200, B200, TPU-v5p, ...; H100.")] = None,
    purpose: Annotated[str | None, typer.Option("--for", help="train (the default) or serve.")] = None,
    seq: Annotated[int | None, typer.Option(help="Tokens of a text; 8192 when not given.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="To train: tokens of a step; 16 M when not given.")] = None,
    sequences: Annotated[
        int | None, typer.Option(help="To serve: texts at once, over all replicas; as many as fit when not given.")
    ] = None,
    bytes_per_parameter: Annotated[
        float | None, typer.Option(help="To serve: of the weights; 2 (bf16) when not given, 1 is fp8.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="time (tokens a second, the default) or cost (of a token).")] = None,
    top: Annotated[int | None, typer.Option(help="Layouts to show; 5 when not given.")] = None,
    tp: Annotated[int | None, typer.Option(help="Only layouts of this TP.")] = None,
    pp: Annotated[int | None, typer.Option(help="Only layouts of this PP.")] = None,
    cp: Annotated[int | None, typer.Option(help="To train: only layouts of this CP.")] = None,
    price: Annotated[float | None, typer.Option(help="Dollars an hour of one accelerator.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="The best layout's arithmetic, line by line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with SI units in the keys.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw memory and roofline into this .svg or .png.")] = None,
    way: Annotated[
        str | None, typer.Option("--with", help="jax: compile a forward pass and print what it sends instead.")
    ] = None,
    mesh: Annotated[
        str | None, typer.Option(help="With jax: batch × model meshes of equally many devices; 1x8 when not given.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="With jax: texts; 8, or what the meshes deal evenly.")] = None,
    layers: Annotated[int | None, typer.Option(help="With jax: only so many of the layers.")] = None,
) -> None:
    """Ranks the layouts of a model over accelerators by a cost model: time, memory, and what limits each.

    With --with jax it compiles the model for a mesh, without its weights: the collectives, and bytes a device.
    """
    from_jax = {"mesh": mesh, "batch": batch, "layers": layers}
    training = {"batch-tokens": batch_tokens, "cp": cp}
    serving = {"sequences": sequences, "bytes-per-parameter": bytes_per_parameter}
    common = {"gpus": gpus, "gpu": gpu, "seq": seq, "by": by, "tp": tp, "pp": pp, "price": price}
    shows = {"top": top, "explain": explain or None, "json": as_json or None, "picture": picture}
    with complaints():
        if way is not None:
            require_way(way, ("jax",))
            _refuse("--with jax does not take it", training | serving | common | shows | {"for": purpose})
        else:
            _refuse("only --with jax takes it", from_jax)
        if (name is None) == (model is None):
            raise ValueError("a model must be named once, as MODEL or as --model, such as llama-3.1-8b")
    if way is not None:
        plan_with_jax(name or model, mesh or "1x8", batch, layers)
        return
    with complaints():
        from tplearn.commands.plan_answer import Show, ask, show

        wanted = Show(5 if top is None else top, explain, as_json, picture)
        asked = ask(name or model, "MODEL" if name else "--model", purpose or "train", common, training, serving)
        show(asked, wanted)


def _refuse(said: str, options: Mapping[str, object]) -> None:
    """Raises ValueError for the first option that was typed."""
    from tplearn.commands.options import require

    for option, value in options.items():
        if value is True:
            raise ValueError(f"--{option}: {said}")
        require(option, value, value is None, said)
