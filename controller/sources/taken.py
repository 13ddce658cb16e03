"""Which of several sources gave what was applied last: a small file beside the floor of git sources.

Owns the file. Without it, or with a damaged one, nothing is known, and a source that only stands in for another is
trusted with less (see `order`).
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from controller.sources import git_memos


@dataclass(frozen=True, slots=True)
class Note:
    """`origin` is the identity of the source, `revision` what it held, `commit` the one of a git source, `at` when that
    was first found applied, as an ISO time."""

    origin: str = ""
    revision: str = ""
    commit: str = ""
    at: str = ""


def read(state_dir: Path) -> Note:
    """What is noted; an empty note where that cannot be read."""
    try:
        found = json.loads(_place(state_dir).read_bytes())
        note = Note(**found)
    except (OSError, ValueError, TypeError):
        return Note()
    return note if all(isinstance(one, str) for one in asdict(note).values()) else Note()


def write(state_dir: Path, note: Note) -> None:
    """Keep a note. Where it cannot be written, less is known: that fails no pass (faults.md P15)."""
    place = _place(state_dir)
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        git_memos.replace(place, json.dumps(asdict(note)))


def _place(state_dir: Path) -> Path:
    return state_dir / "source" / "taken.json"
