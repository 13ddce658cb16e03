"""The systemd unit as tests read it: its lines, and what they would have refused of the system calls that strace saw.

No systemd runs here. `systemd-analyze` says which calls the names of its sets stand for; everything else that a line
means is written down below.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.fakes import command

FOLDER = command.ROOT / "packaging" / "systemd"
UNIT = "artifact-controller.service"
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$", re.MULTILINE)
_NEW_NAMESPACE = ("clone", "clone3", "unshare", "setns")
_MODES = re.compile(r"\b0[2467]\d{3}\b")


def directives(name: str = UNIT) -> dict[str, list[str]]:
    """The [Service] section: every directive with its values, in order."""
    text = (FOLDER / name).read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[")[0]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyzed(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """What systemd-analyze says."""
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def calls(trace: str) -> list[tuple[str, str]]:
    """Every system call of strace's output, with its arguments."""
    return _CALL.findall(trace)


def permitted() -> set[str]:
    """What the filter of the unit leaves, line by line as systemd reads it."""
    found: set[str] = set()
    for line in directives()["SystemCallFilter"]:
        for name in line.removeprefix("~").split():
            found = found - _calls_of(name) if line.startswith("~") else found | _calls_of(name)
    return found


def refused(traced: list[tuple[str, str]]) -> set[str]:
    """Which of these calls the unit's lines refuse, each in a few words."""
    return set(_refused(traced))


def _refused(traced: list[tuple[str, str]]) -> Iterator[str]:
    given, left = directives(), permitted()
    families = set(given["RestrictAddressFamilies"][0].split())
    assert given["MemoryDenyWriteExecute"] == given["RestrictNamespaces"] == given["RestrictSUIDSGID"] == ["yes"]
    for name, words in traced:
        if name not in left:
            yield name
        elif name == "socket" and not families.issuperset(found := re.findall(r"^AF_\w+", words)):
            yield f"socket {' '.join(found)}"
        elif name in ("mprotect", "pkey_mprotect") and "PROT_EXEC" in words:
            yield f"{name} to execute"
        elif name == "mmap" and "PROT_WRITE|PROT_EXEC" in words:
            yield "mmap to write and execute"
        elif name in _NEW_NAMESPACE and "CLONE_NEW" in words:
            yield f"{name} of a namespace"
        elif "chmod" in name and _MODES.search(words):
            yield f"{name} to set a user or a group"


def _calls_of(name: str) -> set[str]:
    """The system calls of one of systemd's sets, with those of the sets in it."""
    found: set[str] = set()
    for word in (line.strip() for line in analyzed("syscall-filter", "--no-pager", name).stdout.splitlines()[1:]):
        if word.startswith("@"):
            found |= _calls_of(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found
