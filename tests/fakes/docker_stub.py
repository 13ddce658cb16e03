"""A `docker` command that does as a test says: answers, exit codes, noise, floods, hangs, grandchildren.

It is a shell script first on PATH. What it is asked is matched by how its words begin, after the global flags; what
nobody scripted fails loudly. Every call is kept with its words.
"""

import os
import select
import shlex
from pathlib import Path

import pytest

_HEAD = """#!/bin/sh
here={here}
{{ printf '%s\\0' "$@"; printf '\\n'; }} >>"$here/calls"
while case "$1" in --host|--context) true;; *) false;; esac; do shift 2; done
case "$*" in
"""
_TAIL = """*) echo "stub: nobody said what to do with: $*" >&2; exit 97;;
esac
"""


class DockerStub:
    """One stub, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._script = folder / "bin" / "docker"
        self._script.parent.mkdir(parents=True)
        self._cases: list[str] = []
        self._files = 0
        self._write()

    def first_on(self, monkeypatch: pytest.MonkeyPatch) -> "DockerStub":
        """Put it before everything else on PATH, for one test."""
        monkeypatch.setenv("PATH", f"{self._script.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
        return self

    def says(self, words: str, out: str | bytes = b"", *, err: str | bytes = b"", code: int = 0) -> None:
        """What is printed when the words begin like this, and the exit code."""
        shown, complained = self._file(out), self._file(err)
        self.does(words, f"cat {shown}; cat {complained} >&2; exit {code}")

    def does(self, words: str, script: str) -> None:
        """What is run, by sh, when the words begin like this. The latest one that fits counts."""
        self._cases.insert(0, f"{shlex.quote(words)}*) {script}\n;;\n")
        self._write()

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call so far, global flags included."""
        kept = self.folder / "calls"
        lines = kept.read_text(encoding="utf-8").split("\0\n")[:-1] if kept.exists() else []
        return [line.split("\0") for line in lines]

    def count(self, *words: str) -> int:
        """How many calls had all of these words."""
        return sum(set(words) <= set(call) for call in self.calls)

    def _file(self, content: str | bytes) -> str:
        self._files += 1
        path = self.folder / f"text-{self._files}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return shlex.quote(str(path))

    def _write(self) -> None:
        text = _HEAD.format(here=shlex.quote(str(self.folder))) + "".join(self._cases) + _TAIL
        self._script.write_text(text, encoding="utf-8")
        self._script.chmod(0o755)


def ends(pid: int, within_s: float = 60) -> bool:
    """Whether the process is gone, or goes within so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)
