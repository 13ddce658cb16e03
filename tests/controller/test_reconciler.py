"""A pass, a plan and a rollback, world in and world out: nothing of a disk, a clock or a process is in here."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller import errors, failpoints, reconciler, report, rollback
from controller.world import Acted, Request, Told
from core import actions, compatibility, notices, outcomes, record
from tests.fakes.stories import (
    REQUEST,
    RULES,
    STORIES,
    Story,
    after_change,
    after_two_revisions,
    converge,
    converged,
    go_back,
    of_somebody_else,
    take_over,
)
from tests.fakes.world import Crash, Place, World, function, revision, route

WRITING = ("hold", "begin", "perform", "succeed", "fail")


def points(story: Story) -> list[tuple[int, str]]:
    """Every call of the undisturbed pass, before and after its effect; what has a half also half way."""
    world = World(story.before())
    assert not story.act(world).failed
    acting = [at for at, name in enumerate(world.calls) if name == "perform"]
    halves = [
        at
        for at, action in zip(acting, world.performed, strict=True)
        if isinstance(action, actions.Publish | actions.Sweep)
    ]
    halves += [at for at, name in enumerate(world.calls) if name == "claim"]
    return [
        *((at, when) for at in range(len(world.calls)) for when in ("before", "after")),
        *((at, "half") for at in halves),
    ]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a2_a_crash_at_any_point_and_a_restart_end_in_the_same_world(story: Story) -> None:
    """A2, P3: whatever the process had done when it ended, the next one reaches the same CONFIG_DIR and record."""
    wanted = story.before()
    assert not story.act(World(wanted)).failed
    stops = points(story)
    assert len(stops) >= 8
    for stop in stops:
        place = story.before()
        world = World(place, stop=stop)
        with pytest.raises(Crash):
            story.act(world)
        repeated = _again(story, place)
        assert not repeated.failed, (stop, world.calls, repeated)
        assert place.facts() == wanted.facts(), (stop, world.calls)


def test_b8_a_refused_pass_writes_nothing_and_is_not_recorded_for_the_owner() -> None:
    """B8: everything is looked at and planned, and that is all."""
    place = of_somebody_else()
    before, writes = place.facts(), place.store.writes
    world = World(place)
    ended = converge(world)
    assert (ended.reason, ended.exit_code) == ("OwnedByOther", 77)
    assert ended.decision is not None
    assert ended.decision.comparison.changes
    assert not {"claim", "begin", "perform", "succeed"} & set(world.calls)
    assert place.facts() == before
    assert place.store.writes == writes + 1, "the refusal, in a record of its own"


def test_b8_a_take_over_ends_as_owner() -> None:
    place = of_somebody_else()
    assert not take_over(World(place)).failed
    assert place.disk.owner is not None
    assert place.disk.owner.id != "theirs"
    ended = converge(World(place))
    assert ended.reason == outcomes.Outcome.IN_SYNC


def _again(story: Story, place: Place) -> report.Report:
    """What a person or a timer does next: the same command; a rollback that took already is not asked for twice."""
    known = place.store.load(with_items=False)
    if story.act is go_back and known.applied is not None and known.applied.revision != place.source.revision:
        return report.in_sync(known, World(place).look())
    return story.act(World(place))


def test_a2_every_failpoint_of_a_pass_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A2: the names are the steps; one that is no longer announced would never be swept."""
    reached: list[str] = []
    monkeypatch.setattr(failpoints, "reach", reached.append)
    for story in STORIES:
        story.act(World(story.before()))
    assert set(reached) == set(failpoints.Step)


def test_nothing_to_do_costs_a_look_and_touches_nothing() -> None:
    """F7, P3: a converged pass reads no document, performs nothing and records nothing."""
    place = converged(Place())
    before, writes = place.facts(), place.store.writes
    world = World(place)
    ended = converge(world)
    assert ended.reason == outcomes.Outcome.IN_SYNC
    assert not ended.changed
    assert not ended.failed
    assert world.calls == [
        "exclusive",
        "remember",
        "look",
        "fetch",
        "probe",
        "owning",
        "images_unmoved",
        "note_conditions",
    ]
    assert place.store.writes == writes
    assert place.facts() == before


def test_nothing_to_do_after_reading_everything_touches_nothing_either() -> None:
    """A hold on another revision makes a pass look closely; it still finds nothing to do."""
    place = converged(Place())
    place.store.hold("sha256:other", "bad")
    writes = place.store.writes
    world = World(place)
    assert converge(world).reason == outcomes.Outcome.IN_SYNC
    assert "read" in world.calls
    assert not set(WRITING) & set(world.calls)
    assert place.store.writes == writes


def test_a_new_revision_that_asks_for_the_same_is_only_recorded() -> None:
    place = converged(Place())
    place.source.revision = revision(2)
    world = World(place)
    ended = converge(world)
    assert ended.reason == outcomes.Outcome.RECORD_ONLY
    assert not ended.changed
    assert [type(action) for action in world.performed] == [actions.Confirm]
    assert place.disk.generation == 1
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


FAILURES = {
    "source gone": ("fetch", errors.ControllerError("SourceMissing", "gone")),
    "bad document": ("read", errors.ControllerError("ArtifactInvalid", "bad")),
    "publish failed": ("perform", errors.ControllerError("PublishFailed", "step switch: no space")),
}


def broken_by(name: str) -> tuple[Place, World]:
    """A place with a published revision and a moved source, where the next pass fails in this way."""
    method, error = FAILURES[name]
    place = after_change()
    world = World(place)
    if method == "fetch":
        place.source.broken = error
    elif method == "read":
        place.source.unreadable = error
    else:
        world.failing = error
    return place, world


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_recorded_once_and_leaves_the_previous_revision_live(name: str) -> None:
    """P2: old documents, the reason in the history, `Ready` false with the last good revision still known."""
    place, world = broken_by(name)
    disk = replace(place.disk, shown=dict(place.disk.shown))
    ended = converge(world)
    assert (ended.failed, ended.reason) == (True, FAILURES[name][1].reason)
    assert world.calls.count("fail") == 1
    assert place.disk == disk
    known = place.store.load(with_items=False)
    assert known.applied is not None
    assert known.applied.revision == revision(1)
    assert (known.conditions["Ready"].status, known.conditions["Ready"].reason) == ("False", ended.reason)
    assert place.history()[-1] == ("failed", ended.reason, 1)


@pytest.mark.parametrize("name", FAILURES)
def test_c3_the_same_revision_is_tried_again_and_its_failures_are_one_row(name: str) -> None:
    """C3: what failed is retried with the next pass, and the repeated failure is counted."""
    place, world = broken_by(name)
    for _ in range(3):
        again = World(place)
        again.failing = world.failing
        assert converge(again).failed
    assert place.history()[-1] == ("failed", FAILURES[name][1].reason, 3)
    place.source.broken = place.source.unreadable = None
    ended = converge(World(place))
    assert (ended.failed, ended.reason) == (False, outcomes.Outcome.SOURCE_CHANGED)
    assert place.history()[-1] == ("applied", outcomes.Outcome.SOURCE_CHANGED, 1)
    assert place.store.load(with_items=False).conditions["Ready"].status == "True"


def test_a4_a_generation_that_may_not_be_on_the_disk_is_replaced_by_the_next_pass() -> None:
    """A4: a failed fsync after the switch leaves the new generation visible; it is never taken for durable."""
    place = after_change()
    world = World(place)
    act = world._act

    def switch_and_fail(action: actions.Action, remembered: record.Record) -> Acted | Told:
        act(action, remembered)
        raise errors.PublishFailed("step sync-switch: Input/output error (errno 5)", place.disk.generation)

    world._act = switch_and_fail  # type: ignore[method-assign]  # the fault is planted inside the action
    assert converge(world).reason == "PublishFailed"
    assert place.disk.generation == 2
    again = World(place)
    assert converge(again).reason == outcomes.Outcome.DOUBTFUL_GENERATION
    assert place.disk.generation == 3
    assert place.store.load(with_items=False).doubtful_generation is None


def blocked(change: Callable[[Place], Request]) -> tuple[Place, World, report.Report]:
    """A pass over a moved source under a request that forbids it."""
    place = after_change()
    request = change(place)
    world = World(place)
    return place, world, reconciler.reconcile_once(world, request)


def suspended(place: Place) -> Request:
    """Stopped by a person."""
    place.store.suspend(record.Suspension("me", "freeze", "2026-02-20T00:00:00Z"))
    return REQUEST


def held(place: Place) -> Request:
    """This revision is held."""
    place.store.hold(revision(2), "bad")
    return REQUEST


def without_secrets(place: Place) -> Request:
    """A required secret is not set."""
    place.source.missing_secrets = ("AUTH_PASS",)
    return REQUEST


def strict(place: Place) -> Request:
    """A stack is required, and none can be observed."""
    place.source.requirement = compatibility.Requirement("1.0", "docker", "latest")
    return Request(replace(RULES, strict=True))


def with_a_build(place: Place) -> Request:
    """A function brings a Dockerfile."""
    place.docker.obstacle = notices.Blocker("DockerUnavailable", "no engine")
    return REQUEST


def emptied(place: Place) -> Request:
    """The source asks for nothing."""
    place.source.now(revision(3))
    return REQUEST


BLOCKERS = {
    "Suspended": suspended,
    "Held": held,
    "SecretsMissing": without_secrets,
    "StackIncompatible": strict,
    "DockerUnavailable": with_a_build,
    "SourceEmpty": emptied,
}


@pytest.mark.parametrize("reason", BLOCKERS)
def test_a_blocker_performs_nothing_and_is_recorded_once(reason: str) -> None:
    """P6: nothing is built, written or run; one failure is recorded and says why."""
    place, world, ended = blocked(BLOCKERS[reason])
    assert ended.reason == reason
    assert ended.exit_code == errors.MEANINGS[reason].exit_code
    assert ended.hint
    assert world.performed == []
    assert "begin" not in world.calls
    assert world.calls.count("fail") == 1
    assert place.disk.generation == 1
    assert place.history()[-1] == ("failed", reason, 1)


def test_all_blockers_are_told_at_once() -> None:
    place = after_change()
    for block in BLOCKERS.values():
        block(place)
    ended = reconciler.reconcile_once(World(place), strict(place))
    assert ended.reason == "Suspended"
    for reason in ("SecretsMissing", "StackIncompatible", "DockerUnavailable", "SourceEmpty"):
        assert f"{reason}: " in ended.message


def test_b7_applied_but_not_recorded_is_told_and_repaired_by_the_next_pass() -> None:
    """B7: the new set is live, the exit code says that the record does not know it, the next pass records it."""
    place = after_change()
    world = World(place)
    world.recordable = False
    ended = converge(world)
    assert (ended.reason, ended.exit_code, ended.failed) == ("AppliedNotRecorded", 1, True)
    assert ended.changed
    assert place.disk.generation == 2
    repaired = World(place)
    assert converge(repaired).reason == outcomes.Outcome.RECORD_ONLY
    assert place.disk.generation == 2
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_a11_a_record_that_says_more_than_the_disk_shows_is_not_believed() -> None:
    """A11: the volume's content is gone; the record claims that the revision is applied."""
    place = converged(Place())
    place.disk.shown.clear()
    place.disk.generation = None
    ended = converge(World(place))
    assert ended.changed
    assert set(place.disk.shown) == {part.key for part in place.source.parts}


def test_a_saved_plan_is_applied_when_nothing_moved() -> None:
    place = after_change()
    saved = reconciler.plan_once(World(place), REQUEST).preconditions
    ended = reconciler.reconcile_once(World(place), replace(REQUEST, saved=saved))
    assert ended.reason == outcomes.Outcome.SOURCE_CHANGED


MOVES: dict[str, tuple[str, Callable[[Place], object]]] = {
    "the source": ("what the source asks for", lambda place: place.source.now(revision(3), function("a", 3))),
    "CONFIG_DIR": (
        "what CONFIG_DIR shows",
        lambda place: place.disk.shown.update({function("x").key: function("x")}),
    ),
}


@pytest.mark.parametrize("what", MOVES)
def test_a_saved_plan_is_refused_when_something_moved(what: str) -> None:
    place = after_change()
    saved = reconciler.plan_once(World(place), REQUEST).preconditions
    words, move = MOVES[what]
    move(place)
    world = World(place)
    ended = reconciler.reconcile_once(world, replace(REQUEST, saved=saved))
    assert (ended.reason, ended.exit_code) == ("PlanMoved", 77)
    assert words in ended.message
    assert world.performed == []
    assert place.disk.generation == 1


def test_a_saved_plan_is_checked_even_when_there_is_nothing_to_do() -> None:
    place = after_change()
    saved = reconciler.plan_once(World(place), REQUEST).preconditions
    converge(World(place))
    assert reconciler.reconcile_once(World(place), replace(REQUEST, saved=saved)).reason == "PlanMoved"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_planning_takes_no_lock_and_writes_nothing(story: Story) -> None:
    place = story.before()
    facts, writes = place.facts(), place.store.writes
    world = World(place)
    reconciler.plan_once(world, REQUEST)
    assert not {"exclusive", *WRITING} & set(world.calls)
    assert (place.facts(), place.store.writes) == (facts, writes)


@pytest.mark.parametrize("story", [story for story in STORIES if story.act is converge], ids=lambda story: story.name)
def test_a_plan_says_what_the_pass_then_does(story: Story) -> None:
    place = story.before()
    planned = reconciler.plan_once(World(place), REQUEST)
    world = World(place)
    ended = converge(world)
    assert ended.reason == planned.outcome
    if planned.makes_images:  # the rest holds the digests of what is made
        assert tuple(world.performed[: len(planned.actions)]) == planned.actions
    else:
        assert tuple(world.performed) == planned.actions


def test_planning_raises_what_a_pass_would_report() -> None:
    place = after_change()
    place.source.broken = errors.ControllerError("SourceMissing", "gone")
    with pytest.raises(errors.ControllerError) as caught:
        reconciler.plan_once(World(place), REQUEST)
    assert caught.value.reason == "SourceMissing"


def test_a_rollback_needs_no_source_and_is_a_new_generation() -> None:
    """GW3, P4: the old content comes back under a new number and a later time."""
    place = after_two_revisions()
    place.source.broken = errors.ControllerError("SourceMissing", "gone")
    newest = place.disk.newest_mtime_s
    ended = go_back(World(place))
    assert (ended.failed, ended.changed, ended.generation) == (False, True, 3)
    assert set(place.disk.shown) == {function("a").key, function("b").key, route("/a", "a").key}
    assert place.disk.shown[function("a").key] == function("a", 1)
    assert place.disk.newest_mtime_s > newest


def test_a_rolled_back_revision_is_held_until_the_source_changes() -> None:
    place = after_two_revisions()
    go_back(World(place))
    assert [hold.revision for hold in place.store.load(with_items=False).holds] == [revision(2)]
    ended = converge(World(place))
    assert (ended.reason, ended.exit_code) == ("Held", 77)
    assert place.disk.generation == 3
    place.source.now(revision(3), function("a", 3), function("c"), route("/a", "a"))
    assert converge(World(place)).reason == outcomes.Outcome.SOURCE_CHANGED
    assert place.store.load(with_items=False).holds == ()


def test_a_rollback_by_name_goes_there_although_it_is_held() -> None:
    """A person's word counts more than a hold, a suspension or the shrink guard."""
    place = after_two_revisions()
    go_back(World(place))
    place.store.suspend(record.Suspension("me", "freeze", "2026-02-20T00:00:00Z"))
    ended = rollback.roll_back(World(place), REQUEST, revision(2), reason="it was not that")
    assert not ended.failed, ended
    assert place.disk.shown[function("a").key] == function("a", 2)
    assert [hold.revision for hold in place.store.load(with_items=False).holds] == [revision(1)]


@pytest.mark.parametrize("wanted", [None, revision(9), "zz"])
def test_nothing_to_roll_back_to_is_a_refusal_and_says_nothing_of_the_target(wanted: str | None) -> None:
    place = converged(Place())
    world = World(place)
    ended = rollback.roll_back(world, REQUEST, wanted, reason="bad")
    assert (ended.reason, ended.exit_code) == ("NothingToRollBackTo", 77)
    assert world.performed == []
    assert "fail" not in world.calls
    assert place.store.load(with_items=False).conditions["Ready"].status == "True"
