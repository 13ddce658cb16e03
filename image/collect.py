"""Run by the Dockerfile in its base: `python3 collect.py FOLDER TOOLS` copies what the image is made of into FOLDER.

Owns the list of programs that a controller runs: an interpreter, git over http and ssh, what verifies signatures, the
docker command with its plugins (from the file system at TOOLS), the few commands that scripts of ours begin with, an
init. They come with the libraries that they load and with nothing else: no package manager, no perl, no documents but
for the licences. Uses the standard library only, and writes nothing outside of FOLDER.
"""

import compileall
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

PROGRAMS = (
    *("git", "ssh", "ssh-keygen", "gpg", "tini"),
    *("sh", "env", "head", "tail", "tr", "timeout", "setsid"),  # of the scripts around docker and git
    *("cat", "ls", "id", "sleep"),  # of whoever looks into the container
    *("bash", "chmod", "date", "grep", "mkdir", "rm", "touch"),  # of runners of CI jobs: their scripts want no less
)
GIT_HELPERS = ("git-remote-http",)
LINKS = {"git-remote-https": "git-remote-http", "git-upload-pack": "../../bin/git"}
"""Below git's own folder: what git starts by these names."""

DOCKER = ("bin/docker", "libexec/docker/cli-plugins/docker-compose", "libexec/docker/cli-plugins/docker-buildx")
"""As the docker command's own image and packages of distributions have them, below usr/local or usr."""

LOADED_LATER = (
    *("libgcc_s.so.1", "libm.so.6", "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2"),
    *("librt.so.1", "libpthread.so.0", "libdl.so.2", "libutil.so.1"),
)
"""By name, while a program runs: by the C library, and by the compiled packages of the application."""

UNUSED = {
    *("test", "tests", "idle_test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "venv"),
    *("site-packages", "dist-packages", "__pycache__", "curses", "dbm", "distutils"),
}
UNUSED_EXTENSIONS = (
    "_test",
    "_xxtest",
    "xxlimited",
    "_ctypes_test",
    "_curses",
    "_dbm",
    "_gdbm",
    "_tkinter",
    "nis",
    "readline",
)
"""Folders and compiled modules of the standard library that stay behind."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USER = 1000
FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/usr/bin/sh\ncontroller:x:{USER}:{USER}:controller:/tmp:/usr/bin/sh\n",
    "etc/group": f"root:x:0:\ncontroller:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/docker-client/README": "config.json with the passwords of registries may be mounted here\n",
}
DIRECTORIES = {"tmp": 0o1777, "config": 0o755, "state": 0o1777, "run/secrets": 0o755, "usr/bin": 0o755}
"""A new named volume takes over the owner and mode of the folder that it is mounted on."""

OWNED = ("config", "state")


def main() -> int:
    """Fill the folder."""
    root, tools = Path(sys.argv[1]), Path(sys.argv[2])
    for name, mode in DIRECTORIES.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name in OWNED:
        os.chown(root / name, USER, USER)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name.replace('sbin', 'bin')}")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    copied = [*_programs(root), *_python(root), *_docker(root, tools)]
    _libraries(root, copied)
    _certificates(root)
    for licence in sorted(Path("/usr/share/doc").glob("*/copyright")):
        _copy(licence, root)
    return 0


def _programs(root: Path) -> Iterator[Path]:
    """Programs by their names; what they are a link to is copied in their place."""
    for name in PROGRAMS:
        found = shutil.which(name)
        if found is None:
            raise SystemExit(f"collect: the base has no {name}")
        yield _copy(Path(found), root, f"usr/bin/{name}")
    asked = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True)  # noqa: S607 - found above
    home = Path(asked.stdout.strip())
    for name in GIT_HELPERS:
        yield _copy(home / name, root)
    for name, target in LINKS.items():
        (_place(home, root) / name).symlink_to(target)
    (root / "usr/share/git-core/templates").mkdir(parents=True)


def _python(root: Path) -> Iterator[Path]:
    """The interpreter and its standard library, as bytecode alone: half the size, and nothing is compiled later."""
    yield _copy(Path(sys.executable).resolve(), root, str(Path(sys.executable).resolve()))
    library = Path(sysconfig.get_path("stdlib"))
    for folder, names, files in os.walk(library):
        names[:] = [name for name in names if name not in UNUSED and not name.startswith("config-")]
        for file in map(Path(folder).joinpath, files):
            # a distribution's may be a link into a package that is not there
            if file.exists() and not file.name.startswith(UNUSED_EXTENSIONS):
                copied = _copy(file, root, str(file))
                if file.suffix == ".so":
                    yield copied
    place = root / str(library).lstrip("/")
    compileall.compile_dir(place, quiet=1, stripdir=str(root), prependdir="/", legacy=True, workers=0)
    for source in place.rglob("*.py"):
        source.unlink()


def _docker(root: Path, tools: Path) -> Iterator[Path]:
    for name in DOCKER:
        found = [file for below in ("usr/local", "usr") if (file := tools / below / name).is_file()]
        if not found:
            raise SystemExit(f"collect: the tools have no usr/local/{name} or usr/{name}")
        yield _copy(found[0], root, f"usr/{name}")


def _libraries(root: Path, programs: Iterable[Path]) -> None:
    """What these load, as the loader of the base says; beside the C library, where it looks by itself."""
    loader = min(Path("/").glob("lib*/ld-linux*.so.*"))
    wanted: dict[str, Path] = {}
    for program in programs:
        listed = subprocess.run([loader, "--list", program], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        for line in listed.stdout.splitlines():
            name, arrow, rest = line.strip().partition(" => ")
            if arrow and "not found" in rest:
                raise SystemExit(f"collect: {program} wants {name}, which the base does not have")
            if arrow:
                wanted[name] = Path(rest.rpartition(" (")[0])
    home = wanted["libc.so.6"].parent
    wanted |= {name: home / name for name in LOADED_LATER if (home / name).exists()}
    for name, file in wanted.items():
        _copy(file, root, f"{home}/{name}")
    _copy(loader, root)


def _certificates(root: Path) -> None:
    """The authorities that are trusted; a base whose packages were only unpacked has them one by one."""
    if CERTIFICATES.is_file():
        _copy(CERTIFICATES, root)
        return
    place = _place(CERTIFICATES, root)
    place.parent.mkdir(parents=True, exist_ok=True)
    single = sorted(Path("/usr/share/ca-certificates").rglob("*.crt"))
    place.write_text("".join(file.read_text(encoding="utf-8") for file in single), encoding="utf-8")


def _copy(file: Path, root: Path, name: str = "") -> Path:
    """One file's content, never a link; the copy."""
    place = _place(Path(name or file), root)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copy2(file, place)
    return place


def _place(file: Path, root: Path) -> Path:
    """Where a path of the base is below the folder: never through a link such as /lib, which would lead out of it."""
    parts = [part for part in file.parts if part != "/"]
    if parts[0] in ("bin", "sbin", "lib", "lib64"):
        parts.insert(0, "usr")
    return root.joinpath(*parts)


if __name__ == "__main__":
    sys.exit(main())
