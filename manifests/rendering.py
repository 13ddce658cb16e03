"""Values to the YAML text of items, such that YAML 1.1 and YAML 1.2 readers read the same (consumers.md GW15).

Used where entries are cut into items; `core.assembly` puts the texts together again. One emitter run for many items,
read back at once: what is handed out has been parsed and compared.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence

from core import digest, scalars
from manifests import yaml_builder

_UNLIMITED = yaml_builder.Limits(max_bytes=1 << 40, max_depth=256, max_values=1 << 40)
_MAPPING_ITEM = re.compile(r"^(?=[^ \-:\n])", re.MULTILINE)
"""Where a mapping's entry begins: at column 0, with a plain key, a quote or `?`. Its lists stand at column 0 too."""
_SEQUENCE_ITEM = re.compile(r"^(?=-)", re.MULTILINE)


class RenderingError(RuntimeError):
    """What was written does not read back as what was meant: a bug, never the fault of a document."""


def render_mapping(values: Mapping[str, digest.Value]) -> list[str]:
    """The block text ``key:\\n  ...`` or ``key: scalar\\n`` of each entry, at column 0, in order. Raises
    `RenderingError`."""
    return _render(dict(values), _MAPPING_ITEM)


def render_sequence(values: Sequence[digest.Value]) -> list[str]:
    """The block text ``- ...\\n`` of each item, at column 0, in order. Raises `RenderingError`."""
    return _render(list(values), _SEQUENCE_ITEM)


def spell(value: scalars.Scalar) -> tuple[str, bool]:
    """A scalar's text, and whether it is a string to be put in double quotes."""
    if isinstance(value, str):
        return value, not scalars.is_plain_safe(value)
    if value is None:
        return "null", False
    if isinstance(value, bool):
        return ("true" if value else "false"), False
    return (str(value) if isinstance(value, int) else _spell_float(value)), False


def verify(value: digest.Value, text: str) -> None:
    """Read `text` back and compare, with types and key order. Raises `RenderingError`, which shows no value."""
    # Not at the top: who renders nothing must not pay for loading the YAML library.
    from manifests import yaml_text

    parsed = yaml_text.parse(text.encode(), limits=_UNLIMITED, positions_depth=-1)
    if parsed.problems:
        raise RenderingError(f"rendered text does not read back: {parsed.problems[0].message}")
    if json.dumps(parsed.value) != json.dumps(value):
        raise RenderingError("rendered text reads back as something else")


def _render(values: dict[str, digest.Value] | list[digest.Value], item_start: re.Pattern[str]) -> list[str]:
    if not values:
        return []
    from manifests import yaml_text  # as above

    text = yaml_text.write(values, spell)
    verify(values, text)
    starts = [found.start() for found in item_start.finditer(text)]
    if len(starts) != len(values):
        raise RenderingError(f"rendered {len(values)} items and found {len(starts)}")
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _spell_float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # YAML 1.1 wants a point and a signed exponent; Python leaves out the point only.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
