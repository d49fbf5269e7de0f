"""A reading in a few signs, one for each aspect: ✓, or what is off and by which law."""

import math

from tplearn.museum.fingerprint import Reading
from tplearn.museum.marks import TOLERANCE, Mark

ASPECTS = ("result", "gradients", "forward", "backward", "after", "bytes", "held")
SHORT = {"all_reduce": "all-reduce", "all_gather": "all-gather", "reduce_scatter": "reduce-scatter"}


def words(reading: Reading, tp: int, bfloat16: bool = False) -> dict[str, str]:
    """{aspect: signs} of a reading on tp ranks; ✗ stands in front of what is off.

    result and gradients: as `law` says it, of the gradients those that are off. forward, backward and after: the
    collectives; ✓ as is due, – where none is due and none ran, else how many too few or too many. bytes and held: ✓,
    or more or less than is due. With bfloat16 errors are those in that precision, rounding and all.
    """
    found = {
        "result": law(reading["forward"], tp, bfloat16),
        "gradients": _gradients(reading["gradients"], tp, bfloat16),
    }
    for phase, due in reading["due"].items():
        ran = reading["ledger"][phase]
        apart = {op: ran.get(op, 0) - due.get(op, 0) for op in sorted({*ran, *due})}
        told = [f"{'+' if n > 0 else '−'}{abs(n)} {SHORT.get(op, op)}" for op, n in apart.items() if n]
        found[phase] = ", ".join(told) or ("✓" if due else "–")
    for aspect, of in (("bytes", reading["wire"]), ("held", reading["held"])):
        found[aspect] = "✓" if of["own"] == of["due"] else "✗ more" if of["own"] > of["due"] else "less"
    return found


def law(mark: Mark, tp: int, bfloat16: bool = False) -> str:
    """✓, or ✗ and × tp, × tp², × 1/tp, × 0, + log tp, off, or differ, which is off in another way on each rank.

    In bfloat16 ✓, or ✗ and a percentage.
    """
    if bfloat16:
        return "✓" if mark["bfloat16"] == 0 else f"✗ {_percent(mark['bfloat16'])}"
    if mark["error"] <= TOLERANCE:
        return "✓"
    for name, value in (("× tp", tp), ("× tp²", tp * tp), ("× 1/tp", 1 / tp), ("× 0", 0.0)):
        if mark["factor"] is not None and math.isclose(mark["factor"], value, rel_tol=1e-8):
            return f"✗ {name}"
    if mark["shift"] is not None and math.isclose(mark["shift"], math.log(tp), rel_tol=1e-8):
        return "✗ + log tp"
    return "✗ off" if mark["agree"] else "✗ differ"


def _gradients(marks: dict[str, Mark], tp: int, bfloat16: bool) -> str:
    """ "✗ 5 of 6: × 0"."""
    found = [law(mark, tp, bfloat16) for mark in marks.values()]
    off = [text.removeprefix("✗ ") for text in found if text != "✓"]
    if not off:
        return "✓"
    kinds = sorted(set(off), key=off.index)
    if bfloat16:
        most = _percent(max(mark["bfloat16"] for mark in marks.values()))
        kinds = [most if most.startswith("<") else f"≤ {most}"]
    return f"✗ {len(off)} of {len(found)}: {', '.join(kinds)}"


def _percent(share: float) -> str:
    """Never 0.0% of what is not 0."""
    return f"{share:.1%}" if share >= 5e-4 else "< 0.1%"
