"""A fingerprint in words: which aspects are off on one number of ranks, and by which law."""

import math

from tplearn.museum import TOLERANCE, Mark, Reading

Symptoms = tuple[str, ...]


def law(factor: float | None, tp: int) -> str:
    """By which power of tp a tensor is off."""
    laws = {"1": 1.0, "tp": tp, "tp²": tp * tp, "1/tp": 1 / tp, "0": 0.0}
    return next((name for name, value in laws.items() if factor is not None and abs(factor - value) < 1e-8), "off")


def of_mark(mark: Mark, tp: int) -> str:
    """ "right", "tp", "off by log tp, ranks agree"."""
    if mark["error"] <= TOLERANCE:
        return "right"
    if mark["shift"] is not None and abs(mark["shift"] - math.log(tp)) < 1e-8:
        return "off by log tp"
    return law(mark["factor"], tp) + ("" if mark["agree"] else ", ranks differ")


def symptoms(reading: Reading, tp: int) -> Symptoms:
    """Forward, gradients (each law once), each phase of the ledger, bytes and what is held; no parameter's name."""
    gradients = {of_mark(mark, tp) for mark in reading["gradients"].values()}
    of_x = "x " + of_mark(reading["gradients"]["x"], tp) if "x" in reading["gradients"] else "no x"
    phases = []
    for phase, due in reading["due"].items():
        ops = {*due, *reading["ledger"][phase]}
        apart = {op: reading["ledger"][phase].get(op, 0) - due.get(op, 0) for op in sorted(ops)}
        phases += [f"{phase}: {op} {'short' if n < 0 else 'over'}" for op, n in apart.items() if n]
    due_after = ("after is due",) * bool(reading["due"]["after"])
    more = [f"more {name}" for name in ("wire", "held") if reading[name]["own"] > reading[name]["due"]]
    forward = "forward " + of_mark(reading["forward"], tp)
    return (forward, of_x, *sorted(gradients), *phases, *due_after, *more)
