"""The missing piece is named, whatever docker says about it (faults.md H5, consumers.md DK3 and DK5)."""

import grp
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from controller import docker, docker_child, docker_preflight, errors
from tests.fakes import docker_stub

ALL = tuple(docker.Piece)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> docker_stub.DockerStub:
    """A docker in which nothing is missing."""
    whole = docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)
    whole.says("version", json.dumps({"Client": {"Version": "26.1.5"}, "Server": {"Version": "26.1.5+dfsg1"}}))
    whole.says("buildx version", "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n")
    whole.says("compose version", "2.26.1-4\n")
    return whole


def missing(*pieces: docker.Piece, engine: docker.Engine | None = None) -> str:
    with pytest.raises(errors.ControllerError) as caught:
        (engine or docker.Engine()).preflight(pieces or ALL)
    assert caught.value.reason == "DockerUnavailable"
    assert caught.value.__cause__ is None
    return caught.value.message


def test_nothing_is_missing(stub: docker_stub.DockerStub) -> None:
    """Counter-check. Plugins are looked for once, the engine every time."""
    engine = docker.Engine()
    engine.preflight(ALL)
    engine.preflight(ALL)
    assert [call[0] for call in stub.calls] == ["version", "buildx", "compose", "version"]


@pytest.mark.parametrize(
    ("server", "platform"),
    [
        ({"Os": "linux", "Arch": "arm64"}, "linux/arm64"),
        ({"Os": "linux"}, ""),
        ({"Os": "linux", "Arch": 64}, ""),
        ({"Version": "26.1.5"}, ""),
    ],
)
def test_h9_the_platform_is_the_engine_s_own(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, server: dict[str, object], platform: str
) -> None:
    monkeypatch.delenv(docker.DEFAULT_PLATFORM, raising=False)
    stub.says("version", json.dumps({"Client": {"Os": "windows", "Arch": "386"}, "Server": server}))
    assert docker.Engine().platform == platform


def test_h9_the_platform_is_asked_for_once_and_never_behind_a_preflight(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H9: an engine that was replaced by one for other machines is noticed with the next preflight, at no cost."""
    monkeypatch.delenv(docker.DEFAULT_PLATFORM, raising=False)
    stub.says("version", json.dumps({"Server": {"Os": "linux", "Arch": "amd64"}}))
    engine = docker.Engine()
    assert [engine.platform, engine.platform] == ["linux/amd64"] * 2
    assert stub.count("version") == 1
    stub.says("version", json.dumps({"Server": {"Os": "linux", "Arch": "arm64"}}))
    engine.preflight((docker.Piece.ENGINE,))
    assert engine.platform == "linux/arm64"
    assert stub.count("version") == 2


def test_h9_what_buildx_takes_from_the_environment_is_the_platform(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(docker.DEFAULT_PLATFORM, "linux/arm64")
    assert docker.Engine().platform == "linux/arm64"
    assert stub.calls == []


def test_h5_an_engine_that_is_too_old_to_build_on_can_be_looked_at(stub: docker_stub.DockerStub) -> None:
    """Counter-check: only builds need a BuildKit that dates images."""
    pieces = (docker.Piece.ENGINE, docker.Piece.COMPOSE)
    stub.says("version", json.dumps({"Server": {"Version": "20.10.24"}}))
    docker.Engine().preflight(pieces)
    assert "the engine is too old to build images" in missing(docker.Piece.ENGINE, docker.Piece.BUILDX)
    stub.says("version", json.dumps({"Server": {"Version": "19.03.15"}}))
    assert "the engine is too old: found 19.3, wanted 20.10 or newer" in missing(*pieces)


def test_only_what_is_needed_is_looked_for(stub: docker_stub.DockerStub) -> None:
    stub.says("buildx", code=1)
    docker.Engine().preflight([docker.Piece.COMPOSE])
    docker.Engine().preflight([])
    assert [call[0] for call in stub.calls] == ["compose"]


def test_h5_no_docker_command(stub: docker_stub.DockerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither preflight nor a call without one ends in a traceback."""
    monkeypatch.setenv("PATH", str(_programs(tmp_path, docker_child.PROGRAMS)))
    assert missing() == "the docker command is missing: it is not on PATH"
    with pytest.raises(errors.ControllerError, match="the docker command is missing"):
        docker.Engine().containers()


@pytest.mark.parametrize("program", docker_child.PROGRAMS)
def test_h5_no_program_of_the_system(
    stub: docker_stub.DockerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    rest = _programs(tmp_path, {*docker_child.PROGRAMS, "docker"} - {program})
    monkeypatch.setenv("PATH", str(rest))
    assert missing() == f"the {program} command is missing: it is not on PATH"


def _programs(folder: Path, names: "frozenset[str] | set[str] | tuple[str, ...]") -> Path:
    place = folder / "programs"
    place.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found
        (place / name).symlink_to(found)
    return place


@pytest.mark.parametrize(
    ("piece", "complaint", "code"),
    [
        (docker.Piece.BUILDX, "docker: 'buildx' is not a docker command.\nSee 'docker --help'\n", 1),
        (docker.Piece.COMPOSE, "docker: 'compose' is not a docker command.\nSee 'docker --help'\n", 1),
        (docker.Piece.COMPOSE, "docker: unknown command: docker compose\n\nRun 'docker --help'\n", 1),
        (
            docker.Piece.COMPOSE,
            "unknown flag: --short\nSee 'docker --help'.\n\nUsage:  docker [OPTIONS] COMMAND\n",
            125,
        ),
    ],
)
def test_h5_a_plugin_is_missing(stub: docker_stub.DockerStub, piece: docker.Piece, complaint: str, code: int) -> None:
    stub.says(f"{piece} version", err=complaint, code=code)
    message = missing()
    assert message.startswith(f"the {piece} plugin of the docker command is missing: install docker-{piece}")
    assert "unknown" not in message


def test_dk5_a_plugin_that_vanished_after_preflight_is_named_too(stub: docker_stub.DockerStub) -> None:
    """And not as what docker made of compose's flags."""
    stub.says("compose", err="unknown shorthand flag: 'p' in -p\nSee 'docker --help'.\n" + "usage\n" * 90, code=125)
    stub.says("info", "2026-02-20T07:04:04Z")
    stub.says("events")
    wanted = docker.ServiceRun("p", "n", {}, "esb", (), None, None, None, {}, with_deps=False)
    with pytest.raises(errors.ControllerError, match="the compose plugin of the docker command is missing"):
        docker.Engine().run_service(wanted)


@pytest.mark.parametrize(
    ("words", "answer", "found", "wanted"),
    [
        ("version", json.dumps({"Server": {"Version": "23.0.6"}}), "23.0", "24.0"),
        ("compose version", "1.29.2\n", "1.29", "2.0"),
        ("compose version", "WARNING: uses 3.7 files\ndocker-compose version 1.25.0, build unknown\n", "1.25", "2.0"),
        ("buildx version", "github.com/docker/buildx v0.9.1 ed00243a0ce2\n", "0.9", "0.10"),
    ],
)
def test_h5_too_old_says_what_was_found_and_what_is_wanted(
    stub: docker_stub.DockerStub, words: str, answer: str, found: str, wanted: str
) -> None:
    stub.says(words, answer)
    purpose = " to build images" if words == "version" else ""
    assert f"is too old{purpose}: found {found}, wanted {wanted} or newer" in missing()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.26.1-4", (2, 26)),
        ("v2.29.7", (2, 29)),
        ("Docker Compose version v2.27.0-desktop.2", (2, 27)),
        ("time=2026-02-20 level=warning msg=x 1.2.3\n2.26.1\n", (2, 26)),
        ("warning: config of version 1.0\ngithub.com/docker/buildx v0.13.1 g788\n", (0, 13)),
        ("20.10.24+dfsg1", (20, 10)),
        ("dev", None),
        ("0.0.0-20260220", None),
        ("", None),
    ],
)
def test_versions_as_they_are_printed(text: str, version: tuple[int, int] | None) -> None:
    assert docker_preflight.version(text) == version
    if version is None:
        assert docker_preflight.too_old(docker.Piece.COMPOSE, text) is None


@pytest.mark.parametrize("answer", ["", "no JSON", "[]", '{"Client": {}}', '{"Server": null}', '{"Server": "x"}'])
def test_h5_a_version_without_an_engine_is_no_engine(stub: docker_stub.DockerStub, answer: str) -> None:
    stub.says("version", answer)
    assert "version" in missing()


SOCKET_GONE = "Cannot connect to the Docker daemon at unix://{path}. Is the docker daemon running?\n"
NEW_SOCKET_GONE = (
    "failed to connect to the docker API at unix://{path}; check if the path is correct and if the daemon is running: "
    "dial unix {path}: connect: no such file or directory\n"
)


@pytest.mark.parametrize("complaint", [SOCKET_GONE, NEW_SOCKET_GONE, f"ERROR: {SOCKET_GONE}"])
def test_h5_no_socket_and_nobody_behind_it(stub: docker_stub.DockerStub, tmp_path: Path, complaint: str) -> None:
    path = tmp_path / "docker.sock"
    stub.says("version", '{"Server": null}', err=complaint.format(path=path), code=1)
    engine = docker.Engine(host=f"unix://{path}")
    assert f"there is no socket {path}; start the engine" in missing(engine=engine)
    path.touch()
    assert f"nobody listens on the socket {path}; start the engine" in missing(engine=engine)


@pytest.mark.parametrize(
    "complaint",
    [
        "Got permission denied while trying to connect to the Docker daemon socket at unix://{path}: Get http://x: dial",
        "permission denied while trying to connect to the Docker daemon socket at unix://{path}: Head http://x: dial",
        "permission denied while trying to connect to the docker API at unix://{path}",
    ],
)
def test_h5_permission_on_the_socket_names_the_group(
    stub: docker_stub.DockerStub, tmp_path: Path, complaint: str
) -> None:
    path = tmp_path / "docker.sock"
    stub.says("version", err=complaint.format(path=path), code=1)
    assert "may not even look at it" in missing()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        gid = path.stat().st_gid
        message = missing()
        assert f"permission denied on the engine's socket {path}" in message
        assert f"the group {grp.getgrgid(gid).gr_name} (gid {gid}); add this user" in message


def test_h5_a_group_without_a_name_has_its_number(
    stub: docker_stub.DockerStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container the engine's group has no name."""

    def unnamed(gid: int) -> None:
        raise KeyError(gid)

    path = tmp_path / "docker.sock"
    path.touch()
    monkeypatch.setattr(grp, "getgrgid", unnamed)
    stub.says("version", err=f"permission denied while trying to connect to the docker API at unix://{path}", code=1)
    assert f"the group with gid {os.stat(path).st_gid}; add" in missing()


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        (
            'Failed to initialize: unable to resolve docker endpoint: context "edge": context not found: open /x',
            "'edge'",
        ),
        ('context "edge": context not found: open /x: no such file or directory', "'edge'"),
        ('error during connect: Get "http://x/v1.45/version": Host key verification failed.', "Host key verification"),
        ('error during connect: Head "https://10.0.0.9:2376/_ping": x509: certificate signed by unknown', "x509"),
        (
            "Error response from daemon: client version 1.53 is too new. Maximum supported API version is 1.45",
            "too new",
        ),
        ("Cannot connect to the Docker daemon at tcp://10.0.0.9:2375. Is the docker daemon running?", "tcp://10.0.0.9"),
    ],
)
def test_h5_other_reasons_are_told_as_docker_tells_them(
    stub: docker_stub.DockerStub, complaint: str, told: str
) -> None:
    stub.says("version", err=f"WARNING: x\n{complaint}\n\n", code=1)
    message = missing(engine=docker.Engine(context="edge"))
    assert message.startswith("no engine answers at context edge: ")
    assert told in message


@pytest.mark.parametrize(
    "words",
    [
        "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        "permission denied while trying to connect to the docker API at unix:///x",
    ],
)
def test_the_same_words_from_a_program_are_no_missing_engine(stub: docker_stub.DockerStub, words: str) -> None:
    """Counter-check: a build may use docker itself, and BuildKit puts the time before its words."""
    stub.says("image push", f"#7 0.2 {words}", code=1)
    with pytest.raises(docker.CommandFailed):
        docker.Engine().push("a")


@pytest.mark.parametrize("words", ["version", "buildx version", "compose version"])
def test_dk3_whoever_never_answers_is_left_at_the_deadline(stub: docker_stub.DockerStub, words: str) -> None:
    stub.does(words, "exec sleep 600")
    engine = docker.Engine(host="unix:///run/hung.sock", deadlines=docker.Deadlines(probe_s=0.2))
    assert missing(engine=engine) == (
        f"docker {words} had no answer from unix:///run/hung.sock within 0.2 s (deadlines.probe)"
    )
