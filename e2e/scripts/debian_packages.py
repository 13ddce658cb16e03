"""Packages of Debian, unpacked into a folder of their own: nothing of the machine changes.

Owns how a second release is read beside the machine's: its sources are the machine's own with the suite's name
replaced, its lists and its cache are private. Used by the script that sets up an engine and by the one that builds the
stack's images; knows nothing of either.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
NEXT_RELEASE = {"bookworm": "trixie"}
"""The release that carries what an older one lacks. Newer releases have all of it themselves."""


class PackagesUnavailable(Exception):
    """The machine cannot give the packages; the text says what is missing and the way out."""


def release() -> str:
    """The code name of this machine's Debian release, such as "bookworm"."""
    try:
        text = OS_RELEASE.read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', text, re.MULTILINE)
    if found is None or shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PackagesUnavailable("this machine is not a Debian one: packages come from apt-get and dpkg")
    return found[1]


def newer(suite: str) -> str:
    """The release whose packages are unpacked on a machine of release `suite`: the next one, or itself."""
    return NEXT_RELEASE.get(suite, suite)


def sources(suite: str, wanted: str, apt: Path = APT) -> str:
    """The machine's own apt sources of release `suite`, in deb822 form, with the suite's name replaced by `wanted`.

    Security and update suites are left out: they are named `suite-…`, and their place differs between mirrors.
    """
    stanzas: list[str] = []
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        stanzas += re.split(r"\n\s*\n", file.read_text(encoding="utf-8"))
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for file in filter(Path.is_file, lists):
        stanzas += filter(None, map(_as_stanza, file.read_text(encoding="utf-8").splitlines()))
    kept = [_of_suite(stanza, suite, wanted) for stanza in stanzas]
    if not any(kept):
        raise PackagesUnavailable(f"no source below {apt} is of the suite {suite}: add one, then try again")
    return "\n\n".join(filter(None, kept)) + "\n"


def _as_stanza(line: str) -> str:
    """One line of the old form as a deb822 stanza; "" when it is none."""
    found = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+(\S.*?)\s*(?:#.*)?$", line)
    if found is None:
        return ""
    options = {"arch": "Architectures", "signed-by": "Signed-By", "trusted": "Trusted"}
    fields = ["Types: deb", f"URIs: {found[2]}", f"Suites: {found[3]}", f"Components: {found[4]}"]
    for key, _, value in (option.partition("=") for option in (found[1] or "").split()):
        if key in options:
            fields.append(f"{options[key]}: {value.replace(',', ' ')}")
    return "\n".join(fields)


def _of_suite(stanza: str, suite: str, wanted: str) -> str:
    lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
    text = "\n".join(lines)
    suites = re.search(r"^Suites:(.*)$", text, re.MULTILINE)
    off = re.search(r"^Enabled:\s*no\s*$", text, re.MULTILINE | re.IGNORECASE)
    binary = re.search(r"^Types:.*\bdeb\b(?!-)", text, re.MULTILINE)
    if suites is None or suite not in suites[1].split() or off or not binary:
        return ""
    text = re.sub(r"^Types:.*$", "Types: deb", text, flags=re.MULTILINE)
    return re.sub(r"^Suites:.*$", f"Suites: {wanted}", text, flags=re.MULTILINE)


def unpack(names: Sequence[str], suite: str, into: Path, work: Path) -> None:
    """Unpack the packages `names` of release `suite` below `into`. `work` keeps lists and downloads.

    Done already (by the same names from the same suite): returns at once. Raises PackagesUnavailable.
    """
    stamp = into / f".unpacked-{suite}"
    content = "\n".join(sorted(names)) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == content:
        return
    home = work / suite
    for folder in ("sources", "lists/partial", "cache/archives/partial", "debs"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "sources" / "machine.sources").write_text(sources(release(), suite), encoding="utf-8")
    _apt(home, "update")
    shutil.rmtree(home / "debs")
    (home / "debs").mkdir()
    _apt(home, "download", *names)
    into.mkdir(parents=True, exist_ok=True)
    for package in sorted((home / "debs").glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, into], check=True)
    stamp.write_text(content, encoding="utf-8")


def _apt(home: Path, *arguments: str) -> None:
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": home / "sources",
        "Dir::State::lists": home / "lists",
        "Dir::State::status": "/dev/null",  # what this machine has may be newer than what the suite has
        "Dir::Cache": home / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
        "Acquire::Languages": "none",
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    _quiet(["apt-get", "-q", *flags, *arguments], home / "debs")


def install(*names: str) -> None:
    """Install packages of the machine's own release on the machine. Raises PackagesUnavailable."""
    if os.geteuid() != 0:
        raise PackagesUnavailable(f"missing: {' '.join(names)}; install them, or run this as root")
    _quiet(["apt-get", "-q", "update"], Path("/"))
    _quiet(["apt-get", "-q", "install", "-y", "--no-install-recommends", *names], Path("/"))


def _quiet(command: Sequence[str], folder: Path) -> None:
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        words = " ".join(word for word in command if not word.startswith("-") and "::" not in word)
        raise PackagesUnavailable(f"{words}: exit {done.returncode}\n{tail}")
