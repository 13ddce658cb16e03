"""The docker command and `ctr`, for setting up and looking: never through the code under test."""

import os
import subprocess
from collections.abc import Sequence

from e2e.harness import matrix


class CommandFailed(Exception):
    """A command of the test's own set-up said no; the text has its last lines."""


def docker(*arguments: str, check: bool = True, timeout: float = 180) -> str:
    """Run one docker command and return what it prints. Raises CommandFailed unless `check` is off."""
    return run(["docker", *arguments], check=check, timeout=timeout)


def ctr(namespace: str, *arguments: str, check: bool = True) -> str:
    """Run one `ctr` command in a containerd namespace."""
    return run(["ctr", "--address", str(matrix.containerd_socket()), "--namespace", namespace, *arguments], check=check)


def run(command: Sequence[str], *, check: bool = True, timeout: float = 180) -> str:
    """Run a command with the environment of the tests; stdout, stripped."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env=dict(os.environ),
    )
    if check and done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CommandFailed(f"{' '.join(command[:4])} …: exit {done.returncode}\n{tail}")
    return done.stdout.strip()
