"""C7 and contract.md section 4: the controller's merge equals the plain reading of the rules, for any entries."""

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import assembly, desired, runtime_config
from manifests import entry_files
from tests.contract import reference

_NAMES = st.sampled_from(["a", "b", "c", "fn-1", "fn_2", "yes.no"])
_TEXTS = st.sampled_from(["", "no", "010", "1e3", "12:30", "a b", "ü", "#x", "~", "- y", "true", "http://x:1"])
_ENVIRONMENTS = st.dictionaries(st.sampled_from(["A", "B", "on", "1"]), _TEXTS, max_size=3)
_SCALINGS = st.fixed_dictionaries(
    {}, optional={"min_capacity": st.integers(0, 3), "idle_timeout": st.sampled_from([1, 2.5, 300])}
)
_FUNCTIONS = st.fixed_dictionaries(
    {"image": st.sampled_from(["registry:5010/a:v1", "b", "127.0.0.1:5010/c/d:latest"])},
    optional={
        "timeout": st.integers(1, 900),
        "environment": _ENVIRONMENTS,
        "scaling": _SCALINGS,
        "events": st.lists(st.dictionaries(_NAMES, _TEXTS, max_size=2), max_size=2),
        "extra": st.lists(_TEXTS, max_size=2),
    },
)
_DEFAULTS = st.fixed_dictionaries(
    {},
    optional={
        "environment": _ENVIRONMENTS,
        "scaling": _SCALINGS,
        "runtime": _TEXTS,
        "other": st.integers(-(2**40), 2**40),
    },
)
_ROUTES = st.lists(
    st.fixed_dictionaries(
        {"function": _NAMES},
        optional={
            "path": st.sampled_from(["", "/", "/a", "/a/{id}", "/b"]),
            "method": st.sampled_from(["", "GET", "get", "POST"]),
            "auth": st.booleans(),
        },
    ),
    max_size=5,
)


def _named(key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        st.fixed_dictionaries(
            {}, optional={key: st.sampled_from(["", "one", "two"]), "value": st.integers(-(2**40), 2**40)}
        ),
        max_size=3,
    )


_RESOURCES = st.none() | st.fixed_dictionaries(
    {
        "resources": st.none()
        | st.fixed_dictionaries(
            {}, optional={"dynamodb": _named("TableName"), "s3": _named("BucketName"), "layers": _named("Name")}
        )
    }
)
_ENTRIES = st.fixed_dictionaries(
    {
        "functions.yml": st.fixed_dictionaries(
            {"functions": st.dictionaries(_NAMES, _FUNCTIONS, max_size=3)}, optional={"defaults": _DEFAULTS | st.none()}
        ),
        "routing.yml": st.none() | st.fixed_dictionaries({"routes": _ROUTES | st.none()}),
    },
    optional={"resources.yml": _RESOURCES},
)


def _published(entries: list[dict[str, Any]]) -> dict[str, bytes]:
    read = []
    for number, entry in enumerate(entries):
        documents = {name: json.dumps(value).encode() for name, value in entry.items()}
        outcome = entry_files.read(documents, folder=f"entry-{number}")  # type: ignore[arg-type]  # names equal Documents
        assert outcome.content is not None, outcome.problems
        read.append(desired.Entry(f"entry-{number}", f"entry-{number}", outcome.content))
    folded = runtime_config.fold(read, revision="r")
    return {str(document): content for document, content in assembly.assemble(folded.items.values()).items()}


@given(st.lists(_ENTRIES, min_size=1, max_size=4))
def test_c7_merge_equals_the_rules_read_plainly(entries: list[dict[str, Any]]) -> None:
    """Same documents, same order of routes and of resource lists, for any run of entries."""
    published = {name: yaml.safe_load(content) for name, content in _published(entries).items()}
    assert published == reference.merge(entries)


@given(st.lists(_ENTRIES, min_size=1, max_size=3))
def test_c7_the_result_depends_on_the_entries_alone(entries: list[dict[str, Any]]) -> None:
    """The same entries give the same bytes."""
    assert _published(entries) == _published(entries)
