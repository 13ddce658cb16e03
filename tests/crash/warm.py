"""A process that has imported the command once and forks it for every run. Started by `tests.crash.server`.

Importing takes five times as long as a pass, and its system calls would come before the interesting ones. What a fork
runs is `controller.cli.run`, the same function as in a fresh process. One request per line of JSON on stdin; the
answers are the child's pid, then its wait status.

A request may carry a fault that needs no tool: the n-th call of an `os` function that touches a folder raises, or is
the last thing that the process does.
"""

import ctypes
import errno
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CALLS = (
    "open", "write", "pwrite", "fsync", "rename", "symlink", "mkdir", "unlink", "rmdir", "utime", "fchmod", "ftruncate"
)  # fmt: skip
RAISED = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


class Fault:
    """Wraps the functions of `os`; counts the calls of all of them together that touch `folder`."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._folder: str = wanted["folder"]
        self._count: int = wanted["count"]
        self._effect: str = wanted["effect"]
        self._only: str = wanted.get("only", "")
        self._log: str = wanted.get("log", "")
        self._seen = 0

    def install(self) -> None:
        """From now on."""
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if (not self._only or name == self._only) and self._touches(args, named):
                self._seen += 1
                if self._log:
                    with Path(self._log).open("a", encoding="utf-8") as file:  # io, not os.open: not counted
                        file.write(f"{name}\n")
                if self._seen == self._count:
                    self._strike()
                if self._effect == "lie":
                    return None
            return real(*args, **named)

        return call

    def _touches(self, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        at = [value for key, value in named.items() if key.endswith("dir_fd") and value is not None]
        return any(self._is_below(value) for value in (*args[:2], *at))

    def _is_below(self, value: Any) -> bool:
        if isinstance(value, int) and value > 2:
            try:
                value = os.readlink(f"/proc/self/fd/{value}")
            except OSError:
                return False
        return isinstance(value, str | os.PathLike) and os.fspath(value).startswith(self._folder)

    def _strike(self) -> None:
        if self._effect in RAISED:
            number = RAISED[self._effect]
            raise OSError(number, os.strerror(number))
        if self._effect == "exit":
            os._exit(137)
        if self._effect == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._effect == "term twice":
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._effect == "leave a child":
            child = subprocess.Popen(["sleep", "600"], close_fds=False)
            sys.stderr.write(f"child {child.pid}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def run(request: dict[str, Any], ready: int, gate: int) -> NoReturn:
    """The child: get ready, wait for the gate if asked to, then be the command."""
    from controller import cli

    for number, name in ((1, "out"), (2, "err")):
        fd = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(fd, number)
        os.close(fd)
    os.environ.update(request["environment"])
    if request["uid"] is not None:
        os.setgroups([])
        os.setgid(request["uid"])
        os.setuid(request["uid"])
    if os.geteuid():
        _let_anybody_trace()
    os.close(ready)
    if request["held"]:
        select.select([gate], [], [])
    os.close(gate)
    if request["fault"] is not None:
        Fault(request["fault"]).install()
    code = cli.run(request["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _let_anybody_trace() -> None:
    """Where only ancestors may trace, strace is none."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & (2**64 - 1)), 0, 0, 0)


def serve() -> None:
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        is_ready, ready = os.pipe()
        gate, open_gate = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(is_ready)
            os.close(open_gate)
            run(request, ready, gate)
        os.close(ready)
        os.close(gate)
        os.read(is_ready, 1)  # ends when the child closes its end
        os.close(is_ready)
        _answer(pid)
        if request["held"]:
            sys.stdin.readline()
        os.close(open_gate)
        _answer(os.waitpid(pid, 0)[1])


def _answer(value: int) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


def warm_up(source: str) -> None:
    """Everything that is imported or built late is there before the first fork."""
    from controller import cli

    out, err = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder, Path(folder, "said").open("w") as said:
        sys.stdout = sys.stderr = said
        code = cli.run(["reconcile", "--once", "--source", source, "--config-dir", f"{folder}/config"])
        cli.run(["status", "--config-dir", f"{folder}/config"])
    sys.stdout, sys.stderr = out, err
    if code:
        raise SystemExit(f"the warm-up run ended with {code}")


if __name__ == "__main__":
    warm_up(sys.argv[1])
    _answer(os.getpid())
    serve()
