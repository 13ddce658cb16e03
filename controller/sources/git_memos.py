"""What was found in order in a clone, for every target that uses it, and which targets those are (faults.md E8).

Owns the memos beside a clone: one for each set of settings that decide whether a commit is taken, so that targets with
different folders or keys do not take turns in forgetting. Each target leaves a mark that names its memos; what no such
mark names is dropped, and a clone without a mark belongs to nobody. Knows nothing of git.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core import digest

_MEMO = "known-*.json"
_OLD_MEMO = "known.json"


@dataclass(frozen=True, slots=True)
class Known:
    """What was found in order the last time. `rules` covers the settings that it depends on; `after` are the commits
    that it was seen to follow; `at` is when it was found, for people."""

    commit: str
    object_id: str
    tree: str
    after: str
    rules: str
    left_out: tuple[str, ...]
    ref: str = ""
    at: str = ""


def name_of(rules: str) -> str:
    """The file of the memo for these settings, by their digest."""
    return f"known-{digest.of_parts((rules,)).rpartition(':')[2][:16]}.json"


class Memos:
    """Memos in one clone's folder, as one target sees them. `floor` is a file of the target alone: it tells targets
    apart, and one whose folder is gone is gone too."""

    def __init__(self, folder: Path, floor: Path) -> None:
        self._folder = folder
        self._floor = floor.absolute()
        self._mark = folder / "targets" / digest.of_parts((str(self._floor),)).rpartition(":")[2][:16]

    def known(self, rules: str) -> Known | None:
        """What is remembered for these settings; a memo that cannot be read is none."""
        found = _read(self._folder / name_of(rules))
        return found if found is not None and found.rules == rules else None

    def keep(self, known: Known) -> None:
        """Remember it."""
        replace(self._folder / name_of(known.rules), json.dumps(asdict(known)))

    def mark(self, names: frozenset[str]) -> None:
        """Say which memos this target uses."""
        text = "".join(f"{line}\n" for line in (str(self._floor), *sorted(names)))
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._mark.read_text(encoding="utf-8") == text:
                return
        self._mark.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another command of the same target says the same just now
            replace(self._mark, text)

    def leave(self) -> bool:
        """Say that this target does not use the clone any more; whether nobody does."""
        self._mark.unlink(missing_ok=True)
        return not list(self._marks())

    def sweep(self) -> None:
        """Drop the memos that no living target names."""
        used = {name for names in self._marks() for name in names}
        for place in (*self._folder.glob(_MEMO), self._folder / _OLD_MEMO):
            if place.name not in used:
                place.unlink(missing_ok=True)

    def trees(self) -> frozenset[str]:
        """The checkouts that memos speak of."""
        found = (_read(place) for place in self._folder.glob(_MEMO))
        return frozenset(known.tree for known in found if known is not None)

    def _marks(self) -> Iterator[tuple[str, ...]]:
        """The memos that each living target names; marks of others are removed."""
        for place in (self._folder / "targets").glob("[0-9a-f]*"):
            try:
                lines = place.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            if lines and Path(lines[0]).parent.is_dir():
                yield tuple(lines[1:])
            else:
                place.unlink(missing_ok=True)


def _read(place: Path) -> Known | None:
    try:
        found = json.loads(place.read_bytes())
        known = Known(**{**found, "left_out": tuple(found["left_out"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return known if re.fullmatch("[0-9a-f]{40,64}", known.tree) else None


def replace(path: Path, text: str) -> None:
    """Write a file all at once."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
