"""Checks of `controller doctor` about one CONFIG_DIR: what it shows, its file system, lock, clock and record.

The file system is tried with files of our own that are removed again; everything else is only read.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from controller import check, clock, errors, exclusive, settings, target, translate
from core import observed, ownership
from manifests import atomic, merge_lock

_LEAST_FREE = 64 << 20
_ROUNDING_S = 2
"""Some file systems keep even seconds only."""


def config_dir(configured: settings.Settings) -> Iterator[check.Check]:
    """What consumers read, and whether more can be published. Raises `ControllerError`."""
    folder = configured.config_dir
    if folder is None:
        raise errors.ControllerError("SettingsInvalid", "config_dir is not set: pass --config-dir DIR")
    if not folder.exists():
        if _is_closed(folder.parent):
            yield _closed("CONFIG_DIR", folder)
        elif folder.parent.is_dir():
            detail = f"{folder} does not exist; the first pass creates it"
            yield check.Check("CONFIG_DIR", check.WARN, detail, "fine before the first pass; else mount it")
        else:
            yield _parent("CONFIG_DIR", folder)
        return
    with target.Target(configured) as opened:
        look, owner = opened.look(), _owner(opened)
    yield _documents(folder, look)
    yield owner
    yield from _ahead(look)
    yield _file_system(folder)
    yield _lock(folder)


def _parent(name: str, folder: Path) -> check.Check:
    """No pass can create this folder."""
    above = folder.parent
    if above.exists():
        return check.Check(name, check.FAIL, f"{above} is not a directory", f"name another place than {folder}")
    return check.Check(name, check.FAIL, f"{above} does not exist", f"create {above}, or mount it")


def _is_closed(above: Path) -> bool:
    """Whether this user may make nothing in that folder."""
    return above.is_dir() and not os.access(above, os.W_OK | os.X_OK)


def _closed(name: str, folder: Path) -> check.Check:
    """No pass of this user can create this folder."""
    detail = f"{folder} does not exist, and {folder.parent} is not writable"
    return check.Check(name, check.FAIL, detail, f"create {folder} for this user, or run as another one")


def _documents(folder: Path, look: observed.Observed) -> check.Check:
    """What consumers read there, or what stands in the way of a publish."""
    obstacles = [
        f"{folder / document}: {found.obstacle}" for document, found in look.documents.items() if found.obstacle
    ]
    if obstacles:
        return check.Check("CONFIG_DIR", check.FAIL, "; ".join(obstacles), errors.MEANINGS["PathObstructed"].hint)
    shown = sum(found.digest is not None for found in look.documents.values())
    if not shown:
        return check.Check("CONFIG_DIR", check.OK, f"{folder}: nothing published yet")
    as_what = "plain files" if look.generation is None else f"generation {look.generation}"
    if shown < len(look.documents):
        as_what += f", {shown} of {len(look.documents)} documents"
    return check.Check("CONFIG_DIR", check.OK, f"{folder}: {as_what}")


def _owner(opened: target.Target) -> check.Check:
    """Whose CONFIG_DIR is (faults.md B8)."""
    verdict = opened.owners.judge(opened.owners.looking, opened.remember(with_items=False).claim)
    if verdict.refusal:
        return check.Check("owner", check.FAIL, verdict.refusal, errors.MEANINGS["OwnedByOther"].hint)
    there = opened.owners.owner()
    words = ownership.words(there) if isinstance(there, ownership.Owner) else "nobody yet; the next pass claims it"
    return check.Check("owner", check.OK, words)


def _ahead(look: observed.Observed) -> Iterator[check.Check]:
    """Consumers take what is newer than what they have (faults.md L1): a document from the future is never replaced in
    their eyes by one that is dated now. The controller dates its own later still, so this only warns."""
    ahead_s = look.newest_mtime_s - clock.Clock().now_s()
    if ahead_s > _ROUNDING_S:
        detail = f"the newest document is dated {ahead_s:.0f} s ahead of this host's clock"
        yield check.Check("clock", check.WARN, detail, "correct the clock of this host, or of whoever wrote it")


def _file_system(folder: Path) -> check.Check:
    """What a publish needs of the file system: a file synced, a link renamed over another, a directory synced."""
    name = f".controller-{secrets.token_hex(4)}.tmp"
    try:
        with atomic.opened(folder) as dir_fd:
            try:
                atomic.write_file(dir_fd, name, atomic.File(b"", 0))
                atomic.swap_link(dir_fd, "nowhere", f"{name}-link", temp=f"{name}-new")
                atomic.swap_link(dir_fd, "elsewhere", f"{name}-link", temp=f"{name}-new")
                atomic.sync_directory(dir_fd)
            finally:
                for left in (name, f"{name}-link", f"{name}-new"):
                    with suppress(OSError):
                        atomic.remove(dir_fd, left)
    except OSError as error:
        hint = "make it writable for this user; a file system without links needs policy.publish: files"
        return check.Check("file system", check.FAIL, f"{folder}: {error.strerror} (errno {error.errno})", hint)
    return _space("file system", folder, "links, renames and syncs; ")


def _space(name: str, folder: Path, besides: str = "") -> check.Check:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < _LEAST_FREE:
        hint = "free some space: a full disk stops a publish"
        return check.Check(name, check.WARN, f"{free_bytes >> 20} MiB free at {folder}", hint)
    return check.Check(name, check.OK, f"{besides}{free_bytes >> 20} MiB free")


def _lock(folder: Path) -> check.Check:
    machine = clock.Clock()
    lock = merge_lock.DirectoryLock(folder, wait_s=0, monotonic=machine.monotonic_s, sleep=machine.sleep)
    try:
        with translate.failures():
            lock.acquire()
    except errors.ControllerError as error:
        hint = "another controller is at work, which is fine if you know of it"
        return check.Check("lock", check.WARN, error.message, hint)
    lock.release()
    return check.Check("lock", check.OK, "free")


def record(configured: settings.Settings) -> Iterator[check.Check]:
    """Whether what is remembered can be read and written. Raises `ControllerError`."""
    if configured.config_dir is None:
        return
    with target.Target(configured) as opened:
        place = opened.state_dir
        if place.exists() and not place.is_dir():
            yield check.Check("record", check.FAIL, f"{place} is not a directory", "set state_dir to a directory")
            return
        parent = (
            place.parent.is_dir() or place.parent == configured.config_dir or exclusive.above_can_be_made(configured)
        )
        if not place.exists() and not parent:
            yield _parent("record", place)
            return
        if not place.exists() and _is_closed(place.parent):
            yield _closed("record", place)
            return
        known = opened.remember(with_items=False)
    if known.rebuilt:
        yield check.Check("record", check.WARN, known.rebuilt, "the next pass sets it aside and rebuilds it")
        return
    if place.exists() and not os.access(place, os.W_OK):
        hint = "give this user access, or set state_dir"
        yield check.Check("record", check.FAIL, f"{place} is not writable", hint)
        return
    applied = "nothing applied yet" if known.applied is None else known.applied.revision
    yield check.Check("record", check.OK, f"{place}: {applied}")
    if place.exists() and (space := _space("record", place)).status != check.OK:
        yield space
