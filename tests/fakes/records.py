"""Values for tests of the record: a clock that is moved by hand, sets, successes and failures, and a look at a folder."""

import datetime
import random
from dataclasses import replace
from pathlib import Path

from controller import state
from core import items, record

START = datetime.datetime(2026, 2, 20, 7, 4, 4, tzinfo=datetime.UTC)


class FakeClock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime.datetime:
        """The time."""
        return self.time

    def forward(self, seconds: int) -> None:
        """Move on."""
        self.time += datetime.timedelta(seconds=seconds)


def chance(seed: int | str) -> random.Random:
    """The same chance in every run."""
    return random.Random(seed)


def parts(*names: str, mark: str = "") -> tuple[record.AppliedItem, ...]:
    """Functions of these names and one foreign route; `mark` makes them different."""
    functions = tuple(
        record.AppliedItem(
            items.Item(items.ItemKey(items.Kind.FUNCTION, name), f"sha256:{name}{mark}", f"{name}:\n  x: é{mark}\n", n),
            "entry",
        )
        for n, name in enumerate(names, 1)
    )
    route = items.Item(items.ItemKey(items.Kind.ROUTE, "/a:GET"), "sha256:r", "- path: /a\n", 0, "hello")
    return (*functions, record.AppliedItem(route, None))


def condition(reason: str = "Applied") -> dict[str, record.Condition]:
    """One condition."""
    return {"Ready": record.Condition("Ready", "True", reason, "fine", "sha256:1", "2026-02-20T07:04:04Z")}


def success(mark: str = "1", **more: object) -> state.Success:
    """A success whose revision, documents and items depend on `mark`."""
    made = state.Success(
        revision=f"sha256:{mark}",
        generation=int(mark),
        desired_digest=f"sha256:d{mark}",
        document_digests={document: f"sha256:{document}{mark}" for document in items.Document},
        items=parts("hello", "world", mark=mark),
        pass_digest=f"sha256:p{mark}",
        newest_mtime_s=1771571044,
        conditions=condition(),
        reason="SourceChanged",
        message=f"published {mark}",
        notes=("ForeignFile: README.md in CONFIG_DIR is not ours: kept",),
        events=(state.Event("Added", "function hello", "from entry"),),
    )
    return replace(made, **more)  # type: ignore[arg-type]  # the tests name fields of Success


def failure(reason: str = "ArtifactInvalid", revision: str = "sha256:9", doubtful: int | None = None) -> state.Failure:
    """A failure."""
    return state.Failure(revision, reason, "artifact.yml:1:1 no", condition(reason), doubtful)


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in a directory: inode, modification time and content."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.iterdir())
    }
