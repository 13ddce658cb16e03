"""Build the controller's image without pulling anything: `python -m e2e.scripts.build_image` prints its name.

The Dockerfile is the one that everybody builds. Its base is made of Debian packages that are only unpacked, its tools
are the docker command and the plugins of this machine, and the wheels, by their hashes, are downloaded before. An image
of the same input is there already: then that one is used.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.scripts import build_stack, debian_packages, engine

ROOT = engine.PROJECT
REPOSITORY = "esb-e2e-controller"
BASE = "esb-e2e-base"
KEPT = 8
"""Images of earlier inputs: somebody else may test another working copy on the same engine."""

PACKAGES = (
    *build_stack.PYTHON,
    *("python3-minimal", "python3.11-venv", "python3-pip-whl", "python3-setuptools-whl"),
    *("dash", "bash", "coreutils", "util-linux", "findutils", "grep", "ca-certificates", "libc-bin"),
    *("git", "openssh-client", "gpg", "tini"),
    # what those load
    *("libcurl3-gnutls", "libbrotli1", "libgmp10", "libnettle8", "libhogweed6", "libunistring2", "libidn2-0"),
    *("libp11-kit0", "libtasn1-6", "libgnutls30", "libcom-err2", "libkrb5support0", "libk5crypto3", "libkeyutils1"),
    *("libkrb5-3", "libgssapi-krb5-2", "libsasl2-2", "libldap-2.5-0", "libnghttp2-14", "libpsl5", "librtmp1"),
    *("libssh2-1", "libpcre2-8-0", "libzstd1", "libselinux1", "libacl1", "libattr1", "libmd0", "libbsd0", "libedit2"),
    *("libcbor0.8", "libudev1", "libfido2-1", "libgpg-error0", "libassuan0", "libgcrypt20", "libcap2", "libsmartcols1"),
    "libtinfo6",
)


def main() -> int:
    """Build it unless it is there, and print its name."""
    work = Path(os.environ.get("ENGINE_DIR") or ROOT / ".engine").resolve()
    try:
        with build_stack.locked(work / "image"):
            print(built(work))
    except (debian_packages.PackagesUnavailable, FileNotFoundError, subprocess.CalledProcessError) as problem:
        print(f"build_image: {problem}", file=sys.stderr)
        return 69
    return 0


def built(work: Path) -> str:
    """The image's name, whose tag is what it was made from. `work` keeps what is unpacked and downloaded."""
    home = work / "image"
    plugins = _tools()
    reference = f"{REPOSITORY}:{_digest(plugins)}"
    if _there(reference):
        return reference
    _base(home, work)
    _fill(home / "tools", plugins)
    _wheels(home / "wheels")
    print(f"build_image: {reference}", file=sys.stderr, flush=True)
    contexts = [f"--build-context={name}={home / name}" for name in ("tools", "wheels")]
    command = ["docker", "build", "--quiet", "--network=none", "--provenance=false", "--tag", reference]
    subprocess.run([*command, *contexts, f"--build-arg=BASE={BASE}", str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    _forget()
    return reference


def _base(home: Path, work: Path) -> None:
    """The image that the stages start from."""
    listed = hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()[:32]
    shape = f'{{{{index .Config.Labels "{build_stack.LABEL}"}}}}'
    asked = ["docker", "image", "inspect", "--format", shape, BASE]
    if subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == listed:
        return
    debian_packages.unpack(PACKAGES, build_stack.SUITE, home / "base", work / "apt")
    print(f"build_image: {BASE}", file=sys.stderr, flush=True)
    text = 'FROM scratch\nCOPY . /\nRUN ["/bin/mkdir", "-p", "/tmp"]\nRUN ["/bin/ln", "-sf", "dash", "/bin/sh"]\n'
    command = ["docker", "build", "--quiet", "--provenance=false", "--tag", BASE, "--file", "-"]
    command += ["--label", f"{build_stack.LABEL}={listed}", str(home / "base")]
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def _tools() -> Mapping[str, Path]:
    """The docker command of this machine and its plugins, by where the Dockerfile looks for them."""
    command = shutil.which("docker")
    asked = subprocess.run(
        ["docker", "info", "--format", "{{json .ClientInfo.Plugins}}"], capture_output=True, text=True, check=True
    )
    plugins = {each["Name"]: Path(each["Path"]) for each in json.loads(asked.stdout)}
    if command is None or not {"compose", "buildx"} <= set(plugins):
        raise FileNotFoundError("the docker command, compose and buildx: `make engine` installs them")
    below = "usr/libexec/docker/cli-plugins"
    return {"usr/bin/docker": Path(command)} | {
        f"{below}/docker-{name}": plugins[name] for name in ("buildx", "compose")
    }


def _fill(folder: Path, files: Mapping[str, Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, file in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file.resolve(), folder / name)


def _wheels(folder: Path) -> None:
    """The packages of the lock, for the base's Python."""
    stamp, lock = folder / ".requirements", ROOT / "requirements.runtime.lock"
    text = lock.read_text(encoding="utf-8")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python-version", "3.11", "--no-deps", "--dest", str(folder)]
    done = subprocess.run([*command, "--requirement", str(lock)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    stamp.write_text(text, encoding="utf-8")


def _digest(tools: Mapping[str, Path]) -> str:
    """Of everything that goes into the image. Of the tools, their size and time: they are large."""
    found = hashlib.sha256("\n".join(PACKAGES).encode())
    for name, file in tools.items():
        seen = file.stat()
        found.update(f"{name} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    for file in _sources():
        found.update(f"{file.relative_to(ROOT)} {file.stat().st_mode & 0o111:o}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for name in ("Dockerfile", ".dockerignore", "requirements.runtime.lock", "LICENSE"):
        yield ROOT / name
    for package in ("image", "core", "manifests", "controller"):
        yield from sorted(
            file for file in (ROOT / package).rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )


def _there(reference: str) -> bool:
    asked = ["docker", "image", "inspect", reference]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _forget() -> None:
    """Remove old ones, newest kept; one that a container has stays by itself."""
    listed = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY],
        capture_output=True,
        text=True,
        check=True,
    )
    for old in listed.stdout.split()[1 + KEPT :]:
        subprocess.run(["docker", "image", "rm", old], check=False, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
