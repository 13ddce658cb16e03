"""H10: an engine on another host whose registry is on its own loopback, from a checkout to what is pinned, recorded and
believed (contract.md section 5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from controller import errors, images, settings, side_by_side, world
from core import actions, image_inputs, image_work, record, runtime_config
from manifests import checkout, fingerprint
from tests.fakes import engine as engines
from tests.fakes import registries
from tests.fakes.command import Shop

FUNCTION = "catalog-list"
LATER_NS = 4_000_000_000 * 10**9


@dataclass
class Place:
    """One shop, and an engine that alone knows what answers at 127.0.0.1:PORT of its host; nothing listens here."""

    shop: Shop
    host: str
    engine: engines.Engine = field(default_factory=lambda: engines.Engine(address="ssh://edge", remote=True))

    def __post_init__(self) -> None:
        file = self.shop.source / "catalog" / "functions" / FUNCTION / "Dockerfile"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("FROM registry:5010/base:1\n")
        self.store = fingerprint.MemoryStore()
        self.found = checkout.scan(checkout.Source(self.shop.source), self.store, now_ns=lambda: LATER_NS)
        entries = checkout.load_entries(self.found, self.store)
        self.wanted = runtime_config.fold(entries, revision=self.found.revision)

    def process(self) -> images.Images:
        """The images of a new process."""
        names: Mapping[tuple[str, ...], str] = {
            ("registry", "runtime"): "registry:5010",
            ("registry", "host"): self.host,
        }
        return images.Images(lambda: self.engine, settings.load(None, names), self.store, check=side_by_side.go_on)  # type: ignore[arg-type,return-value]  # the fake offers what the engine does

    def see(
        self, side: images.Images, *recorded: image_inputs.ImageRecord, rebuild: bool = False
    ) -> tuple[world.Images, list[tuple[image_work.Need, bool]]]:
        """The verdict, and in short what is needed and whether it is known."""
        seen = side.see(self.found, self.wanted, record.Record(images=recorded), base_tag="", rebuild=rebuild)
        return seen, [(work.need, work.known) for work in seen.works]

    def make(self, side: images.Images, seen: world.Images, *, rebuild: bool = False) -> None:
        """Build and push it."""
        side.build(actions.Build(seen.works), self.found, self.scratch, rebuild=rebuild)
        side.push(actions.Push(seen.works), self.found, self.scratch)

    @property
    def scratch(self) -> Path:
        """Where builds are prepared."""
        return self.shop.folder / "scratch"

    @property
    def pushed(self) -> str:
        """The digest that the engine's registry has."""
        (one,) = self.engine.registry.values()
        return one.digest


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(Shop(tmp_path), f"127.0.0.1:{registries.closed_port()}")
    made.engine.hold(f"{made.host}/base:1")
    return made


def test_h10_the_digest_that_was_pushed_is_pinned_recorded_and_then_believed(place: Place) -> None:
    side = place.process()
    seen, needs = place.see(side)
    assert needs == [(image_work.Need.BUILD, True)]
    place.make(side, seen)
    seen, needs = place.see(side)
    assert needs == [(image_work.Need.NOTHING, True)]
    assert seen.pins[FUNCTION].endswith(f"@{place.pushed}")
    recorded = tuple(work.record for work in seen.works)
    assert place.process().unmoved(record.Record(images=recorded))
    assert place.see(place.process(), *recorded)[1] == [(image_work.Need.NOTHING, False)]
    assert place.see(place.process(), *recorded)[0].pins == seen.pins


def test_h10_a_process_that_died_after_its_push_is_followed_by_one_push_and_no_build(
    place: Place, tmp_path: Path
) -> None:
    """What the engine shows of earlier days says nothing about the registry of now."""
    side = place.process()
    place.make(side, place.see(side)[0])
    side = place.process()
    seen, needs = place.see(side)
    assert needs == [(image_work.Need.PUSH, True)]
    side.push(actions.Push(seen.works), place.found, place.scratch)
    assert place.see(side)[1] == [(image_work.Need.NOTHING, True)]
    assert place.engine.count("build") == 1


def test_h10_what_was_built_anew_is_pinned_with_its_new_digest(place: Place) -> None:
    """`--no-cache`: the recorded digest is of the same input, and not of this image."""
    side = place.process()
    place.make(side, place.see(side)[0])
    before = tuple(replace(work.record, digest="sha256:older") for work in place.see(side)[0].works)
    side = place.process()
    seen, needs = place.see(side, *before, rebuild=True)
    assert needs == [(image_work.Need.BUILD, True)]
    place.make(side, seen, rebuild=True)
    (work,) = place.see(side, *before)[0].works
    assert (work.need, work.known, work.digest) == (image_work.Need.NOTHING, True, place.pushed)


def test_h10_an_engine_that_does_not_say_what_it_pushed_ends_the_pass(place: Place) -> None:
    side = place.process()
    place.make(side, place.see(side)[0])
    place.engine.local.clear()
    place.engine.hold(f"{place.host}/base:1")
    with pytest.raises(errors.ControllerError) as told:
        place.see(side)
    assert told.value.reason == "ImagePushFailed"
    assert f"function {FUNCTION}" in told.value.message


def test_h10_a_base_that_the_engine_does_not_have_is_told_before_the_first_build(place: Place) -> None:
    place.engine.local.clear()
    seen, needs = place.see(place.process())
    assert needs == []
    (obstacle,) = seen.obstacles
    assert obstacle.reason == "RegistryUnavailable"
    assert f"{place.host} is on the engine's own host (ssh://edge)" in obstacle.message
    assert "only what was pulled or pushed there is known, and the engine does not have it" in obstacle.message
    assert FUNCTION in obstacle.message
