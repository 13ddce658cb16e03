"""What is remembered of a target: the same cases for the store on disk and for the one in memory; and how far it grows."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import history, state, state_rows
from core import compatibility, items, record
from tests.fakes.records import FakeClock, condition, failure, parts, success
from tests.fakes.state import MemoryState

AnyState = state.State | MemoryState


@pytest.fixture
def now() -> FakeClock:
    """The time."""
    return FakeClock()


@pytest.fixture(params=["disk", "memory"])
def either(request: pytest.FixtureRequest, tmp_path: Path, now: FakeClock) -> Iterator[AnyState]:
    """The store on disk and the fake: the same cases hold for both."""
    if request.param == "memory":
        yield MemoryState(now=now, keep_applied=3)
        return
    with closing(state.State(tmp_path / "state", now=now, keep_applied=3, durable=False)) as opened:
        yield opened


def test_nothing_is_remembered_at_first(either: AnyState) -> None:
    assert either.load(with_items=True) == record.Record()
    assert (either.applied_sets(), either.history(), either.events()) == ((), (), ())


def test_a_success_comes_back(either: AnyState, now: FakeClock) -> None:
    either.record_attempt("sha256:1")
    assert either.load(with_items=False) == record.Record(attempted_revision="sha256:1")
    either.record_failure(failure(doubtful=7))
    assert either.load(with_items=False).doubtful_generation == 7
    now.forward(60)
    wanted = success()
    either.record_success(wanted)
    known = either.load(with_items=True)
    assert known.applied == record.AppliedSet(
        1, "sha256:1", 1, "sha256:d1", wanted.document_digests, "2026-02-20T07:05:04Z", wanted.items
    )
    assert (known.attempted_revision, known.pass_digest, known.newest_mtime_s) == ("sha256:1", "sha256:p1", 1771571044)
    assert (known.notes, known.conditions) == (wanted.notes, wanted.conditions)
    assert known.doubtful_generation is None
    assert either.load(with_items=False) == replace(known, applied=replace(known.applied, items=()))
    assert either.events() == (
        state.EventRow(1, "Added", "function hello", "from entry", "sha256:1", "2026-02-20T07:05:04Z"),
    )


def test_gw3_what_a_set_says_of_the_stack_comes_back(either: AnyState) -> None:
    """A rollback has no manifest to read. A success that names no project leaves the one before."""
    required = compatibility.Requirement("1.0", "docker", "v1")
    either.record_success(replace(success(), project="shop", requirement=required))
    either.record_success(success("2"))
    assert [(known.project, known.requirement) for known in either.applied_sets()] == [("", None), ("shop", required)]
    assert either.load(with_items=False).project == "shop"


def test_the_last_sets_with_different_documents_are_kept(either: AnyState) -> None:
    for mark in "123":
        either.record_success(success(mark))
    either.record_success(success("2", revision="sha256:4", generation=4))
    assert [known.revision for known in either.applied_sets()] == ["sha256:4", "sha256:3", "sha256:1"]
    assert [known.revision for known in either.applied_sets(limit=1)] == ["sha256:4"]
    either.record_success(success("5"))
    assert [(known.id, known.revision) for known in either.applied_sets()] == [
        (5, "sha256:5"),
        (4, "sha256:4"),
        (3, "sha256:3"),
    ]
    assert either.applied_items(3) == parts("hello", "world", mark="3")
    assert either.applied_items(4) == parts("hello", "world", mark="2")


def test_the_same_failure_is_counted_and_another_one_listed(either: AnyState, now: FakeClock) -> None:
    either.record_success(success())
    for reason in ("ArtifactInvalid", "ArtifactInvalid", "SourceMissing"):
        now.forward(30)
        either.record_failure(failure(reason))
    rows = either.history()
    assert [(row.id, row.result, row.reason, row.count) for row in rows] == [
        (3, "failed", "SourceMissing", 1),
        (2, "failed", "ArtifactInvalid", 2),
        (1, "applied", "SourceChanged", 1),
    ]
    assert (rows[1].first_at, rows[1].last_at) == ("2026-02-20T07:04:34Z", "2026-02-20T07:05:04Z")
    assert (rows[2].generation, rows[2].message) == (1, "published 1")
    assert len(either.history(limit=1)) == 1
    known = either.load(with_items=False)
    assert known.applied is not None
    assert known.pass_digest == "sha256:p1"
    assert known.conditions == condition("SourceMissing")


def test_holds_stand_until_released(either: AnyState) -> None:
    either.hold("sha256:8", "bad")
    either.hold("sha256:9", "worse")
    either.hold("sha256:8", "still bad")
    assert [(hold.revision, hold.reason) for hold in either.load(with_items=False).holds] == [
        ("sha256:9", "worse"),
        ("sha256:8", "still bad"),
    ]
    either.record_success(success(holds=(record.Hold("sha256:7", "rolled back", "2026-02-20T07:04:04Z"),)))
    assert {hold.revision for hold in either.load(with_items=False).holds} == {"sha256:7", "sha256:8", "sha256:9"}
    either.release("sha256:8")
    assert {hold.revision for hold in either.load(with_items=False).holds} == {"sha256:7", "sha256:9"}
    either.release()
    assert either.load(with_items=False).holds == ()


def test_a_suspension_ends_with_its_time_or_by_hand(either: AnyState, now: FakeClock) -> None:
    until = record.Suspension("me", "deploy freeze", "2026-02-20T07:04:04Z", "2026-02-20T08:00:00Z")
    either.suspend(until)
    assert either.load(with_items=False).suspension == until
    now.forward(3600)
    assert either.load(with_items=False).suspension is None
    for_ever = replace(until, until=None)
    either.suspend(for_ever)
    assert either.load(with_items=False).suspension == for_ever
    either.resume()
    assert either.load(with_items=False).suspension is None


def test_what_fails_again_and_again_is_one_event(either: AnyState) -> None:
    """Of each thing, reason and revision. What happened besides is listed each time; a log that differs is no news."""
    for number in range(3):
        made = state.Event("ImageGone", "function b", "pushed")
        failed = state.Event("ImageBuildFailed", "function a", f"after {number} s")
        either.record_failure(replace(failure(), events=(made,), refused=(failed,)))
    assert [row.subject for row in reversed(either.events())] == ["function b", "function a", *["function b"] * 2]
    assert either.events()[2].message == "after 0 s"
    for reason, revision in (("ImagePushFailed", "sha256:9"), ("ImageBuildFailed", "sha256:10")):
        refused = (state.Event(reason, "function a", ""),)
        for _ in range(2):
            either.record_failure(replace(failure(revision=revision), refused=refused))
    assert [row.reason for row in either.events(2)] == ["ImageBuildFailed", "ImagePushFailed"]
    assert len(either.events()) == 6


def test_more_events_than_are_kept_end_in_one_that_says_so(either: AnyState) -> None:
    many = tuple(state.Event("Added", f"function f{n}", "") for n in range(history.EVENT_ROWS + 5))
    either.record_success(success(events=many))
    rows = either.events()
    assert len(rows) == history.EVENT_ROWS
    assert rows[0].message == "6 more events of this pass are not listed"
    assert rows[-1].subject == "function f0"


def test_b6_20000_passes_stay_bounded(tmp_path: Path, now: FakeClock) -> None:
    """B6: rows, bytes and statements per pass are the same after 20,000 passes as after 2,000."""
    names = [f"f{n}" for n in range(20)]
    with closing(state.State(tmp_path / "state", now=now, keep_applied=3, durable=False)) as opened:
        statements: list[str] = []

        def passes(numbers: range) -> tuple[int, int]:
            statements.clear()
            most = 0
            for number in numbers:
                now.forward(30)
                if number % 10:
                    opened.record_failure(failure(f"R{number % 3}"))
                else:
                    text = str(number)
                    events = (state.Event("Added", f"function f{text}", "x" * 60),) * 2
                    opened.record_success(success(text, items=parts(*names, mark=text), events=events))
                    most = max(most, opened.path.stat().st_size)
            return len(statements), most

        passes(range(1, 1000))
        connection = opened._file._existing()  # counts statements where they arrive
        assert connection is not None
        passes(range(1000, 12_000))
        connection.set_trace_callback(statements.append)
        early_statements, early_bytes = passes(range(12_000, 13_000))
        connection.set_trace_callback(None)
        passes(range(13_000, 19_000))
        connection.set_trace_callback(statements.append)
        late_statements, late_bytes = passes(range(19_000, 20_000))
        assert late_statements == early_statements
        assert late_bytes <= early_bytes + 4 * 4096
        assert len(opened.history(10_000)) == history.HISTORY_ROWS
        assert len(opened.events(10_000)) == history.EVENT_ROWS
        assert len(opened.applied_sets()) == 3
        assert connection.execute("SELECT count(*) FROM item_sets").fetchall() == [(3,)]
        assert connection.execute("PRAGMA freelist_count").fetchall() == [(0,)]


texts = st.text(max_size=12)
applied_items = st.builds(
    record.AppliedItem,
    st.builds(
        items.Item,
        st.builds(items.ItemKey, st.sampled_from(items.Kind), texts),
        texts,
        texts,
        st.integers(0, 10**6),
        texts,
    ),
    st.none() | texts,
)


@given(st.lists(applied_items, max_size=6).map(tuple))
def test_items_come_back_as_they_were(applied: tuple[record.AppliedItem, ...]) -> None:
    """F7: what was recorded is what is compared later, whatever characters it has."""
    back = state_rows.unpacked(state_rows.packed(applied))
    assert back == applied
    assert all(isinstance(part.item.key, items.ItemKey) for part in back)
    assert all(isinstance(part.item.key.kind, items.Kind) for part in back)
