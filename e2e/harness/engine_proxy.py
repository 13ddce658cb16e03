"""The socket proxy before the engine: the way of the controller, and of nobody else, where a run is told to take it."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2e.harness import stacks
from tests.fakes import daemons

THROUGH = "E2E_THROUGH_PROXY"
"""The variable that takes the proxy away again: with "0" all controllers of the tests have the engine's own socket."""

_GROUP = 4343
"""Of the socket, with root: a sidecar gets in by it, and by nothing else."""


@contextlib.contextmanager
def standing(mounts: Sequence[str], *, strict: bool = False) -> Iterator[str]:
    """The address of a proxy before the tests' engine, for the time of the block. `mounts` are what a provisioner may
    mount. With `strict`, a refusal fails the test when the block is over: some of them would go unnoticed."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        place = Path(folder) / "engine.sock"  # the path of a socket has to be short
        command = [str(Path(sys.executable).parent / "controller"), "engine-proxy", "--listen", str(place)]
        command += ["--engine", stacks.engine_socket(), *(word for one in mounts for word in ("--mount", one))]
        log = Path(folder) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            daemons.until(lambda: process.poll() is not None or _accepts(place))
            if process.poll() is not None:
                raise AssertionError(f"the proxy ended with {process.returncode}")
            os.chown(place, -1, _GROUP)
            place.chmod(0o660)
            yield f"unix://{place}"
        finally:
            process.terminate()
            process.wait(timeout=daemons.PATIENCE_S)
        refused = [line for line in log.read_text(encoding="utf-8").splitlines() if " 403 " in line]
        if strict and refused:
            raise AssertionError("\n".join(refused))


def _accepts(place: Path) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
        return True
    return False


@contextlib.contextmanager
def before(*mounts: str) -> Iterator[str]:
    """What the controllers of a module, or a sidecar, are told of the engine: a proxy that refuses nothing which they
    ask, or the test fails; "" where the run is told to do without."""
    if os.environ.get(THROUGH) == "0":
        yield ""
        return
    with standing(mounts, strict=True) as address:
        yield address
