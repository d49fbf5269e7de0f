"""Values of fixtures that are wider than one test: set up once in pytest's own process, and sent to the ranks.

A fixture that gives None is there for what it does to a process (a default dtype, an attribute of the class, as
setup_class): so each rank sets it up too. Fixtures of function scope are set up in each rank, and only there.
"""

import io
import pickle
from dataclasses import dataclass

import pytest

Place = tuple[str, int]  # a fixture's name, and its position among those of that name that the test can see


@dataclass(frozen=True)
class Packed:
    """A fixture's value on its way. data: None where `refusal` says why it cannot travel."""

    data: bytes | None
    refusal: str = ""


def scope_of(item: pytest.Function, fixture: pytest.FixtureDef) -> str:
    """Its scope for this test; a parametrization may have changed it."""
    changed = getattr(getattr(item, "callspec", None), "_arg2scope", {}).get(fixture.argname)
    return changed.value if changed is not None else fixture.scope


def is_pytests_own(fixture: pytest.FixtureDef) -> bool:
    """Whether pytest itself makes it (tmp_path_factory, a test's own parameters): every process has it already."""
    return fixture.func.__module__.startswith("_pytest.")


def place_of(item: pytest.Function, fixture: pytest.FixtureDef) -> Place | None:
    """Where the test's own list of its fixtures has it; None where only `request.getfixturevalue` asks for it."""
    known = item._fixtureinfo.name2fixturedefs.get(fixture.argname, ())
    return (fixture.argname, known.index(fixture)) if fixture in known else None


def pack(item: pytest.Function) -> dict[Place, Packed]:
    """What the item's wider fixtures have given, as far as they are set up."""
    packed = {}
    for name, fixtures in item._fixtureinfo.name2fixturedefs.items():
        for position, fixture in enumerate(fixtures):
            if scope_of(item, fixture) == "function" or is_pytests_own(fixture) or fixture.cached_result is None:
                continue
            value, _, error = fixture.cached_result
            if error is None and value is not None:
                packed[name, position] = _packed(fixture, value)
    return packed


def _packed(fixture: pytest.FixtureDef, value: object) -> Packed:
    from tplearn.ranks.values import Pickler  # torch, which a run without ranks does not load

    stream = io.BytesIO()
    try:
        Pickler(stream, protocol=5).dump(value)
    except Exception as error:
        return Packed(None, _refusal(fixture, value, error))
    return Packed(stream.getvalue())


def _refusal(fixture: pytest.FixtureDef, value: object, error: Exception) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return (
        f"the fixture {fixture.argname} has {fixture.scope} scope, so it is set up once, in pytest's own process, and "
        f"its value, of type {kind}, cannot travel to the ranks ({error}); give it function scope, and each rank sets "
        "it up itself"
    )


def unpack(item: pytest.Function, fixture: pytest.FixtureDef, packed: dict[Place, Packed]) -> object:
    """The value on a rank; None: set it up here. Fails the test where it could not travel, or was not sent for."""
    place = place_of(item, fixture)
    if place is None:
        pytest.fail(
            f"the fixture {fixture.argname} has {fixture.scope} scope, and a rank asks for it by "
            "request.getfixturevalue, when pytest's own process can no longer set it up; name it among the test's "
            f"arguments, or in @pytest.mark.usefixtures({fixture.argname!r})",
            pytrace=False,
        )
    sent = packed.get(place)
    if sent is None:
        return None
    if sent.data is None:
        pytest.fail(sent.refusal, pytrace=False)
    return pickle.loads(sent.data)
