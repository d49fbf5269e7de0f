"""The ledger of simulated ranks, as the process that holds all of them tells it: read row by row, believed no further.

What a row says may be forged; that it is a row is sure, so that whatever compares ledgers can do so.
"""

from typing import Any

from tplearn.jailed.forms import WireError
from tplearn.ranks.ledger import Row

ROWS = 5_000
RANKS, BYTES, TEXT = 1 << 10, 1 << 40, 200
COUNTED = {"rank": RANKS, "index": BYTES, "bytes": BYTES, "tag": BYTES}
WORDS = ("op", "source", "code", "transport", "detail")
FIELDS = set(Row.__slots__)


def read_rows(message: Any) -> Any:
    """A message ["value", seen, …] with the ledger in it as rows. Raises WireError where one can be none."""
    match message:
        case ["value", {"ledger": list(told)} as seen, *rest] if len(told) <= ROWS:
            rows = [_row(one) for one in told]
            return ["value", {key: rows if key == "ledger" else value for key, value in seen.items()}, *rest]
        case ["value", {"ledger": _}, *_]:
            raise WireError(f"a ledger that is no list of at most {ROWS} rows")
    return message


def _row(told: Any) -> Row:
    if not isinstance(told, dict) or set(told) != FIELDS:
        raise WireError("a row of the ledger without its parts")
    group, shape = told["group"], told["shape"]
    fits = (
        all(_counts(told[name], most) for name, most in COUNTED.items())
        and all(type(told[name]) is str for name in WORDS)
        and all(told[name] is None or type(told[name]) is str for name in ("dtype", "reduce_op"))
        and all(told[name] is None or _counts(told[name], RANKS, -1) for name in ("root", "peer"))
        and type(group) is tuple
        and len(group) <= RANKS
        and all(_counts(member, RANKS) for member in group)
        and (shape is None or type(shape) is tuple and len(shape) <= 16 and all(_counts(n, BYTES) for n in shape))
    )
    if not fits:
        raise WireError("a row of the ledger with parts that cannot be")
    return Row(**{name: value[:TEXT] if type(value) is str else value for name, value in told.items()})


def _counts(value: Any, most: int, least: int = 0) -> bool:
    return type(value) is int and least <= value <= most
