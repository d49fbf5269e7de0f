"""One line of what `tplearn doctor` says about a machine."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, what was found, and what to do about it."""

    subject: str
    state: State
    found: str
    advice: str = ""
