"""The controller in a container beside its stack, as compose.controller.yml makes it: from nothing to a served function
with `docker compose up`, and whatever becomes of that container later (faults.md H11, H12, L2, L4, L6)."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest

from e2e.harness import artifacts, docker, git_remote, marked, matrix, sidecar, stacks, watch

GIT = "{{git: {{url: '{url}', path: deploy}}}}"
KEPT = sorted((stacks.ROOT / "tests" / "cases" / "state").glob("version-*.db"))[-2:]
"""The previous schemas of the record; tests/controller/test_state_versions.py has all of them."""
IDLE_MIB = 90
SHORT_S = 6.0
"""Longer than a pass that has nothing to do, shorter than the patience with another applier."""
BUILDS = ("image tag", "image push")
"""What the engine tells when something was built, and pushed."""
TEMPORARY = ("--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=64m,mode=1777")  # noqa: S108 - of the container


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[git_remote.Repository]:
    """A repository over http."""
    with git_remote.serving(tmp_path_factory.mktemp("git")) as one:
        yield one


@pytest.fixture(scope="module")
def artifact(environment: matrix.Environment, remote: git_remote.Repository) -> artifacts.Artifact:
    """The small artifact, in its first commit."""
    small = marked.small(environment, remote.source)
    remote.push()
    return small


@pytest.fixture(scope="module")
def site(
    artifact: artifacts.Artifact, remote: git_remote.Repository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sidecar.Site]:
    """A stack that runs, with a sidecar, and nothing but `docker compose up` was done."""
    del artifact
    folder = tmp_path_factory.mktemp("site")
    logins = folder / "logins.json"
    logins.write_text('{"psFormat": "{{.Names}} of our own"}', encoding="utf-8")
    logins.chmod(0o644)
    settings = {"DOCKER_CONFIG_FILE": str(logins)}
    one = sidecar.Site("docker", folder, folder / "config", source=GIT.format(url=remote.url), settings=settings)
    begun = time.monotonic()
    with sidecar.proxied(one), sidecar.standing(one):
        one.up()
        one.await_pass(sidecar.settled)
        assert answers(one, "hello v1") == "hello v1"
        print(f"from nothing to a served function: {time.monotonic() - begun:.1f} s")
        yield one


@pytest.fixture
def running(site: sidecar.Site) -> Iterator[sidecar.Site]:
    """The site, whose sidecar runs and has converged, before the test and after it."""
    yield site
    site.compose("up", "--detach")
    site.await_pass(sidecar.settled)


def answers(site: stacks.Stack, text: str) -> str:
    """What a request to the function gets, once it is this text or time is over."""
    return site.gateway.until(lambda answer: answer.text.strip() == text, "/hello", seconds=60).text.strip()


def served(artifact: artifacts.Artifact) -> str:
    """What the function's code says."""
    handler = artifact.function("hello") / "src" / "handler.sh"
    return handler.read_text(encoding="utf-8").strip().removeprefix("echo ").strip("'\"")


def nothing_was_made(site: sidecar.Site, since: str) -> None:
    """Neither an image, but for the stack's own base at each `up`, nor a container of the provisioner."""
    seen = watch.events(site, since)
    base = seen["container start lambda-base"] * len(("e2e", "latest"))
    assert [seen[what] for what in (*BUILDS, "container create provisioner")] == [base, base, 0], seen


def test_from_nothing_to_a_served_function(site: sidecar.Site) -> None:
    """One command, without an option. H12: CONFIG_DIR is a folder of the host, and its path was found out."""
    first = next(line for line in site.passes() if sidecar.settled(line))
    assert (first["reason"], first["images_built"], first["changed"]) == ("FirstPublish", 1, True)
    assert (site.config_dir / "functions.yml").is_file()
    assert site.moto.tables() == ("e2e-marked",)


def test_it_is_as_bare_as_it_can_be(site: sidecar.Site) -> None:
    """As the engine sees the container, whatever the file says."""
    host = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.Config.User}}"
    assert site.state(host) == "true [ALL] [no-new-privileges:true] 1000:1000"
    status = docker.docker("exec", site.container, "cat", "/proc/1/status")
    assert {line for line in status.splitlines() if line.startswith(("CapEff", "CapBnd", "NoNewPrivs"))} == {
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    }
    assert docker.docker("exec", site.container, "cat", "/proc/1/comm") == "tini"


def test_the_docker_command_s_own_file_is_a_secret(site: sidecar.Site) -> None:
    """Where logins of registries stand. Other tests leave it out."""
    assert f"{site.container} of our own" in docker.docker("exec", site.container, "docker", "ps").splitlines()


def test_it_is_healthy_and_small_when_idle(site: sidecar.Site) -> None:
    """`controller healthcheck` in the container; the memory of the process, with room for other machines."""
    docker.docker("exec", site.container, "controller", "healthcheck")
    listed = docker.docker("exec", site.container, "sh", "-c", "cat /proc/[0-9]*/status")
    resident = max(int(line.split()[1]) for line in listed.splitlines() if line.startswith("VmRSS:"))
    print(f"resident when idle: {resident / 1024:.0f} MiB, must reach {IDLE_MIB}")
    assert resident / 1024 < IDLE_MIB * 1.3


def test_a_push_is_served(site: sidecar.Site, artifact: artifacts.Artifact, remote: git_remote.Repository) -> None:
    """To the repository that the sidecar follows; nobody tells it. H11: the sidecar is of the project whose provisioner
    it runs, and stays what it is."""
    own, seen, since = site.state("{{.Id}} {{.State.StartedAt}}"), len(site.passes()), watch.now()
    artifact.code("hello", "echo pushed")
    marked.write(artifact, mark=1, table=1)
    begun = time.monotonic()
    commit = remote.push()
    assert answers(site, "pushed") == "pushed"
    print(f"from a push to the new answer: {time.monotonic() - begun:.1f} s")
    line = site.await_pass(lambda one: one["changed"], since=seen)
    assert (line["reason"], line["commit"], line["images_built"]) == ("SourceChanged", commit, 1)
    made = watch.events(site, since)
    assert made["container create provisioner"] == 1
    assert not [what for what in made if what.endswith(f" {sidecar.SERVICE}")], made
    assert site.state("{{.Id}} {{.State.StartedAt}}") == own


def test_the_record_is_asked_in_the_container(site: sidecar.Site) -> None:
    """With the settings of the sidecar, and while it runs."""
    assert "FirstPublish" in site.controller("history")
    assert "Ready       True" in site.controller("status")


def test_l2_it_stops_within_its_grace(running: sidecar.Site) -> None:
    """SIGTERM reaches the controller through the init, and it ends by itself; 143 when a look was cut."""
    running.compose("stop", sidecar.SERVICE)
    assert running.state("{{.State.ExitCode}} {{.State.OOMKilled}}") in ("0 false", "143 false")


@pytest.mark.parametrize("ending", ["killed", "removed", "recreated"])
def test_another_container_goes_on(running: sidecar.Site, artifact: artifacts.Artifact, ending: str) -> None:
    """Its state is in a volume: everything is known, nothing is built, pushed or run again."""
    history, before, since = running.controller("history"), watch.documents(running.config_dir), watch.now()
    own = running.state("{{.Id}}")
    if ending == "killed":
        docker.docker("kill", running.container)
        running.compose("up", "--detach")
    elif ending == "removed":
        docker.docker("rm", "--force", running.container)
        running.compose("up", "--detach")
    else:
        running.compose("up", "--detach", "--force-recreate", "--no-deps", sidecar.SERVICE)
    assert (running.state("{{.Id}}") == own) is (ending == "killed")
    line = running.await_pass(sidecar.settled)
    assert (line["reason"], line["changed"]) == ("InSync", False)
    assert running.controller("history") == history
    assert watch.documents(running.config_dir) == before
    nothing_was_made(running, since)
    assert answers(running, served(artifact)) == served(artifact)


L4 = {
    "umask, no HOME, few processes, little memory": (
        ("--pids-limit", "64", "--memory", "320m"),
        "umask 077; unset HOME;",
    ),
    "a short list of descriptors": (("--ulimit", "nofile=64:64"), ""),
    "no locale, no time zone": (("--env", "LANG=", "--env", "TZ=", "--env", "LC_ALL=POSIX"), ""),
}


@pytest.mark.parametrize("name", L4)
def test_l4_it_works_where_little_is_given(
    running: sidecar.Site, artifact: artifacts.Artifact, remote: git_remote.Repository, name: str
) -> None:
    """A pass with a build, a push and a provisioner, on a read-only root; /tmp lets nobody execute there."""
    flags, begin = L4[name]
    running.compose("stop", sidecar.SERVICE)
    artifact.code("hello", f"echo {name.partition(',')[0]}")
    marks = marked.shown(running.config_dir)
    marked.write(artifact, mark=marks.function + 1, table=marks.table + 1)
    remote.push()
    ended = running.one_shot("reconcile", "--once", flags=(*TEMPORARY, *flags), begin=begin)
    assert ended.returncode == 0, ended.stderr
    assert "1 image built, 1 pushed; the provisioner ran" in ended.stdout
    assert answers(running, served(artifact)) == served(artifact)


def test_l4_a_user_without_an_entry(site: sidecar.Site, tmp_path: Path) -> None:
    """Any number will do where the folders let it write: here, without a stack."""
    config = tmp_path / "config"
    config.mkdir()
    os.chown(config, 4242, 4242)
    mounts = (
        "--volume",
        f"{config}:/config",
        "--volume",
        f"{stacks.ROOT / 'e2e' / 'artifacts' / 'shop'}:/artifacts:ro",
    )
    bare = ["docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "--user", "4242:4242"]
    command = ["reconcile", "--once", "--source", "/artifacts", "--config-dir", "/config"]
    docker.run([*bare, *mounts, site.settings["SIDECAR_IMAGE"], *command])
    assert (config / "functions.yml").is_file()
    assert (config / "..data").lstat().st_uid == 4242


@pytest.mark.parametrize(
    ("flags", "code", "names"),
    [
        (("--user", "4242:4242", *TEMPORARY), 1, "/state/state.db"),
        (TEMPORARY, 69, "/var/run/docker.sock"),
        ((), 1, "TMPDIR"),
    ],
    ids=["a state of somebody else", "not of the socket's group", "no temporary directory"],
)
def test_l4_what_is_missing_is_named(
    running: sidecar.Site,
    artifact: artifacts.Artifact,
    remote: git_remote.Repository,
    flags: tuple[str, ...],
    code: int,
    names: str,
) -> None:
    """It fails at its start, and changes nothing."""
    running.compose("stop", sidecar.SERVICE)
    before = watch.documents(running.config_dir)
    artifact.code("hello", f"echo for {code} and {names}")
    remote.push()
    group = running.settings["DOCKER_GID"]
    try:
        if names.endswith("docker.sock"):
            running.settings["DOCKER_GID"] = "4242"
        ended = running.one_shot("reconcile", "--once", flags=flags)
    finally:
        running.settings["DOCKER_GID"] = group
    assert (ended.returncode, names in ended.stderr) == (code, True), ended.stderr
    assert watch.documents(running.config_dir) == before


@pytest.mark.parametrize("flags", [("--pids-limit", "20"), ("--memory", "128m"), ("--memory", "48m")], ids=" ".join)
def test_l4_too_little_spoils_nothing(
    running: sidecar.Site, artifact: artifacts.Artifact, remote: git_remote.Repository, flags: tuple[str, ...]
) -> None:
    """It works, or it says that it does not, also when the kernel ends something in the middle of a build: what is live
    is whole, and the next pass with enough of everything converges."""
    running.compose("stop", sidecar.SERVICE)
    before = watch.documents(running.config_dir)
    artifact.code("hello", f"echo with {flags[1]}")
    remote.push()
    ended = running.one_shot("reconcile", "--once", flags=(*TEMPORARY, *flags))
    print(flags, ended.returncode, ended.stderr[-300:])
    assert "Traceback" not in ended.stderr
    assert (ended.returncode == 0) == (watch.documents(running.config_dir) != before)
    assert ended.returncode in (0, 137) or "hint: " in ended.stderr, ended.stderr
    assert running.one_shot("reconcile", "--once", flags=TEMPORARY).returncode == 0
    assert answers(running, f"with {flags[1]}") == f"with {flags[1]}"


@pytest.mark.parametrize("kept", KEPT, ids=lambda file: file.stem)
def test_l6_a_record_of_an_earlier_version(kept: Path, tmp_path: Path) -> None:
    """A new image on the volume of an old one, which had applied the sample: it goes on from there."""
    mounts = [f"{stacks.ROOT / 'e2e' / 'artifacts' / 'shop'}:/artifacts:ro"]
    for name in ("config", "state"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 1000, 1000)
        mounts.append(f"{tmp_path / name}:/{name}")
    bare = ["docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none"]
    bare += [part for mount in mounts for part in ("--volume", mount)]
    target = ["--config-dir", "/config", "--state-dir", "/state"]
    once = [*bare, sidecar.image(), "reconcile", "--once", "--source", "/artifacts", *target]
    docker.run(once)
    for file in (tmp_path / "state").glob("state.db*"):
        file.unlink()
    shutil.copy(kept, tmp_path / "state" / "state.db")
    os.chown(tmp_path / "state" / "state.db", 1000, 1000)
    before = {name: seen for name, seen in watch.tree(tmp_path / "config").items() if name != "."}
    assert "(RecordOnly)" in docker.run(once)
    after = {name: seen for name, seen in watch.tree(tmp_path / "config").items() if name != "."}
    assert after == before, "but for the lock file, which comes and goes"
    history = docker.run([*bare, sidecar.image(), "history", *target]).splitlines()
    assert "published revision" in history[-1], "by the earlier version"


def test_taken_over_from_another_applier_and_given_back(running: sidecar.Site, artifact: artifacts.Artifact) -> None:
    """CONFIG_DIR has plain files of the other one, and the lock of one that died. Then that one is used again: it
    clears and copies, and nothing of ours is in its way. At last it is ours once more."""
    for _ in range(2):
        running.compose("stop", sidecar.SERVICE)
        for entry in running.config_dir.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        artifacts.apply_plainly(artifact, running, functions=())
        assert all(not file.is_symlink() for file in running.config_dir.glob("*.yml"))
        lock = running.config_dir / ".artifact-merge.lock"
        lock.write_text("4194303\n", encoding="ascii")
        os.utime(lock, (time.time() - 60,) * 2)  # a young one may be of somebody whom a container does not see
        assert answers(running, served(artifact)) == served(artifact)
        since = watch.now()
        running.compose("up", "--detach")
        running.await_pass(sidecar.settled)
        assert all(file.is_symlink() for file in running.config_dir.glob("*.yml"))
        assert not lock.exists()
        assert answers(running, served(artifact)) == served(artifact)
        nothing_was_made(running, since)


def test_a_living_applier_is_waited_for(running: sidecar.Site) -> None:
    """One of the host, whose lock names a process of the host: with ``pid: host`` it is seen that it lives."""
    running.compose("stop", sidecar.SERVICE)
    lock = running.config_dir / ".artifact-merge.lock"
    lock.write_text(f"{os.getpid()}\n", encoding="ascii")
    os.chown(lock, 1000, 1000)
    with futures.ThreadPoolExecutor(1) as thread:
        once = thread.submit(running.one_shot, "reconcile", "--once", flags=(*TEMPORARY, "--pid", "host"))
        try:
            with pytest.raises(futures.TimeoutError):
                once.result(timeout=SHORT_S)
            assert lock.read_text(encoding="ascii") == f"{os.getpid()}\n"
        finally:
            lock.unlink()
        ended = once.result()
    assert (ended.returncode, "tini" in ended.stderr) == (0, False), ended.stderr


def test_h12_config_dir_is_a_volume(
    environment: matrix.Environment, artifact: artifacts.Artifact, remote: git_remote.Repository, tmp_path: Path
) -> None:
    """Of the stack: its name among compose's volumes was found out, and the provisioner sees the same one."""
    del environment
    one = sidecar.Site("docker", tmp_path / "site", tmp_path / "unused", source=GIT.format(url=remote.url), volume=True)
    with sidecar.proxied(one), sidecar.standing(one):
        one.up()
        assert one.await_pass(sidecar.settled)["reason"] == "FirstPublish"
        assert answers(one, served(artifact)) == served(artifact)
        assert one.moto.tables() == ("e2e-marked",)
        assert list((tmp_path / "unused").iterdir()) == []
