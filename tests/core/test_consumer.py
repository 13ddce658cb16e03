"""What the checks accept never makes a consumer choke: faults.md F1, against the stand-in of consumers.md."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core import documents
from core.items import Kind
from tests.fakes import gateway

ENVIRONMENT = {
    "GATEWAY_INTERNAL_URL": "http://gateway",
    "LOG_LEVEL": "INFO",
    "RUSTFS_ACCESS_KEY": "key",
    "RUSTFS_SECRET_KEY": "secret",
    "S3_ENDPOINT_HOST": "s3",
}
SECTIONS = {Kind.TABLE: "dynamodb", Kind.BUCKET: "s3", Kind.LAYER: "layers"}

TRAPS = st.sampled_from(
    [
        "",
        "no",
        "010",
        "1e3",
        "12:30:45",
        "null",
        "1_000",
        "~",
        "${LOG_LEVEL}",
        "x-${S3_ENDPOINT_HOST}",
        "${HOME}",
        "${",
        "a=b",
        "<<",
        "=",
        "2026-02-20",
        "\x85",
        "\u2028",
        "\ufeff",
        "�",
        "a\x00b",
        "\x1b",
        "x" * 300,
        " a ",
        "#",
        "- a",
    ]
)
TEXT = TRAPS | st.text(max_size=4)
JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just([]) | st.just({}) | st.just(10**4000)
)


def _mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value in about sixteen is junk, so that whole documents are accepted often enough to be worth running."""
    return st.sampled_from([*[good] * 15, JUNK]).flatmap(lambda chosen: chosen)


NAMES = st.sampled_from(["a", "b.c", "lambda-echo", "010", "no", "null", "1e3"])
ENVIRONMENTS = st.dictionaries(st.sampled_from(["A", "B", "no", "1"]) | TEXT, _mostly(TEXT), max_size=3)
SCALING = st.fixed_dictionaries(
    {},
    optional={
        "min_capacity": _mostly(st.integers(0, 3)),
        "max_capacity": _mostly(st.integers(0, 3)),
        "idle_timeout": _mostly(st.floats(0.001, 1e308) | st.integers(1, 900)),
        "acquire_timeout": _mostly(st.floats(1e-300, 30)),
        "later": JUNK,
    },
)
FUNCTION = st.fixed_dictionaries(
    {"image": _mostly(st.sampled_from(["a", "registry:5010/a:v1", "[::1]:5000/a", "a@sha256:" + "0" * 64]))},
    optional={
        "timeout": _mostly(st.integers(1, 900)),
        "memory_size": _mostly(st.integers(1, 10240)),
        "environment": _mostly(ENVIRONMENTS),
        "scaling": _mostly(SCALING),
        "events": _mostly(st.lists(st.dictionaries(TEXT, JUNK, max_size=2), max_size=2)),
        "other": JUNK,
    },
)
FUNCTIONS = st.fixed_dictionaries(
    {"functions": st.dictionaries(_mostly(NAMES).filter(lambda name: name.__hash__ is not None), FUNCTION, max_size=3)},
    optional={
        "defaults": _mostly(
            st.fixed_dictionaries({}, optional={"environment": ENVIRONMENTS, "scaling": SCALING, "other": JUNK})
        )
    },
)
PATHS = st.lists(
    st.sampled_from(["a", "b", "{id}", "{name}", "x-{id}", "", "ü", "@", "v1.0", "(", "{x+}", "\n"]), max_size=3
)
ROUTE = st.fixed_dictionaries(
    {"path": _mostly(PATHS.map(lambda parts: "/" + "/".join(parts))), "function": _mostly(NAMES)},
    optional={"method": _mostly(st.sampled_from(["GET", "post", "Put", "", "1", "GÉT"])), "other": JUNK},
)
ROUTING = st.fixed_dictionaries({"routes": _mostly(st.lists(ROUTE, max_size=4))})
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        section: _mostly(st.lists(st.fixed_dictionaries({key: _mostly(TEXT)}, optional={"x": JUNK}), max_size=2))
        for section, key in {"dynamodb": "TableName", "s3": "BucketName", "layers": "Name"}.items()
    },
)


def _text(value: object) -> str:
    # Escaped, because PyYAML itself writes a lone U+0085 so that it reads it back as a space.
    return str(yaml.safe_dump(value, allow_unicode=False, sort_keys=False))


def _merged_functions(checked: documents.Checked) -> dict[str | int, Any]:
    document: dict[str | int, Any] = {"functions": {}}
    for part in checked.parts:
        holder = document
        for step in part.path[:-1]:
            holder = holder.setdefault(step, {})
        holder[part.path[-1]] = part.value
    return document


@settings(max_examples=300)
@given(FUNCTIONS)
def test_f1_accepted_functions_start(value: dict[str, Any]) -> None:
    """F1: every accepted function is there, and starts; the others are not there."""
    checked = documents.check_functions(value)
    assume(not checked.errors)
    merged = _merged_functions(checked)
    consumer = gateway.Gateway(_text(merged), "", ENVIRONMENT)
    assert set(consumer.functions) == set(value["functions"])
    for name in consumer.functions:
        started = consumer.start(name)
        assert "${" not in "".join(started["environment"].values())


@settings(max_examples=300)
@given(ROUTING)
def test_f1_accepted_routes_resolve(value: dict[str, Any]) -> None:
    """F1: every accepted route answers the requests that it was written for, or an earlier one like it does."""
    checked = documents.check_routing(value)
    assume(not checked.errors)
    latest = {part.key: part for part in checked.parts}
    consumer = gateway.Gateway(
        "functions: {}", _text({"routes": [part.value for part in latest.values()]}), ENVIRONMENT
    )
    answered = [(method, pattern) for pattern, method, _ in consumer.routes]
    assert len(answered) == len(latest)
    for part in latest.values():
        path, _, method = part.key.name.rpartition(":")
        request = path.replace("{id}", "1").replace("{name}", "n")
        function = consumer.resolve(method.upper(), request)
        same = [method_ for method_, pattern in answered if method_ == method.upper() and pattern.match(request)]
        assert function == part.target or len(same) > 1


@settings(max_examples=200)
@given(RESOURCES)
def test_f1_accepted_resources_are_provisioned(value: dict[str, Any]) -> None:
    """F1: what is accepted has its key, and the provisioner sees it."""
    checked = documents.check_resources({"resources": value})
    assume(not checked.errors)
    resources: dict[str, list[object]] = {}
    for part in checked.parts:
        resources.setdefault(SECTIONS[part.key.kind], []).append(part.value)
    names = gateway.provision(_text({"resources": resources}))
    assert [name for listed in names.values() for name in listed] == [part.key.name for part in checked.parts]


@pytest.mark.parametrize(
    "value",
    [
        {"functions": {"a": {"image": "a", "environment": {"A": 1}}}},
        {"functions": {"a": {"image": "a", "environment": {"A": "${HOME}"}}}},
        {"functions": {"a": {"image": "a", "environment": {"A": "x\0"}}}},
        {"functions": {"a": {"image": "a", "environment": {"": "x"}}}},
        {"functions": {"a": {"image": "a", "scaling": {"min_capacity": True}}}},
        {"functions": {"a": {"image": "a", "scaling": {"idle_timeout": 0}}}},
        {"functions": {"a": {"image": "a", "scaling": {"acquire_timeout": float("inf")}}}},
        {"functions": {"a": {"image": "a", "timeout": "30"}}},
        {"functions": {"a": {"image": "a", "events": ["x"]}}},
        {"functions": {"a": {"image": "a b"}}},
        {"functions": {"a": {}}},
        {"functions": {"a": None}},
        {"functions": {"-a": {"image": "a"}}},
        {"functions": None},
        {"functions": {}, "defaults": []},
        {},
    ],
    ids=ascii,
)
def test_gw10_the_stand_in_is_strict_about_functions(value: dict[str, Any]) -> None:
    """The stand-in can refuse: without that, the properties above would say nothing."""
    with pytest.raises(gateway.UNUSABLE):
        gateway.Gateway(_text(value), "", ENVIRONMENT).start("a")
    assert documents.check_functions(value).errors


@pytest.mark.parametrize(
    "route",
    [
        None,
        {"path": None, "function": "a"},
        {"path": "/x(", "function": "a"},
        {"path": "/(a+)+$", "function": "a"},
        {"path": "/{x}/{x}", "function": "a"},
        {"path": "/x", "method": 5, "function": "a"},
        {"path": "/x"},
        {"path": "x", "function": "a"},
    ],
    ids=ascii,
)
def test_gw8_the_stand_in_is_strict_about_routes(route: object) -> None:
    with pytest.raises(gateway.UNUSABLE):
        gateway.Gateway("functions: {}", _text({"routes": [route]}), ENVIRONMENT)
    checked = documents.check_routing({"routes": [route]})
    assert checked.errors or not checked.parts


def test_gw5_an_empty_file_means_no_functions() -> None:
    assert gateway.Gateway("", "", ENVIRONMENT).functions == {}


def test_gw2_the_watcher_sees_whole_seconds_that_grow(tmp_path: Path) -> None:
    """GW2, GW4, GW12: the stand-in for the reload misses what the gateway misses."""
    file = tmp_path / "functions.yml"
    loaded: list[int] = []
    never = gateway.Watcher(file, int)

    def write(text: str, mtime_s: float) -> None:
        file.write_text(text, encoding="utf-8")
        os.utime(file, (mtime_s, mtime_s))

    write("1", 100.2)
    watcher = gateway.Watcher(file, lambda text: loaded.append(int(text)))
    steps = [("2", 100.9, False), ("3", 101.0, True), ("4", 99.0, False), ("broken", 102.0, False), ("5", 102.5, False)]
    for text, mtime_s, noticed in [*steps, ("6", 103.0, True)]:
        write(text, mtime_s)
        assert watcher.poll() is noticed
    file.unlink()
    assert not watcher.poll()
    assert loaded == [1, 3, 6]
    assert (watcher.failures, never.poll()) == (1, False)
