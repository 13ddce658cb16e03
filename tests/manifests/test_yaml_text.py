"""Reading: values, positions, and every refusal with its place (contract.md, Document validity; faults.md F1-F3)."""

import importlib
import importlib.machinery
import subprocess
import sys
import types
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core import problems
from manifests import yaml_builder, yaml_text


def _read(text: str) -> Any:
    parsed = yaml_text.parse(text.encode())
    assert parsed.problems == ()
    return parsed.value


def _found(text: str | bytes, **options: Any) -> list[tuple[int, int, str]]:
    """Line, column and key of each problem."""
    content = text if isinstance(text, bytes) else text.encode()
    return [(found.line, found.column, found.key) for found in yaml_text.parse(content, **options).problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("# only a comment\n", None), ("---\n", None), ("--- # c\n...\n# c\n", None), ("{}", {}), ("[]", []), ("a", "a"),
        ("a: 1\nb: [x, 'y', \"z\\n\", 1.5, true, ~]\n", {"a": 1, "b": ["x", "y", "z\n", 1.5, True, None]}),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", {"a": "x\ny\n", "b": "x y"}),
        ("'no': \"yes\"\n'1': '010'\n", {"no": "yes", "1": "010"}),
        ("t: N\nn: y\nd: 2026-02-20\n", {"t": "N", "n": "y", "d": "2026-02-20"}),
        ("\ufeffa: b\n", {"a": "b"}), ("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}), ("? a\n: b\n", {"a": "b"}),
        ("%YAML 1.1\n---\na: b\n", {"a": "b"}), ("# c\n%YAML 1.2 # c\n---\na: b\n", {"a": "b"}),
        ("a: !!str 010\nb: !!int 3\nc: !!map {d: !!seq [!!null ~]}\ne: !!str\n", {"a": "010", "b": 3, "c": {"d": [None]}, "e": ""}),
        ("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n", {"a": {"k": 1}, "b": {"k": 1}, "c": [{"k": 1}, {"k": 1}]}),
        ("&k a: b\nc: {*k : d}\n", {"a": "b", "c": {"a": "d"}}),
        ("'<<': {a: 1}\n", {"<<": {"a": 1}}),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    parsed = yaml_text.parse(text.encode())
    assert (parsed.value, parsed.problems) == (value, ())


@pytest.mark.parametrize(
    "text",
    [
        "base: &b {x: 1, y: 1}\nf: {<<: *b, y: 2}\n",
        "base: &b {x: 1, y: 1}\nf: {y: 2, <<: *b}\n",
        "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nf: {<<: [*a, *b], z: 3}\n",
        "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nf: {<<: *b}\n",
        "f: {<<: {x: 1}, y: 2}\n",
        "f: {<<: [], y: 2}\n",
    ],
)
def test_merge_keys_are_those_of_yaml_1_1(text: str) -> None:
    value = _read(text)
    assert value == yaml.safe_load(text)
    assert list(value["f"]) == list(yaml.safe_load(text)["f"])


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(TREES, st.sampled_from([None, False, True]), st.sampled_from([None, "'", '"', "|", ">"]))
@settings(max_examples=150, deadline=None)
def test_f7_reads_what_another_writer_wrote(tree: Any, flow: bool | None, quotes: str | None) -> None:
    """Aliases included: PyYAML writes one wherever the same list comes twice."""
    document = {"a": tree, "b": [tree, tree]}
    written = yaml.safe_dump(document, default_flow_style=flow, default_style=quotes, allow_unicode=False)
    parsed = yaml_text.parse(written.encode())
    if not parsed.problems:
        assert parsed.value == document
    else:  # a writer of YAML 1.1 leaves the numbers of 1.2 bare: 08, 1e3; and explicit tags on quoted numbers
        assert {found.message for found in parsed.problems} <= {
            "a YAML 1.1 reader and a YAML 1.2 reader read this unquoted value differently: quote it",
            "a tag that changes the type of this value: write the value without it",
        }


def test_positions_are_those_of_keys_and_items() -> None:
    text = "# c\nfunctions:\n  a:\n    image: x\n  b: {image: y}\nroutes:\n- path: /\n- path: /x\n"
    assert yaml_text.parse(text.encode()).positions == {
        (): (2, 1),
        ("functions",): (2, 1),
        ("functions", "a"): (3, 3),
        ("functions", "b"): (5, 3),
        ("routes",): (6, 1),
        ("routes", 0): (7, 3),
        ("routes", 1): (8, 3),
    }
    every = yaml_text.parse(text.encode(), positions_depth=None).positions
    assert every["functions", "b", "image"] == (5, 7)
    assert every["routes", 1, "path"] == (8, 3)
    assert list(yaml_text.parse(text.encode(), positions_depth=0).positions) == [()]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # duplicate keys, also below one another, also beside a merge
        ("a: 1\nb: 2\na: 3\n", [(3, 1, "a")]),
        ("a: 1\na: {b: 1, b: 2}\na: 3\n", [(2, 1, "a"), (2, 11, "a.b"), (3, 1, "a")]),
        ("f: {<<: {a: 1}, <<: {b: 1}}\n", [(1, 17, "f.<<")]),
        ("a: 1\n'a': 2\n", [(2, 1, "a")]),
        ("&k a: b\nc: *k\n*k : d\n", [(3, 1, "a")]),
        # values that the dialects read differently
        ("a: no\nb: [010, 1e3]\nc:\n  d: 12:30:45\n", [(1, 4, "a"), (2, 5, "b[0]"), (2, 10, "b[1]"), (4, 6, "c.d")]),
        ("a: <<\nb: =\n", [(1, 4, "a"), (2, 4, "b")]),
        # keys
        ("on: 1\n", [(1, 1, "on")]),
        ("f:\n  1: a\n  null: b\n  true: c\n  1.5: d\n", [(2, 3, "f.1"), (3, 3, "f.null"), (4, 3, "f.true"), (5, 3, "f.1.5")]),
        ("? [a]\n: no\n? {a: b}\n: 1\n", [(1, 3, ""), (2, 3, "?"), (3, 3, "")]),
        (": a\n", [(1, 1, "")]),
        # tags
        ("a: !x 1\nb: !!python/name:os.system x\nc: !!binary aGk=\n", [(1, 4, "a"), (2, 4, "b"), (3, 4, "c")]),
        ("a: ! 1\nb: !!int '1'\nc: !!float 1\nd: !!set {}\ne: !!map []\n", [(n, 4, k) for n, k in enumerate("abcde", 1)]),
        ("a: !!timestamp 2026-02-20\n", [(1, 4, "a")]),
        ("!x\na: no\n", [(1, 1, ""), (2, 4, "a")]),
        # aliases
        ("a: *x\nb: no\n", [(1, 4, "a"), (2, 4, "b")]),
        ("a: &x [1, *x]\n", [(1, 11, "a[1]")]),
        ("a: &x {b: {c: *x}}\n", [(1, 15, "a.b.c")]),
        # merge keys
        ("a: {<<: 1}\n", [(1, 9, "a.<<")]),
        ("a: {<<: [{}, x]}\n", [(1, 9, "a.<<")]),
        ("a:\n  <<: null\n", [(2, 7, "a.<<")]),
        # more than one document, and text that follows
        ("a: 1\n---\nb: 2\n", [(2, 1, "")]),
        ("a: 1\n---\n", [(2, 1, "")]),
        ("a: 1\n...\n# c\n...\nb: 2\n", [(5, 1, "")]),
        ("a: no\n...\n%YAML 1.1\n---\n", [(1, 4, "a"), (3, 1, "")]),
        ("{a: 1} b\n", [(1, 8, "")]),
        # directives
        ("# c\n%TAG !x! y\n---\na: 1\n", [(2, 1, "")]),
        ("%YAML 1.1\n%YAML 1.1\n---\na: 1\n", [(2, 1, "")]),
        ("%YAML 2.0\n---\na: 1\n", [(1, 1, "")]),
        # syntax
        ("a: [1, 2\nb: 1\n", [(2, 2, "a")]),
        ("a:\n\tb: 1\n", [(2, 1, "")]),
        ("x:\n  y:\n    a: 1\n   b: 2\n", [(4, 4, "x")]),
        ("a: no\nb: 'x\n", [(1, 4, "a"), (3, 1, "")]),
        ('a: "\\ud800"\n', [(1, 7, "")]),
        ("a: {b: x:1}\n", [(1, 9, "a")]),
        # characters
        ("a: é\nb: x\0\n", [(2, 5, "")]),
        ("a: 1\r\nb: \x1b[0m\n", [(2, 4, "")]),
        ("a: x\x7f\n", [(1, 5, "")]),
        ("a: 1\n# x\u2028y\n", [(2, 4, "")]),
        ("a: x\ufeff\n", [(1, 5, "")]),
    ],
)  # fmt: skip
def test_f1_f3_refusals_name_line_column_and_key(text: str, places: list[tuple[int, int, str]]) -> None:
    assert _found(text) == places


def test_encodings_that_are_not_utf_8() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        assert len(_found("a: b\n".encode(encoding))) == 1, encoding
    assert _found("a: b\nc: é\n".encode("latin-1")) == [(2, 4, "")]
    assert _found(b"\xef\xbb\xbfa: \xff\n") == [(1, 4, "")]
    assert _found(b"a: \xed\xa0\x80\n") == [(1, 4, "")]


def test_size_and_depth_have_their_limits() -> None:
    limits = yaml_text.Limits(max_bytes=30, max_depth=2)
    assert _found("a: " + "b" * 27, limits=limits) == []
    assert _found("a: " + "b" * 28, limits=limits) == [(0, 0, "")]
    assert _found("a: [b]\n", limits=limits) == []
    assert _found("a: [[b]]\n", limits=limits) == [(1, 5, "a[0]")]
    assert _found("x: &x [1]\na: [*x]\n", limits=limits) == [(2, 5, "a[0]")]
    assert _found("x: &x 1\na: [*x]\n", limits=limits) == []
    assert _found("x: &x aaaaaaaa\ny: [*x, *x]\n", limits=limits) == [(2, 9, "y[1]")]
    assert _found("a: 1\nb: 2\n", limits=yaml_text.Limits(max_values=5)) == []
    assert _found("a: 1\nb: 2\n", limits=yaml_text.Limits(max_values=4)) == [(2, 4, "b")]


def test_reading_goes_on_after_a_problem_and_stops_after_too_many() -> None:
    parsed = yaml_text.parse(b"a: no\nb: 1\n")
    assert parsed.value == {"a": "no", "b": 1}
    many = yaml_text.parse(b"a: 1\n" * 1000)
    assert many.value is None
    assert len(many.problems) == yaml_builder.MAX_PROBLEMS + 1
    assert "too many" in many.problems[-1].message


def test_f2_tags_of_quoted_values_are_seen() -> None:
    """`! "12"` is a number to PyYAML and text to others."""
    assert _found('a: ! "12"\n') == [(1, 4, "a")]


def test_syntax_errors_say_the_way_out_where_it_is_known() -> None:
    """The scanner takes no bare colon inside brackets, which newer readers do."""
    (found,) = yaml_text.parse(b"a: [http://x:1]\n").problems
    assert "put this text in quotes" in found.message
    (found,) = yaml_text.parse(b"a:\n\tb: 1\n").problems
    assert "use spaces" in found.message


def test_problems_carry_the_file_and_never_a_value() -> None:
    secret = "hunter2"
    texts = [
        f"a: 'x\nb: {secret}\n", f"a: !{secret} 1\n", f"a: *{secret}\n", f"a: {secret}\n\tb: {secret}\n", f"a: [{secret}\n",
        f"a: {secret}: {secret}\n", f"%{secret}\n---\n", f"{{}} {secret}", f"a: 1\n---\n{secret}\n", f"a: |x{secret}\n", f"a: \"\\{secret}\"\n",
        f"a: &{secret} [*{secret}]\n", "a: 0b1\n", f"a: @{secret}\n", f"a: !!binary {secret}\n", f"a: {{<<: {secret}}}\n",
    ]  # fmt: skip
    for text in texts:
        parsed = yaml_text.parse(text.encode(), file="in/f.yml")
        assert parsed.problems, text
        for found in parsed.problems:
            assert found.file == "in/f.yml"
            assert found.severity is problems.Severity.ERROR
            assert secret not in str(found), text


@given(st.text(alphabet="ab01:-?&*!|>'\"#%@`{}[],\n\t ~<=.\\é\u2028\0", max_size=40))
@settings(max_examples=400, deadline=None)
def test_f2_any_text_gives_a_value_or_problems_with_places(text: str) -> None:
    parsed = yaml_text.parse(text.encode(), positions_depth=None)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for found in parsed.problems:
        assert 1 <= found.line <= len(lines) + 1
        assert found.column >= 1
    if not parsed.problems:
        for line, column in parsed.positions.values():
            assert 1 <= line <= len(lines) + 1
            assert column >= 1


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_f2_any_bytes_give_a_value_or_problems(content: bytes) -> None:
    parsed = yaml_text.parse(content)
    assert parsed.problems or isinstance(parsed.value, dict | list | str | int | float | None)


def test_the_c_parser_and_emitter_are_used() -> None:
    """libraries.md, YAML: without the C extension the library silently gets four times slower."""
    extension = importlib.import_module("_ruamel_yaml")
    assert str(extension.__file__).endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))
    assert vars(yaml_text)["libyaml"] is extension
    assert not isinstance(extension.CParser.get_event, types.FunctionType)
    assert not isinstance(extension.CEmitter.emit, types.FunctionType)


def test_without_the_c_extension_nothing_starts() -> None:
    script = "import sys; sys.modules['_ruamel_yaml'] = None; import manifests.yaml_text"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "_ruamel_yaml" in done.stderr
