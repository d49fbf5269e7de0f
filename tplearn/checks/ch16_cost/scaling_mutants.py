"""What wrong predictions of tokens a second show: what shrinks with tp, and what grows with the model."""

from math import log

from tplearn.checks.exercise import mutants_of


def wrong_prediction(
    measured: dict[int, float],
    weight_bytes: int,
    layers: int,
    other_weight_bytes: int,
    other_layers: int,
    tp: int,
    wrong: str,
) -> float:
    """Tokens a second, with one thing `wrong`."""
    (one, rate), (two, other_rate) = measured.items()
    bytes_ratio, layers_ratio = other_weight_bytes / weight_bytes, other_layers / layers
    if wrong == "line through the rates":
        slope = (other_rate - rate) / (two - one)
        return (rate + slope * (tp - one)) / bytes_ratio
    if wrong == "line in 1 / tp through the rates":
        slope = (other_rate - rate) / (1 / two - 1 / one)
        return (rate + slope * (1 / tp - 1 / one)) / bytes_ratio
    if wrong == "all of it shrinks":
        return rate * tp / one / bytes_ratio
    if wrong == "from the last alone":
        return other_rate * tp / two / bytes_ratio
    if wrong == "power law":
        growth = (other_rate / rate) ** (log(tp / one) / log(two / one))
        return rate * growth / bytes_ratio
    free = [size for size in (one, two) if size == 1] if wrong == "one rank has no rest" else []
    if wrong in ("as from 1 and 2", "the smaller for 1"):
        if wrong == "the smaller for 1" and one > two:
            rate, other_rate = other_rate, rate
        one, two = 1, 2
    shrinks, stays = [1 / one, 1 / two], [float(one not in free), float(two not in free)]
    if wrong == "rest grows with tp":
        stays = [float(one), float(two)]
    # Two equations, seconds = x · shrinks + y · stays.
    determinant = shrinks[0] * stays[1] - shrinks[1] * stays[0]
    x = (stays[1] / rate - stays[0] / other_rate) / determinant
    y = (shrinks[0] / other_rate - shrinks[1] / rate) / determinant
    read = {"weights ignored": x, "layers for weights": x * layers_ratio}.get(wrong, x * bytes_ratio)
    rest = {"layers ignored": y, "weights for layers": y * bytes_ratio}.get(wrong, y * layers_ratio)
    if wrong == "rest grows with tp":
        rest *= tp
    if wrong == "rest forgotten" or (wrong == "one rank has no rest" and tp == 1):
        rest = 0.0
    if wrong == "rest over tp":
        rest /= tp
    seconds = (read if wrong == "nothing over tp" else read / tp) + rest
    return seconds if wrong == "seconds" else 1 / seconds


PARTS = "seconds a token = bytes / tp · a + layers · c."
KEYS = "the keys of `measured`: t₁ − t₂ is x · (1 / tp₁ − 1 / tp₂)."
OTHER = "what you take from the measured model to the other one."
MUTANTS = mutants_of(
    wrong_prediction,
    (
        "line through the rates",
        "You drew a line through the tokens a second. It is seconds that add up: one part that shrinks with tp, and "
        "one that stays. Rates bend, and a line foretells too much.",
        PARTS,
    ),
    (
        "line in 1 / tp through the rates",
        "You fitted a number over tp and a number that stays to the tokens a second. It is the seconds that are such a "
        "sum: take one over each rate before you solve.",
        PARTS,
    ),
    (
        "as from 1 and 2",
        "Your two parts are right where the first rate of `measured` is that of tp 1 and the second that of tp 2. Its "
        "keys say which tp they are, and here they are others as well.",
        KEYS,
    ),
    (
        "the smaller for 1",
        "Your two parts are right where tp 1 and tp 2 were measured. You took the smaller tp for 1 and the larger one "
        "for 2; the keys of `measured` say what they are.",
        KEYS,
    ),
    (
        "power law",
        "You let every doubling of tp help by the same factor. What stays is the larger part of each next step, so "
        "each doubling helps less than the one before.",
        PARTS,
    ),
    (
        "all of it shrinks",
        "You took the first measurement and divided all of its seconds by tp. The part of the layers does not shrink; "
        "the second measurement says how large it is.",
        PARTS,
    ),
    (
        "from the last alone",
        "You took the second measurement and divided all of its seconds by tp. The part of the layers does not shrink.",
        PARTS,
    ),
    ("rest forgotten", "You found the part that shrinks, and left out the one that stays.", PARTS),
    ("rest over tp", "In your prediction the part of the layers shrinks with tp, too. It stays.", PARTS),
    ("rest grows with tp", "In yours the part of the layers grows with tp. In this model it stays as it is.", PARTS),
    (
        "one rank has no rest",
        "In yours one rank has no part that stays. It does: each layer's kernels are started there as well, and the "
        "task's model has c at every tp.",
        PARTS,
    ),
    ("nothing over tp", "In your prediction the weights do not shrink. Each rank reads 1 / tp of them.", PARTS),
    (
        "weights ignored",
        "You took the measured model's weights for the other's. The part that shrinks grows with the bytes.",
        OTHER,
    ),
    (
        "layers ignored",
        "You took the measured model's layers for the other's. The part that stays grows with the layers.",
        OTHER,
    ),
    (
        "weights for layers",
        "You made both parts grow with the bytes. What stays comes once for each layer, however wide the layer is.",
        OTHER,
    ),
    (
        "layers for weights",
        "You made both parts grow with the layers. What shrinks is reading, and grows with the bytes of all weights.",
        OTHER,
    ),
    ("seconds", "You gave seconds a token. Tokens a second is one over that.", "the last step."),
)
