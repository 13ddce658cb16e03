"""Who runs on this machine on behalf of a test: known by a word that only this test puts into an environment."""

import contextlib
import os
import select
from pathlib import Path

SOON_S = 60.0
"""Within which whoever nobody waits for any more has to be gone: longer than what docker's calls are given to end."""


def with_word(word: str) -> list[int]:
    """Processes of this machine that have the word in their environment."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if word.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                found.append(int(entry))
    return [pid for pid in found if pid != os.getpid()]


def left_with(word: str, *, besides: int = 0) -> list[int]:
    """Those of them that do not end by themselves, one excepted."""
    return [pid for pid in with_word(word) if pid != besides and not ends(pid)]


def ends(pid: int) -> bool:
    """Whether the process is gone, or goes soon."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], SOON_S)[0])
    finally:
        os.close(descriptor)
