"""The systemd unit: right in systemd's own eyes, and what it promises holds for the real process that it starts.

No systemd runs here: a socket plays its part, and strace shows what the unit's restrictions would have refused.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import errors
from tests.fakes import command, daemons, tools, units

UNITS, UNIT = units.FOLDER, units.UNIT
DROP_IN = "before-253.conf"
PROGRAM, SETTINGS = "/opt/artifact-controller/bin/controller", "/etc/artifact-controller/controller.yml"
MOST_EXPOSED = 20
"""In tenths of systemd's scale from 0 (closed) to 10: "OK" ends at 4."""


def seconds(directive: str) -> float:
    """A time of the unit, written in seconds."""
    return float(units.directives()[directive][0])


def version() -> int:
    """Of the systemd that is installed."""
    tools.require("systemd-analyze")
    told = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[1])


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would be installed, with a command that is there; and the drop-in where it is needed."""
    place = tmp_path / "units" / UNIT
    place.parent.mkdir()
    text = (UNITS / UNIT).read_text(encoding="utf-8")
    assert text.count(PROGRAM) == 1
    place.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    if version() < 253:
        folder = place.with_name(f"{UNIT}.d")
        folder.mkdir()
        shutil.copy(UNITS / DROP_IN, folder)
    return place


def test_systemd_understands_every_line_of_the_unit(installed: Path) -> None:
    ended = units.analyzed("verify", "--man=no", installed)
    told = [line for line in (ended.stdout + ended.stderr).splitlines() if installed.name in line]
    if version() < 253:
        told = [line for line in told if not line.endswith("Failed to parse service type, ignoring: notify-reload")]
    assert (ended.returncode, told) == (0, []), ended.stderr


def test_systemd_would_tell_of_a_wrong_line(installed: Path) -> None:
    installed.write_text(installed.read_text(encoding="utf-8").replace("RestartSec=5", "RestartSex=5"))
    assert "RestartSex" in units.analyzed("verify", "--man=no", installed).stderr


def test_the_unit_leaves_little_open(installed: Path) -> None:
    """By systemd's own measure."""
    ended = units.analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", installed)
    assert ended.returncode == 0, ended.stdout
    assert "Overall exposure level" in ended.stdout
    open_wide = installed.read_text(encoding="utf-8").replace("SystemCallFilter=", "#").replace("ProtectSystem=", "#")
    installed.write_text(open_wide.replace("CapabilityBoundingSet=", "#"), encoding="utf-8")
    assert units.analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", installed).returncode != 0


def test_the_user_is_one_that_systemd_can_make(tmp_path: Path) -> None:
    tools.require("systemd-sysusers")
    (tmp_path / "etc").mkdir()
    given = UNITS / "artifact-controller.sysusers"
    ended = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "--dry-run", str(given)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert units.directives()["User"] == units.directives()["Group"] == ["artifact-controller"]
    made = {tuple(line.split()[:2]) for line in given.read_text(encoding="utf-8").splitlines() if line[0] != "#"}
    (group,) = units.directives()["SupplementaryGroups"]
    assert made == {("u", "artifact-controller"), ("g", group)}, "a group that is not there would end every start"


def test_the_drop_in_for_a_secret_is_understood(installed: Path) -> None:
    """As the unit's own comment has it; the path is one that older versions have too, which know no `%d`."""
    lines = re.findall(r"^#   (.+)$", installed.read_text(encoding="utf-8"), re.MULTILINE)
    assert [line.partition("=")[0] for line in lines] == ["LoadCredential", "Environment"]
    folder = installed.with_name(f"{UNIT}.d")
    folder.mkdir(exist_ok=True)
    (folder / "secret.conf").write_text("\n".join(["[Service]", *lines]), encoding="utf-8")
    told = units.analyzed("verify", "--man=no", installed).stderr
    assert [line for line in told.splitlines() if "secret.conf" in line] == []
    assert lines[1].endswith(f"/run/credentials/%n/{lines[0].partition('=')[2].partition(':')[0]}")


def test_the_drop_in_gives_an_older_systemd_what_it_lacks() -> None:
    older = units.directives(DROP_IN)
    assert units.directives()["Type"] == ["notify-reload"]
    assert older == {"Type": ["notify"], "ExecReload": ["/bin/kill -HUP $MAINPID"]}


def test_what_stays_wrong_is_not_started_again(tmp_path: Path) -> None:
    """And whatever may pass is."""
    never = {int(code) for code in units.directives()["RestartPreventExitStatus"][0].split()}
    assert never == {errors.USAGE, errors.MEANINGS["SettingsInvalid"].exit_code}
    assert errors.MEANINGS["StateNewer"].exit_code in never
    assert errors.MEANINGS["ListenFailed"].exit_code not in never
    (tmp_path / "controller.yml").write_text("nam: x\n", encoding="utf-8")
    assert command.child(*words_of(tmp_path / "controller.yml")).code in never
    assert command.child(*words_of(tmp_path / "controller.yml"), "--no-such-flag").code in never


def words_of(config: Path) -> list[str]:
    """What the unit starts the command with, for settings that are here."""
    program, *words = shlex.split(units.directives()["ExecStart"][0])
    assert program == PROGRAM
    assert SETTINGS in words
    return [str(config) if word == SETTINGS else word for word in words]


class Manager:
    """The socket that a service manager listens on."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.settimeout(daemons.PATIENCE_S)

    def next(self) -> dict[str, str]:
        """What it is told next."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def other(self) -> dict[str, str]:
        """What it is told next, besides signs of life."""
        while (told := self.next()) == {"WATCHDOG": "1"}:
            pass
        return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    one = Manager(address)
    yield one
    one.close()


def settings_file(shop: command.Shop, drain: str = "10s") -> Path:
    """As somebody would write them for a service."""
    place = shop.folder / "controller.yml"
    place.write_text(
        f"source: {{directory: {{path: artifacts}}}}\nconfig_dir: config\nstate_dir: state\ndrain: {drain}\n",
        encoding="utf-8",
    )
    return place


@pytest.mark.process
def test_p16_a_service_manager_is_told_everything_in_order(tmp_path: Path, manager: Manager, address: str) -> None:
    """P16: ready, alive, reloading and ready again (whether the new settings are good or bad), stopping."""
    shop = command.Shop(tmp_path)
    config = settings_file(shop)
    period_us = str(int(seconds("WatchdogSec") / 30 * 1_000_000))  # so seldom that the socket has room for all
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": period_us}
    with daemons.running(*words_of(config)[1:], environment=environment) as daemon:
        assert manager.next() == {"READY": "1"}
        assert manager.next() == {"WATCHDOG": "1"}
        last_us = 0
        for drain in ("20s", "never"):
            settings_file(shop, drain)
            daemon.signal(signal.SIGHUP)
            reloading = manager.other()
            assert set(reloading) == {"RELOADING", "MONOTONIC_USEC"}
            assert int(reloading["MONOTONIC_USEC"]) > last_us
            last_us = int(reloading["MONOTONIC_USEC"])
            assert manager.other() == {"READY": "1"}
        assert manager.next() == {"WATCHDOG": "1"}, "what worked goes on"
        daemon.signal(signal.SIGTERM)
        told = manager.other()
        assert told["STOPPING"] == "1"
        assert int(told["EXTEND_TIMEOUT_USEC"]) > 20 * 1_000_000, "longer than the drain that was set last"
        assert daemon.wait() in (0, *map(int, units.directives()["SuccessExitStatus"][0].split()))


def test_the_patience_of_the_unit_fits_the_usual_drain() -> None:
    from controller import settings

    assert seconds("TimeoutStopSec") > settings.load(None, {}).drain + 2 * 5.0
    assert units.directives()["KillMode"] == ["mixed"], "the provisioner's child is waited for, not told to end with us"
    assert {"130", "143"} <= set(units.directives()["SuccessExitStatus"][0].split())


@pytest.fixture
def traced(tmp_path: Path) -> list[tuple[str, str]]:
    """Every system call, with its arguments, of a service that follows a repository, from start to end."""
    tools.require("strace", "git", "systemd-analyze")
    shop = command.Shop(tmp_path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(shop.source), *identity, *words], check=True)
    config = settings_file(shop)
    config.write_text(
        config.read_text(encoding="utf-8").replace(
            "directory: {path: artifacts}", f"git: {{url: 'file://{shop.source}'}}"
        )
        + "http: {listen: '127.0.0.1:0'}\n",
        encoding="utf-8",
    )
    place = tmp_path / "calls"
    started = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(place), *command.line(*words_of(config))],
        env=command.child_environment({"NOTIFY_SOCKET": f"@{tmp_path}/nobody"}),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with started as tracer:
        try:
            daemons.until((shop.config / "functions.yml").exists)
            children = Path(f"/proc/{tracer.pid}/task/{tracer.pid}/children").read_text(encoding="ascii").split()
            subprocess.run(["kill", "-TERM", *children], check=True)
            assert tracer.wait(daemons.PATIENCE_S) in (0, 143)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tracer.pid, signal.SIGKILL)
    return units.calls(place.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.process
def test_l4_what_the_unit_refuses_is_never_asked_for(traced: list[tuple[str, str]]) -> None:
    """L4: the system calls, address families, memory and namespaces that its lines leave are enough, also for git: else
    it would fail in the field only."""
    assert units.refused(traced) == set()
    families = {found for name, words in traced if name == "socket" for found in re.findall(r"^AF_\w+", words)}
    assert {"AF_UNIX", "AF_INET"} <= families, "it was really traced"


@pytest.mark.parametrize(
    "line",
    [
        "7 setpriority(PRIO_PROCESS, 0, 5) = 0",
        "socket(AF_PACKET, SOCK_RAW, 0) = 3",
        "mprotect(0x7f00, 4096, PROT_READ|PROT_EXEC) = 0",
        "mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f00",
        "unshare(CLONE_NEWNS) = 0",
        'fchmodat(AT_FDCWD, "x", 02755) = 0',
    ],
)
def test_what_the_unit_refuses_would_be_seen(line: str) -> None:
    tools.require("systemd-analyze")
    harmless = 'openat(AT_FDCWD, "x", O_RDONLY) = 3\nfchmod(3, 0644) = 0\n'
    assert len(units.refused(units.calls(harmless + line))) == 1
    assert units.refused(units.calls(harmless)) == set()
