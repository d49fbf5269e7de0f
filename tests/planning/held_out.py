"""Rows of held_out.json as predictions: what the finished model says of runs that it was not made from."""

import json
from dataclasses import replace
from pathlib import Path

from tests.planning.published import gpt
from tplearn.planning import (
    MODELS,
    Accelerator,
    Layout,
    ModelShape,
    TrainingJob,
    decode_time,
    find_accelerator,
    mfu,
    prefill_time,
    step_time,
)

ROWS = json.loads((Path(__file__).parent / "held_out.json").read_text(encoding="utf-8"))["rows"]


def shape_of(row: dict) -> ModelShape:
    """A public model by name, the sizes of a GPT, or those of a model with SwiGLU."""
    if "model" in row:
        return MODELS[row["model"]]
    return gpt(**row["gpt"]) if "gpt" in row else ModelShape(**row["shape"])


def accelerator_of(row: dict) -> Accelerator:
    """The accelerator, with what the run's own differs in."""
    return replace(find_accelerator(row["accelerator"]), **row.get("differs", {}))


def predict(row: dict) -> float:
    """What the model says, in the row's unit."""
    shape, accelerator = shape_of(row), accelerator_of(row)
    if row["unit"] == "tokens/s":
        return decode_time(shape, accelerator, **row["decode"]).tokens_per_second
    if row["unit"] == "ms to the first token":
        return 1000 * prefill_time(shape, accelerator, **row["prefill"]).total
    if row["unit"] == "tokens/s, prompts included":
        run = dict(row["generate"])
        prompt, new, batch, tp = run["prompt"], run["new"], run["batch"], run["tp"]
        step = decode_time(shape, accelerator, tp, batch, prompt + new // 2).total
        return batch * new / (prefill_time(shape, accelerator, tp, batch, prompt).total + new * step)
    job, layout = TrainingJob(shape, **row["job"]), Layout(**row["layout"])
    time = step_time(job, layout, accelerator)
    if row["unit"] == "s a step":
        return time.total
    if row["unit"] == "tokens/s a GPU":
        return time.tokens_per_second / layout.accelerators
    rate, peak = time.tokens_per_second, accelerator.peak_flops
    return 100 * mfu(shape, rate, job.sequence, layout.accelerators, peak)
