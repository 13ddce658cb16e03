"""One look at every path that an artifact names, by stat alone: what is there, and what is wrong with it.

Between the manifest (`manifests.artifact_file`) and the reading of documents (`manifests.checkout`), which looks once
before and once after reading. Owns the path rule of contract.md section 2: what may be named, lexically and through
symbolic links. Opens directories, never a file.
"""

import contextlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from core import items, problems
from manifests import artifact_file, beneath, context_tree, entry_files, fingerprint, source_errors


@dataclass(frozen=True, slots=True)
class Source:
    """Where an artifact is read from.

    `root` is the folder that nothing may leave, `manifest` the path of artifact.yml below it. With `allow_outside`
    an artifact root may be anywhere (`deploy --artifact`, or a directory source that allows it); what is in an
    artifact root stays in it all the same. Paths are shown relative to `root`; with `allow_outside` with it in front.
    """

    root: Path
    manifest: str = "artifact.yml"
    allow_outside: bool = False


class Address(NamedTuple):
    """How to open one file again: `artifact` is a directory below the tree, `inner` a path below that. `shown` is the
    path as the user would type it. With a `folder`, which is below `artifact`, `inner` is below that, and no link from
    there on is followed."""

    artifact: str
    inner: str
    shown: str
    folder: str = ""


class Document(NamedTuple):
    """One document of an entry that is there."""

    document: items.Document
    address: Address
    seen: fingerprint.Fingerprint


@dataclass(frozen=True, slots=True)
class EntryPaths:
    """What an entry's paths lead to. `config_dir` is shown to users; `identity` is the same, but equal wherever the
    source stands. `place` is the artifact root's (see `Tree`), `artifact_root` is absolute; links in it are as they
    are. `contexts` are what stands below `functions/<name>/` of those that hold a Dockerfile, in the order of names."""

    place: str
    artifact_root: str
    config_dir: str
    identity: str
    documents: tuple[Document, ...]
    contexts: tuple[context_tree.Context, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A problem, and the error behind it."""

    problem: problems.Problem
    error: source_errors.PathError = field(compare=False)


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome for all entries, in order; an entry with a refusal is None. Equal looks: nothing that `stat` can
    tell has changed in between."""

    entries: tuple[EntryPaths | None, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class Tree:
    """The source, open. A context manager.

    Places are paths below `root`, which is the source's folder, or `/` with `allow_outside`. Raises `PathMissing`,
    `PathUnreadable` or `NotPlain` when the source's folder cannot be opened, `PathEscapes` for a manifest outside.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._top = os.path.realpath(source.root)
        self._base = self._top.strip("/") if source.allow_outside else ""
        place = self.place(source.manifest)
        self.folder = posixpath.dirname(place)
        self.manifest = Address(".", place, self.shown(self.relative(place)))
        self.root = beneath.Root(source.root)
        if source.allow_outside:
            self.root.close()
            self.root = beneath.Root(Path("/"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()

    def shown(self, relative: str) -> str:
        """A path relative to the source's folder as the user would type it."""
        return posixpath.normpath(posixpath.join(self.source.root, relative)) if self.source.allow_outside else relative

    def place(self, path: str, *, folder: str | None = None) -> str:
        """The place of `path`, as written in a file of the place `folder`; by default relative to the source's folder.

        Cleaned lexically (contract.md section 2, path rule). Raises `PathEscapes`.
        """
        start = self._base if folder is None else folder
        if self.source.allow_outside:
            return posixpath.normpath(posixpath.join("/", start, path)).strip("/") or "."
        below_top = self._below_top(path)
        place = posixpath.normpath(posixpath.join(start, path) if below_top is None else below_top)
        if place == ".." or place.startswith(("../", "/")):
            raise source_errors.PathEscapes(path)
        return place

    def relative(self, place: str) -> str:
        """A place, relative to the source's folder."""
        return posixpath.relpath("/" + place, "/" + self._base) if self.source.allow_outside else place

    def absolute(self, place: str) -> str:
        """A place from the root of the file system."""
        return posixpath.normpath(self.where(place))

    def stamp(self, address: Address, found: os.stat_result) -> fingerprint.Fingerprint:
        """The fingerprint of a file of this tree; its path tells apart the files of all sources."""
        path = posixpath.join(self.where(address.artifact), address.folder, address.inner)
        return fingerprint.of_stat(path, found)

    def where(self, place: str) -> str:
        """A place, in the paths of fingerprints."""
        return posixpath.join("/" if self.source.allow_outside else self._top, place)

    def read(self, address: Address, *, max_bytes: int) -> tuple[bytes, fingerprint.Fingerprint]:
        """The content of a file and its fingerprint. Raises what `beneath.Root.read_file` does."""
        blocks: list[bytes] = []
        seen = self.read_blocks(address, blocks.append, max_bytes=max_bytes)
        return b"".join(blocks), seen

    def read_blocks(
        self, address: Address, sink: Callable[[bytes], object], *, max_bytes: int
    ) -> fingerprint.Fingerprint:
        """Give the content of a file to `sink`, block by block. Raises what `beneath.Root.read_blocks` does."""
        with contextlib.ExitStack() as opened:
            folder = opened.enter_context(self.root.open_dir(address.artifact, shown="."))
            if address.folder:
                folder = opened.enter_context(folder.open_dir(address.folder, plain=True))
            found = folder.read_blocks(address.inner, sink, max_bytes=max_bytes, shown=address.shown)
        return self.stamp(address, found)

    def _below_top(self, path: str) -> str | None:
        """An absolute path that is below the source's folder, relative to that."""
        cleaned = posixpath.normpath(path)
        for top in (self._top, os.path.abspath(self.source.root)):
            if (cleaned + "/").startswith(top.rstrip("/") + "/"):
                return cleaned[len(top) :].strip("/") or "."
        return None


def look(tree: Tree, manifest: artifact_file.ArtifactFile, limits: context_tree.Limits) -> Look:
    """Look at the paths of every entry: contract.md section 2, path rule, and the files that must exist. Raises
    `Moved` when a build context changes at this very moment."""
    scenes = [_Scene(tree, entry, position, limits) for position, entry in enumerate(manifest.entries)]
    entries = tuple(scene.paths() for scene in scenes)
    return Look(entries, tuple(refusal for scene in scenes for refusal in scene.refusals))


def require_file(found: os.stat_result, shown: str, *, max_bytes: int) -> None:
    """Raise `NotPlain` for anything but a regular file, and `TooLarge`."""
    _require(found, stat.S_ISREG, shown)
    if found.st_size > max_bytes:
        raise source_errors.TooLarge(shown, found.st_size, max_bytes)


def refusal(
    tree: Tree, entry: artifact_file.ArtifactEntry, position: int, *, key: str, error: source_errors.PathError
) -> Refusal:
    """The error as a problem at the key of the entry that named the path."""
    path = problems.format_path(("artifacts", position, key))
    words = context_tree.printable(str(error))  # names are the source's, and need not even be text
    return Refusal(problems.Problem(tree.manifest.shown, *entry.places[key], path, words), error)


@dataclass(slots=True)
class _Scene:
    """One entry while it is looked at."""

    tree: Tree
    entry: artifact_file.ArtifactEntry
    position: int
    limits: context_tree.Limits
    refusals: list[Refusal] = field(default_factory=list)

    def paths(self) -> EntryPaths | None:
        """What is there, or None with at least one refusal."""
        try:
            place = self.tree.place(self.entry.artifact_root, folder=self.tree.folder)
            relative = self.tree.relative(place)
            shown = self.tree.shown(relative)
            with self.tree.root.open_dir(place, shown=shown) as artifact:
                return self._inside(artifact, place, relative)
        except source_errors.PathError as error:
            self._refuse("artifact_root", error)
            return None

    def _inside(self, artifact: beneath.Root, place: str, relative: str) -> EntryPaths | None:
        inner = posixpath.normpath(self.entry.runtime_config_dir)
        config_dir = artifact.show(inner)
        documents = tuple(self._documents(artifact, place, inner))
        self._bundle(artifact)
        contexts = tuple(self._contexts(artifact, place))
        if self.refusals:
            return None
        identity = posixpath.join(relative, inner)
        return EntryPaths(place, self.tree.absolute(place), config_dir, identity, documents, contexts)

    def _documents(self, artifact: beneath.Root, place: str, inner: str) -> Iterator[Document]:
        key = "runtime_config_dir"
        try:
            _require(artifact.stat(inner), stat.S_ISDIR, artifact.show(inner), wanted="a directory")
        except source_errors.PathError as error:
            self._refuse(key, error)
            return
        for document in items.Document:
            name = f"{inner}/{document}"
            try:
                found = artifact.stat(name)
                require_file(found, artifact.show(name), max_bytes=self.limits.document)
            except source_errors.PathMissing as error:
                if document in entry_files.REQUIRED:
                    self._refuse(key, error)
            except source_errors.PathError as error:
                self._refuse(key, error)
            else:
                address = Address(place, name, artifact.show(name))
                yield Document(document, address, self.tree.stamp(address, found))

    def _bundle(self, artifact: beneath.Root) -> None:
        """contract.md section 2: must exist when named. Never read."""
        if self.entry.bundle_manifest is None:
            return
        name = posixpath.normpath(self.entry.bundle_manifest)
        try:
            _require(artifact.stat(name), stat.S_ISREG, artifact.show(name))
        except source_errors.PathError as error:
            self._refuse("bundle_manifest", error)

    def _contexts(self, artifact: beneath.Root, place: str) -> Iterator[context_tree.Context]:
        """What images are built from (contract.md section 5), with a refusal for each thing that none may be."""
        for name in self._builds(artifact):
            try:
                found = context_tree.look(artifact, name, where=self.tree.where(place), limits=self.limits)
            except source_errors.Moved:
                raise
            except source_errors.PathError as error:
                self._refuse("artifact_root", error)
                continue
            for wrong in found.wrong:
                self._refuse("artifact_root", wrong)
            yield found

    def _builds(self, artifact: beneath.Root) -> tuple[str, ...]:
        """Names whose `functions/<name>/Dockerfile` is a file (contract.md section 5), in the order of the names."""
        try:
            with artifact.open_dir(context_tree.FOLDER) as folder:
                listed = folder.names(".")
                found = folder.modes_of(context_tree.DOCKERFILE, [each.name for each in listed if each.folder])
        except (source_errors.PathMissing, source_errors.NotPlain):
            return ()
        except source_errors.PathError as error:
            self._refuse("artifact_root", error)
            return ()
        linked = [each.name for each in listed if each.link]
        linked += [name for name, mode in found.items() if not stat.S_ISREG(mode)]
        plain = [name for name, mode in found.items() if stat.S_ISREG(mode)]
        return tuple(sorted((*plain, *self._linked_builds(artifact, linked))))

    def _linked_builds(self, artifact: beneath.Root, names: Sequence[str]) -> Iterator[str]:
        """Where the folder or the file is a link (or no file at all): the long way, and a refusal when it leads out."""
        for name in names:
            path = f"{context_tree.FOLDER}/{name}/{context_tree.DOCKERFILE}"
            try:
                _require(artifact.stat(path), stat.S_ISREG, artifact.show(path))
            except source_errors.PathMissing:
                continue
            except source_errors.PathError as error:
                self._refuse("artifact_root", error)
            else:
                yield name

    def _refuse(self, key: str, error: source_errors.PathError) -> None:
        self.refusals.append(refusal(self.tree, self.entry, self.position, key=key, error=error))


def _require(found: os.stat_result, test: Callable[[int], bool], shown: str, *, wanted: str = "a regular file") -> None:
    if not test(found.st_mode):
        raise source_errors.NotPlain(shown, source_errors.kind_of(found.st_mode), wanted=wanted)
