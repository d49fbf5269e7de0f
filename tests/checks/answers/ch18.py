"""Chapter 18: readings, laws, and bugs named from fingerprints of fresh exhibits."""

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from tplearn.checks import Case
from tplearn.checks.ch18_bug_museum.fresh import Taken
from tplearn.checks.ch18_bug_museum.laws import LAWS
from tplearn.museum.labels import FORWARD_BUGS, GRADIENT_BUGS, LABELS, LEDGER_BUGS
from tplearn.museum.labels import RIGHT as INNOCENT

Print = dict[int, dict]

# 18.1: reading(own, right, dim)


def joined_first(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    """Shards are joined; copies are compared one by one."""
    right = right.to(torch.float64)
    wholes = [x.to(torch.float64) for x in own] if dim is None else [torch.cat([x.to(torch.float64) for x in own], dim)]
    scale = right.abs().max().item()
    at = right.abs().argmax()
    factors = [(x.flatten()[at] / right.flatten()[at]).item() for x in wholes]
    fits = all((x - factors[0] * right).abs().max().item() <= 1e-10 * scale * max(1, abs(factors[0])) for x in wholes)
    apart = max(((x - wholes[0]).abs().max().item() for x in wholes), default=0)
    error = max((x - right).abs().max().item() for x in wholes) / scale
    return {"error": error, "factor": factors[0] if fits else None, "agree": apart <= 1e-10 * scale}


def number_by_number(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    """Python's own numbers."""
    pieces = [right] * len(own) if dim is None else right.tensor_split(len(own), dim)
    flat = [[x for tensor in of for x in tensor.flatten().tolist()] for of in (own, pieces)]
    pairs = list(zip(*flat, strict=True))
    scale = max(abs(b) for _, b in pairs)
    c = next(a / b for a, b in pairs if abs(b) == scale)
    fits = all(abs(a - c * b) <= 1e-10 * scale * max(1, abs(c)) for a, b in pairs)
    columns = zip(*(x.flatten().tolist() for x in own), strict=True) if dim is None else ()
    agree = all(max(column) - min(column) <= 1e-10 * scale for column in columns)
    return {"agree": agree, "factor": c if fits else None, "error": max(abs(a - b) for a, b in pairs) / scale}


def stacked(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    """Copies against the right one, broadcast."""
    x, y = torch.stack([x.double() for x in own]), right.double()
    y = y.expand_as(x) if dim is None else torch.stack(y.chunk(len(own), dim))
    scale = y.abs().max()
    c = (x * y).sum() / y.square().sum()
    near = torch.linalg.vector_norm(x - c * y, ord=torch.inf) <= 1e-10 * scale * c.abs().clamp_min(1)
    spread = (x.amax(0) - x.amin(0)).max() if dim is None else torch.zeros(())
    return {
        "error": ((x - y).abs().max() / scale).item(),
        "factor": c.item() if near else None,
        "agree": bool(spread <= 1e-10 * scale),
    }


def first_rank(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    mine = right if dim is None else right.chunk(len(own), dim)[0]
    return stacked(own[:1], mine, None)


def never_compared(own: list[Tensor], right: Tensor, dim: int | None) -> dict:
    return {"error": 0.0, "factor": 1.0, "agree": True}


# 18.2: law(factors)


def with_fractions(factors: dict[int, float]) -> str:
    """Each factor as the fraction that it is near to."""
    exact = {p: Fraction(f).limit_denominator(1000) for p, f in factors.items()}
    near = all(abs(float(exact[p]) - f) < 1e-9 for p, f in factors.items())
    due = {
        "0": lambda p: 0,
        "1": lambda p: 1,
        "2": lambda p: 2,
        "1/2": lambda p: Fraction(1, 2),
        "tp": lambda p: p,
        "tp - 1": lambda p: p - 1,
        "1/tp": lambda p: Fraction(1, p),
        "tp * tp": lambda p: p**2,
    }
    left = {name for name, of in due.items() if near and all(of(p) == f for p, f in exact.items())}
    return "none" if not left else left.pop() if len(left) == 1 else "?"


def by_elimination(factors: dict[int, float]) -> str:
    left = ["0", "1", "2", "1/2", "tp", "tp - 1", "1/tp", "tp * tp"]
    for tp, factor in factors.items():
        left = [name for name in left if math.isclose(eval(name, {"tp": tp}), factor, rel_tol=1e-9, abs_tol=1e-9)]
    if len(left) > 1:
        return "?"
    return left[0] if left else "none"


def with_sets(factors: dict[int, float]) -> str:
    def fitting(tp: int, factor: float) -> set[str]:
        values = [0, 1, 2, 0.5, tp, tp - 1, 1 / tp, tp * tp]
        names = ["0", "1", "2", "1/2", "tp", "tp - 1", "1/tp", "tp * tp"]
        return {name for name, value in zip(names, values, strict=True) if round(value - factor, 8) == 0}

    common = set.intersection(*(fitting(*pair) for pair in factors.items()))
    return (sorted(common) or ["none"])[0] if len(common) < 2 else "?"


# 18.3: name_forward_bug(fingerprint)


def at_smallest_cut(fingerprint: Print) -> str:
    """Two ranks are as good as four, if one knows that tp is 2."""
    tp = min(p for p in fingerprint if p > 1)
    seen = fingerprint[tp]
    result = seen["forward"]
    if result["factor"]:
        return "whole layer summed"
    if result["shift"]:
        return "whole logits taken for a shard"
    if seen["ledger"] != seen["due"] and not result["agree"]:
        return "all-reduce missing"
    spoilt = [mark for mark in seen["gradients"].values() if mark["error"] > 1e-6]
    if not spoilt:
        return "bias added by every rank"
    return "QKV cut as one block" if result["agree"] else "own dropout mask"


def by_table(fingerprint: Print) -> str:
    table = {
        (True, False, False, True): "bias added by every rank",
        (True, False, False, False): "QKV cut as one block",
        (False, False, True, True): "all-reduce missing",
        (False, False, False, False): "own dropout mask",
    }
    seen = fingerprint[max(fingerprint)]
    forward = seen["forward"]
    if forward["factor"] is not None:
        return "whole layer summed"
    if forward["shift"] is not None and math.isclose(math.exp(forward["shift"]), max(fingerprint), rel_tol=1e-6):
        return "whole logits taken for a shard"
    right = max(mark["error"] for mark in seen["gradients"].values()) < 1e-9
    return table[forward["agree"], False, len(seen["ledger"]["forward"]) < len(seen["due"]["forward"]), right]


def at_every_size(fingerprint: Print) -> str:
    votes = {at_smallest_cut({tp: seen}) for tp, seen in fingerprint.items() if tp > 1}
    assert len(votes) == 1
    return votes.pop()


# 18.4: name_gradient_bug(fingerprint)


def gradient_by_table(fingerprint: Print) -> str:
    tp = min(p for p in fingerprint if p > 1)
    seen = fingerprint[tp]
    off = [mark for mark in seen["gradients"].values() if mark["error"] > 1e-9]
    kind = "apart" if not all(mark["agree"] for mark in off) else "none"
    if kind == "none" and off[0]["factor"] is not None:
        kind = "zero" if off[0]["factor"] == 0 else "small" if off[0]["factor"] < 1 else "large"
    after = seen["due"]["after"] != {}
    phase = next((p for p in ("backward", "after") if seen["ledger"][p] != seen["due"][p]), "same")
    return {
        ("apart", "backward"): "f missing",
        ("apart", "after"): "copies not summed",
        ("none", "same"): "local padding index",
        ("zero", "backward"): "graph cut",
        ("small", "same"): "mean for sum" if after else "bias divided by tp",
        ("large", "backward"): "summed on the way back",
        ("large", "after"): "summed once more",
    }[kind, phase]


def gradient_by_elimination(fingerprint: Print) -> str:
    """What each bug would show."""
    tp = max(fingerprint)
    seen = fingerprint[tp]
    off = [mark for mark in seen["gradients"].values() if mark["error"] > 1e-10]
    counts = lambda of, phase: sum(seen[of][phase].values())  # noqa: E731
    less, more = (lambda p: counts("ledger", p) < counts("due", p)), (lambda p: counts("ledger", p) > counts("due", p))
    split = any(not mark["agree"] for mark in off)
    factors = {mark["factor"] for mark in off}
    laws = {f: round(math.log(f, tp), 6) for f in factors if f}
    left = [
        ("bias divided by tp", set(laws.values()) == {-1.0} and not counts("due", "after")),
        ("mean for sum", set(laws.values()) == {-1.0} and counts("due", "after") > 0),
        ("f missing", split and less("backward")),
        ("graph cut", factors == {0.0}),
        ("summed on the way back", bool(laws) and min(laws.values()) >= 1.0 and more("backward")),
        ("summed once more", set(laws.values()) == {1.0} and more("after")),
        ("copies not summed", split and less("after")),
        ("local padding index", factors == {None} and not split),
    ]
    (name,) = [name for name, shows in left if shows]
    return name


def gradient_at_every_size(fingerprint: Print) -> str:
    votes = {gradient_by_elimination({tp: seen}) for tp, seen in fingerprint.items() if tp > 1}
    assert len(votes) == 1
    return votes.pop()


def by_their_number(fingerprint: Print) -> str:
    """One wrong gradient of 1/tp: the bias; several: the norms."""
    found = gradient_by_table(fingerprint)
    off = [mark for mark in fingerprint[max(fingerprint)]["gradients"].values() if mark["error"] > 1e-9]
    if found in ("mean for sum", "bias divided by tp"):
        return "mean for sum" if len(off) > 1 else "bias divided by tp"
    return found


# 18.5: name_ledger_bug(fingerprint)


def costs(fingerprint: Print) -> str:
    for tp, seen in fingerprint.items():
        if tp == 1:
            continue
        if seen["held"]["own"] / seen["held"]["due"] > 1.5:
            return "nothing cut"
        if seen["wire"]["own"] > seen["wire"]["due"]:
            dearer = "forward" if seen["ledger"]["forward"] != seen["due"]["forward"] else "backward"
            return {"forward": "logits gathered", "backward": "an f for each layer"}[dearer]
    return "right"


def by_ops(fingerprint: Print) -> str:
    seen = fingerprint[max(fingerprint)]
    extra = {phase: set(seen["ledger"][phase]) - set(seen["due"][phase]) for phase in seen["due"]}
    if seen["held"]["own"] == 1:
        return "nothing cut"
    if "all_gather" in extra["forward"]:
        return "logits gathered"
    more = seen["ledger"]["backward"].get("all_reduce", 0) > seen["due"]["backward"].get("all_reduce", 0)
    return "an f for each layer" if more else "right"


def costs_from_the_largest(fingerprint: Print) -> str:
    tp = max(fingerprint)
    return costs({tp: fingerprint[tp]})


# 18.6: is_right(fingerprint)


def no_complaint(fingerprint: Print) -> bool:
    complaints = [
        name
        for tp, seen in fingerprint.items()
        for name, mark in [("forward", seen["forward"]), *seen["gradients"].items()]
        if mark["error"] > 1e-8
    ]
    complaints += [
        tp for tp, seen in fingerprint.items() for of in ("wire", "held") if seen[of]["own"] > seen[of]["due"]
    ]
    return not complaints


def by_factor(fingerprint: Print) -> bool:
    """A factor of 1 says it too, where it is measured to nine digits."""
    return all(
        mark["factor"] == 1.0
        and seen["wire"]["own"] <= seen["wire"]["due"]
        and seen["held"]["own"] <= seen["held"]["due"]
        for seen in fingerprint.values()
        for mark in [seen["forward"], *seen["gradients"].values()]
    )


def by_worst(fingerprint: Print) -> bool:
    """The worst of everything at all sizes."""
    seen = list(fingerprint.values())
    marks = [mark for one in seen for mark in (one["forward"], *one["gradients"].values())]
    over = [one[of]["own"] / max(one[of]["due"], 1e-9) for one in seen for of in ("wire", "held") if one[of]["own"]]
    return max(mark["error"] for mark in marks) < 1e-9 and all(m["agree"] for m in marks) and max(over) <= 1


def at_the_largest(fingerprint: Print) -> bool:
    tp = max(fingerprint)
    return no_complaint({tp: fingerprint[tp]})


# 18.7: diagnose(fingerprint)


def by_rooms(fingerprint: Print) -> str:
    if no_complaint(fingerprint):
        return "right"
    seen = fingerprint[max(fingerprint)]
    if seen["forward"]["error"] > 1e-9:
        return by_table(fingerprint)
    if any(mark["error"] > 1e-9 for mark in seen["gradients"].values()):
        return gradient_by_table(fingerprint)
    return costs(fingerprint)


def by_rooms_at_smallest(fingerprint: Print) -> str:
    tp = min(p for p in fingerprint if p > 1)
    return by_rooms({tp: fingerprint[tp]})


def by_rooms_otherwise(fingerprint: Print) -> str:
    seen = fingerprint[max(fingerprint)]
    off = [seen["forward"]["error"] > 1e-7, any(mark["error"] > 1e-7 for mark in seen["gradients"].values())]
    return [at_every_size, gradient_at_every_size, by_ops][(off + [True]).index(True)](fingerprint)


# Guesses


def counting(names: tuple[str, ...]) -> Callable[[Print], str]:
    """By position: the first fingerprint gets the first name."""
    place = itertools.count()
    return lambda fingerprint: names[next(place) % len(names)]


def by_number_of_gradients(names: tuple[str, ...]) -> Callable[[Print], str]:
    return lambda fingerprint: names[len(fingerprint[max(fingerprint)]["gradients"]) % len(names)]


def by_chance(names: tuple[str, ...]) -> Callable[[Print], str]:
    return lambda fingerprint: random.choice(names)


def guesses(names: tuple[str, ...]) -> dict[str, Callable]:
    constant = {f"always {name}": lambda fingerprint, name=name: name for name in names}
    return constant | {
        "by position": counting(names),
        "by the number of gradients": by_number_of_gradients(names),
        "by chance": by_chance(names),
        "all at once": lambda fingerprint: ", ".join(names),
    }


EVERYTHING = (*FORWARD_BUGS, *GRADIENT_BUGS, *LEDGER_BUGS, INNOCENT)

LAZY: dict[str, dict[str, Callable]] = {
    "reading": {"first rank": first_rank, "hard-coded": never_compared},
    "law": {f"always {name}": lambda factors, name=name: name for name in (*LAWS, "?", "none")}
    | {"from a table of two ranks": lambda factors: {0.5: "1/tp", 2.0: "tp", 4.0: "tp * tp"}.get(factors.get(2), "?")},
    "name_forward_bug": guesses(FORWARD_BUGS),
    "name_gradient_bug": guesses(GRADIENT_BUGS) | {"by their number": by_their_number},
    "name_ledger_bug": guesses((*LEDGER_BUGS, INNOCENT)),
    "is_right": {
        "always right": lambda fingerprint: True,
        "always wrong": lambda fingerprint: False,
        "by position": counting((True, False)),
        "at the largest": at_the_largest,
    },
    "diagnose": guesses(EVERYTHING) | {"two rooms": lambda fingerprint: by_rooms_at_smallest(fingerprint).upper()},
}

RIGHT: dict[str, dict[str, Callable]] = {
    "reading": {"joined first": joined_first, "number by number": number_by_number, "stacked": stacked},
    "law": {"fractions": with_fractions, "elimination": by_elimination, "sets": with_sets},
    "name_forward_bug": {"smallest cut": at_smallest_cut, "table": by_table, "every size": at_every_size},
    "name_gradient_bug": {
        "table": gradient_by_table,
        "elimination": gradient_by_elimination,
        "every size": gradient_at_every_size,
    },
    "name_ledger_bug": {"costs": costs, "ops": by_ops, "largest": costs_from_the_largest},
    "is_right": {"no complaint": no_complaint, "factor": by_factor, "worst": by_worst},
    "diagnose": {"rooms": by_rooms, "at the smallest": by_rooms_at_smallest, "otherwise": by_rooms_otherwise},
}


# What is known of each case beside what is measured.


def compared(case: Case) -> dict:
    """In whole numbers of Python, with nothing left to rounding but the last digit."""
    seen = number_by_number(*case.args)
    return {"forward": seen | {"error": 0.0 if seen["error"] < 1e-12 else seen["error"]}}


def followed(case: Case) -> dict:
    return {"forward": with_fractions(*case.args)}


def on_the_back(case: Taken) -> dict:
    """The label of the exhibit that the fingerprint was taken of; mended ones are right."""
    return {"forward": INNOCENT if case.mended else LABELS[case.exhibit].name}


def innocent(case: Taken) -> dict:
    return {"forward": on_the_back(case)["forward"] == INNOCENT}


ORACLES = {
    "reading": compared,
    "law": followed,
    "name_forward_bug": on_the_back,
    "name_gradient_bug": on_the_back,
    "name_ledger_bug": on_the_back,
    "is_right": innocent,
    "diagnose": on_the_back,
}
