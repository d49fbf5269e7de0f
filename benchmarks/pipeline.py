"""The bubble of a pipeline, measured beside theory: `python benchmarks/pipeline.py`.

Four ranks whose stages sleep 20 ms forward and 40 ms backward, with 4, 8 and 16 micro-batches. A sleep needs no core,
so two cores serve four ranks. A sleep cannot be split into the halves that zero-bubble schedules move about, so those
are not here.
"""

from rich.console import Console
from rich.table import Table

from tplearn.pipeline.bubble import idle_in_theory, measured_idle, step_seconds

RANKS, MICRO_BATCHES = 4, (4, 8, 16)
SCHEDULES = {"GPipe": 1, "1F1B": 1, "Interleaved1F1B": 2}  # name: stages on a rank
AIM = 3  # percentage points


def main() -> None:
    """Print seconds, the bubble's share of them, and (p − 1) / (v m + p − 1)."""
    table = Table("schedule", "stages a rank", "micro-batches", "seconds", "bubble", "theory", "points apart")
    for schedule, v in SCHEDULES.items():
        seconds = step_seconds(schedule, RANKS, MICRO_BATCHES, v)
        for m, share in measured_idle(seconds).items():
            due = idle_in_theory(RANKS, m, v)
            shares = (f"{100 * share:.1f} %", f"{100 * due:.1f} %", f"{100 * abs(share - due):.1f}")
            table.add_row(schedule, str(v), str(m), f"{seconds[m]:.3f}", *shares)
    console = Console(width=110)
    console.print(table)
    console.print(f"Aim: at most {AIM} points apart.")


if __name__ == "__main__":
    main()
