"""`--skip-images`, and what `status` and `events` tell of images, over the real target: a registry over HTTP, an engine in memory (contract.md section 5)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller import docker
from tests.fakes import command, registries
from tests.fakes import engine as engines

FUNCTION = "catalog-list"
IMAGE = "registry:5010/shop/catalog-list:v1"


@dataclass
class Site:
    """A shop with one function that is built, the registry that it is pushed to, and the engine that does it."""

    shop: command.Shop
    registry: registries.Registry
    engine: engines.Engine = field(default_factory=engines.Engine)

    def __post_init__(self) -> None:
        self.registry.put("base:1")
        self.folder.mkdir(parents=True)
        self.recipe("FROM registry:5010/base:1\n")
        self.engine.during("push", self._keep)

    @property
    def folder(self) -> Path:
        """The function's folder in the source."""
        return self.shop.source / "catalog" / "functions" / FUNCTION

    @property
    def environment(self) -> dict[str, str]:
        """The two names of the registry."""
        return {"CONTAINER_REGISTRY": "registry:5010", "HOST_REGISTRY_ADDR": self.registry.address}

    def recipe(self, text: str) -> None:
        """Another Dockerfile."""
        (self.folder / "Dockerfile").write_text(text)

    def _keep(self, reference: str) -> None:
        name = reference.removeprefix(f"{self.registry.address}/")
        self.registry.put(name, labels=dict(self.engine.built[-1].wanted.labels))

    def reconcile(self, *more: str) -> command.Ended:
        """A pass, told as JSON."""
        return self.shop.reconcile(*more, "--output", "json", environment=self.environment)

    def without_images(self, *more: str) -> command.Ended:
        """A pass that leaves images to somebody else: it asks neither registry nor engine."""
        asked, called = len(self.registry.requests), len(self.engine.calls)
        ended = self.reconcile("--skip-images", *more)
        assert (len(self.registry.requests), len(self.engine.calls)) == (asked, called)
        return ended

    @property
    def shown(self) -> str:
        """The image that the published function names."""
        text = (self.shop.documents()["functions.yml"] or b"").decode()
        (found,) = re.findall(rf"image: \"?({re.escape(IMAGE)[:-1]}\S*?)\"?$", text, re.MULTILINE)
        return str(found)

    def events(self) -> list[tuple[str, str, str]]:
        """Reason, subject and message of what happened to the function, newest first."""
        rows = self.shop.about("events", "--output", "json").json["rows"]
        return [(row["reason"], row["subject"], row["message"]) for row in rows if row["subject"].endswith(FUNCTION)]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with registries.running() as registry:
        found = Site(command.Shop(tmp_path), registry)
        monkeypatch.setattr(docker, "Engine", lambda **_: found.engine)
        yield found


@pytest.fixture
def published(site: Site) -> Site:
    ended = site.reconcile()
    assert ended.json["reason"] == "FirstPublish", ended.text
    assert site.shown.startswith(f"{IMAGE}@sha256:")
    return site


def test_p8_a_pass_without_images_after_one_with_them_is_in_sync(published: Site) -> None:
    before = command.visible(published.shop.config)
    for arguments in (("--skip-images",), (), ("--skip-images",)):
        ended = published.reconcile(*arguments)
        assert (ended.json["reason"], ended.json["changed"]) == ("InSync", False), ended.text
    assert command.visible(published.shop.config) == before
    assert len(published.shop.about("history").out.splitlines()) == 1


def test_another_revision_without_images_keeps_the_digest(published: Site) -> None:
    pin = published.shown
    published.shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = published.without_images()
    (change,) = ended.json["plan"]["changes"]
    assert ([field["path"] for field in change["fields"]], change["effect"]) == (["timeout"], "reload")
    assert (published.shown, ended.json["notes"]) == (
        pin,
        [note for note in ended.json["notes"] if "Image" not in note],
    )


def test_code_that_changed_is_told_and_the_digest_stays_until_a_pass_with_images(published: Site) -> None:
    pin = published.shown
    published.recipe("FROM registry:5010/base:1\nRUN true\n")
    said = f"ImageSkipped: function {FUNCTION}: {pin} was made from something else than the source has now; "
    for reason in ("RecordOnly", "InSync"):
        ended = published.without_images()
        assert (ended.json["reason"], published.shown) == (reason, pin), ended.text
        assert [note for note in ended.json["notes"] if note.startswith(said)]
    diff = published.shop.diff("--skip-images", "--output", "json", environment=published.environment).json
    assert (diff["changes"], diff["images"]) == ([], [])
    ended = published.reconcile()
    assert (ended.json["reason"], published.shown != pin) == ("SourceChanged", True), ended.text


def test_an_edit_of_config_dir_is_healed_to_the_digest_that_was_published(published: Site) -> None:
    pin = published.shown
    live = published.shop.config / "functions.yml"
    for other in (IMAGE, f"{IMAGE}@sha256:{'0' * 64}"):
        live.write_text(live.read_text().replace(published.shown, other))
        ended = published.without_images()
        assert (ended.json["reason"], published.shown) == ("Drifted", pin), ended.text


def test_b5_without_a_record_the_digest_that_is_live_stays(published: Site) -> None:
    pin = published.shown
    for left in (published.shop.config / ".controller").iterdir():
        left.unlink()
    ended = published.without_images()
    assert (ended.json["plan"]["changes"], published.shown) == ([], pin), ended.text


def test_another_tag_is_published_as_it_is_named(published: Site) -> None:
    published.shop.edit("catalog", "functions.yml", IMAGE, other := f"{IMAGE[:-1]}2")
    assert published.without_images().json["reason"] == "SourceChanged"
    assert published.shown == other


def test_a_pass_that_publishes_tags_keeps_no_digest(published: Site) -> None:
    """`images.pin: tag` is a wish of its own."""
    ended = published.shop.reconcile(
        "--skip-images", environment={**published.environment, "CONTROLLER_IMAGES__PIN": "tag"}
    )
    assert (ended.code, published.shown) == (0, IMAGE), ended.text


def test_a_dockerfile_that_cannot_be_read_stops_no_pass_without_images(published: Site) -> None:
    """The way out that the refusal names."""
    published.recipe("FORM x\n")
    refused = published.shop.reconcile(environment=published.environment)
    assert (refused.code, "failed (DockerfileInvalid): " in refused.err) == (65, True), refused.text
    assert f"functions/{FUNCTION}/Dockerfile:1:1: does not begin with an instruction" in refused.err
    assert "hint: correct the Dockerfile named above, or pass --skip-images" in refused.err
    assert f"functions/{FUNCTION}/Dockerfile:1:1: " in published.shop.about("status").out
    assert published.without_images().code == 0


def test_events_name_each_image_that_was_made_once_a_pass(published: Site) -> None:
    ((reason, subject, message),) = published.events()
    assert (reason, subject) == ("NewImage", f"function {FUNCTION}")
    assert re.fullmatch(r"\+ rebuild \(NewInSource\); image built and pushed, input sha256:[0-9a-f]{12}", message)
    (made,) = published.shop.about("status", "--output", "json").json["images"]
    assert made["input_digest"].startswith(message.rpartition(" ")[2])
    name = made["image"].removeprefix("registry:5010/")
    repository, _, tag = name.partition(":")
    del published.registry.manifests[repository, tag]
    ended = published.reconcile()
    assert ended.json["reason"] == "Drifted", ended.text
    newest, *older = published.events()
    assert (newest[0], len(older)) == ("ImageGone", 1)
    assert re.fullmatch(r"image pushed, input sha256:[0-9a-f]{12}", newest[2])
    assert published.reconcile().json["reason"] == "InSync"
    assert len(published.events()) == 2


def test_h9_a_failed_build_is_in_status_and_events_with_the_end_of_its_log(published: Site) -> None:
    """H9: once in `events`, however often it is tried; and the images of others are told although the pass failed."""
    published.recipe("FROM registry:5010/base:1\nRUN false\n")
    published.engine.fail(
        "build", "", engines.failed("#5 0.1 first", "#5 0.2 no such compiler", "ERROR: exit 7"), times=2
    )
    for _ in range(2):
        assert published.reconcile().code == 80
    told = f"build of {FUNCTION} failed with exit code 1"
    status = published.shop.about("status").out
    assert f"{told}; last lines of {FUNCTION}: " in status
    assert "#5 0.2 no such compiler | ERROR: exit 7" in status
    newest, *older = published.events()
    assert newest[:2] == ("ImageBuildFailed", f"function {FUNCTION}")
    assert newest[2].startswith(f"{told}: ")
    assert newest[2].endswith("ERROR: exit 7")
    assert [reason for reason, *_ in older] == ["NewImage"]
    assert published.reconcile().code == 0
    assert published.events()[0][0] == "ImageInputChanged"


def test_trace_names_what_an_image_was_made_from(published: Site) -> None:
    """Image, its digest in the registry, the input that it was built from, and the bases of that."""
    told = published.shop.about("trace", FUNCTION, "--output", "json").json["image"]
    (image,) = published.shop.about("status", "--output", "json").json["images"]
    assert told["reference"] == published.shown
    assert (told["digest"], told["input_digest"], told["built"]) == (image["digest"], image["input_digest"], True)
    assert [base["reference"] for base in told["bases"]] == [f"{published.registry.address}/base:1"]
    text = published.shop.about("trace", FUNCTION).out
    assert f"input       {image['input_digest'][:19]}\n" in text
    assert "base        " in text
