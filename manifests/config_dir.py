"""The look at CONFIG_DIR: what a consumer that reads it now would see, and what else lies there.

Writes nothing and takes no lock. Never believes that CONFIG_DIR holds what was written there (consumers.md GW13): the
digest is always of the bytes behind the links. Owner and mode are not looked at. What the documents mean is
`manifests.rendering` and `core`; changing them is `manifests.generation` and `manifests.plain_files`.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core import digest, items, observed, ownership, publishing
from manifests import atomic, errors

LOCK_NAME = ".artifact-merge.lock"
"""The contract's lock file: contract.md section 4."""

KNOWN_NAMES = frozenset({".controller", ownership.NAME, LOCK_NAME, "lost+found", ".gitkeep", ".keep", ".gitignore"})
"""Names that may lie in CONFIG_DIR without being worth a word."""

_DOCUMENT_NAMES = frozenset(document.value for document in items.Document)


def observe(path: Path) -> observed.Observed:
    """One look at CONFIG_DIR. A missing directory is a result, and so is any content.

    Raises `errors.ConfigDirError` when the directory itself cannot be looked at (faults.md A9).
    """
    try:
        with atomic.opened(path) as dir_fd:
            return look(dir_fd)
    except FileNotFoundError:
        missing = observed.DocumentState(observed.Presence.MISSING)
        return observed.Observed(exists=False, documents=dict.fromkeys(items.Document, missing))
    except OSError as error:
        raise errors.ConfigDirError(path, error) from error


def read_documents(path: Path) -> Mapping[items.Document, bytes | None]:
    """The bytes behind every document's name, as a consumer reads them; None where there is nothing to read.

    Raises `errors.ConfigDirError` when the directory itself cannot be looked at.
    """
    try:
        with atomic.opened(path) as dir_fd:
            found = {document: _read_or_none(dir_fd, document) for document in items.Document}
    except FileNotFoundError:
        return dict.fromkeys(items.Document)
    except OSError as error:
        raise errors.ConfigDirError(path, error) from error
    return {document: file.content if file else None for document, file in found.items()}


def look(dir_fd: int) -> observed.Observed:
    """`observe` through CONFIG_DIR's open descriptor. Raises `OSError` when its names cannot be listed or told."""
    names = sorted(os.listdir(dir_fd))
    blocked = _switch_obstacle(dir_fd)
    documents = {document: _state(dir_fd, document, blocked) for document in items.Document}
    stored = {number: _stored(dir_fd, number) for number in _numbers(names)}
    mtimes = [found.st_mtime_ns // 10**9 for files in stored.values() for found in files]
    return observed.Observed(
        exists=True,
        documents=documents,
        generation=visible_generation(dir_fd),
        generations=tuple(stored),
        leftovers=_leftovers(dir_fd, names, stored),
        foreign_files=tuple(_printable(name) for name in names if not _is_known(name)),
        newest_mtime_s=max([*mtimes, *(state.mtime_s or 0 for state in documents.values())]),
    )


def read(dir_fd: int, name: str) -> atomic.File | None:
    """The file that a consumer gets for a name below CONFIG_DIR, through every link; None when it gets no file.

    Raises `OSError` when that cannot be told, which must never be taken for nothing.
    """
    try:
        return atomic.read_regular(dir_fd, name, limit_bytes=items.MAX_DOCUMENT_BYTES)
    except atomic.NotRegularError:
        return None
    except OSError as error:
        if is_nothing(error):
            return None
        raise


def is_nothing(error: OSError) -> bool:
    """Whether the failure says that there is nothing behind a name (a link may lead nowhere, or in a circle)."""
    return error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


def generation_numbers(dir_fd: int) -> tuple[int, ...]:
    """The numbers of all generations that lie in CONFIG_DIR, ascending."""
    return _numbers(os.listdir(dir_fd))


def visible_generation(dir_fd: int) -> int | None:
    """The number that ``..data`` names, whether or not that generation is still there; None for a foreign link."""
    return publishing.generation_number(link(dir_fd, publishing.SWITCH) or "")


def link(dir_fd: int, name: str) -> str | None:
    """What a symbolic link says; None when the name is no link. Raises `OSError` when that cannot be told."""
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):
            return None
        raise


def is_our_link(dir_fd: int, document: items.Document) -> bool:
    """Whether a document's name is the link that every publish leaves there."""
    return link(dir_fd, document.value) == publishing.link_target(document)


def _read_or_none(dir_fd: int, document: items.Document) -> atomic.File | None:
    try:
        return read(dir_fd, document.value)
    except OSError:
        if is_our_link(dir_fd, document):
            return None  # DANGLING: the next publish moves the link on
        raise


def _numbers(names: Iterable[str]) -> tuple[int, ...]:
    found = (publishing.generation_number(name) for name in names)
    return tuple(sorted(number for number in found if number is not None))


def _state(dir_fd: int, document: items.Document, blocked: str) -> observed.DocumentState:
    if blocked:
        return observed.DocumentState(observed.Presence.OBSTRUCTED, obstacle=blocked)
    ours = is_our_link(dir_fd, document)
    try:
        file = atomic.read_regular(dir_fd, document.value, limit_bytes=items.MAX_DOCUMENT_BYTES)
    except OSError as error:
        return _unreadable(error, ours=ours)
    in_generation = ours and visible_generation(dir_fd) is not None  # a foreign switch makes the link foreign too
    return observed.DocumentState(
        observed.Presence.LINK if in_generation else observed.Presence.PLAIN,
        digest=digest.of_bytes(file.content),
        mtime_s=file.mtime_ns // 10**9,
    )


def _unreadable(error: OSError, *, ours: bool) -> observed.DocumentState:
    """Behind our own link anything may be wrong: the next publish moves the link on. Elsewhere, only nothing may."""
    if ours:
        return observed.DocumentState(observed.Presence.DANGLING)
    if is_nothing(error):
        return observed.DocumentState(observed.Presence.MISSING)
    said = error.strerror if isinstance(error, atomic.NotRegularError) else f"cannot be read: {errors.cause(error)}"
    return observed.DocumentState(observed.Presence.OBSTRUCTED, obstacle=said or "cannot be read")


def _switch_obstacle(dir_fd: int) -> str:
    """Why the switch cannot be renamed over: it has to be a link, or nothing at all."""
    try:
        mode = os.lstat(publishing.SWITCH, dir_fd=dir_fd).st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(mode):
        return ""
    return f"{publishing.SWITCH} is {'a directory' if stat.S_ISDIR(mode) else 'a file'}, not a link"


def _leftovers(dir_fd: int, names: Iterable[str], stored: Mapping[int, Sequence[os.stat_result]]) -> tuple[str, ...]:
    """What nothing shows and nothing may return to. A generation is on view when a document's name leads to one of its
    files, by whichever links; the switch counts only while a document's link goes through it."""
    seen = {place for document in items.Document if (place := _place(dir_fd, document)) is not None}
    on_view = {number for number, files in stored.items() if any((file.st_dev, file.st_ino) in seen for file in files)}
    visible = visible_generation(dir_fd)
    in_use = visible in on_view or any(is_our_link(dir_fd, document) for document in items.Document)
    kept = publishing.kept(visible if in_use else None, stored) | on_view
    return tuple(
        name
        for name in names
        if publishing.is_temp(name)
        or (name == publishing.SWITCH and visible is not None and not in_use)
        or publishing.generation_number(name) in stored.keys() - kept
    )


def _place(dir_fd: int, name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name, dir_fd=dir_fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _stored(dir_fd: int, number: int) -> list[os.stat_result]:
    """What the documents of a generation are on disk, those that are there."""
    found = []
    for document in items.Document:
        with contextlib.suppress(OSError):
            found.append(os.lstat(f"{publishing.generation_name(number)}/{document}", dir_fd=dir_fd))
    return found


def _is_known(name: str) -> bool:
    return (
        name in KNOWN_NAMES
        or name in _DOCUMENT_NAMES
        or name == publishing.SWITCH
        or publishing.is_temp(name)
        or publishing.generation_number(name) is not None
    )


def _printable(name: str) -> str:
    """A name that is not UTF-8 comes with lone surrogates, which no output can encode."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
