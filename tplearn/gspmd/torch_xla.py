"""Torch-XLA from here: its script runs in an environment of its own, and a recorded run stands in where there is none.

Torch-XLA needs a torch of its own release, so `make xla` installs both into .venv-xla. What the script printed there
for tiny-llama is kept beside this file; it is made again by

    .venv-xla/bin/python -I tplearn/gspmd/torch_xla_script.py tplearn/llama/tiny-llama 1x8,2x4,4x2,8x1 \\
        | tail -1 > tplearn/gspmd/torch_xla_recorded.json
"""

import json
import math
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from tplearn.llama.config import LlamaConfig

ENVIRONMENT = Path(__file__).parents[2] / ".venv-xla"
SCRIPT = Path(__file__).with_name("torch_xla_script.py")
RECORDED = Path(__file__).with_name("torch_xla_recorded.json")


@dataclass(frozen=True)
class Collective:
    """One kind of collective in a partitioned program: `count` of them run in each of `groups` at once.

    A collective_permute's groups are pairs (source, target).
    """

    op: str
    groups: tuple[tuple[int, ...], ...]
    count: int


@dataclass(frozen=True)
class Outcome:
    """One way of annotating the model on one mesh, its logits against those of the model on one device."""

    way: str
    mesh: tuple[int, ...]
    """batch × model, or batch × kv × copy where devices share KV heads"""
    max_difference: float
    """largest |logit − due|, to two digits"""
    pcc: float
    """Pearson correlation of all logits, to nine decimals"""
    top_1: float
    """share of tokens whose likeliest word is the same"""
    bytes_on_a_device: int
    """of the weights, in float32"""
    program: int
    """outcomes with the same number ran the same program: Torch-XLA traced the same graph"""
    collectives: tuple[Collective, ...]
    """of the forward pass, after partitioning"""

    @property
    def close(self) -> bool:
        """What rounding in float32 leaves, and no mistake does."""
        return self.pcc > 0.999999 and self.top_1 == 1

    @property
    def counts(self) -> dict[str, int]:
        """How many collectives of each op a device takes part in (a permute: all devices together), by op."""
        total: Counter[str] = Counter()
        for collective in self.collectives:
            total[collective.op] += collective.count
        return dict(total)


@dataclass(frozen=True)
class Report:
    """All outcomes of a run, mesh by mesh; the shape of the logits; the versions of torch, torch_xla, transformers."""

    versions: dict[str, str]
    logits: tuple[int, ...]
    outcomes: tuple[Outcome, ...]


def recorded() -> Report:
    """A run on tiny-llama and the meshes 1×8, 2×4, 4×2 and 8×1, that was recorded when the course was written."""
    return read_report(RECORDED.read_text())


def run_torch_xla(
    folder: Path,
    meshes: list[tuple[int, int]],
    *,
    environment: Path = ENVIRONMENT,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Run the script on a Hugging Face folder and meshes of batch × model devices, all of the same number.

    tell: gets a line such as "2x4: in place" before each part; a part takes some seconds.
    Raises FileNotFoundError where the environment is not installed, ValueError for a model that is no Llama and for
    meshes of different sizes, RuntimeError with the script's last words where it fails.
    """
    sizes = {math.prod(mesh) for mesh in meshes}
    if len(sizes) != 1:
        raise ValueError(f"meshes of {sorted(sizes)} devices; one or more of the same number work, such as 2x4 and 4x2")
    family = LlamaConfig.from_folder(folder).family
    if family != "llama":
        raise ValueError(f"model_type = {family!r} with torch-xla; 'llama' works, and {family!r} does with jax")
    if not (environment / ".done").exists():  # what `make xla` leaves behind at its end
        raise FileNotFoundError(
            f"Torch-XLA is not installed; `make xla` does it, in a folder {environment.name} of 7 GB (Linux, x86-64)"
        )
    # -I: neither PYTHONPATH nor the script's own folder, in which this file is called torch_xla too.
    command = [
        environment / "bin" / "python",
        "-I",
        SCRIPT,
        Path(folder).resolve(),
        ",".join(f"{batch}x{model}" for batch, model in meshes),
    ]
    last = ""
    with (
        TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True, encoding="utf-8"
        ) as running,
    ):
        for line in running.stdout:
            last = line.strip()
            if not last.startswith("{"):
                tell(last)
        if running.wait():
            complaints.seek(0)
            words = [line.strip() for line in complaints if line.strip()] or [f"exit code {running.returncode}"]
            raise RuntimeError(f"Torch-XLA failed{f' at {last}' if last else ''}: {words[-1]}")
    return read_report(last)


def read_report(text: str) -> Report:
    """What the script prints, as an object. Raises ValueError where it is something else."""
    try:
        found = json.loads(text)
        outcomes = tuple(_outcome(**result) for result in found["results"])
        return Report(found["versions"], tuple(found["logits"]), outcomes)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"no report of {SCRIPT.name}: {text[:80]!r}; the one line of JSON that it prints works"
        ) from error


def _outcome(mesh: list[int], collectives: list[dict], **rest: object) -> Outcome:
    rows = (Collective(row["op"], tuple(map(tuple, row["groups"])), row["count"]) for row in collectives)
    return Outcome(mesh=tuple(mesh), collectives=tuple(rows), **rest)
