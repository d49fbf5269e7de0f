"""Between the words of tplearn.checks and those that go over the wire to a rank and back."""

import re
from dataclasses import replace
from types import FunctionType
from typing import Any

from torch import Tensor

from tplearn.checks.compare import Failure, Opaque
from tplearn.jailed import forms

PLACE = re.compile(r"\s+(at )?cell \[?\d+\]? line \d+.*")


def placeless(failure: Failure) -> Failure:
    """Two answers fail alike, wherever in their cells; the places stay in the detail."""
    return replace(failure, text=PLACE.sub("", failure.text))


def heard(value: Any) -> Any:
    """What came over the wire, in the words of tplearn.checks."""
    if isinstance(value, forms.Opaque):
        return Opaque(value.type_name)
    if isinstance(value, forms.Failure):
        return Failure(value.kind, value.text, value.detail)
    if isinstance(value, list | tuple):
        return type(value)(map(heard, value))
    if isinstance(value, dict):
        return {key: heard(each) for key, each in value.items()}
    return value


def said(value: Any) -> Any:
    """An argument or an observer, so that a rank can have it: functions and classes by name, objects by their state."""
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    if isinstance(value, list | tuple):
        return type(value)(map(said, value))
    if isinstance(value, dict):
        return {key: said(each) for key, each in value.items()}
    if isinstance(value, FunctionType | type):
        return forms.Named(f"{value.__module__}:{value.__qualname__}")
    return forms.Made(f"{type(value).__module__}:{type(value).__qualname__}", said(value.__reduce_ex__(2)[2] or {}))
