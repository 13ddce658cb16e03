"""From a source's folder to a revision, and from there to entries that can be folded.

`scan` looks at every path (`manifests.survey`), takes each file's digest from the store or reads it once
(`manifests.contents`), then looks again: only when both looks agree was there a moment at which the source was just
so (faults.md C6). The revision is the digest of it all. `load_entries` brings the documents as items, from the store
or parsed. An unchanged source costs stat calls, a changed entry costs that entry. Writes nothing but the store.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core import compatibility, desired, digest, grammar, items, problems
from manifests import (
    artifact_file,
    contents,
    context_tree,
    entry_files,
    fingerprint,
    opening,
    places,
    source_errors,
    survey,
    yaml_builder,
)

CONTENT_VERSION = 2
"""To be raised with every change of what is read from a document, or of how an item is rendered: whatever is stored is
then made anew."""

Source = survey.Source


@dataclass(frozen=True, slots=True)
class Rules:
    """What the outcome of reading depends on besides the bytes. `allowed_names` are those of consumers.md GW11,
    `max_context_bytes` counts all files of one build context, holes included (faults.md G4)."""

    require_ids: bool = True
    allowed_names: frozenset[str] = grammar.DEFAULT_NAMES
    limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS
    max_context_bytes: int = 1 << 30

    @property
    def path_limits(self) -> context_tree.Limits:
        """Sizes that are known before anything is opened."""
        return context_tree.Limits(self.limits.max_bytes, self.max_context_bytes)

    @property
    def rules_digest(self) -> str:
        """Covers all of it, and the version of this program's reading."""
        names = sorted(self.allowed_names)
        limits = (repr(self.limits), str(self.max_context_bytes))
        return digest.of_parts((str(CONTENT_VERSION), str(self.require_ids), *limits, *names))


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """One document as the scan found it."""

    document: items.Document
    digest: str
    address: survey.Address


@dataclass(frozen=True, slots=True)
class ContextRef:
    """What one function's image is built from, as the scan found it: the tree below `functions/<function>/`.

    `digest` covers its names, modes and bytes, `dockerfile_digest` the bytes of its Dockerfile, which `address` leads
    to; `address.folder` is the context's folder below the artifact root.
    """

    function: str
    digest: str
    dockerfile_digest: str
    address: survey.Address


@dataclass(frozen=True, slots=True)
class EntryRef:
    """One entry whose paths are all in order. `artifact_root` is absolute, `config_dir` as the user would type it;
    `contexts` are of the names below `functions/` that hold a Dockerfile, whether or not such a function is
    declared."""

    id: str
    artifact_root: str
    config_dir: str
    documents: tuple[DocumentRef, ...]
    contexts: tuple[ContextRef, ...]

    @property
    def builds(self) -> tuple[str, ...]:
        """The names of the contexts."""
        return tuple(each.function for each in self.contexts)


@dataclass(frozen=True, slots=True)
class Checkout:
    """What a source held at one moment. `required_secrets` are names, each once, in the order of the entries;
    `warnings` are the manifest's. `held` are bytes that the scan had to read, by digest."""

    revision: str
    project: str
    env: str
    mode: str
    runtime_stack: compatibility.Requirement | None
    entries: tuple[EntryRef, ...]
    required_secrets: tuple[str, ...]
    warnings: tuple[problems.Problem, ...]
    source: Source = field(repr=False)
    rules: Rules = field(repr=False)
    held: Mapping[str, bytes] = field(repr=False, compare=False)

    @property
    def artifact_roots(self) -> tuple[str, ...]:
        """The absolute paths of the artifact roots, each once: contract.md section 10.5, nothing below any of them is
        written. Symbolic links in them are not resolved."""
        return tuple(dict.fromkeys(entry.artifact_root for entry in self.entries))


def scan(
    source: Source, store: fingerprint.Store, *, now_ns: Callable[[], int], rules: Rules = DEFAULT_RULES
) -> Checkout:
    """Resolve a source to a revision. `now_ns` is the wall clock in nanoseconds.

    Raises `SourceMissing`, `SourceEmpty`, `NoManifest`, `SourceUnreadable`, `SourceUnstable`, or `ArtifactInvalid`
    with every problem of the manifest; when that is in order, with every path problem of every entry and every problem
    of the documents that can be reached.
    """
    for _ in range(opening.ATTEMPTS):
        with contextlib.suppress(contents.ChangedMeanwhile), opening.opened(source) as tree:
            read = contents.Contents(tree, store, now_ns=now_ns, max_bytes=rules.limits.max_bytes)
            return _Scan(tree, store, rules, read).checkout()
    raise opening.unstable(source)


def dockerfile(found: Checkout, store: fingerprint.Store, entry_id: str, function: str) -> tuple[bytes, str]:
    """The Dockerfile of a function that the entry brings a context for, and its path as the user would type it.

    Raises `SourceUnstable` when it is no longer the one that the revision stands for, `KeyError` when there is none.
    """
    ref = context_of(found, entry_id, function)
    return _reread(found, ref.address, ref.dockerfile_digest, store), ref.address.shown


def context_of(found: Checkout, entry_id: str, function: str) -> ContextRef:
    """The build context that the entry brings for the function. Raises `KeyError` when it brings none."""
    for entry in found.entries:
        for ref in entry.contexts if entry.id == entry_id else ():
            if ref.function == function:
                return ref
    raise KeyError((entry_id, function))


def load_entries(checkout: Checkout, store: fingerprint.Store) -> tuple[desired.Entry, ...]:
    """The entries in the order of the manifest, ready to be folded.

    Raises `ArtifactInvalid` with every problem of every entry, and `SourceUnstable` when a document is no longer the
    one that the revision stands for.
    """
    loaded, found = _load(checkout, store)
    if places.has_errors(found):
        raise source_errors.ArtifactInvalid(found)
    return loaded


@dataclass(frozen=True, slots=True)
class _Scan:
    """One reading of a source, from the first look to the second."""

    tree: survey.Tree
    store: fingerprint.Store
    rules: Rules
    contents: contents.Contents

    def checkout(self) -> Checkout:
        """See `scan`. Raises `ChangedMeanwhile` too."""
        seen = self._manifest_stamp()
        with opening.manifest_refused(self.tree):
            manifest_digest = self.contents.digest(self.tree.manifest, seen)
        reading = self._manifest(manifest_digest)
        look = survey.Look() if reading.manifest is None else self._look(reading.manifest)
        entries, refusals = self._entries(reading.manifest, look)
        self.contents.confirm()
        again = look if reading.manifest is None else self._look(reading.manifest)
        if self._manifest_stamp() != seen or again != look:
            raise contents.ChangedMeanwhile
        if reading.manifest is None:
            raise source_errors.ArtifactInvalid(reading.problems)
        found = self._found(reading.manifest, reading.problems, entries, _revision(manifest_digest, entries, look))
        if refusals:
            raise opening.refused(refusals, (*reading.problems, *_load(found, self.store)[1]))
        return found

    def _manifest_stamp(self) -> fingerprint.Fingerprint:
        address = self.tree.manifest
        with opening.manifest_refused(self.tree):
            found = self.tree.root.stat(address.inner)
            survey.require_file(found, address.shown, max_bytes=self.rules.limits.max_bytes)
        return self.tree.stamp(address, found)

    def _manifest(self, content_digest: str) -> artifact_file.Reading:
        """The manifest, from the store or parsed."""
        key = digest.of_parts(("manifest", self.rules.rules_digest, content_digest))
        file = self.tree.manifest.shown
        packed = fingerprint.unseal(self.store.content(key))
        if packed is not None:
            return artifact_file.unpack(packed, file=file)
        content = self.contents.bytes_of(self.tree.manifest, content_digest)
        rules = self.rules
        reading = artifact_file.read(content, file=file, require_ids=rules.require_ids, limits=rules.limits)
        self.store.put_content(key, fingerprint.seal(artifact_file.pack(reading)))
        return reading

    def _look(self, manifest: artifact_file.ArtifactFile) -> survey.Look:
        try:
            return survey.look(self.tree, manifest, self.rules.path_limits)
        except source_errors.Moved as error:
            raise contents.ChangedMeanwhile from error

    def _entries(
        self, manifest: artifact_file.ArtifactFile | None, look: survey.Look
    ) -> tuple[list[EntryRef], list[survey.Refusal]]:
        """The entries whose files can be read, and everything that stands against the others."""
        entries: list[EntryRef] = []
        refusals = list(look.refusals)
        for position, paths in enumerate(look.entries):
            if manifest is None or paths is None:
                continue
            entry = manifest.entries[position]
            key = "runtime_config_dir"
            try:
                documents = tuple(
                    DocumentRef(each.document, self.contents.digest(each.address, each.seen), each.address)
                    for each in paths.documents
                )
                key = "artifact_root"
                contexts = tuple(self._context(paths.place, each) for each in paths.contexts)
            except source_errors.PathUnreadable as error:
                refusals.append(survey.refusal(self.tree, entry, position, key=key, error=error))
                continue
            entries.append(EntryRef(entry.id, paths.artifact_root, paths.config_dir, documents, contexts))
        return entries, refusals

    def _context(self, place: str, seen: context_tree.Context) -> ContextRef:
        digests = {
            path: self.contents.digest_in_blocks(survey.Address(place, path, seen.show(path), seen.folder), stamp)
            for path, stamp in seen.files
        }
        return ContextRef(
            seen.function,
            context_tree.digest_of(seen.nodes, digests),
            digests[seen.dockerfile],
            survey.Address(place, seen.dockerfile, seen.show(context_tree.DOCKERFILE), seen.folder),
        )

    def _found(
        self,
        manifest: artifact_file.ArtifactFile,
        warnings: tuple[problems.Problem, ...],
        entries: Sequence[EntryRef],
        revision: str,
    ) -> Checkout:
        secrets = dict.fromkeys(name for entry in manifest.entries for name in entry.required_secret_env)
        return Checkout(
            revision=revision,
            project=manifest.project,
            env=manifest.env,
            mode=manifest.mode,
            runtime_stack=manifest.runtime_stack,
            entries=tuple(entries),
            required_secrets=tuple(secrets),
            warnings=warnings,
            source=self.tree.source,
            rules=self.rules,
            held=self.contents.held,
        )


def _revision(manifest_digest: str, entries: Sequence[EntryRef], look: survey.Look) -> str:
    """Covers every byte and every name that the outcome depends on, in order, and not where the source stands."""
    parts = ["manifest", manifest_digest]
    for entry, paths in zip(entries, filter(None, look.entries), strict=False):
        parts += ["entry", paths.identity]
        parts += [part for ref in entry.documents for part in (ref.document, ref.digest)]
        parts += ["builds", str(len(entry.contexts))]
        parts += [part for ref in entry.contexts for part in (ref.function, ref.digest)]
    return digest.of_parts(parts)


def _load(
    checkout: Checkout, store: fingerprint.Store
) -> tuple[tuple[desired.Entry, ...], tuple[problems.Problem, ...]]:
    """The entries that are in order, and the problems of all of them."""
    rules_digest = checkout.rules.rules_digest
    keys = [_content_key(entry, rules_digest) for entry in checkout.entries]
    store.prefetch(keys)
    loaded: list[desired.Entry] = []
    found: list[problems.Problem] = []
    for entry, key in zip(checkout.entries, keys, strict=True):
        packed = fingerprint.unseal(store.content(key))
        if packed is None:
            reading = _read_entry(checkout, entry, store)
            store.put_content(key, fingerprint.seal(entry_files.pack(reading)))
        else:
            reading = entry_files.unpack(packed, folder=entry.config_dir)
        found.extend(reading.problems)
        if reading.content is not None:
            declared = {item.key.name for item in reading.content.items if item.key.kind is items.Kind.FUNCTION}
            builds = tuple(name for name in entry.builds if name in declared)
            loaded.append(desired.Entry(entry.id, entry.config_dir, reading.content, builds))
    return tuple(loaded), tuple(found)


def _content_key(entry: EntryRef, rules_digest: str) -> str:
    """Under which the store keeps what these documents say: the same for the same bytes, wherever they stand."""
    parts = (part for ref in entry.documents for part in (ref.document, ref.digest))
    return digest.of_parts(("entry", rules_digest, *parts))


def _read_entry(checkout: Checkout, entry: EntryRef, store: fingerprint.Store) -> entry_files.Reading:
    rules = checkout.rules
    documents = {ref.document: _bytes_of(checkout, ref, store) for ref in entry.documents}
    return entry_files.read(documents, folder=entry.config_dir, allowed_names=rules.allowed_names, limits=rules.limits)


def _bytes_of(checkout: Checkout, ref: DocumentRef, store: fingerprint.Store) -> bytes:
    held = checkout.held.get(ref.digest)
    return _reread(checkout, ref.address, ref.digest, store) if held is None else held


def _reread(checkout: Checkout, address: survey.Address, wanted: str, store: fingerprint.Store) -> bytes:
    with opening.unmoved(checkout.source) as tree:
        return contents.reread(tree, address, wanted, store=store, max_bytes=checkout.rules.limits.max_bytes)
