"""Wrong answers to exercise 10.5: what is cut, what is kept, what a mask weighs, and what cannot be cut."""

from tplearn.checks.ch10_sequence_parallel.kept import INPUTS, INSIDE, MASKS, NORMS


def wrong_count(
    sequence: int,
    batch: int,
    hidden: int,
    tp: int,
    sequence_parallel: bool,
    gather_again: bool,
    bytes_per_value: int,
    wrong: str,
) -> float:
    """Bytes of a layer on a rank, with one thing `wrong`."""
    refuses = sequence_parallel or wrong == "refused without need"
    if refuses and sequence % tp and wrong != "nothing refused":
        raise ValueError(f"{sequence} {tp}")
    size, v = sequence * batch * hidden, 2 if wrong == "16 bits always" else bytes_per_value
    if wrong == "34 over t" and sequence_parallel:
        return size * 34 / tp
    if wrong == "4 + 30 over t" and sequence_parallel:
        return size * (4 + 30 / tp)
    if wrong == "numbers of the paper":
        return size * (34 / tp if sequence_parallel else 10 + 24 / tp)
    masks = {
        "masks as values": MASKS * v,
        "masks of half a value": MASKS * v / 2,
        "one mask": 1,
        "masks forgotten": 0,
        "masks of a bit": MASKS / 8,
    }
    norms = 0 if wrong == "norm inputs forgotten" else NORMS
    inputs = 0 if wrong == "inputs of the products forgotten" else INPUTS
    less = {"GeLU counted once": 4, "GeLU as wide as x": 6, "Q, K and V counted once": 2, "projection forgotten": 1}
    inside = INSIDE - less.get(wrong, 0)
    if wrong == "the sequence cut twice" and sequence_parallel:
        return size / tp * (norms * v + MASKS + inputs * v * (1 if gather_again else tp) + inside * v / tp)
    if wrong == "tokens divided first" and not sequence_parallel:
        return size * (norms * v + MASKS + inputs * v) + sequence // tp * batch * hidden * inside * v
    tokens = tp if wrong == "tp cuts all" or (sequence_parallel and wrong != "sequence parallel ignored") else 1
    again = wrong == "gathered inputs cut" or (gather_again and wrong != "gathered inputs kept")
    again = not gather_again if wrong == "gathered the other way" else again
    gathered = tokens if again or wrong == "tp cuts all" else 1
    if wrong == "gathered again without a sequence cut" and gather_again:
        gathered = tp
    if wrong == "gathered inputs once more" and sequence_parallel and not gather_again:
        inputs = inputs + inputs / tp
    of_masks = size * masks.get(wrong, MASKS) / (1 if wrong == "masks not cut" else tokens)
    if wrong == "divided too early":
        return size * ((norms * v + MASKS) // tokens + inputs * v // gathered + inside * v // tp)
    within = 1 if wrong == "nothing cut inside" else tp
    return size * norms * v / tokens + of_masks + size * inputs * v / gathered + size * inside * v / within
