"""The settings of one of several targets, laid over what all of them share: values, and where each of them stands.

Pure but for the paths that begin at the file's folder. Part of `controller.targets`; knows of no setting but `source`.
"""

from collections.abc import Mapping
from typing import Any

from controller import settings_document
from core import problems

_WHOLE = (("source",),)
"""Settings that a target says as a whole: half of one source and half of another would be a third."""


def of_target(document: settings_document.Document, name: str) -> settings_document.Document:
    """The document of one target: what all share, with its own settings over it. Mappings are merged, lists and
    `source` are replaced."""
    shared = {key: value for key, value in document.value.items() if key != "targets"}
    own = document.value["targets"][name]
    if document.file is not None:
        own = settings_document.from_folder(own, document.file.parent)
    replaced: set[problems.KeyPath] = set()
    value = {**_merged(shared, own, (), replaced), "name": name}
    prefix = ("targets", name)
    written: dict[problems.KeyPath, problems.KeyPath] = {
        path: path
        for path in document.positions
        if path[:1] != ("targets",) and not any(path[:end] in replaced for end in range(1, len(path) + 1))
    }
    written |= {path[2:]: path for path in document.positions if path[:2] == prefix and len(path) > 2}
    written |= {(key,): (*prefix, key) for key in own}  # also those that a merge key brings, which have no position
    written |= {("name",): prefix, (): prefix}
    positions = {path: document.positions[at] for path, at in written.items() if at in document.positions}
    return settings_document.Document(document.file, value, positions, written, name)


def _merged(
    below: Mapping[str, Any], above: Mapping[str, Any], path: problems.KeyPath, replaced: set[problems.KeyPath]
) -> dict[str, Any]:
    """`above` laid over `below`; `replaced` gains the paths below which nothing of `below` is left."""
    value = dict(below)
    for key, own in above.items():
        here = (*path, key)
        under = below.get(key)
        if isinstance(own, dict) and isinstance(under, dict) and here not in _WHOLE:
            value[key] = _merged(under, own, here, replaced)
        else:
            value[key] = own
            replaced.add(here)
    return value
