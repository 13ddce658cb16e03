"""H10: the images of an earlier set, asked for over HTTP and in an engine in memory (contract.md section 5)."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from controller import clock, docker, errors, pinned_images, registry, settings, state, status, target, world
from core import actions, desired, digest, image_inputs, image_work, items, record
from tests.fakes import engine as engines
from tests.fakes import registries

LABELS = {image_inputs.LABEL_INPUT: "sha256:input"}
GONE = digest.of_parts(("gone",))


@dataclass
class Place:
    """One registry, one engine, and the images of a set by function."""

    fake: registries.Registry
    engine: engines.Engine = field(default_factory=engines.Engine)
    images: dict[str, str] = field(default_factory=dict)

    @property
    def side(self) -> pinned_images.PinnedImages:
        """What is tested."""
        names = {("registry", "runtime"): "registry:5010", ("registry", "host"): self.fake.address}
        return pinned_images.PinnedImages(lambda: self.engine, self.new_registry, settings.load(None, names))  # type: ignore[arg-type,return-value]  # the fake offers what the engine does

    def new_registry(self) -> registry.Registry:
        return registry.Registry(insecure_hosts=(), deadline_s=5, fallback=self.engine.remote_manifest)

    @property
    def wanted(self) -> desired.Desired:
        """The set."""
        found = [items.ItemKey(items.Kind.FUNCTION, name) for name in self.images]
        texts = {key: f"{key.name}:\n  image: {self.images[key.name]}\n" for key in found}
        return desired.Desired(
            revision="sha256:old",
            items={key: items.Item(key, digest.of_value(text), text, 1) for key, text in texts.items()},
            provenance={key: desired.Provenance("entry", "then", 0) for key in found},
        )

    def see(self) -> world.Images:
        """The look at all of them."""
        return self.side.see(self.wanted, record.Record())

    def engine_only(self, labels: Mapping[str, str] = LABELS) -> str:
        """An image ``list:v1`` that was pushed once, and is now only in the engine; the digest that it had."""
        target = f"{self.fake.address}/list:v1"
        image = self.engine.hold(target, labels)
        self.engine.push(target)
        self.engine.calls.clear()
        self.engine.tag(self.engine.hold("other:1").id, target)
        ((name, made),) = [one.split("@") for one in self.engine.local[image.id].repo_digests]
        assert name == f"{self.fake.address}/list"
        return made


@pytest.fixture
def place() -> Iterator[Place]:
    with registries.running() as found:
        yield Place(found)


def needs(seen: world.Images) -> list[tuple[image_work.Need, bool]]:
    return [(work.need, work.known) for work in seen.works]


def test_h10_what_the_registry_has_is_one_question_for_each_digest_and_the_engine_is_left_alone(place: Place) -> None:
    made = place.fake.put("list:v1")
    place.fake.put("list:v1", labels={"newer": "1"})
    place.images = dict.fromkeys(("a", "b"), f"registry:5010/list:v1@{made}") | {"c": "nginx:1"}
    assert needs(place.see()) == [(image_work.Need.NOTHING, True)]
    assert place.fake.requests == [("HEAD", f"/v2/list/manifests/{made}")]
    assert place.engine.calls == []


def test_tags_cannot_be_looked_for_by_digest(place: Place) -> None:
    place.images = {"a": "registry:5010/list:v1"}
    assert place.see() == world.Images()
    assert place.fake.requests == []


def test_h10_what_only_the_engine_has_is_tagged_and_pushed(place: Place, tmp_path: Path) -> None:
    made = place.engine_only()
    place.images = {"a": f"registry:5010/list:v1@{made}"}
    seen = place.see()
    assert needs(seen) == [(image_work.Need.PUSH, True)]
    place.side.push(actions.Push(seen.works), tmp_path / "scratch")
    target = f"{place.fake.address}/list:v1"
    assert place.engine.calls[-2:] == [("tag", target), ("push", target)]
    assert place.engine.registry[target].digest == made


def test_h10_an_image_that_was_not_built_here_is_not_pushed_for_somebody(place: Place) -> None:
    place.images = {"a": f"registry:5010/list:v1@{place.engine_only(labels={})}"}
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert told.value.reason == "ImageLost"


def test_h10_what_is_nowhere_is_told_with_its_functions(place: Place) -> None:
    place.images = dict.fromkeys(("a", "b"), f"registry:5010/list:v1@{GONE}")
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert (told.value.reason, told.value.meaning.exit_code) == ("ImageLost", 77)
    expected = f"neither the registry nor the engine has registry:5010/list:v1@{GONE} (functions a, b)"
    assert told.value.message == expected


def test_h10_h2_an_engine_that_is_away_is_told_with_what_is_lost(place: Place) -> None:
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    place.engine.fail("images", "", errors.ControllerError("DockerUnavailable", "no engine"))
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert told.value.message.endswith("(function a); the engine could not be asked: no engine")


def test_another_failure_of_the_engine_is_not_taken_for_absence(place: Place) -> None:
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    place.engine.fail("images", "", errors.ControllerError("SettingsInvalid", "docker.host"))
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert told.value.reason == "SettingsInvalid"


@pytest.mark.parametrize("fault", [registries.Fault(drop=True), registries.Fault(status=503)])
def test_h10_a_registry_that_does_not_answer_is_no_refusal(place: Place, fault: registries.Fault) -> None:
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    place.fake.fault(fault)
    assert needs(place.see()) == [(image_work.Need.NOTHING, False)]
    assert place.engine.calls == []


def test_h10_a_registry_that_only_a_remote_engine_reaches_is_no_refusal(place: Place) -> None:
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    place.engine.remote = True
    assert needs(place.see()) == [(image_work.Need.NOTHING, False)]
    assert place.fake.requests == []


def test_h2_a_docker_command_that_is_missing_leaves_it_unknown_where_the_registry_is(place: Place) -> None:
    class Nowhere(engines.Engine):
        @property
        def remote(self) -> bool:  # what docker cannot say
            raise errors.ControllerError("DockerUnavailable", "no docker command")

        @remote.setter
        def remote(self, value: bool) -> None:
            del value

    place.engine = Nowhere()
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    assert needs(place.see()) == [(image_work.Need.NOTHING, False)]


def test_h10_a_push_that_fails_is_told(place: Place, tmp_path: Path) -> None:
    place.images = {"a": f"registry:5010/list:v1@{place.engine_only()}"}
    place.engine.fail("push", "", docker.CommandFailed(1, ("denied: requested access to the resource is denied",)))
    seen = place.see()
    with pytest.raises(errors.ControllerError) as told:
        place.side.push(actions.Push(seen.works), tmp_path / "scratch")
    assert told.value.reason == "ImagePushFailed"
    assert "push of a to" in told.value.message


def test_h10_another_name_of_the_same_image_in_the_engine_counts(place: Place) -> None:
    """The runtime pulled it on the same engine, under its own name of the registry."""
    image = place.engine.hold("registry:5010/list:v1", LABELS)
    place.engine.local[image.id] = replace(image, repo_digests=(f"registry:5010/list@{GONE}",))
    place.images = {"a": f"registry:5010/list:v1@{GONE}"}
    assert needs(place.see()) == [(image_work.Need.PUSH, True)]


def test_gw14_after_a_rollback_the_live_images_are_those_that_the_documents_name(place: Place) -> None:
    """The record keeps what was made last; nobody is asked."""
    older, newest = digest.of_parts(("older",)), digest.of_parts(("newest",))
    place.images = {"list": f"registry:5010/list:v1@{older}", "plain": "nginx:1"}
    target = f"{place.fake.address}/list:v1"
    known = record.Record(
        images=(image_inputs.ImageRecord("list", "registry:5010/list:v1", target, "sha256:input", newest),)
    )
    parts = [record.AppliedItem(item, "entry") for item in place.wanted.items.values()]
    assert place.side.live(parts, known) == (
        image_inputs.ImageRecord("list", "registry:5010/list:v1", target, "", older),
    )
    assert place.engine.calls == []


def test_gw14_status_shows_the_images_of_the_live_set(tmp_path: Path) -> None:
    """By the real record: revision 1, then 2, then back to 1."""
    image = "registry:5010/list:v1"
    digests = {number: digest.of_parts((number,)) for number in "12"}
    (tmp_path / "config").mkdir()
    chosen = settings.load(None, {("config_dir",): str(tmp_path / "config"), ("registry", "runtime"): "registry:5010"})
    with (
        target.Target(chosen) as opened,
        contextlib.closing(state.State(opened.state_dir, now=clock.Clock().utc)) as store,
    ):
        for number in "121":
            text = f"list:\n  image: {image}@{digests[number]}\n"
            item = items.Item(items.ItemKey(items.Kind.FUNCTION, "list"), digest.of_value(text), text, 1)
            made = image_inputs.ImageRecord("list", image, image, "sha256:input", digests["2"])
            store.record_success(
                state.Success(
                    revision=number,
                    generation=1,
                    desired_digest=number,
                    document_digests={items.Document.FUNCTIONS: number},
                    items=(record.AppliedItem(item, "entry"),),
                    pass_digest="",
                    newest_mtime_s=0,
                    conditions={},
                    reason="",
                    message="",
                    images=(made,),
                )
            )
        (shown,) = status.payload(opened)["images"]
    assert shown == {"function": "list", "image": image, "digest": digests["1"], "input_digest": ""}
