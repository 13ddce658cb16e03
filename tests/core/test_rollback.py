"""Which set a rollback returns to, and what it holds (design.md section 7)."""

import pytest

from core import digest, record, rollback


def _set(id_: int, revision: str, wanted: str) -> record.AppliedSet:
    return record.AppliedSet(id_, f"sha256:{revision}", id_, wanted, {}, "then")


NOW = _set(3, "ccc111222333", "new")
SAME = _set(2, "bbb111222333", "new")
OLD = _set(1, "aaa111222333", "old")

KEPT = "sha256:ccc111222333, sha256:bbb111222333, sha256:aaa111222333"


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (None, OLD),
        ("sha256:aaa111222333", OLD),
        ("aaa111", OLD),
        ("sha256:bbb111", SAME),
        ("aaa11", "no recorded revision begins with aaa11; recorded: " + KEPT),
        ("ddd111222", "no recorded revision begins with ddd111222; recorded: " + KEPT),
        ("", "no recorded revision begins with ; recorded: " + KEPT),
        ("sha256:", "no recorded revision begins with sha256:; recorded: " + KEPT),
    ],
)
def test_choice(revision: str | None, expected: record.AppliedSet | str) -> None:
    assert rollback.choose((NOW, SAME, OLD), NOW, revision) == expected


def test_an_abbreviation_of_two_revisions_is_refused() -> None:
    twin = _set(4, "aaa111999999", "other")
    assert rollback.choose((NOW, twin, OLD), NOW, "aaa111") == (
        "aaa111 names several revisions: sha256:aaa111222333, sha256:aaa111999999"
    )


def test_without_an_earlier_set_there_is_nothing_to_return_to() -> None:
    assert rollback.choose((NOW, SAME), NOW, None) == "no earlier revision is recorded that is not held"
    assert rollback.choose((), None, None) == "no earlier revision is recorded that is not held"


def test_a_lost_record_of_the_live_set_returns_to_the_newest() -> None:
    assert rollback.choose((OLD,), None, None) == OLD


def test_what_was_live_and_what_was_tried_is_held_but_never_the_target() -> None:
    assert rollback.to_hold(NOW, "sha256:tried", OLD) == (NOW.revision, "sha256:tried")
    assert rollback.to_hold(OLD, OLD.revision, OLD) == ()
    assert rollback.to_hold(None, "", OLD) == ()


def test_abbreviations_need_six_digits() -> None:
    full = "sha256:0123456789ab"
    assert digest.abbreviates("012345", full)
    assert digest.abbreviates(full, full)
    assert not digest.abbreviates("01234", full)
    assert not digest.abbreviates("sha256:01234", full)
    assert not digest.abbreviates("012346", full)
    assert not digest.abbreviates("", full)


def test_again_without_a_name_goes_further_back_and_never_to_what_is_held() -> None:
    older = _set(4, "ddd111222333", "older")
    held = frozenset({OLD.revision})
    assert rollback.choose((NOW, OLD, older), NOW, None, held=held) == older
    assert rollback.choose((NOW, OLD), NOW, None, held=held) == "no earlier revision is recorded that is not held"
    assert rollback.choose((NOW, OLD), NOW, OLD.revision, held=held) == OLD
