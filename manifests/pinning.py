"""The image of a function: read from its item, and replaced there by a pinned one.

Called by the controller between pushing images and publishing (contract.md section 5, setting `images.pin`). What it
gives is what reading the changed document would give: same value, same digest, same text. Opens nothing, and knows
neither registries nor what a reference means.
"""

import dataclasses
import functools
from collections.abc import Mapping

from core import desired, digest, items
from manifests import rendering, yaml_builder

_KEY = "image"
_UNLIMITED = yaml_builder.Limits(max_bytes=1 << 40, max_depth=256, max_values=1 << 40)
"""An item's text is our own; it was within the limits of its document."""


def image_of(item: items.Item) -> str:
    """The image reference of a function's item; empty where a live item has none. Costs one parse, once."""
    return _image(item.text)


def pin(wanted: desired.Desired, images: Mapping[str, str]) -> desired.Desired:
    """The desired state in which each of these functions has this reference as its `image`.

    Everything else is the same object, in the same order. Raises `KeyError` for a function that is not wanted, and
    `rendering.RenderingError` for an item whose text is not what an item's text is.
    """
    found = {items.ItemKey(items.Kind.FUNCTION, name): reference for name, reference in images.items()}
    values = {
        key.name: _with_image(_value(wanted.items[key]), reference)
        for key, reference in found.items()
        if image_of(wanted.items[key]) != reference
    }
    if not values:
        return wanted
    changed = {
        items.ItemKey(items.Kind.FUNCTION, name): (text, digest.of_value(values[name]))
        for name, text in zip(values, rendering.render_mapping(values), strict=True)
    }
    pinned = {key: item if key not in changed else _replaced(item, *changed[key]) for key, item in wanted.items.items()}
    return dataclasses.replace(wanted, items=pinned)


def _replaced(item: items.Item, text: str, value_digest: str) -> items.Item:
    return dataclasses.replace(item, text=text, digest=value_digest)


def _with_image(value: dict[str, digest.Value], reference: str) -> dict[str, digest.Value]:
    return {**value, _KEY: reference}


def _value(item: items.Item) -> dict[str, digest.Value]:
    value = _parsed(item.text)
    if not isinstance(value, dict):
        raise rendering.RenderingError(f"the item of function {item.key.name} is no mapping")
    return value


def _parsed(text: str) -> digest.Value:
    """The value of the only key of an item's text."""
    # Not at the top: who looks at no image must not pay for loading the YAML library.
    from manifests import yaml_text

    parsed = yaml_text.parse(text.encode(), limits=_UNLIMITED, positions_depth=-1)
    if parsed.problems or not isinstance(parsed.value, dict) or len(parsed.value) != 1:
        raise rendering.RenderingError("the text of an item does not read back as one key with its value")
    return next(iter(parsed.value.values()))


@functools.lru_cache(maxsize=4096)
def _image(text: str) -> str:
    value = _parsed(text)
    image = value.get(_KEY) if isinstance(value, dict) else None
    return image if isinstance(image, str) else ""
