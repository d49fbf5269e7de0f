"""A Llama that is trained, on a mesh of ranks."""

from pathlib import Path
from typing import Annotated

import typer

from tplearn.cli.app import app, complaints, prepare_ranks
from tplearn.cli.llama import DeviceOption


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="The folder to write; it must not hold a model.")],
    mesh: Annotated[
        str | None, typer.Option(help="Ranks, data x tensor parallel, such as 2x2; the same curve on every mesh.")
    ] = None,
    tp: Annotated[
        int | None, typer.Option(help="--tp 4 is --mesh 1x4; under torchrun all ranks when none is given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A folder of .py, .md, .txt; Python's own library when not given.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A folder with a config.json; tiny-llama's when not given.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of training; 2400 when not given.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Windows in a step, of all ranks together; 16 when not given.")
    ] = None,
    length: Annotated[int | None, typer.Option(help="Tokens in a window; 256 when not given.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Backward passes in a step; 1 when not given.")] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share that is dropped before each residual; 0 when not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, windows and dropout; 0 when not given.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the weights while training; float32 when not given.")] = None,
    data_parallel: Annotated[
        str, typer.Option(help="What means the gradients: hand, ddp or fsdp; the same curve with each.")
    ] = "hand",
    sequence_parallel: Annotated[
        bool, typer.Option("--sequence-parallel", help="Cut norms and residuals by tokens (chapter 10).")
    ] = False,
    snapshot_every: Annotated[
        int | None, typer.Option(help="Steps between snapshots; a tenth of all when not given.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest snapshot in --out, on any mesh.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Trains a tokenizer and a Llama on text, on a mesh of ranks, and writes a Hugging Face folder.

    While it runs, --out holds log.jsonl (a line a step, for pandas) and snapshots; at the end also curves.svg.
    """
    prepare_ranks("tplearn.commands.train_on_ranks", "torch._dynamo")  # which an optimizer's first step imports
    from tplearn.commands.group import is_first
    from tplearn.commands.options import require
    from tplearn.commands.run_folder import RunFolder
    from tplearn.commands.train import TINY, begin, go_on, recipe_of, train_folder
    from tplearn.commands.train_on_ranks import Job
    from tplearn.commands.ways import Ways
    from tplearn.llama import LlamaConfig

    with complaints():
        sizes = {"steps": steps, "batch": batch, "length": length, "accumulate": accumulate}
        recipe, folder = recipe_of(**sizes, dropout=dropout, seed=seed), RunFolder(out)
        ways = Ways.of(mesh, tp, data_parallel, sequence_parallel, snapshot_every)
        if resume:
            typed = sizes | {"dropout": dropout, "seed": seed, "data": data, "config": config, "dtype": dtype}
            for option, value in typed.items():
                require(option, value, value is None, "a resumed run keeps what it began with; without it works")
            plan, texts = go_on(folder, ways)
        else:
            shape = LlamaConfig.from_folder(config) if config else TINY
            plan, texts = begin(folder, ways, data, shape, recipe, dtype or "float32")
        told = train_folder(Job(folder, plan, ways, resume), texts, device)
    if is_first():
        bits = f"{told['bits_per_byte']:.2f} bits a byte of held-out text (xz -9e: {told['xz_bits_per_byte']:.2f})"
        typer.echo(f"{out}: {told['parameters']:,} parameters, {bits}")
