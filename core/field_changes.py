"""What changed inside one item, field by field, with everything masked that may be secret.

Used by the printed and saved plans only. Owns the rule of what may be shown: a short list of fields that cannot hold a
secret (design.md section 6). An environment value is never shown, whatever its name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from core import digest, items

SHOWN_FIELDS = frozenset({"image", "timeout", "memory_size", "path", "method", "function", "BillingMode"})
"""Fields at the top of an item whose value may be shown; below `scaling` everything may."""

SHOWN_SHAPES = frozenset(
    {
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "LifecycleConfiguration",
        "LocalSecondaryIndexes",
        "ProvisionedThroughput",
    }
)
"""What a table or a bucket is like: whoever has to change one by hand needs to know (`not-convergeable`)."""

MASK = "(value hidden)"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its dotted path, and both values as text, or the mask, or None where the field is absent."""

    path: str
    before: str | None
    after: str | None


def compare(kind: items.Kind, before: digest.Value, after: digest.Value) -> tuple[FieldChange, ...]:
    """The fields that differ between two values of an item of this kind, in the order of the new value."""
    old = dict(_flat((), before))
    new = dict(_flat((), after))
    paths = list(new) + [path for path in old if path not in new]
    return tuple(
        FieldChange(
            ".".join(path) or "value",
            _shown(kind, path, old[path]) if path in old else None,
            _shown(kind, path, new[path]) if path in new else None,
        )
        for path in paths
        if path not in old or path not in new or digest.of_value(old[path]) != digest.of_value(new[path])
    )


def _flat(path: tuple[str, ...], value: digest.Value) -> Iterator[tuple[tuple[str, ...], digest.Value]]:
    """Leaves by path. Lists are leaves: their items have no names, so "the list changed" is all that can be said."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat((*path, key), inner)
    else:
        yield path, value


def _shown(kind: items.Kind, path: tuple[str, ...], value: digest.Value) -> str:
    open_field = bool(path) and (path[0] == "scaling" or (len(path) == 1 and path[0] in SHOWN_FIELDS))
    of_shape = kind in (items.Kind.TABLE, items.Kind.BUCKET) and path[:1] and path[0] in SHOWN_SHAPES
    if kind is items.Kind.DEFAULT_SCALING or open_field or of_shape:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return MASK
