"""The folder for build contexts: private, bounded, and never a way into somebody else's files (faults.md P9, G4)."""

import os
import stat
from pathlib import Path

import pytest

from controller import errors, scratch


def refusal(path: Path) -> errors.ControllerError:
    with pytest.raises(errors.ControllerError) as raised:
        scratch.clear(path)
    return raised.value


def test_every_target_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("state")
    here = scratch.scratch_of(tmp_path / "state")
    assert scratch.scratch_of(tmp_path / "link") == here
    assert scratch.scratch_of(tmp_path / "other") != here
    assert not here.exists(), "a place is only a name"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert scratch.scratch_of(tmp_path / "state") != here


def test_p9_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        scratch.clear(tmp_path / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_p9_leftovers_go_and_what_they_point_to_stays(tmp_path: Path) -> None:
    outside, place = tmp_path / "outside", tmp_path / "scratch"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("stays")
    os.chmod(outside, 0o740)
    left = place / "build-1" / "context"
    left.mkdir(parents=True)
    (left / "link").symlink_to(outside)
    (place / "link").symlink_to(outside)
    (place / "file").write_text("goes")
    scratch.clear(place)
    assert list(place.iterdir()) == []
    assert sorted(path.name for path in outside.iterdir()) == ["file", "folder"]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o740


def test_p9_folders_that_nobody_may_write_to_go_too(tmp_path: Path) -> None:
    scratch.clear(tmp_path / "scratch")
    with scratch.room(tmp_path / "scratch") as room:
        (room / "a" / "b").mkdir(parents=True)
        (room / "a" / "b" / "file").write_text("x")
        os.chmod(room / "a" / "b", 0o500)
        os.chmod(room / "a", 0o000)
    assert not room.exists()


def test_p9_a_room_is_gone_after_a_failure(tmp_path: Path) -> None:
    scratch.clear(tmp_path / "scratch")
    with pytest.raises(KeyboardInterrupt), scratch.room(tmp_path / "scratch") as room:
        raise KeyboardInterrupt
    assert not room.exists()


@pytest.mark.parametrize("trap", ["link", "file", "dangling"])
def test_g4_another_thing_in_its_place_is_refused_and_not_touched(tmp_path: Path, trap: str) -> None:
    outside, place = tmp_path / "outside", tmp_path / "scratch"
    outside.mkdir()
    (outside / "kept").write_text("x")
    if trap == "file":
        place.write_text("x")
    else:
        place.symlink_to(outside if trap == "link" else tmp_path / "nowhere")
    error = refusal(place)
    assert error.reason == "Unwritable"
    assert str(place) in error.message
    assert "TMPDIR" in error.message
    assert (outside / "kept").exists()
    assert os.path.lexists(place)


def test_g4_a_folder_of_somebody_else_is_refused_and_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_text("x")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "not a folder of this user" in refusal(tmp_path).message
    assert (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    error = refusal(tmp_path / "missing" / "scratch")
    assert error.reason == "Unwritable"
    assert "TMPDIR" in error.message
