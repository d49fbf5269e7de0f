"""Arithmetic that shows itself: a number, its unit, and the text of how it came about, which can be redone by hand."""

import math
from dataclasses import dataclass, field

from tplearn.planning.links import Link, NodeLink, steps

SCALES = {
    "B": (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1)),
    "s": (("s", 1), ("ms", 1e-3), ("µs", 1e-6)),
    "B/s": (("GB/s", 1e9),),
    "FLOP/s": (("TFLOP/s", 1e12),),
}
DIGITS = 5  # significant ones
SUM, PRODUCT, ATOM = range(3)  # what needs brackets inside what


def shown(value: float, unit: str = "", digits: int = DIGITS) -> str:
    """ "6.3759 GB", "16,777,216 tokens": so many significant digits, whole numbers in full."""
    unit, scale = next(((name, size) for name, size in SCALES.get(unit, ()) if abs(value) >= size), _last(unit))
    value /= scale
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    else:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if decimals else text
    return f"{text} {unit}".rstrip()


def _last(unit: str) -> tuple[str, float]:
    return SCALES[unit][-1] if unit in SCALES else (unit, 1)


@dataclass(frozen=True)
class Quantity:
    """A value in SI units, and its arithmetic as text. +, -, · and / of two make a third with both."""

    value: float
    text: str
    binds: int = ATOM

    def __add__(self, other: "Quantity | float") -> "Quantity":
        other = of(other)
        return Quantity(self.value + other.value, f"{self.text} + {other.text}", SUM)

    def __radd__(self, other: float) -> "Quantity":
        return of(other) + self

    def __sub__(self, other: "Quantity | float") -> "Quantity":
        other = of(other)
        return Quantity(self.value - other.value, f"{self.text} − {other._in(PRODUCT)}", SUM)

    def __rsub__(self, other: float) -> "Quantity":
        return of(other) - self

    def __mul__(self, other: "Quantity | float") -> "Quantity":
        other = of(other)
        return Quantity(self.value * other.value, f"{self._in(PRODUCT)} · {other._in(PRODUCT)}", PRODUCT)

    def __rmul__(self, other: float) -> "Quantity":
        return of(other) * self

    def __truediv__(self, other: "Quantity | float") -> "Quantity":
        other = of(other)
        return Quantity(self.value / other.value, f"{self._in(PRODUCT)} / {other._in(ATOM)}", PRODUCT)

    def __rtruediv__(self, other: float) -> "Quantity":
        return of(other) / self

    def _in(self, binds: int) -> str:
        return self.text if self.binds >= binds else f"({self.text})"


def of(value: "Quantity | float", unit: str = "") -> Quantity:
    """A number as it stands."""
    return value if isinstance(value, Quantity) else Quantity(value, shown(value, unit))


def largest(*them: "Quantity | float") -> Quantity:
    """max(…) of them."""
    parts = [of(one) for one in them]
    return Quantity(max(one.value for one in parts), f"max({', '.join(one.text for one in parts)})")


def smallest(*them: "Quantity | float") -> Quantity:
    """min(…) of them."""
    parts = [of(one) for one in them]
    return Quantity(min(one.value for one in parts), f"min({', '.join(one.text for one in parts)})")


@dataclass(frozen=True)
class Line:
    """One step: `name` = `arithmetic` = `value` `unit`."""

    section: str
    name: str
    arithmetic: str
    value: float
    unit: str

    def __str__(self) -> str:
        result = shown(self.value, self.unit)
        return f"{self.name} = {result}" if self.arithmetic == result else f"{self.name} = {self.arithmetic} = {result}"


@dataclass
class Sheet:
    """Lines in order, under sections. `line` gives its result back as one number, for the lines that follow."""

    lines: list[Line] = field(default_factory=list)
    section: str = ""

    def line(self, name: str, quantity: "Quantity | float", unit: str = "") -> Quantity:
        """Writes a line."""
        quantity = of(quantity, unit)
        self.lines.append(Line(self.section, name, quantity.text, quantity.value, unit))
        return of(quantity.value, unit)


def collective(op: str, nbytes: Quantity, p: int, link: Link | NodeLink) -> Quantity:
    """The arithmetic of `collective_seconds` for the ops that a layout uses; p above 1."""
    ranks = of(p)
    times = 2 if op == "all_reduce" else 1

    def ring(size: Quantity, of_ranks: Quantity) -> Quantity:
        sent = (of_ranks - 1) / of_ranks * size
        return sent if times == 1 else times * sent

    if isinstance(link, Link):
        begin = of(link.alpha, "s")
        if link.hop:
            begin = begin + steps(op, p) * of(link.hop, "s")
        return begin + (nbytes if op == "send" else ring(nbytes, ranks)) / of(link.bandwidth, "B/s")
    g, nodes = of(link.ranks_per_node), of(p / link.ranks_per_node)
    begin = of(link.across.alpha, "s") + steps(op, nodes.value) * of(link.across.hop, "s")
    if op == "send":
        return begin + nbytes / of(link.across.bandwidth, "B/s")
    inside = ring(nbytes, g) / of(link.inside.bandwidth, "B/s")
    return begin + largest(inside, ring(nbytes / g, nodes) / of(link.across.bandwidth, "B/s"))
