"""From a checkout to verdicts on its images: a registry over HTTP, an engine in memory, documents on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller import errors, images, settings, side_by_side, world
from core import desired, image_inputs, image_work, record, runtime_config
from manifests import checkout, fingerprint
from tests.fakes import engine as engines
from tests.fakes import registries
from tests.fakes.command import Shop

FUNCTION = "catalog-list"
IMAGE = "registry:5010/shop/catalog-list:v1"
NONE: Mapping[tuple[str, ...], str] = {}
LATER_NS = 4_000_000_000 * 10**9


@dataclass
class Place:
    """One shop, its registry and its engine."""

    shop: Shop
    registry: registries.Registry
    engine: engines.Engine

    def dockerfile(self, text: str) -> None:
        """Give the function a Dockerfile."""
        file = self.shop.source / "catalog" / "functions" / FUNCTION / "Dockerfile"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def see(
        self, known: record.Record = record.Record(), *, base_tag: str = "", flags: Mapping[tuple[str, ...], str] = NONE
    ) -> world.Images:
        """The verdict on what the shop holds now, with these settings besides."""
        side, found, wanted = self._opened(flags)
        return side.see(found, wanted, known, base_tag=base_tag, rebuild=False)

    def sources(self, *, flags: Mapping[tuple[str, ...], str] = NONE) -> Mapping[str, str]:
        """What is known without asking anybody."""
        side, found, wanted = self._opened(flags)
        return side.sources(found, wanted, base_tag="")

    def _opened(self, flags: Mapping[tuple[str, ...], str]) -> tuple[images.Images, checkout.Checkout, desired.Desired]:
        store = fingerprint.MemoryStore()
        found = checkout.scan(checkout.Source(self.shop.source), store, now_ns=lambda: LATER_NS)
        wanted = runtime_config.fold(checkout.load_entries(found, store), revision=found.revision)
        names: Mapping[tuple[str, ...], str] = {
            ("registry", "runtime"): "registry:5010",
            ("registry", "host"): self.registry.address,
        }
        configured = settings.load(None, {**names, **flags})
        side = images.Images(lambda: self.engine, configured, store, check=side_by_side.go_on)  # type: ignore[arg-type,return-value]  # the fake offers what the engine does
        return side, found, wanted


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with registries.running() as registry:
        found = Place(Shop(tmp_path), registry, engines.Engine())
        found.dockerfile("FROM registry:5010/base:1\n")
        yield found


def test_a_new_function_is_built_on_the_digest_of_its_base(place: Place) -> None:
    digest = place.registry.put("base:1")
    (work,) = place.see().works
    assert (work.need, work.why) == (image_work.Need.BUILD, image_work.Why.NEW)
    assert work.wanted.bases == (image_inputs.Base(f"{place.registry.address}/base:1", digest),)
    assert work.wanted.dockerfile == f"FROM {place.registry.address}/base:1\n"
    assert work.wanted.image == IMAGE


def test_what_the_registry_has_is_pinned_and_not_built(place: Place) -> None:
    """B5, H9: also without a record; the label in the registry says what the image was made from."""
    place.registry.put("base:1")
    (work,) = place.see().works
    name = work.wanted.target.removeprefix(f"{place.registry.address}/")
    digest = place.registry.put(name, labels={image_inputs.LABEL_INPUT: work.wanted.digest})
    seen = place.see()
    assert [each.need for each in seen.works] == [image_work.Need.NOTHING]
    assert seen.pins == {FUNCTION: f"{work.wanted.image}@{digest}"}
    assert place.see().works == seen.works


def test_h10_an_image_that_is_built_on_ours_does_not_count(place: Place) -> None:
    """H10: it has our label from its base; with a record too it is drift, and ours is pushed back."""
    place.registry.put("base:1")
    (work,) = place.see().works
    name = work.wanted.target.removeprefix(f"{place.registry.address}/")
    labels = {image_inputs.LABEL_INPUT: work.wanted.digest}
    place.registry.put(name, labels=labels, created="2026-02-20T07:04:04Z")
    (new,) = place.see().works
    assert (new.need, new.why) == (image_work.Need.BUILD, image_work.Why.NEW)
    ours = place.engine.hold(work.wanted.target, labels)
    made = replace(work.record, digest="sha256:before")
    (drift,) = place.see(record.Record(images=(made,))).works
    assert (drift.need, drift.why, drift.engine_image) == (image_work.Need.PUSH, image_work.Why.MOVED, ours.id)


def test_h9_another_platform_is_another_image(place: Place) -> None:
    """H9: the engine's own counts where none is asked for; to ask for it by name changes nothing."""
    place.registry.put("base:1")
    (here,) = place.see().works
    (named,) = place.see(flags={("images", "platform"): "linux/amd64"}).works
    assert (here.wanted.platform, named.wanted.digest) == ("linux/amd64", here.wanted.digest)
    place.engine.platform = "linux/arm64"
    known = record.Record(images=(replace(here.record, digest="sha256:before"),))
    (there,) = place.see(known).works
    assert (there.need, there.why) == (image_work.Need.BUILD, image_work.Why.INPUT_CHANGED)
    (still,) = place.see(flags={("images", "platform"): "linux/amd64"}).works
    assert still.wanted.digest == here.wanted.digest


def test_h10_the_argument_that_dates_images_is_refused(place: Place) -> None:
    """H10: with a second of its own, no image of ours would be known again."""
    place.registry.put("base:1")
    with pytest.raises(errors.ControllerError) as told:
        place.see(flags={("images", "arguments"): {"SOURCE_DATE_EPOCH": "0"}})  # type: ignore[dict-item]  # a mapping, as a file gives it
    assert (told.value.reason, "images.arguments" in told.value.message) == ("SettingsInvalid", True)


def test_a_tag_is_published_as_it_is_when_asked(place: Place) -> None:
    place.registry.put("base:1")
    (work,) = place.see().works
    name = work.wanted.target.removeprefix(f"{place.registry.address}/")
    place.registry.put(name, labels={image_inputs.LABEL_INPUT: work.wanted.digest})
    assert place.see().pins
    assert place.see(flags={("images", "pin"): "tag"}).pins == {}


def test_the_floating_lambda_base_takes_the_tag_of_the_stack(place: Place) -> None:
    """Contract.md section 5: observed, else ESB_TAG, else it stays."""
    place.dockerfile("FROM registry:5010/esb-lambda-base\n")
    for tag in ("v7", "latest"):
        place.registry.put(f"esb-lambda-base:{tag}")
    (observed,) = place.see(base_tag="v7").works
    assert observed.wanted.dockerfile == f"FROM {place.registry.address}/esb-lambda-base:v7\n"
    (by_setting,) = place.see(flags={("registry", "base_tag"): "v7"}).works
    assert by_setting.wanted.dockerfile == observed.wanted.dockerfile
    (floating,) = place.see().works
    assert floating.wanted.dockerfile == f"FROM {place.registry.address}/esb-lambda-base\n"


def test_h9_a_missing_base_names_the_function_and_the_file(place: Place) -> None:
    (obstacle,) = place.see().obstacles
    assert obstacle.reason == "ImageBuildFailed"
    assert FUNCTION in obstacle.message
    assert "functions/catalog-list/Dockerfile" in obstacle.message


def test_h10_a_base_behind_a_registry_that_is_down_is_another_matter(place: Place) -> None:
    place.registry.put("base:1")
    place.registry.fault(registries.Fault(drop=True))
    (obstacle,) = place.see().obstacles
    assert obstacle.reason == "RegistryUnavailable"


def test_h10_a_known_base_behind_a_registry_that_is_down_is_believed(place: Place) -> None:
    digest = place.registry.put("base:1")
    (work,) = place.see().works
    known = record.Record(
        images=(
            image_inputs.ImageRecord(FUNCTION, "x", work.wanted.target, work.wanted.digest, "d", work.wanted.bases),
        )
    )
    place.registry.fault(registries.Fault(drop=True))
    seen = place.see(known)
    assert seen.obstacles == ()
    assert [(each.need, each.known) for each in seen.works] == [(image_work.Need.NOTHING, False)]
    assert seen.works[0].wanted.bases[0].digest == digest


def test_every_dockerfile_that_cannot_be_read_is_told_with_its_line(place: Place) -> None:
    place.dockerfile("FROM registry:5010/base:1\nFROM $NOWHERE\n")
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert (told.value.reason, told.value.meaning.exit_code) == ("DockerfileInvalid", 65)
    (problem,) = told.value.problems
    assert (problem.file.rpartition("/")[2], problem.line) == ("Dockerfile", 2)
    assert told.value.message.endswith(f"1 problem; first: {problem}"), "what `status` and messages show"
    assert "Dockerfile" in told.value.meaning.hint
    assert "manifest validate" not in told.value.meaning.hint, "that reads no Dockerfile"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Dockerfile: has no FROM: begin it"),
        ("FORM x\n", "Dockerfile:1:1: does not begin"),
        ("RUN x\n", ":1:1: RUN "),
    ],
)
def test_f6_a_dockerfile_that_is_refused_names_itself_its_line_and_the_way_out(
    place: Place, text: str, words: str
) -> None:
    place.dockerfile(text)
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert (told.value.reason, words in told.value.message) == ("DockerfileInvalid", True), told.value.message
    assert f"functions/{FUNCTION}/Dockerfile" in told.value.message


def test_a_dockerfile_is_told_before_an_image_that_names_a_digest(place: Place) -> None:
    """Both are told; the reason is that of the Dockerfile."""
    place.dockerfile("FORM x\n")
    place.shop.edit("catalog", "functions.yml", IMAGE, f"{IMAGE}@sha256:{'0' * 64}")
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert (told.value.reason, len(told.value.problems)) == ("DockerfileInvalid", 2)


def test_an_image_that_names_a_digest_cannot_be_built(place: Place) -> None:
    place.registry.put("base:1")
    place.shop.edit("catalog", "functions.yml", IMAGE, f"{IMAGE}@sha256:{'0' * 64}")
    with pytest.raises(errors.ControllerError) as told:
        place.see()
    assert told.value.reason == "ArtifactInvalid"
    assert "names a digest" in str(told.value.problems[0])


def test_h9_what_source_and_settings_say_of_an_image_is_known_without_asking(place: Place) -> None:
    """H9: the same as of an input that was looked at; another Dockerfile, context or argument is told apart."""
    place.registry.put("base:1")
    (work,) = place.see().works
    asked, called = len(place.registry.requests), len(place.engine.calls)
    assert place.sources() == {FUNCTION: work.wanted.source_digest} == {FUNCTION: work.record.source_digest}
    found = [work.wanted.source_digest, *place.sources(flags={("images", "arguments"): {"A": "1"}}).values()]  # type: ignore[dict-item]  # a mapping, as a file gives it
    (place.shop.source / "catalog" / "functions" / FUNCTION / "app.py").write_text("")
    found += place.sources().values()
    place.dockerfile("FROM registry:5010/base:1\nUSER app\n")
    found += place.sources().values()
    assert len(set(found)) == 4
    assert (len(place.registry.requests), len(place.engine.calls)) == (asked, called)


def test_h2_an_engine_that_is_away_is_told_with_the_functions_that_need_it(place: Place) -> None:
    place.engine.fail("preflight", "", errors.ControllerError("DockerUnavailable", "no engine"))
    (obstacle,) = place.see().obstacles
    assert (obstacle.reason, FUNCTION in obstacle.message) == ("DockerUnavailable", True)


def test_without_a_dockerfile_nobody_is_asked(tmp_path: Path) -> None:
    """Contract.md section 5: no function to build, no base to resolve."""
    with registries.running() as registry:
        place = Place(Shop(tmp_path), registry, engines.Engine())
        assert place.see() == world.Images()
        assert (registry.requests, place.engine.calls) == ([], [])
