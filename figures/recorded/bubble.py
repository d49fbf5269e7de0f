"""Record chapter 17's bubbles into bubble.json: `python figures/recorded/bubble.py`, about half a minute.

Four ranks whose stages sleep, so that two cores serve them all. `tplearn.pipeline.bubble` says how it is measured.
"""

import json
from pathlib import Path

from tplearn.pipeline.bubble import measured_idle, step_seconds

RANKS, MICRO_BATCHES = 4, (4, 8, 16)
SCHEDULES = {"GPipe": 1, "1F1B": 1, "Interleaved1F1B": 2}  # name: stages on a rank


def record(repeats: int = 4) -> dict[str, dict[str, float]]:
    """{schedule: {m: the bubble's share of a step}}, measured now."""
    told = {}
    for schedule, v in SCHEDULES.items():
        seconds = step_seconds(schedule, RANKS, MICRO_BATCHES, v, repeats=repeats)
        told[schedule] = {str(m): round(share, 4) for m, share in measured_idle(seconds).items()}
    return told


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
