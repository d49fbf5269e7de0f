"""Wrong answers to exercise 17.4: shares that are rounded one by one, counted from elsewhere, or of another whole."""

import math
from itertools import accumulate

Numbers = list[int]


def wrong_split_layers(num_layers: int, proportions: list[float], with_head: bool, wrong: str) -> Numbers:
    """The layers of each GPU, with one thing `wrong`."""
    p, total = len(proportions), sum(proportions)
    n = num_layers + {"lm_head forgotten": 0, "lm_head on the last GPU": 0, "lm_head always": 1}.get(wrong, with_head)
    if wrong.startswith("evenly"):
        proportions = [1.0 if own or wrong == "evenly" else 0.0 for own in proportions]
        total = sum(proportions)
    if wrong == "proportions taken for fractions":
        total = 1.0
    if wrong == "proportions times layers":
        return [int(own * num_layers) for own in proportions]
    if wrong in ROUNDED:
        return ROUNDED[wrong](num_layers, [own / total * num_layers for own in proportions])
    if wrong == "from the last GPU on":
        proportions = proportions[::-1]
    ends = list(accumulate(own / total for own in proportions))
    if wrong == "shares not added up":
        ends = [own / total for own in proportions]
    if wrong in ("ends rounded", "ends rounded down"):
        to = round if wrong == "ends rounded" else math.floor
        ends = [to(end * n + EXACT) / n for end in ends]
    slots = [_gpu(k / n, ends, wrong) for k in range(num_layers + with_head)]
    if wrong == "which GPU":
        return slots[:num_layers]
    own = slots[:num_layers]
    if wrong in ("lm_head counted", "lm_head taken off the last GPU"):
        own = slots
    elif wrong == "lm_head first" and with_head:
        own = slots[1:]
    layers = [own.count(gpu) for gpu in range(p)]
    if wrong == "lm_head on the last GPU" and with_head:
        layers[slots[num_layers - 1]] -= 1
    elif wrong == "lm_head taken off the last GPU":
        layers[-1] -= with_head
    if wrong == "at least one each":
        return _at_least_one(layers)
    if wrong == "GPUs without a share left out":
        return [count for count in layers if count]
    if wrong == "from the last GPU on":
        return layers[::-1]
    return list(accumulate(layers)) if wrong == "ends of the shares" else layers


EXACT = 1e-9  # so that a sum of shares that is a whole number stays one


def _gpu(place: float, ends: list[float], wrong: str) -> int:
    """The GPU in whose share a slot begins; the last one where no share ends above it."""
    edge = -EXACT if wrong == "on the edge to the GPU before" else EXACT
    return next((gpu for gpu, end in enumerate(ends) if end > place + edge), len(ends) - 1)


def _at_least_one(layers: Numbers) -> Numbers:
    """Taken from the largest."""
    layers = list(layers)
    for gpu, count in enumerate(layers):
        if not count:
            layers[gpu] = 1
            layers[layers.index(max(layers))] -= 1
    return layers


def _down(shares: list[float]) -> Numbers:
    return [math.floor(share + EXACT) for share in shares]


def _rest_to(gpu: int, num_layers: int, shares: list[float]) -> Numbers:
    layers = _down(shares)
    layers[gpu] += num_layers - sum(layers)
    return layers


def _one_more(num_layers: int, shares: list[float], order: list[int]) -> Numbers:
    layers = _down(shares)
    for gpu in order[: num_layers - sum(layers)]:
        layers[gpu] += 1
    return layers


def _largest_first(num_layers: int, shares: list[float]) -> Numbers:
    return _one_more(num_layers, shares, sorted(range(len(shares)), key=lambda gpu: -(shares[gpu] % 1)))


ROUNDED = {
    "remainder lost": lambda n, shares: _down(shares),
    "remainder to the last": lambda n, shares: _rest_to(-1, n, shares),
    "remainder to the first": lambda n, shares: _rest_to(0, n, shares),
    "remainder in turn": lambda n, shares: _one_more(n, shares, list(range(len(shares)))),
    "largest remainders": _largest_first,
    "each rounded": lambda n, shares: [round(share) for share in shares],
    "each rounded up": lambda n, shares: [math.ceil(share - EXACT) for share in shares],
}
