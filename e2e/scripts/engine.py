"""A Docker engine for the end-to-end tests, in a folder of its own: `python -m e2e.scripts.engine COMMAND`.

    install  unpack the engine's packages (seconds); the machine stays as it is, but for iptables where it is missing
    start    start dockerd and its containerd on sockets of their own, and wait until they answer
    stop     stop exactly what `start` started
    kill     end that at once, with every container in it, as a power cut does
    kill     the same at once and with every container, as a power cut does
    env      print the export lines for a shell: eval "$(python -m e2e.scripts.engine env)"

Wants Debian bookworm or newer and root. Where an engine answers already, or is installed, that one is used and told.
The folder is $ENGINE_DIR, else `.engine` in the project. Every command may be repeated.
"""

import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.scripts import debian_packages

PROJECT = Path(__file__).resolve().parent.parent.parent
NEWER = ("docker.io", "docker-cli", "docker-compose", "docker-buildx", "containerd")
OWN = ("runc", "tini", "libseccomp2")
"""From the machine's own release: those of the newer one want a newer libc."""
ADMINISTRATION = "/usr/local/sbin:/usr/sbin:/sbin"
REGISTRY = "127.0.0.1:5010"
DETACH = 2  # MNT_DETACH of <sys/mount.h>
LONGEST_SOCKET = 107  # bytes of a path in sockaddr_un
HINTS = {
    "iptables": "the kernel or this container does not let iptables work: it wants root with CAP_NET_ADMIN and the "
    "modules of nf_tables or ip_tables",
    "cgroup": "cgroups cannot be used: mount cgroup2 at /sys/fs/cgroup; in a container, start that one privileged",
    "peration not permitted": "this user or container lacks capabilities: an engine wants root, privileged",
    "overlay": "the folder's file system cannot carry overlay mounts: put ENGINE_DIR on ext4 or xfs",
}


class EngineUnavailable(Exception):
    """No engine can be had here; the text says why and the way out."""


@dataclass(frozen=True)
class Layout:
    """Where everything of this engine is."""

    home: Path

    @property
    def root(self) -> Path:
        """Where the packages are unpacked."""
        return self.home / "root"

    @property
    def socket(self) -> Path:
        """Where dockerd answers."""
        return self.home / "docker.sock"

    @property
    def containerd(self) -> Path:
        """Where its containerd answers."""
        return self.home / "exec" / "containerd" / "containerd.sock"

    @property
    def snapshots(self) -> Path:
        """Where its containerd keeps what it holds."""
        return self.home / "data" / "containerd" / "daemon"

    @property
    def pid_file(self) -> Path:
        """Written by dockerd."""
        return self.home / "dockerd.pid"

    @property
    def log(self) -> Path:
        """What both daemons say, of the last start only."""
        return self.home / "dockerd.log"

    def exports(self) -> dict[str, str]:
        """The variables under which every docker command finds this engine."""
        found = {"DOCKER_HOST": f"unix://{self.socket}", "CONTAINERD_ADDRESS": str(self.containerd)}
        found["CONTAINERD_ROOT"] = str(self.snapshots)
        if (self.root / "usr").is_dir():
            ahead = f"{self.root}/usr/bin:{self.root}/usr/sbin"
            path = os.environ.get("PATH", "")
            found["PATH"] = path if path.startswith(ahead) else f"{ahead}:{path}"
            found["DOCKER_CONFIG"] = str(self.home / "config")
        return found

    def environment(self) -> dict[str, str]:
        """The environment of dockerd, and of commands that talk to it."""
        merged = {**os.environ, **self.exports()}
        return {**merged, "PATH": f"{merged['PATH']}:{ADMINISTRATION}"}


def main(arguments: list[str]) -> int:
    """Run one command; the exit code is 0, 64 for a wrong command, 69 when no engine can be had."""
    commands: Mapping[str, Callable[[Layout], None]]
    commands = {"install": install, "start": start, "stop": stop, "kill": kill, "env": show}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 64
    layout = Layout(Path(os.environ.get("ENGINE_DIR") or PROJECT / ".engine").resolve())
    try:
        commands[arguments[0]](layout)
    except (EngineUnavailable, debian_packages.PackagesUnavailable) as problem:
        print(f"engine: {problem}", file=sys.stderr)
        return 69
    return 0


def say(text: str) -> None:
    """One line for the reader; stdout belongs to `env`."""
    print(f"engine: {text}", file=sys.stderr, flush=True)


def install(layout: Layout) -> None:
    """Unpack the packages, unless an engine is there already."""
    other = _other(layout)
    if other or (not layout.root.is_dir() and _installed()):
        say(other or "dockerd with buildx and compose is installed on this machine; `start` uses that one")
        return
    if os.geteuid() != 0:
        raise EngineUnavailable("an engine runs as root: run this as root, or set DOCKER_HOST to one that answers")
    suite = debian_packages.release()
    debian_packages.unpack(NEWER, debian_packages.newer(suite), layout.root, layout.home / "apt")
    debian_packages.unpack(OWN, suite, layout.root, layout.home / "apt")
    plugins = layout.home / "config" / "cli-plugins"
    plugins.parent.mkdir(parents=True, exist_ok=True)
    plugins.unlink(missing_ok=True)
    plugins.symlink_to(layout.root / "usr" / "libexec" / "docker" / "cli-plugins")
    if shutil.which("iptables", path=layout.environment()["PATH"]) is None:
        say("installing iptables")
        debian_packages.install("iptables")
    say(f"installed in {layout.home}")


def start(layout: Layout) -> None:
    """Start dockerd and wait until it answers."""
    other = _other(layout)
    if other:
        say(other)
        return
    if _pid(layout) and _version(layout.environment()):
        say(f"runs already at unix://{layout.socket}")
        return
    environment = layout.environment()
    if shutil.which("dockerd", path=environment["PATH"]) is None:
        raise EngineUnavailable("no dockerd here: `install` comes first")
    _check(layout)
    if shutil.which("containerd", path=environment["PATH"]) is None:
        raise EngineUnavailable("dockerd is here without containerd: install the package containerd")
    stop(layout)
    environment["PATH"] = f"{_iptables(layout, environment)}{environment['PATH']}"
    command = ["dockerd", "--data-root", str(layout.home / "data"), "--exec-root", str(layout.home / "exec")]
    command += ["--pidfile", str(layout.pid_file), "--host", f"unix://{layout.socket}", "--insecure-registry", REGISTRY]
    command += ["--containerd", str(layout.containerd), *shlex.split(os.environ.get("ENGINE_FLAGS", ""))]
    containerd = ["containerd", "--config", str(containerd_settings(layout))]
    layout.log.unlink(missing_ok=True)
    _start(layout, containerd, environment, layout.containerd.is_socket)
    _start(layout, command, environment, lambda: layout.socket.exists() and bool(_version(environment)))
    say(f"answers at unix://{layout.socket}")


def show(layout: Layout) -> None:
    """Print the export lines; nothing to set where another engine is used."""
    other = _other(layout)
    if other:
        print(f"# {other}")
        return
    for key, value in layout.exports().items():
        print(f"export {key}={shlex.quote(value)}")


def stop(layout: Layout) -> None:
    """Stop dockerd, then whatever else has this folder in its command: containerd, its shims; and mounts below it."""
    stopped = _end(_pid(layout), seconds=30)
    for pid in _beside(layout):
        for child in _children(pid):  # containers that were started beside dockerd, with ctr
            _end(child, seconds=2)
        stopped = _end(pid, seconds=5) or stopped
    for mount in sorted(_mounts(layout.home), key=len, reverse=True):
        ctypes.CDLL(None).umount2(os.fsencode(mount), DETACH)  # the program umount is not everywhere
    for file in (layout.pid_file, layout.socket, layout.containerd):
        file.unlink(missing_ok=True)
    if stopped:
        say("stopped")


def kill(layout: Layout) -> None:
    """End it and every container at once, as a power cut does: nobody notices anything."""
    beside = _beside(layout)
    for pid in (_pid(layout), *beside, *(child for shim in beside for child in _children(shim))):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    stop(layout)


def _other(layout: Layout) -> str:
    """In words, the engine that answers the plain docker command and is not this one; "" without."""
    address = os.environ.get("DOCKER_HOST", "")
    if address == f"unix://{layout.socket}":
        return ""
    version = _version(dict(os.environ))
    return f"an engine {version} answers at {address or 'the default address'}; using that one" if version else ""


def _version(environment: Mapping[str, str]) -> str:
    """The version of the engine that answers, when buildx and compose are there too; "" otherwise."""
    answers = []
    for words in (["version", "--format", "{{.Server.Version}}"], ["buildx", "version"], ["compose", "version"]):
        docker = shutil.which("docker", path=environment.get("PATH"))
        if docker is None:
            return ""
        try:
            done = subprocess.run(
                [docker, *words], env=dict(environment), capture_output=True, text=True, timeout=15, check=False
            )
        except subprocess.TimeoutExpired:
            return ""
        if done.returncode:
            return ""
        answers.append(done.stdout.strip())
    return answers[0]


def _installed() -> bool:
    path = f"{os.environ.get('PATH', '')}:{ADMINISTRATION}"
    programs = all(shutil.which(name, path=path) for name in ("dockerd", "docker", "containerd", "runc"))
    return programs and all(
        subprocess.run(["docker", name, "version"], capture_output=True, check=False).returncode == 0
        for name in ("buildx", "compose")
    )


def _check(layout: Layout) -> None:
    """What can be known before a daemon fails on it."""
    if os.geteuid() != 0:
        raise EngineUnavailable("an engine runs as root: run this as root, or set DOCKER_HOST to one that answers")
    if len(os.fsencode(layout.containerd)) > LONGEST_SOCKET:
        raise EngineUnavailable(f"the path {layout.containerd} is too long for a socket: set ENGINE_DIR to a short one")
    if not re.search(r"^\S+ \S+ cgroup2? ", Path("/proc/mounts").read_text(encoding="utf-8"), re.MULTILINE):
        raise EngineUnavailable(f"no cgroup file system is mounted. {HINTS['cgroup']}")


def _iptables(layout: Layout, environment: Mapping[str, str]) -> str:
    """A folder for the front of PATH, with ":" behind, where only the legacy variant of iptables works; else ""."""
    works = [
        variant
        for variant in ("iptables", "iptables-legacy")
        if (found := shutil.which(variant, path=environment["PATH"]))
        and subprocess.run([found, "-w", "-t", "nat", "-nL"], capture_output=True, check=False).returncode == 0
    ]
    if not works:
        raise EngineUnavailable(f"`iptables -t nat -L` fails. {HINTS['iptables']}")
    if works[0] == "iptables":
        return ""
    folder = layout.home / "legacy"
    folder.mkdir(exist_ok=True)
    for name in ("iptables", "ip6tables"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(str(shutil.which(f"{name}-legacy", path=environment["PATH"])))
    return f"{folder}:"


def containerd_settings(layout: Layout) -> Path:
    """Write them; their path. A containerd that dockerd is not told of would be the machine's, wherever there is
    something at that one's address, though it be a folder that was left there."""
    folder = layout.containerd.parent
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    lines = (
        "version = 2",
        f"root = {json.dumps(str(layout.snapshots))}",
        f"state = {json.dumps(str(folder / 'daemon'))}",
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
        "[grpc]",
        f"address = {json.dumps(str(layout.containerd))}",
        "[debug]",
        f"address = {json.dumps(str(folder / 'debug.sock'))}",
    )
    settings = folder / "containerd.toml"
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return settings


def _start(layout: Layout, command: Sequence[str], environment: Mapping[str, str], answers: Callable[[], bool]) -> None:
    """Start a daemon and wait until it answers; what it says goes to the end of the log."""
    with layout.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + 180
    while not answers():
        if process.poll() is not None or time.monotonic() > until:
            tail = layout.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
            hints = [text for pattern, text in HINTS.items() if re.search(pattern, "\n".join(tail))]
            ended = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
            stop(layout)
            raise EngineUnavailable("\n".join([f"{command[0]} {ended}; the end of {layout.log}:", *tail, *hints]))
        time.sleep(0.1)


def _pid(layout: Layout) -> int:
    """The process id of this folder's dockerd; 0 when it does not run, whatever has its number now."""
    try:
        pid = int(layout.pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return pid if bytes(layout.pid_file) in _words(pid) else 0


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _processes() -> list[tuple[int, list[bytes]]]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [(pid, words) for pid in pids if (words := _words(pid)) and words[0]]


def _beside(layout: Layout) -> list[int]:
    """The folder's containerd, and its shims."""
    below = os.fsencode(layout.home / "exec") + b"/"
    return [
        pid
        for pid, words in _processes()
        if Path(os.fsdecode(words[0])).name.startswith("containerd") and any(below in word for word in words[1:])
    ]


def _children(parent: int) -> list[int]:
    """The processes right below a shim: the first one of each container, which takes the rest of it along."""
    found: list[int] = []
    for pid, _ in _processes():
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            found += [pid] if int(fields[1]) == parent else []
    return found


def _end(pid: int, *, seconds: float) -> bool:
    """End one process: asked first, then killed. True when there was one."""
    if not pid:
        return False
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if not _words(pid):  # gone, or a zombie that waits for its parent
                return True
            time.sleep(0.05)
    return True


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    places = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [place for place in places if place.startswith(f"{folder}/")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
