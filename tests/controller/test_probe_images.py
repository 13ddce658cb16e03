"""What registry, engine and record together say of images (contract.md section 5; faults.md H10, H2, F6, P8)."""

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from controller import docker, errors, registry
from controller.probes import asking, images
from core import digest, image_inputs
from tests.fakes import engine as engines
from tests.fakes import registries

OLD, NEW = digest.of_parts(("old",)), digest.of_parts(("new",))
LABEL = image_inputs.LABEL_INPUT


@dataclass
class World:
    """A registry that answers over HTTP, and an engine."""

    fake: registries.Registry
    engine: engines.Engine = field(default_factory=engines.Engine)

    def registry(self, *, deadline_s: float = 120) -> registry.Registry:
        return registry.Registry(insecure_hosts=(), deadline_s=deadline_s, fallback=self.engine.remote_manifest)

    def wanted(self, function: str = "one", **changes: object) -> image_inputs.ImageInput:
        made = image_inputs.ImageInput(
            function=function,
            entry="entry",
            image=f"registry:5010/{function}:v1",
            target=self.target(function),
            context_digest="context",
            dockerfile="FROM base",
        )
        return replace(made, **changes)  # type: ignore[arg-type]  # names and types are the test's own

    def target(self, function: str = "one") -> str:
        return f"{self.fake.address}/{function}:v1"

    def record(self, function: str = "one", made: str = "", *bases: image_inputs.Base) -> image_inputs.ImageRecord:
        wanted = self.wanted(function)
        return image_inputs.ImageRecord(function, wanted.image, wanted.target, wanted.digest, made, bases)

    def push(self, function: str = "one", input_digest: str = "") -> str:
        """Put an image with this label under the function's tag; its digest."""
        return self.fake.put(f"{function}:v1", labels={LABEL: input_digest} if input_digest else {})

    def look(self, wanted: image_inputs.ImageInput, *recorded: image_inputs.ImageRecord) -> image_inputs.ImageLook:
        known = {one.function: one for one in recorded}
        return images.look([wanted], self.registry(), self.engine, known)[wanted.function]

    def base(self, name: str = "base:v1") -> str:
        return f"{self.fake.address}/{name}"


@pytest.fixture
def world() -> Iterator[World]:
    with registries.running() as fake:
        yield World(fake)


# look


def test_the_record_knows_the_input_of_a_tag(world: World) -> None:
    """Nothing but one HEAD; the engine is not asked."""
    made, wanted = world.push(), world.wanted()
    assert world.look(wanted, world.record(made=made)) == image_inputs.ImageLook(made, wanted.digest)
    assert [method for method, _ in world.fake.requests] == ["HEAD"]
    assert world.engine.calls == []


def test_the_engine_knows_the_input_of_what_it_pushed(world: World) -> None:
    made, wanted = world.push(input_digest=NEW), world.wanted()
    held = world.engine.hold(world.target(), {LABEL: wanted.digest})
    world.engine.local[held.id] = replace(held, repo_digests=(f"elsewhere/one@{made}",))
    assert world.look(wanted) == image_inputs.ImageLook(made, wanted.digest, held.id)
    assert world.fake.count("GET") == 0


def test_the_registry_knows_the_input_by_its_label(world: World) -> None:
    wanted = world.wanted()
    made = world.push(input_digest=wanted.digest)
    assert world.look(wanted) == image_inputs.ImageLook(made, wanted.digest)


def test_h10_an_image_of_somebody_else_under_the_tag_has_no_input(world: World) -> None:
    """H10: the tag was overwritten by someone."""
    made = world.push()
    assert world.look(world.wanted(), world.record(made=OLD)) == image_inputs.ImageLook(made)


def test_an_absent_tag_and_an_image_in_the_engine(world: World) -> None:
    wanted = world.wanted()
    held = world.engine.hold("somewhere:else", {LABEL: wanted.digest})
    assert world.look(wanted, world.record(made=OLD)) == image_inputs.ImageLook(engine_image=held.id)


def test_h10_a_registry_that_is_down_is_unreachable_not_absent(world: World) -> None:
    world.push()
    world.fake.fault(registries.Fault(500))
    assert world.look(world.wanted(), world.record(made=OLD)) == image_inputs.ImageLook(reachable=False)


@pytest.mark.parametrize("part", ["blobs", "GET .*manifests"])
def test_h10_labels_that_cannot_be_read_make_the_image_unknown(world: World, part: str) -> None:
    """H10, G3: "not ours" would build it again."""
    wanted = world.wanted()
    world.push(input_digest=wanted.digest)
    world.fake.fault(registries.Fault(body=b"{}"), part)
    assert world.look(wanted) == image_inputs.ImageLook(reachable=False)


def test_h9_what_an_image_says_of_its_platform_does_not_count(world: World) -> None:
    """H9: FROM --platform may give it another one than was asked for, which the input covers."""
    wanted = world.wanted(platform="linux/amd64")
    held = world.engine.hold(world.target(), {LABEL: wanted.digest})
    world.engine.local[held.id] = replace(held, platform="linux/arm64")
    assert world.look(wanted).engine_image == held.id
    assert world.look(world.wanted(platform="linux/arm64")).engine_image == ""


@pytest.mark.parametrize("created", ["1985-11-05T00:53:20Z", "2026-02-20T07:04:04.123456789Z", ""])
def test_h10_an_image_that_inherited_the_label_is_somebody_else_s(world: World, created: str) -> None:
    """H10: the tag was overwritten by an image that is built on ours."""
    wanted = world.wanted()
    foreign = world.fake.put("one:v1", labels={LABEL: wanted.digest}, created=created or "none")
    assert world.look(wanted) == image_inputs.ImageLook(foreign)


def test_h10_an_image_that_inherited_the_label_in_the_engine_is_not_pushed(world: World) -> None:
    wanted = world.wanted()
    world.engine.hold("derived:v1", {LABEL: wanted.digest}, created_s=image_inputs.created_s(wanted.digest) + 1)
    world.engine.hold("undated:v1", {LABEL: wanted.digest, "also": "this"}, created_s=-1)
    assert world.look(wanted) == image_inputs.ImageLook()


def test_h10_what_the_engine_pushed_of_somebody_else_is_not_ours(world: World) -> None:
    """H10: the engine knows the digest under the tag, and that image has the label, from its base."""
    wanted = world.wanted()
    foreign = world.push(input_digest=wanted.digest)
    held = world.engine.hold(world.target(), {LABEL: wanted.digest}, created_s=1)
    world.engine.local[held.id] = replace(held, repo_digests=(f"{world.target().rpartition(':')[0]}@{foreign}",))
    assert world.look(wanted) == image_inputs.ImageLook(foreign)


def test_h10_an_inherited_label_behind_a_login_is_no_input_either(world: World) -> None:
    """H10: where only docker can ask."""
    wanted = world.wanted()
    world.fake.fault(registries.Fault(401))
    foreign = world.engine.publish(world.target(), {LABEL: wanted.digest}, created_s=1)
    assert world.look(wanted) == image_inputs.ImageLook(foreign.digest)
    ours = world.engine.publish(world.target(), {LABEL: wanted.digest})
    assert world.look(wanted) == image_inputs.ImageLook(ours.digest, wanted.digest)


def test_of_several_images_with_the_input_the_one_with_the_name_is_taken(world: World) -> None:
    wanted = world.wanted()
    world.engine.hold("other:v1", {LABEL: wanted.digest})
    held = world.engine.hold(world.target(), {LABEL: wanted.digest})
    world.engine.hold("another:v1", {LABEL: wanted.digest})
    assert world.look(wanted).engine_image == held.id


def test_many_functions_are_each_asked_for_once(world: World) -> None:
    names = [f"f{number}" for number in range(25)]
    inputs = [world.wanted(name) for name in names]
    made = {one.function: world.push(one.function, one.digest) for one in inputs}
    looks = images.look(inputs, world.registry(), world.engine, {})
    assert looks == {one.function: image_inputs.ImageLook(made[one.function], one.digest) for one in inputs}
    assert world.fake.count("HEAD") == len(names)
    assert world.fake.connections <= 2 * asking.AT_ONCE
    assert world.engine.count("labelled_images") == 1


def test_h2_an_engine_that_is_down_is_said(world: World) -> None:
    world.engine.fail("labelled_images", "", errors.ControllerError("DockerUnavailable", "down"))
    with pytest.raises(errors.ControllerError, match="down"):
        world.look(world.wanted())


def test_a_registry_on_the_loopback_of_a_remote_engine_cannot_be_asked(world: World) -> None:
    """What answers at this host's loopback is another registry. What the engine pushed there is known in the pass that
    pushed it (`controller.probes.pushed`); after that, what is recorded is believed."""
    world.engine.remote = True
    world.push()
    assert not world.look(world.wanted()).reachable
    found = images.recheck([world.record(made=OLD)], world.registry(), world.engine)
    assert found.moved == ()
    assert "the engine's own host" in found.unknown[0]
    assert "only what was pulled or pushed there is known" in found.unknown[0]
    assert world.fake.requests == []


# recheck


def test_an_unchanged_world_is_one_head_for_each_reference(world: World) -> None:
    base = image_inputs.Base(world.base(), world.fake.put("base:v1"))
    recorded = [world.record(name, world.push(name), base) for name in ("one", "two", "three")]
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck()
    assert sorted(method for method, _ in world.fake.requests) == ["HEAD"] * 4
    assert world.engine.calls == []


def test_nothing_recorded_asks_nothing(world: World) -> None:
    assert images.recheck([], world.registry(), world.engine) == images.Recheck()
    assert world.fake.requests == []


def test_f6_a_moved_tag_a_gone_one_and_no_other(world: World) -> None:
    """F6: `latest` moved is drift."""
    recorded = [world.record(name, world.push(name)) for name in ("one", "two", "three", "four")]
    world.push("three", NEW)
    world.fake.delete("two:v1")
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck(("two", "three"))


def test_a_moved_base_moves_exactly_the_functions_on_it(world: World) -> None:
    one, two = (image_inputs.Base(world.base(name), world.fake.put(name)) for name in ("base:v1", "base:v2"))
    recorded = [
        world.record("one", world.push("one"), one),
        world.record("two", world.push("two"), two),
        world.record("both", world.push("both"), one, two),
    ]
    world.fake.put("base:v2", labels={"moved": "yes"})
    assert images.recheck(recorded, world.registry(), world.engine).moved == ("two", "both")


def test_functions_may_remember_different_digests_of_one_base(world: World) -> None:
    now, before = (image_inputs.Base(world.base(), known) for known in (world.fake.put("base:v1"), OLD))
    recorded = [world.record("one", world.push("one"), now), world.record("two", world.push("two"), before)]
    assert images.recheck(recorded, world.registry(), world.engine).moved == ("two",)


def test_a_base_that_only_the_engine_has(world: World) -> None:
    held = world.engine.hold(world.base())
    recorded = [world.record("one", world.push("one"), image_inputs.Base(world.base(), held.id))]
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck()
    world.engine.hold(world.base(), {"another": "image"})
    assert images.recheck(recorded, world.registry(), world.engine).moved == ("one",)
    world.engine.local.clear()
    assert images.recheck(recorded, world.registry(), world.engine).moved == ("one",)


def test_a_base_by_its_digest_cannot_move(world: World) -> None:
    pinned = image_inputs.Base(f"{world.base()}@{OLD}", OLD)
    recorded = [world.record("one", world.push("one"), pinned)]
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck()
    assert len(world.fake.requests) == 1


def test_h10_a_registry_that_is_down_is_unknown_and_moves_nothing(world: World) -> None:
    base = image_inputs.Base(world.base(), OLD)
    recorded = [world.record(name, OLD, base) for name in ("one", "two")]
    world.fake.stop()
    found = images.recheck(recorded, world.registry(), world.engine)
    assert found == images.Recheck(unknown=(f"{world.fake.address}: nothing listens at the registry's address",))
    assert world.engine.calls == []


def test_h10_a_hung_registry_ends_at_one_deadline_whatever_the_number(world: World) -> None:
    world.fake.fault(registries.Fault(hang=True))
    recorded = [world.record(f"f{number}", OLD) for number in range(30)]
    found = images.recheck(recorded, world.registry(deadline_s=0.2), world.engine)
    assert found.moved == ()
    assert found.unknown == (f"{world.fake.address}: the registry did not answer within 0.2 s",)
    assert world.fake.count("HEAD") <= asking.AT_ONCE


def test_docker_hub_is_not_asked_for_what_the_engine_holds_as_recorded(world: World) -> None:
    """Each question to it is a process, and counts as a pull."""
    held = world.engine.hold("python:3.11")
    world.engine.local[held.id] = replace(held, repo_digests=(f"python@{OLD}",))
    recorded = [world.record("one", world.push("one"), image_inputs.Base("python:3.11", OLD))]
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck()
    assert world.engine.count("remote_manifest") == 0
    world.engine.local.clear()
    assert images.recheck(recorded, world.registry(), world.engine).moved == ("one",)
    assert world.engine.count("remote_manifest") == 1


def test_without_internet_a_base_that_was_loaded_anew_has_moved(world: World) -> None:
    """contract.md section 5: hosts without internet access build too."""
    world.engine.fail("remote_manifest", "", engines.failed("dial tcp: no route"), times=9)
    before = world.engine.hold("python:3.11")
    recorded = [world.record("one", world.push("one"), image_inputs.Base("python:3.11", before.id))]
    assert images.recheck(recorded, world.registry(), world.engine) == images.Recheck()
    world.engine.hold("python:3.11", {"another": "image"})
    found = images.recheck(recorded, world.registry(), world.engine)
    assert found.moved == ("one",)
    assert found.unknown == ("docker.io: docker cannot ask the registry: dial tcp: no route",)


# bases


def bases(world: World, *references: str, recorded: str = "") -> images.Bases:
    known = dict.fromkeys(references, recorded) if recorded else {}
    return images.bases(references, world.registry(), world.engine, known)


def test_a_base_is_what_the_registry_says(world: World) -> None:
    """Also when the engine has another, or the record."""
    made = world.fake.put("base:v1")
    world.engine.hold(world.base())
    found = bases(world, world.base(), recorded=OLD)
    assert found == images.Bases({world.base(): image_inputs.Base(world.base(), made)}, {world.base()}, {}, {})  # type: ignore[arg-type]  # a set equals a frozenset
    assert world.engine.calls == []


def test_a_base_that_registry_and_engine_have_alike_is_pinned(world: World) -> None:
    made, held = world.fake.put("base:v1"), world.engine.hold(world.base())
    world.engine.local[held.id] = replace(held, repo_digests=(f"{world.base('base')}@{made}",))
    assert bases(world, world.base()).in_registry == {world.base()}


def test_a_base_that_only_the_engine_has_is_its_digest_in_the_repository_or_its_id(world: World) -> None:
    held = world.engine.hold(world.base())
    assert bases(world, world.base()).found[world.base()].digest == held.id
    elsewhere, here = f"elsewhere/base@{OLD}", f"{world.base('base')}@{NEW}"
    world.engine.local[held.id] = replace(held, repo_digests=(elsewhere, here))
    found = bases(world, world.base())
    assert found.found[world.base()].digest == NEW
    assert found.in_registry == frozenset()


def test_what_the_record_says_of_an_image_in_the_engine_stays(world: World) -> None:
    """One image has an id and perhaps several digests: that it got another one is no change."""
    held = world.engine.hold(world.base())
    world.engine.local[held.id] = replace(held, repo_digests=(f"{world.base('base')}@{OLD}",))
    assert bases(world, world.base(), recorded=held.id).found[world.base()].digest == held.id


def test_a_base_that_nobody_has_is_missing(world: World) -> None:
    """A record of it does not bring it back."""
    found = bases(world, world.base(), recorded=OLD)
    assert found.missing == {world.base(): "neither the registry nor the engine has it"}
    assert not found.found
    assert not found.unreachable


def test_h10_a_base_that_nobody_can_say_anything_about(world: World) -> None:
    world.fake.fault(registries.Fault(500))
    found = bases(world, world.base())
    assert found.unreachable == {world.base(): "the registry answered with status 500, and the engine does not have it"}
    assert not found.found
    assert not found.missing


def local(image: docker.EngineImage, *_: str) -> docker.EngineImage:
    return image


def pulled(image: docker.EngineImage, repository: str) -> docker.EngineImage:
    return replace(image, repo_digests=(f"{repository}@{NEW}",))


def by_manifest(image: docker.EngineImage, repository: str) -> docker.EngineImage:
    return replace(image, repo_digests=(f"{repository}@{image.id}",))


@pytest.mark.parametrize(
    ("held", "recorded", "expected", "is_pinned"),
    [
        (None, OLD, OLD, True),
        (local, "", "id", False),
        (local, OLD, "id", False),
        (pulled, "", NEW, False),
        (pulled, NEW, NEW, False),
        (pulled, OLD, OLD, True),
        (by_manifest, OLD, "id", False),
    ],
    ids=["recorded", "local", "loaded-anew", "pulled", "pulled-as-recorded", "older-copy", "ids-are-manifests"],
)
def test_h10_while_the_registry_is_down(
    world: World,
    held: Callable[[docker.EngineImage, str], docker.EngineImage] | None,
    recorded: str,
    expected: str,
    is_pinned: bool,
) -> None:
    """H10: an old copy in the engine does not overrule the record. A recorded digest that the engine does not have is
    pinned: a build on what the engine has would be labelled as one on what the record says."""
    image = world.engine.hold(world.base()) if held else None
    if image and held:
        world.engine.local[image.id] = held(image, world.base("base"))
    world.fake.fault(registries.Fault(503))
    found = bases(world, world.base(), recorded=recorded)
    assert found.found[world.base()].digest == (image.id if image and expected == "id" else expected)
    assert (world.base() in found.in_registry) is is_pinned


def test_a_base_that_names_its_digest_is_not_asked_for(world: World) -> None:
    reference = f"{world.base()}@{OLD}"
    found = bases(world, reference)
    assert found.found == {reference: image_inputs.Base(reference, OLD)}
    assert world.fake.requests == []


def test_names_of_docker_hub_in_any_spelling_are_one_repository(world: World) -> None:
    held = world.engine.hold("docker.io/library/python:3.11")
    world.engine.local[held.id] = replace(held, repo_digests=(f"python@{OLD}",))
    assert bases(world, "docker.io/library/python:3.11").found["docker.io/library/python:3.11"].digest == OLD


# asking


def test_p8_a_signal_ends_every_question(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: not at the deadline, at once; children of docker too."""
    ended = threading.Event()
    monkeypatch.setattr(docker, "terminate_children", ended.set)
    world.fake.fault(registries.Fault(hang=True))

    def interrupt(signum: int, _: object) -> None:
        raise errors.Interrupted(signum)

    def send() -> None:
        world.fake.arrivals.acquire(timeout=60)
        signal.pthread_kill(waiting, signal.SIGUSR1)

    waiting = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(errors.Interrupted):
            images.recheck([world.record(made=OLD)], world.registry(deadline_s=3600), world.engine)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert ended.is_set()
