"""Whose CONFIG_DIR is, for real: the file in it, the record, and the sources of the settings (faults.md B8).

Part of `controller.target`. Owns the identity of a source, and the order in which a claim is written: what is cut short
leaves the owner that was there. The rule itself is `core.ownership`.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from controller import clock, errors, memory, settings, translate
from core import digest, ownership, record
from manifests import owner_file

_SHOWN_DIGITS = 12
_WORD_CHARACTERS = 40
_PORTS = {"https": "443", "http": "80", "ssh": "22"}


@dataclass(frozen=True, slots=True)
class Owners:
    """The two sides of one target's claim."""

    configured: settings.Settings
    config_dir: Path
    state_dir: Path
    machine: clock.Clock

    def owner(self) -> ownership.Owner | str | None:
        """Who keeps CONFIG_DIR, or what is wrong with the file that says so; None for nobody. Raises
        `ControllerError`."""
        with translate.failures():
            return owner_file.read(self.config_dir)

    @property
    def looking(self) -> ownership.Asked:
        """What a command that only looks asks for: what a pass with these settings would."""
        follows = bool(self.configured.source.each)
        return ownership.Asked(ownership.Manner.FOLLOWS if follows else ownership.Manner.STEERS)

    def judge(self, asked: ownership.Asked, claimed: record.Claim | None) -> ownership.Verdict:
        """Whether CONFIG_DIR is ours. Raises `ControllerError` when that cannot be looked at."""
        name = self.configured.name
        of_settings = around(self.configured) if asked.manner is ownership.Manner.ONCE else sources(self.configured)
        asks = ownership.Claimant(asked, "" if name == ownership.UNNAMED else name, tuple(dict.fromkeys(of_settings)))
        return ownership.judge(asks, self._found(claimed), claimed)

    def _found(self, claimed: record.Claim | None) -> ownership.Found:
        there = self.owner()
        owner, damaged = (None, there) if isinstance(there, str) else (there, "")
        if claimed is None:
            return ownership.Found(owner, damaged)
        here = os.path.abspath(self.config_dir)
        if claimed.place == here:
            unsure = owner is None or owner.id == claimed.previous
            same = unsure and _inode(self.config_dir) == claimed.folder
            return ownership.Found(owner, damaged, same_folder=same)
        return ownership.Found(owner, damaged, elsewhere=self._elsewhere(claimed))

    def _elsewhere(self, claimed: record.Claim) -> str:
        """The folder of the record's claim, when it is not this one and still shows it: one record would be that of
        two. A record that is kept inside of CONFIG_DIR went where that went."""
        place = Path(claimed.place)
        if Path(os.path.realpath(self.state_dir)).is_relative_to(os.path.realpath(self.config_dir)):
            return ""
        with suppress(OSError, errors.ControllerError):
            if place.is_dir() and not (self.config_dir.is_dir() and place.samefile(self.config_dir)):
                with translate.failures():
                    shown = owner_file.read(place)
                if isinstance(shown, ownership.Owner) and shown.id == claimed.id:
                    return claimed.place
        return ""

    def claim(self, owner: ownership.Owner, claimed: record.Claim | None, remembering: memory.Memory) -> None:
        """Write the claim: into the record, which keeps the id before it, then into CONFIG_DIR, which counts. A state
        directory that cannot be written must not stop a publish (faults.md B7): then the next pass adopts the claim.

        Raises `ControllerError` when CONFIG_DIR cannot be written."""
        complete = replace(
            owner, id=owner.id or secrets.token_hex(16), since=owner.since or clock.iso(self.machine.utc())
        )
        before = claimed.id if claimed is not None and claimed.id != complete.id else ""
        wanted = record.Claim(complete.id, before, os.path.abspath(self.config_dir), _inode(self.config_dir))
        if claimed is None or claimed.id != complete.id:
            with suppress(errors.ControllerError):
                remembering.claim(wanted)
        if self.owner() != complete:
            with translate.failures():
                owner_file.write(self.config_dir, complete, now_ns=self.machine.now_ns())


def sources(configured: settings.Settings) -> Iterator[ownership.Source]:
    """The sources of the settings by their identity. A repository is the same one by every transport, for everybody who
    may read it, and whatever ref is followed; a folder is its real path."""
    for one in configured.source.each:
        if one.git is not None:
            address, path = _address(one.git.url), os.path.normpath(one.git.path)
            yield _source("git", address if path == "." else f"{address}//{path}")
        if one.directory is not None:
            yield _source("folder", os.path.realpath(one.directory.path))


def around(configured: settings.Settings) -> Iterator[ownership.Source]:
    """The folder of an artifact that is applied once, and all above it: whoever follows one of them has it too."""
    for one in configured.source.directories:
        real = Path(os.path.realpath(one.path))
        for folder in (real, *real.parents):
            yield _source("folder", str(folder))


def _source(kind: str, place: str) -> ownership.Source:
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(place)).strip("-") or "root"
    shown = digest.of_parts((kind, place)).removeprefix("sha256:")[:_SHOWN_DIGITS]
    return ownership.Source(kind, word[:_WORD_CHARACTERS], shown)


def _address(url: str) -> str:
    """``host/path`` of a repository: without transport, user and usual port."""
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme:
        host, _, path = url.rpartition("@")[2].partition(":")  # USER@HOST:PATH
    elif scheme == "file":
        host, path = "", os.path.realpath(f"/{rest.partition('/')[2]}")
    else:
        host, _, path = rest.partition("/")
        host = host.rpartition("@")[2].removesuffix(f":{_PORTS.get(scheme.lower(), '')}")
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}"


def _inode(folder: Path) -> str:
    """Always as long, so that the record does not grow with the number."""
    try:
        return f"{os.stat(folder).st_ino:020d}"
    except OSError:
        return ""
