"""The result as JSON and back. Keys come in a fixed order, what is not graded first, students sorted."""

import json
from dataclasses import asdict, fields
from typing import Any, TypeVar, get_args, get_type_hints

from tplearn.grading.results import Mark, Report, Sheet, Student

SCHEMA = "tplearn/result/v1"
PARTS = {Report: ("students", Student), Student: ("sheets", Sheet), Sheet: ("marks", Mark)}
Kind = TypeVar("Kind")


def as_json(report: Report) -> str:
    """The report's JSON text: the same report gives the same bytes. Points are in it twice: they are sums of marks."""
    failed = [{"student": one.student, "exercise": mark.name, "reason": mark.reason} for one, mark in report.not_graded]
    head = {"boundary": report.boundary, "schema": SCHEMA, "not_graded": failed}
    return json.dumps(head | _with_points(report), indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Report:
    """The report that such a text holds.

    Raises:
        ValueError: it is no JSON, of another schema, or a key is missing or holds something else than it must.
    """
    read = json.loads(text)
    schema = read.get("schema") if isinstance(read, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"schema = {schema!r} is not read here; {SCHEMA!r} is")
    return _made(Report, read, "report")


def _with_points(part: Any) -> dict[str, Any]:
    """A part as a dict; where points were added up, with the sums."""
    name, _ = PARTS.get(type(part), ("", None))
    if not name:
        return asdict(part) | {"earned": part.earned}
    sums = {} if isinstance(part, Report) else {"earned": part.earned, "possible": part.possible}
    kept = {each.name: getattr(part, each.name) for each in fields(part) if each.name != name}
    return kept | sums | {name: [_with_points(one) for one in getattr(part, name)]}


def _made(kind: type[Kind], read: Any, where: str) -> Kind:
    """One dataclass from its dict; sums are not read."""
    if not isinstance(read, dict):
        raise ValueError(f"{where} = {read!r:.80} must be an object")
    inside, below = PARTS.get(kind, ("", None))
    values = {}
    for name, hint in get_type_hints(kind).items():
        if name not in read:
            raise ValueError(f"{where} has no {name!r}; it has: {', '.join(read) or 'nothing'}")
        value, place = read[name], f"{where}.{name}"
        if not get_args(hint):
            if type(value) is not hint:
                raise ValueError(f"{place} = {value!r:.80} must be of type {hint.__name__}")
        elif not isinstance(value, list) or name != inside and not all(isinstance(one, str) for one in value):
            raise ValueError(f"{place} = {value!r:.80} must be a list{'' if name == inside else ' of texts'}")
        elif name == inside:
            value = tuple(_made(below, one, f"{place}[{index}]") for index, one in enumerate(value))
        values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
