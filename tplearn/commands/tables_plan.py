"""What `tplearn plan` shows: the layouts that fit, what takes their time, why others do not fit, and the arithmetic."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table

from tplearn.commands.plan_json import limits
from tplearn.commands.plan_quantity import Line, shown
from tplearn.commands.plan_question import Question
from tplearn.commands.plan_replicas import FRACTION, Serving
from tplearn.commands.plan_serve import ServePlan
from tplearn.commands.plan_train import KINDS, TrainPlan, cut_name

TIE = "Layouts within 10 % of each other tie: the cost model is no better than that."
WIDEST = 1000  # columns, to measure a table in
SIZES = 8  # so many are written out
PARTS = {
    "matmuls": "matmuls",
    "elementwise": "elementwise",
    "tensor_parallel": "TP traffic",
    "context_parallel": "CP traffic",
    "bubble": "bubble",
    "pipeline_sends": "PP sends",
    "data_parallel": "DP traffic",
    "optimizer": "optimizer",
    "weights": "weights read",
    "compute": "compute",
    "kv_cache": "KV cache read",
    "layers": "kernel starts",
    "collectives": "TP traffic",
}


def show_training(plan: TrainPlan, top: int, console: Console) -> None:
    """Print everything of `--for train`."""
    question, best = plan.question, plan.ranked[0]
    batch = f"{plan.job.batch:,} × {question.sequence:,} tokens a step"
    title = (
        f"{question.name} trains on {question.gpus:,} {question.accelerator.name}, {batch}; best by {question.rank_by}"
    )
    columns = ["TP", "CP", "PP", "DP", "ZeRO", "m × size", "v", "recompute", "s a step", "tokens/s", "MFU"]
    table = _table(question, title, [*columns, "GB"], any(one.idle for one in plan.ranked[:top]))
    for one in plan.ranked[:top]:
        layout, time = one.layout, one.time
        sizes = (layout.tp, layout.cp, layout.pp, layout.dp, layout.zero)
        micro = f"{layout.micro_batches} × {plan.job.batch // (layout.dp * layout.micro_batches)}"
        rate = f"{time.total:.3g}", f"{time.tokens_per_second:,.0f}", f"{time.mfu:.1%}", f"{one.memory.total / 1e9:.0f}"
        cells = [*map(str, sizes), micro, str(layout.virtual_stages), layout.recompute, *rate]
        gpu_seconds = time.accelerator_seconds_per_token
        table.add_row(*_row(question, table, cells, one.idle, gpu_seconds, time.parts))
    _print(table, console)
    say = _Say(console)
    say("m × size: micro-batches of each copy, and sequences in one. v: interleaved pieces of the model on a stage.")
    say(f"{len(plan.ranked)} layouts fit; each is the best of its TP, CP and PP. {TIE}")
    if best.idle:
        used = best.layout.accelerators
        say(f"The best uses {used:,} of {question.gpus:,} accelerators and leaves {best.idle:,} idle.")
    if plan.note:
        say(plan.note)
    for kind, those in plan.refused.items():
        if those and kind == "memory":
            say(f"Refused, {KINDS[kind]}: {len(those)} cuts into TP, CP and PP.")
        elif those:
            say(f"Refused, {KINDS[kind]}: {_listed(sorted({getattr(one, kind) for one in those}))}.")
    if plan.nearest:
        memory, capacity = plan.nearest.memory, question.accelerator.memory / 1e9
        parts = {"weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.optimizer}
        parts |= {"gathered": memory.gathered, "activations": memory.activations, "logits": memory.logits}
        bytes_each = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items() if size)
        say(
            f"Nearest miss: {cut_name(plan.nearest.layout)} needs {memory.total / 1e9:.1f} GB of {capacity:.0f} with "
            f"everything sharded and recomputed: {bytes_each}."
        )


def show_serving(plan: ServePlan, top: int, console: Console) -> None:
    """Print everything of `--for serve`."""
    question = plan.question
    text = f"{question.bytes_per_parameter:g} bytes a parameter, texts of {question.sequence:,} tokens"
    title = (
        f"{question.name} serves on {question.gpus:,} {question.accelerator.name}, {text}; best by {question.rank_by}"
    )
    columns = ["TP", "PP", "replicas", "sequences", "that fit", "first token", "between tokens", "tokens/s", "GB"]
    table = _table(question, title, columns, any(one.idle for one in plan.ranked[:top]))
    for one in plan.ranked[:top]:
        used = (one.room.weight_bytes + one.batch * one.room.sequence_bytes) / 1e9
        times = (
            shown(one.first_token_seconds, "s", 3),
            shown(one.token_seconds, "s", 3),
            f"{one.tokens_per_second:,.0f}",
        )
        held = f"{one.replicas * one.room.sequences:,}"
        cells = [str(one.tp), str(one.pp), f"{one.replicas:,}", f"{one.sequences:,}", held, *times, f"{used:.0f}"]
        table.add_row(*_row(question, table, cells, one.idle, one.gpu_seconds_per_token, one.seconds))
    _print(table, console)
    say = _Say(console)
    say("tokens/s: of all replicas, while they decode. first token: after one prompt, with nothing in its way.")
    say(f"{len(plan.ranked)} layouts fit, one a TP. {TIE}")
    best = plan.ranked[0]
    if best.idle:
        say(f"The best uses {best.gpus:,} of {question.gpus:,} accelerators and leaves {best.idle:,} idle.")
    more = next((one for one in plan.ranked if one.tp > best.tp), None)
    fewer = next((one for one in plan.ranked if one.tp < best.tp and one.replicas > best.replicas), None)
    if best.replicas > 1 and more:
        say(f"Replicas instead of more TP: {_makes(best)}, {_makes(more)}.")
    elif fewer:
        say(f"More TP instead of replicas: {_makes(best)}, {_makes(fewer)}.")
    if plan.uncut:
        say(f"Refused, {KINDS['tp']}: {_listed(plan.uncut)}.")
    if plan.nearest:
        near, limit = plan.nearest, FRACTION * question.accelerator.memory / 1e9
        say(
            f"Refused, {KINDS['memory']}: TP {_listed([one.tp for one in plan.short])}. Nearest miss: TP {near.tp}, "
            f"PP {near.pp} needs {near.need / 1e9:.1f} GB of {limit:.0f} ({FRACTION} of the memory)."
        )


def show_lines(lines: Iterable[Line], console: Console) -> None:
    """Print the arithmetic, section by section."""
    section, say = "", _Say(console)
    say("\nThe best layout, step by step:")
    for line in lines:
        if line.section != section:
            section = line.section
            say(f"\n{section}")
        say(f"  {line}")


class _Say:
    """A line of any length, as it stands."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)


def _print(table: Table, console: Console) -> None:
    """As wide as it needs to be: a row that wraps cannot be read down its columns."""
    width, console.width = console.width, WIDEST
    console.width = max(width, console.measure(table).maximum)
    console.print(table)


def _table(question: Question, title: str, columns: list[str], idle: bool) -> Table:
    more = (["idle"] if idle else []) + (["$/M tokens"] if question.price else [])
    table = Table(title=title)
    for name in [*columns, *more]:
        table.add_column(name, justify="left" if name == "recompute" else "right", no_wrap=True)
    table.add_column("what limits it", no_wrap=True)
    return table


def _row(
    question: Question,
    table: Table,
    cells: list[str],
    idle: int,
    gpu_seconds: float,
    parts: Mapping[str, float],
) -> list[str]:
    names, total = [column.header for column in table.columns], sum(parts.values())
    if "idle" in names:
        cells = [*cells, f"{idle:,}"]
    if question.price:
        cells = [*cells, f"{question.dollars(gpu_seconds * 1e6):.3g}"]
    longest = limits(dict(parts))[:2]
    return [*cells, ", ".join(f"{PARTS[name]} {parts[name] / total:.0%}" for name in longest)]


def _makes(one: Serving) -> str:
    size = f"TP {one.tp}" + (f", PP {one.pp}" if one.pp > 1 else "")
    return f"{one.replicas:,} × ({size}) makes {one.tokens_per_second:,.0f} tokens/s on {one.gpus:,}"


def _listed(sizes: Iterable[int]) -> str:
    sizes = list(sizes)
    return ", ".join(map(str, sizes[:SIZES])) + (f" and {len(sizes) - SIZES} more" if len(sizes) > SIZES else "")
