"""How git gets to the remote: certificates, a proxy, ssh's files, and what its processes see and leave (faults.md E2,
E8, P8, P13)."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller import clock, errors, settings_sources
from controller.sources import git, git_command
from tests.fakes import daemons, docker_stub, git_server, http_proxy, ssh_server, tools

ROOT = Path(__file__).parents[2]
CANARY = "battery-9d21"
"""Not the word of other tests, which look at all processes of the machine for theirs."""
SETTINGS = ("CONTROLLER_SOURCE__GIT__PASSWORD", "controller_http__webhook_secret", "Controller_Notify__Url")


@dataclass(frozen=True)
class Place:
    """Our side of a repository below `remotes`, with one commit."""

    folder: Path
    author: git_server.Author

    @property
    def remotes(self) -> Path:
        """What a server serves."""
        return self.author.bare.parent

    @property
    def mirror(self) -> Path:
        """The clone."""
        return next((self.folder / "state").glob("*/mirror.git"))

    def fetch(self, **given: Any) -> git.Fetched:
        """One look."""
        configured = settings_sources.GitSource.model_validate(given)
        return git.Repository(configured, self.folder / "state", deadline_s=60.0).fetch("")

    def refused(self, **given: Any) -> errors.ControllerError:
        """One look that fails."""
        with pytest.raises(errors.ControllerError) as failed:
            self.fetch(**given)
        return failed.value

    def children(self) -> list[int]:
        """Every process that works in our folder, whoever started it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(self.folder / "state"):
                    found.append(int(entry.name))
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tools.require("git", "ssh-keygen")
    author = git_server.Author(tmp_path / "work", tmp_path / "remotes" / "shop.git")
    (author.folder / "a.txt").write_text("one\n", encoding="utf-8")
    author.publish()
    return Place(tmp_path, author)


@pytest.fixture
def authority(tmp_path: Path) -> git_server.Authority:
    tools.require("openssl")
    return git_server.Authority(tmp_path / "authority")


def test_e2_a_certificate_counts_when_its_authority_is_in_the_settings(
    place: Place, authority: git_server.Authority, tmp_path: Path
) -> None:
    other = git_server.Authority(tmp_path / "other")
    with git_server.serving(place.remotes, authority=authority) as server:
        url = server.url("shop.git")
        assert (place.fetch(url=url, ca_file=authority.file).root / "a.txt").read_text(encoding="utf-8") == "one\n"
        asked = len(server.requests)
        for given in ({}, {"ca_file": other.file}):
            refused = place.refused(url=url, **given)
            assert refused.reason == "SourceUnavailable"
            assert "certificate" in refused.message
        assert len(server.requests) == asked


@contextlib.contextmanager
def everything_visible() -> Iterator[list[bytes]]:
    """Arguments and environments of all processes but ours, again and again."""
    seen: list[bytes] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for entry in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        seen.append((entry / name).read_bytes())

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield seen
    finally:
        stop.set()
        watch.join()


def test_p13_a_proxy_is_used_and_its_password_is_nowhere(place: Place, authority: git_server.Authority) -> None:
    with git_server.serving(place.remotes, authority=authority) as server, http_proxy.serving() as proxy:
        given = {"url": server.url("shop.git"), "ca_file": authority.file, "proxy": proxy.url()}
        with everything_visible() as seen:
            server.before_answer = lambda: daemons.until(lambda: any(b"git-remote-https" in one for one in list(seen)))
            found = place.fetch(**given)
        assert (found.root / "a.txt").read_text(encoding="utf-8") == "one\n"
        assert set(proxy.asked) == {f"127.0.0.1:{server.port}"}
        assert len(proxy.asked) >= len({b"ls-remote", b"fetch"})
    assert any(b"git-remote-https" in one for one in seen), "the watch saw nothing"
    assert not any(http_proxy.PASSWORD.encode() in one for one in seen)
    for file in (place.folder / "state").rglob("*"):
        assert not file.is_file() or http_proxy.PASSWORD.encode() not in file.read_bytes()


def test_p13_a_proxy_that_refuses_is_told_without_the_password(place: Place, authority: git_server.Authority) -> None:
    with git_server.serving(place.remotes, authority=authority) as server, http_proxy.serving() as proxy:
        wrong = proxy.url(password=CANARY)
        refused = place.refused(url=server.url("shop.git"), ca_file=authority.file, proxy=wrong)
        assert (proxy.asked, server.requests) == ([], [])
        assert proxy.refused
    assert refused.reason == "SourceUnavailable"
    assert "407" in refused.message
    assert CANARY not in f"{refused!r} {refused.message} {refused.__context__!r}"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("packs_only", [False, True])
@pytest.mark.parametrize(("asked", "told_s"), [("17", 17), ("0", 0), ("-3", 0), ("soon", 0), ("", 0)])
def test_e2_what_a_server_asks_for_is_told_in_seconds(
    place: Place, status: int, packs_only: bool, asked: str, told_s: float
) -> None:
    """When it is asked for its refs, and when it is asked for a commit."""
    with git_server.serving(place.remotes) as server:
        server.faults.status, server.faults.retry_after, server.faults.packs_only = status, asked, packs_only
        refused = place.refused(url=server.url("shop.git"))
    assert (refused.reason, refused.retry_after_s) == ("SourceUnavailable", told_s)
    assert str(status) in refused.message
    assert ("17 s" in refused.message) == bool(told_s)


def test_e8_no_fetch_leaves_a_process_that_tidies_up(place: Place) -> None:
    """Not even where the clone says that one should be started at once, in the background."""
    with git_server.serving(place.remotes) as server:
        for number in range(8):
            (place.author.folder / "a.txt").write_text(f"{number}\n", encoding="utf-8")
            place.author.publish()
            found = place.fetch(url=server.url("shop.git"))
            assert (found.root / "a.txt").read_text(encoding="utf-8") == f"{number}\n"
            daemons.until(lambda: not place.children())
            with (place.mirror / "config").open("a", encoding="ascii") as file:
                file.write("[gc]\n\tauto = 1\n\tautoPackLimit = 1\n\tautoDetach = true\n[maintenance]\n\tauto = true\n")
        assert not (place.mirror / "gc.log").exists()
        assert not (place.mirror / "gc.pid").exists()
    calls = git_command.Git(git_command.Access("", "http"), place.folder, 60.0, clock.Clock().monotonic_s() + 60)
    for name, value in (("gc.auto", b"0\n"), ("maintenance.auto", b"false\n")):
        assert calls.answer("config", "--get", name, repository=place.mirror) == value


FETCHES = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from controller import settings_sources
from controller.sources import git
git.Repository(settings_sources.GitSource(url=sys.argv[1]), Path(sys.argv[2]), deadline_s=300).fetch("")
"""
SHELLS = [name for name in ("sh", "dash", "bash", "busybox") if shutil.which(name)]


@pytest.mark.parametrize("shell", SHELLS)
def test_p8_when_the_controller_is_killed_its_git_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """In a fetch from a remote that hangs, long before the deadline of it."""
    only_with(monkeypatch, place.folder / "bin", sh=Path(str(shutil.which(shell))))
    with git_server.serving(place.remotes) as server:
        server.faults.silent_packs = True
        script = [sys.executable, "-c", FETCHES, server.url("shop.git"), str(place.folder / "state")]
        asking = subprocess.Popen(script, stderr=subprocess.DEVNULL)
        try:
            daemons.until(lambda: len([one for one in server.requests if one.startswith("POST")]) > 1)
            alive = place.children()
        finally:
            asking.kill()
            asking.wait()
        assert len(alive) >= len({"timeout", "sh", "git", "transport", "watch"})
        assert [pid for pid in alive if not docker_stub.ends(pid)] == []


def only_with(monkeypatch: pytest.MonkeyPatch, folder: Path, **programs: Path) -> None:
    """Put these programs before all others of their names."""
    folder.mkdir()
    for name, program in programs.items():
        (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("late", [False, True])
def test_p8_nobody_watches_after_the_end(place: Place, late: bool) -> None:
    """Neither after an end of its own nor after the deadline."""
    with git_server.serving(place.remotes) as server:
        server.faults.silent = late
        configured = settings_sources.GitSource(url=server.url("shop.git"))
        repository = git.Repository(configured, place.folder / "state", deadline_s=1.0 if late else 60.0)
        if late:
            with pytest.raises(errors.ControllerError, match="no end within 1 s"):
                repository.fetch("")
        else:
            repository.fetch("")
        daemons.until(lambda: not place.children())


def test_e2_no_git_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place.folder / "bin"
    only_with(monkeypatch, folder, **{name: Path(str(shutil.which(name))) for name in ("sh", "timeout")})
    monkeypatch.setenv("PATH", str(folder))
    assert "install git" in place.refused(url="https://127.0.0.1:9/shop.git").message


def test_p13_gpg_sees_none_of_our_settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it takes in the keys, and when git asks it for a signature."""
    for name in SETTINGS:
        monkeypatch.setenv(name, CANARY)
    tools.require("gpg")
    wrapped = place.folder / "wrapped"
    wrapped.write_text(f'#!/bin/sh\nenv >>{place.folder}/environment\nexec {shutil.which("gpg")} "$@"\n')
    wrapped.chmod(0o755)
    only_with(monkeypatch, place.folder / "bin", gpg=wrapped)
    keyring = place.folder / "keyring"
    keyring.write_text("no keys\n", encoding="ascii")
    with git_server.serving(place.remotes) as server:
        verify = {"policy": "head", "keyring_file": keyring}
        assert "keyring_file" in place.refused(url=server.url("shop.git"), verify=verify).message
    seen = (place.folder / "environment").read_text(encoding="utf-8")
    assert "PATH=" in seen
    assert CANARY not in seen
    assert "controller_" not in seen.lower()


ODD = ["plain", "with space", "100%", "%h and %%u", 'quo"ted', "it's", "back\\slash"]


@pytest.mark.parametrize("name", ODD)
def test_paths_of_ssh_mean_themselves(place: Place, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As ssh itself reads them: in its options a space separates and %h is the host's name."""
    tools.require("ssh")
    folder = place.folder / name
    folder.mkdir()
    (folder / "known").touch()
    (folder / "key").touch(mode=0o600)
    stub = place.folder / "stub"
    stub.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" >{shlex.quote(str(place.folder))}/arguments\nexit 255\n')
    stub.chmod(0o755)
    ssh = str(shutil.which("ssh"))
    only_with(monkeypatch, place.folder / "bin", ssh=stub)
    files = {"known_hosts_file": folder / "known", "ssh_key_file": folder / "key"}
    assert place.refused(url="ssh://git@host.example/shop.git", **files).reason == "SourceUnavailable"
    given = (place.folder / "arguments").read_text(encoding="utf-8").split("\0")
    options = given[: given.index("git@host.example")]
    shown = subprocess.run([ssh, "-G", *options, "host.example"], check=True, capture_output=True, text=True).stdout
    read = dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)
    for key, file in (("userknownhostsfile", "known"), ("identityfile", "key")):
        written = str(folder / file)
        assert read[key] in {written, written.replace("%", "%%")}, "some versions show what they make of it"


@pytest.mark.parametrize("name", ["with space", "%h and %%u"])
def test_a_key_lets_in_whatever_its_folder_is_called(place: Place, name: str) -> None:
    tools.require("ssh")
    with ssh_server.serving(place.folder / "ssh") as server:
        folder = place.folder / name
        folder.mkdir()
        key = shutil.copy(server.key, folder / "key")
        known = server.known_hosts(folder / "known")
        found = place.fetch(url=server.url(place.author.bare), ssh_key_file=key, known_hosts_file=known)
    assert (found.root / "a.txt").read_text(encoding="utf-8") == "one\n"
