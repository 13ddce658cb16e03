"""Document validity: contract.md section 4, faults.md F1. The cases are data in tests/cases/validity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import documents, grammar, structure
from core.items import Document, ItemKey, Kind
from core.problems import Finding, KeyPath, Severity, format_path

CASES = Path(__file__).parents[1] / "cases/validity"
CHECKS: dict[str, Callable[[object], documents.Checked]] = {
    "functions": documents.check_functions,
    "routing": documents.check_routing,
    "resources": documents.check_resources,
}
NAMED_CASES = [
    pytest.param(document, case, id=f"{document}: {case['name']}")
    for document in CHECKS
    for case in yaml.safe_load((CASES / f"{document}.yml").read_text(encoding="utf-8"))
]

KEYS = st.sampled_from(
    [
        "functions",
        "defaults",
        "environment",
        "scaling",
        "image",
        "timeout",
        "events",
        "idle_timeout",
        "min_capacity",
        "routes",
        "path",
        "method",
        "function",
        "resources",
        "dynamodb",
        "s3",
        "TableName",
        "BucketName",
        "[key]",
    ]
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**4000), float("nan"), float("inf"), b"bytes", (1,), object()])
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.text(st.sampled_from("/a${}.\ud800\0"), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec=None), max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=20,
)
SHAPED = st.one_of(
    ANYTHING,
    st.fixed_dictionaries(
        {"functions": st.dictionaries(st.text(max_size=3), ANYTHING)}, optional={"defaults": ANYTHING}
    ),
    st.fixed_dictionaries({"routes": st.lists(st.dictionaries(KEYS, ANYTHING), max_size=3)}),
    st.fixed_dictionaries({"resources": st.dictionaries(KEYS, st.lists(st.dictionaries(KEYS, ANYTHING), max_size=2))}),
)


def dotted(path: KeyPath) -> str:
    """The path with every key as it is: what is shown of it is the business of `format_path`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _said(checked: documents.Checked, severity: Severity) -> list[tuple[str, str]]:
    return [(dotted(found.path), found.message) for found in checked.findings if found.severity is severity]


def _assert_said(said: list[tuple[str, str]], wanted: list[list[str]]) -> None:
    remaining = list(said)
    for key, fragment in wanted:
        matching = [one for one in remaining if one[0] == key and fragment in one[1]]
        assert matching, f"{key}: {fragment!r} is not among {remaining}"
        remaining.remove(matching[0])
    assert remaining == []


@pytest.mark.parametrize(("document", "case"), NAMED_CASES)
def test_f1_case(document: str, case: dict[str, Any]) -> None:
    """F1, F2, F3, F4: exactly what is wrong is said, at its key."""
    checked = CHECKS[document](case["value"])
    _assert_said(_said(checked, Severity.ERROR), case.get("errors", []))
    _assert_said(_said(checked, Severity.WARNING), case.get("warnings", []))
    if "parts" in case:
        assert [f"{part.key.kind} {part.key.name}" for part in checked.parts] == case["parts"]


@given(SHAPED)
def test_f1_a_check_is_total(value: object) -> None:
    """F1: any value at all gives findings, never an exception, and findings that can be printed as paths."""
    for check in CHECKS.values():
        checked = check(value)
        assert all(format_path(finding.path) is not None and finding.message for finding in checked.findings)
        assert checked.invalid <= {part.key for part in checked.parts}


@given(st.dictionaries(KEYS | st.text(max_size=3), ANYTHING, max_size=3))
def test_f4_other_keys_of_a_function_pass_unchanged(extra: dict[str, object]) -> None:
    """F4: what no rule knows is neither dropped nor changed."""
    function = {**extra, "image": "a"}
    parts = documents.check_functions({"functions": {"f": function}}).parts
    assert parts == (documents.Part(ItemKey(Kind.FUNCTION, "f"), ("functions", "f"), function),)
    assert parts[0].value is function


def test_values_never_appear_in_messages() -> None:
    """K1: messages name places and rules; not one of them quotes a value."""
    canary = "hunter2-canary"
    value = {
        "defaults": {"environment": {"A": [canary], "B": f"${{X:-{canary}}}"}, "scaling": {"idle_timeout": canary}},
        "functions": {
            "f": {"image": f"user:{canary}@h/a", "timeout": canary, "environment": canary, "events": canary},
            "g": {"image": f"{canary} x", "environment": {"A": f"{canary}\0"}, "scaling": canary},
        },
    }
    checked = documents.check_functions(value)
    assert len(checked.errors) == 10  # one for each canary above
    assert canary not in str([finding.message for finding in checked.findings])


@pytest.mark.parametrize("empty", [None, {}, []], ids=repr)
def test_f4_other_defaults_pass_through_when_empty_too(empty: object) -> None:
    """F4: only the two sections are left out, and the first entry that sets a key wins, whatever it sets."""
    value = {"defaults": {"other": empty, "environment": {}, "scaling": None}, "functions": {}}
    assert documents.check_functions(value).parts == (
        documents.Part(ItemKey(Kind.DEFAULT, "other"), ("defaults", "other"), empty),
    )


@pytest.mark.parametrize("document", list(Document))
def test_f1_a_document_is_checked_by_its_own_rules(document: Document) -> None:
    """F1: the same as its own check, allowed names included."""
    value = {
        "functions": {"f": {"image": "a", "environment": {"A": "${MINE}"}}},
        "routes": [{"path": "x", "function": "f"}],
        "resources": {"s3": [{"BucketName": 1}]},
    }
    own = CHECKS[document.value.removesuffix(".yml")]
    assert documents.check(document, value) == own(value)
    assert documents.check(document, value).errors
    mine = documents.check(document, value, allowed_names=frozenset({"MINE"}))
    assert bool(mine.errors) is (document is not Document.FUNCTIONS)


def test_f1_more_names_may_be_allowed() -> None:
    value = {"functions": {"f": {"image": "a", "environment": {"A": "${HOME} ${MY_URL} ${LOG_LEVEL}"}}}}
    allowed = grammar.DEFAULT_NAMES | {"HOME", "*_URL"}
    assert len(documents.check_functions(value).errors) == 2  # HOME and MY_URL
    assert documents.check_functions(value, allowed_names=allowed).errors == ()
    assert len(documents.check_functions(value, allowed_names=frozenset()).errors) == 3  # all of them


def test_invalid_names_the_parts_that_must_not_be_used() -> None:
    checked = documents.check_functions(
        {
            "defaults": {"environment": {"A": 1, "B": "x"}},
            "functions": {"f": {"image": "a"}, "g": {"image": ""}, "-": {}},
        }
    )
    assert checked.invalid == {
        ItemKey(Kind.DEFAULT_ENVIRONMENT, "A"),
        ItemKey(Kind.FUNCTION, "g"),
        ItemKey(Kind.FUNCTION, "-"),
    }


def test_a_route_part_names_its_function() -> None:
    (part,) = documents.check_routing({"routes": [{"path": ""}, {"path": "/a", "function": "f"}]}).parts
    assert part == documents.Part(
        ItemKey(Kind.ROUTE, "/a:GET"), ("routes", 1), {"path": "/a", "function": "f"}, target="f"
    )


@pytest.mark.parametrize("extra_levels", [0, 1, 5000])
def test_f2_nesting_is_bounded(extra_levels: int) -> None:
    """F2: too deep is a finding, however deep it is, and never a RecursionError."""
    deep: object = []
    for _ in range(structure.DEEPEST - 4 + extra_levels):
        deep = [deep]
    checked = documents.check_functions({"functions": {"f": {"image": "a", "x": deep}}})
    assert [finding.message for finding in checked.errors] == (["is nested deeper than 64 levels"] * bool(extra_levels))


def test_f1_a_key_error_points_at_the_key() -> None:
    (found,) = documents.check_functions({"functions": {"-f": {"image": "a"}}}).findings
    assert found == Finding(("functions", "-f"), grammar.SENTENCES[grammar.FUNCTION_NAME], at_key=True)
