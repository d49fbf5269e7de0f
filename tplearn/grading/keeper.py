"""What a batch has found so far, in a folder: written so that a SIGKILL at any moment loses at most what was running.

run.json says what the findings hold for. results/<key>.json is one finding: the same seed, course and cells have the
same key, so a second run does only what has changed.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tplearn.grading.results import Mark

RUN, RESULTS, ROOMS, LOCK = "run.json", "results", ".rooms", ".lock"
SCHEMA = "tplearn/run/v1"


@dataclass(frozen=True)
class Run:
    """seed: of the hidden inputs. course: a hash of all that judges. jail: what holds the answers, "" for nothing.

    landlock: without a jail, whether the kernel keeps answers from files that are not theirs.
    """

    seed: int
    course: str
    jail: str
    landlock: bool = False


class Keeper:
    """The findings of one run. rooms: a folder for what is needed while it runs; a killed run's is cleared.

    Raises ValueError where another run is at work in the same folder.
    """

    def __init__(self, out: Path, run: Run) -> None:
        self.run, self.rooms = run, out / ROOMS
        self._folder = out / RESULTS
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(out / LOCK, "w")  # noqa: SIM115 (held as long as this process lives)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another `tplearn grade` is at work in {out}: wait for it, or give another --out"
            ) from None
        shutil.rmtree(self.rooms, ignore_errors=True)
        self.rooms.mkdir()
        write_whole(out / RUN, _text({"schema": SCHEMA} | asdict(run)))

    def key(self, exercise: str, tries: tuple[tuple[tuple[str, str], ...], ...]) -> str:
        """Of what is run for an exercise. What changes a finding changes its key."""
        parts = [asdict(self.run), exercise, tries]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def get(self, key: str) -> Mark | None:
        """The finding of that key, or None where there is none yet."""
        try:
            return Mark(**json.loads((self._folder / f"{key}.json").read_bytes()))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Nothing more is run."""
        shutil.rmtree(self.rooms)

    def put(self, key: str, mark: Mark) -> None:
        """Keep a finding."""
        write_whole(self._folder / f"{key}.json", _text(asdict(mark)))


def seed_for(out: Path, seed: int | None) -> int:
    """The seed that a folder was begun with, else the given one, else a new one that nobody can know.

    Raises:
        ValueError: the folder holds something else than a graded batch, or was begun with another seed.
    """
    path = out / RUN
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ValueError(f"--out {out} holds something else than a graded batch: give a new or empty folder")
        return secrets.randbelow(2**31) if seed is None else seed
    try:
        begun = json.loads(path.read_bytes())["seed"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} cannot be read: remove it, or give another --out") from None
    if seed not in (None, begun):
        raise ValueError(f"{out} was graded with seed {begun}, not {seed}: leave --seed out, or give another --out")
    return begun


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds all of it or none, also after a power cut."""
    half = path.with_name(f".{path.name}.half")
    with open(half, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)


def _text(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
