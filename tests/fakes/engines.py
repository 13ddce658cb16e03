"""A real engine, for tests that want one: whether it answers, and an image without any download."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


def require() -> None:
    """Skip the test where no engine answers; fail it where REQUIRE_ENGINE is set, as in CI: there a skipped test would
    hide a promise."""
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except (OSError, subprocess.SubprocessError):
        _absent("no Docker engine answers: `make engine` starts one")


def docker(*words: str, given: bytes = b"") -> str:
    """What the real docker command prints."""
    ended = subprocess.run(["docker", *words], capture_output=True, check=True, timeout=180, input=given)
    return ended.stdout.decode().strip()


@contextmanager
def busybox(image: str) -> Iterator[str]:
    """An image of the machine's static busybox under this name, for as long as it is needed."""
    program = shutil.which("busybox")
    if program is None:
        _absent("needs the program 'busybox', statically linked")
    docker("import", "--change=CMD sh", "-", image, given=_packed(Path(program)))
    try:
        yield image
    finally:
        docker("rmi", "--force", image)


def _packed(program: Path) -> bytes:
    """A file system with a shell and its programs, as an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(program, "bin/busybox")
        for name in ("sh", "cat", "echo", "false", "head", "kill", "printf", "sleep", "true", "yes"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return packed.getvalue()


def _absent(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_ENGINE"):
        pytest.fail(reason)
    pytest.skip(reason)
