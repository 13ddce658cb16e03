"""The look at a compose project on a real engine: real containers in every state, and what is made of them (H8)."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import docker
from controller.probes import stack as probe
from core import compatibility, stack, stack_reading
from tests.fakes import command, tools

pytestmark = pytest.mark.process

PROJECT = f"probetest-{os.getpid()}"  # several test processes may share one engine
OLD, NEW = f"{PROJECT}/esb-gateway-docker:v1", f"{PROJECT}/esb-gateway-docker:latest"
CONTAINERD = f"{PROJECT}/esb-agent-containerd:v2"


THE_ENGINE = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")}
"""Children of tests find none, unless they are told."""


def says(*arguments: str, content: bytes | None = None) -> str:
    """What the real docker command prints."""
    ended = subprocess.run(["docker", *arguments], capture_output=True, check=True, timeout=180, input=content or b"")
    return ended.stdout.decode().strip()


def start(service: str, image: str, *flags: str, runs: str = "sleep 600", project: str = PROJECT, **labels: str) -> str:
    """A container that compose could have made; its id."""
    of_compose = {
        "project": project,
        "service": service,
        "oneoff": "False",
        "project.working_dir": "/srv/esb",
        **labels,
    }
    marks = [f"--label=com.docker.compose.{name}={value}" for name, value in of_compose.items()]
    return says("run", "--detach", "--network=none", "--stop-timeout=0", *marks, *flags, image, *runs.split())


@pytest.fixture(scope="module")
def images() -> Iterator[None]:
    """An engine that answers, and images of the machine's static busybox in it."""
    absent = pytest.fail if os.environ.get("REQUIRE_ENGINE") else tools.absent
    try:
        says("ps")
    except (OSError, subprocess.SubprocessError):
        absent("needs a Docker engine")
    busybox = shutil.which("busybox")
    if busybox is None:
        absent("needs the program 'busybox', statically linked")
    assert busybox
    content = root_of(Path(busybox))
    version = "--change=LABEL org.opencontainers.image.version="
    made = [
        says("import", *flags, "-", image, content=content)
        for image, *flags in ((OLD,), (NEW, f"{version}1.5"), (CONTAINERD, f"{version}2.0"))
    ]
    yield
    for identity in made:
        says("rmi", "--force", identity)


def root_of(busybox: Path) -> bytes:
    """A file system with a shell and nothing else, as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(busybox.resolve(), "bin/busybox")
        for name in ("sh", "sleep", "true", "false"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            archive.addfile(link)
    return packed.getvalue()


@pytest.fixture
def engine(images: None) -> Iterator[docker.Engine]:
    """The engine, with no container of the projects of this module before and after."""
    clear()
    yield docker.Engine()
    clear()


def clear() -> None:
    for project in (PROJECT, f"{PROJECT}-2"):
        found = says("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()
        if found:
            says("rm", "--force", *found)


def only(engine: docker.Engine) -> stack.Service:
    (found,) = probe.observe(engine, PROJECT).services
    return found


def codes(seen: stack.Stack, version: str = "v1") -> list[str]:
    found = compatibility.judge(compatibility.Requirement("1.0", "docker", version), seen, strict=False)
    return [each.code for each in found]


def test_h8_no_container(engine: docker.Engine) -> None:
    seen = probe.observe(engine, PROJECT)
    assert (seen.services, codes(seen)) == ((), ["NothingObservable"])
    assert f"compose project {PROJECT} on {engine.address}" in seen.unknown


def test_h8_tag_label_and_state_of_a_running_service(engine: docker.Engine) -> None:
    start("gateway", NEW)
    found = only(engine)
    assert (found.name, found.image, found.tag, found.version) == ("gateway", NEW, "latest", "1.5")
    assert (found.state, found.health, found.exit_code, found.one_shot) == ("running", "", None, False)
    assert codes(probe.observe(engine, PROJECT), "latest") == codes(probe.observe(engine, PROJECT), "1.5") == []


def test_h8_a_label_that_is_missing_and_several_of_one_service(engine: docker.Engine) -> None:
    for number in ("2", "1"):
        start("gateway", OLD, **{"container-number": number})
    seen = probe.observe(engine, PROJECT)
    assert [(each.name, each.tag, each.version) for each in seen.services] == [("gateway", "v1", "")] * 2
    assert codes(seen) == []


def test_h8_an_image_id_only(engine: docker.Engine) -> None:
    start("gateway", says("image", "inspect", "--format", "{{.Id}}", OLD))
    assert codes(probe.observe(engine, PROJECT)) == ["ModeUnknown", "VersionUnknown"]


def test_h8_a_tag_that_moved_under_a_container(engine: docker.Engine) -> None:
    """The label is that of the image that runs."""
    start("gateway", NEW)
    says("tag", NEW, f"{PROJECT}/kept:1")
    says("tag", OLD, NEW)
    try:
        assert (only(engine).tag, only(engine).version) == ("latest", "1.5")
    finally:
        says("tag", f"{PROJECT}/kept:1", NEW)
        says("rmi", f"{PROJECT}/kept:1")


def test_h8_restarting_and_exited(engine: docker.Engine) -> None:
    start("gateway", OLD, "--restart=always", runs="false")
    says("wait", start("agent", CONTAINERD, runs="false"))
    says("wait", start("provisioner", CONTAINERD, runs="false"))
    seen = probe.observe(engine, PROJECT)
    states = {each.name: each.state for each in seen.services}
    assert states.pop("gateway") in {"running", "restarting"}
    assert states == {"agent": "exited", "provisioner": "exited"}
    assert {each.name: each.exit_code for each in seen.services if each.state == "exited"} == {
        "agent": 1,
        "provisioner": 1,
    }
    assert compatibility.health(seen).status == "False"
    assert "agent exited with 1" in compatibility.health(seen).message
    assert "provisioner" not in compatibility.health(seen).message, "PR2"


def test_h8_mixed_services(engine: docker.Engine) -> None:
    start("gateway", OLD)
    start("agent", CONTAINERD)
    seen = probe.observe(engine, PROJECT)
    assert codes(seen) == ["ServicesDisagree", "ServicesDisagree"]
    assert len(stack_reading.skew(seen)) == 2


def test_h8_another_project_and_one_offs(engine: docker.Engine) -> None:
    start("gateway", CONTAINERD, project=f"{PROJECT}-2")
    start("gateway", CONTAINERD, oneoff="True")
    assert probe.observe(engine, PROJECT).services == ()
    start("gateway", OLD)
    assert codes(probe.observe(engine, PROJECT)) == []


def test_firecracker_is_declared_by_the_agent(engine: docker.Engine) -> None:
    start("agent", CONTAINERD, "--env=CONTAINERD_RUNTIME=aws.firecracker", "--env=AUTH_PASS=canary")
    seen = probe.observe(engine, PROJECT)
    found = stack_reading.mode(seen)
    assert found is not None
    assert (found.value, "canary" in repr(seen)) == ("firecracker", False)


def test_h8_two_stacks_of_one_name_end_the_command_with_76(engine: docker.Engine) -> None:
    """And not before: as long as every service is there once, it may come from any folder."""
    other = {"project.working_dir": "/srv/other"}
    start("gateway", OLD)
    start("agent", CONTAINERD, **other)
    ended = command.child("probe", "--project", PROJECT, environment=THE_ENGINE)
    assert (ended.code, "  agent  " in ended.out) == (0, True)
    start("gateway", CONTAINERD, **other)
    ended = command.child("probe", "--project", PROJECT, environment=THE_ENGINE)
    assert (ended.code, ended.out) == (76, "")
    assert "gateway from /srv/esb and /srv/other" in ended.err


def test_the_command_on_a_real_stack(engine: docker.Engine) -> None:
    start("gateway", OLD)
    ended = command.child("probe", "--project", PROJECT, environment=THE_ENGINE)
    assert (ended.code, ended.err) == (0, "")
    assert f"  gateway  running  docker  v1  {OLD}\n" in ended.out
