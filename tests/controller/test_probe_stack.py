"""The look at a compose project, on an engine in memory: which containers count, and what is taken from them (H8)."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller import docker, errors
from controller.probes import stack as probe
from core import compatibility, stack
from tests.fakes import engine as engines

PROJECT = "esb-dev"
DIGEST = "sha256:" + "d" * 64


def start(
    engine: engines.Engine,
    service: str,
    image: str = "",
    labels: Mapping[str, str] | None = None,
    **known: Any,
) -> docker.Container:
    """A container as compose makes it; a label that is "" is left out."""
    reference = image or f"esb-{service}-docker:v1"
    held = known.pop("image_id", None) or engine.hold(reference).id
    number = len(engine.standing) + 1
    of_compose = {probe.LABEL_PROJECT: PROJECT, probe.LABEL_SERVICE: service, probe.LABEL_NUMBER: str(number)}
    of_compose |= {probe.LABEL_ONE_OFF: "False", probe.LABEL_FOLDER: "/srv/esb", **(labels or {})}
    made = docker.Container(
        id=f"id-{number}",
        name=known.pop("name", f"{PROJECT}-{service}-{number}"),
        image=reference,
        image_id=held,
        labels={name: value for name, value in of_compose.items() if value},
        state=known.pop("state", "running"),
        health=known.pop("health", ""),
        exit_code=known.pop("exit_code", None),
        environment=known.pop("environment", {}),
    )
    assert not known
    engine.standing[made.id] = made
    return made


@pytest.fixture
def engine() -> engines.Engine:
    return engines.Engine()


def observe(engine: engines.Engine, **how: Any) -> stack.Stack:
    return probe.observe(engine, PROJECT, **how)  # type: ignore[arg-type]  # the fake offers what the engine does


def only(engine: engines.Engine) -> stack.Service:
    (found,) = observe(engine).services
    return found


def test_what_is_told_of_a_service(engine: engines.Engine) -> None:
    held = engine.hold("registry:5010/esb-gateway-docker:v1", {probe.LABEL_VERSION: " 1.0 "})
    start(engine, "gateway", "registry:5010/esb-gateway-docker:v1", image_id=held.id, health="healthy")
    seen = observe(engine)
    assert (seen.project, seen.source, seen.unknown) == (PROJECT, "compose project esb-dev on unix:///fake.sock", "")
    assert seen.services == (
        stack.Service("gateway", "registry:5010/esb-gateway-docker:v1", "v1", "", "1.0", health="healthy"),
    )


def test_two_calls_whatever_the_number_of_containers(engine: engines.Engine) -> None:
    for number in range(20):
        start(engine, f"service-{number}")
    assert len(observe(engine).services) == 20
    assert [name for name, _ in engine.calls] == ["containers", "images"]


def test_h8_no_container_is_unknown_and_not_an_error(engine: engines.Engine) -> None:
    seen = observe(engine)
    assert seen.services == ()
    assert seen.unknown == "no container of compose project esb-dev on unix:///fake.sock"
    assert seen.fingerprint == ""


def test_h8_another_project_with_the_same_services_is_not_looked_at(engine: engines.Engine) -> None:
    start(engine, "gateway", "esb-gateway-docker:v1")
    start(engine, "gateway", "esb-gateway-containerd:v9", {probe.LABEL_PROJECT: "esb-dev-2"})
    start(engine, "agent", "esb-agent-containerd:v9", {probe.LABEL_PROJECT: ""})
    assert only(engine).image == "esb-gateway-docker:v1"


def test_h8_pr2_a_one_off_container_is_no_part_of_the_stack(engine: engines.Engine) -> None:
    start(engine, "provisioner", "esb-provisioner-docker:v9", {probe.LABEL_ONE_OFF: "True"})
    assert observe(engine).unknown
    start(engine, "gateway")
    assert only(engine).name == "gateway"


def test_services_in_their_order_and_every_replica(engine: engines.Engine) -> None:
    for service, number in (
        ("zoo", "1"),
        ("runtime-node", "1"),
        ("agent", "10"),
        ("agent", "9"),
        ("agent", ""),
        ("gateway", "1"),
    ):
        start(engine, service, f"{service}:{number or 'none'}", {probe.LABEL_NUMBER: number})
    assert [each.image for each in observe(engine).services] == [
        *("gateway:1", "agent:none", "agent:9", "agent:10", "runtime-node:1", "zoo:1"),
    ]


def test_a_container_without_a_service_label_has_its_own_name(engine: engines.Engine) -> None:
    start(engine, "gateway", labels={probe.LABEL_SERVICE: ""}, name="by-hand")
    assert only(engine).name == "by-hand"


@pytest.mark.parametrize(
    ("image", "tag", "digest"),
    [
        ("esb-gateway-docker:v1", "v1", ""),
        ("esb-gateway-docker", "latest", ""),
        (f"esb-gateway-docker@{DIGEST}", "", DIGEST),
        (f"esb-gateway-docker:v1@{DIGEST}", "v1", DIGEST),
    ],
)
def test_h8_tag_and_digest_of_the_reference(engine: engines.Engine, image: str, tag: str, digest: str) -> None:
    start(engine, "gateway", image)
    found = only(engine)
    assert (found.image, found.tag, found.digest) == (image, tag, digest)


@pytest.mark.parametrize("abbreviated", [False, True])
def test_h8_a_container_of_an_image_id_has_neither_tag_nor_mode(engine: engines.Engine, *, abbreviated: bool) -> None:
    held = engine.hold("esb-gateway-docker:v1").id
    start(engine, "gateway", held.removeprefix("sha256:")[:12] if abbreviated else held, image_id=held)
    found = only(engine)
    assert (found.tag, found.digest) == ("", "")
    findings = compatibility.judge(compatibility.Requirement("1.0", "docker", "v1"), observe(engine), strict=False)
    assert [each.code for each in findings] == ["ModeUnknown", "VersionUnknown"]


def test_the_digest_is_that_of_the_same_repository(engine: engines.Engine) -> None:
    start(engine, "gateway", "registry:5010/esb-gateway-docker:v1")
    (held,) = engine.local.values()
    known = (f"127.0.0.1:5010/esb-gateway-docker@sha256:{'a' * 64}", f"registry:5010/esb-gateway-docker@{DIGEST}")
    engine.local[held.id] = docker.EngineImage(held.id, held.tags, known, held.labels, held.platform)
    assert only(engine).digest == DIGEST


def test_h8_the_version_is_the_image_s_own_also_when_its_tag_moved(engine: engines.Engine) -> None:
    """What counts is the image that the container was made from, not the one that bears its name by now."""
    old = engine.hold("esb-gateway-docker:v1", {probe.LABEL_VERSION: "1.0"})
    start(engine, "gateway", "esb-gateway-docker:v1", image_id=old.id)
    engine.hold("esb-gateway-docker:v1", {probe.LABEL_VERSION: "2.0"})
    assert only(engine).version == "1.0"


def test_h8_an_image_that_is_gone_is_told_by_the_container_s_labels(engine: engines.Engine) -> None:
    start(engine, "gateway", labels={probe.LABEL_VERSION: "1.0"}, image_id="sha256:" + "9" * 64)
    start(engine, "agent", image_id="sha256:" + "9" * 64)
    assert [each.version for each in observe(engine).services] == ["1.0", ""]


def test_a_label_cannot_flood_a_message(engine: engines.Engine) -> None:
    held = engine.hold("esb-gateway-docker:latest", {probe.LABEL_VERSION: "9" * 10_000})
    start(engine, "gateway", "esb-gateway-docker:latest", {probe.LABEL_NUMBER: "9" * 10_000}, image_id=held.id)
    assert only(engine).version == "9" * 128


@pytest.mark.parametrize("name", probe.RUNTIME_NAMES)
@pytest.mark.parametrize("service", ["agent", "runtime-node"])
def test_firecracker_is_declared_by_the_environment(engine: engines.Engine, service: str, name: str) -> None:
    start(engine, service, environment={name: "aws.Firecracker", "AUTH_PASS": "canary"})
    seen = observe(engine)
    assert [each.runtime for each in seen.services] == ["firecracker"]
    assert "canary" not in repr(seen)


@pytest.mark.parametrize(
    ("service", "environment"),
    [
        ("gateway", {"CONTAINERD_RUNTIME": "aws.firecracker"}),
        ("agent", {"CONTAINERD_RUNTIME": "io.containerd.runc.v2"}),
        ("agent", {"RUNTIME": ""}),
        ("agent", {"OTHER": "firecracker"}),
        ("agent", {}),
    ],
)
def test_nothing_else_declares_it(engine: engines.Engine, service: str, environment: dict[str, str]) -> None:
    start(engine, service, environment=environment)
    assert only(engine).runtime == ""


@pytest.mark.parametrize("state", ["running", "exited", "restarting", "created", "paused", "dead"])
def test_h8_states_are_the_engine_s_words(engine: engines.Engine, state: str) -> None:
    start(engine, "gateway", state=state, exit_code=1)
    found = only(engine)
    assert (found.state, found.exit_code) == (state, 1 if state in ("exited", "dead") else None)


ENDED = {"state": "exited", "exit_code": 0}


def test_pr2_the_provisioner_is_a_one_shot_however_it_ended(engine: engines.Engine) -> None:
    start(engine, "provisioner", state="exited", exit_code=1)
    assert only(engine).one_shot
    assert not observe(engine, provisioner="make-tables").services[0].one_shot


def test_pr2_a_service_whose_end_is_waited_for_is_a_one_shot(engine: engines.Engine) -> None:
    waits = "database:service_healthy:false,owner:service_completed_successfully:false"
    start(engine, "gateway", labels={probe.LABEL_DEPENDS_ON: waits})
    start(engine, "owner", state="exited", exit_code=1)
    start(engine, "database", state="exited", exit_code=1)
    assert {each.name: each.one_shot for each in observe(engine).services} == {
        "gateway": False,
        "owner": True,
        "database": False,
    }


@pytest.mark.parametrize(
    ("service", "known", "expected"),
    [
        ("job", ENDED, True),
        ("job", {"state": "exited", "exit_code": 1}, False),
        ("job", {"state": "running"}, False),
        ("database", {**ENDED, "health": "unhealthy"}, False),
        ("gateway", ENDED, False),
        ("agent", ENDED, False),
    ],
)
def test_pr2_a_job_that_ended_well(
    engine: engines.Engine, service: str, known: dict[str, Any], *, expected: bool
) -> None:
    start(engine, service, **known)
    assert only(engine).one_shot is expected


def test_h8_one_name_for_two_stacks_is_ambiguous_and_names_both(engine: engines.Engine) -> None:
    for service, folder in (("agent", "b"), ("agent", "a"), ("gateway", "b"), ("gateway", "a"), ("runtime-node", "b")):
        start(engine, service, labels={probe.LABEL_FOLDER: f"/srv/{folder}"})
    with pytest.raises(errors.ControllerError) as raised:
        observe(engine)
    assert (raised.value.reason, raised.value.meaning.exit_code) == ("StackAmbiguous", 76)
    assert raised.value.message == (
        "compose project esb-dev on unix:///fake.sock is more than one stack: "
        "gateway from /srv/a and /srv/b; agent from /srv/a and /srv/b"
    )


def test_h8_a_stack_of_several_folders_is_one_stack(engine: engines.Engine) -> None:
    """Updated in part from a second folder, or put together from two: every service is there once."""
    for service, folder in (("gateway", "/srv/a"), ("agent", "/srv/b"), ("runtime-node", "/srv/b")):
        start(engine, service, labels={probe.LABEL_FOLDER: folder})
    start(engine, "agent", labels={probe.LABEL_FOLDER: "/srv/b"})
    assert [each.name for each in observe(engine).services] == ["gateway", "agent", "agent", "runtime-node"]


@pytest.mark.parametrize(
    ("service", "labels", "known"),
    [
        ("agent", {probe.LABEL_FOLDER: "/srv/esb/"}, {}),
        ("agent", {probe.LABEL_FOLDER: ""}, {}),
        ("agent", {probe.LABEL_FOLDER: "/srv/b"}, {"state": "exited"}),
        ("adminer", {probe.LABEL_FOLDER: "/srv/b"}, {}),
        ("agent", {probe.LABEL_FOLDER: "/srv/b", probe.LABEL_ONE_OFF: "True"}, {}),
    ],
    ids=["same folder", "no label", "left over", "no control plane", "one-off"],
)
def test_h8_what_does_not_make_a_second_stack(
    engine: engines.Engine, service: str, labels: dict[str, str], known: dict[str, Any]
) -> None:
    """Beside one that bears the same name."""
    start(engine, service)
    start(engine, service, labels=labels, **known)
    assert observe(engine).services


def test_an_engine_that_does_not_answer_is_said(engine: engines.Engine) -> None:
    engine.fail("containers", "", errors.ControllerError("DockerUnavailable", "no engine"))
    with pytest.raises(errors.ControllerError, match="no engine"):
        observe(engine)


def test_h8_health_that_comes_and_goes_is_no_other_stack(engine: engines.Engine) -> None:
    made = start(engine, "gateway", health="starting")
    before = observe(engine).fingerprint
    engine.standing.pop(made.id)
    start(engine, "gateway", health="unhealthy", state="restarting")
    assert observe(engine).fingerprint == before
    start(engine, "agent")
    assert observe(engine).fingerprint != before
