"""The git source over a real remote (faults.md C1, E1-E6, E8, P9, P13)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller import errors, settings_sources
from controller.sources import git, git_mirror
from core import git_refs
from tests.fakes import daemons, git_server, tools


@dataclass
class Place:
    """A remote over http, its author, and our copy of it."""

    folder: Path
    server: git_server.GitServer
    author: git_server.Author
    calls: list[str] = field(default_factory=list)
    deadline_s: float = 60.0

    def configured(self, **more: Any) -> settings_sources.GitSource:
        """The settings."""
        return settings_sources.GitSource.model_validate({"url": self.server.url("shop.git"), **more})

    def repository(self, **more: Any) -> git.Repository:
        """Our side."""
        return git.Repository(
            self.configured(**more), self.folder / "state", deadline_s=self.deadline_s, counted=self.calls.append
        )

    def fetch(self, highest: str = "", **more: Any) -> git.Fetched:
        """One look."""
        self.calls.clear()
        return self.repository(**more).fetch(highest)

    def refused(self, highest: str = "", **more: Any) -> errors.ControllerError:
        """One look that fails."""
        with pytest.raises(errors.ControllerError) as failed:
            self.fetch(highest, **more)
        return failed.value

    @property
    def mirror(self) -> Path:
        """The clone."""
        return next((self.folder / "state").glob("*/mirror.git"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A repository with one commit."""
    tools.require("git", "ssh-keygen")
    author = git_server.Author(tmp_path / "work", tmp_path / "remote" / "shop.git")
    (author.folder / "app").mkdir()
    (author.folder / "app" / "a.txt").write_text("one\n")
    (author.folder / "app" / "run.sh").write_text("#!/bin/sh\n")
    (author.folder / "app" / "run.sh").chmod(0o755)
    (author.folder / "README").write_text("beside\n")
    author.publish()
    with git_server.serving(tmp_path / "remote") as server:
        yield Place(tmp_path, server, author)


def _content(found: git.Fetched) -> dict[str, str]:
    return {
        str(file.relative_to(found.root)): file.read_text() for file in sorted(found.root.rglob("*")) if file.is_file()
    }


def test_the_content_of_one_commit_is_read(place: Place) -> None:
    found = place.fetch()
    assert found.commit == place.author.git("rev-parse", "HEAD").strip()
    assert found.ref == "refs/heads/main"
    assert _content(found) == {"README": "beside\n", "app/a.txt": "one\n", "app/run.sh": "#!/bin/sh\n"}
    assert (found.root / "app" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (found.root / "app" / "a.txt").stat().st_mode & 0o777 == 0o644


def test_an_unchanged_remote_costs_one_call(place: Place) -> None:
    first = place.fetch()
    assert place.fetch(first.commit) == first
    assert place.calls == ["ls-remote"]
    assert place.fetch(first.commit) == first
    assert place.calls == ["ls-remote"]


def test_a_push_is_fetched_shallow(place: Place) -> None:
    place.fetch()
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    commit = place.author.publish()
    found = place.fetch()
    assert found.commit == commit
    assert _content(found)["app/a.txt"] == "two\n"
    assert place.calls.count("fetch") == 1
    assert (place.mirror / "shallow").exists()


def test_only_the_folder_that_is_wanted_is_taken(place: Place) -> None:
    """A commit beside `path` is another commit of the same folder."""
    first = place.fetch(path="app")
    assert set(_content(first)) == {"a.txt", "run.sh"}
    (place.author.folder / "README").write_text("other\n")
    commit = place.author.publish()
    second = place.fetch(first.commit, path="app")
    assert second.commit == commit
    assert second.root == first.root


@pytest.mark.parametrize("ref", ["main", "refs/heads/main", "HEAD"])
def test_a_branch(place: Place, ref: str) -> None:
    assert place.fetch(ref=ref).commit == place.author.git("rev-parse", "HEAD").strip()


def test_tags_commits_and_ranges_of_versions(place: Place) -> None:
    first = place.author.git("rev-parse", "HEAD").strip()
    place.author.tag("v1.2.0")
    place.author.git("commit", "--quiet", "--allow-empty", "-m", "next")
    place.author.tag("v1.10.1")
    second = place.author.git("rev-parse", "HEAD").strip()
    place.author.git("commit", "--quiet", "--allow-empty", "-m", "next")
    place.author.tag("v2.0.0")
    place.author.push("main", "--tags")
    assert place.fetch(ref="v1.2.0").commit == first
    assert place.fetch(ref="semver:^1.2").commit == second
    assert place.fetch(ref="semver:<2").commit == second
    assert place.fetch(ref=first).commit == first
    assert place.refused(ref="semver:>=3").reason == "RefMissing"


def test_e3_a_branch_that_is_gone_is_an_error(place: Place) -> None:
    place.fetch()
    place.author.git("push", "--quiet", "origin", "main:other")
    place.author.git("--git-dir", str(place.author.bare), "symbolic-ref", "HEAD", "refs/heads/other")
    place.author.git("push", "--quiet", "origin", ":main")
    assert place.refused().reason == "RefMissing"
    assert place.fetch(ref="other").commit


def test_e3_a_moved_tag_is_noticed(place: Place) -> None:
    place.author.tag("stable")
    place.author.push("stable")
    first = place.fetch(ref="stable")
    place.author.commit("next")
    place.author.tag("stable")
    place.author.push("main", "stable")
    second = place.fetch(first.commit, ref="stable")
    assert second.commit != first.commit


def test_a_remote_that_goes_back_is_refused(place: Place) -> None:
    """A forced push to an older commit, to an unrelated one, and one that is named in `accept`."""
    old = place.fetch().commit
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    new = place.author.publish()
    assert place.fetch(old).commit == new
    place.author.git("reset", "--quiet", "--hard", old)
    place.author.push()
    refused = place.refused(new)
    assert refused.reason == "SourceRewound"
    assert old in refused.message
    assert place.fetch(new, accept=[old]).commit == old
    place.author.git("checkout", "--quiet", "--orphan", "fresh")
    place.author.commit("unrelated")
    place.author.git("push", "--quiet", "--force", "origin", "fresh:main")
    assert place.refused(new).reason == "SourceRewound"


def test_history_between_is_found_also_by_a_new_clone(place: Place) -> None:
    """Several commits later, and after the clone was lost."""
    old = place.fetch().commit
    for number in range(5):
        place.author.commit(str(number))
    place.author.push()
    shutil.rmtree(place.mirror)
    assert place.fetch(old).commit == place.author.git("rev-parse", "HEAD").strip()


def _trusting(place: Place, policy: str = "head") -> dict[str, Any]:
    return {"verify": {"policy": policy, "allowed_signers_file": str(place.author.signers)}}


def test_a_signed_commit_is_taken_and_an_unsigned_one_refused(place: Place) -> None:
    refused = place.refused(**_trusting(place))
    assert refused.reason == "SourceUntrusted"
    assert "not signed" in refused.message
    signed = place.author.publish(sign=True)
    assert place.fetch(**_trusting(place)).commit == signed


def test_a_signature_of_an_unknown_key_is_as_good_as_none(place: Place) -> None:
    stranger = git_server.Author(place.folder / "stranger", place.author.bare)
    stranger.git("fetch", "--quiet", "origin")
    stranger.git("reset", "--quiet", "--hard", "origin/main")
    stranger.publish(sign=True)
    assert place.refused(**_trusting(place)).reason == "SourceUntrusted"


def test_a_key_that_is_trusted_no_longer_counts_at_the_next_look(place: Place) -> None:
    place.author.publish(sign=True)
    place.fetch(**_trusting(place))
    place.author.signers.write_text("")
    assert place.refused(**_trusting(place)).reason == "SourceUntrusted"


def test_a_signed_tag_is_taken_and_others_are_refused(place: Place) -> None:
    place.author.tag("v1.0.0")
    place.author.push("main", "v1.0.0")
    wanted = {"ref": "semver:1.x", **_trusting(place, "tag")}
    assert place.refused(**wanted).reason == "SourceUntrusted"
    assert place.refused(ref="main", **_trusting(place, "tag")).reason == "SourceUntrusted"
    place.author.tag("v1.0.1", sign=True)
    place.author.push("main", "v1.0.1")
    assert place.fetch(**wanted).ref == "refs/tags/v1.0.1"


def test_an_openpgp_signature_counts_when_its_key_is_in_the_keyring(place: Place, tmp_path: Path) -> None:
    tools.require("gpg")
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:  # the path of a socket below it must be short
        _openpgp(place, tmp_path / "keys.asc", home)


def _openpgp(place: Place, keyring: Path, home: str) -> None:
    environment = {**os.environ, "GNUPGHOME": home}
    create = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "author@example.org", "ed25519"]
    subprocess.run([*create, "sign", "never"], env=environment, check=True, capture_output=True)
    exported = subprocess.run(["gpg", "--armor", "--export"], env=environment, check=True, capture_output=True)
    keyring.write_bytes(exported.stdout)
    words = ["git", "-C", str(place.author.folder), "-c", "user.name=a", "-c", "user.email=author@example.org"]
    words += ["-c", "user.signingkey=author@example.org"]
    subprocess.run([*words, "commit", "--quiet", "--allow-empty", "-S", "-m", "signed"], env=environment, check=True)
    subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)
    place.author.push()
    assert place.fetch(verify={"policy": "head", "keyring_file": str(keyring)}).commit
    assert place.refused(**_trusting(place)).reason == "SourceUntrusted"


def _damage_stale_lock(mirror: Path) -> None:
    for name in ("index.lock", "shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock"):
        (mirror / name).write_text("")
    (mirror / "refs" / "controller" / "head.lock").write_text("")


def _damage_empty_head(mirror: Path) -> None:
    (mirror / "HEAD").write_text("")


def _damage_empty_ref(mirror: Path) -> None:
    (mirror / "refs" / "controller" / "head").write_text("")


def _damage_empty_config(mirror: Path) -> None:
    (mirror / "config").write_text("")


def _damage_bad_config(mirror: Path) -> None:
    (mirror / "config").write_text("[[[")


def _damage_shallow(mirror: Path) -> None:
    (mirror / "shallow").write_text("garbage\n")


def _damage_packs(mirror: Path) -> None:
    for pack in (mirror / "objects" / "pack").glob("*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:40])


def _damage_no_objects(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    (mirror / "objects").mkdir()


def _damage_owner(mirror: Path) -> None:
    os.chown(mirror, 54321, 54321)


def _damage_gone(mirror: Path) -> None:
    shutil.rmtree(mirror)


def _damage_file(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.write_text("")


@pytest.mark.parametrize(
    "damage",
    [
        _damage_stale_lock,
        _damage_empty_head,
        _damage_empty_ref,
        _damage_empty_config,
        _damage_bad_config,
        _damage_shallow,
        _damage_packs,
        _damage_no_objects,
        _damage_owner,
        _damage_gone,
        _damage_file,
    ],
    ids=lambda damage: damage.__name__.removeprefix("_damage_"),
)
def test_e1_a_damaged_clone_heals_at_the_next_commit(place: Place, damage: Any) -> None:
    place.fetch()
    damage(place.mirror)
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    commit = place.author.publish()
    found = place.fetch()
    assert found.commit == commit
    assert _content(found)["app/a.txt"] == "two\n"
    assert not list(place.mirror.parent.glob(".*-*")), "litter is removed"


def test_e1_a_lost_checkout_is_made_again(place: Place) -> None:
    found = place.fetch()
    shutil.rmtree(found.root)
    assert _content(place.fetch())["app/a.txt"] == "one\n"


def test_e1_a_checkout_from_before_a_power_cut_is_not_believed(place: Place) -> None:
    found = place.fetch()
    (found.root / "app" / "a.txt").write_text("")
    found.root.with_name(f"{found.root.name}.whole").write_text("another boot")
    assert _content(place.fetch())["app/a.txt"] == "one\n"


def test_e1_killed_at_any_time_the_next_look_is_right(place: Place) -> None:
    """The whole process, git included, ends at ten moments of a fetch; litter of killed ones is removed."""
    script = (
        "import sys; from pathlib import Path; from controller import settings_sources; from controller.sources import git;"
        "git.Repository(settings_sources.GitSource(url=sys.argv[1]), Path(sys.argv[2]), deadline_s=60).fetch('')"
    )
    for number in range(10):
        (place.author.folder / "app" / "a.txt").write_text(f"{number}\n")
        commit = place.author.publish()
        words = ["python3", "-c", script, place.server.url("shop.git"), str(place.folder / "state")]
        child = subprocess.Popen(
            [sys.executable, *words[1:]], env={**os.environ, "PYTHONPATH": os.getcwd()}, start_new_session=True
        )
        timer = threading.Timer(0.25 + number * 0.02, lambda: _kill(child))  # noqa: B023 - this round's child
        timer.start()
        child.wait()
        timer.cancel()
        found = place.fetch()
        assert found.commit == commit
        assert _content(found)["app/a.txt"] == f"{number}\n"
    assert not list(place.mirror.parent.glob(".new-*"))
    assert not list((place.mirror.parent / "checkouts").glob(".new-*"))


def _kill(child: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses the credentials"),
        (403, "refuses the credentials"),
        (404, "no such repository"),
        (429, "fewer requests"),
        (500, "cannot be reached"),
    ],
)
def test_e2_a_remote_that_says_no(place: Place, status: int, words: str) -> None:
    place.server.faults.status = status
    refused = place.refused(password="c4n4ry-secret")
    assert refused.reason == "SourceUnavailable"
    assert words in refused.message
    assert "c4n4ry" not in refused.message


def test_e2_a_redirect_gets_no_credentials(place: Place, tmp_path: Path) -> None:
    with git_server.serving(tmp_path / "remote") as other:
        place.server.faults.status, place.server.faults.location = 302, f"http://localhost:{other.port}"
        refused = place.refused(password="c4n4ry-secret")
        assert refused.reason == "SourceUnavailable"
        assert "redirect" in refused.message
        assert other.requests == []


def test_e2_a_remote_that_is_silent_ends_at_the_deadline(place: Place) -> None:
    place.server.faults.silent, place.deadline_s = True, 0.5
    refused = place.refused()
    assert refused.reason == "SourceUnavailable"
    assert "0.5 s" in refused.message


def test_e2_a_remote_of_one_byte_at_a_time_ends_at_the_deadline(place: Place) -> None:
    place.server.faults.slow, place.deadline_s = True, 0.5
    assert place.refused().reason == "SourceUnavailable"


def test_e2_a_connection_that_is_cut_leaves_the_old_clone(place: Place) -> None:
    first = place.fetch()
    (place.author.folder / "app" / "a.txt").write_text("two\n" * 1000)
    place.author.publish()
    place.server.faults.cut = 200
    assert place.refused().reason == "SourceUnavailable"
    place.server.faults.cut = None
    assert place.fetch(first.commit).commit != first.commit


def test_e2_nobody_there(place: Place) -> None:
    assert place.refused(url="http://127.0.0.1:1/shop.git").reason == "SourceUnavailable"


def test_credentials_reach_the_remote_and_nothing_else(place: Place, tmp_path: Path) -> None:
    """P13: not in an argument, an environment, the clone or the state."""
    seen: list[bytes] = []
    with git_server.serving(tmp_path / "remote", user="me", password="c4n4ry-secret") as server:
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                for entry in Path("/proc").glob("[0-9]*"):
                    for name in ("cmdline", "environ"):
                        try:
                            seen.append((entry / name).read_bytes())
                        except OSError:
                            continue

        watcher = threading.Thread(target=watch)
        watcher.start()
        server.before_answer = lambda: daemons.until(lambda: any(b"git-remote-http" in one for one in list(seen)))
        try:
            place.fetch(url=server.url("shop.git"), username="me", password="c4n4ry-secret")
        finally:
            stop.set()
            watcher.join()
        assert any(authorization for authorization in server.authorizations)
    ours = [one for one in seen if b"pytest" not in one]
    assert ours
    assert not any(b"c4n4ry" in one or b"YzRuNHJ5" in one or b"bWU6YzRuNHJ5" in one for one in ours)
    for file in (place.folder / "state").rglob("*"):
        if file.is_file():
            assert b"c4n4ry" not in file.read_bytes()


def test_e4_a_push_between_asking_and_fetching_gives_one_commit(place: Place) -> None:
    """What is recorded is what is read, whichever of the two it is."""
    place.fetch()
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    place.author.publish()

    def push_meanwhile(name: str) -> None:
        if name == "fetch" and not pushed:
            pushed.append(True)
            (place.author.folder / "app" / "a.txt").write_text("three\n")
            place.author.publish()

    pushed: list[bool] = []
    repository = git.Repository(place.configured(), place.folder / "state", deadline_s=60, counted=push_meanwhile)
    found = repository.fetch("")
    shown = place.author.git("show", f"{found.commit}:app/a.txt")
    assert _content(found)["app/a.txt"] == shown


HOSTILE = [
    ("url", "--upload-pack=touch sentinel"),
    ("url", "-u touch sentinel"),
    ("url", "ext::sh -c touch% sentinel"),
    ("url", "fd::17"),
    ("url", "ssh://-oProxyCommand=touch sentinel/x"),
    ("url", "ssh://user@-oProxyCommand=x/x"),
    ("url", "-oProxyCommand=x:y"),
    ("url", "git@-oProxyCommand=x:y"),
    ("url", "host:-x"),
    ("url", "https://me:c4n4ry@localhost/x"),
    ("url", "https://c4n4ry@localhost/x"),
    ("url", "http://c4n4ry@127.0.0.1/x"),
    ("url", "https://localhost/x\nb"),
    ("url", "https://localhost/$(touch sentinel)x y"),
    ("url", "https://localhost/../x"),
    ("url", "/etc"),
    ("url", "file://localhost/x"),
    ("url", "ftp://localhost/x"),
    ("url", "http://example.org/x\x00"),
    ("url", ""),
    ("ref", "-x"),
    ("ref", "--upload-pack=x"),
    ("ref", "refs/heads/-x"),
    ("ref", "@{-1}"),
    ("ref", "main@{1}"),
    ("ref", "HEAD^{/x}"),
    ("ref", "main~1"),
    ("ref", "a..b"),
    ("ref", "a b"),
    ("ref", "a\nb"),
    ("ref", "a\x00b"),
    ("ref", "a:b"),
    ("ref", "refs/heads/*"),
    ("ref", "a.lock"),
    ("ref", ""),
    ("ref", "$HOME"),
    ("ref", "semver:nonsense"),
    ("ref", "+main"),
    ("path", "../x"),
    ("path", "/etc"),
    ("path", "a/../b"),
    ("path", ".git"),
    ("path", "a/.GIT/b"),
    ("path", ":(glob)**"),
    ("path", "-x"),
    ("path", "a\nb"),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=repr)
def test_e5_a_hostile_setting_is_refused_before_git_sees_it(place: Place, key: str, value: str) -> None:
    refused = place.refused(**{key: value})
    assert refused.reason == "SettingsInvalid"
    assert f"source.git.{key}" in refused.message
    assert "c4n4ry" not in refused.message
    assert place.calls == []


def test_e5_credentials_over_plain_http_only_on_this_host(place: Place) -> None:
    refused = place.refused(url="http://example.org/x.git", password="secret-secret")
    assert refused.reason == "SettingsInvalid"
    assert "https" in refused.message


def test_e5_configuration_and_hooks_of_repositories_are_not_run(place: Place, tmp_path: Path) -> None:
    """In the clone, at the remote and in the tree: nothing but git, and its own transport, is started."""
    tools.require("strace")
    sentinel = tmp_path / "sentinel"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {sentinel}\n")
    program.chmod(0o755)
    work = place.author.folder
    (work / ".gitattributes").write_text("* filter=evil\n*.txt filter=lfs\n")
    (work / ".gitmodules").write_text('[submodule "../x\r"]\n\tpath = -x\n\turl = ext::sh -c touch% x\n')
    (work / "hooks").mkdir()
    (work / "hooks" / "post-checkout").write_text(program.read_text())
    place.author.publish()
    place.fetch()
    evil = (
        f"[core]\n\tfsmonitor = {program}\n\thooksPath = {tmp_path}\n\tsshCommand = {program}\n\tpager = {program}\n"
        f'[filter "evil"]\n\tsmudge = {program}\n\tclean = {program}\n[alias]\n\tls-tree = !{program}\n'
        f"[include]\n\tpath = {tmp_path}/more\n[credential]\n\thelper = {program}\n"
    )
    with (place.mirror / "config").open("a") as config:
        config.write(evil)
    for name in ("post-checkout", "reference-transaction", "pre-auto-gc"):
        hook = place.mirror / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        shutil.copy(program, hook)
    (work / "app" / "a.txt").write_text("two\n")
    place.author.publish()
    log = tmp_path / "strace.log"
    script = (
        "import sys; from pathlib import Path; from controller import settings_sources; from controller.sources import git;"
        "git.Repository(settings_sources.GitSource(url=sys.argv[1]), Path(sys.argv[2]), deadline_s=60).fetch('')"
    )
    traced = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", str(log)]
    subprocess.run(
        [*traced, sys.executable, "-c", script, place.server.url("shop.git"), str(place.folder / "state")],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=True,
        timeout=120,
    )
    assert not sentinel.exists()
    started = {Path(found).name for found in re.findall(r'execve\("([^"]+)".*= 0', log.read_text())}
    assert started - {Path(os.path.realpath(sys.executable)).name, Path(sys.executable).name} <= {
        "timeout",
        "sh",
        "git",
        "git-remote-http",
        "git-remote-https",
        "python3",
    }


def _plumb(place: Place, *entries: tuple[str, str]) -> str:
    """A commit with tree entries that no working copy could hold; each is mode and path."""
    blob = (
        subprocess.run(
            ["git", "-C", str(place.author.folder), "hash-object", "-w", "--stdin"],
            input=b"x\n",
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    commands = ["commit refs/heads/main", "committer a <a@b> 1700000000 +0000", "data 1", "x"]
    head = place.author.git("rev-parse", "HEAD").strip()
    commands.append(f"from {head}")
    for mode, path in entries:
        target = head if mode == "160000" else blob
        commands.append(f'M {mode} {target} "{path}"')
    subprocess.run(
        ["git", "-C", str(place.author.folder), "-c", "core.protectHFS=false", "fast-import", "--quiet", "--force"],
        input="\n".join(commands).encode() + b"\n",
        check=True,
    )
    place.author.push()
    return place.author.git("rev-parse", "refs/heads/main").strip()


def test_e6_links_and_submodules_are_left_out_and_told(place: Place) -> None:
    _plumb(place, ("120000", "app/link"), ("160000", "app/sub"))
    found = place.fetch()
    assert found.left_out == ("app/link", "app/sub")
    assert "app/link" not in _content(found)


@pytest.mark.parametrize(
    "path",
    [
        "app/.GIT/config",
        "git~1/x",
        "x/.git::$INDEX_ALLOCATION/y",
        "x/.g\\342\\200\\214it/config",
        "app/A.txt",
        "app/a\\rb",
        "app/a\\nb",
    ],
    ids=repr,
)
def test_e6_a_name_that_two_systems_read_differently_is_refused(place: Place, path: str) -> None:
    _plumb(place, ("100644", path))
    refused = place.refused()
    assert refused.reason == "SourceRefused"
    assert path.partition("\\")[0].lower()[:8] in refused.message.lower()
    assert not list((place.folder / "state").glob("*/checkouts/*"))


def test_e6_caps_hold_before_anything_is_written(place: Place) -> None:
    for key, value in (("max_files", 2), ("max_bytes", 8)):
        wanted: dict[str, Any] = {key: value}
        refused = place.refused(**wanted)
        assert refused.reason == "SourceRefused"
        assert key in refused.message
        assert not list((place.folder / "state").glob("*/checkouts/*"))


def test_e6_a_file_that_is_too_large_is_not_even_fetched(place: Place) -> None:
    (place.author.folder / "app" / "large").write_bytes(os.urandom(3_000_000))
    place.author.publish()
    refused = place.refused(max_file_bytes=100_000)
    assert refused.reason == "SourceRefused"
    assert "app/large is larger than source.git.max_file_bytes" in refused.message
    assert place.refused(max_file_bytes=100_000).message == refused.message
    assert "fetch" not in place.calls, "what is refused is not cloned again at every look"
    assert sum(file.stat().st_size for file in place.mirror.rglob("*") if file.is_file()) < 1_000_000


def test_e8_many_fetches_leave_few_packs_and_two_checkouts(place: Place) -> None:
    for number in range(40):
        (place.author.folder / "app" / "a.txt").write_text(f"{number}\n")
        place.author.publish()
        place.fetch()
    packs = list((place.mirror / "objects" / "pack").glob("*.pack"))
    assert len(packs) <= 26
    folders = [one for one in (place.mirror.parent / "checkouts").iterdir() if one.is_dir()]
    assert len(folders) == 2


def test_ssh_is_started_with_nothing_but_what_the_settings_say(place: Place, tmp_path: Path) -> None:
    """A stub stands for ssh: no configuration, no agent, no unknown host, no question."""
    stub = tmp_path / "bin" / "ssh"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\nenv > {tmp_path}/environment\nexit 255\n')
    stub.chmod(0o755)
    (tmp_path / "known_hosts").write_text("")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{stub.parent}:{before}"
    try:
        url = "ssh://git@host.example/shop.git"
        assert "known_hosts_file" in place.refused(url=url).message
        refused = place.refused(url=url, known_hosts_file=tmp_path / "known_hosts", ssh_key_file=tmp_path / "key")
    finally:
        os.environ["PATH"] = before
    assert refused.reason == "SourceUnavailable"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "ProxyCommand=none"} <= set(arguments)
    assert arguments[arguments.index("-F") + 1] == os.devnull
    assert "SSH_AUTH_SOCK" not in (tmp_path / "environment").read_text()


def test_a_file_address_works_offline(place: Place) -> None:
    assert place.fetch(url=f"file://{place.author.bare}").commit


def test_e6_a_remote_that_leaves_nothing_out_cannot_fill_the_disk(place: Place) -> None:
    """Counter-check: under a higher limit the same commit is taken."""
    place.fetch()
    place.author.git("--git-dir", str(place.author.bare), "config", "uploadpack.allowFilter", "false")
    (place.author.folder / "large").write_bytes(os.urandom(20 << 20))
    place.author.publish()
    refused = place.refused(path="app", max_bytes=1_000_000, max_file_bytes=100_000)
    assert refused.reason == "SourceRefused"
    assert "source.git.max_bytes" in refused.message
    assert sum(file.stat().st_size for file in (place.folder / "state").rglob("*") if file.is_file()) < 1 << 20
    assert place.fetch(path="app", max_file_bytes=100_000).ref == "refs/heads/main"


def test_e6_folders_have_twins_too(place: Place) -> None:
    _plumb(place, ("100644", "App/b.txt"))
    refused = place.refused()
    assert refused.reason == "SourceRefused"
    assert "App only by upper and lower case" in refused.message


def test_e6_a_limit_that_is_raised_later_lets_the_file_in(place: Place) -> None:
    (place.author.folder / "app" / "large").write_bytes(os.urandom(300_000))
    place.author.publish()
    assert place.refused(max_file_bytes=100_000).reason == "SourceRefused"
    assert (place.fetch(max_file_bytes=1_000_000).root / "app" / "large").stat().st_size == 300_000


def test_e6_a_pointer_of_lfs_is_refused(place: Place) -> None:
    (place.author.folder / "app" / "model.bin").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    )
    place.author.publish()
    refused = place.refused()
    assert refused.reason == "SourceRefused"
    assert "app/model.bin" in refused.message


def test_e6_more_files_than_allowed_end_the_listing(place: Place) -> None:
    """At the first one too many, whatever comes after it, and without another clone."""
    _plumb(place, *(("100644", f"many/{number:06}") for number in range(20_000)))
    refused = place.refused(max_files=10)
    assert "max_files" in refused.message
    assert place.calls.count("fetch") == 1


def test_e1_litter_inside_of_the_clone_is_removed(place: Place) -> None:
    first = place.fetch()
    litter = place.mirror / "objects" / "pack" / "tmp_pack_killed"
    litter.write_bytes(b"x" * 1000)
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    place.author.publish()
    place.fetch(first.commit)
    assert not litter.exists()


def test_e2_the_deadline_is_one_for_the_whole_look(place: Place) -> None:
    """A remote that answers, and then never sends the pack, is asked once."""
    place.server.faults.silent_packs, place.deadline_s = True, 5.0
    refused = place.refused()
    assert refused.reason == "SourceUnavailable"
    assert place.calls.count("fetch") == 1


def test_e2_a_slow_disk_is_late_and_not_refused(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it cause another clone."""
    stub = tmp_path / "bin" / "git"
    stub.parent.mkdir()
    stub.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" = --batch ] && sleep 60; done\nexec {shutil.which("git")} "$@"\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:{os.environ['PATH']}")
    place.deadline_s = 5.0
    assert place.refused().reason == "SourceUnavailable"
    assert place.calls.count("fetch") == 1


def test_e2_what_a_server_asks_for_is_told(place: Place) -> None:
    place.server.faults.status, place.server.faults.retry_after = 429, "17"
    refused = place.refused()
    assert refused.retry_after_s == 17
    assert "17 s" in refused.message
    place.server.faults.retry_after = "nonsense"
    assert place.refused().retry_after_s == 0


def test_a_signed_tag_counts_under_its_own_name_only(place: Place) -> None:
    """Whoever may push, but has no key, shows a signed nightly as the newest version."""
    place.author.tag("nightly", sign=True)
    place.author.git("push", "--quiet", "origin", "refs/tags/nightly:refs/tags/v9.9.9")
    refused = place.refused(ref="semver:*", **_trusting(place, "tag"))
    assert refused.reason == "SourceUntrusted"
    assert "nightly" in refused.message
    place.author.push("nightly")
    assert place.fetch(ref="nightly", **_trusting(place, "tag")).commit


def test_a_tag_at_a_commit_that_is_known_needs_no_new_clone(place: Place) -> None:
    commit = place.fetch().commit
    place.author.tag("v1.0.0", sign=True)
    place.author.push("v1.0.0")
    assert place.fetch(commit, ref="v1.0.0", **_trusting(place, "tag")).commit == commit
    assert "init" not in place.calls


def test_p13_a_user_in_the_address_may_be_a_token_and_belongs_elsewhere(place: Place, tmp_path: Path) -> None:
    with git_server.serving(tmp_path / "remote", user="me", password="c4n4ry-secret") as server:
        url = server.url("shop.git")
        refused = place.refused(url=url.replace("http://", "http://me@"), password="c4n4ry-secret")
        assert "source.git.username" in refused.message
        assert "password_file" in refused.message
        assert place.fetch(url=url, username="me", password="c4n4ry-secret").commit


def test_e5_settings_of_a_clone_do_not_outrank_ours(place: Place, tmp_path: Path) -> None:
    place.fetch()
    hook = tmp_path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/sentinel\n")
    hook.chmod(0o755)
    with (place.mirror / "config").open("a") as config:
        config.write(f"[core]\n\thooksPath = {hook.parent}\n")
    (place.author.folder / "app" / "a.txt").write_text("two\n")
    place.author.publish()
    place.fetch()
    assert not (tmp_path / "sentinel").exists()


def test_p9_another_address_leaves_nothing_of_the_first(place: Place) -> None:
    place.fetch()
    place.fetch(url=f"file://{place.author.bare}")
    assert len(list((place.folder / "state").iterdir())) == 1


@pytest.mark.parametrize("idle", [True, False])
def test_e8_the_clone_of_a_source_that_is_applied_stays_small(
    place: Place, monkeypatch: pytest.MonkeyPatch, idle: bool
) -> None:
    """Commits of 100 kB, each a descendant of the one that was applied before; without an idle look as well."""
    monkeypatch.setattr(git_mirror, "_MOST_PACKS", 5)
    highest = place.fetch().commit
    for _ in range(25):
        (place.author.folder / "app" / "large").write_bytes(os.urandom(100_000))
        place.author.publish()
        highest = place.fetch(highest).commit
        if idle:
            assert place.fetch(highest).commit == highest
    packs = [pack.stat().st_size for pack in (place.mirror / "objects" / "pack").glob("*.pack")]
    assert len(packs) <= (6 if idle else 11)
    assert sum(packs) <= (700_000 if idle else 1_200_000)


def test_e8_one_large_change_after_another_is_not_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few packs can be too much as well."""
    monkeypatch.setattr(git_mirror, "_SMALL_BYTES", 0)
    highest = place.fetch().commit
    for _ in range(6):
        (place.author.folder / "app" / "large").write_bytes(os.urandom(300_000))
        place.author.publish()
        highest = place.fetch(highest).commit
    assert sum(pack.stat().st_size for pack in (place.mirror / "objects" / "pack").glob("*.pack")) < 700_000


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example/team/shop.git",
        "https://host.example:8443/shop.git",
        "ssh://git@host.example:2222/~me/shop.git",
        "git@host.example:team/shop.git",
        "git@host.example:/srv/git/shop.git",
        "file:///srv/git/shop.git",
    ],
)
def test_an_address_that_people_write_is_taken(url: str) -> None:
    assert git_refs.url_problem(url, credentials=False) == ""
