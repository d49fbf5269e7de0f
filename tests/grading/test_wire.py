"""Frames: what is said arrives as it was, and whatever bytes come, there is a value or one WireError."""

import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tplearn.checks.compare import Failure as CheckFailure
from tplearn.checks.compare import Opaque as CheckOpaque
from tplearn.checks.compare import first_difference
from tplearn.jailed import forms
from tplearn.jailed.forms import (
    DEPTH,
    DTYPES,
    FRAME,
    HEAD,
    LENGTH,
    NODES,
    WHOLE,
    Failure,
    Made,
    Named,
    Opaque,
    WireError,
)
from tplearn.jailed.parse import decode
from tplearn.jailed.wire import Inbox, encode


def tensors() -> st.SearchStrategy[torch.Tensor]:
    """Every dtype, 0 to 3 dimensions of 0 to 3, fresh numbers; also views that are not contiguous."""

    def made(dtype: torch.dtype, shape: list[int], seed: int, turned: bool) -> torch.Tensor:
        numbers = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 50
        tensor = (numbers > 0) if dtype == torch.bool else numbers.abs().to(dtype)
        return tensor.movedim(0, -1) if turned and tensor.dim() else tensor

    shapes = st.lists(st.integers(0, 3), max_size=3)
    return st.builds(made, st.sampled_from(list(DTYPES.values())), shapes, st.integers(0, 2**31), st.booleans())


def nested(leaves: st.SearchStrategy) -> st.SearchStrategy:
    keys = st.text(max_size=5) | st.integers(-99, 99)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    )


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
words = st.none() | st.booleans() | st.integers(1 - WHOLE, WHOLE - 1) | st.floats() | text
observed = st.builds(Opaque, text) | st.builds(Failure, text, text, text)


def same(got: object, want: object) -> bool:
    """Equal in type, in every number and in NaNs."""
    if isinstance(want, torch.Tensor):
        return got.dtype == want.dtype and got.shape == want.shape and torch.equal(got, want)
    if isinstance(want, list | tuple):
        return type(got) is type(want) and len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, dict):
        return list(got) == list(want) and all(same(got[key], want[key]) for key in want)
    return type(got) is type(want) and (got == want or (want != want and got != got))


@given(nested(tensors() | words | observed))
def test_what_is_said_arrives_as_it_was(value: object) -> None:
    frame = encode(value)
    assert same(decode(frame[LENGTH.size :]), value)
    inbox = Inbox()
    for k in range(len(frame)):
        assert inbox.take() is None
        inbox.feed(frame[k : k + 1])
    (got,) = inbox.take()
    assert same(got, value)
    assert inbox.take() is None


def test_nan_infinity_and_signed_zero_keep_their_bits() -> None:
    numbers = [math.nan, math.inf, -math.inf, -0.0]
    got, tensor = decode(encode([numbers, torch.tensor(numbers)])[LENGTH.size :])
    assert list(map(repr, got)) == list(map(repr, numbers))
    assert torch.equal(tensor.view(torch.int32), torch.tensor(numbers).view(torch.int32))


def test_views_of_any_kind_send_their_own_numbers() -> None:
    base = torch.complex(torch.arange(6.0), torch.ones(6)).view(2, 3)
    for view in (base.T, base.conj(), base.real, base.imag, base.conj().imag, base[:, 1], torch.ones(1).expand(4, 2)):
        (got,) = decode(encode([view])[LENGTH.size :])
        assert torch.equal(got, view.resolve_neg())
    leaf = torch.nn.Parameter(torch.ones(2))
    assert first_difference(decode(encode(leaf * 2)[LENGTH.size :]), torch.full((2,), 2.0)) is None


def test_what_has_no_form_is_told_by_its_type() -> None:
    class Sly(torch.Tensor):
        pass

    odd = [object(), Sly(), torch.ones(2).to_sparse(), torch.ones(2, device="meta"), b"raw", {(1, 2): 3}, 1j, 10**400]
    got = decode(encode(odd[:3] + odd[4:])[LENGTH.size :])
    assert [value.type_name.rsplit(".", 1)[-1] for value in got] == [
        "object",
        "Sly",
        "Tensor",
        "bytes",
        "dict",
        "complex",
        "int",
    ]
    assert isinstance(decode(encode(odd[3])[LENGTH.size :]), Opaque)
    assert decode(encode(CheckOpaque("module"))[LENGTH.size :]) == Opaque("module")
    said = decode(encode(CheckFailure("ValueError", "no", "line 3"))[LENGTH.size :])
    assert said == Failure("ValueError", "no", "line 3")
    assert decode(encode("half \ud800")[LENGTH.size :]) == "half ?"


def test_only_a_rank_takes_what_it_must_make() -> None:
    for value in (Named("os:system"), Made("os:stat_result", {"a": [Named("os:getcwd")]})):
        body = encode([value])[LENGTH.size :]
        assert decode(body, making=True) == [value]
        with pytest.raises(WireError):
            decode(body)


def frame_of(head: object, buffers: bytes = b"") -> bytes:
    said = head if isinstance(head, bytes) else json.dumps(head).encode()
    return LENGTH.pack(len(said)) + said + buffers


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_wire_error(body: bytes) -> None:
    value_or_error(body)


json_values = st.recursive(
    words | st.sampled_from(["float64", "bool", "t", "bfloat16"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["t", "s", "n", "d", "u", "opaque", "failure", "made", "named", "x"]), inner)
    ),
    max_leaves=12,
)
odd_tensors = st.fixed_dictionaries(
    {
        "t": st.sampled_from([*DTYPES, "object", "float8_e5m2"]) | words,
        "s": st.lists(st.integers(-2, 4) | st.sampled_from([2**31, 2**63, 2**64]), max_size=4) | words,
        "n": st.integers(-9, 300) | words,
    }
)


@given(st.lists(json_values | odd_tensors, max_size=4), st.binary(max_size=200))
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_any_head_and_any_buffers_give_a_value_or_a_wire_error(head: list, buffers: bytes) -> None:
    value_or_error(frame_of(head, buffers))


@given(
    nested(tensors() | words | observed), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_frame_gives_a_value_or_a_wire_error(value: object, changes: list[tuple[int, int]]) -> None:
    body = bytearray(encode(value)[LENGTH.size :])
    for place, byte in changes:
        body[place % len(body)] = byte
    value_or_error(bytes(body))
    value_or_error(bytes(body[: len(body) // 2]))


def value_or_error(body: bytes) -> None:
    """What comes out is within the caps, and can be said again."""
    for making in (False, True):
        try:
            value = decode(body, making)
        except WireError:
            continue
        assert len(encode(value)) <= FRAME + LENGTH.size


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(LENGTH.pack(2**32 - 1) + b"[]", id="a head longer than its frame"),
        pytest.param(LENGTH.pack(HEAD + 1) + b" " * (HEAD + 1), id="a head over its cap"),
        pytest.param(frame_of(b"[" * 100_000), id="a head that nests without end"),
        pytest.param(frame_of(b"[" * (DEPTH + 2) + b"]" * (DEPTH + 2)), id="a head that nests too deep"),
        pytest.param(frame_of([0] * (NODES + 1)), id="too many parts"),
        pytest.param(frame_of(b"1" * 5000), id="a number of 5,000 digits"),
        pytest.param(frame_of([WHOLE]), id="a number of 65 bits"),
        pytest.param(frame_of(b'"\\ud800"'), id="half a character"),
        pytest.param(frame_of(b'"\xff"'), id="no UTF-8"),
        pytest.param(frame_of({"t": "float64", "s": [2], "n": 16}), id="a tensor without its bytes"),
        pytest.param(frame_of({"t": "float64", "s": [2], "n": 8}, b"0" * 8), id="a tensor with too few bytes"),
        pytest.param(frame_of({"t": "float64", "s": [], "n": 8}, b"0" * 9), id="bytes that are left"),
        pytest.param(frame_of({"t": "int8", "s": [-1, -1], "n": 1}, b"0"), id="negative sizes"),
        pytest.param(frame_of({"t": "int8", "s": [True], "n": 1}, b"0"), id="a size that is a bool"),
        pytest.param(frame_of({"t": "int8", "s": [0, 2**40, 2**40], "n": 0}), id="strides beyond 64 bits"),
        pytest.param(frame_of({"t": "int8", "s": [1] * 99, "n": 1}, b"0"), id="too many dimensions"),
        pytest.param(frame_of({"t": ["int8"], "s": [1], "n": 1}, b"0"), id="a dtype that is a list"),
        pytest.param(frame_of({"d": [[[1], 2]]}), id="a key that is a list"),
        pytest.param(frame_of({"d": [[1, 2, 3]]}), id="an entry of three"),
        pytest.param(frame_of({"opaque": 3}), id="an opaque number"),
        pytest.param(frame_of({"failure": ["a", "b"]}), id="half a failure"),
        pytest.param(frame_of({"t": "int8"}), id="half a tensor"),
        pytest.param(frame_of({}), id="an empty object"),
    ],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        decode(body)


def test_caps_hold_on_the_way_out_and_on_the_way_in() -> None:
    with pytest.raises(WireError, match="fit"):
        encode(torch.zeros(FRAME, dtype=torch.uint8))
    with pytest.raises(WireError, match="fit"):
        encode("x" * (HEAD + 1))
    deep: list = []
    for _ in range(DEPTH + 1):
        deep = [deep]
    with pytest.raises(WireError, match="nested"):
        encode(deep)
    inbox = Inbox()
    with pytest.raises(WireError, match="frame"):
        inbox.feed(LENGTH.pack(FRAME + 1))


def test_a_bool_is_true_or_false_whatever_its_byte() -> None:
    got = decode(frame_of({"t": "bool", "s": [3], "n": 3}, bytes([0, 1, 7])))
    assert got.tolist() == [False, True, True]
    assert got.view(torch.uint8).tolist() == [0, 1, 1]


def test_the_table_of_numbers_has_no_other_names() -> None:
    assert all(str(dtype) == f"torch.{name}" for name, dtype in forms.DTYPES.items())
