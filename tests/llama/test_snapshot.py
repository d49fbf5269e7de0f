"""A run on disk: resumed on any mesh it goes on as if nothing had happened; what is killed half-way is never read."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor

from tests.llama.mesh import CONFIG, RECIPE, Curve, curve, furthest, text, trainer_on
from tplearn import run_ranks
from tplearn.llama import Llama, saving, snapshot
from tplearn.llama.recipe import Recipe
from tplearn.llama.train import Trainer
from tplearn.parallel import partitions

ROOT = Path(__file__).parent.parent.parent
LONG = replace(RECIPE, steps=10, accumulate=2, dropout=0.1)
Way = tuple[tuple[int, int], str, bool]


def run_until(way: Way, recipe: Recipe, stream: Tensor, folder: Path, at: int, resumed: bool) -> Curve:
    """The steps that are left; after step `at` a snapshot."""
    trainer = trainer_on(way[0], recipe, *way[1:])
    if resumed:
        snapshot.resume(trainer, snapshot.newest(folder))
    steps: Curve = []

    def report(loss: float, norm: float) -> None:
        steps.append((loss, norm))
        if trainer.done == at:
            snapshot.save(trainer, folder, writes=dist.get_rank() == 0)

    trainer.run(stream, report)
    return steps


FROM: list[Way] = [((2, 2), "hand", True), ((2, 2), "fsdp", False)]
TO: list[Way] = [
    ((1, 4), "hand", True),
    ((4, 1), "fsdp", False),
    ((2, 2), "ddp", False),
    ((2, 2), "fsdp", True),
    ((1, 2), "hand", False),
    ((1, 1), "hand", False),
]


@pytest.mark.slow
@pytest.mark.parametrize("source", FROM, ids=lambda way: way[1])
def test_any_other_mesh_goes_on_with_it(source: Way, tmp_path: Path) -> None:
    due = run_ranks(run_until, 4, source, LONG, text(), tmp_path, 4, False, record=False).values[0]
    for way in TO:
        left = run_ranks(run_until, way[0][0] * way[0][1], way, LONG, text(), tmp_path, 0, True, record=False).values[0]
        assert furthest(left, due[4:]) < 1e-12, way


def again(stream: Tensor, folder: Path) -> tuple[Curve, Curve]:
    """Steps after a snapshot, and the same once more, resumed."""
    first = trainer_on((2, 2), LONG)
    for _ in range(3):
        first.step(stream[: 17 * 4].view(4, 17))
    snapshot.save(first, folder, writes=dist.get_rank() == 0)
    dist.barrier()
    second = trainer_on((2, 2), LONG)
    snapshot.resume(second, snapshot.newest(folder))
    return curve(first, stream), curve(second, stream)


def test_on_the_same_mesh_it_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    for undisturbed, resumed in run_ranks(again, 4, text(), tmp_path).values:
        assert undisturbed == resumed and len(resumed) == 7


def small_trainer() -> Trainer:
    config = replace(CONFIG, hidden_size=8, intermediate_size=8, num_hidden_layers=1, vocab_size=20)
    return Trainer.fresh(config, Recipe(steps=9, batch=2, length=4), dtype=torch.float64)


def numbers(trainer: Trainer) -> list[Tensor]:
    """Weights, moments and counters."""
    states = [trainer.optimizer.state[p] for p in trainer.model.parameters()]
    return [p.detach() for p in trainer.model.parameters()] + [s[key] for s in states for key in sorted(s)]


def stepped(steps: int) -> Trainer:
    trainer, windows = small_trainer(), torch.arange(10).view(2, 5)
    for _ in range(steps):
        trainer.step(windows)
    return trainer


def killed_at(event: int, folder: Path) -> None:
    """Save after step 2, then after step 3, where SIGKILL comes at some change of the folder."""
    snapshot.save(stepped(2), folder, writes=True)
    trainer, seen = stepped(3), 0

    def hook(name: str, arguments: tuple) -> None:
        nonlocal seen
        if name in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
            seen += 1
            if seen == event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    save_file = saving.save_file

    def half(tensors: dict, path: Path, **options: object) -> None:
        """As save_file, which Rust does unseen: an event before it, and one when half of the file is there."""
        hook("open", ())
        save_file(tensors, path, **options)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        hook("open", ())
        path.write_bytes(content)

    saving.save_file = half
    snapshot.save(trainer, folder, writes=True)


def kill_at_each(place: Path) -> None:
    """At the first change, at the second … until one has saved it all: each in a fork, with a folder of its own."""
    stepped(1)  # what torch loads at its first step is there in every fork
    for event in itertools.count(1):
        if (pid := os.fork()) == 0:
            with contextlib.suppress(BaseException):
                killed_at(event, place / str(event))
                os._exit(0)
            os._exit(1)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if ended == 0:
            return
        assert ended == -signal.SIGKILL, f"change {event}: exit code {ended}"


def test_killed_at_any_change_of_the_folder_the_last_whole_snapshot_is_read(tmp_path: Path) -> None:
    code = f"from tests.llama.test_snapshot import *; kill_at_each(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)  # a process without threads
    due = {steps: numbers(stepped(steps)) for steps in (2, 3)}
    found = []
    for event in range(1, len(list(tmp_path.iterdir())) + 1):
        folder = tmp_path / str(event)
        trainer = small_trainer()
        snapshot.resume(trainer, snapshot.newest(folder))
        assert all(torch.equal(a, b) for a, b in zip(numbers(trainer), due[trainer.done], strict=True)), event
        found.append(trainer.done)
        snapshot.save(stepped(4), folder, writes=True)  # the next one clears away what was left
        assert [path.name for path in folder.iterdir()] == ["step-00000004"]
    assert found == sorted(found) and found.count(2) > 10 and found.count(3) > 5


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert snapshot.newest(tmp_path) is None and snapshot.newest(tmp_path / "nowhere") is None
    (tmp_path / ".step-00000009").mkdir()
    assert snapshot.newest(tmp_path) is None


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path / name).write_bytes(change((path / name).read_bytes()))


DAMAGED = [
    (damage("snapshot.json", lambda _: b"{}"), "steps = None is no number of steps"),
    (damage("snapshot.json", lambda text: text[:4]), "snapshot.json"),
    (damage("model.safetensors", lambda content: content[:-8]), "model.safetensors"),
    (damage("exp_avg/model.safetensors", lambda content: content[:99]), "exp_avg/model.safetensors"),
    (lambda path: (path / "exp_avg_sq" / "model.safetensors").unlink(), "exp_avg_sq"),
]


@pytest.mark.parametrize(("change", "said"), DAMAGED, ids=[said for _, said in DAMAGED])
def test_a_damaged_snapshot_is_refused_by_name(change: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    snapshot.save(stepped(1), tmp_path, writes=True)
    change(snapshot.newest(tmp_path))
    with pytest.raises(ValueError, match=said):
        snapshot.resume(small_trainer(), snapshot.newest(tmp_path))


def test_a_snapshot_of_another_model_is_refused(tmp_path: Path) -> None:
    snapshot.save(stepped(1), tmp_path, writes=True)
    with pytest.raises(ValueError, match="embed_tokens"):
        snapshot.resume(Trainer.fresh(CONFIG, RECIPE), snapshot.newest(tmp_path))


def plain_dcp(folder: Path) -> list[str]:
    """The parameters that torch.distributed.checkpoint gives back as another rank's shard."""
    torch.manual_seed(0)
    model = Llama(CONFIG)
    state = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    dcp.save(state, checkpoint_id=str(folder))
    back = {name: torch.zeros_like(x) for name, x in state.items()}
    dcp.load(back, checkpoint_id=str(folder))
    cut = {name: partition for name, _, partition in partitions(model)}
    wrong = [name for name in state if not torch.equal(back[name], state[name])]
    assert all(cut[name].shape != cut[name].dense_shape for name in wrong)
    return wrong


def test_why_it_is_not_torchs_own_checkpoint(tmp_path: Path) -> None:
    """Plain shards of one name count as copies there: silently, each comes from whichever rank."""
    first, second = run_ranks(plain_dcp, 2, tmp_path).values
    assert len(first) + len(second) > 0 and not set(first) & set(second)
