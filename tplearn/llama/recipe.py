"""How a Llama is trained: steps, sizes, rates and seed, in one record that says nothing of ranks."""

import math
from dataclasses import dataclass

from tplearn.sizes import is_number, require_size, require_whole, shown


@dataclass(frozen=True)
class Recipe:
    """The same recipe gives the same curve on every mesh. Defaults: those of the checkpoint `tiny-llama`.

    batch: windows in a step, of all data-parallel ranks together. accumulate: backward passes that share a step, each
    with an equal part of the batch. dropout: share of what attention and MLP add to the residual.

    Raises ValueError for a number that does not work.
    """

    steps: int = 2400
    batch: int = 16
    length: int = 256
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    accumulate: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length", "accumulate"):
            require_size(name, getattr(self, name))
        require_size("warmup", self.warmup, least=0)
        require_whole("seed", self.seed, "whole numbers work")
        for name in ("peak_rate", "clip"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise ValueError(f"{name} = {shown(value)} does not work; numbers above 0 do")
        if not (is_number(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay = {shown(self.weight_decay)} does not work; numbers from 0 do")
        if not (is_number(self.dropout) and 0 <= self.dropout < 1):
            raise ValueError(f"dropout = {shown(self.dropout)} does not work; numbers from 0 up to, but not, 1 do")
        self.share(1)

    def rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine down to a tenth of the peak (GPT-3's shape)."""
        if step < self.warmup:
            return self.peak_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))

    def share(self, replicas: int) -> int:
        """Windows of a step that each of so many data-parallel ranks has. ValueError where they do not divide."""
        pieces = replicas * self.accumulate
        if self.batch % pieces:
            raise ValueError(
                f"batch = {self.batch} does not divide by dp · accumulate = {replicas} · {self.accumulate}; multiples "
                f"of {pieces} work"
            )
        return self.batch // replicas

    @property
    def tokens(self) -> int:
        """Tokens in a step. Not one more with tensor parallelism: its ranks read the same ones."""
        return self.batch * self.length
