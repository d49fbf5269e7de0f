"""What `tplearn plan` is asked, checked before anything is computed."""

import math
from dataclasses import dataclass

from tplearn.commands.options import require
from tplearn.planning import Accelerator, ModelShape, TrainingJob, tp_sizes
from tplearn.planning.layouts import CP_TOKENS, OBJECTIVES, cp_sizes

BATCH_TOKENS = 2**24  # Llama 3 405B's 16M tokens a step: arXiv:2407.21783, section 3.4.1
MOST_GPUS, MOST_SEQUENCE, MOST_BATCH_TOKENS = 10**6, 2**24, 2**32  # beyond what anybody has, and before divisors hang


@dataclass(frozen=True, kw_only=True)
class Question:
    """A model on so many accelerators. None for what was not typed: every size of tp and pp is tried then.

    price: dollars an hour of one accelerator.

    Raises:
        ValueError: a value that cannot work, in one sentence that begins with the option.
    """

    shape: ModelShape
    accelerator: Accelerator
    gpus: int
    sequence: int = 8192
    rank_by: str = "time"
    price: float | None = None
    tp: int | None = None
    pp: int | None = None

    def __post_init__(self) -> None:
        require("gpus", self.gpus, 1 <= self.gpus <= MOST_GPUS, f"numbers from 1 to {MOST_GPUS:,} work")
        require("seq", self.sequence, 1 <= self.sequence <= MOST_SEQUENCE, f"numbers from 1 to {MOST_SEQUENCE:,} work")
        require("by", self.rank_by, self.rank_by in OBJECTIVES, f"values that work: {', '.join(OBJECTIVES)}")
        if self.price is not None:
            require("price", self.price, math.isfinite(self.price) and self.price > 0, "dollars above 0 work")
        if self.tp is not None:
            works = [tp for tp in tp_sizes(self.shape) if tp <= self.gpus]
            require("tp", self.tp, self.tp in works, f"{self._why_not(self.tp)}; sizes that work: {_listed(works)}")
        if self.pp is not None:
            most = min(self.shape.num_hidden_layers, self.gpus // (self.tp or 1))
            layers = f"{self.shape.num_hidden_layers} layers on {self.gpus} accelerators"
            require("pp", self.pp, 1 <= self.pp <= most, f"{layers}; numbers from 1 to {most} work")

    def _why_not(self, tp: int) -> str:
        shape = self.shape
        if tp in tp_sizes(shape):
            return f"it is more than --gpus {self.gpus}"
        return (
            f"it does not cut the {shape.num_attention_heads} heads, {shape.num_key_value_heads} KV heads and "
            f"{shape.intermediate_size} columns of {self.name} into equal parts"
        )

    @property
    def name(self) -> str:
        """The model's."""
        return self.shape.name or "the model"

    def dollars(self, gpu_seconds: float) -> float | None:
        """What so many accelerator-seconds cost; None without a price."""
        return None if self.price is None else gpu_seconds * self.price / 3600


@dataclass(frozen=True, kw_only=True)
class TrainQuestion(Question):
    """Training. `batch_tokens`: tokens of a step; None: Llama 3's 16 M, in a power of two of sequences."""

    cp: int | None = None
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_tokens is not None:
            tokens, sequence = self.batch_tokens, self.sequence
            near = max(sequence, tokens // sequence * sequence)
            whole = sequence <= tokens <= MOST_BATCH_TOKENS and tokens % sequence == 0
            said = f"multiples of --seq {sequence} up to {MOST_BATCH_TOKENS:,} work, such as {near}"
            require("batch-tokens", tokens, whole, said)
        if self.cp is not None:
            room = self.gpus // ((self.tp or 1) * (self.pp or 1))
            works = [cp for cp in whole_cp_sizes(self.sequence) if cp <= max(1, room)]
            said = f"a rank gets {CP_TOKENS} tokens or more of --seq {self.sequence}, in two equal pieces"
            require(
                "cp", self.cp, self.cp in works, f"{said}; sizes that work on {room} accelerators: {_listed(works)}"
            )

    @property
    def job(self) -> TrainingJob:
        """The model and the batch of a step."""
        if self.batch_tokens is None:
            batch = 2 ** max(0, int(math.log2(BATCH_TOKENS / self.sequence)))
        else:
            batch = self.batch_tokens // self.sequence
        return TrainingJob(self.shape, self.sequence, batch)


@dataclass(frozen=True, kw_only=True)
class ServeQuestion(Question):
    """Serving texts of `sequence` tokens. `sequences`: how many at once, over all replicas; None: as many as fit."""

    sequences: int | None = None
    bytes_per_parameter: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sequences is not None:
            require("sequences", self.sequences, 1 <= self.sequences <= 10**9, "numbers from 1 to 1,000,000,000 work")
        bytes_each = self.bytes_per_parameter
        said = "numbers above 0 up to 4 work: 2 is bf16, 1 is fp8, 0.5 is int4"
        require("bytes-per-parameter", bytes_each, 0 < bytes_each <= 4, said)


def whole_cp_sizes(sequence: int) -> list[int]:
    """The cp that a search of layouts tries for a sequence, and that cut it."""
    return [cp for cp in cp_sizes(sequence) if cp == 1 or sequence % (2 * cp) == 0]


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes))
