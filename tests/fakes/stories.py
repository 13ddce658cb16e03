"""Places that a pass begins at, world in and world out, for the tests of `controller.reconciler`."""

from collections.abc import Callable
from dataclasses import dataclass

from controller import reconciler, report, rollback
from controller.world import Request
from core import ownership, policy
from tests.fakes.world import Place, World, function, revision, route, table

RULES = policy.Policy()
REQUEST = Request(RULES)

Act = Callable[[World], report.Report]


def converge(world: World) -> report.Report:
    """One pass."""
    return reconciler.reconcile_once(world, REQUEST)


def go_back(world: World) -> report.Report:
    """A rollback to the revision before."""
    return rollback.roll_back(world, REQUEST, None, reason="bad")


def converged(place: Place) -> Place:
    """The same place after a pass."""
    assert not converge(World(place)).failed
    return place


def changed(place: Place) -> Place:
    """The same place; its source asks for something else."""
    place.source.now(revision(2), function("a", 2), function("c"), route("/a", "a"))
    return place


@dataclass(frozen=True, slots=True)
class Story:
    """Where a place stands before the pass that is cut off."""

    name: str
    before: Callable[[], Place]
    act: Act = converge


def first_publish() -> Place:
    """Nothing published, nothing recorded."""
    return Place()


def after_change() -> Place:
    """Published and recorded, and the source has moved on."""
    return changed(converged(Place()))


def after_drift() -> Place:
    """Somebody edited one function and removed another thing."""
    place = converged(Place())
    place.disk.shown[function("a").key] = function("a", 99)
    del place.disk.shown[route("/a", "a").key]
    return place


def after_a_cut_off_publish() -> Place:
    """In sync but for leftovers."""
    place = converged(Place())
    place.disk.leftovers = ("..data_tmp", "..gen-000009")
    return place


def after_a_lost_record() -> Place:
    """CONFIG_DIR is as wanted; the record knows nothing."""
    return Place(disk=converged(Place()).disk)


def after_two_revisions() -> Place:
    """A revision to go back to."""
    return converged(after_change())


def with_docker() -> Place:
    """A function that is built, a table, and a stack with a provisioner; nothing published."""
    place = Place()
    place.source.parts = (function("a"), function("b"), route("/a", "a"), table("t"))
    place.source.builds = (("entry", "a"),)
    place.docker.provisioner = True
    return place


def after_changed_code() -> Place:
    """Published, and the code of a function that is built has moved on."""
    place = converged(with_docker())
    place.source.revision, place.source.code["a"] = revision(2), 2
    return place


def after_changed_resources() -> Place:
    """Published, and there are code and tables of a new kind."""
    place = after_changed_code()
    place.source.parts = (*place.source.parts, table("u"))
    return place


def after_a_lost_image() -> Place:
    """Published, and the registry has forgotten everything; the engine has not."""
    place = converged(with_docker())
    place.docker.tags.clear()
    return place


def after_a_lost_older_image() -> Place:
    """Two revisions of code; the registry has forgotten the older one, and the engine has not."""
    place = converged(after_changed_code())
    (live,) = (digest for digest, _ in place.docker.tags.values())
    place.docker.manifests = {live}
    return place


def of_somebody_else() -> Place:
    """Published, taken over by another controller, and the source has moved on (faults.md B8)."""
    place = after_change()
    place.disk.owner = ownership.Owner("theirs", sources=(ownership.Source("git", "other", "ba9876543210"),))
    return place


def take_over(world: World) -> report.Report:
    """One pass that was told to."""
    return reconciler.reconcile_once(world, Request(RULES, policy.Permissions(take_over=True)))


STORIES = (
    Story("first publish", first_publish),
    Story("taken over", of_somebody_else, take_over),
    Story("changed source", after_change),
    Story("drift", after_drift),
    Story("leftovers", after_a_cut_off_publish),
    Story("lost record", after_a_lost_record),
    Story("in sync", lambda: converged(Place())),
    Story("rollback", after_two_revisions, go_back),
    Story("images and resources", with_docker),
    Story("changed code", after_changed_code),
    Story("changed resources", after_changed_resources),
    Story("lost image", after_a_lost_image),
    Story("rolled back code", lambda: converged(after_changed_code()), go_back),
    Story("rolled back to a lost image", after_a_lost_older_image, go_back),
)
