"""How an ended pass becomes conditions (design.md section 3)."""

import pytest

from core import compatibility, conditions, record, stack


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
        ("InSync", True, {"Ready": "True", "SourceReady": "True", "Compatible": "Unknown"}),
        ("SourceMissing", False, {"Ready": "False", "SourceReady": "False", "Compatible": "Unknown"}),
        ("SourceEmpty", False, {"Ready": "False", "SourceReady": "False"}),
        ("ArtifactInvalid", False, {"Ready": "False", "SourceReady": "True"}),
        ("StackIncompatible", False, {"Ready": "False", "SourceReady": "True"}),
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


DOCKER = stack.Stack("p", (stack.Service("gateway", "esb-gateway-docker:v1", "v1"),), source="project p")


@pytest.mark.parametrize(
    ("requirement", "seen", "strict", "expected"),
    [
        (None, stack.NOT_CONFIGURED, False, ("Unknown", "NothingObservable")),
        (None, DOCKER, False, ("Unknown", "NothingRequired")),
        (compatibility.Requirement("1.0", "docker", "v1"), DOCKER, False, ("True", "AsRequired")),
        (compatibility.Requirement("1.0", "docker", "v2"), DOCKER, False, ("True", "VersionDiffers")),
        (compatibility.Requirement("1.0", "docker", "v2"), DOCKER, True, ("False", "StackIncompatible")),
        (compatibility.Requirement("1.0", "containerd", "v1"), DOCKER, False, ("False", "StackIncompatible")),
    ],
)
def test_what_a_look_at_the_stack_says(
    requirement: compatibility.Requirement | None, seen: stack.Stack, strict: bool, expected: tuple[str, str]
) -> None:
    assert tuple(conditions.of_stack(requirement, seen, strict=strict)["Compatible"][:2]) == expected


def test_a_pass_that_never_looked_at_the_stack_leaves_what_the_last_look_said() -> None:
    seen = conditions.of_stack(None, DOCKER, strict=False)
    before = conditions.after(conditions.Result(True, "InSync", "", "r", stack=seen), {}, now="t1")
    assert _after("LockBusy", converged=False, before=before)["Compatible"].reason == "NothingRequired"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("source 1 of 2 is away: timed out after 4397 ms", True),
        ("source 1 of 2 is away: refused", False),
        ("source 1 of 2 is away: timed out after 10 ms; source 2 of 2 is not there", False),
    ],
)
def test_why_no_source_answers_is_told_anew_when_it_is_another_reason(words: str, kept: bool) -> None:
    """It may last for days: `status` must not show what was so at its beginning. A number alone is no news."""
    first = ("False", "SourceUnavailable", "source 1 of 2 is away: timed out after 4394 ms")
    before = {"SourceReady": record.Condition("SourceReady", *first, "sha256:1", "t1")}
    after = conditions.after_look({"SourceReady": ("False", "SourceUnavailable", words)}, before, now="t2")
    assert (after == before) is kept
    assert after["SourceReady"].message == (first[2] if kept else words)
    assert after["SourceReady"].changed_at == "t1", "it stands since then"


def test_a_look_alone_moves_only_what_it_says_anew() -> None:
    before = _after("InSync", converged=True)
    same = conditions.after_look({"Healthy": ("Unknown", "NotLookedAt", "other words")}, before, now="t2")
    assert same == before
    moved = conditions.after_look({"Healthy": ("False", "Unhealthy", "gateway")}, before, now="t2")
    assert (moved["Healthy"].changed_at, moved["Ready"].changed_at) == ("t2", "t1")
