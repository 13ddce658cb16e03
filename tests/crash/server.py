"""Running the command many times: forks of `tests.crash.warm`, and whole processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).parent.parent.parent
SHOP = ROOT / "e2e" / "artifacts" / "shop"
DEADLINE_S = 240


def environment() -> dict[str, str]:
    """The same hash seed in every run; bytecode is kept, so that only the very first start compiles."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONTROLLER_", "FAILPOINT"))}
    for name in ("PYTHONDONTWRITEBYTECODE", "CONFIG_DIR"):
        kept.pop(name, None)
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}


def require(*tools: str, root: bool = False) -> None:
    """Skip with the reason, or fail when ``REQUIRE_TOOLS=1`` says that this machine has everything."""
    missing = [f"{tool} is not installed" for tool in tools if shutil.which(tool) is None]
    if root and os.geteuid() != 0:
        missing.append("needs root")
    if missing:
        unavailable("; ".join(missing))


def unavailable(reason: str) -> None:
    """Skip, or fail when nothing may be missing."""
    if os.environ.get("REQUIRE_TOOLS") == "1":
        pytest.fail(f"REQUIRE_TOOLS=1, but {reason}")
    pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. `code` is negative for a signal, as in `subprocess`."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Run:
    """One call of the command. `uid` is whom it runs as, `fault` is for `tests.crash.warm.Fault`."""

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    fault: dict[str, Any] | None = None
    uid: int | None = None


class Server:
    """Forks the command. One run at a time; `prefix` puts the whole of it elsewhere, e.g. into a pid namespace."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._child = subprocess.Popen(
            [*prefix, sys.executable, str(Path(__file__).parent / "warm.py"), str(SHOP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.pid = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(DEADLINE_S)
        self._child.stdout.close()

    def run(self, wanted: Run) -> Ended:
        """One whole run."""
        with self.started(wanted) as waiting:
            return waiting.end()

    @contextmanager
    def started(self, wanted: Run, *, held: bool = False) -> Iterator["Started"]:
        """A run that has begun; a `held` one waits for `Started.release` before its first step."""
        out, err = self._folder / "out", self._folder / "err"
        request = {
            "arguments": wanted.arguments,
            "environment": wanted.environment,
            "fault": wanted.fault,
            "uid": wanted.uid,
            "held": held,
            "out": str(out),
            "err": str(err),
        }
        self._write(json.dumps(request))
        waiting = Started(self, self._read(), held, out, err)
        try:
            yield waiting
        finally:
            waiting.end()

    def _write(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n")
        self._child.stdin.flush()

    def _read(self) -> int:
        assert self._child.stdout is not None
        return int(self._child.stdout.readline())


class Started:
    """A run that has begun. `pid` is as seen from the server."""

    def __init__(self, server: Server, pid: int, held: bool, out: Path, err: Path) -> None:
        self._server = server
        self.pid = pid
        self._held = held
        self._out = out
        self._err = err
        self._ended: Ended | None = None

    def release(self) -> None:
        """Let a held run go."""
        if self._held:
            self._held = False
            self._server._write("go")

    def kill(self) -> None:
        """As a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> Ended:
        """Wait, and tell how it ended."""
        self.release()
        if self._ended is None:
            code = os.waitstatus_to_exitcode(self._server._read())
            said = [file.read_text(encoding="utf-8", errors="replace") for file in (self._out, self._err)]
            self._ended = Ended(code, *said)
        return self._ended


def whole_process(arguments: tuple[str, ...], *, prefix: tuple[str, ...] = (), **variables: str) -> Ended:
    """The command as a fresh process, the way people call it."""
    found = subprocess.run(
        [*prefix, sys.executable, "-m", "controller.cli", *arguments],
        env={**environment(), **variables},
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DEADLINE_S,
    )
    return Ended(found.returncode, found.stdout, found.stderr)
