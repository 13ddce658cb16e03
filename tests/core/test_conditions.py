"""How an ended pass becomes conditions (design.md section 3)."""

import pytest

from core import conditions, record


def _after(
    reason: str,
    *,
    converged: bool,
    source_read: bool | None = True,
    before: dict[str, record.Condition] | None = None,
    now: str = "t1",
) -> dict[str, record.Condition]:
    return conditions.after(conditions.Result(converged, reason, "words", "r1", source_read), before or {}, now=now)


@pytest.mark.parametrize(
    ("reason", "converged", "expected"),
    [
        ("InSync", True, {"Ready": "True", "SourceReady": "True", "Compatible": "Unknown", "Reconciling": "False"}),
        ("SourceMissing", False, {"Ready": "False", "SourceReady": "False", "Compatible": "Unknown"}),
        ("SourceEmpty", False, {"Ready": "False", "SourceReady": "False"}),
        ("ArtifactInvalid", False, {"Ready": "False", "SourceReady": "True"}),
        ("StackIncompatible", False, {"Ready": "False", "SourceReady": "True", "Compatible": "False"}),
        ("PublishFailed", False, {"Ready": "False", "SourceReady": "True"}),
    ],
)
def test_statements(reason: str, converged: bool, expected: dict[str, str]) -> None:
    found = _after(reason, converged=converged)
    assert {name: found[name].status for name in expected} == expected
    assert found["Ready"].reason == reason
    assert conditions.is_ready(found) is converged


def test_the_time_moves_only_with_status_or_reason() -> None:
    first = _after("ShrinkGuard", converged=False, now="t1")
    again = _after("ShrinkGuard", converged=False, before=first, now="t2")
    healed = _after("InSync", converged=True, before=again, now="t3")
    assert again["Ready"].changed_at == "t1"
    assert healed["Ready"].changed_at == "t3"
    assert healed["SourceReady"].changed_at == "t1"


def test_without_any_pass_nothing_is_ready() -> None:
    assert not conditions.is_ready({})


def test_a_pass_that_never_looked_at_the_source_says_nothing_about_it() -> None:
    gone = _after("SourceMissing", converged=False, source_read=None)
    rolled_back = _after("RolledBack", converged=True, source_read=None, before=gone)
    assert rolled_back["SourceReady"].status == "False"
    assert rolled_back["SourceReady"].reason == "SourceMissing"
    assert _after("ConfigDirUnusable", converged=False, source_read=None)["SourceReady"].status == "Unknown"
