"""Wrong answers to exercise 11.1: a table with one tensor in a wrong state, or of a wrong shape."""

from collections.abc import Callable

Entry = tuple[str, tuple[int, ...]]
States = dict[str, Entry]


def wrong_states(batch: int, seq: int, hidden: int, ffn: int, tp: int, sequence_parallel: bool, wrong: str) -> States:
    """The table, with one thing `wrong`."""
    whole, own = (batch, seq, hidden), (batch, seq // tp, hidden)
    sp, replicated, own_tokens = sequence_parallel, ("R", whole), ("S(1)", own)
    between = own_tokens if sp else replicated
    up, down = (ffn // tp, hidden), (hidden, ffn // tp)
    states: States = {
        "x": between,
        "normed": between,
        "read": replicated,
        "inner": ("S(2)", (batch, seq, ffn // tp)),
        "partial": ("P", whole),
        "reduced": between,
        "y": between,
        "norm weight": ("R", (hidden,)),
        "gate weight": ("S(0)", up),
        "down weight": ("S(1)", down),
        "gradient of read": ("P", whole),
        "gradient of norm weight": ("P" if sp else "R", (hidden,)),
    }
    changes: dict[str, Callable[[], States]] = {
        "all in the stream whole": lambda: dict.fromkeys(("x", "normed", "reduced", "y"), replicated),
        "own tokens without sequence parallelism": lambda: dict.fromkeys(("x", "normed", "reduced", "y"), own_tokens),
        "residual whole": lambda: dict.fromkeys(("x", "y"), replicated),
        "hidden cut": lambda: dict.fromkeys(("x", "normed", "reduced", "y"), ("S(2)", (batch, seq, hidden // tp))),
        "normed whole": lambda: {"normed": replicated},
        "normed partial": lambda: {"normed": ("P", between[1])},
        "tokens not gathered": lambda: {"read": between},
        "read partial": lambda: {"read": ("P", whole)},
        "inner replicated": lambda: {"inner": ("R", (batch, seq, ffn))},
        "inner partial": lambda: {"inner": ("P", (batch, seq, ffn // tp))},
        "inner of own tokens": lambda: {"inner": ("S(1)", (batch, seq // tp, ffn))},
        "inner S(1)": lambda: {"inner": ("S(1)", (batch, seq, ffn // tp))},
        "inner not divided": lambda: {"inner": ("S(2)", (batch, seq, ffn))},
        "partial replicated": lambda: {"partial": replicated},
        "partial of own tokens": lambda: {"partial": ("P", own if sp else whole)},
        "partial sharded": lambda: {"partial": ("S(2)", (batch, seq, hidden // tp))},
        "partial scattered": lambda: {"partial": own_tokens if sp else ("P", whole)},
        "reduced partial": lambda: {"reduced": ("P", between[1])},
        "reduced whole": lambda: {"reduced": replicated},
        "y partial": lambda: {"y": ("P", between[1])},
        "y whole": lambda: {"y": replicated},
        "norm sharded": lambda: {"norm weight": ("S(0)", (hidden // tp,))},
        "norm sharded by tokens": lambda: {"norm weight": ("S(0)" if sp else "R", (hidden // tp if sp else hidden,))},
        "gate replicated": lambda: {"gate weight": ("R", (ffn, hidden))},
        "gate as in x A": lambda: {"gate weight": ("S(1)", down)},
        "down replicated": lambda: {"down weight": ("R", (hidden, ffn))},
        "down as in x A": lambda: {"down weight": ("S(0)", up)},
        "no partials backward": lambda: {"gradient of read": replicated, "gradient of norm weight": ("R", (hidden,))},
        "gradient of read finished": lambda: {"gradient of read": replicated},
        "gradient of read scattered": lambda: {"gradient of read": own_tokens if sp else ("P", whole)},
        "gradient of read of own tokens": lambda: {"gradient of read": ("P", own if sp else whole)},
        "norm gradient finished": lambda: {"gradient of norm weight": ("R", (hidden,))},
        "norm gradient always partial": lambda: {"gradient of norm weight": ("P", (hidden,))},
        "norm gradient the other way": lambda: {"gradient of norm weight": ("R" if sp else "P", (hidden,))},
    }
    return states | changes[wrong]()
