"""What each rank of `tplearn train` does: the steps, and on rank 0 the log, the looks, the bar and the files."""

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from tplearn.commands.group import own_device, synchronize
from tplearn.commands.held_out import HeldOut, xz_bits
from tplearn.commands.progress import progress
from tplearn.commands.run_folder import TOKENIZER_CLASS, TRAINING, Plan, RunFolder
from tplearn.commands.train_log import TrainLog
from tplearn.commands.ways import Ways
from tplearn.llama import saving, snapshot
from tplearn.llama.corpus import END
from tplearn.llama.files import TOKENIZER
from tplearn.llama.train import Trainer
from tplearn.parallel import assert_replicated
from tplearn.parallel.partition import partitions

LOOKS = 10  # at the held-out texts, during training
SAMPLE = 8  # held-out texts in a look
EVERY = 10  # steps that one number of the loss curve in training.json stands for


@dataclass(frozen=True)
class Texts:
    """Tokens to train on, and held-out texts."""

    stream: Tensor
    held: list[str]


@dataclass(frozen=True)
class Job:
    """One call of the command: which run, and in which ways. The curve depends on the plan alone."""

    folder: RunFolder
    plan: Plan
    ways: Ways
    resumed: bool


def train_on_ranks(job: Job, texts: Texts, screen: str | None) -> dict:
    """All steps that are left, then the model's folder; returns on rank 0 what training.json holds."""
    assert_replicated(texts.stream)  # nodes may have other texts, such as another Python's library
    plan, first = job.plan, dist.get_rank() == 0
    trainer = _trainer(job)
    dist.barrier()  # all have looked at the folder
    log = None
    if first:
        plan.write(job.folder)
        log = TrainLog(job.folder.log, trainer.done)
    words = Tokenizer.from_str(plan.words)
    sample = HeldOut.of(texts.held[:: max(1, len(texts.held) // SAMPLE)], words)
    with progress("training", plan.recipe.steps, screen) as show:
        _steps(trainer, job, texts.stream, sample, log, show)
    bits = HeldOut.of(texts.held, words).bits(trainer)
    model, out = trainer.model, job.folder.out
    save = (model.config, model.generation_config, out, snapshot.MAX_FILE_BYTES)
    saving.save(model, *save, writes=first, dtype=torch.bfloat16)
    if not first:
        return {}
    log.close()
    words.save(str(out / TOKENIZER))
    class_of_it = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
    (out / TOKENIZER_CLASS).write_text(json.dumps(class_of_it, indent=2) + "\n", encoding="utf-8")
    told = _told(trainer, texts, log.rows) | {"bits_per_byte": round(bits, 4)}
    (out / TRAINING).write_text(json.dumps(told) + "\n", encoding="utf-8")
    return told


def _trainer(job: Job) -> Trainer:
    """As the plan draws it, or as the newest snapshot has it."""
    device, plan = own_device(), job.plan
    trainer = Trainer.fresh(
        plan.config,
        plan.recipe,
        init_device_mesh(device.type, job.ways.mesh, mesh_dim_names=("dp", "tp")),
        data_parallel=job.ways.data_parallel,
        sequence_parallel=job.ways.sequence_parallel,
        dtype=getattr(torch, plan.dtype),
        device=device,
    )
    found = job.folder.newest() if job.resumed else None
    if found:
        snapshot.resume(trainer, found)
    return trainer


def _steps(
    trainer: Trainer, job: Job, stream: Tensor, sample: HeldOut, log: TrainLog | None, show: Callable[[int, str], None]
) -> None:
    recipe, look_every = trainer.recipe, max(1, trainer.recipe.steps // LOOKS)
    began, note = time.perf_counter(), ""

    def report(loss: float, norm: float) -> None:
        nonlocal began, note
        synchronize()
        seconds, bits = time.perf_counter() - began, None
        if trainer.done % look_every == 0:
            bits = sample.bits(trainer)
            note = f", held-out {bits:.2f} bits a byte"
        if log:
            log.add_step(trainer.done, loss, norm, recipe, seconds, bits)
        show(trainer.done, f"loss {loss:.2f}, {recipe.tokens / seconds:,.0f} tokens/s{note}")
        if trainer.done % job.ways.snapshot_steps(recipe) == 0:
            snapshot.save(trainer, job.folder.snapshots, writes=log is not None)
        began = time.perf_counter()

    trainer.run(stream, report)


def _told(trainer: Trainer, texts: Texts, rows: list[dict]) -> dict:
    losses = [row["loss"] for row in rows]
    parts = [losses[k : k + EVERY] for k in range(0, len(losses), EVERY)]
    return {
        "recipe": asdict(trainer.recipe),
        "python": platform.python_version(),
        "parameters": sum(math.prod(partition.dense_shape) for _, _, partition in partitions(trainer.model)),
        "tokens": len(texts.stream),
        "losses": [round(sum(part) / len(part), 4) for part in parts],
        "held_out": [(row["step"], round(row["held_out_bits"], 3)) for row in rows if row["held_out_bits"] is not None],
        "xz_bits_per_byte": round(xz_bits(texts.held), 4),
    }
