"""What the wrong answers to exercise 18.2 show: one size for all, laws that coincide there, and rounding."""

import math
from collections import Counter

from tplearn.checks.ch18_bug_museum.laws import LAWS
from tplearn.checks.exercise import mutants_of

SWAPPED = {"tp": "1/tp", "1/tp": "tp", "2": "1/2", "1/2": "2"}


def wrong_law(factors: dict[int, float], wrong: str) -> str:
    """A law, with one thing `wrong`."""
    sizes = sorted(factors)
    used = {
        "largest size alone": sizes[-1:],
        "smallest size alone": sizes[:1],
        "one rank left out": [p for p in sizes if p > 1] or sizes,
    }.get(wrong, sizes)
    unknown = {"no squares": ("tp * tp",), "no constants": ("2", "1/2")}.get(wrong, ())
    known = [name for name in LAWS if name not in unknown]
    met = [{name for name in known if _near(factors[p], LAWS[name](p), wrong)} for p in used]
    fits = [name for name in known if _fits([name in names for names in met], wrong)]
    if wrong == "most sizes":
        times = Counter(name for names in met for name in names)
        fits = [name for name in known if times[name] == max(times.values(), default=0) > 0]
    if (wrong == "a single size" and len(sizes) == 1) or (wrong == "a law for each size" and not fits and all(met)):
        return "?"
    if len(fits) > 1:
        chosen = {"first that fits": fits[0], "one size is enough": fits[0], "last that fits": fits[-1]}
        growing = [name for name in fits if "tp" in name]
        if wrong == "tp where it may be" and growing:
            return growing[0]
        return chosen.get(wrong, "?")
    if not fits:
        return "?" if wrong == "none is ?" else "none"
    return SWAPPED.get(fits[0], fits[0]) if wrong == "upside down" else fits[0]


def _near(factor: float, value: float, wrong: str) -> bool:
    if wrong == "a relative tolerance":
        return math.isclose(factor, value, rel_tol=1e-6)
    return abs(factor - value) <= {"to the last bit": 0.0, "to a half": 0.6}.get(wrong, 1e-6)


def _fits(met: list[bool], wrong: str) -> bool:
    return any(met) if wrong == "one size is enough" else all(met)


TELL = "several that fit: the sizes cannot tell them apart, so say '?'."

MUTANTS = mutants_of(
    wrong_law,
    (
        "largest size alone",
        "You judged at the largest size alone. Numbers that follow no law may meet one once: it must fit at every size "
        "that was measured.",
        "all sizes of factors.",
    ),
    (
        "smallest size alone",
        "You judged at the smallest size alone. On one rank nothing can be told, and on two ranks tp and 2 are the "
        "same number, as are tp - 1 and 1.",
        "all sizes of factors.",
    ),
    (
        "one rank left out",
        "You left out tp = 1. It is a size like the others: 1, tp and tp * tp are 1 there, but 2 is not, and 1/2 is "
        "not.",
        "all sizes of factors.",
    ),
    (
        "one size is enough",
        "You took a law that fits at one size. It must fit at all of them: on two ranks nearly everything fits.",
        "all(...), not any(...).",
    ),
    (
        "a law for each size",
        "You said '?' where each size meets a law, and no law meets them all. Several have to fit at every size for "
        "that; here none does.",
        "no law that fits everywhere: 'none'.",
    ),
    (
        "a relative tolerance",
        "Your tolerance grows with the law's value. 64.00003 is 3e-5 away from 64, and no number but 0 is within "
        "a millionth of 0 of it. The difference itself is to be below 1e-6.",
        "abs(factor - value) < 1e-6.",
    ),
    (
        "most sizes",
        "You took the law that fits at most sizes. One that misses at a single size is not the law: nothing but "
        "rounding may lie between a factor and its law.",
        "all(...).",
    ),
    (
        "a single size",
        "You said '?' of every single size. {2: 4.0} fits tp * tp and no other law, so it can be told there.",
        "how many laws fit, not how many sizes there are.",
    ),
    (
        "to the last bit",
        "You compared to the last bit. A factor is measured, and its last digits are rounding.",
        "abs(factor - value) < 1e-6.",
    ),
    (
        "to a half",
        "Your tolerance is so wide that 2 passes for 1.5, or 1/2 for 0. Measured factors miss a law by 1e-14, not by "
        "tenths.",
        "abs(factor - value) < 1e-6.",
    ),
    (
        "first that fits",
        "Several laws fit, and you named the first. On two ranks tp and 2 are the same number: measure on a third "
        "size before you name a bug.",
        TELL,
    ),
    (
        "last that fits",
        "Several laws fit, and you named the last. On two ranks tp and 2 are the same number: measure on a third size "
        "before you name a bug.",
        TELL,
    ),
    (
        "tp where it may be",
        "Several laws fit, and you named the one with tp in it. It may be so; with these sizes nobody can know.",
        TELL,
    ),
    (
        "none is ?",
        "Where no law fits you said '?'. That means that several do. 'none' is a finding: no power of tp, so it is no "
        "sum too many or too few.",
        "no law that fits: 'none'.",
    ),
    (
        "upside down",
        "You took a factor for its inverse: own / right = tp is a gradient that was summed too often, and 1/tp one "
        "that was divided.",
        "factor = own / right.",
    ),
    (
        "no squares",
        "You do not know tp * tp. A sum too many in each of two layers makes it in the first of them.",
        "the list of laws.",
    ),
    (
        "no constants",
        "You do not know 2 and 1/2. Without them every factor of 2 on two ranks looks like tp.",
        "the list of laws.",
    ),
)
