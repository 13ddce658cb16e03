"""How plain scalars are read: faults.md F3 and consumers.md GW15, with PyYAML itself as the witness for YAML 1.1."""

import datetime
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import scalars

BROKEN = object()

AGREED = [
    ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
    ("0", 0), ("-0", 0), ("+1", 1), ("12", 12), ("-12", -12), ("00", 0), ("07", 7), ("-007", -7), ("0x1F", 31),
    ("1.0", 1.0), ("1.", 1.0), (".5", 0.5), ("-1.5", -1.5), ("1.5e+3", 1500.0), ("1.0E-2", 0.01),
    (".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf),
    ("y", "y"), ("n", "n"), ("Y", "Y"), ("N", "N"), ("S", "S"), ("yEs", "yEs"), ("nULL", "nULL"), ("tRue", "tRue"),
    (".", "."), ("-", "-"), ("+", "+"), ("..", ".."), ("1.2.3", "1.2.3"), ("e3", "e3"), ("0x", "0x"), ("0xg", "0xg"),
    ("1:60", "1:60"), ("-.nan", "-.nan"), ("a b", "a b"), ("v1", "v1"), ("1a", "1a"), ("127.0.0.1:5010", "127.0.0.1:5010"),
    ("<", "<"), ("==", "=="), ("_1", "_1"), ("٣", "٣"),
]  # fmt: skip

DISPUTED = [
    "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "=", "<<",
    "010", "-010", "+0017", "08", "09", "0o10", "0o7", "1_000", "0_7", "0b1", "-0b10", "0x_", "0b_", "-0x1f", "+0x1f", "0x1_f",
    "12:30:45", "1:30", "-1:30", "1:30.5", "190:20:30.15",
    "1e3", "1E3", "1e+3", "1.5e3", "1.e3", "-.5", "+.5", ".5e1", ".1_0", "1_0.5", "1._",
]  # fmt: skip

TIMESTAMPS = [
    "2026-02-20", "2026-2-3 4:05:06", "2026-02-20T07:04:04Z", "2026-02-20 07:04:04.5 +09:00", "2026-02-30", "0000-00-00",
]  # fmt: skip


def _read_by_pyyaml(text: str) -> Any:
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # the stubs lack it
    try:
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.constructor.ConstructorError):
        return BROKEN


def _same(one: Any, two: Any) -> bool:
    return type(one) is type(two) and repr(one) == repr(two)


@pytest.mark.parametrize(("text", "value"), AGREED)
def test_f3_values_on_which_the_dialects_agree(text: str, value: scalars.Scalar) -> None:
    assert _same(scalars.resolve(text), value)
    assert _same(_read_by_pyyaml(text), value)


def test_f3_not_a_number_is_one() -> None:
    for text in (".nan", ".NaN", ".NAN"):
        value = scalars.resolve(text)
        assert isinstance(value, float)
        assert math.isnan(value)


@pytest.mark.parametrize("text", DISPUTED)
def test_f3_values_on_which_the_dialects_differ(text: str) -> None:
    assert scalars.resolve(text) is scalars.Unclear.DISAGREEMENT


@pytest.mark.parametrize("text", TIMESTAMPS)
def test_f3_a_timestamp_stays_text(text: str) -> None:
    """The documented coercion; also of a date that does not exist, which PyYAML refuses."""
    assert scalars.resolve(text) == text
    assert not isinstance(_read_by_pyyaml(text), str)


@pytest.mark.parametrize(
    "text", ["9" * 65, "0x" + "f" * 63, "0b" + "1" * 70, "1" + ":1" * 40, "1." + "0" * 70, "1e" + "9" * 70]
)
def test_f2_numbers_have_an_end(text: str) -> None:
    assert scalars.resolve(text) is scalars.Unclear.TOO_LONG


def test_f2_long_text_is_not_a_long_number() -> None:
    assert scalars.resolve("9" * 64) == int("9" * 64)
    assert scalars.resolve("9" * 65 + "x") == "9" * 65 + "x"
    assert scalars.resolve("a" * 100_000) == "a" * 100_000


number_like = st.text(alphabet="+-.:_0123456789eExobaAfFInN", max_size=12) | st.from_regex(
    r"\A[-+]?(0[xob]?)?[0-9_]{0,4}([.:][0-9_]{0,3}){0,2}([eE][-+]?[0-9]{1,2})?\Z"
)


@given(number_like)
def test_gw15_what_is_resolved_is_what_pyyaml_reads(text: str) -> None:
    value = scalars.resolve(text)
    read = _read_by_pyyaml(text)
    if isinstance(value, scalars.Unclear):
        return
    assert _same(value, read) or (value == text and (isinstance(read, datetime.date) or read is BROKEN)), (value, read)


@given(number_like)
def test_f3_a_dispute_is_never_called_off_by_accident(text: str) -> None:
    """What PyYAML does not read as text is either the same value here, a timestamp, or disputed: never other text."""
    read = _read_by_pyyaml(text)
    value = scalars.resolve(text)
    if isinstance(read, str | datetime.date) or read is BROKEN:
        return
    assert value is scalars.Unclear.DISAGREEMENT or _same(value, read)


@given(st.text(alphabet="abcnoyesNOtrufalsTRUEl._/-0159: #,[]{}\n\t'\"\u00e9\u2028", max_size=8))
def test_gw15_plain_safe_text_is_text_to_pyyaml_and_in_any_place(text: str) -> None:
    if scalars.is_plain_safe(text):
        assert scalars.resolve(text) == text
        assert _read_by_pyyaml(text) == text
        assert yaml.safe_load(f"{{{text}: [{text}, {text}]}}\n") == {text: [text, text]}


@pytest.mark.parametrize("text", ["image", "fn-1", "us_east", "a/b.c", "/path", "table-0", "latest", "e1", "_"])
def test_common_text_needs_no_quotes(text: str) -> None:
    assert scalars.is_plain_safe(text)


@pytest.mark.parametrize(
    "text",
    ["", "y", "N", "no", "null", "1", "1.0", "-a", ".a", "a b", "a:", "a: b", "a #b", "a\n", "é", "<<", "=", "~"],
)
def test_gw15_doubtful_text_is_quoted(text: str) -> None:
    assert not scalars.is_plain_safe(text)
