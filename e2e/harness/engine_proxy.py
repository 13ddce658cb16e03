"""The socket proxy before the engine: the way of the controller, and of nobody else, where a run is told to take it."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2e.harness import stacks

THROUGH = "E2E_THROUGH_PROXY"
"""The variable that makes the controllers of all tests ask the engine through a proxy ("1"), or of none ("0")."""

MODULES = frozenset(
    {
        *("test_apply", "test_faults", "test_follow", "test_neighbours", "test_provisioner"),
        *("test_refusals", "test_rollback", "test_saved_plans", "test_secrets"),
    }
)
"""The modules whose controllers do so where the variable says nothing: between them they do all that a controller does
with an engine. The sidecar's tests, and others, have the engine's own socket."""


@contextlib.contextmanager
def standing(mounts: Sequence[str], *, strict: bool = False) -> Iterator[str]:
    """The address of a proxy before the tests' engine, for the time of the block. `mounts` are what a provisioner may
    mount. With `strict`, a refusal fails the test when the block is over: some of them would go unnoticed."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as folder:
        socket = Path(folder) / "engine.sock"  # the path of a socket has to be short
        command = [str(Path(sys.executable).parent / "controller"), "engine-proxy", "--listen", str(socket)]
        command += ["--engine", stacks.engine_socket(), *(word for one in mounts for word in ("--mount", one))]
        log = Path(folder) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            while not socket.exists():
                if process.poll() is not None:
                    raise AssertionError(f"the proxy ended with {process.returncode}")
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait(timeout=10)
        refused = [line for line in log.read_text(encoding="utf-8").splitlines() if " 403 " in line]
        if strict and refused:
            raise AssertionError("\n".join(refused))


@contextlib.contextmanager
def asked_for(stack: stacks.Stack, module: str) -> Iterator[stacks.Stack]:
    """The same stack, whose controllers ask through a proxy where `THROUGH` or `MODULES` says so."""
    told = os.environ.get(THROUGH, "")
    if told == "0" or (not told and module not in MODULES):
        yield stack
        return
    with standing((str(stack.config_dir),), strict=True) as stack.engine:
        yield stack
