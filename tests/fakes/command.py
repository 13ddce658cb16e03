"""The real command on real folders: the sample shop in a folder of its own, a run of `controller` in this process, and
the same as a child process. What a run printed and how it ended comes back as a value; nothing of it stays behind.
"""

import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller import cli, clock
from tests.fakes import tools

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "e2e" / "artifacts" / "shop"
DOCUMENTS = ("functions.yml", "routing.yml", "resources.yml")
PATIENCE_S = 120.0
"""Longer than any command takes; only a hang exceeds it."""
TAKEN_OVER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one line of JSON on stdout."""
        assert self.out.count("\n") == 1, self.out
        assert self.out.endswith("\n")
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.out + self.err


@dataclass
class Hours:
    """The machine's clocks, put forward by every wait and by `ahead_s`: no test sleeps."""

    ahead_s: float = 0.0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Commands make their own clocks; while this stands they run by these hours."""
        real = {name: getattr(clock.Clock, name) for name in ("now_s", "now_ns", "monotonic_s", "sleep")}

        def sleep(_: clock.Clock, seconds: float) -> None:
            self.ahead_s += max(0.0, seconds)

        fakes = {
            "now_s": lambda _: time.time() + self.ahead_s,
            "now_ns": lambda _: time.time_ns() + int(self.ahead_s * 10**9),
            "monotonic_s": lambda _: time.monotonic() + self.ahead_s,
            "sleep": sleep,
        }
        try:
            for name, fake in fakes.items():
                setattr(clock.Clock, name, fake)
            yield
        finally:
            for name, method in real.items():
                setattr(clock.Clock, name, method)


def run(*arguments: str | Path, environment: Mapping[str, str] | None = None, hours: Hours | None = None) -> Ended:
    """Run one command line in this process, with no variable of ours set but those of `environment`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _environment(environment or {}),
        _signals(),
        (hours or Hours()).installed(),
    ):
        code = cli.run([str(argument) for argument in arguments])
    return Ended(code, *(_read(stream) for stream in (out, err)))


def _read(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode("utf-8")


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in TAKEN_OVER}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        for name in _ours(os.environ):
            del os.environ[name]
        os.environ.update({**NO_ENGINE, **wanted})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
"""What a machine without an engine looks like: these tests are the same with and without one."""


_CONTRACT_NAMES = frozenset({"CONFIG_DIR", "CONTAINER_REGISTRY", "HOST_REGISTRY_ADDR", "ESB_TAG", "FAILPOINT"})
_OF_JOBS = ("CONTROLLER_", "GITHUB_", "CI_PROJECT_")
"""A job that runs these tests is not the job that they are about."""


def _ours(environment: Mapping[str, str]) -> list[str]:
    return [name for name in environment if name.startswith(_OF_JOBS) or name in _CONTRACT_NAMES]


def child_environment(more: Mapping[str, str] | None = None, *, engine: bool = False) -> dict[str, str]:
    """The environment of a child that finds this source tree, and nothing of ours that the caller has set; the
    machine's engine only when it is wanted."""
    kept = {name: value for name, value in os.environ.items() if name not in _ours(os.environ)}
    return {
        **kept,
        **({} if engine else NO_ENGINE),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **(more or {}),
    }


def line(*arguments: str | Path) -> list[str]:
    """The command line of a child."""
    return [sys.executable, "-m", "controller.cli", *map(str, arguments)]


def child(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    engine: bool = False,
    **more: Any,
) -> Ended:
    """The same as a process of its own; `prefix` is put before the command line."""
    ended = subprocess.run(
        [*prefix, *line(*arguments)],
        env=child_environment(environment, engine=engine),
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        **more,
    )
    return Ended(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))


@dataclass
class Shop:
    """A copy of the sample artifact below `folder`, and a CONFIG_DIR beside it."""

    folder: Path
    hours: Hours = field(default_factory=Hours)

    def __post_init__(self) -> None:
        shutil.copytree(SAMPLE, self.source)

    @property
    def source(self) -> Path:
        """The folder of artifacts."""
        return self.folder / "artifacts"

    @property
    def manifest(self) -> Path:
        """The artifact.yml."""
        return self.source / "artifact.yml"

    @property
    def config(self) -> Path:
        """CONFIG_DIR."""
        return self.folder / "config"

    @property
    def state(self) -> Path:
        """The record's file."""
        return self.config / ".controller" / "state.db"

    @property
    def target(self) -> tuple[str, ...]:
        """The options that name source and target."""
        return ("--source", str(self.source), "--config-dir", str(self.config))

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """Any command line, by this shop's clock."""
        return run(*arguments, environment=environment, hours=self.hours)

    def reconcile(self, *more: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """`reconcile --once` from the source to CONFIG_DIR."""
        return self.run("reconcile", "--once", *self.target, *more, environment=environment)

    def diff(self, *more: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """`diff` of the source and CONFIG_DIR."""
        return self.run("diff", *self.target, *more, environment=environment)

    def about(self, command: str, *more: str | Path) -> Ended:
        """A command that only needs CONFIG_DIR."""
        return self.run(command, "--config-dir", self.config, *more)

    def published(self) -> "Shop":
        """The same shop, after its first publish."""
        ended = self.reconcile()
        assert ended.code == 0, ended.text
        return self

    def document(self, entry: str, name: str) -> Path:
        """A document of an entry in the source."""
        return self.source / entry / "config" / name

    def edit(self, entry: str, name: str, old: str, new: str) -> None:
        """Replace text in a document of the source."""
        replace_text(self.document(entry, name), old, new)

    def documents(self) -> dict[str, bytes | None]:
        """What a consumer of CONFIG_DIR reads."""
        return documents(self.config)


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace the only occurrence of a text in a file. Nobody who looks meanwhile finds the file empty."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    with path.open("r+b", buffering=0) as file:
        file.write(text.replace(old, new).encode())
        file.truncate()


def documents(config: Path) -> dict[str, bytes | None]:
    """What a consumer of this CONFIG_DIR reads; None where there is nothing."""
    found: dict[str, bytes | None] = {}
    for name in DOCUMENTS:
        try:
            found[name] = (config / name).read_bytes()
        except OSError:
            found[name] = None
    return found


def visible(config: Path) -> tuple[dict[str, bytes | None], object]:
    """The documents, and everything else in CONFIG_DIR but the record: what a refused run must leave as it is."""
    return documents(config), snapshot(config, besides=(".controller",)) if config.exists() else None


def snapshot(folder: Path, *, besides: tuple[str, ...] = ()) -> dict[str, tuple[object, ...]]:
    """Everything below a folder by relative path: kind, mode, inode, time of change in nanoseconds, and content.

    The folder itself counts; names in `besides` directly below it, and the folder's own times with them, do not.
    """
    found: dict[str, tuple[object, ...]] = {}
    if not besides:
        found["."] = _looked(folder)
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if relative.parts[0] not in besides:
            found[str(relative)] = _looked(path)
    return found


def _looked(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content: object = None
    if stat.S_ISLNK(status.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    return stat.filemode(status.st_mode), status.st_ino, status.st_mtime_ns, content


def as_nobody(shop: Shop, *arguments: str | Path) -> Ended:
    """A child that loads its modules, and then becomes another user before it runs the command: where the
    interpreter stands, that user may not read."""
    _open_up(shop.folder)
    ended = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(NOBODY), *map(str, arguments)],
        env=child_environment(),
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def give_away(path: Path) -> None:
    """Make that user the owner of everything below a path."""
    for each in [path, *path.rglob("*")]:
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)


_AS_NOBODY = """
import difflib, importlib, os, pkgutil, sys
import controller.commands, core, manifests
for package in (controller, core, manifests):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(found.name)
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
sys.exit(controller.cli.run(sys.argv[2:]))
"""
NOBODY = 54321
"""A uid without a passwd entry."""


def _open_up(folder: Path) -> None:
    """Let others pass through the folders above, which pytest keeps private."""
    for above in (folder, *folder.parents):
        if above == Path("/"):
            return
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH | stat.S_IROTH)


@contextlib.contextmanager
def locked(config: Path) -> Iterator[None]:
    """Another controller holds the lock on CONFIG_DIR."""
    descriptor = os.open(config, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def require_root() -> None:
    """Skip where no other user can be played, and nothing mounted."""
    if os.geteuid() != 0:
        tools.absent("becoming another user and mounting need root")


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own at this folder. Needs root, and a container that allows it."""
    require_root()
    ended = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False)
    if ended.returncode:
        tools.absent("mounting a tmpfs is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take all the space that is left."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass
