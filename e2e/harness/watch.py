"""What an engine and a directory went through between two moments, as counts that a test can assert.

Looks only from outside: the engine's own events, and what `stat` says of every file below CONFIG_DIR.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2e.harness import docker, stacks

QUIET = ("exec_create", "exec_start", "exec_die", "health_status")
"""What health checks of a running stack cause."""


def now() -> str:
    """A moment for `events`."""
    return f"{time.time():.9f}"


def events(stack: stacks.Stack, since: str) -> Counter[str]:
    """What the engine did to this stack since then, counted: ``image push``, or ``container create provisioner`` with
    the compose service. Health checks are left out, and so are workers of functions, which requests start."""
    listed = docker.docker("events", "--since", since, "--until", now(), "--format", "{{json .}}")
    return Counter(word for line in listed.splitlines() for word in words(json.loads(line), stack))


def words(event: Mapping[str, Any], stack: stacks.Stack) -> Iterator[str]:
    """An event of the engine in words, as `events` counts them; none for one that is not about this stack."""
    kind, action = event["Type"], event["Action"].partition(":")[0]
    attributes = event["Actor"]["Attributes"] or {}
    if action in QUIET:
        return
    if kind == "image" and attributes.get("name", event["Actor"]["ID"]).startswith(stack.registry.address):
        yield f"image {action}"
    if kind == "container" and attributes.get("com.docker.compose.project") == stack.project:
        yield f"container {action} {attributes['com.docker.compose.service']}"


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
