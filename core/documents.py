"""Whether an entry's three documents may be published, and the parts that are merged: contract.md section 4.

This is the last gate before a running gateway, so each check looks at a whole document, finds every problem and not
the first, and is total: any value at all gives findings, never an exception (faults.md F1). Takes values that were
parsed already; `manifests` turns key paths into lines and parts into rendered items.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pydantic

from core import document_models, grammar, items, problems, sentences, structure


@dataclass(frozen=True, slots=True)
class Part:
    """One item to be, still as a value. `path` is where it stands in its document; `target` is the function that a
    route calls, and empty for every other kind."""

    key: items.ItemKey
    path: problems.KeyPath
    value: object
    target: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A document's findings, and its parts in document order.

    With errors among the findings the parts are those that could still be named; `invalid` tells which of them must
    not be used. The same key may come twice: the later one counts.
    """

    findings: tuple[problems.Finding, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def errors(self) -> tuple[problems.Finding, ...]:
        """The findings that stop the entry."""
        return tuple(finding for finding in self.findings if finding.severity is problems.Severity.ERROR)

    @property
    def invalid(self) -> frozenset[items.ItemKey]:
        """The keys of the parts that have an error in or below them."""
        wrong = {error.path[:length] for error in self.errors for length in range(1, len(error.path) + 1)}
        return frozenset(part.key for part in self.parts if part.path in wrong)


def check(document: items.Document, value: object, *, allowed_names: frozenset[str] = grammar.DEFAULT_NAMES) -> Checked:
    """Check one document by its name. `allowed_names` are those of consumers.md GW11."""
    match document:
        case items.Document.FUNCTIONS:
            return check_functions(value, allowed_names=allowed_names)
        case items.Document.ROUTING:
            return check_routing(value)
        case items.Document.RESOURCES:
            return check_resources(value)


def check_functions(value: object, *, allowed_names: frozenset[str] = grammar.DEFAULT_NAMES) -> Checked:
    """functions.yml: defaults first, then functions. `allowed_names` are those of consumers.md GW11."""
    if not isinstance(value, dict):
        return Checked((problems.Finding((), "must be a mapping with 'functions'"),))
    found = structure.findings(value, allowed_names=allowed_names)
    try:
        document_models.Functions.model_validate(value)
    except pydantic.ValidationError as error:
        found.extend(sentences.findings(error, value))
    found.extend(_unmerged(value, ("defaults", "functions"), ()))
    found.extend(_unknown_scaling(value))
    return Checked(tuple(found), tuple(_function_parts(value)))


def check_routing(value: object) -> Checked:
    """routing.yml. None, or no `routes`, means that there are none; a route without a path is skipped."""
    if value is None:
        return Checked()
    if not isinstance(value, dict):
        return Checked((problems.Finding((), "must be a mapping with 'routes'"),))
    routes = value.get("routes")
    found = [*structure.findings(value), *_unmerged(value, ("routes",), ())]
    if routes is None:
        return Checked(tuple(found))
    if not isinstance(routes, list):
        return Checked((*found, problems.Finding(("routes",), "must be a list")))
    kept = {position: route for position, route in enumerate(routes) if not _without_path(route)}
    found.extend(_route_findings(kept))
    parts = tuple(_route_parts(kept))
    return Checked((*found, *_repeated(parts)), parts)


def check_resources(value: object) -> Checked:
    """resources.yml. None, or no `resources`, means that there are none; an item without its key is skipped."""
    if value is None:
        return Checked()
    if not isinstance(value, dict):
        return Checked((problems.Finding((), "must be a mapping with 'resources'"),))
    found = [*structure.findings(value), *_unmerged(value, ("resources",), ())]
    resources = value.get("resources")
    if resources is None:
        return Checked(tuple(found))
    if not isinstance(resources, dict):
        return Checked((*found, problems.Finding(("resources",), "must be a mapping")))
    try:
        document_models.Resources.model_validate(resources)
    except pydantic.ValidationError as error:
        found.extend(_below("resources", finding) for finding in sentences.findings(error, resources))
    found.extend(_unmerged(resources, tuple(_RESOURCE_KEYS), ("resources",)))
    found.extend(_unnamed_resources(resources))
    parts = tuple(_resource_parts(resources))
    return Checked((*found, *_repeated(parts)), parts)


_RESOURCE_KEYS = {
    "dynamodb": (items.Kind.TABLE, "TableName"),
    "s3": (items.Kind.BUCKET, "BucketName"),
    "layers": (items.Kind.LAYER, "Name"),
}


def _function_parts(document: dict[object, object]) -> Iterator[Part]:
    defaults = _mapping(document.get("defaults"))
    sections = {"environment": items.Kind.DEFAULT_ENVIRONMENT, "scaling": items.Kind.DEFAULT_SCALING}
    for section, kind in sections.items():
        for key, value in _mapping(defaults.get(section)).items():
            if isinstance(key, str):
                yield Part(items.ItemKey(kind, key), ("defaults", section, key), value)
    for key, value in defaults.items():
        # "Empty default sections are left out" is about the two sections: they have no items of their own. Any other
        # key passes through, null and empty as well, and being first it counts.
        if isinstance(key, str) and key not in sections:
            yield Part(items.ItemKey(items.Kind.DEFAULT, key), ("defaults", key), value)
    for key, value in _mapping(document.get("functions")).items():
        if isinstance(key, str):
            yield Part(items.ItemKey(items.Kind.FUNCTION, key), ("functions", key), value)


def _unknown_scaling(document: dict[object, object]) -> Iterator[problems.Finding]:
    yield from _unknown_scaling_of(document.get("defaults"), ("defaults",))
    for name, function in _mapping(document.get("functions")).items():
        if isinstance(function, dict) and "scaling" in function and isinstance(name, str):
            yield from _unknown_scaling_of(function, ("functions", name))


def _unknown_scaling_of(holder: object, path: problems.KeyPath) -> Iterator[problems.Finding]:
    scaling = _mapping(_mapping(holder).get("scaling"))
    if document_models.SCALING_KEYS.issuperset(scaling):
        return
    for key in scaling:
        if isinstance(key, str) and key not in document_models.SCALING_KEYS:
            place = (*path, "scaling", key)
            yield _warning(place, "is not a scaling key that this version knows: passed on as it is", at_key=True)


def _without_path(route: object) -> bool:
    """Scheduled functions have routes without a path: contract.md section 4."""
    return isinstance(route, dict) and route.get("path") in (None, "")


def _route_findings(kept: dict[int, object]) -> Iterator[problems.Finding]:
    try:
        document_models.routes().validate_python(list(kept.values()))
    except pydantic.ValidationError as error:
        positions = tuple(kept)
        for finding in sentences.findings(error, list(kept.values())):
            position, *rest = finding.path
            place = ("routes", positions[int(position)], *rest)
            yield problems.Finding(place, finding.message, finding.severity, finding.at_key)


def _route_parts(kept: dict[int, object]) -> Iterator[Part]:
    for position, route in kept.items():
        if not isinstance(route, dict):
            continue
        path, method, target = route.get("path"), route.get("method", ""), route.get("function")
        if isinstance(path, str) and isinstance(method, str) and isinstance(target, str):
            key = items.ItemKey(items.Kind.ROUTE, f"{path}:{method or 'GET'}")
            yield Part(key, ("routes", position), route, target)


def _resource_items(
    resources: dict[object, object],
) -> Iterator[tuple[problems.KeyPath, items.Kind, str, object, object]]:
    """Path, kind, key field, value of that field and the item, of every resource that is a mapping."""
    for section, (kind, field) in _RESOURCE_KEYS.items():
        listed = resources.get(section)
        for position, item in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(item, dict):
                yield ("resources", section, position), kind, field, item.get(field), item


def _unnamed_resources(resources: dict[object, object]) -> Iterator[problems.Finding]:
    for path, _, field, name, _ in _resource_items(resources):
        if name in (None, ""):
            yield _warning(path, f"has no '{field}': skipped")
        elif not isinstance(name, str):
            yield problems.Finding((*path, field), "must be text: quote it")
        elif problem := grammar.text_problem(name):
            yield problems.Finding((*path, field), problem)


def _resource_parts(resources: dict[object, object]) -> Iterator[Part]:
    for path, kind, _, name, item in _resource_items(resources):
        if isinstance(name, str) and name:
            yield Part(items.ItemKey(kind, name), path, item)


def _repeated(parts: tuple[Part, ...]) -> Iterator[problems.Finding]:
    """The same route or resource twice in one document: deterministic, but worth saying (faults.md F1)."""
    first: dict[items.ItemKey, problems.KeyPath] = {}
    for part in parts:
        earlier = first.setdefault(part.key, part.path)
        if earlier is not part.path:
            yield _warning(
                part.path, f"is the same {part.key.kind} as number {int(earlier[-1]) + 1} of this list: this one counts"
            )


def _unmerged(
    mapping: dict[object, object], known: tuple[str, ...], path: problems.KeyPath
) -> Iterator[problems.Finding]:
    for key in mapping:
        if isinstance(key, str) and key not in known:
            yield _warning((*path, key), "is not known: not merged", at_key=True)


def _mapping(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}


def _below(section: str, finding: problems.Finding) -> problems.Finding:
    return problems.Finding((section, *finding.path), finding.message, finding.severity, finding.at_key)


def _warning(path: problems.KeyPath, message: str, *, at_key: bool = False) -> problems.Finding:
    return problems.Finding(path, message, problems.Severity.WARNING, at_key=at_key)
