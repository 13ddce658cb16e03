"""File systems made for one test: small, full, read-only, or cut off from their power."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash import server as servers

IMAGE_BYTES = 8 << 20
OPTIONS = "loop,noauto_da_alloc,commit=600"
"""Nothing reaches the image by itself while a test runs, and a rename does not push out what it names."""


def call(*line: str) -> None:
    """One command of the system; its failure is one of the test's machine."""
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(line)}: {done.stderr.strip()}")


def make_image(image: Path) -> None:
    """An empty ext4 file system in a file."""
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    call("mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0", str(image))


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The file system of an image."""
    at.mkdir(exist_ok=True)
    call("mount", "-o", OPTIONS, str(image), str(at))
    try:
        yield at
    finally:
        call("umount", str(at))


@contextmanager
def memory(at: Path, *options: str) -> Iterator[Path]:
    """A tmpfs, e.g. of ``size=256k``."""
    at.mkdir()
    call("mount", "-t", "tmpfs", "-o", ",".join(("mode=755", *options)), "tmpfs", str(at))
    try:
        yield at
    finally:
        call("umount", str(at))


def require_mounts(folder: Path, *, loop: bool) -> None:
    """Skip with the reason where nothing can be mounted."""
    servers.require("mount", *(("mkfs.ext4",) if loop else ()), root=True)
    try:
        if loop:
            make_image(folder / "probe.img")
            with mounted(folder / "probe.img", folder / "probe"):
                pass
        else:
            with memory(folder / "probe"):
                pass
    except OSError as error:
        servers.unavailable(f"cannot mount here: {error}")
    finally:
        shutil.rmtree(folder / "probe", ignore_errors=True)
