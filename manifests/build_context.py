"""A copy of one function's build context, for Docker: exactly what the revision stands for, or nothing that counts.

Called by the controller before a build. The artifact root is only read (contract.md section 10, invariant 5), through
the same doors as in a scan: no link below the context is followed, so one that is swapped between look and copy leads
nowhere (faults.md G1, G4). Knows nothing of Docker, and does not remove what it wrote.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from manifests import beneath, checkout, contents, context_tree, fingerprint, opening, source_errors, survey

FIRST_S = 315_619_200
"""1980-01-02T00:00:00Z: the first day that a zip archive holds in every time zone, for whoever makes one in a build."""

_SPREAD_DIGITS = 7
"""Hex digits of the digest: eight and a half years of seconds."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ZEROS = bytes(beneath.BLOCK_BYTES)


def copy(
    found: checkout.Checkout,
    entry_id: str,
    function: str,
    into: Path,
    *,
    store: fingerprint.Store | None = None,
) -> None:
    """Write `into/functions/<function>/…` as the scan saw it (contract.md section 5).

    `into` is made when it is missing and must be empty otherwise; its parent should be a private directory, because
    `into` itself becomes 0755, as part of the context. Modes are permission bits, with which the owner may read files
    and change directories; links stay links; every time is `mtime_ns` of the context. Holes stay holes.

    Raises `SourceUnstable` when the context is not, or not any more, what the revision stands for (with a `store`, what
    it had wrong is then corrected), `SourceUnreadable`, `KeyError` when the entry brings no such context, `ValueError`
    for an `into` below an artifact root, and OSError when `into` cannot be written. After any of them, what is in
    `into` is worthless, and is the caller's to remove.
    """
    ref = checkout.context_of(found, entry_id, function)
    _require_outside(into, found.artifact_roots)
    try:
        with opening.opened(found.source) as tree:
            place = ref.address.artifact
            with tree.root.open_dir(place, shown=tree.shown(tree.relative(place))) as artifact:
                context = _look(artifact, function, tree=tree, found=found, place=place)
                digests = _copied(context, artifact, into, mtime_ns=mtime_ns(ref.digest))
    except source_errors.PathUnreadable as error:
        raise source_errors.SourceUnreadable(str(error)) from error
    except source_errors.PathError as error:
        raise _moved(f"{found.source.root}: {error}") from error
    if context_tree.digest_of(context.nodes, {path: value for path, (value, _) in digests.items()}) != ref.digest:
        if store is not None:
            for value, seen in digests.values():
                contents.put_right(store, seen, value)
        raise _moved(f"{context.shown} is not what the revision stands for any more")


def mtime_ns(context_digest: str) -> int:
    """When everything in a copy of this context was last modified, in nanoseconds.

    The same for the same context, so that the same input gives the same layers. Another one for another: BuildKit keeps
    the context that it was sent last and asks only for files whose size or time differ, so that with one time for all
    it would build from the old bytes of a file whose size stayed (faults.md H9).
    """
    digits = context_digest.removeprefix("sha256:")
    seconds = FIRST_S + int(digits[:_SPREAD_DIGITS], 16)
    return seconds * 10**9 + int(digits[_SPREAD_DIGITS : 2 * _SPREAD_DIGITS], 16)


def _look(
    artifact: beneath.Root, function: str, *, tree: survey.Tree, found: checkout.Checkout, place: str
) -> context_tree.Context:
    """The context as it is now. Raises what is wrong with it by now."""
    context = context_tree.look(artifact, function, where=tree.where(place), limits=found.rules.path_limits)
    if context.wrong:
        raise context.wrong[0]
    return context


def _copied(
    context: context_tree.Context, artifact: beneath.Root, into: Path, *, mtime_ns: int
) -> dict[str, tuple[str, fingerprint.Fingerprint]]:
    """Copy all of it; digest and fingerprint of what each file turned out to be, by path."""
    top = into / context_tree.FOLDER
    into.mkdir(exist_ok=True)
    top.mkdir()
    target = top / context.function
    digests = {}
    with artifact.open_dir(context.folder, plain=True) as root:
        for node in context.nodes:
            path = os.path.join(target, node.path) if node.path else str(target)
            if node.seen is not None:
                digests[node.path] = _copy_file(root, node, node.seen, path)
                os.utime(path, ns=(mtime_ns, mtime_ns))
            elif node.target:
                os.symlink(node.target, path)
                os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
            else:
                os.mkdir(path, 0o700)
    folders = [(os.path.join(target, node.path), node.mode) for node in context.nodes if node.is_folder]
    _finish([(str(into), 0o755), (str(top), 0o755), *folders], mtime_ns)
    return digests


def _copy_file(
    root: beneath.Root, node: context_tree.Node, seen: fingerprint.Fingerprint, path: str
) -> tuple[str, fingerprint.Fingerprint]:
    read = contents.Sum()
    with open(os.open(path, _NEW_FILE, 0o600), "wb") as written:

        def take(block: bytes) -> None:
            read.add(block)
            _write(written, block)

        found = root.read_blocks(node.path, take, max_bytes=seen.size)
        written.truncate(found.st_size)  # a hole at the end
        os.fchmod(written.fileno(), node.mode)
    return read.digest, fingerprint.of_stat(seen.path, found)


def _write(file: BinaryIO, block: bytes) -> None:
    if block == _ZEROS:
        file.seek(len(block), os.SEEK_CUR)
    else:
        file.write(block)


def _finish(folders: Iterable[tuple[str, int]], mtime_ns: int) -> None:
    """Modes and times of directories, the deepest first: nothing in them changes any more."""
    for path, mode in reversed(list(folders)):
        os.chmod(path, mode)
        os.utime(path, ns=(mtime_ns, mtime_ns))


def _require_outside(into: Path, roots: Iterable[str]) -> None:
    """contract.md section 10.5: nothing below an artifact root is written."""
    real = os.path.join(os.path.realpath(into), "")
    for root in roots:
        if real.startswith(os.path.join(os.path.realpath(root), "")):
            raise ValueError(f"{into} is below the artifact root {root}, where nothing may be written")


def _moved(words: str) -> source_errors.SourceUnstable:
    return source_errors.SourceUnstable(f"{words}: try again once its writer has finished")
