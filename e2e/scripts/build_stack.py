"""Build the stack's images from Debian packages and this folder: `python -m e2e.scripts.build_stack --tag TAG`.

Nothing is pulled. An image whose input is unchanged (its label says so) is left alone. Owns what goes into each image;
the texts are in `e2e/stack/images/`.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2e.scripts import debian_packages, engine

STACK = Path(__file__).resolve().parent.parent / "stack"
LABEL = "esb.e2e.input"
SUITE = "bookworm"
"""Where Python, the C library and busybox come from, whatever release this machine has."""
PYTHON = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "media-types"),
    *("libc6", "libgcc-s1", "libcrypt1", "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5"),
    *("libsqlite3-0", "libuuid1", "libncursesw6", "libtinfo6", "libreadline8", "libdb5.3", "libnsl2", "libtirpc3"),
)
SERVICES_OF_APIS = ("dynamodb", "s3", "sts")
MODES = ("docker", "containerd")


@dataclass(frozen=True)
class Image:
    """One image: its text, the further contexts of its COPY lines, and what decides whether it is built anew."""

    reference: str
    dockerfile: str
    contexts: Mapping[str, Path] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


def main() -> int:
    """Build what is missing, in order; every image starts from the ones above it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tag", default="e2e")
    parser.add_argument("--mode", choices=MODES, default="docker")
    wanted = parser.parse_args()
    work = Path(os.environ.get("ENGINE_DIR") or engine.PROJECT / ".engine").resolve()
    try:
        with locked(work / "stack"):
            build(images(wanted.tag, wanted.mode, work), work)
    except (debian_packages.PackagesUnavailable, FileNotFoundError, subprocess.CalledProcessError) as problem:
        print(f"build_stack: {problem}", file=sys.stderr)
        return 69
    return 0


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One build at a time: test modules run side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def images(tag: str, mode: str, work: Path) -> tuple[Image, ...]:
    """Every image of a stack of this version and mode."""
    home = work / "stack"
    root, site, tools = home / "python", home / "site", home / "tools"
    sources = _digest([STACK / "gateway", STACK / "provisioner.py"])
    python = _digest([STACK / "requirements.txt"], *PYTHON, *SERVICES_OF_APIS)
    busybox, versioned = {"BUSYBOX": "esb-e2e-busybox"}, {"VERSION": tag}
    base = _digest([STACK / "lambda-base"])
    registry = _digest([STACK / "registry.yml"])
    fixed = (
        Image("esb-e2e-busybox", "busybox", {"tools": tools}),
        Image("esb-e2e-registry", "registry", {"tools": tools, "libc": root}, busybox, (registry,)),
        Image("esb-e2e-python", "python", {"root": root, "site": site}, {}, (python,)),
        Image(f"esb-lambda-base:{tag}", "lambda-base", {}, {**busybox, **versioned}, (base,)),
    )
    served = tuple(
        Image(
            f"esb-{name}-{mode}:{tag}",
            "service",
            {"tools": tools},
            {"PYTHON": "esb-e2e-python", **versioned},
            (sources, python),
        )
        for name in ("gateway", "provisioner")
    )
    placed = tuple(
        Image(f"esb-{name}-{mode}:{tag}", "placeholder", {}, {**busybox, **versioned})
        for name in ("agent", "runtime-node")
    )
    return fixed + served + placed


def build(wanted: Sequence[Image], work: Path) -> None:
    """Build the images whose input has changed, with the docker command of the environment."""
    shape = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    inputs = _inputs(wanted)
    missing = [(image, inputs[image.reference]) for image in wanted]
    missing = [(image, digest) for image, digest in missing if _inspected(image.reference, shape) != digest]
    if not missing:
        return
    home = work / "stack"
    debian_packages.unpack(PYTHON, SUITE, home / "python", work / "apt")
    suite = debian_packages.newer(debian_packages.release())
    debian_packages.unpack(("docker-registry", "containerd"), suite, home / "tools", work / "apt")
    debian_packages.unpack(("busybox-static",), SUITE, home / "tools", work / "apt")
    _site(home / "site")
    for image, digest in missing:
        print(f"build_stack: {image.reference}", file=sys.stderr, flush=True)
        command = ["docker", "build", "--quiet", "--tag", image.reference, "--label", f"{LABEL}={digest}"]
        command += ["--file", str(STACK / "images" / f"{image.dockerfile}.Dockerfile")]
        for name, folder in image.contexts.items():
            command += ["--build-context", f"{name}={folder}"]
        for name, value in image.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        before = _inspected(image.reference, "{{.Id}}")
        subprocess.run([*command, str(STACK)], check=True, stdout=subprocess.DEVNULL)
        if (
            before and _inspected(before, "{{len .RepoTags}}") == "0"
        ):  # an old one of ours; kept while a container has it
            subprocess.run(["docker", "image", "rm", before], check=False, capture_output=True)


def _site(folder: Path) -> None:
    """The libraries, installed with uv by their hashes, without the descriptions of services that are not used."""
    stamp = folder / ".requirements"
    text = (STACK / "requirements.txt").read_text(encoding="utf-8")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--python-version", "3.11"]
    command += ["--require-hashes", "--target", str(folder), "--requirement", str(STACK / "requirements.txt")]
    subprocess.run(command, check=True)
    for service in (folder / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES_OF_APIS:
            shutil.rmtree(service)
    stamp.write_text(text, encoding="utf-8")


def _inspected(name: str, shape: str) -> str:
    """What the engine says of its image of this name; "" without one."""
    command = ["docker", "image", "inspect", "--format", shape, name]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _inputs(wanted: Sequence[Image]) -> dict[str, str]:
    """What decides whether each image is built anew, by reference: its own, and that of what it starts from."""
    found: dict[str, str] = {}
    for image in wanted:
        text = (STACK / "images" / f"{image.dockerfile}.Dockerfile").read_text(encoding="utf-8")
        arguments = [f"{key}={found.get(value, value)}" for key, value in sorted(image.arguments.items())]
        found[image.reference] = _digest([], text, *arguments, *image.inputs)
    return found


def _digest(files: Iterable[Path], *texts: str) -> str:
    found = hashlib.sha256()
    for place in files:
        for file in sorted([place] if place.is_file() else place.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(STACK)} {file.stat().st_mode & 0o111:o}\n".encode())
                found.update(file.read_bytes())
    for text in texts:
        found.update(f"\0{text}".encode())
    return found.hexdigest()[:32]


if __name__ == "__main__":
    sys.exit(main())
