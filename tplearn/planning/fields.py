"""A JSON object from elsewhere, read field by field: what is missing or wrong is a ValueError that names it."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Built = TypeVar("Built")
SHOWN = 60  # characters of a value in a message


class Fields:
    """The fields of a JSON object. `source` says in messages where it comes from: the file's path. null means missing.

    Every method raises ValueError, with the source, the field, its value and the values that work.
    """

    def __init__(self, values: Mapping[str, object], source: object = "config.json") -> None:
        self.values, self.source = values, source

    def get(self, name: str) -> object:
        """The value as it stands, None where it is missing."""
        return self.values.get(name)

    def require(self, names: Iterable[str]) -> None:
        """All of these fields must be there; the message lists those that are not."""
        missing = [name for name in names if self.get(name) is None]
        if missing:
            raise ValueError(f"{self.source} does not say {', '.join(missing)}")

    def refuse(self, name: str, works: str) -> ValueError:
        """What to raise for a value that does not work."""
        shown = repr(self.get(name))
        shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
        return ValueError(f"{self.source}: {name} = {shown} is not supported; {works}")

    def integer(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least`."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.refuse(name, f"whole numbers from {least} work")
        return value

    def number(self, name: str, default: float | None = None, *, zero: bool = False) -> float:
        """A finite number above 0; with `zero` also 0."""
        value = self._value(name, default)
        works = "numbers from 0 work" if zero else "numbers above 0 work"
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(name, works)
        if value < 0 or value == 0 and not zero:
            raise self.refuse(name, works)
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, "true and false work")
        return value

    def only(self, name: str, *works: object) -> None:
        """Missing, or one of `works`, of which the message names the first."""
        value = self.get(name)
        if value is not None and not any(value == one and type(value) is type(one) for one in works):
            raise self.refuse(name, f"value that works: {works[0]!r}" if works else "a file without it works")

    def tokens(self, name: str) -> tuple[int, ...]:
        """Token ids: one, a list, or none. Negative ones, which no text has, are left out."""
        value = self.get(name)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(token, bool) or not isinstance(token, int) for token in listed):
            raise self.refuse(name, "a token id, or a list of them, works")
        return tuple(token for token in listed if token >= 0)

    def token(self, name: str) -> int | None:
        """The token id, the first where there are several; None where there is none."""
        return next(iter(self.tokens(name)), None)

    def nested(self, name: str) -> "Fields":
        """The fields of an object inside this one; none where it is missing."""
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.refuse(name, "an object ({…}) works")
        return Fields(value or {}, f"{self.source}: {name}")

    def build(self, make: Callable[..., Built], **arguments: object) -> Built:
        """make(**arguments), whose ValueError gets the source in front."""
        try:
            return make(**arguments)
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from None

    def _value(self, name: str, default: object) -> object:
        value = self.get(name)
        if value is None and default is None:
            self.require([name])
        return default if value is None else value
