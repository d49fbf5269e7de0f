"""When two observations, entries or failures count as the same, whatever the wording and the sizes."""

import re

from tplearn.checks.compare import Failure, first_difference
from tplearn.checks.observe import Observation
from tplearn.ranks import CollectiveMismatch


def observed_alike(got: Observation, mutant: Observation, want: Observation) -> bool:
    """Equal observations; two refusals that are both right count as equal whatever their text."""
    if "error" in want and all("error" in seen and seen["error"].kind == want["error"].kind for seen in (got, mutant)):
        return True
    plain = [{key: value for key, value in seen.items() if key != "ledger"} for seen in (got, mutant)]
    ledgers = [sorted(map(_spent, seen.get("ledger", []))) for seen in (got, mutant)]
    return first_difference(*plain) is None and ledgers[0] == ledgers[1]


def _spent(row: object) -> str:
    return repr((row.rank, row.op, row.bytes, row.reduce_op, row.root, row.peer, row.group))


def error_kind(seen: Observation) -> str:
    """The type of the exception, "" where there is none."""
    return seen["error"].kind if "error" in seen else ""


def names_to_difference(got: object, want: object) -> tuple[str, ...]:
    """The names on the way to the first difference, as in ("parameters", "bias")."""
    difference = first_difference(got, want)
    return tuple(key for key in difference.path if isinstance(key, str)) if difference else ()


def entry_at(value: object, names: tuple[str, ...]) -> object:
    """What stands under these names; in a list, in each of its items."""
    if isinstance(value, list):
        return [entry_at(item, names) for item in value]
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def wrong_entry_names(got: object, want: object) -> set[str]:
    """The names of all entries that differ; a list is one for each of its items."""
    if isinstance(want, dict) and isinstance(got, dict):
        both = dict.fromkeys([*want, *got])
        return {str(key) for key in both if first_difference(got.get(key), want.get(key)) is not None}
    if isinstance(want, list) and isinstance(got, list) and len(got) == len(want):
        return set().union(*(wrong_entry_names(*pair) for pair in zip(got, want, strict=True)))
    return {""} if first_difference(got, want) is not None else set()


def shares_an_entry(got: object, seen: object, want: object) -> bool:
    """Whether two values, or what stands under one name or at one place in them, are wrong alike."""
    if all(isinstance(value, dict) for value in (got, seen, want)):
        return any(shares_an_entry(got.get(key), seen.get(key), want.get(key)) for key in {*got, *seen, *want})
    if all(isinstance(value, list) for value in (got, seen, want)) and len(got) == len(seen) == len(want):
        return any(map(shares_an_entry, got, seen, want))
    return first_difference(got, seen) is None and first_difference(got, want) is not None


def failure_pattern(failure: Failure | None) -> tuple:
    """What each rank does in a report, without counts, and without shapes where they are not what differs.

    Of another error its type and its words.
    """
    if failure is None:
        return ()
    doing = re.findall(r"rank (\d+)  (waits in \w+|returned|raised \w+|is running|[a-z_]+ \()", failure.text)
    if failure.kind == CollectiveMismatch.__name__:  # told at once: some ranks may not have come yet
        reason = failure.text.splitlines()[0].rpartition(":")[2]
        shapes = re.findall(r"\(((?:[\d×]+|scalar) \w+)", failure.text) if reason.endswith("shape.") else []
        return (failure.kind, reason, *sorted({op for _, op in doing}), *sorted(shapes))
    return (failure.kind, *doing) if doing else (failure.kind, _plain(failure.text))


def _plain(text: str) -> str:
    """Without objects, large numbers and the names of autograd's nodes."""
    return re.sub(r"\b\w+Backward\b", "Backward", re.sub(r"<\S+ object at \w+>|0x[0-9a-f]+|\d{4,}", "…", text))
