"""The schedules of torch's pipelining: which stages each puts on a rank, and how many micro-batches it needs."""

import difflib
from dataclasses import dataclass

from tplearn.sizes import require_rank, require_size, shown


@dataclass(frozen=True)
class Kind:
    """A schedule of p ranks with v stages on each, under torch's name.

    looped: v may be more than 1; rank r has the stages r, r + p, r + 2p, … v_shaped: v is 2, and rank r has the stages
    r and 2p − 1 − r, so the first and the last are both on rank 0. filled: it needs a micro-batch for every stage.
    rounds: micro-batches come in rounds of the same size, at least p where there are as many.
    """

    name: str
    looped: bool = False
    v_shaped: bool = False
    filled: bool = False
    rounds: bool = False

    def stages_per_rank(self, v: int | None = None) -> int:
        """v where it works, and without one what is usual. Raises ValueError for another."""
        usual = 2 if self.looped or self.v_shaped else 1
        v = usual if v is None else require_size("stages_per_rank", v)
        if v != usual and not self.looped:
            raise ValueError(f"stages_per_rank = {v} does not work with {self.name}; {usual} works")
        return v

    def stages_of(self, rank: int, p: int, v: int | None = None) -> list[int]:
        """The stages of one rank, ascending. Raises ValueError for a rank or a v that does not exist."""
        rank, v = require_rank("rank", rank, p), self.stages_per_rank(v)
        return [rank, 2 * p - 1 - rank] if self.v_shaped else [rank + p * k for k in range(v)]

    def require_micro_batches(self, m: int, p: int, v: int | None = None) -> int:
        """m as an int. Raises ValueError where the schedule cannot run with so few, or where rounds come out uneven."""
        m, p = require_size("micro_batches", m), require_size("p", p, noun="a number of ranks")
        stages = p * self.stages_per_rank(v)
        if self.filled and m < stages:
            works = f"{stages} and more work"
            raise ValueError(f"micro_batches = {m} are fewer than the {stages} stages of {self.name}; {works}")
        if self.rounds and m % (m // p or 1):
            works = f"multiples of {p} work" + (f", and up to {2 * p - 1}" if p > 1 else "")
            raise ValueError(
                f"micro_batches = {m} do not divide into the {m // p} rounds that {self.name} makes of them on "
                f"{p} ranks; {works}"
            )
        return m


KINDS = {
    kind.name: kind
    for kind in (
        Kind("GPipe"),
        Kind("1F1B", filled=True),
        Kind("Interleaved1F1B", looped=True, rounds=True),
        Kind("LoopedBFS", looped=True),
        Kind("InterleavedZeroBubble", looped=True, rounds=True),
        Kind("ZBVZeroBubble", v_shaped=True),
        Kind("DualPipeV", v_shaped=True, filled=True),
    )
}


def kind_of(schedule: str) -> Kind:
    """The schedule of this name. Raises ValueError for another, with the names that are near."""
    if isinstance(schedule, str) and schedule in KINDS:
        return KINDS[schedule]
    lower = {name.lower(): name for name in KINDS}
    near = difflib.get_close_matches(schedule.lower(), lower, n=3) if isinstance(schedule, str) else []
    works = ", ".join([lower[name] for name in near] or KINDS)
    raise ValueError(f"schedule = {shown(schedule)} is not known; names that work: {works}")
