"""A run on disk: weights and AdamW's moments as the dense model has them, so that any other mesh can go on with it.

A moment has its parameter's shape, so the parameter's Partition joins and cuts it. (torch.distributed.checkpoint takes
plain tensors of one name for copies: each rank may get another rank's shard back, without a word.)
"""

import functools
import json
import os
import re
import shutil
from pathlib import Path

import torch
from torch import Tensor

from tplearn.llama import saving
from tplearn.llama.checkpoint import Checkpoint
from tplearn.llama.files import damaged, read_object
from tplearn.llama.loading import read_parameter
from tplearn.llama.tensors import sources
from tplearn.llama.train import Trainer
from tplearn.parallel.fsdp import rows_here
from tplearn.parallel.partition import partitions

NAME, FORMAT = re.compile(r"step-(\d{8})"), "step-{:08}"
MOMENTS = ("exp_avg", "exp_avg_sq")
STATE = "snapshot.json"
MAX_FILE_BYTES = 5 << 30


def save(trainer: Trainer, folder: Path, *, writes: bool) -> None:
    """Write `folder`/step-00000020 after step 20, and let the one before it go. Every rank must call it; one writes.

    It is a Hugging Face folder of the weights, with two more of AdamW's moments and the number of steps in it. It gets
    its name when all of it is on the disk, so whatever has the name is whole, also after a power cut in between.
    """
    model, path = trainer.model, folder / FORMAT.format(trainer.done)
    growing = folder / f".{path.name}"
    if writes:
        _clear(folder)
        growing.mkdir(parents=True)
    write = functools.partial(saving.save, model, model.config, model.generation_config, writes=writes)
    write(growing, MAX_FILE_BYTES)
    for moment in MOMENTS:
        own = {parameter: state[moment] for parameter, state in trainer.optimizer.state.items()}
        write(growing / moment, MAX_FILE_BYTES, tensor_of=own.__getitem__)
    if not writes:
        return
    (growing / STATE).write_text(json.dumps({"steps": trainer.done}) + "\n", encoding="utf-8")
    for file in (*growing.rglob("*"), growing):
        _to_disk(file)
    if path.exists():
        os.rename(path, folder / f".old-{path.name}")
    os.rename(growing, path)
    _to_disk(folder)
    for older in _snapshots(folder):
        if older != path:
            os.rename(older, folder / f".old-{older.name}")  # no name any more before the first file of it goes
    _clear(folder)


def newest(folder: Path) -> Path | None:
    """The snapshot of the latest step, if there is one."""
    return max(_snapshots(folder), default=None)


@torch.no_grad()
def resume(trainer: Trainer, path: Path) -> None:
    """Go on where a snapshot was taken: this rank reads its own shards of weights and moments, on any mesh.

    Raises ValueError where the snapshot is of another model, or damaged.
    """
    config, done = trainer.model.config, read_object(path / STATE).get("steps")
    if not isinstance(done, int) or done < 1:
        raise damaged(path / STATE, f"steps = {done!r} is no number of steps")
    trainer.optimizer.state.clear()
    for folder, name in ((path, "value"), *((path / moment, moment) for moment in MOMENTS)):
        stored = Checkpoint(folder)
        parts = sources(config, stored)
        for parameter_name, parameter, partition in partitions(trainer.model):
            target = parameter.detach() if name == "value" else torch.zeros_like(parameter.detach())
            shard = read_parameter(partition, parts[parameter_name], stored, target.dtype, target.device)
            _fill(target, shard)
            if name != "value":
                state = trainer.optimizer.state[parameter]
                state.setdefault("step", torch.tensor(float(done)))
                state[name] = target
        stored.close()
    trainer.done = done


def _fill(target: Tensor, shard: Tensor) -> None:
    """The rows of a tensor-parallel shard that FSDP leaves on this rank; all of them without it."""
    rows, first, _ = rows_here(target)
    rows.copy_(shard[first : first + len(rows)])


def _snapshots(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []


def _clear(folder: Path) -> None:
    """What a run that was killed has left half written, or half removed."""
    for path in folder.glob(".*step-*"):
        shutil.rmtree(path)


def _to_disk(path: Path) -> None:
    """Raises OSError where the file, or the folder's list of names, cannot be written out."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
