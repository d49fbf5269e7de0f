"""The folder of a training run: what it is made of, what it must not cost, and what a resumed run finds in it."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from tplearn.commands.options import require
from tplearn.llama import LlamaConfig, snapshot
from tplearn.llama.files import CONFIG, GENERATION, INDEX, SINGLE, TOKENIZER, damaged, read_object, there
from tplearn.llama.recipe import Recipe

TOKENIZER_CLASS, TRAINING = "tokenizer_config.json", "training.json"
MODEL = (CONFIG, GENERATION, SINGLE, INDEX, TOKENIZER, TOKENIZER_CLASS, TRAINING)
RUN = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """`out`: run.json, log.jsonl and snapshots while a run goes on; the model and curves.svg at its end."""

    out: Path

    @property
    def log(self) -> Path:
        return self.out / "log.jsonl"

    @property
    def curves(self) -> Path:
        return self.out / "curves.svg"

    @property
    def snapshots(self) -> Path:
        return self.out / "snapshots"

    def require_new(self) -> None:
        """Raises ValueError where writing into it would cost what it holds."""
        holds = next((name for name in MODEL if there(self.out / name)), None)
        if holds is None and there(self.out / RUN):
            raise ValueError(f"--out {self.out}: it holds a run; --resume goes on with it, a new folder begins another")
        require("out", self.out, holds is None, "it already holds a model; an empty or a new folder works")

    def require_unfinished(self) -> None:
        """Raises ValueError where there is nothing to resume."""
        require("out", self.out, there(self.out / RUN), "it holds no run to resume; without --resume one begins")
        finished = there(self.out / TRAINING)
        require("out", self.out, not finished, "its run is finished; an empty or a new folder begins another")

    def make(self) -> None:
        """Make the folder, before hours of training; ValueError where that cannot be."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.out, os.W_OK)
        except OSError as error:
            raise ValueError(f"--out {self.out}: it cannot be made: {error.strerror}") from None
        require("out", self.out, writable, "it cannot be written; a folder of your own works")

    def newest(self) -> Path | None:
        """The snapshot to go on from; None where the run was ended before its first."""
        return snapshot.newest(self.snapshots)


@dataclass(frozen=True)
class Plan:
    """What a run is, whatever mesh it is on: written into run.json at its start, and kept when it is resumed.

    data: the folder of the texts, None for the standard library. text: a digest of their tokens. words: the tokenizer,
    as JSON. dtype: of weights, gradients and moments.
    """

    config: LlamaConfig
    recipe: Recipe
    data: Path | None
    text: str
    words: str
    dtype: str

    def write(self, folder: RunFolder) -> None:
        """Whole or not at all: a run.json says that the run can be resumed."""
        content = asdict(self) | {"config": self.config.fields(), "data": self.data and str(self.data)}
        growing = folder.out / f".{RUN}"
        growing.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(growing, folder.out / RUN)

    @staticmethod
    def read(folder: RunFolder) -> "Plan":
        """Raises ValueError where run.json is not what `write` has written."""
        path = folder.out / RUN
        content = read_object(path)
        try:
            config, recipe = LlamaConfig.from_fields(content.pop("config"), path), Recipe(**content.pop("recipe"))
            data = content.pop("data")
            return Plan(config, recipe, data and Path(data), **content)
        except (KeyError, TypeError) as error:
            raise damaged(path, error) from None

    def require_same(self, stream: Tensor) -> None:
        """Raises ValueError where the text is not the one that the run has begun with."""
        if digest(stream) != self.text:
            where = self.data or "the standard library of this Python"
            raise ValueError(f"--resume: {where} is not the text that the run began with; the same text works")


def digest(stream: Tensor) -> str:
    """A few characters that another text would not have."""
    return hashlib.blake2b(stream.numpy().tobytes(), digest_size=16).hexdigest()
