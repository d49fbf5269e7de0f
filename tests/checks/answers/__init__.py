"""Answers that nobody should get points for, and right ones written in other ways, by chapter.

A chapter's file, chNN.py, holds three tables by the exercise's name:

LAZY    {what it leaves out: answer}: passes some test by luck, without the work. Each must fail.
RIGHT   {how it is written: answer}: at least three for each exercise. Each must pass.
ORACLES the unsharded computation: oracle(case) -> {aspect: value}, which the reference's observation must equal;
        {"error": "ValueError"} where it must refuse.

An answer that hangs, or fails on some ranks only, is wrapped in `Alone(answer)`.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Alone:
    """An answer that needs a run of its own."""

    answer: Callable[..., Any]


def tables(kind: str) -> dict[str, dict[str, Any]]:
    """One table of all chapters, by the exercise's name."""
    found: dict[str, dict[str, Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{module.name}"), kind)
    return found
