"""The rules of a publish that need no disk: modification times and names.

`manifests.generation` and `manifests.plain_files` carry a publish out; the caller asks here first which time the new
files get and how long to wait before they become visible. Reads no clock: every time is an argument.
"""

import re
from collections.abc import Iterable

from core import items

SWITCH = "..data"
"""The link whose renaming publishes: it names the visible generation."""

SWITCH_TEMP = "..data_tmp"
"""The next `SWITCH` while it is prepared."""

OWNER_TEMP = "..controller-owner_tmp"
"""The file that names the owner of CONFIG_DIR (`core.ownership`) while it is prepared."""

MAX_LEAD_S = 1.0
"""How far a modification time may be ahead of the clock (consumers.md GW2)."""

MAX_PATIENCE_S = 3.0
"""A greater lead does not come from quick publishes, and no reasonable wait ends it."""

_MADE_UP = 10**9

_GENERATION = re.compile(r"\.\.gen-([0-9]{6}|[1-9][0-9]{6,11})")


def next_mtime_s(now_s: float, newest_s: int) -> int:
    """The modification time, in whole seconds, of every new file of a publish (consumers.md GW2, faults.md P4).

    `newest_s` is the greatest whole-second modification time of any document that is visible, kept or remembered.
    Always greater than it, also when the clock went back or an adopted file is dated in the future.
    """
    return max(int(now_s), newest_s + 1)


def wait_s(now_s: float, mtime_s: int) -> float:
    """How long to wait before files of `mtime_s` become visible, so that none is dated more than 1 s ahead.

    Zero when the lead is larger than quick publishes explain (the clock was stepped back, a file was dated 2099):
    being seen now matters more than the date (faults.md P4, A5).
    """
    lead_s = mtime_s - now_s
    return lead_s - MAX_LEAD_S if MAX_LEAD_S < lead_s <= MAX_PATIENCE_S else 0.0


def next_number(existing: Iterable[int], remembered: int = 0) -> int:
    """A generation number greater than any on disk and any remembered one; the first is 1. A name that somebody made
    up to look like the last one there can be does not count."""
    return max(remembered, *(number for number in existing if number < _MADE_UP), 0) + 1


def generation_name(number: int) -> str:
    """The directory of a generation: ``..gen-000042``."""
    return f"..gen-{number:06d}"


def generation_number(name: str) -> int | None:
    """The number in a generation's name; None for any name that `generation_name` never gives."""
    match = _GENERATION.fullmatch(name)
    return int(match[1]) if match else None


def link_target(document: items.Document) -> str:
    """What a document's link names: ``..data/functions.yml``."""
    return f"{SWITCH}/{document.value}"


def document_temp(document: items.Document) -> str:
    """The name under which a document's link, or its plain file, is prepared: ``..functions.yml_tmp``."""
    return f"..{document.value}_tmp"


def is_temp(name: str) -> bool:
    """Whether only an interrupted publish leaves this name behind."""
    return name in (SWITCH_TEMP, OWNER_TEMP) or name in _DOCUMENT_TEMPS


def kept(visible: int | None, numbers: Iterable[int]) -> frozenset[int]:
    """The generations to keep: the visible one, and the one before it for readers in flight (faults.md A8)."""
    if visible is None:
        return frozenset()
    before = max((number for number in numbers if number < visible), default=visible)
    return frozenset({visible, before})


_DOCUMENT_TEMPS = frozenset(document_temp(document) for document in items.Document)
