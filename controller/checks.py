"""The checks of `controller doctor`: each looks at one thing that a pass needs and says the way out.

A check that writes does so in a file of its own and removes it; the record and the documents are only read.
"""

import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller import clock, compose_stack, errors, settings, target, translate
from controller.sources import directory
from core import observed
from manifests import atomic, merge_lock

OK, WARN, FAIL = "ok", "warn", "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and what to do when it is not well."""

    name: str
    status: str
    detail: str
    hint: str = ""


def run(config: Path | None, flags: Mapping[tuple[str, ...], Any], *, skip_images: bool = False) -> tuple[Check, ...]:
    """Every check. Without valid settings the ones that need them are left out, and the settings check says why."""
    found = [_interpreter(), _yaml_scanner(), _tools()]
    try:
        configured = settings.load(config, flags)
    except errors.ControllerError as error:
        places = "; ".join(str(problem) for problem in error.problems)
        return (
            *found,
            Check("settings", FAIL, f"{error.message}: {places}" if places else error.message, error.meaning.hint),
        )
    found.append(Check("settings", OK, str(config) if config else "flags, environment and defaults"))
    found += _guarded("CONFIG_DIR", lambda: _config_dir(configured))
    found += _guarded("record", lambda: _record(configured))
    found += _guarded("source", lambda: _source(configured, skip_images=skip_images))
    return tuple(found)


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except errors.ControllerError as error:
        yield Check(name, FAIL, error.message, error.meaning.hint)


def _interpreter() -> Check:
    """The package refuses to install on an older one, so this line is for bug reports."""
    return Check("python", OK, platform.python_version())


def _yaml_scanner() -> Check:
    try:
        from manifests import yaml_text

        yaml_text.parse(b"a: 1")
    except ImportError:
        return Check("yaml", FAIL, "the C scanner is missing", "install ruamel.yaml with its extra oldlibyaml")
    return Check("yaml", OK, "C scanner")


def _tools() -> Check:
    """Nothing here needs them yet; a person who looks at this list wants to know all the same."""
    found = [name for name in ("git", "docker") if shutil.which(name)]
    return Check("tools", OK, f"{', '.join(found) or 'neither git nor docker'} found; neither is needed")


def _config_dir(configured: settings.Settings) -> Iterator[Check]:
    folder = configured.config_dir
    if folder is None:
        raise errors.ControllerError("SettingsInvalid", "config_dir is not set: pass --config-dir DIR")
    if not folder.exists():
        parent_is_there = folder.parent.is_dir()
        yield Check(
            "CONFIG_DIR",
            WARN if parent_is_there else FAIL,
            f"{folder} does not exist" + ("; the first pass creates it" if parent_is_there else ""),
            "" if parent_is_there else f"create {folder.parent}, or mount it",
        )
        return
    with target.Target(configured) as opened:
        yield _documents(folder, opened.look())
    yield _file_system(folder)
    yield _lock(folder)


def _documents(folder: Path, look: observed.Observed) -> Check:
    """What consumers read there, or what stands in the way of a publish."""
    obstacles = [
        f"{folder / document}: {found.obstacle}" for document, found in look.documents.items() if found.obstacle
    ]
    if obstacles:
        return Check("CONFIG_DIR", FAIL, "; ".join(obstacles), errors.MEANINGS["PathObstructed"].hint)
    shown = sum(found.digest is not None for found in look.documents.values())
    if not shown:
        return Check("CONFIG_DIR", OK, f"{folder}: nothing published yet")
    as_what = "plain files" if look.generation is None else f"generation {look.generation}"
    if shown < len(look.documents):
        as_what += f", {shown} of {len(look.documents)} documents"
    return Check("CONFIG_DIR", OK, f"{folder}: {as_what}")


def _file_system(folder: Path) -> Check:
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
        return Check("file system", FAIL, f"{folder}: {error.strerror} (errno {error.errno})", hint)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < 64 << 20:
        return Check(
            "file system", WARN, f"{free_bytes >> 20} MiB free", "free some space: a full disk stops a publish"
        )
    return Check("file system", OK, f"links, renames and syncs; {free_bytes >> 20} MiB free")


def _lock(folder: Path) -> Check:
    machine = clock.Clock()
    lock = merge_lock.DirectoryLock(folder, wait_s=0, monotonic=machine.monotonic_s, sleep=machine.sleep)
    try:
        with translate.failures():
            lock.acquire()
    except errors.ControllerError as error:
        return Check("lock", WARN, error.message, "another controller is at work, which is fine if you know of it")
    lock.release()
    return Check("lock", OK, "free")


def _record(configured: settings.Settings) -> Iterator[Check]:
    if configured.config_dir is None:
        return
    with target.Target(configured) as opened:
        place = opened.state_dir
        if place.exists() and not place.is_dir():
            yield Check("record", FAIL, f"{place} is not a directory", "set state_dir to a directory")
            return
        if not place.exists() and not place.parent.is_dir() and place.parent != configured.config_dir:
            yield Check("record", FAIL, f"{place.parent} does not exist", f"create {place.parent}, or mount it")
            return
        known = opened.remember(with_items=False)
    if known.rebuilt:
        yield Check("record", WARN, known.rebuilt, "the next pass sets it aside and rebuilds it")
        return
    if place.exists() and not os.access(place, os.W_OK):
        yield Check("record", FAIL, f"{place} is not writable", "give this user access, or set state_dir")
        return
    yield Check(
        "record", OK, f"{place}: " + ("nothing applied yet" if known.applied is None else known.applied.revision)
    )


def _source(configured: settings.Settings, *, skip_images: bool) -> Iterator[Check]:
    if configured.source.directory is None:
        yield Check("source", WARN, "no source is set", "pass --source DIR to check one")
        return
    with translate.failures():
        located = directory.locate(configured)
    result = directory.validate_source(located, directory.rules(configured))
    if result.invalid:
        yield Check("source", FAIL, f"{result.path} breaks the contract", errors.MEANINGS["ArtifactInvalid"].hint)
        return
    yield Check("source", OK, f"{result.path}: {result.contents}")
    if configured.config_dir is not None:
        with target.Target(configured) as opened:
            fetched = opened.fetch()
            yield _secrets(fetched.missing_secrets)
            built = () if skip_images else tuple(name for _, name in opened.read().builds)
        yield from _docker(configured, built)
        yield from _guarded("provisioner", lambda: _provisioner(configured, fetched.project))


def _secrets(missing: tuple[str, ...]) -> Check:
    if missing:
        return Check("secrets", FAIL, f"not set: {', '.join(missing)}", errors.MEANINGS["SecretsMissing"].hint)
    return Check("secrets", OK, "every required one is set")


def _docker(configured: settings.Settings, built: tuple[str, ...]) -> Iterator[Check]:
    """The engine and the pieces that this target needs of it; nothing is asked of a target that needs none."""
    stack = compose_stack.ComposeStack(configured, configured.config_dir or Path())
    if not (stack.configured or built):
        yield Check("docker", OK, "not needed: no stack is configured, and there is no image to build")
        return
    from controller import docker

    wanted = [docker.Piece.ENGINE]
    wanted += [docker.Piece.BUILDX] if built else []
    wanted += [docker.Piece.COMPOSE] if stack.provisions else []
    try:
        stack.engine.preflight(wanted)
    except errors.ControllerError as error:
        yield Check("docker", FAIL, error.message, "install or start what is missing, or give this user access to it")
        return
    yield Check("docker", OK, f"{stack.engine.address}: {', '.join(wanted)}; {len(built)} images to build")


def _provisioner(configured: settings.Settings, of_manifest: str) -> Iterator[Check]:
    """What a pass asks before it begins anything that the provisioner has to finish."""
    stack = compose_stack.ComposeStack(configured, configured.config_dir or Path())
    if stack.provisions:
        stack.require_service(of_manifest)
        yield Check(
            "provisioner", OK, f"service {configured.stack.provisioner} of project {stack.project(of_manifest)}"
        )
