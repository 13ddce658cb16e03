"""`controller provision`: its flags, what it prints and how it ends; and against a real engine, where there is one."""

import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller import docker, errors
from core import provisioning
from tests.fakes import command, tools
from tests.fakes import engine as engines

COMPOSE = ("--project", "demo", "--compose-file", "compose.yml")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine that the command finds."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    return played


# the command line


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ((), "--project"),
        (("--project", "demo"), "--compose-file"),
        (("--compose-file", "compose.yml"), "--project"),
        (("--project", "demo", "--compose-file", ""), "--compose-file"),
        ((*COMPOSE, "--unknown"), "--unknown"),
    ],
)
def test_wrong_usage_is_64(engine: engines.Engine, arguments: tuple[str, ...], missing: str) -> None:
    ended = command.run("provision", *arguments)
    assert (ended.code, ended.out) == (64, "")
    assert missing in ended.err
    assert engine.calls == []


def test_the_flags_of_the_applier_that_it_replaces(engine: engines.Engine) -> None:
    files = ("--compose-file", "a.yml", "--compose-file", "b.yml")
    more = ("--env-file", "stack.env", "--project-dir", "stack", "--with-deps", "-v")
    ended = command.run("provision", "--project", "demo", *files, *more)
    assert (ended.code, ended.err) == (0, "")
    (ran,) = engine.runs
    assert (ran.project, ran.service, ran.profile) == ("demo", "provisioner", "deploy")
    assert ran.files == (Path("a.yml"), Path("b.yml"))
    assert (ran.env_file, ran.project_directory, ran.with_deps) == (Path("stack.env"), Path("stack"), True)
    assert ran.environment == {}, "compose reads CONFIG_DIR from its environment and env file"
    assert ran.labels[provisioning.LABEL_TARGET] == "demo"


def test_a_project_directory_is_enough(engine: engines.Engine) -> None:
    assert command.run("provision", "--project", "demo", "--project-dir", "stack").code == 0
    assert engine.runs[0].files == ()


def test_settings_are_read_and_flags_count_more(engine: engines.Engine, tmp_path: Path) -> None:
    file = tmp_path / "controller.yml"
    file.write_text(
        "stack: {project: edge, compose_files: [compose.yml], provisioner: tables, profile: null, "
        "config_dir_on_host: esb_config}\n",
        encoding="utf-8",
    )
    assert command.run("provision", "--config", file).code == 0
    assert command.run("provision", "--config", file, "--project", "demo").code == 0
    first, second = engine.runs
    assert (first.project, first.service, first.profile) == ("edge", "tables", None)
    assert first.files == (tmp_path / "compose.yml",)
    assert first.environment == {"CONFIG_DIR": "esb_config"}
    assert (second.project, second.name) == ("demo", "demo-artifact-provisioner")


def test_a_wrong_setting_is_78(engine: engines.Engine, tmp_path: Path) -> None:
    file = tmp_path / "controller.yml"
    file.write_text("stack: {provisoner: tables}\n", encoding="utf-8")
    ended = command.run("provision", *COMPOSE, "--config", file)
    assert ended.code == 78
    assert "did you mean provisioner?" in ended.err


# CONFIG_DIR


@pytest.fixture
def on_the_engine_s_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine runs this test."""
    monkeypatch.setattr("controller.compose_stack.in_container", lambda: False)


@pytest.mark.usefixtures("on_the_engine_s_host")
def test_config_dir_that_is_given_is_set(engine: engines.Engine, tmp_path: Path) -> None:
    environment = {"CONFIG_DIR": "/elsewhere"}
    assert command.run("provision", *COMPOSE, "--config-dir", tmp_path, environment=environment).code == 0
    assert engine.runs[0].environment == {"CONFIG_DIR": str(tmp_path)}


@pytest.mark.parametrize("value", ["/srv/config", "esb_config", "./config/"])
def test_config_dir_of_the_environment_goes_through_as_it_is(engine: engines.Engine, value: str) -> None:
    """It may be a volume's name, or a path from compose's project directory; H12: nothing is derived from it here."""
    engine.remote = True
    assert command.run("provision", *COMPOSE, environment={"CONFIG_DIR": value}).code == 0
    assert engine.runs[0].environment == {}


def test_h12_config_dir_that_the_engine_cannot_know_is_78(engine: engines.Engine, tmp_path: Path) -> None:
    engine.remote = True
    ended = command.run("provision", *COMPOSE, "--config-dir", tmp_path)
    assert ended.code == 78
    assert "stack.config_dir_on_host" in ended.err
    assert engine.runs == []


# how it ends


def test_success_prints_the_last_lines_only_when_asked(engine: engines.Engine) -> None:
    engine.outcomes.extend([docker.RunOutcome(0, ("table orders: made",))] * 2)
    assert command.run("provision", *COMPOSE).out == "done: provisioner of project demo ended with 0\n"
    verbose = command.run("provision", *COMPOSE, "-v")
    assert verbose.out == "table orders: made\ndone: provisioner of project demo ended with 0\n"


def test_a_success_on_retry_is_told(engine: engines.Engine) -> None:
    engine.outcomes.extend([docker.RunOutcome(3, ()), docker.RunOutcome(0, ())])
    ended = command.run("provision", *COMPOSE)
    assert ended.code == 0
    assert ended.err == "note: the provisioner succeeded on retry: attempt 1 of 2 exited with 3\n"


def test_h3_a_failure_is_81_with_its_last_lines_cleaned(engine: engines.Engine) -> None:
    engine.outcomes.extend([docker.RunOutcome(3, ("no such \x1b[31mtable",))] * 2)
    ended = command.run("provision", *COMPOSE)
    assert (ended.code, ended.out) == (81, "")
    assert ended.err.splitlines()[:2] == [
        "error: provisioner: no such \\x1b[31mtable",
        "failed (ProvisionerFailed): provisioner of project demo exited with 3 (attempt 1: 3)",
    ]


def test_an_engine_that_is_not_there_is_69(engine: engines.Engine) -> None:
    engine.fail("preflight", "", errors.ControllerError("DockerUnavailable", "no engine answers"))
    assert command.run("provision", *COMPOSE).code == 69


def test_json(engine: engines.Engine) -> None:
    engine.outcomes.extend([docker.RunOutcome(0, ("made",)), docker.RunOutcome(127, ("not found",))])
    assert command.run("provision", *COMPOSE, "-v", "--output", "json").json == {
        "schema": "artifact-controller/provision/v1",
        "project": "demo",
        "service": "provisioner",
        "notes": [],
        "lines": ["made"],
    }
    failed = command.run("provision", *COMPOSE, "--output", "json").json
    assert (failed["schema"], failed["reason"], failed["exit_code"]) == (
        "artifact-controller/error/v1",
        "ProvisionerFailed",
        81,
    )
    assert [problem["message"] for problem in failed["problems"]] == ["not found"]


# a real engine

PROJECT = f"provisiontest-{os.getpid()}"  # several test processes may share one engine
IMAGE = f"{PROJECT}-busybox:1"
NAP_S = 0.7
SERVICE = f"""\
services:
  provisioner:
    image: {IMAGE}
    profiles: [deploy]
    network_mode: none
    depends_on: [neighbour]
    command:
      - sh
      - -c
      - 'mkdir /seen/now || touch /seen/two; echo run >> /seen/runs; sleep $${{NAP}}; rmdir /seen/now; exit $${{CODE:-0}}'
    environment: {{CODE: "${{CODE:-0}}", NAP: "${{NAP:-{NAP_S}}}"}}
    volumes: ["${{CONFIG_DIR}}:/seen"]
  neighbour:
    image: {IMAGE}
    network_mode: none
    command: [sleep, "60"]
"""


def docker_says(*arguments: str) -> str:
    """What the real docker command prints."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, check=True, timeout=180, stdin=subprocess.DEVNULL
    ).stdout.decode()


def of_the_project() -> list[str]:
    """Names of every container that belongs to the compose project, running or not."""
    return docker_says(
        "ps", "--all", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Names}}"
    ).split()


@pytest.fixture(scope="module")
def real_engine() -> Iterator[None]:
    """An engine that answers, and an image of the machine's static busybox in it."""
    absent = pytest.fail if os.environ.get("REQUIRE_ENGINE") else tools.absent
    try:
        docker_says("compose", "version")
        docker_says("ps")
    except (OSError, subprocess.SubprocessError):
        absent("needs a Docker engine with compose")
    busybox = shutil.which("busybox")
    if busybox is None:
        absent("needs the program 'busybox', statically linked")
    assert busybox
    subprocess.run(["docker", "import", "-", IMAGE], input=_root_of(Path(busybox)), check=True, capture_output=True)
    yield
    for name in of_the_project():
        docker_says("rm", "--force", name)
    docker_says("rmi", "--force", IMAGE)


def _root_of(busybox: Path) -> bytes:
    """A file system with a shell and nothing else, as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(busybox.resolve(), "bin/busybox")
        for name in ("sh", "mkdir", "rmdir", "touch", "sleep"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            archive.addfile(link)
    return packed.getvalue()


@pytest.fixture
def stack(real_engine: None, tmp_path: Path) -> tuple[str | Path, ...]:
    """The command line for a compose file of one's own."""
    (tmp_path / "seen").mkdir()
    file = tmp_path / "compose.yml"
    file.write_text(SERVICE, encoding="utf-8")
    return "provision", "--project", PROJECT, "--compose-file", file


@pytest.mark.process
def test_h6_only_the_provisioner_s_container_is_made(stack: tuple[str | Path, ...], tmp_path: Path) -> None:
    """H3, H6: its exit code, and neither a neighbour nor a container is left."""
    environment = {"CONFIG_DIR": str(tmp_path / "seen")}
    ended = command.child(*stack, "-v", environment=environment, engine=True)
    assert (ended.code, of_the_project()) == (0, []), ended.text
    failed = command.child(*stack, environment={**environment, "CODE": "3"}, engine=True)
    assert (failed.code, of_the_project()) == (81, []), failed.text
    assert "exited with 3 (attempt 1: 3)" in failed.err
    assert runs(tmp_path) == 3


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("kill", ["the controller alone", "everything"])
def test_h1_killed_twenty_times_never_two_and_nothing_left(
    kill: str, stack: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """H1, P7: SIGKILL at random moments. The service itself sees whether another one runs beside it."""
    environment = command.child_environment({"CONFIG_DIR": str(tmp_path / "seen")}, engine=True)
    chance = random.Random(f"provision {kill}")
    strike = os.kill if kill == "the controller alone" else kill_all
    longest_s = seconds_of(
        lambda: command.child(*stack, environment={"CONFIG_DIR": str(tmp_path / "seen")}, engine=True)
    )
    for _ in range(20):
        child = subprocess.Popen(
            command.line(*stack), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            child.wait(timeout=chance.uniform(0.02, 1.1) * longest_s)
        except subprocess.TimeoutExpired:
            strike(child.pid, signal.SIGKILL)
            child.wait()
        assert len(of_the_project()) <= 1
    before = runs(tmp_path)
    ended = command.child(*stack, environment={"CONFIG_DIR": str(tmp_path / "seen")}, engine=True)
    assert (ended.code, of_the_project()) == (0, []), ended.text
    assert runs(tmp_path) > before, "it ran, whatever was left of the others"
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["runs"]


def seconds_of(undisturbed: Callable[[], command.Ended]) -> float:
    """What a run takes on this machine, as busy as it is: moments that are chosen without knowing it may all be too early."""
    began_s = time.monotonic()
    ended = undisturbed()
    assert ended.code == 0, ended.text
    return time.monotonic() - began_s


def kill_all(pid: int, number: int) -> None:
    """A process and everything that it started, as when the machine runs out of memory. Some may end meanwhile."""
    family = [pid]
    for member in family:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{member}/task/{member}/children").read_text(encoding="utf-8")
            family += [int(child) for child in children.split()]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


def runs(folder: Path) -> int:
    """How often the service began."""
    return (folder / "seen" / "runs").read_text(encoding="utf-8").count("run")


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_p16_a_signal_ends_the_wait_and_the_next_run_finds_the_container(
    number: signal.Signals, stack: tuple[str | Path, ...], tmp_path: Path
) -> None:
    environment = {"CONFIG_DIR": str(tmp_path / "seen")}
    napping = command.child_environment({**environment, "NAP": "5"}, engine=True)
    with subprocess.Popen(command.line(*stack), env=napping) as child:
        until(child, (tmp_path / "seen" / "now").exists)
        child.send_signal(number)
        assert child.wait(timeout=command.PATIENCE_S) == 128 + number
    ended = command.child(*stack, environment=environment, engine=True)
    assert (ended.code, of_the_project()) == (0, []), ended.text
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["runs"]


def until(child: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Wait until the service is at work."""
    while not reached():
        try:
            child.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail("it ended before its time")
