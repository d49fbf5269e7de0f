"""A plan beside its ledger: write lines or leave them out, and see which collectives run, forward and backward."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tplearn.planning import MODELS
from tplearn.show.style import GREEN, GREY, HIGHLIGHT, INK, RED, box, canvas, label

MODEL, TOKENS, BYTES = MODELS["Llama-3.1-8B"], 8192, 2  # 16-bit numbers
BETWEEN = {"TP": "R", "TP + SP": "S(1)"}
NAMES = {"all_reduce": "all-reduce", "all_gather": "all-gather", "reduce_scatter": "reduce-scatter"}
GIB, GB = 2**30, 10**9
Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Plan:
    """Which lines are written; `between`: what lies between the cuts. A half that is left out is left out whole."""

    between: str = "TP"
    prepare: bool = True
    attention: bool = True
    mlp: bool = True
    words: bool = True
    layers: int = 32
    tp: int = 8

    def __post_init__(self) -> None:
        if self.between not in BETWEEN:
            raise ValueError(f"between = {self.between!r} is none of: {', '.join(BETWEEN)}")
        missing = [name for name in ("attention", "mlp", "words") if not getattr(self, name)]
        if self.between == "TP + SP" and missing:
            raise ValueError(
                f"with {missing[0]} left out PyTorch stops here: the lines for the norms hand on shards of the "
                "sequence, and only modules with lines of their own know what to do with them"
            )


@dataclass(frozen=True)
class Sent:
    """What a rank's ledger counts in each phase: (op, how often); and bytes on the wire, of rings."""

    forward: Counts
    loss: Counts
    backward: Counts
    after: Counts
    wire_bytes: float


def sent(plan: Plan) -> Sent:
    """The ledger of one training step. Of a replicated norm nothing is due, of one under SP a sum of its gradient.

    Without PrepareModuleInput each of q, k, v, gate and up takes x by itself: its backward sums x's gradient. Under SP
    each gathers x by itself, and gathers it again for its weight's gradient; each norm then gathers its roots, a small
    message.
    """
    layers, words, halves = plan.layers, int(plan.words), plan.attention + plan.mlp
    if plan.tp == 1:
        return Sent((), (), (), (), 0.0)
    share = (plan.tp - 1) / plan.tp * TOKENS * MODEL.hidden_size * BYTES  # of a gather, and of a scatter
    loss = (("all_reduce", 3),) if plan.words else ()
    if plan.between == "TP":
        f = halves if plan.prepare else 3 * plan.attention + 2 * plan.mlp
        forward, backward = words + layers * halves, words + layers * f
        rows = [(("all_reduce", count),) if count else () for count in (forward, backward)]
        return Sent(rows[0], loss, rows[1], (), 2 * share * (forward + backward))
    once = 2 * layers + 1
    gathers, more, scatters = (once, once, once) if plan.prepare else (5 * layers + 1, 9 * layers + 1, 6 * layers + 1)
    small = 0 if plan.prepare else 2 * layers
    return Sent(
        (("all_gather", gathers), ("reduce_scatter", once)),
        loss,
        (("all_gather", more), ("reduce_scatter", scatters)),
        (("all_reduce", 1),),
        share * (gathers + once + more - small + scatters),
    )


def held(plan: Plan) -> tuple[float, float]:
    """Bytes of weights on a rank, and of all; norms are left out of the account."""
    m = MODEL
    rows = (m.num_attention_heads * 2 + m.num_key_value_heads * 2) * m.head_dim  # of q, k, v, and o's columns
    parts = (
        (plan.attention, plan.layers * rows * m.hidden_size),
        (plan.mlp, plan.layers * 3 * m.hidden_size * m.intermediate_size),
        (plan.words, 2 * m.vocab_size * m.hidden_size),
    )
    own = sum(size / (plan.tp if cut else 1) for cut, size in parts)
    return own * BYTES, sum(size for _, size in parts) * BYTES


def draw(figure: Figure, **lines: object) -> str:
    """Draw a plan's lines, its ledger beside the one of tplearn's layers, and say both. ValueError where it stops."""
    plan = Plan(**lines)
    made, due = sent(plan), sent(Plan(plan.between, layers=plan.layers, tp=plan.tp))
    _, ax = canvas(11, 5.0, figure)
    head = f"Llama-3.1-8B's sizes, L = {plan.layers}, {TOKENS:,} tokens, tp = {plan.tp}, {plan.between}"
    label(ax, 0.15, 4.78, head, ha="left", bold=True, size=11)
    _lines(ax, plan)
    for x, name in ((6.2, "this plan"), (8.65, "tplearn's layers")):
        label(ax, x, 4.38, name, ha="left", bold=True)
    phases = (("forward", made.forward, due.forward), ("loss", made.loss, due.loss))
    phases += (("backward", made.backward, due.backward), ("after", made.after, due.after))
    for place, (name, rows, least) in enumerate(phases):
        y = 3.45 - 0.86 * place
        label(ax, 5.25, y + 0.34, name, ha="left")
        _rows(ax, 6.2, y, rows, dict(least))
        _rows(ax, 8.65, y, least, dict(least))
    verdict = _verdict(plan, made, due)
    label(ax, 0.15, 0.52, verdict, ha="left", bold=True, colour=GREEN if "✓" in verdict else RED)
    own, whole = held(plan)
    wire = f"{made.wire_bytes / GIB:,.1f} GiB"
    cost = f"A rank sends {wire} a step and holds {own / GB:,.1f} of {whole / GB:,.1f} GB of weights."
    label(ax, 0.15, 0.2, cost, ha="left")
    counted = "; ".join(f"{name}: {_said(rows)}" for name, rows, _ in phases)
    return f"{head}. {counted}. {verdict}. {cost}"


def _lines(ax: Axes, plan: Plan) -> None:
    """One line of text for each line of the plan, grey where it is left out."""
    state = BETWEEN[plan.between]
    sp = plan.between == "TP + SP"
    texts = [
        ("embed_tokens", f"RowwiseParallel → {state}", plan.words),
        ("…input_layernorm", "SequenceParallel", sp),
        ("…self_attn", f"PrepareModuleInput {state} → R", plan.attention and plan.prepare),
        ("…q_proj, k_proj, v_proj", "ColwiseParallel", plan.attention),
        ("…o_proj", f"RowwiseParallel → {state}", plan.attention),
        ("…post_attention_layernorm", "SequenceParallel", sp),
        ("…mlp", f"PrepareModuleInput {state} → R", plan.mlp and plan.prepare),
        ("…gate_proj, up_proj", "ColwiseParallel", plan.mlp),
        ("…down_proj", f"RowwiseParallel → {state}", plan.mlp),
        ("norm", "SequenceParallel", sp),
        ("lm_head", f"ColwiseParallel {state} → S(2)", plan.words),
    ]
    for place, (name, style, written) in enumerate(texts):
        y = 4.38 - 0.32 * place
        colour = INK if written else GREY
        label(ax, 0.15, y, name, ha="left", mono=True, size=9, colour=colour)
        label(ax, 2.3, y, style if written else "–", ha="left", mono=True, size=9, colour=colour)


def _rows(ax: Axes, x: float, y: float, rows: Counts, due: dict[str, int]) -> None:
    """A box for each kind of collective, one above the other; a red edge where there are more than `due`."""
    if not rows:
        label(ax, x, y + 0.34, "nothing", ha="left", colour=GREY)
    for place, (op, count) in enumerate(rows):
        too_many = count > due.get(op, 0)
        edge = {"edge": RED, "line": 1.8} if too_many else {}
        low = y + (0.17 if len(rows) == 1 else 0.36 * (1 - place))
        box(ax, x, low, 2.2, 0.34, _several(op, count) + (" ✗" if too_many else ""), face=HIGHLIGHT, size=9.5, **edge)


def _several(op: str, count: int) -> str:
    return f"{count} {NAMES[op]}{'s' if count > 1 else ''}"


def _said(rows: Counts) -> str:
    return " and ".join(_several(op, count) for op, count in rows) or "nothing"


def _verdict(plan: Plan, made: Sent, due: Sent) -> str:
    """The numbers are right in each case: what tells plans apart is the ledger, and the memory."""
    whole = [name for name, cut in (("attention", plan.attention), ("MLP", plan.mlp), ("words", plan.words)) if not cut]
    total = [sum(count for _, count in each.backward + each.forward) for each in (made, due)]
    if plan.tp == 1:
        return "One rank: nothing is cut, nothing is sent"
    if whole:
        return f"Right numbers, but whole on every rank ✗: {', '.join(whole)}"
    if total[0] > total[1]:
        return f"Right numbers, {total[0]} collectives where {total[1]} do ✗"
    return "Right numbers, and the ledger is that of tplearn's layers ✓"


def show():  # noqa: ANN201 (ipywidgets is only imported when a widget is wanted)
    """The widget: what lies between the cuts, which lines are written, how many layers and ranks."""
    from tplearn.show.widgets.picture import Picture, choice, slider

    written = {"written": True, "left out": False}
    return Picture(
        draw,
        {
            "between": choice(list(BETWEEN), "TP", "between the cuts"),
            "prepare": choice({"with": True, "without": False}, False, "PrepareModuleInput"),
            "attention": choice(written, True, "self_attn…"),
            "mlp": choice(written, True, "mlp…"),
            "words": choice(written, True, "embed_tokens, lm_head"),
            "layers": slider([1, 2, 8, 32], 32, "L"),
            "tp": slider([1, 2, 4, 8], 8, "tp"),
        },
    )
