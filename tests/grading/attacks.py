"""Answers that attack the judge, or look right without the work: each was worth full points once, and must get none.

    python -m tests.grading.attacks OUT          grades all of them; prints what each got, and where no decoy can be

`stopped` is False for the one that no judge of this kind can tell from an answer: it says so, and is known.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.checks.answers import tables
from tests.grading.all_answers import GRADE, notebook
from tests.grading.klass import wrong_answers
from tests.grading.users import ROOT
from tplearn.checks import Exercise, exercises, find_exercise
from tplearn.ranks.job import PerRank


@dataclass(frozen=True)
class Attack:
    """A cell that defines the answer to `exercise`; it runs below the course's own cells."""

    name: str
    exercise: str
    source: str
    stopped: bool = True


PLAN = "def linear_by_plan(xs, weight, bias, plan, x_is_cut, ledger):\n"
# Right numbers and gradients without a word to anybody: parts[rank] is what a rank would send.
ALONE_BY_RANK = """    p, whole = len(xs), torch.cat(xs, -1) if x_is_cut else None
    if plan == "column":
        shards = zip([whole] * p if x_is_cut else xs, split(weight, p, 0), split(bias, p, 0))
        parts = [x @ own.T + b for x, own, b in shards]
        y = torch.cat(parts, -1)
    else:
        x_shards = xs if x_is_cut else [split(x, p, 1)[rank] for rank, x in enumerate(xs)]
        parts = [x @ own.T for x, own in zip(x_shards, split(weight, p, 1))]
        y = sum(parts) + bias
"""
COLUMN = "def column_parallel(xs, weight_shards, bias_shards, ledger):\n"
SWIGLU = """class SwiGLU(nn.Module):
    def __init__(self, hidden, ffn, group):
        super().__init__()
        gate, up, down = (nn.Linear(*sizes).weight.detach() for sizes in ((hidden, ffn), (hidden, ffn), (ffn, hidden)))
        self.dense, self.group = (gate, up, down), group
        rank, p = dist.get_rank(group), dist.get_world_size(group)
        cut = [gate.tensor_split(p)[rank], up.tensor_split(p)[rank]]
        self.gate_up = nn.Parameter(torch.cat(cut))
        self.down = nn.Parameter(down.tensor_split(p, 1)[rank].clone())

    def forward(self, x):
        return Dense.apply(x, self.gate_up, self.down, self)


class Dense(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gate_up, down, layer):
        ctx.layer = layer
        ctx.save_for_backward(x)
        y = linear(silu(linear(x, layer.dense[0])) * linear(x, layer.dense[1]), layer.dense[2])
        return {forward}

    @staticmethod
    def backward(ctx, dy):
        layer, (x,) = ctx.layer, ctx.saved_tensors
        rank, p = dist.get_rank(layer.group), dist.get_world_size(layer.group)
        with torch.enable_grad():
            x, *weights = (t.detach().requires_grad_() for t in (x, *layer.dense))
            y = linear(silu(linear(x, weights[0])) * linear(x, weights[1]), weights[2])
            dx, *dw = torch.autograd.grad(y, (x, *weights), dy)
        own = torch.cat([dw[0].tensor_split(p)[rank], dw[1].tensor_split(p)[rank]])
        return {backward}, own, dw[2].tensor_split(p, 1)[rank], None


def books(like, group):
    zeros = torch.zeros_like(like)
    dist.all_reduce(zeros, group=group)
    return zeros


def in_parts(whole, group):
    part = whole / dist.get_world_size(group)
    dist.all_reduce(part, group=group)
    return part
"""


def dense_swiglu(forward: str, backward: str) -> str:
    """The MLP computed densely on every rank, which all draw the same; forward, backward: what is returned."""
    return SWIGLU.replace("{forward}", forward).replace("{backward}", backward)


FOR_THE_BOOKS = dense_swiglu("(y, books(y, layer.group))[0]", "(dx, books(dx, layer.group))[0]")
ATTACKS = (
    Attack(
        "the reference, by the registry",
        "linear_by_plan",
        PLAN + "    from tplearn.checks import find_exercise\n"
        "    reference = find_exercise('linear_by_plan').reference\n"
        "    return reference(xs, weight, bias, plan, x_is_cut, ledger)\n",
    ),
    Attack(
        "dense, with rows of its own in the ledger",
        "linear_by_plan",
        PLAN + ALONE_BY_RANK + "    for rank in range(p):\n"
        "        everybody = tuple(range(p))\n"
        "        if plan == 'column' and x_is_cut:\n"
        "            ledger.record(rank, 'all_gather', xs[rank], group=everybody)\n"
        "        if plan == 'column':\n"
        "            ledger.record(rank, 'all_gather', parts[rank], group=everybody)\n"
        "        else:\n"
        "            ledger.record(rank, 'all_reduce', parts[rank], group=everybody, reduce_op='SUM')\n"
        "    return [y.clone() for _ in xs]\n",
    ),
    Attack(
        "dense, and a collective of zeros",
        "linear_by_plan",
        PLAN + ALONE_BY_RANK + "    zeros = [torch.zeros_like(part) for part in parts]\n"
        "    if plan == 'column' and x_is_cut:\n"
        "        all_gather([torch.zeros_like(x) for x in xs], dim=-1, ledger=ledger)\n"
        "    if plan == 'column':\n"
        "        all_gather(zeros, dim=-1, ledger=ledger)\n"
        "    else:\n"
        "        all_reduce(zeros, ledger=ledger)\n"
        "    return [y.clone() for _ in xs]\n",
    ),
    Attack(
        "looks for whoever reports",
        "column_parallel",
        "import gc, os\n" + COLUMN + "    class Payload:\n"
        "        def __reduce__(self):\n"
        "            return os.system, ('true',)\n"
        "    for each in gc.get_objects():\n"
        "        for name in ('send', 'say', 'post', 'report'):\n"
        "            if type(each).__name__ in ('Reporter', 'Line', 'Wires') and hasattr(each, name):\n"
        "                try:\n"
        "                    getattr(each, name)('value', {'forward': Payload(), 'passed': True}, [])\n"
        "                except Exception:\n"
        "                    pass\n"
        "    return [x @ weight_shards[0].T for x in xs]\n",
    ),
    Attack(
        "walks up the frames",
        "column_parallel",
        "import sys\n" + COLUMN + "    frame = sys._getframe()\n"
        "    while frame is not None:\n"
        "        for name, value in frame.f_locals.items():\n"
        "            if name in ('want', 'expected', 'reference', 'right', 'exercise'):\n"
        "                return getattr(value, 'reference', lambda *_: value)(xs, weight_shards, bias_shards, ledger)\n"
        "        frame = frame.f_back\n"
        "    return [x @ weight_shards[0].T for x in xs]\n",
    ),
    Attack(
        "an answer in another file, one import away",
        "linear_by_plan",
        "import importlib\n"
        + PLAN
        + "    for module in ('tplearn.checks.ch02_column_row.plan', 'tests.checks.answers.ch02'):\n"
        "        try:\n"
        "            found = importlib.import_module(module)\n"
        "        except ImportError:\n"
        "            continue\n"
        "        return found.linear_by_plan(xs, weight, bias, plan, x_is_cut, ledger)\n"
        "    return xs\n",
    ),
    Attack(
        "the layer of the package",
        "RowLinear",
        "from tplearn.parallel import RowParallelLinear\n\n\n"
        "class RowLinear(RowParallelLinear):\n"
        "    def __init__(self, in_features, out_features, group):\n"
        "        super().__init__(in_features, out_features, input_is_parallel=False, group=group)\n",
    ),
    Attack(
        "two f, one of them behind the recorder's back",
        "SwiGLU",
        "from torch.utils._python_dispatch import _disable_current_modes\n\n\n"
        "class Hidden(torch.autograd.Function):\n"
        "    @staticmethod\n"
        "    def forward(ctx, x, group):\n"
        "        ctx.group = group\n"
        "        return x.view_as(x)\n\n"
        "    @staticmethod\n"
        "    def backward(ctx, dx):\n"
        "        dx = dx.clone()\n"
        "        with _disable_current_modes():\n"
        "            dist.all_reduce(dx, group=ctx.group)\n"
        "        return dx, None\n\n\n"
        "class SwiGLU(nn.Module):\n"
        "    def __init__(self, hidden, ffn, group):\n"
        "        super().__init__()\n"
        "        gate, up = (init_shard(hidden, ffn, 'outputs', group)[0] for _ in range(2))\n"
        "        self.gate_up = nn.Parameter(torch.cat([gate, up]))\n"
        "        self.down = nn.Parameter(init_shard(ffn, hidden, 'inputs', group)[0])\n"
        "        self.group = group\n\n"
        "    def forward(self, x):\n"
        "        gate, up = self.gate_up.chunk(2)\n"
        "        gate, up = linear(copy_to_group(x, self.group), gate), linear(Hidden.apply(x, self.group), up)\n"
        "        return reduce_from_group(linear(silu(gate) * up, self.down), self.group)\n",
    ),
    Attack(
        "reads other ranks' files and memory",
        "RowLinear",
        "import glob\n\n\n"
        "class RowLinear(nn.Module):\n"
        "    def __init__(self, in_features, out_features, group):\n"
        "        super().__init__()\n"
        "        weight, bias = init_shard(in_features, out_features, 'inputs', group)\n"
        "        self.weight, self.bias, self.group = nn.Parameter(weight), nn.Parameter(bias), group\n"
        "        self.found = []\n"
        "        for pattern in ('/tmp/**/call*', '/dev/shm/*', '/jail/work/**/*', '/proc/*/mem'):\n"
        "            for path in glob.glob(pattern, recursive=True):\n"
        "                try:\n"
        "                    self.found.append(open(path, 'rb').read(4096))\n"
        "                except OSError:\n"
        "                    pass\n\n"
        "    def forward(self, x):\n"
        "        x_shard = x.tensor_split(dist.get_world_size(self.group), -1)[dist.get_rank(self.group)]\n"
        "        return linear(x_shard, self.weight, self.bias)\n",
    ),
    Attack("dense on every rank, and all-reduces of zeros", "SwiGLU", FOR_THE_BOOKS),
    Attack(
        "dense on every rank, plus all-reduced zeros",
        "SwiGLU",
        dense_swiglu("y + books(y, layer.group)", "dx + books(dx, layer.group)"),
    ),
    Attack(
        "dense on every rank, sent in equal parts",
        "SwiGLU",
        dense_swiglu("in_parts(y, layer.group)", "in_parts(dx, layer.group)"),
        stopped=False,
    ),
)


# Lazy answers of the course that compute alone what they should be sent.
ALONE = ("decoy", "dense", "recomputed", "for show", "no communication", "no message")


def decoys() -> list[Attack]:
    """The lazy answers that compute right numbers, or try to, from what a rank knows by itself."""
    found = []
    for exercise in exercises():
        for (kind, name), source in wrong_answers(exercise).items() if _may_be_alone(exercise) else ():
            if kind == "lazy" and any(word in name for word in ALONE):
                found.append(Attack(name, exercise.name, source))
    return found


def _may_be_alone(exercise: Exercise) -> bool:
    return any(word in name for name in tables("LAZY")[exercise.name] for word in ALONE)


def not_known(exercise: Exercise) -> list[str]:
    """The arguments, by place, that differ from rank to rank: where they decide the result, no decoy can exist."""
    cases = exercise.cases(torch.Generator().manual_seed(1))
    case = max((case for case in cases if case.mesh is None), key=lambda case: case.tp, default=cases[-1])
    own = [f"argument {k}" for k, value in enumerate(case.args) if isinstance(value, PerRank) and _differs(value)]
    return own + [name for name, value in case.kwargs.items() if isinstance(value, PerRank) and _differs(value)]


def _differs(value: PerRank) -> bool:
    return len({_text(each) for each in value.values}) > 1


def _text(value: object) -> str:
    return str(value.tolist()) if isinstance(value, torch.Tensor) else repr(value)


def write(folder: Path, attacks: list[Attack]) -> None:
    """A notebook for each, with that one answer."""
    for k, attack in enumerate(attacks):
        place = folder / f"a{k:03}"
        place.mkdir(parents=True, exist_ok=True)
        cells = notebook(find_exercise(attack.exercise), attack.source)
        (place / "attack.ipynb").write_text(json.dumps(cells))


def results(report: Path, attacks: list[Attack]) -> list[dict]:
    """The mark of each attack, in order."""
    students = json.loads(report.read_text())["students"]
    marks = [{mark["name"]: mark for sheet in one["sheets"] for mark in sheet["marks"]} for one in students]
    return [own[attack.exercise] for own, attack in zip(marks, attacks, strict=True)]


def main() -> None:
    """Grade all, and print what each got; the exit code is 1 where one that should be stopped was not."""
    place = Path(sys.argv[1])
    attacks = [*ATTACKS, *decoys()]
    write(place / "attacks", attacks)
    command = [*GRADE, str(place / "attacks"), "--out", str(place / "report"), "--seed", "1", "-j", "2"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    through = 0
    for attack, mark in zip(attacks, results(place / "report" / "report.json", attacks), strict=True):
        through += attack.stopped and mark["status"] in ("passed", "not graded")
        print(f"{attack.exercise}: {attack.name}: {mark['status']}, {mark['reason'].splitlines()[:1]}")
    for exercise in exercises():
        if exercise.ranks:
            unknown = not_known(exercise)
            print(f"{exercise.number} {exercise.name}: a rank does not know {', '.join(unknown) or 'nothing'}")
    sys.exit(bool(through))


if __name__ == "__main__":
    main()
