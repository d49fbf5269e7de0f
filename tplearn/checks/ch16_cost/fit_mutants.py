"""What wrong fits of α and β show: whose errors count, and through which points the line is drawn."""

from collections.abc import Callable
from statistics import mean, median

import torch
from torch import Tensor

from tplearn.checks.exercise import mutants_of

LEAST_SQUARES = {  # what an error in seconds is multiplied by, before it is squared
    "plain least squares": lambda n, t: torch.ones_like(t),
    "weighted by half": lambda n, t: t**-0.5,
    "weighted twice": lambda n, t: t**-2,
    "relative to the size": lambda n, t: 1 / n,
    "weighted the wrong way": lambda n, t: t,
}
REPEATED: dict[str, Callable[[list[float]], float]] = {  # what is kept of the times of one size
    "shortest of each size": min,
    "mean of each size": mean,
    "median of each size": median,
    "last of each size": lambda times: times[-1],
}


def _line(n: Tensor, t: Tensor, weight: Tensor) -> tuple[float, float]:
    """The α and β whose errors, each times its weight, have the smallest sum of squares."""
    rows = torch.stack([weight, n * weight], dim=1)
    alpha, beta = torch.linalg.lstsq(rows, (t * weight)[:, None]).solution.flatten().tolist()
    return alpha, beta


def _through(n: Tensor, t: Tensor, first: int, last: int) -> tuple[float, float]:
    """The line through two of the measurements."""
    beta = ((t[last] - t[first]) / (n[last] - n[first])).item()
    return t[first].item() - beta * n[first].item(), beta


def wrong_fit(nbytes: list[int], seconds: list[float], wrong: str) -> tuple[float, float]:
    """α and β, with one thing `wrong`."""
    if len(set(nbytes)) < 2 and wrong != "no refusal" and (len(nbytes) < 2 or wrong != "two of one size"):
        raise ValueError("one size")
    if wrong in REPEATED:
        times = {size: [t for n, t in zip(nbytes, seconds, strict=True) if n == size] for size in nbytes}
        nbytes, seconds = list(times), [REPEATED[wrong](several) for several in times.values()]
    n, t = (torch.tensor(values, dtype=torch.float64) for values in (nbytes, seconds))
    if wrong in LEAST_SQUARES:
        return _line(n, t, LEAST_SQUARES[wrong](n, t))
    smallest, largest = int(n.argmin()), int(n.argmax())
    if wrong == "smallest and largest":
        return _through(n, t, smallest, largest)
    if wrong == "smallest as alpha":
        alpha = t[smallest].item()
        return alpha, (t[largest].item() - alpha) / n[largest].item()
    if wrong == "log-log":
        a, b = _line(n.log(), t.log(), torch.ones_like(t))
        return torch.tensor(a).exp().item(), b
    if wrong == "no alpha":
        return 0.0, ((n / t).sum() / (n / t).square().sum()).item()
    alpha, beta = _line(n, t, 1 / t)
    return {
        "bits": (alpha, beta / 8),
        "bandwidth": (alpha, 1 / beta),
        "swapped": (beta, alpha),
        "microseconds": (alpha * 1e6, beta * 1e6),
    }.get(wrong, (alpha, beta))


WEIGHTS = "the sum that is minimised: each error over its own measured time, and then squared."
POINTS = "the measurements that your line does not look at."
SEVERAL = "sizes that come several times: each measurement is a summand of its own."
MUTANTS = mutants_of(
    wrong_fit,
    (
        "plain least squares",
        "You minimised errors in seconds. The largest messages take most seconds, so they alone decide, and α can be "
        "off by more than itself. Every measurement's error counts relative to its own time.",
        WEIGHTS,
    ),
    (
        "weighted by half",
        "You divided each squared error by t. A relative error is divided by t before it is squared, so the square is "
        "divided by t². (np.polyfit squares its weights, too: w is 1 / t.)",
        WEIGHTS,
    ),
    (
        "weighted twice",
        "You divided each error by t² before it is squared: once too often. Now the smallest messages rule. "
        "(np.polyfit squares its weights itself: w is 1 / t.)",
        WEIGHTS,
    ),
    ("weighted the wrong way", "You multiplied each error by t, where it is to be divided by it.", WEIGHTS),
    ("relative to the size", "You divided each error by the size. It is to be divided by the time.", WEIGHTS),
    (
        "smallest and largest",
        "You drew the line through the smallest and the largest message. Two measurements bring all their noise along; "
        "the others are there to even it out.",
        POINTS,
    ),
    (
        "smallest as alpha",
        "You took the smallest message's time for α. That message has bytes, too, and its time has noise.",
        POINTS,
    ),
    (
        "shortest of each size",
        "Of a size that comes several times you took the shortest time. All of its measurements count: each has a "
        "summand of its own.",
        SEVERAL,
    ),
    (
        "mean of each size",
        "You averaged the times of one size before the fit. In the sum each error is over its own time, so a short "
        "time weighs more there than in a mean.",
        SEVERAL,
    ),
    (
        "median of each size",
        "Of a size that comes several times you took the time in the middle. The others count, too.",
        SEVERAL,
    ),
    (
        "last of each size",
        "Of a size that comes several times you kept the last time alone. (A dict has one value for each key.)",
        SEVERAL,
    ),
    (
        "log-log",
        "You fitted a line to the logarithms. That is a power law, t = a·nᵇ: it has no start-up time, and b is not "
        "seconds per byte.",
        "the law that is fitted: t = α + β·n.",
    ),
    (
        "no alpha",
        "You put the line through the origin. A message without bytes still takes α: the ranks have to meet.",
        "the intercept.",
    ),
    ("bits", "Your β is an eighth of the right one: you counted bits. nbytes are bytes.", "the unit of n."),
    ("bandwidth", "You gave the bandwidth, bytes per second. β is one over that.", "the second number."),
    ("swapped", "You gave β first. (np.polyfit returns the slope before the intercept.)", "the order of the pair."),
    ("microseconds", "You gave microseconds. α is in seconds, β in seconds per byte.", "the units."),
    (
        "no refusal",
        "Where all messages have one size, many lines fit equally well. No α and β follow from that, and a ValueError "
        "is due.",
        "sizes that are all the same.",
    ),
    (
        "two of one size",
        "You refuse a single measurement, and not several of one size. They are one point of the line, measured again.",
        "sizes that are all the same.",
    ),
)
