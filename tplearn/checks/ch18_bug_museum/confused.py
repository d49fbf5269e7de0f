"""One diagnosis given for another: what stands against it in every fingerprint of the model that it was given to."""

from tplearn.checks.exercise import Misnomer
from tplearn.museum.labels import FORWARD_BUGS, GRADIENT_BUGS, LABELS, LEDGER_BUGS, RIGHT

SHOWS = {label.name: label.shows for label in LABELS.values() if label.name != RIGHT}
ROOMS = dict.fromkeys(FORWARD_BUGS, "result") | dict.fromkeys(GRADIENT_BUGS, "gradient")
ROOMS |= dict.fromkeys(LEDGER_BUGS, "bill") | {RIGHT: "nothing"}

FIRST = "What is off first in a step may be the cause of what is off later, and not the other way round."
ROUNDING = "An error below 1e-12 is rounding."
WHERE = {
    "result": "the result first: its error, in float64.",
    "gradient": "the gradients, after the result: the error of each, in float64.",
    "bill": "wire and held, own beside due, where all numbers are right.",
    "nothing": "error, wire and held: what is not above rounding, and not more than due, is no bug.",
}
AGAINST = {  # (of what is due, of what was given)
    ("result", "gradient"): f"That bug leaves the result right, and here the result is wrong. {FIRST}",
    ("result", "bill"): "That bug leaves all numbers right, and here the result is wrong.",
    ("result", "nothing"): "Here the result is wrong.",
    ("gradient", "result"): f"That bug makes the result wrong, and here the result is right. {ROUNDING}",
    ("gradient", "bill"): "That bug leaves all numbers right, and here a gradient is wrong.",
    ("gradient", "nothing"): "Here a gradient is wrong, though the result is right.",
    ("bill", "result"): f"That bug makes the result wrong, and here all numbers are right. {ROUNDING}",
    ("bill", "gradient"): f"That bug makes a gradient wrong, and here all numbers are right. {ROUNDING}",
    ("bill", "nothing"): "Here a rank sends more bytes than are due, or holds more numbers.",
    ("nothing", "result"): f"That bug makes the result wrong, and here all numbers are right. {ROUNDING}",
    ("nothing", "gradient"): f"That bug makes a gradient wrong, and here all numbers are right. {ROUNDING}",
    ("nothing", "bill"): "Here a rank neither sends more bytes nor holds more numbers than is due.",
}


ACCUSED = Misnomer(
    "broken, for right",
    "The numbers of this model are right to 1e-12 in float64, ranks agree, and it pays no more than is due. What is "
    "off in bfloat16 is rounding, a last digit in float64 is rounding too, and to send less than is due is no bug.",
    "error below 1e-10, wire and held not above due.",
)
PASSED = Misnomer(
    "right, for broken",
    "This model is broken: at one size at least its result or a gradient is wrong, or a rank sends more bytes or holds "
    "more numbers than is due.",
    "every size, every gradient, wire and held.",
)


def accused(due: bool, given: bool) -> Misnomer:
    """What stands against a model that was called right, or broken."""
    return ACCUSED if due else PASSED


def confused(due: str, given: str) -> Misnomer | None:
    """Why a model that is `due` is not `given`; None where that is no diagnosis at all."""
    if given not in ROOMS:
        return None
    rooms = ROOMS[due], ROOMS[given]
    says = AGAINST[rooms] if rooms in AGAINST else f"What '{given}' shows is another thing: {SHOWS[given]}."
    return Misnomer(f"{given}, for {due}", says, WHERE[rooms[0]] if rooms in AGAINST else "what that bug shows.")
