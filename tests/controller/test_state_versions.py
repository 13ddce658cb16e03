"""Databases that earlier versions wrote: read as they are, brought up to date by the next write (faults.md L6).

Each file below tests/cases/state was written by the version that it is named after, from e2e/artifacts/shop.
"""

import datetime
import shutil
import sqlite3
from pathlib import Path

import pytest

from controller import state, state_rows
from core import items

KEPT = sorted((Path(__file__).parent.parent / "cases" / "state").glob("version-*.db"))
NOW = datetime.datetime(2026, 2, 20, tzinfo=datetime.UTC)


def test_every_older_version_is_kept() -> None:
    assert [int(file.stem.removeprefix("version-")) for file in KEPT] == list(
        range(state_rows.OLDEST, state_rows.VERSION)
    )


@pytest.mark.parametrize("kept", KEPT, ids=lambda file: file.stem)
def test_l6_an_older_record_is_read_and_kept_up_to_date(kept: Path, tmp_path: Path) -> None:
    shutil.copy(kept, tmp_path / state.NAME)
    before = (tmp_path / state.NAME).read_bytes()
    store = state.State(tmp_path, now=lambda: NOW)
    known = store.load(with_items=True)
    assert known.applied is not None
    names = [part.item.key.name for part in known.applied.items if part.item.key.kind is items.Kind.FUNCTION]
    assert names == ["orders-create", "orders-report", "catalog-list"]
    assert (known.images, known.commit, known.ref, known.repairs, known.rebuilt) == ((), "", "", None, "")
    assert {(row.result, row.commit) for row in store.history(5)} == {("applied", "")}
    assert (tmp_path / state.NAME).read_bytes() == before, "reading changes nothing"
    store.record_provision("sha256:resources")
    store.close()
    again = state.State(tmp_path, now=lambda: NOW).load(with_items=True)
    assert again.applied == known.applied
    assert again.provisioned_digest == "sha256:resources"
    with sqlite3.connect(tmp_path / state.NAME) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (state_rows.VERSION,)
