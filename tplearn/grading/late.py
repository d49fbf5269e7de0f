"""Deadlines, and what being late costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Deduction:
    """What lateness costs: percent of what was earned, and a sentence that says why, or nothing."""

    percent: int = 0
    says: str = ""


@dataclass(frozen=True)
class Late:
    """A late policy. deadlines: by chapter. The days of lateness count from the deadline, also where grace is given.

    grace_minutes: after the deadline, still in time. days_if_only_marked: so many days late is a notebook that the
    platform marks late without saying how late.
    """

    deadlines: Mapping[str, datetime] = field(default_factory=dict)
    percent_per_day: int = 0
    cap: int = 100
    grace_minutes: int = 0
    days_if_only_marked: int = 1

    def deduction(self, chapter: str, when: datetime | None, marked: bool = False) -> Deduction:
        """For a notebook handed in at `when` (None: nobody knows), marked late by the platform or not."""
        deadline = self.deadlines.get(chapter)
        if deadline is None or when is None:
            if not marked:
                return Deduction()
            return self._of(self.days_if_only_marked, "The platform marks this notebook late and gives no time")
        over = when - deadline
        if over <= timedelta(minutes=self.grace_minutes):
            return Deduction()
        days = -(-over // DAY)  # rounded up
        return self._of(days, f"Handed in {_spoken(over)} after the deadline, {deadline:%Y-%m-%d %H:%M %Z}")

    def _of(self, days: int, why: str) -> Deduction:
        percent = min(self.cap, self.percent_per_day * days)
        counted = f"{why}: counted as {days} {'day' if days == 1 else 'days'} late"
        return Deduction(percent, f"{counted}, {percent} % less." if percent else f"{counted}, which costs nothing.")


def zone(name: str) -> ZoneInfo:
    """A time zone by its name; ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"[deadlines] timezone = {name!r} is no time zone; 'Europe/Berlin' or 'UTC' work") from None


def moment(key: str, value: Any, timezone: ZoneInfo) -> datetime:
    """A TOML date or time as a moment: without an offset it is in `timezone`; a day alone is the end of that day."""
    if type(value) is date:
        value = datetime.combine(value, time(23, 59, 59))
    if not isinstance(value, datetime):
        raise ValueError(f"{key} = {value!r} must be a time without quotes, such as 2026-11-25 23:59:00, or a day")
    return value if value.tzinfo else value.replace(tzinfo=timezone)


def _spoken(span: timedelta) -> str:
    """A span in its largest two units: "1 day 3 hours", "5 minutes"."""
    minutes = int(span.total_seconds() // 60)
    units = ((minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute"))
    said = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in units if count][:2]
    return " ".join(said) or "less than a minute"
