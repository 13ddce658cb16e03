"""Values that must not be seen, the disguises in which they would leak, and every command line that docker is given.

Each canary belongs to one place where a secret stands, so that a leak names its spring.
"""

import base64
import contextlib
import os
import re
import shutil
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SHORTEST = 8
"""A shorter piece is found anywhere by accident."""


def forms(canary: str) -> tuple[bytes, ...]:
    """The value as it is, without its ends, percent-encoded in both cases, escaped as JSON does it, and in base64: by
    itself, and in whatever stands before it, such as ``user:``."""
    whole = canary.encode()
    quoted = urllib.parse.quote(canary, safe="")
    lower = re.sub("%..", lambda found: found[0].lower(), quoted)
    every = "".join(f"%{byte:02X}" for byte in whole)
    plain = (whole, whole[4:-2], quoted.encode(), lower.encode(), every.encode(), canary.replace("/", "\\/").encode())
    return tuple(dict.fromkeys((*plain, *_in_base64(whole))))


def _in_base64(whole: bytes) -> Iterator[bytes]:
    """What of it is the same whatever stands before and after, for each of the three ways that it may begin."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            encoded = encode(b"\0" * before + whole)
            first = -(-before * 8 // 6)
            yield encoded[first : (before + len(whole)) * 8 // 6]
    yield whole.hex().encode()


def found(canaries: Mapping[str, str], places: Mapping[str, bytes]) -> dict[str, str]:
    """Which canary is in which place, and in what form; empty when none is."""
    return {
        f"{name} in {place}": form.decode()
        for name, canary in canaries.items()
        for form in forms(canary)
        if len(form) >= _SHORTEST
        for place, content in places.items()
        if form in content
    }


_WRAPPER = """#!/bin/sh
exec 9>>{log}
cat "/proc/$$/cmdline" >&9; echo >&9
cat "/proc/$PPID/cmdline" >&9; echo >&9
exec 9>&-
exec {docker} "$@"
"""


@dataclass
class Lines:
    """Command lines. Those of docker and of whoever called it are all there; of others, those that a look now and then
    saw."""

    folder: Path
    seen: set[bytes] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> str:
        """The PATH that has the docker command which writes down what it is given."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    @property
    def calls(self) -> bytes:
        """What docker was given so far."""
        log = self.folder / "log"
        return log.read_bytes() if log.exists() else b""

    def look(self) -> None:
        """Every command line of every process, again and again."""
        while not self.over.wait(0.005):
            for entry in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    self.seen.add(Path(f"/proc/{entry}/cmdline").read_bytes())


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Lines]:
    """Look at command lines while this stands."""
    folder.mkdir()
    wrapper = folder / "docker"
    wrapper.write_text(_WRAPPER.format(log=folder / "log", docker=shutil.which("docker")), encoding="utf-8")
    wrapper.chmod(0o755)
    lines = Lines(folder)
    looking = threading.Thread(target=lines.look)
    looking.start()
    try:
        yield lines
    finally:
        lines.over.set()
        looking.join()
