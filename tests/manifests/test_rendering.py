"""What is written reads the same everywhere: consumers.md GW15, faults.md F7."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from core import assembly, digest, items
from manifests import rendering, yaml_text


def _ruamel(version: str) -> Callable[[str], Any]:
    def load(text: str) -> Any:
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        return reader.load(text)

    return load


def _ours(text: str) -> Any:
    parsed = yaml_text.parse(text.encode())
    assert not parsed.problems
    return parsed.value


READERS: dict[str, Callable[[str], Any]] = {
    "PyYAML": lambda text: yaml.load(text, Loader=yaml.SafeLoader),
    "PyYAML with libyaml": lambda text: yaml.load(text, Loader=yaml.CSafeLoader),
    "ruamel 1.1": _ruamel("1.1"),
    "ruamel 1.2": _ruamel("1.2"),
    "ours": _ours,
}

TRAPS = [
    "", " ", "~", "null", "true", "no", "off", "y", "N", "on", "yes", "=", "<<", "-", "?", ":", "- a", "a: b", "a #b", "#", "&a", "*a", "!t",
    "|", ">", "%", "@", "`", "{}", "[]", "{", "]", ",", "'", '"', "\\", "---", "...", "--- a", "0", "010", "0o7", "0x1f", "1e3", "1.5", ".5",
    "-.5", ".inf", ".nan", "1_000", "12:30:45", "1:30", "2026-02-20", "2026-02-20T07:04:04Z", "a\nb", "a\n", "\n", "\na", "a\r\nb", "\t", "a\tb",
    " a", "a ", "\0", "\x07", "\x1b", "\x7f", "\x80", "\x85", "\x9f", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffd", "\ufffe", "\uffff",
    "\U0001f600", "\U0010ffff", "é", "${NAME}", "a" * 127, "a" * 128, "a" * 129, "b" * 1100, "x y " * 400, "é" * 700, "\n" * 130, "? " * 70,
]  # fmt: skip

text = st.sampled_from(TRAPS) | st.text(max_size=12) | st.text(alphabet="yYnNoO0189.:-_ #\n\t'\"e\\", max_size=6)
scalar = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**20), max_value=10**20)
    | st.floats(allow_nan=True, allow_infinity=True)
    | text
)
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=12
)


def _canonical(read: Any) -> str:
    return json.dumps(read, sort_keys=True)


@given(st.dictionaries(text, value, max_size=4))
@settings(max_examples=120, deadline=None)
def test_gw15_mappings_read_back_equal_with_every_reader(values: dict[str, digest.Value]) -> None:
    parts = [
        items.Item(items.ItemKey(items.Kind.FUNCTION, key), "", part)
        for key, part in zip(values, rendering.render_mapping(values), strict=True)
    ]
    written = assembly.assemble(parts)[items.Document.FUNCTIONS].decode()
    for name, read in READERS.items():
        assert _canonical(read(written)) == _canonical({"functions": values}), name


@given(st.lists(value, max_size=4))
@settings(max_examples=120, deadline=None)
def test_gw15_lists_read_back_equal_with_every_reader(values: list[digest.Value]) -> None:
    parts = [
        items.Item(items.ItemKey(items.Kind.TABLE, str(index)), "", part)
        for index, part in enumerate(rendering.render_sequence(values))
    ]
    written = assembly.assemble(parts)[items.Document.RESOURCES].decode()
    expected = {"resources": {"dynamodb": values} if values else {}}
    for name, read in READERS.items():
        assert _canonical(read(written)) == _canonical(expected), name


@pytest.mark.parametrize("name", READERS)
def test_gw15_every_trap_as_key_item_and_value(name: str) -> None:
    values: dict[str, digest.Value] = {trap: {trap: [trap, [trap], {trap: trap}]} for trap in TRAPS}
    assert READERS[name]("".join(rendering.render_mapping(values))) == values
    assert READERS[name]("".join(rendering.render_sequence(list(values.values())))) == list(values.values())


@given(st.dictionaries(text, value, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_f7_each_text_is_its_own_item_and_rendering_is_stable(values: dict[str, digest.Value]) -> None:
    for (key, item), part in zip(values.items(), rendering.render_mapping(values), strict=True):
        assert part.endswith("\n")
        assert _canonical(_ours(part)) == _canonical({key: item})
        assert rendering.render_mapping(_ours(part)) == [part]


def test_layout() -> None:
    values: dict[str, digest.Value] = {
        "fn": {"image": "registry:5010/app:v1", "timeout": 30, "tags": ["a", {"b": None, "c": []}], "environment": {}},
        "type": "N",
    }
    assert rendering.render_mapping(values) == [
        'fn:\n  image: "registry:5010/app:v1"\n  timeout: 30\n  tags:\n  - a\n  - b: null\n    c: []\n  environment: {}\n',
        'type: "N"\n',
    ]
    assert rendering.render_sequence([{"path": "/x", "method": "GET"}, 1, [2, [3]]]) == [
        "- path: /x\n  method: GET\n",
        "- 1\n",
        "- - 2\n  - - 3\n",
    ]


def test_nothing_renders_to_nothing() -> None:
    assert rendering.render_mapping({}) == []
    assert rendering.render_sequence([]) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1e300, "1.0e+300"), (1e16, "1.0e+16"), (1.5e-7, "1.5e-07"), (1e-7, "1.0e-07"), (-1e22, "-1.0e+22"),
        (0.1, "0.1"), (3.0, "3.0"), (-0.0, "-0.0"), (math.inf, ".inf"), (-math.inf, "-.inf"), (math.nan, ".nan"),
    ],
)  # fmt: skip
def test_gw15_floats_are_floats_in_both_dialects(number: float, expected: str) -> None:
    assert rendering.render_sequence([number]) == [f"- {expected}\n"]


def test_rendering_is_refused_when_it_does_not_read_back() -> None:
    with pytest.raises(rendering.RenderingError):
        rendering.verify({"a": 1}, "a: 1.0\n")
    with pytest.raises(rendering.RenderingError):
        rendering.verify({"a": "no"}, "a: no\n")
    with pytest.raises(rendering.RenderingError):
        rendering.verify({"a": 1, "b": 2}, "b: 2\na: 1\n")
    rendering.verify({"a": math.nan}, "a: .nan\n")


def test_f2_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(rendering.RenderingError):
        rendering.render_mapping({"a": 10**80})
