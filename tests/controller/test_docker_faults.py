"""Whole passes against a real engine while something fails: the engine itself, a build, the registry (faults.md G4, H2,
H7, H9, H10, H12).

The engine is reached through a socket that answers what a test scripts; the registry is `tests/fakes/registries.py`.
Every fault ends the pass with its exit code, leaves CONFIG_DIR as it was, and is over with the next pass after it.
"""

import contextlib
import os
import pty
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from controller import docker_child
from tests.fakes import command, docker_stub, engine_socket, engines, registries

pytestmark = [pytest.mark.engine, pytest.mark.process]

NAME = f"faulttest-{os.getpid()}"
BASE = f"{NAME}/busybox:1"
FUNCTION = "catalog-list"
OTHER = "orders-create"


# One function to build


@dataclass
class Place:
    """The sample shop with one function that is built, the registry that it goes to, and the way to the engine."""

    shop: command.Shop
    registry: registries.Registry
    proxy: engine_socket.Proxy

    @property
    def environment(self) -> dict[str, str]:
        """What tells a pass of registry and engine."""
        return {
            "CONTAINER_REGISTRY": "registry:5010",
            "HOST_REGISTRY_ADDR": self.registry.address,
            "DOCKER_HOST": self.proxy.address,
        }

    def recipe(self, name: str, text: str) -> Path:
        """Give a function a Dockerfile, and a file to be copied; its folder."""
        entry = name.partition("-")[0]
        folder = self.shop.source / entry / "functions" / name
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src" / "code").write_text(f"{name} of {NAME} for {self.registry.address}\n", encoding="utf-8")
        (folder / "Dockerfile").write_text(text.format(copy=f"COPY functions/{name}/src /code"), encoding="utf-8")
        return folder

    def reconcile(self, **more: str) -> command.Ended:
        """One pass."""
        return self.shop.reconcile("--output", "json", environment={**self.environment, **more})

    def published(self) -> set[tuple[str, str]]:
        """Repository and digest of every image of ours that functions.yml names."""
        shown = yaml.safe_load((self.shop.config / "functions.yml").read_text(encoding="utf-8"))["functions"]
        pinned = [each["image"] for each in shown.values() if "@" in each["image"]]
        return {(image.removeprefix("registry:5010/").partition(":")[0], image.partition("@")[2]) for image in pinned}

    def converges(self) -> command.Ended:
        """A pass after the fault ends well, and names what the registry has."""
        ended = self.reconcile()
        assert ended.code == 0, ended.text
        assert self.published()
        assert self.published() <= set(self.registry.manifests)
        return ended


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """An image with a shell, in the engine."""
    engines.require()
    with engines.busybox(BASE) as image:
        yield image


@pytest.fixture
def place(base: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Nothing is built yet; the registry has the base."""
    with registries.running() as registry:
        proxy = engine_socket.Proxy(tmp_path_factory.mktemp("p") / "s")
        found = Place(command.Shop(tmp_path / "shop"), registry, proxy)
        target = f"{registry.address}/base:1"
        engines.docker("tag", base, target)
        engines.docker("push", "--quiet", target)
        found.recipe(FUNCTION, "FROM registry:5010/base:1\n{copy}\n")
        found.shop.config.mkdir()
        try:
            yield found
        finally:
            proxy.stop()
            shape = ("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
            ours = [name for name in engines.docker(*shape, f"{registry.address}/*").split() if "<none>" not in name]
            ours += [name for name in engines.docker(*shape, f"{registry.address}/shop/*").split() if name not in ours]
            if ours:
                engines.docker("rmi", "--force", *ours)


def left_behind(mark: str) -> list[int]:
    """Processes that have this in their environment and do not end."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and mark.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                found.append(int(entry))
    return [pid for pid in found if not docker_stub.ends(pid)]


# The engine (H2)


ALL, BUT_PING = "", r"^(?!\w+ /_ping)"
GARBAGE = b'{"Id": [}\xff\n<html>not json'
FAULTS: dict[str, tuple[str, engine_socket.Act, str]] = {
    "500 to everything": (ALL, engine_socket.says("500 Internal Server Error", b'{"message": "boom"}'), "15s"),
    "500 to questions": (BUT_PING, engine_socket.says("500 Internal Server Error", b"<html>"), "15s"),
    "garbage": (BUT_PING, engine_socket.says("200 OK", GARBAGE), "15s"),
    "nothing": (BUT_PING, engine_socket.says("200 OK"), "15s"),
    "half an answer": (BUT_PING, engine_socket.cut, "15s"),
    "restarting": (ALL, engine_socket.drops, "15s"),
    "hung after the first word": (BUT_PING, engine_socket.hangs, "1s"),
    "no permission": (
        ALL,
        engine_socket.says("403 Forbidden", b'{"message": "authorization denied by plugin"}'),
        "15s",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_h2_an_engine_that_fails_is_69_and_heals(place: Place, fault: str) -> None:
    """H2, P8: nothing changed, nothing left running; and over with the first pass after its return."""
    pattern, act, deadline = FAULTS[fault]
    before, children = command.visible(place.shop.config), set(docker_child.children())
    place.proxy.meet(pattern, act)
    ended = place.reconcile(CONTROLLER_DEADLINES__PROBE=deadline)
    assert (ended.code, ended.json["reason"]) == (69, "DockerUnavailable"), ended.text
    assert "Traceback" not in ended.err
    assert command.visible(place.shop.config) == before
    assert left_behind(place.proxy.address) == []
    assert set(docker_child.children()) == children
    place.proxy.heal()
    place.converges()


def test_h2_a_slow_engine_is_only_slow(place: Place) -> None:
    """Every answer is late, and none later than its deadline."""
    place.proxy.meet(ALL, engine_socket.dawdles)
    place.converges()
    assert len(place.proxy.requests) > 5


STEPS = {
    "the build is refused": (
        r"POST \S*/(session|grpc|build)",
        engine_socket.says("500 Internal Server Error", b'{"message": "no"}'),
    ),
    "the build is cut off": (r"POST \S*/(session|grpc|build)", engine_socket.drops),
    "the push is refused": (
        r"POST \S*/images/\S+/push",
        engine_socket.says("500 Internal Server Error", b'{"message": "no"}'),
    ),
    "the push is garbage": (r"POST \S*/images/\S+/push", engine_socket.says("200 OK", GARBAGE)),
    "the push is cut off": (r"POST \S*/images/\S+/push", engine_socket.drops),
}


@pytest.mark.parametrize("step", STEPS)
def test_h2_an_engine_that_fails_in_the_middle(place: Place, step: str) -> None:
    """69 or 80, as far as docker tells the engine's fault from the image's; nothing is published on half of it."""
    pattern, act = STEPS[step]
    before = command.visible(place.shop.config)
    place.proxy.meet(pattern, act)
    ended = place.reconcile()
    assert ended.code in {69, 80}, ended.text
    assert FUNCTION in ended.text
    assert any(re.search(pattern, request) for request in place.proxy.requests)
    assert command.visible(place.shop.config) == before
    place.proxy.heal()
    place.converges()


def test_h2_without_images_a_hung_engine_stops_nothing(place: Place) -> None:
    """The rule: who builds nothing and names no stack needs no engine; `--skip-images` says so of one who builds."""
    place.proxy.meet(ALL, engine_socket.hangs)
    environment = {**place.environment, "CONTROLLER_DEADLINES__PROBE": "1s"}
    assert place.shop.reconcile("--skip-images", environment=environment).code == 0
    assert place.shop.documents()["functions.yml"]


# What is sent to the engine (G4)


def test_g4_no_dockerignore_is_obeyed(place: Place) -> None:
    """BuildKit obeys one in the root of a context and one beside the Dockerfile: ours have neither. What was hashed is
    what was sent."""
    folder = place.recipe(FUNCTION, "FROM registry:5010/base:1\n{copy}\n")
    tricks = (folder / ".dockerignore", folder / "Dockerfile.dockerignore", folder / "src" / ".dockerignore")
    for trick in (*tricks, folder.parent / ".dockerignore", folder.parent.parent / ".dockerignore"):
        trick.write_text("**\n!../../../../etc/passwd\n", encoding="utf-8")
    place.converges()
    image = f"{place.registry.address}/shop/{FUNCTION}:v1"
    listed = engines.docker("run", "--rm", "--network=none", image, "sh", "-c", "cat /code/code /code/.dockerignore")
    assert listed == (folder / "src" / "code").read_text(encoding="utf-8") + "**\n!../../../../etc/passwd"


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        descriptor = os.open(folder, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{descriptor}/it")
        os.close(descriptor)


def _sparse(folder: Path) -> None:
    (folder / "it").touch()
    os.truncate(folder / "it", 10 << 30)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "link out": lambda folder: (folder / "it").symlink_to("/etc/shadow"),
    "link to a neighbour": lambda folder: (folder / "it").symlink_to("../../config/functions.yml"),
    "FIFO": lambda folder: os.mkfifo(folder / "it"),
    "socket": _socket,
    "10 GB of nothing": _sparse,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_g4_a_hostile_context_never_gets_to_the_engine(place: Place, kind: str) -> None:
    """65 with its path, for the price of a look: nothing is read, copied or asked."""
    folder = place.recipe(FUNCTION, "FROM scratch\n{copy}\n")
    HOSTILE[kind](folder)
    ended = place.reconcile()
    assert (ended.code, f"catalog/functions/{FUNCTION}" in ended.text) == (65, True), ended.text
    assert place.proxy.requests == []


# Builds


def test_h9_a_build_that_never_ends(place: Place) -> None:
    """80 at the deadline; no child and no step of the build goes on; the other function is not built again."""
    forever = 86400 + os.getpid()
    place.recipe(FUNCTION, f"FROM registry:5010/base:1\n{{copy}}\nRUN sleep {forever}\n")
    place.recipe(OTHER, "FROM registry:5010/base:1\n{copy}\n")
    ended = place.reconcile(CONTROLLER_DEADLINES__BUILD="15s", CONTROLLER_IMAGES__PARALLEL="2")
    assert (ended.code, ended.json["reason"]) == (80, "ImageBuildFailed"), ended.text
    assert f"build of {FUNCTION} ended after 15s" in ended.text
    assert place.shop.documents()["functions.yml"] is None
    assert left_behind(place.proxy.address) == []
    assert [pid for pid in running("sleep", str(forever)) if not docker_stub.ends(pid)] == []
    place.recipe(FUNCTION, "FROM registry:5010/base:1\n{copy}\n")
    needs = {each["function"]: each["need"] for each in place.converges().json["plan"]["images"]}
    assert needs == {FUNCTION: "build", OTHER: "push"}


def running(*words: str) -> list[int]:
    """Processes of this machine with this command line, those in containers of an engine here included."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            said = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
            if said[-len(words) - 1 : -1] == [word.encode() for word in words]:
                found.append(int(entry))
    return found


def test_h9_a_base_that_is_nowhere_names_function_and_file(place: Place) -> None:
    """80 before any build; the function beside it is not built for nothing."""
    place.recipe(OTHER, "FROM registry:5010/base:1\n{copy}\n")
    place.recipe(FUNCTION, "FROM registry:5010/no-such-base:9\n{copy}\n")
    ended = place.reconcile()
    assert (ended.code, ended.json["reason"]) == (80, "ImageBuildFailed"), ended.text
    for words in (f"to build: {FUNCTION}", f"functions/{FUNCTION}/Dockerfile", "/no-such-base:9"):
        assert words in ended.err
    assert not any(re.search(r"POST \S*/(session|grpc|build)", request) for request in place.proxy.requests)
    place.recipe(FUNCTION, "FROM registry:5010/base:1\n{copy}\n")
    place.converges()


def test_h9_two_functions_of_one_image_are_refused(place: Place) -> None:
    """65, both named, nothing built: they would push each other's image away."""
    place.recipe(OTHER, "FROM registry:5010/base:1\n{copy}\n")
    place.shop.edit("orders", "functions.yml", f"shop/{OTHER}:v1", f"shop/{FUNCTION}:v1")
    ended = place.reconcile()
    assert (ended.code, ended.json["reason"]) == (65, "ImageConflict"), ended.text
    assert FUNCTION in ended.text
    assert OTHER in ended.text
    assert not any(re.search(r"POST \S*/(session|grpc|build)", request) for request in place.proxy.requests)


# The registry (H10)


UNAUTHORIZED = registries.Fault(
    status=401, headers={"WWW-Authenticate": 'Basic realm="r"'}, body=b'{"errors": [{"code": "UNAUTHORIZED"}]}'
)
CLOSING = b"\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>"
BUSY = registries.Fault(raw=b"HTTP/1.1 429 Too Many Requests" + CLOSING)
BROKEN = registries.Fault(raw=b"HTTP/1.1 500 Internal Server Error" + CLOSING)
WRITES, LAYER, MANIFEST = r"^(POST|PATCH|PUT) .*shop", r"^PUT .*shop.*/uploads/", r"^PUT .*shop.*/manifests/"
REFUSALS = {
    "401": (UNAUTHORIZED, WRITES, "log in with docker login"),
    "429 for good": (BUSY, MANIFEST, "could not be pushed"),
    "500 to the manifest": (BROKEN, MANIFEST, "could not be pushed"),
    "500 to the last layer": (BROKEN, LAYER, "ended after 2s"),
    "hung": (registries.Fault(hang=True), WRITES, "ended after 2s"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_h10_a_registry_that_takes_nothing(place: Place, fault: str) -> None:
    """80 in words; the same image is pushed by the next pass and not built again."""
    what, where, words = REFUSALS[fault]
    soon = {"CONTROLLER_DEADLINES__PUSH": "2s"} if "2s" in words else {}
    before = command.visible(place.shop.config)
    place.registry.fault(what, where)
    ended = place.reconcile(**soon)
    assert (ended.code, ended.json["reason"]) == (80, "ImagePushFailed"), ended.text
    assert words in ended.text
    assert FUNCTION in ended.text
    assert command.visible(place.shop.config) == before
    place.registry.heal()
    place.registry.drop_idle()  # a registry that comes back has no connection of before
    assert [each["need"] for each in place.converges().json["plan"]["images"]] == ["push"]


def test_h10_an_answer_of_500_to_what_was_taken(place: Place) -> None:
    """80, as far as anybody can know; the next pass sees that it is there, and pushes nothing."""
    place.registry.fault(registries.Fault(status=500), MANIFEST)
    assert place.reconcile().code == 80
    place.registry.heal()
    assert place.converges().json["plan"]["images"] == []


@pytest.mark.parametrize("fault", [BUSY, BROKEN], ids=["429", "500"])
def test_h10_a_registry_that_is_busy_once_is_asked_again(place: Place, fault: registries.Fault) -> None:
    """By us: the engine itself does not try a manifest again."""
    place.registry.fault(fault, MANIFEST, times=1)
    place.converges()
    assert sum(bool(re.search(MANIFEST, f"{method} {path}")) for method, path in place.registry.requests) >= 2


def test_h10_what_the_registry_holds_after_the_push_is_something_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's manifest stands under the tag as soon as ours has come: no digest that is not there is published,
    and nothing that is not ours."""
    true = place.registry.put_manifest

    def another(name: str, manifest: object, kind: str = registries.OCI) -> str:
        if not name.startswith("shop/"):
            return true(name, manifest, kind)
        theirs = {"schemaVersion": 2, "mediaType": registries.OCI, "layers": []}
        return true(name, {**theirs, "config": place.registry.blob({"config": {}}, registries.CONFIG)})

    monkeypatch.setattr(place.registry, "put_manifest", another)
    before = command.visible(place.shop.config)
    ended = place.reconcile()
    assert ended.code == 80, ended.text
    assert FUNCTION in ended.text
    assert command.visible(place.shop.config) == before
    monkeypatch.undo()
    place.converges()


# No terminal, no input (H7)


class Ways:
    """How a command may be started."""

    @staticmethod
    def plain(line: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """As a service starts it."""
        return Ways._ended(line, environment)

    @staticmethod
    def closed(line: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """In a session of its own, with no stdin at all."""
        return Ways._ended(["setsid", "--wait", "sh", "-c", 'exec "$@" <&-', "sh", *line], environment)

    @staticmethod
    def terminal(line: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """With a terminal for everything, at which nobody types."""
        ours, theirs = pty.openpty()
        said = b""
        try:
            with subprocess.Popen(
                ["setsid", "--ctty", "--wait", *line], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
            ) as process:
                os.close(theirs)
                with contextlib.suppress(OSError):  # Linux says EIO once the other side is closed
                    while piece := os.read(ours, 65536):
                        said += piece
            return process.returncode, said.decode().replace("\r\n", "\n")
        finally:
            os.close(ours)

    @staticmethod
    def _ended(line: list[str], environment: dict[str, str]) -> tuple[int, str]:
        ended = subprocess.run(
            line,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=command.PATIENCE_S,
        )
        return ended.returncode, ended.stdout.decode()


@pytest.mark.parametrize("login", [False, True], ids=["pushed", "a login is wanted"])
def test_h7_the_same_whatever_it_is_started_from(place: Place, tmp_path: Path, login: bool) -> None:
    """A pass builds and pushes, or is refused, in the same words: nobody is asked, and no control character is said
    (that of a plan's colours, and of steps that take long, is our own, and left out)."""
    if login:
        place.registry.fault(UNAUTHORIZED, WRITES)
    said: dict[str, str] = {}
    for way in (Ways.plain, Ways.closed, Ways.terminal):
        for name in [name for name in place.registry.manifests if name[0].startswith("shop/")]:
            del place.registry.manifests[name]
        if said:
            engines.docker("rmi", "--force", f"{place.registry.address}/shop/{FUNCTION}:v1")
        config = tmp_path / f"{way.__name__}-config"
        line = command.line("reconcile", "--once", "--source", str(place.shop.source), "--config-dir", str(config))
        code, words = way([*line, "--quiet"], command.child_environment({**place.environment, "TERM": "dumb"}))
        assert code == (80 if login else 0), words
        assert "\x1b" not in words
        ours = [line for line in words.splitlines() if not line.startswith("    ")]  # docker counts as it likes
        said[way.__name__] = "\n".join(ours).replace(str(config), "CONFIG")
    assert len(set(said.values())) == 1, said
