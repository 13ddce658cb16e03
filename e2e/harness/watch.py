"""What an engine and a directory went through between two moments, as counts that a test can assert.

Looks only from outside: the engine's own events, and what `stat` says of every file below CONFIG_DIR.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from e2e.harness import docker

QUIET = ("exec_create", "exec_start", "exec_die", "health_status")
"""What health checks of a running stack cause."""


def now() -> str:
    """A moment for `events`."""
    return f"{time.time():.9f}"


def events(since: str) -> Counter[str]:
    """What the engine did since then, as ``image push`` or ``container create``, counted; without health checks."""
    arguments = ("--since", since, "--until", now(), "--format", "{{.Type}} {{.Action}}")
    listed = docker.docker("events", *arguments)
    rows = [line.partition(":")[0] for line in listed.splitlines()]
    return Counter(row for row in rows if row.rpartition(" ")[2] not in QUIET)


def tree(folder: Path) -> Mapping[str, tuple[int, int, int]]:
    """Inode, time and size of everything below a folder: equal when nothing was written there."""
    found: dict[str, tuple[int, int, int]] = {}
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files, "."):
            path = Path(where) / name
            seen = os.lstat(path)
            found[str(path.relative_to(folder))] = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
    return found


def documents(config_dir: Path) -> Mapping[str, bytes]:
    """What a consumer reads there now."""
    return {file.name: file.read_bytes() for file in sorted(config_dir.glob("*.yml"))}
