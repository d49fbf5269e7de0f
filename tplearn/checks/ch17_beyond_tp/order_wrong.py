"""Wrong answers to exercise 17.2: orders with another warm-up, other pairs and another end."""

NOT_PAIRED = ("GPipe", "GPipe, backwards in reverse")


def wrong_one_f_one_b(rank: int, p: int, m: int, wrong: str) -> list:
    """A stage's order, with one thing `wrong`."""
    due = p - rank - 1
    warmup = {
        "one more in the warm-up": min(due + 1, m),
        "one fewer in the warm-up": min(max(due - 1, 0), m),
        "no warm-up": 0,
        "backward of the same": min(due, m),
        "same warm-up everywhere": min(p - 1, m),
        "warm-up by rank": min(rank, m),
        "as many stages as micro-batches": max(min(p, m) - rank - 1, 0),
        "warm-up not limited": due,
        "negative micro-batches": due,
    }.get(wrong, min(due, m))
    if wrong in NOT_PAIRED:
        warmup = m
    pairs = [(warmup + k, k) for k in range(m - warmup)]
    drain = list(range(m - warmup if wrong == "negative micro-batches" else max(m - warmup, 0), m))
    if wrong in ("no drain", "ends with the last forward"):
        drain = []
    elif wrong == "all backwards again":
        drain = list(range(m))
    elif wrong == "all forwards again":
        pairs = [(k, k) for k in range(m - warmup)]
    elif wrong == "backward of the same":
        pairs, drain = [(f, f) for f, _ in pairs], list(range(warmup))
    elif wrong == "last in, first out":
        pairs, drain = [(f, f) for f, _ in pairs], list(range(warmup))[::-1]
    elif wrong in ("drain in reverse", "GPipe, backwards in reverse"):
        drain = drain[::-1]
    first = 1 if wrong == "from one" else 0
    steps = [("F", k) for k in range(warmup)]
    for f, b in pairs:
        steps += [("B", b), ("F", f)] if wrong == "backward first" else [("F", f), ("B", b)]
    steps += [("B", k) for k in drain]
    if wrong == "ends with the last forward" and pairs:
        steps.pop()
    if wrong == "no numbers":
        return [kind for kind, _ in steps]
    names = [f"{kind}{k + first}" for kind, k in steps]
    if wrong == "pairs as lists":
        end = warmup + 2 * len(pairs)
        return [*names[:warmup], *(names[k : k + 2] for k in range(warmup, end, 2)), *names[end:]]
    return [name.lower() for name in names] if wrong == "small letters" else names
