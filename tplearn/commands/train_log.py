"""The log of a training run: a row for each step, as lines of JSON: `pandas.read_json(path, lines=True)`."""

import json
import os
from pathlib import Path

from tplearn.llama.recipe import Recipe


class TrainLog:
    """`log.jsonl`, written by one process, a line at a time.

    A row: step, loss, norm (of the gradient, before clipping), rate, tokens (all until then), seconds (of training,
    until then), tokens_per_second (of this step), held_out_bits (a byte; null where nobody looked).
    """

    def __init__(self, path: Path, done: int) -> None:
        """Go on after step `done`: rows of later steps, which the snapshot does not know, go."""
        self.rows = [row for row in read_log(path) if row["step"] <= done] if done else []
        fresh = path.with_suffix(".new")
        fresh.write_text("".join(_line(row) for row in self.rows), encoding="utf-8")
        os.replace(fresh, path)
        self.file = path.open("a", encoding="utf-8")

    def add_step(self, step: int, loss: float, norm: float, recipe: Recipe, seconds: float, bits: float | None) -> None:
        """A step that took so many seconds; it is in the file when this returns."""
        before = self.rows[-1]["seconds"] if self.rows else 0.0
        row = {
            "step": step,
            "loss": loss,
            "norm": norm,
            "rate": recipe.rate(step - 1),
            "tokens": step * recipe.tokens,
            "seconds": round(before + seconds, 4),
            "tokens_per_second": round(recipe.tokens / seconds, 1),
            "held_out_bits": bits,
        }
        self.rows.append(row)
        self.file.write(_line(row))
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def read_log(path: Path) -> list[dict]:
    """The rows of a log; a last line that was cut off in the middle is none."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _line(row: dict) -> str:
    return json.dumps(row) + "\n"
