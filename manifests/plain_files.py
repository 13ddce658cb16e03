"""Publish in the mode `files`: one plain file per document, for consumers that cannot follow links.

Each file is replaced atomically, but the set is not: consumers may see new resources with old functions until the last
rename. The order (resources, functions, routing) never shows a route before its function. Modification times, syncs
and the rule "old or new, never torn" are those of `manifests.generation`, whose attempt and errors are used here; the
caller holds the locks.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from core import items, publishing
from manifests import atomic, config_dir, generation

ORDER = (items.Document.RESOURCES, items.Document.FUNCTIONS, items.Document.ROUTING)


class Step(StrEnum):
    """The failpoints of this mode, in order; the first ones are `inspect` and `sweep` of `generation.Step`."""

    PREPARE = "prepare-file"
    REPLACE = "replace-file"
    SYNC = "sync-files"
    VERIFY = "verify-files"
    DROP_LAYOUT = "drop-layout"


def publish(path: Path, documents: Mapping[items.Document, bytes], *, mtime_s: int, on_step: generation.OnStep) -> None:
    """Make the documents visible, each at once, durably; links and generations of the other mode go afterwards.

    Every document must be given. Raises `errors.PublishError`, with `flipped` as soon as one new file may be visible;
    the next publish then completes the set.
    """
    with generation.attempt(path, on_step) as trying:
        trying.sweep(trying.inspect().leftovers)
        for document in ORDER:
            temp = publishing.document_temp(document)
            with trying.at(Step.PREPARE, temp):
                atomic.write_file(trying.dir_fd, temp, atomic.File(documents[document], mtime_s * 10**9))
        for document in ORDER:
            with trying.at(Step.REPLACE, document):
                trying.changed = True
                atomic.rename(trying.dir_fd, publishing.document_temp(document), document)
        with trying.at(Step.SYNC):
            atomic.sync_directory(trying.dir_fd)
        trying.require_same(Step.VERIFY, {document.value: documents[document] for document in ORDER})
        _drop_layout(trying)


def _drop_layout(trying: generation.Attempt) -> None:
    """Remove what only the other mode needs. A switch that somebody else made is theirs."""
    with trying.at(Step.DROP_LAYOUT):
        names = [publishing.generation_name(number) for number in config_dir.generation_numbers(trying.dir_fd)]
        if config_dir.visible_generation(trying.dir_fd) is not None:
            names.insert(0, publishing.SWITCH)
    for name in names:
        with trying.at(Step.DROP_LAYOUT, name):
            atomic.remove(trying.dir_fd, name)
