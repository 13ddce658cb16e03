"""Publishing a generation: every state that CONFIG_DIR can be found in, the layout, the times, sweep and confirm.

Readers are asked at every primitive, before and after: they may see the old set or the new one, and nothing between.
"""

import errno
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from core import items, publishing
from manifests import atomic, config_dir, errors, generation
from tests.fakes.config_dirs import (
    FUNCTIONS,
    NEW,
    NEWER,
    OLD,
    ROUTING,
    STATES,
    Build,
    Intercepted,
    Killed,
    Seen,
    assert_converged,
    ignore,
    leftovers_of_every_kind,
    names,
    only_old_or_new,
    plain,
    publish,
    published,
    published_twice,
    seen,
    seen_or_folder,
    switch_to_missing,
)


@pytest.mark.parametrize("build", STATES)
def test_a6_every_state_is_published_over_without_a_mixed_moment(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    foreign = names(tmp_path) & {"theirs", "notes.txt", "folder", ".controller"}
    old = seen_or_folder(tmp_path)
    watching = Intercepted()
    if old:
        watching.watch = only_old_or_new(tmp_path, old)
    monkeypatch.setattr(atomic, "os", watching)
    publish(tmp_path)
    monkeypatch.undo()
    assert_converged(tmp_path)
    assert foreign <= names(tmp_path)


@pytest.mark.parametrize("build", STATES)
def test_a6_a_second_publish_after_any_state_is_one_generation_further(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    first = publish(tmp_path)
    second = publish(tmp_path, NEWER, mtime_s=2001)
    assert second == first + 1
    assert_converged(tmp_path, NEWER)
    assert config_dir.observe(tmp_path).generations == (first, second)


def test_the_layout_is_that_of_the_design(tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    publish(tmp_path, NEW)
    assert names(tmp_path) == {
        "..data",
        "..gen-000001",
        "..gen-000002",
        *(document.value for document in items.Document),
    }
    assert os.readlink(tmp_path / "..data") == "..gen-000002"
    assert {os.readlink(tmp_path / document) for document in items.Document} == {
        f"..data/{document}" for document in items.Document
    }
    assert names(tmp_path / "..gen-000001") == names(tmp_path / "..gen-000002") == set(items.Document)


def test_gw12_every_document_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        publish(tmp_path, {FUNCTIONS: b"", ROUTING: b""})
    assert names(tmp_path) == set()


def test_a10_consumers_may_read_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        publish(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "..gen-000001").stat().st_mode) == 0o755
    assert {stat.S_IMODE((tmp_path / document).stat().st_mode) for document in items.Document} == {0o644}


def test_gw2_all_new_files_get_the_given_time(tmp_path: Path) -> None:
    publish(tmp_path, mtime_s=4_070_908_800)
    assert {(tmp_path / document).stat().st_mtime_ns for document in items.Document} == {4_070_908_800 * 10**9}


def test_a6_adoption_shows_the_old_content_with_its_old_times_and_modes(tmp_path: Path) -> None:
    plain(tmp_path)
    os.utime(tmp_path / FUNCTIONS, ns=(1, 1_000_000_000_123_456_789))
    (tmp_path / FUNCTIONS).chmod(0o600)
    publish(tmp_path)
    kept = (tmp_path / "..gen-000001" / FUNCTIONS).stat()
    assert (tmp_path / "..gen-000001" / FUNCTIONS).read_bytes() == OLD[FUNCTIONS]
    assert kept.st_mtime_ns == 1_000_000_000_123_456_789
    assert stat.S_IMODE(kept.st_mode) == 0o600, "a copy of a private file must not become public"


def test_a6_the_number_that_adoption_and_taken_numbers_lead_to_is_returned(tmp_path: Path) -> None:
    plain(tmp_path)
    assert publish(tmp_path) == 2
    assert generation.publish(tmp_path, NEW, number=50, mtime_s=1, on_step=ignore) == 50
    assert publish(tmp_path) == 51


def test_a6_the_number_of_a_missing_generation_is_not_used_again(tmp_path: Path) -> None:
    switch_to_missing(tmp_path)
    assert publish(tmp_path) == 2


def test_the_publish_goes_through_a_link_to_config_dir(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link")
    assert_converged(tmp_path / "real")


# --- what only a person can clear ------------------------------------------------------------------------------------


def folder_as_document(path: Path) -> None:
    published(path)
    (path / FUNCTIONS).unlink()
    (path / FUNCTIONS).mkdir()


def fifo_as_document(path: Path) -> None:
    plain(path)
    (path / ROUTING).unlink()
    os.mkfifo(path / ROUTING)


def folder_as_switch(path: Path) -> None:
    plain(path)
    (path / "..data").mkdir()


def file_as_switch(path: Path) -> None:
    (path / "..data").write_bytes(b"mine")


def leftovers_and_folder_as_document(path: Path) -> None:
    leftovers_of_every_kind(path)
    (path / ROUTING).unlink()
    (path / ROUTING).mkdir()


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "build",
    [folder_as_document, fifo_as_document, folder_as_switch, file_as_switch, leftovers_and_folder_as_document],
)
def test_a6_an_obstacle_is_an_error_before_anything_is_changed(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    before = {file: os.lstat(file).st_mtime_ns for file in tmp_path.rglob("*")}
    with pytest.raises(errors.ObstructedError, match=r"step inspect: .* not a ") as caught:
        publish(tmp_path)
    assert not caught.value.flipped
    assert {file: os.lstat(file).st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_p2_the_error_names_step_path_and_cause(tmp_path: Path) -> None:
    def on_step(step: str) -> None:
        if step == generation.Step.WRITE:
            shutil.rmtree(tmp_path / "..gen-000001")

    with pytest.raises(errors.PublishError) as caught:
        generation.publish(tmp_path, NEW, number=1, mtime_s=1, on_step=on_step)
    assert str(caught.value) == (
        f"step write-document: {tmp_path}/..gen-000001/functions.yml: No such file or directory (errno 2)"
    )
    assert (caught.value.flipped, caught.value.generation) == (False, None)


@pytest.mark.parametrize(
    ("step", "name", "flipped"),
    [("check-generation", "..gen-000002/routing.yml", False), ("verify", "routing.yml", True)],
)
def test_p5_what_does_not_read_back_is_refused(tmp_path: Path, step: str, name: str, *, flipped: bool) -> None:
    published(tmp_path)

    def on_step(reached: str) -> None:
        if reached == step:
            (tmp_path / name).write_bytes(b"flipped bits")

    with pytest.raises(errors.PublishError, match="does not read back") as caught:
        generation.publish(tmp_path, NEW, number=1, mtime_s=1, on_step=on_step)
    assert (caught.value.step, caught.value.errno, caught.value.flipped) == (step, None, flipped)
    if not flipped:
        assert seen(tmp_path) == OLD


def test_a9_a_missing_directory_is_an_error_with_path_and_errno(tmp_path: Path) -> None:
    with pytest.raises(errors.PublishError, match=r"step inspect: .*nowhere: No such file or directory \(errno 2\)"):
        publish(tmp_path / "nowhere")


# --- a watcher of whole seconds --------------------------------------------------------------------------------------


class Watcher:
    """Reloads when a file's modification time in whole seconds is greater than the last one it saw (GW2)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_s: dict[items.Document, int] = {}
        self.content: dict[items.Document, bytes] = {}

    def poll(self) -> Seen:
        for document in items.Document:
            modified_s = int((self._path / document).stat().st_mtime)
            if modified_s > self._last_s.get(document, -1):
                self._last_s[document] = modified_s
                self.content[document] = (self._path / document).read_bytes()
        return self.content


def publish_at(path: Path, documents: Mapping[items.Document, bytes], now_s: float) -> None:
    mtime_s = publishing.next_mtime_s(now_s, config_dir.observe(path).newest_mtime_s)
    publish(path, documents, mtime_s=mtime_s)


@pytest.mark.parametrize(
    "times",
    [(1e9, 1e9 + 0.1, 1e9 + 0.2), (1e9, 1e9 - 3600, 1e9 - 3599), (1e9, 0.0, 1e9)],
    ids=["one-second", "clock-back-an-hour", "clock-1970-and-back"],
)
def test_a5_a_watcher_of_whole_seconds_sees_every_publish(tmp_path: Path, times: tuple[float, ...]) -> None:
    plain(tmp_path)
    watcher = Watcher(tmp_path)
    watcher.poll()
    for documents, now_s in zip((NEW, NEWER, NEW), times, strict=True):
        publish_at(tmp_path, documents, now_s)
        assert watcher.poll() == documents


@pytest.mark.parametrize("dated_s", [0, 4_070_908_800], ids=["1970", "2099"])
def test_a5_adopted_files_of_any_date_are_followed(tmp_path: Path, dated_s: int) -> None:
    plain(tmp_path)
    for document in items.Document:
        os.utime(tmp_path / document, (dated_s, dated_s))
    watcher = Watcher(tmp_path)
    watcher.poll()
    publish_at(tmp_path, NEW, 1e9)
    assert watcher.poll() == NEW
    publish_at(tmp_path, OLD, 1e9 + 1)
    assert watcher.poll() == OLD, "GW3: older content is a new generation"


def test_a6_adoption_alone_is_no_reload(tmp_path: Path) -> None:
    plain(tmp_path)
    watcher = Watcher(tmp_path)
    watcher.poll()
    polled: list[Seen] = []

    def on_step(step: str) -> None:
        polled.append(dict(watcher.poll()))
        if step == generation.Step.MAKE:
            raise Killed

    with pytest.raises(Killed):
        generation.publish(tmp_path, NEW, number=1, mtime_s=2000, on_step=on_step)
    assert os.readlink(tmp_path / "..data") == "..gen-000001"
    assert all(each == OLD for each in polled)


# --- sweep and confirm -----------------------------------------------------------------------------------------------


def test_a1_sweep_removes_the_named_leftovers_and_nothing_else(tmp_path: Path) -> None:
    leftovers_of_every_kind(tmp_path)
    (tmp_path / "notes.txt").touch()
    look = config_dir.observe(tmp_path)
    generation.sweep(tmp_path, [*look.leftovers, "..data", "..gen-000002", "notes.txt", "../x", FUNCTIONS])
    assert names(tmp_path) == {
        "..data",
        "..gen-000001",
        "..gen-000002",
        "notes.txt",
        *(document.value for document in items.Document),
    }
    assert seen(tmp_path) == OLD


def test_sweep_never_follows_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    config = tmp_path / "config"
    outside.mkdir()
    (outside / "precious").touch()
    config.mkdir()
    (config / "..gen-000001").symlink_to(outside)
    (config / "..gen-000002").mkdir()
    (config / "..gen-000002" / "link").symlink_to(outside)
    generation.sweep(config, ["..gen-000001", "..gen-000002"])
    assert names(config) == set()
    assert names(outside) == {"precious"}


def test_sweep_leaves_what_was_not_named(tmp_path: Path) -> None:
    leftovers_of_every_kind(tmp_path)
    generation.sweep(tmp_path, ["..data_tmp"])
    assert "..gen-000007" in names(tmp_path)
    assert "..data_tmp" not in names(tmp_path)


@pytest.mark.parametrize("build", [published_twice, plain])
def test_p3_confirm_syncs_what_is_visible_and_changes_nothing(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    before = {file: os.lstat(file).st_mtime_ns for file in tmp_path.rglob("*")}
    intercepted = Intercepted()
    monkeypatch.setattr(atomic, "os", intercepted)
    generation.make_durable(tmp_path, ignore)
    monkeypatch.undo()
    assert intercepted.calls.count("fsync") == (4 if build is plain else 5)
    assert {file: os.lstat(file).st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_p3_a_confirm_that_fails_says_which_generation_is_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published_twice(tmp_path)
    intercepted = Intercepted()
    intercepted.fsync = _no_sync  # type: ignore[attr-defined]  # found before `__getattr__` is asked
    monkeypatch.setattr(atomic, "os", intercepted)
    with pytest.raises(errors.PublishError, match="step confirm") as caught:
        generation.make_durable(tmp_path, ignore)
    assert (caught.value.flipped, caught.value.generation) == (True, 2)


def _no_sync(fd: int) -> None:
    del fd
    raise OSError(errno.EIO, "Input/output error")
