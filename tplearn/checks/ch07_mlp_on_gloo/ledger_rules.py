"""The ledger of an MLP for exercise 07.5, and the wrong ones: other sizes, other counts, another order."""

from collections.abc import Callable

FLOAT32 = 4
Rows = list[tuple[str, int]]
Answer = Callable[..., Rows]


def mlp_ledger(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    """(op, bytes) of rank 0, forward then backward, in float32. fs: how many f; gathered: the activations too."""
    return [] if tp == 1 else also_alone(tokens, hidden, ffn, tp, fs, gathered)


def also_alone(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    """The same rows on one rank, which has nobody to send to."""
    whole, shard = ("all_reduce", tokens * hidden * FLOAT32), ("all_gather", tokens * ffn // tp * FLOAT32)
    middle = [shard] if gathered else []
    return [*middle, whole, *middle, *[whole] * fs]


def changed(change: Callable[[Rows, dict[str, int]], Rows]) -> Answer:
    """The right rows, changed, with the sizes at hand."""

    def answer(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
        sizes = dict(tokens=tokens, hidden=hidden, ffn=ffn, tp=tp, fs=fs)
        return change(mlp_ledger(tokens, hidden, ffn, tp, fs, gathered), sizes)

    return answer


def all_reduces(size: Callable[[dict[str, int]], int]) -> Answer:
    """Other bytes for the all-reduces."""
    return changed(lambda rows, at: [(op, size(at) if op == "all_reduce" else own) for op, own in rows])


def gathers(size: Callable[[dict[str, int]], int]) -> Answer:
    """Other bytes for the all-gathers."""
    return changed(lambda rows, at: [(op, size(at) if op == "all_gather" else own) for op, own in rows])


def so_many_f(count: int) -> Answer:
    """Always as many f."""

    def answer(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
        return mlp_ledger(tokens, hidden, ffn, tp, count, gathered)

    return answer


def at_least_one_f(tokens: int, hidden: int, ffn: int, tp: int, fs: int, gathered: bool) -> Rows:
    """One f where there is none."""
    return mlp_ledger(tokens, hidden, ffn, tp, max(fs, 1), gathered)


def gather_only_forward(rows: Rows, at: dict[str, int]) -> Rows:
    """No gather on the way back."""
    return [row for k, row in enumerate(rows) if k == 0 or row[0] != "all_gather"]


def gather_backward_scatters(rows: Rows, at: dict[str, int]) -> Rows:
    """A reduce-scatter on the way back."""
    return [("reduce_scatter", size) if k and op == "all_gather" else (op, size) for k, (op, size) in enumerate(rows)]


def one_too_many(rows: Rows, at: dict[str, int]) -> Rows:
    """One all-reduce more at the end."""
    return [*rows, ("all_reduce", at["tokens"] * at["hidden"] * FLOAT32)] if rows else rows


def g_also_backward(rows: Rows, at: dict[str, int]) -> Rows:
    """One all-reduce more where the backward pass begins."""
    forward = forward_only(rows, at)
    return [*forward, *forward[-1:], *rows[len(forward) :]]


def both_directions(rows: Rows, at: dict[str, int]) -> Rows:
    """f and g each forward and backward; the gather, and the cut's, once."""
    forward = forward_only(rows, at)
    of_f = [row for row in rows[len(forward) :] if row[0] == "all_reduce"]
    there = [*of_f, *forward]
    return [*there, *there[::-1]]


def gather_also_backward(rows: Rows, at: dict[str, int]) -> Rows:
    """Two gathers on the way back."""
    forward = forward_only(rows, at)
    return [*forward, *forward[:-1], *rows[len(forward) :]]


def f_forward(rows: Rows, at: dict[str, int]) -> Rows:
    """The all-reduces of f on the way forward."""
    forward = forward_only(rows, at)
    of_f = [row for row in rows[len(forward) :] if row[0] == "all_reduce"]
    return [*of_f, *forward, *(row for row in rows[len(forward) :] if row[0] == "all_gather")]


def one_message_for_two(rows: Rows, at: dict[str, int]) -> Rows:
    """All f in one all-reduce, of as many times the bytes."""
    rest, of_f = rows[: len(rows) - at["fs"]], rows[len(rows) - at["fs"] :]
    return [*rest, ("all_reduce", sum(size for _, size in of_f))] if of_f and rows else rows


def never_gathered(rows: Rows, at: dict[str, int]) -> Rows:
    """The all-reduces alone."""
    return [row for row in rows if row[0] == "all_reduce"]


def gather_last(rows: Rows, at: dict[str, int]) -> Rows:
    """Backward in the order of the forward: the f first, then the gather."""
    gathers = [row for row in rows if row[0] == "all_gather"]
    return [*gathers[:1], *(row for row in rows if row[0] == "all_reduce"), *gathers[1:]]


def gather_after_g(rows: Rows, at: dict[str, int]) -> Rows:
    """The first two rows the other way round."""
    return [rows[1], rows[0], *rows[2:]] if rows and rows[0][0] == "all_gather" else rows


def forward_only(rows: Rows, at: dict[str, int]) -> Rows:
    """Nothing on the way back."""
    return rows[: 1 + (rows[0][0] == "all_gather")] if rows else rows
