"""The picture of chapter 13's widget: a mesh of ranks, what each reads and holds, and what its groups send a step."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.planning import MODELS, ModelShape, kv_heads_per_rank, parameter_breakdown
from tplearn.show.mesh import DP_COLOUR, TP_COLOUR
from tplearn.show.style import GREY, box, canvas, label
from tplearn.sizes import divisors, require_size

ORDERS = ("dp, tp", "tp, dp")
MACHINE = 8  # ranks in one machine
BYTES = 2  # 16-bit numbers
ROWS, COLUMNS = 4, 8  # of the mesh that are drawn; "…" stands for the others
LEFT, WIDE, HIGH, BELOW = 2.4, 0.95, 0.56, 1.75  # BELOW: height of the sentences under the mesh


@dataclass(frozen=True)
class Mesh:
    """ranks as dp × tp; `order` names the dimensions, and the ranks along the last one are neighbours.

    Raises ValueError where tp does not divide the ranks, and for another order.
    """

    ranks: int
    tp: int
    order: str = ORDERS[0]

    def __post_init__(self) -> None:
        require_size("ranks", self.ranks)
        if require_size("tp", self.tp) > self.ranks or self.ranks % self.tp:
            works = ", ".join(map(str, divisors(self.ranks)))
            raise ValueError(f"tp = {self.tp} does not divide {self.ranks} ranks; sizes that work: {works}")
        if self.order not in ORDERS:
            raise ValueError(f"order = {self.order!r} is none of a mesh; orders that work: {' and '.join(ORDERS)}")

    @property
    def dp(self) -> int:
        """Replicas."""
        return self.ranks // self.tp

    def rank(self, replica: int, shard: int) -> int:
        """The rank at two coordinates, as init_device_mesh numbers them: row by row."""
        return replica * self.tp + shard if self.order == ORDERS[0] else shard * self.dp + replica

    def machines(self) -> int:
        """Machines that a tp group lies on, at most."""
        return max(len({self.rank(k, shard) // MACHINE for shard in range(self.tp)}) for k in range(self.dp))


@dataclass(frozen=True)
class Traffic:
    """What one rank sends in a step of training when every all-reduce runs as a ring, in bytes.

    activation: one [batch/dp, length, hidden], of which tp all-reduces `meetings`. gradients: what a rank holds, which
    dp all-reduces once. The small messages (loss, norm; KV heads that have copies) are left out.
    """

    activation: int
    meetings: int
    gradients: int
    over_tp: float
    over_dp: float

    @staticmethod
    def of(shape: ModelShape, mesh: Mesh, windows: int, length: int) -> "Traffic":
        """Of a replica that reads so many windows of `length` tokens."""
        activation = windows * length * shape.hidden_size * BYTES
        meetings = 2 * (2 * shape.num_hidden_layers + 1)
        gradients = sum(parameter_breakdown(shape, mesh.tp).values()) * BYTES
        over_tp = 2 * (mesh.tp - 1) / mesh.tp * activation * meetings
        return Traffic(activation, meetings, gradients, over_tp, 2 * (mesh.dp - 1) / mesh.dp * gradients)


def windows_of(batch: int, dp: int, replica: int) -> list[int]:
    """The windows of a batch that a replica reads, as DistributedSampler deals. ValueError where dp does not divide."""
    if require_size("batch", batch) % dp:
        raise ValueError(f"batch = {batch} does not divide by dp = {dp} replicas; multiples of {dp} work")
    return list(range(replica, batch, dp))


def paint_mesh(figure: Figure, *, ranks: int, tp: int, order: str, model: str, batch: int, length: int) -> str:
    """Draw the mesh, with what each rank reads and holds; return what its groups send in a step.

    Raises ValueError where something does not divide.
    """
    shape, mesh = MODELS[model], Mesh(ranks, tp, order)
    kv_heads_per_rank(shape, tp)
    each = len(windows_of(batch, mesh.dp, 0))
    traffic = Traffic.of(shape, mesh, each, length)
    top = BELOW + max(2, min(ROWS, mesh.dp)) * HIGH
    _, ax = canvas(10.2, top + 0.95, figure)
    sizes = f"({mesh.dp}, {tp})" if order == ORDERS[0] else f"({tp}, {mesh.dp})"
    label(ax, 0.15, top + 0.72, f"{model}, {ranks} ranks: mesh {sizes}, named ({order})", ha="left", bold=True, size=11)
    _grid(ax, mesh, batch, top)
    rows, columns = f"a row: tp group, {_ranks(mesh, 'tp')}", f"a column: dp group, {_ranks(mesh, 'dp')}"
    over_tp = _sends(traffic.meetings, traffic.activation, traffic.over_tp)
    over_dp = _sends(1, traffic.gradients, traffic.over_dp)
    lines = (
        (f"{rows}, {'✓' if mesh.machines() == 1 else '✗'} {_place(mesh)}", TP_COLOUR),
        (over_tp, GREY),
        (columns, DP_COLOUR),
        (over_dp, GREY),
    )
    for number, (text, colour) in enumerate(lines):
        label(ax, 0.15, 1.32 - 0.3 * number, text, ha="left", colour=colour, bold=number % 2 == 0)
    tokens = f"a step: {batch} windows of {length:,} tokens, {batch * length:,} in all, with {mesh.dp} replicas"
    label(ax, 0.15, 0.12, f"16-bit numbers; {tokens}", ha="left", bold=True)
    return (
        f"{model} on {ranks} ranks, dp {mesh.dp} × tp {tp}. Each replica reads {each} of {batch} windows, "
        f"{batch * length:,} tokens a step in all. Over tp, {_place(mesh)}: {over_tp}. Over dp: {over_dp}."
    )


def _grid(ax: Axes, mesh: Mesh, batch: int, top: float) -> None:
    """A box for each rank: the colour and hatch of its shard, its number and machine; windows beside, shards above."""
    columns, rows = _shown(mesh.tp, COLUMNS), _shown(mesh.dp, ROWS)
    for place, shard in enumerate(columns):
        label(ax, LEFT + (place + 0.5) * WIDE, top + 0.22, "…" if shard is None else f"shard {shard}", size=9.5)
    label(ax, 0.15, top + 0.22, "reads windows", ha="left", size=9.5)
    for line, replica in enumerate(rows):
        y = top - (line + 1) * HIGH
        if replica is None:
            label(ax, 0.15, y + HIGH / 2, "…", ha="left")
            continue
        own = windows_of(batch, mesh.dp, replica)
        read = ", ".join(map(str, own[:3])) + (", …" if len(own) > 3 else "")
        label(ax, 0.15, y + HIGH / 2, f"replica {replica}: {read}", ha="left")
        for place, shard in enumerate(columns):
            if shard is None:
                continue
            rank = mesh.rank(replica, shard)
            text = f"rank {rank}" + (f"\nmachine {rank // MACHINE}" if mesh.ranks > MACHINE else "")
            at = (LEFT + place * WIDE + 0.03, y + 0.03)
            box(ax, *at, WIDE - 0.06, HIGH - 0.06, text, rank=shard, size=9)


def _shown(count: int, room: int) -> list[int | None]:
    """The coordinates that are drawn: all where there is room, else the first ones, None for a gap, and the last."""
    return list(range(count)) if count <= room else [*range(room - 2), None, count - 1]


def _ranks(mesh: Mesh, name: str) -> str:
    """The first group along a dimension, in words."""
    group = [mesh.rank(0, k) for k in range(mesh.tp)] if name == "tp" else [mesh.rank(k, 0) for k in range(mesh.dp)]
    if len(group) == 1:
        return f"rank {group[0]} by itself"
    if len(group) > 8:
        return f"ranks {', '.join(map(str, group[:4]))}, … {group[-1]}"
    return f"ranks {', '.join(map(str, group))}"


def _place(mesh: Mesh) -> str:
    count = mesh.machines()
    return "inside one machine" if count == 1 else f"across {count} machines"


def _sends(meetings: int, each: int, sent: float) -> str:
    """All-reduces of a step, and what they make a rank send."""
    plural = "" if meetings == 1 else "s"
    return f"{meetings} all-reduce{plural} of {_size(each)}: a rank sends {_size(sent)}" if sent else "nothing to send"


def _size(count: float) -> str:
    """Bytes in a unit that shows them."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count / 1024:,.3g} KiB"
