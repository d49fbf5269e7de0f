"""What the commands show of compilers: verdicts, the collectives of a program, and a picture of each mesh."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tplearn.commands.plan_jax import Program, layers_of
from tplearn.commands.tables import WIDTH, span
from tplearn.commands.verify_jax import Holding, Verdict
from tplearn.gspmd.hlo import DTYPES
from tplearn.gspmd.instructions import Instruction
from tplearn.llama import LlamaConfig

GROUPS = 8  # so many are written out

THREADS = "The devices are threads of this process: what they hold and send is real, the seconds are no speed-up."
HALVES = "XLA's CPU backend adds bfloat16 up in float32, so float32 is sent there; GPUs and TPUs send bfloat16."
COPIES = (
    "There are more devices along the model than KV heads: a mesh of kv × copy, with copies of them, stands beside."
)


def show(verdicts: list[Verdict], console: Console) -> None:
    """Print everything of `tplearn verify --with jax`."""
    console.width = max(console.width, WIDTH)
    shape = " × ".join(map(str, verdicts[0].shape))
    title = f"logits of {shape} (batch × sequence × vocabulary) in JAX, against one rank"
    agreements = Table("mesh", "max |Δlogit|", "PCC", "top-1", "top-100", "verdict", title=title)
    costs = Table(
        "mesh", "initialise s", "compile s", "forward s", "a device's weights", "bytes", title="what it takes"
    )
    for verdict in verdicts:
        judged, weight_bytes = verdict.agreement, max(holding.weight_bytes for holding in verdict.holdings)
        agreements.add_row(
            verdict.name,
            f"{judged.max_difference:.1e}",
            f"{judged.pcc:.9f}",
            f"{judged.top_1:.1%}",
            f"{judged.top_100:.1%}",
            "same" if judged.close else "DIFFERENT",
        )
        seconds = verdict.load_seconds, verdict.compile_seconds, verdict.forward_seconds
        costs.add_row(verdict.name, *(f"{t:.3f}" for t in seconds), decimal(weight_bytes), f"{weight_bytes:,}")
    console.print(agreements)
    console.print(costs)
    console.print(collectives([(verdict.name, verdict.collectives) for verdict in verdicts], verdicts[0].config))
    for verdict in verdicts:
        console.print(picture(verdict))
    console.print(THREADS, soft_wrap=True)
    if any("kv" in verdict.mesh.axis_names for verdict in verdicts):
        console.print(COPIES, soft_wrap=True)


def show_programs(programs: list[Program], config: LlamaConfig, console: Console) -> None:
    """Print everything of `tplearn plan --with jax`."""
    console.width = max(console.width, WIDTH)
    title = f"{config.name}, {layers_of(config)}, bfloat16: bytes a device"
    table = Table("mesh", "weights and ids", "bytes", "logits", "compile s", title=title)
    for program in programs:
        argument_bytes = program.argument_bytes
        sizes = decimal(argument_bytes), f"{argument_bytes:,}", decimal(program.output_bytes)
        table.add_row(program.mesh, *sizes, f"{program.compile_seconds:.1f}")
    console.print(table)
    console.print(collectives([(program.mesh, program.collectives) for program in programs], config))
    console.print(HALVES, soft_wrap=True)
    if any("kv" in program.mesh for program in programs):
        console.print(COPIES, soft_wrap=True)


def collectives(programs: Iterable[tuple[str, Iterable[Instruction]]], config: LlamaConfig) -> Table:
    """What the compiler has written into the forward pass on each mesh; equal ones are one line."""
    layers = config.num_hidden_layers
    title = f"collectives, forward; by hand (chapter 11): 2 · {layers} + 1 = {2 * layers + 1} all_reduce"
    table = Table("mesh", "how many", "collective", "a device contributes", "groups of devices", title=title)
    for mesh, written in programs:
        alike = Counter((one.op, one.tensors, one.groups) for one in written)
        for line, ((op, tensors, groups), number) in enumerate(sorted(alike.items(), key=lambda item: item[0][0])):
            contributed = " + ".join(_tensor(*tensor) for tensor in tensors)
            table.add_row("" if line else mesh, str(number), op, contributed, _groups(op, groups))
        if not alike:
            table.add_row(mesh, "0", "none")
        table.add_section()
    return table


def picture(verdict: Verdict) -> Table:
    """A cell for each device: a row holds the same part of the model, a column computes the same texts."""
    batch = verdict.mesh.axis_sizes[0]
    model = len(verdict.holdings) // batch
    table = Table(title=f"mesh {verdict.name}: what each device holds", title_justify="left")
    table.add_column("part of the model")
    for row in range(batch):
        table.add_column(f"text {span(verdict.holdings[row * model].texts)}")
    for column in range(model):
        devices = range(column, len(verdict.holdings), model)
        part = _part(verdict.holdings[column], verdict.config.head_dim)
        table.add_row(part, *(f"device {device}" for device in devices))
    return table


def _part(holding: Holding, head_dim: int) -> str:
    heads, kv = _heads(holding.queries, head_dim), _heads(holding.keys, head_dim)
    return f"heads {heads}, KV {kv}, ffn {span(holding.columns)}, words {span(holding.words)}"


def _heads(rows: tuple[int, int], head_dim: int) -> str:
    """Whole heads by number, others by the rows of the matrix: the compiler cuts those too."""
    start, stop = rows
    if start % head_dim or stop % head_dim:
        return f"rows {span(rows)} (of {head_dim} a head)"
    return span((start // head_dim, stop // head_dim))


def _tensor(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{'×'.join(map(str, shape)) or 'scalar'} {DTYPES[dtype][0]}"


def _groups(op: str, groups: tuple[tuple[int, ...], ...]) -> str:
    """ "0–3 | 4–7", or "0→1 | 1→0" of a permute."""
    if op == "collective_permute":
        written = [f"{source}→{target}" for source, target in groups if source != target]
    else:
        written = [_members(group) for group in groups]
    more = f" and {len(written) - GROUPS} more" if len(written) > GROUPS else ""
    return " | ".join(written[:GROUPS]) + more


def _members(group: tuple[int, ...]) -> str:
    run = group == tuple(range(group[0], group[-1] + 1))
    return span((group[0], group[-1] + 1)) if run and len(group) > 2 else ",".join(map(str, group))
