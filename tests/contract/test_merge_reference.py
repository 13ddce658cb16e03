"""C7 and contract.md section 4: the controller's merge equals the plain reading of the rules, for any entries."""

import json
import random
from collections.abc import Callable
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
_EMPTIES: st.SearchStrategy[Any] = st.sampled_from([None, {}, []])
_DEFAULTS = st.fixed_dictionaries(
    {},
    optional={
        "environment": _ENVIRONMENTS,
        "scaling": _SCALINGS,
        "runtime": _TEXTS,
        "other": st.integers(-(2**40), 2**40),
        "anything": _EMPTIES | _TEXTS,
        "tags": _EMPTIES | st.lists(_TEXTS, max_size=2),
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


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


class _Quoting(yaml.SafeDumper):
    """Block style, keys in the order they are in, and every text in double quotes."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _as_block_yaml(value: Any) -> bytes:
    return yaml.dump(value, Dumper=_Quoting, default_flow_style=False, sort_keys=False, indent=4).encode()


def _folded(
    entries: list[dict[str, Any]], *, above: str = "", written: Callable[[Any], bytes] = _as_json
) -> desired.Desired:
    read = []
    for number, entry in enumerate(entries):
        documents = {name: written(value) for name, value in entry.items()}
        folder = f"{above}entry-{number}"
        outcome = entry_files.read(documents, folder=folder)  # type: ignore[arg-type]  # names equal Documents
        assert outcome.content is not None, outcome.problems
        read.append(desired.Entry(f"entry-{number}", folder, outcome.content))
    return runtime_config.fold(read, revision="r")


def _published(entries: list[dict[str, Any]]) -> dict[str, bytes]:
    folded = _folded(entries)
    return {str(document): content for document, content in assembly.assemble(folded.items.values()).items()}


def _shuffled(value: Any, chance: random.Random) -> Any:
    """The same value, the keys of every mapping in another order."""
    if isinstance(value, list):
        return [_shuffled(each, chance) for each in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chance.shuffle(keys)
    return {key: _shuffled(value[key], chance) for key in keys}


def _shuffled_inside(entry: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same entry: keys are in another order wherever order says nothing, which is inside of an item. The order of
    the items themselves is the order that is published."""
    functions = entry["functions.yml"]
    mixed = {name: _shuffled(function, chance) for name, function in functions["functions"].items()}
    defaults = functions.get("defaults") or {}
    kept = {key: value if key in _SECTIONS else _shuffled(value, chance) for key, value in defaults.items()}
    others = {name: _shuffled(value, chance) for name, value in entry.items() if name != "functions.yml"}
    return {"functions.yml": {"functions": mixed, "defaults": kept}, **others}


_SECTIONS = ("environment", "scaling")
"""Of the defaults: each of their keys is an item."""


@given(st.lists(_ENTRIES, min_size=1, max_size=4))
def test_c7_merge_equals_the_rules_read_plainly(entries: list[dict[str, Any]]) -> None:
    """Same documents, same order of routes and of resource lists, for any run of entries."""
    published = {name: yaml.safe_load(content) for name, content in _published(entries).items()}
    assert published == reference.merge(entries)


@given(st.lists(_ENTRIES, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_c7_the_result_depends_on_the_entries_alone(entries: list[dict[str, Any]], chance: random.Random) -> None:
    """C7: other folders, another order of keys, another way to write YAML: the same items in the same order."""
    same = [_shuffled_inside(entry, chance) for entry in entries]
    again = _folded(same, above="elsewhere/", written=_as_block_yaml)
    first = _folded(entries)
    told = [[(key, item.digest, item.target) for key, item in each.items.items()] for each in (first, again)]
    assert told[0] == told[1]
    origins = [[(each.entry, each.overrides) for each in one.provenance.values()] for one in (first, again)]
    assert origins[0] == origins[1]
