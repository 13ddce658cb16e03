"""Through the socket proxy: all that a controller does works, and nothing else does (docs/engine-calls.md)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import engine_calls, provisioning
from e2e.harness import commands, docker, engine_proxy, marked, matrix, sidecar, stacks

LAID_OVER = "compose.controller.socket-proxy.yml"


@pytest.mark.usefixtures("engine")
def test_controllers_go_through_the_proxy_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every module does: nobody asks the engine itself by an oversight."""
    monkeypatch.delenv(engine_proxy.THROUGH, raising=False)
    stack = stacks.Stack("docker", tmp_path, tmp_path / "config")
    with engine_proxy.before(str(stack.config_dir)) as stack.engine:
        address = commands.Controller(stack).environment()["DOCKER_HOST"]
        assert address == stack.engine != f"unix://{stacks.engine_socket()}"
        assert asked(address, ("version",), "").returncode == 0
    monkeypatch.setenv(engine_proxy.THROUGH, "0")
    with engine_proxy.before(str(stack.config_dir)) as stack.engine:
        assert commands.Controller(stack).environment().get("DOCKER_HOST") == os.environ.get("DOCKER_HOST")


@pytest.fixture(scope="module")
def proxied(engine: str) -> Iterator[str]:
    """The address of a proxy that lets a provisioner mount one volume."""
    del engine
    with engine_proxy.standing(("proxy-e2e-config",)) as address:
        yield address


NAME = provisioning.container_name("proxy-e2e")
IMAGE = ("esb-e2e-busybox", "/bin/busybox", "true")
RUN = ("run", "--rm", "--name", NAME)

REFUSED = {
    "exec": ("exec", "{foreign}", "/bin/busybox", "true"),
    "remove": ("rm", "--force", "{foreign}"),
    "remove by name": ("rm", "--force", "proxy-e2e-foreign"),
    "stop": ("stop", "{foreign}"),
    "kill": ("kill", "{foreign}"),
    "restart": ("restart", "{foreign}"),
    "logs": ("logs", "{foreign}"),
    "rename": ("rename", "{foreign}", NAME),
    "copy out": ("cp", "{foreign}:/etc", "-"),
    "export": ("export", "{foreign}"),
    "commit": ("commit", "{foreign}"),
    "a container": ("run", "--rm", *IMAGE),
    "privileged": (*RUN, "--privileged", *IMAGE),
    "the host's files": (*RUN, "--volume", "/:/host", *IMAGE),
    "the engine's socket": (*RUN, "--volume", "/var/run/docker.sock:/s", *IMAGE),
    "another volume": (*RUN, "--volume", "somebody_data:/d", *IMAGE),
    "a volume that is the host": (*RUN, "--mount", "type=volume,dst=/d,volume-opt=o=bind,volume-opt=device=/", *IMAGE),
    "the host's processes": (*RUN, "--pid", "host", *IMAGE),
    "the host's network": (*RUN, "--network", "host", *IMAGE),
    "a device": (*RUN, "--device", "/dev/null", *IMAGE),
    "capabilities": (*RUN, "--cap-add", "SYS_ADMIN", *IMAGE),
    "orders to the runtime": (*RUN, "--annotation", "run.oci.handler=other", *IMAGE),
    "volumes prune": ("volume", "prune", "--force"),
    "containers prune": ("container", "prune", "--force"),
    "images prune": ("image", "prune", "--force"),
    "remove an image": ("image", "rm", "esb-e2e-busybox"),
    "load": ("image", "import", "-"),
    "a network": ("network", "create", "proxy-e2e"),
    "a volume": ("volume", "create", "proxy-e2e"),
    "remove a volume": ("volume", "rm", "proxy-e2e-config"),
    "swarm": ("swarm", "init"),
    "plugins": ("plugin", "ls"),
    "secrets": ("secret", "ls"),
}


@pytest.fixture(scope="module")
def foreign(proxied: str) -> Iterator[str]:
    """The id of somebody else's container."""
    del proxied
    stacks.build_images("e2e", "docker")
    sleeps = ("run", "--detach", "--name", "proxy-e2e-foreign", "esb-e2e-busybox", "/bin/busybox", "sleep", "600")
    found = docker.docker(*sleeps)
    try:
        yield found
    finally:
        docker.docker("rm", "--force", found)
        docker.docker("rm", "--force", NAME, check=False)
        docker.docker("volume", "rm", "--force", "proxy-e2e-config")


def asked(address: str, words: tuple[str, ...], foreign: str) -> "subprocess.CompletedProcess[str]":
    """A docker command through the proxy."""
    command = ["docker", "--host", address, *(word.format(foreign=foreign) for word in words)]
    return subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("what", list(REFUSED))
def test_whatever_a_controller_does_not_need_is_refused(proxied: str, foreign: str, what: str) -> None:
    """And by the proxy, in words; the other container lives on."""
    done = asked(proxied, REFUSED[what], foreign)
    assert done.returncode != 0
    assert "engine-proxy: " in done.stderr, done.stderr
    assert docker.docker("inspect", "--format", "{{.State.Running}}", foreign) == "true"


def test_a_container_of_the_provisioner_is_made(proxied: str, foreign: str) -> None:
    """With its volume, its output and its exit code: what the tests above want is not refused for another reason."""
    program = ("/bin/busybox", "sh", "-c", "echo seen; exit 3")
    done = asked(proxied, (*RUN, "--volume", "proxy-e2e-config:/config", "esb-e2e-busybox", *program), foreign)
    assert (done.returncode, done.stdout) == (3, "seen\n")


COMPOSE = """\
services:
  provisioner:
    image: esb-e2e-busybox
    command: [/bin/busybox, sh, -c, "echo seen; exit 3"]
    volumes: ["config:/config"]
    networks: [outside]
volumes: {config: {name: proxy-e2e-config, external: true}}
networks: {outside: {name: proxy-e2e-outside, external: true}}
"""


def test_compose_finds_what_it_did_not_make(proxied: str, foreign: str, tmp_path: Path) -> None:
    """A network and a volume of somebody else, which it looks for by other calls than for its own."""
    (tmp_path / "compose.yml").write_text(COMPOSE, encoding="utf-8")
    docker.docker("volume", "create", "proxy-e2e-config")
    docker.docker("network", "create", "proxy-e2e-outside")
    try:
        words = ("compose", "--project-name", "proxy-e2e", "--file", f"{tmp_path}/compose.yml")
        done = asked(proxied, (*words, *RUN, "--no-deps", "-T", "provisioner"), foreign)
    finally:
        docker.docker("network", "rm", "proxy-e2e-outside")
    assert (done.returncode, done.stdout) == (3, "seen\n"), done.stderr


@pytest.mark.usefixtures("engine")
def test_every_call_of_the_list_is_of_an_engine() -> None:
    """None of the list is a typing error: the engine knows each path."""
    with engine_proxy.standing(()) as address:
        for call in engine_calls.CALLS:
            if call.method in ("GET", "HEAD") and "{" not in call.path:
                path = call.path + ("?until=1" if call.needs else "")
                command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
                command += ["--head"] if call.method == "HEAD" else []
                socket = address.removeprefix("unix://")
                assert docker.run([*command, "--unix-socket", socket, f"http://engine{path}"]) == "200", call


@pytest.mark.parametrize("volume", [False, True], ids=["a folder", "a volume"])
def test_the_sidecar_without_the_engine_s_socket(
    environment: matrix.Environment, tmp_path: Path, *, volume: bool
) -> None:
    """`docker compose up` with the file laid over the sidecar's: a served function, and no socket in the container."""
    folder = tmp_path / "site"
    artifact = marked.small(environment, folder / "deploy")
    source = f"{{directory: {{path: {folder}/deploy}}}}"
    files = (
        "compose.yml",
        "compose.base.yml",
        *(["included.yml"] if volume else ["compose.controller.yml", LAID_OVER]),
    )
    settings = {"COMPOSE_FILE": ":".join(files)}
    site = sidecar.Site("docker", folder, folder / "config", source=source, settings=settings, volume=volume)
    (folder / "included.yml").write_text(f"include: [{{path: [compose.controller.yml, {LAID_OVER}]}}]\n")
    shutil.copyfile(stacks.ROOT / LAID_OVER, folder / LAID_OVER)
    with sidecar.standing(site):
        site.up()
        site.await_pass(sidecar.settled)
        assert answers(site, "hello v1") == "hello v1"
        binds = site.state("{{range .Mounts}}{{.Source}} {{end}}").split()
        assert site.settings["DOCKER_SOCKET"] not in binds
        done = docker.docker("exec", site.container, "docker", "volume", "ls", check=False)
        assert done == ""
        artifact.code("hello", "echo through the proxy")
        assert answers(site, "through the proxy") == "through the proxy"
        assert "engine-proxy: " not in site.controller("doctor") + site.controller("probe")
        site.compose("restart", "controller-engine")  # its socket is still there, and nobody listens at it
        artifact.code("hello", "echo through the proxy again")
        assert answers(site, "through the proxy again") == "through the proxy again"


def answers(site: stacks.Stack, text: str) -> str:
    """What a request to the function gets, once it is this text or time is over."""
    return site.gateway.until(lambda answer: answer.text.strip() == text, "/hello", seconds=60).text.strip()
