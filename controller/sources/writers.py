"""Whether somebody on this machine still writes a file (faults.md C5): a pause of the writer is no end.

Stands beside `settling`. Only asks the kernel, and only about files that were new to the last looks: what cannot be
asked (another system, a file of somebody else, a writer on another host) counts as closed.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Sequence

from manifests import fingerprint

_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "fuse"})


class Noting:
    """A store of fingerprints that notes which files it did not know: those are new, or were changed."""

    def __init__(self, store: fingerprint.Store) -> None:
        self._store = store
        self._unknown: dict[str, fingerprint.Fingerprint] = {}

    def digest_of(self, found: fingerprint.Fingerprint) -> str | None:
        """See `fingerprint.Store`."""
        known = self._store.digest_of(found)
        if known is None:
            self._unknown[found.path] = found
        return known

    def remember(self, found: fingerprint.Fingerprint, digest: str) -> None:
        """See `fingerprint.Store`."""
        self._store.remember(found, digest)

    def content(self, key: str) -> bytes | None:
        """See `fingerprint.Store`."""
        return self._store.content(key)

    def put_content(self, key: str, payload: bytes) -> None:
        """See `fingerprint.Store`."""
        self._store.put_content(key, payload)

    def prefetch(self, keys: Sequence[str]) -> None:
        """See `fingerprint.Store`."""
        self._store.prefetch(keys)

    def written(self, *, since_ns: int) -> bool:
        """Whether one of the unknown files that were changed since then (wall clock) is open for writing."""
        return any(is_written(found.path) for found in self._unknown.values() if found.ctime_ns >= since_ns)


def is_written(path: str) -> bool:
    """Whether this file is open for writing; False when that cannot be told.

    A read lease is granted only while nobody writes. It is given back at once; who opens the file in between is told
    to wait for that, and the kernel's signal about it is one that nobody hears.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and _refuses_lease(descriptor)
        finally:
            os.close(descriptor)
    return False


def _refuses_lease(descriptor: int) -> bool:
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # the usual one would end the process
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN and not _is_remote(os.fstat(descriptor).st_dev)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_remote(device: int) -> bool:
    """Whether it is a file system of another host. Those refuse leases for reasons of their own."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        return any(_is_remote_mount(line, wanted) for line in mounts)


def _is_remote_mount(line: str, device: str) -> bool:
    fields = line.split()
    return fields[2] == device and fields[fields.index("-") + 1].partition(".")[0] in _REMOTE
