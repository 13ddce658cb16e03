"""A pass with images, a stack and a provisioner, world in and world out."""

from dataclasses import replace

import pytest

from controller import errors, reconciler
from core import actions, compatibility, digest, image_work, items, notices, outcomes, policy, stack
from manifests import pinning
from tests.fakes.stories import (
    REQUEST,
    RULES,
    after_a_lost_image,
    after_a_lost_older_image,
    after_changed_code,
    after_changed_resources,
    converge,
    converged,
    go_back,
    with_docker,
)
from tests.fakes.world import Place, World, function, revision, table

FUNCTION = items.ItemKey(items.Kind.FUNCTION, "a")
DOCKER_STACK = stack.Stack("p", (stack.Service("gateway", "esb-gateway-docker:v1", "v1"),), source="project p")
CONTAINERD_STACK = stack.Stack("p", (stack.Service("gateway", "esb-gateway-containerd:v1", "v1"),), source="project p")


def image_shown(place: Place) -> str:
    """The image that the published function names."""
    return pinning.image_of(place.disk.shown[FUNCTION])


def kinds(world: World) -> list[str]:
    """What a pass did, in order."""
    return [type(action).__name__ for action in world.performed]


def test_first_apply_builds_pushes_provisions_and_then_publishes_the_digest() -> None:
    world = World(with_docker())
    assert converge(world).reason == outcomes.Outcome.FIRST_PUBLISH
    assert kinds(world) == ["Build", "Push", "PublishResources", "Provision", "Publish"]
    ((digest, _),) = world.place.docker.tags.values()
    assert image_shown(world.place) == f"x:1@{digest}"


def test_p8_the_second_pass_does_nothing_at_all() -> None:
    """No build, no push, no provisioner, no write, and not one document is read."""
    world = World(converged(with_docker()))
    ended = converge(world)
    assert (ended.reason, ended.changed) == (outcomes.Outcome.IN_SYNC, False)
    assert world.performed == []
    assert not {"read", "images", "begin", "succeed"} & set(world.calls)


def test_h9_changed_code_is_one_build_and_changes_only_its_function() -> None:
    world = World(after_changed_code())
    before = image_shown(world.place)
    ended = converge(world)
    assert kinds(world) == ["Build", "Push", "Publish"]
    assert world.place.docker.builds == ["a", "a"]
    assert image_shown(world.place) != before
    assert ended.decision is not None
    assert [(change.key.name, str(change.effect)) for change in ended.decision.comparison.changes] == [("a", "rebuild")]
    assert [work.why for work in ended.decision.images] == [image_work.Why.INPUT_CHANGED]


def test_an_image_that_the_registry_lost_is_pushed_again_and_nothing_is_published() -> None:
    world = World(after_a_lost_image())
    ended = converge(world)
    assert (ended.reason, kinds(world)) == (outcomes.Outcome.DRIFTED, ["Push", "Confirm"])
    assert World(world.place).place.disk.generation == 2
    assert converge(World(world.place)).reason == outcomes.Outcome.IN_SYNC


def test_an_image_that_somebody_moved_is_drift_and_heals() -> None:
    place = converged(with_docker())
    (target,) = place.docker.tags
    place.docker.tags[target] = ("sha256:foreign", "")
    ended = converge(World(place))
    assert ended.reason == outcomes.Outcome.DRIFTED
    assert ended.decision is not None
    assert [work.why for work in ended.decision.images] == [image_work.Why.MOVED]


@pytest.mark.parametrize("step", [actions.Build, actions.Push])
def test_h10_a_failed_build_or_push_changes_nothing_and_the_next_pass_converges(step: type[actions.Action]) -> None:
    place = after_changed_resources()
    before = dict(place.disk.shown)
    place.docker.refusing[step] = errors.ControllerError("ImagePushFailed", "registry down")
    ended = converge(World(place))
    assert (ended.reason, ended.exit_code) == ("ImagePushFailed", 80)
    assert dict(place.disk.shown) == before
    place.docker.refusing.clear()
    assert converge(World(place)).reason == outcomes.Outcome.SOURCE_CHANGED
    assert place.docker.builds.count("a") == 2, "what was built is not built again"


def test_h4_a_failed_provisioner_leaves_the_previous_functions_live_and_is_run_again() -> None:
    place = after_changed_resources()
    before = {key: item for key, item in place.disk.shown.items() if key.kind is not items.Kind.TABLE}
    place.docker.refusing[actions.Provision] = errors.ControllerError("ProvisionerFailed", "exited with 1")
    ended = converge(World(place))
    assert (ended.reason, ended.exit_code) == ("ProvisionerFailed", 81)
    after = {key: item for key, item in place.disk.shown.items() if key.kind is not items.Kind.TABLE}
    assert after == before
    place.docker.refusing.clear()
    again = World(place)
    assert converge(again).reason == outcomes.Outcome.SOURCE_CHANGED
    assert kinds(again) == ["Provision", "Publish"]
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_pr2_resources_that_did_not_change_run_no_provisioner() -> None:
    place = converged(with_docker())
    place.source.revision, place.source.parts = revision(2), (function("b", 2), *place.source.parts[1:])
    place.source.builds = ()
    world = World(place)
    assert not converge(world).failed
    assert "Provision" not in kinds(world)


def test_provision_always_runs_it_in_every_pass() -> None:
    place = converged(with_docker())
    world = World(place)
    always = replace(REQUEST, rules=replace(RULES, provision=policy.Provision.ALWAYS))
    assert reconciler.reconcile_once(world, always).reason == outcomes.Outcome.PROVISION_DUE
    assert kinds(world) == ["Provision", "Confirm"]


def test_a_rollback_brings_the_old_code_back() -> None:
    place = with_docker()
    converged(place)
    before = image_shown(place)
    place.source.revision, place.source.code["a"] = revision(2), 2
    converged(place)
    assert image_shown(place) != before
    assert not go_back(World(place)).failed
    assert image_shown(place) == before


def test_h10_a_rollback_pushes_what_only_the_engine_has_before_it_publishes() -> None:
    place = after_a_lost_older_image()
    older = first_image()
    assert older.partition("@")[2] not in place.docker.manifests
    world, publishes = World(place), place.disk.generation
    ended = go_back(world)
    assert (ended.reason, kinds(world)) == (outcomes.Outcome.ROLLED_BACK, ["Push", "Publish"])
    assert (image_shown(place), place.disk.generation) == (older, (publishes or 0) + 1)
    assert older.partition("@")[2] in place.docker.manifests
    assert place.docker.builds == ["a", "a"], "nothing is built for a rollback"


def test_h10_a_rollback_to_an_image_that_is_nowhere_is_refused_and_nothing_changes() -> None:
    place = after_a_lost_older_image()
    older = first_image()
    place.docker.kept.clear()
    facts, world = place.facts(), World(place)
    ended = go_back(world)
    assert (ended.reason, ended.exit_code, world.performed) == ("ImageLost", 77, [])
    assert (older in ended.message, "function a" in ended.message) == (True, True)
    assert "a new revision" in ended.hint
    assert place.facts() == facts
    assert "fail" not in world.calls, "what was asked for cannot be done; what is live is as well as before"
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_h10_a_rollback_while_the_registry_is_down_goes_on_and_says_what_it_did_not_see() -> None:
    place = after_a_lost_older_image()
    place.docker.reachable = False
    world = World(place)
    ended = go_back(world)
    assert (ended.reason, kinds(world)) == (outcomes.Outcome.ROLLED_BACK, ["Publish"])
    assert image_shown(place) == first_image()
    assert [note for note in ended.notes if note.startswith("ImageNotChecked: function a")]


@pytest.mark.parametrize("then", ["gone", "silent"])
def test_h10_a_rollback_publishes_nothing_when_the_pushed_digest_is_not_there(then: str) -> None:
    place = after_a_lost_older_image()

    class Forgetful(World):
        def _act(self, action: actions.Action, remembered: object) -> object:  # type: ignore[override]  # loses what it is given
            done = super()._act(action, remembered)  # type: ignore[arg-type]  # as above
            place.docker.manifests.clear()
            place.docker.reachable = then == "gone"
            return done

    before = image_shown(place), place.disk.generation
    ended = go_back(Forgetful(place))
    assert (ended.reason, "function a" in ended.message) == ("ImagePushFailed", True)
    assert (image_shown(place), place.disk.generation) == before


def test_h10_a_rollback_whose_push_fails_publishes_nothing_and_can_be_asked_for_again() -> None:
    place = after_a_lost_older_image()
    place.docker.refusing[actions.Push] = errors.ControllerError("ImagePushFailed", "no")
    before = image_shown(place)
    assert (go_back(World(place)).reason, image_shown(place)) == ("ImagePushFailed", before)
    place.docker.refusing.clear()
    assert not go_back(World(place)).failed
    assert image_shown(place) == first_image()


def test_h10_what_was_built_anew_is_not_believed_when_the_registry_falls_silent_after_the_push() -> None:
    """The image has another digest than the recorded one, which may be gone."""
    place = converged(with_docker())
    place.docker.tags.clear()
    place.docker.built.clear()

    class Silent(World):
        def _act(self, action: actions.Action, remembered: object) -> object:  # type: ignore[override]  # its registry falls silent
            done = super()._act(action, remembered)  # type: ignore[arg-type]  # as above
            place.docker.reachable = not isinstance(action, actions.Push)
            return done

    world = Silent(place)
    assert (converge(world).reason, kinds(world)) == ("ImagePushFailed", ["Build", "Push"])


def first_image() -> str:
    """The image that is published first for this code: the same every time."""
    return image_shown(converged(with_docker()))


def test_h8_another_stack_under_an_applied_artifact_is_noticed_and_refused() -> None:
    place = with_docker()
    place.source.requirement = compatibility.Requirement("1.0", "docker", "v1")
    place.docker.running = DOCKER_STACK
    converged(place)
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC
    place.docker.running = CONTAINERD_STACK
    world = World(place)
    assert (converge(world).exit_code, world.performed) == (76, [])


def test_76_comes_before_any_build() -> None:
    place = with_docker()
    place.source.requirement = compatibility.Requirement("1.0", "docker", "v1")
    place.docker.running = CONTAINERD_STACK
    world = World(place)
    assert (converge(world).reason, world.performed, place.docker.builds) == ("StackIncompatible", [], [])


def test_health_is_recorded_when_it_changes_and_only_then() -> None:
    place = with_docker()
    place.docker.running = DOCKER_STACK
    converged(place)
    writes = place.store.writes
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC
    assert place.store.writes == writes
    sick = replace(DOCKER_STACK.services[0], health="unhealthy")
    place.docker.running = replace(DOCKER_STACK, services=(sick,))
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC
    healthy = place.store.load(with_items=False).conditions["Healthy"]
    assert (healthy.status, place.store.writes) == ("False", writes + 1)


def test_h10_an_unreachable_registry_is_no_reason_to_act() -> None:
    place = converged(with_docker())
    place.docker.reachable = False
    world = World(place)
    assert (converge(world).reason, world.performed) == (outcomes.Outcome.IN_SYNC, [])


def test_h10_what_was_pushed_must_be_there_before_it_is_published() -> None:
    place = with_docker()

    class Forgetful(World):
        def _act(self, action: actions.Action, remembered: object) -> object:  # type: ignore[override]  # loses what it is given
            done = super()._act(action, remembered)  # type: ignore[arg-type]  # as above
            place.docker.tags.clear()
            return done

    ended = converge(Forgetful(place))
    assert (ended.reason, place.disk.generation) == ("ImagePushFailed", None)


def test_images_of_somebody_else_are_published_as_they_are_named() -> None:
    place = with_docker()
    allowed = policy.Permissions(skip_images=True)
    world = World(place)
    assert not reconciler.reconcile_once(world, replace(REQUEST, allowed=allowed)).failed
    assert (image_shown(place), place.docker.builds) == ("x:1", [])


SKIPPING = replace(REQUEST, allowed=policy.Permissions(skip_images=True))


def test_p8_a_pass_without_images_leaves_what_one_with_them_published() -> None:
    place = converged(with_docker())
    world = World(place)
    assert reconciler.reconcile_once(world, SKIPPING).reason == outcomes.Outcome.IN_SYNC
    assert not {"read", "images", "images_unmoved", "begin", "succeed"} & set(world.calls)
    assert converge(World(place)).reason == outcomes.Outcome.IN_SYNC


def test_p8_what_a_pass_without_images_leaves_is_looked_at_by_the_next_one_with_them() -> None:
    """What is in order without images need not be in order with them."""
    place = after_changed_code()
    before, world = image_shown(place), World(place)
    ended = reconciler.reconcile_once(world, SKIPPING)
    assert (ended.reason, image_shown(place), place.docker.builds) == ("RecordOnly", before, ["a"])
    assert [note for note in ended.notes if note.startswith("ImageSkipped: function a: ")]
    again = World(place)
    assert not converge(again).failed
    assert (kinds(again), place.docker.builds) == (["Build", "Push", "Publish"], ["a", "a"])
    assert image_shown(place) != before


def test_nothing_is_rebuilt_by_a_pass_without_images() -> None:
    place = converged(with_docker())
    longer = replace(function("a"), digest="sha256:longer", text=f"{function('a').text}  timeout: 3\n")
    place.source.now(revision(2), longer, *place.source.parts[1:])
    planned = reconciler.plan_once(World(place), SKIPPING)
    assert [(change.key.name, str(change.effect)) for change in planned.comparison.changes] == [("a", "reload")]
    assert (planned.images, planned.makes_images) == ((), False)


def events(place: Place) -> list[tuple[str, str]]:
    """Reason and subject of every event, oldest first."""
    return [(row.reason, row.subject) for row in reversed(place.store.events())]


def test_images_that_were_made_are_told_once_each_beside_what_was_published() -> None:
    place = converged(with_docker())
    assert [subject for _, subject in events(place)] == ["function a", "function b", "route /a:GET", "table t"]
    assert events(place)[0] == ("NewImage", "function a")
    place.docker.tags.clear()
    converged(place)
    assert events(place)[4:] == [("ImageGone", "function a")]


@pytest.mark.parametrize("reason", ["ProvisionerFailed", "StackIncompatible"])
def test_images_that_a_failing_pass_has_made_are_told_too(reason: str) -> None:
    """The next pass finds them in the registry and makes none; that they were made would be lost."""
    place = after_changed_resources()
    known = len(events(place))

    class Changing(World):
        def _act(self, action: actions.Action, remembered: object) -> object:  # type: ignore[override]  # the stack goes another way while images are pushed
            if isinstance(action, actions.Push) and reason == "StackIncompatible":
                place.docker.obstacle = notices.Blocker(reason, "no")
            return super()._act(action, remembered)  # type: ignore[arg-type]  # as above

    if reason == "ProvisionerFailed":
        place.docker.refusing[actions.Provision] = errors.ControllerError(reason, "exited with 1")
    assert converge(Changing(place)).reason == reason
    assert events(place)[known:] == [("ImageInputChanged", "function a")]
    place.docker.refusing.clear()
    place.docker.obstacle = None
    converged(place)
    assert ("ChangedInSource", "function a") in events(place)[known + 1 :]


def test_h10_a_rollback_tells_of_what_it_pushed_by_its_digest() -> None:
    place = after_a_lost_older_image()
    go_back(World(place))
    (row, *_) = (row for row in place.store.events() if row.subject == "function a")
    shown = digest.short(first_image().partition("@")[2])
    assert (row.reason, row.message) == ("ImageGone", f"~ rebuild (ChangedInSource); image pushed, digest {shown}")


def test_h9_two_functions_under_one_image_are_refused() -> None:
    """They would push each other's image away for ever."""
    place = with_docker()
    place.source.builds = (("entry", "a"), ("entry", "b"))
    world = World(place)
    ended = converge(world)
    assert (ended.reason, ended.exit_code, world.performed) == ("ImageConflict", 65, [])


def test_no_cache_builds_everything_once_more() -> None:
    place = converged(with_docker())
    world = World(place)
    ended = reconciler.reconcile_once(world, replace(REQUEST, allowed=policy.Permissions(rebuild=True)))
    assert not ended.failed
    assert kinds(world) == ["Build", "Push", "Confirm"]


def two_revisions_of_a_stack() -> Place:
    """Two revisions that differ in a table, and require a stack of docker; the manifest names its project."""
    place = with_docker()
    place.source.project = "shop"
    place.source.requirement = compatibility.Requirement("1.0", "docker", "v1")
    place.docker.running = DOCKER_STACK
    converged(place)
    place.source.revision, place.source.parts = revision(2), (*place.source.parts, table("u"))
    converged(place)
    place.source.broken = errors.ControllerError("SourceMissing", "gone")
    return place


def test_gw3_a_rollback_runs_the_provisioner_of_the_project_that_the_manifest_named() -> None:
    place = two_revisions_of_a_stack()
    ended = go_back(World(place))
    assert (ended.reason, place.docker.projects) == (outcomes.Outcome.ROLLED_BACK, ["shop"] * 3)
    assert not [note for note in ended.notes if note.startswith("NoStack")]
    assert [(known.project, known.requirement) for known in place.store.applied_sets()] == [
        ("shop", compatibility.Requirement("1.0", "docker", "v1"))
    ] * 2


def test_gw3_a_rollback_without_a_stack_says_so() -> None:
    place = converged(after_changed_code())
    assert [note for note in go_back(World(place)).notes if note.startswith("NoStack")]


def test_h8_a_rollback_to_what_the_running_stack_cannot_take_is_76_and_changes_nothing() -> None:
    """Before anything is written: contract.md sections 6 and 9. What is refused holds nothing either."""
    place = two_revisions_of_a_stack()
    place.docker.running = CONTAINERD_STACK
    shown, world = dict(place.disk.shown), World(place)
    ended = go_back(world)
    assert (ended.reason, ended.exit_code, world.performed) == ("StackIncompatible", 76, [])
    assert (dict(place.disk.shown), place.store.load(with_items=False).holds) == (shown, ())
    assert not {"hold", "begin"} & set(world.calls)


def test_h8_a_rollback_is_judged_by_what_the_earlier_set_required() -> None:
    """The live revision may be there because the stack was exchanged."""
    place = two_revisions_of_a_stack()
    place.source.broken, place.source.revision = None, revision(3)
    place.source.parts = (*place.source.parts[:-1], table("v"))
    place.source.requirement = compatibility.Requirement("1.0", "containerd", "v1")
    place.docker.running = CONTAINERD_STACK
    converged(place)
    assert go_back(World(place)).exit_code == 76


def test_gw3_a_rollback_that_ends_with_81_is_not_undone_by_the_next_pass() -> None:
    place = two_revisions_of_a_stack()
    place.docker.refusing[actions.Provision] = errors.ControllerError("ProvisionerFailed", "exited with 1")
    world = World(place)
    assert go_back(world).exit_code == 81
    assert world.calls.index("hold") < world.calls.index("begin") < world.calls.index("perform")
    assert [hold.revision for hold in place.store.load(with_items=False).holds] == [revision(2)]
    place.source.broken = None
    place.docker.refusing.clear()
    after = World(place)
    assert (converge(after).reason, after.performed) == ("Held", [])
    assert not go_back(World(place)).failed
    assert table("u").key not in place.disk.shown
    assert [hold.revision for hold in place.store.load(with_items=False).holds] == [revision(2)]
