"""Publishing a generation: every state that CONFIG_DIR can be found in, and every way in which a publish can be cut off.

Readers are asked at every primitive, before and after: they may see the old set or the new one, and nothing between.
"""

import contextlib
import errno
import itertools
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core import items, observed, publishing
from manifests import atomic, config_dir, errors, generation

FUNCTIONS, ROUTING, RESOURCES = items.Document
OLD = {document: f"{document}: old\n".encode() for document in items.Document}
NEW = {document: f"{document}: new\n".encode() for document in items.Document}
NEWER = {document: f"{document}: newer\n".encode() for document in items.Document}

Seen = Mapping[items.Document, bytes | None]
Build = Callable[[Path], None]


def ignore(step: str) -> None:
    del step


def publish(path: Path, documents: Mapping[items.Document, bytes] = NEW, *, mtime_s: int = 2000) -> int:
    return generation.publish(path, documents, number=1, mtime_s=mtime_s, on_step=ignore)


def seen(path: Path) -> Seen:
    """What a reader gets, who knows nothing of links."""
    found: dict[items.Document, bytes | None] = {}
    for document in items.Document:
        try:
            found[document] = (path / document).read_bytes()
        except FileNotFoundError:
            found[document] = None
    return found


def names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def assert_converged(path: Path, documents: Mapping[items.Document, bytes] = NEW) -> None:
    look = config_dir.observe(path)
    assert seen(path) == documents
    assert {state.presence for state in look.documents.values()} == {observed.Presence.LINK}
    assert look.leftovers == ()
    assert look.generation is not None
    assert len(look.generations) <= 2
    assert look.generation == look.generations[-1]


# --- the states of A6 ------------------------------------------------------------------------------------------------


def empty(path: Path) -> None:
    del path


def plain(path: Path) -> None:
    for document in items.Document:
        (path / document).write_bytes(OLD[document])
        os.utime(path / document, (1000, 1000))


def plain_without_resources(path: Path) -> None:
    plain(path)
    (path / RESOURCES).unlink()


def published(path: Path) -> None:
    publish(path, OLD, mtime_s=1000)


def published_twice(path: Path) -> None:
    publish(path, NEWER, mtime_s=900)
    publish(path, OLD, mtime_s=1000)


def one_replaced_by_plain(path: Path) -> None:
    published(path)
    (path / "theirs").write_bytes(b"functions.yml: theirs\n")
    (path / "theirs").rename(path / FUNCTIONS)


def one_link_missing(path: Path) -> None:
    published(path)
    (path / ROUTING).unlink()


def all_links_missing(path: Path) -> None:
    published(path)
    for document in items.Document:
        (path / document).unlink()


def all_replaced_by_plain(path: Path) -> None:
    published(path)
    for document in items.Document:
        (path / document).unlink()
    plain(path)


def only_dangling_links(path: Path) -> None:
    for document in items.Document:
        (path / document).symlink_to(f"..data/{document}")


def one_dangling_link(path: Path) -> None:
    (path / FUNCTIONS).symlink_to("..data/functions.yml")


def dangling_link_and_plain(path: Path) -> None:
    plain(path)
    (path / ROUTING).unlink()
    (path / ROUTING).symlink_to("..data/routing.yml")


def switch_to_missing(path: Path) -> None:
    published(path)
    shutil.rmtree(path / "..gen-000001")


def switch_to_missing_and_plain(path: Path) -> None:
    plain(path)
    (path / "..data").symlink_to("..gen-000031")


def switch_missing(path: Path) -> None:
    published(path)
    (path / "..data").unlink()


def switch_missing_and_plain(path: Path) -> None:
    one_replaced_by_plain(path)
    (path / "..data").unlink()


def generation_without_a_file(path: Path) -> None:
    published(path)
    (path / "..gen-000001" / ROUTING).unlink()


def generation_with_a_folder_as_file(path: Path) -> None:
    generation_without_a_file(path)
    (path / "..gen-000001" / ROUTING).mkdir()


def foreign_switch(path: Path) -> None:
    (path / "theirs").mkdir()
    plain(path / "theirs")
    (path / "..data").symlink_to("theirs")
    only_dangling_links(path)


def foreign_switch_and_plain(path: Path) -> None:
    foreign_switch(path)
    (path / FUNCTIONS).unlink()
    (path / FUNCTIONS).write_bytes(b"plain beside\n")


def foreign_links(path: Path) -> None:
    (path / "theirs").mkdir()
    plain(path / "theirs")
    for document in items.Document:
        (path / document).symlink_to(f"theirs/{document}")


def foreign_dangling_link(path: Path) -> None:
    plain(path)
    (path / ROUTING).unlink()
    (path / ROUTING).symlink_to("nowhere")


def links_into_a_generation(path: Path) -> None:
    published(path)
    for document in items.Document:
        (path / document).unlink()
        (path / document).symlink_to(f"..gen-000001/{document}")


def absolute_links_through_the_switch(path: Path) -> None:
    published(path)
    for document in items.Document:
        (path / document).unlink()
        (path / document).symlink_to(path / "..data" / document)


def leftovers_of_every_kind(path: Path) -> None:
    published_twice(path)
    for number in (7, 8):
        (path / f"..gen-{number:06d}").mkdir()
        (path / f"..gen-{number:06d}" / FUNCTIONS).write_bytes(b"torn")
    (path / "..gen-000008" / "sub").mkdir()
    (path / "..gen-000009").write_bytes(b"not even a directory")
    (path / "..data_tmp").symlink_to("..gen-000008")
    (path / "..functions.yml_tmp").symlink_to("..data/functions.yml")
    (path / "..routing.yml_tmp").write_bytes(b"torn")


def foreign_files_beside(path: Path) -> None:
    plain(path)
    (path / "notes.txt").write_bytes(b"mine")
    (path / "folder").mkdir()
    (path / "folder" / FUNCTIONS).write_bytes(b"mine too")
    (path / ".controller").mkdir()


STATES: tuple[Build, ...] = (
    empty,
    plain,
    plain_without_resources,
    published,
    published_twice,
    one_replaced_by_plain,
    one_link_missing,
    all_links_missing,
    all_replaced_by_plain,
    only_dangling_links,
    one_dangling_link,
    dangling_link_and_plain,
    switch_to_missing,
    switch_to_missing_and_plain,
    switch_missing,
    switch_missing_and_plain,
    generation_without_a_file,
    generation_with_a_folder_as_file,
    foreign_switch,
    foreign_switch_and_plain,
    foreign_links,
    foreign_dangling_link,
    links_into_a_generation,
    absolute_links_through_the_switch,
    leftovers_of_every_kind,
    foreign_files_beside,
)
SWEPT = (empty, published_twice, plain, one_replaced_by_plain, one_link_missing, leftovers_of_every_kind)


class Killed(BaseException):
    """The process ends here: nothing after it runs, no clean-up either."""


class Intercepted:
    """Stands in for the module `os` inside `manifests.atomic`: counts its calls, and may fail one of them."""

    WATCHED = frozenset(
        ("open", "write", "read", "fsync", "close", "fchmod", "utime", "mkdir", "symlink", "rename", "unlink")
        + ("stat", "lstat", "fstat")
    )

    def __init__(self, *, at: int = 0, failure: BaseException | None = None, late: bool = False) -> None:
        self.calls: list[str] = []
        self.watch: Callable[[], None] = lambda: None
        self._at = at
        self._failure = failure
        self._late = late

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._wrapped(name, real) if name in self.WATCHED else real

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            self.watch()
            failure = self._failure if len(self.calls) == self._at else None
            if failure and not self._late and name != "close":  # a close that fails has closed
                raise failure
            try:
                result = real(*args, **kwargs)
            except OSError as error:
                raise failure or error from None
            self.watch()
            if failure:
                raise failure
            return result

        return call


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A folder in memory where there is one: the sweeps sync thousands of times."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


def only_old_or_new(path: Path, old: Seen, new: Seen = NEW) -> Callable[[], None]:
    def check() -> None:
        assert seen(path) in (old, new)

    return check


def seen_or_folder(path: Path) -> Seen:
    try:
        return seen(path)
    except IsADirectoryError:
        return {}


@pytest.mark.parametrize("build", STATES)
def test_a6_every_state_is_published_over_without_a_mixed_moment(
    fast_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(fast_path)
    foreign = names(fast_path) & {"theirs", "notes.txt", "folder", ".controller"}
    old = seen_or_folder(fast_path)
    watching = Intercepted()
    if old:
        watching.watch = only_old_or_new(fast_path, old)
    monkeypatch.setattr(atomic, "os", watching)
    publish(fast_path)
    monkeypatch.undo()
    assert_converged(fast_path)
    assert foreign <= names(fast_path)


@pytest.mark.parametrize("build", STATES)
def test_a6_a_second_publish_after_any_state_is_one_generation_further(fast_path: Path, build: Build) -> None:
    build(fast_path)
    first = publish(fast_path)
    second = publish(fast_path, NEWER, mtime_s=2001)
    assert second == first + 1
    assert_converged(fast_path, NEWER)
    assert config_dir.observe(fast_path).generations == (first, second)


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


# --- crashes and failing calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", SWEPT)
def test_a1_a_process_that_ends_at_any_call_leaves_old_or_new_and_the_next_publish_converges(
    fast_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for late in (False, True):
        for k in itertools.count(1):
            path = fast_path / f"{late}-{k}"
            path.mkdir()
            build(path)
            old = seen(path)
            intercepted = Intercepted(at=k, failure=Killed(), late=late)
            with monkeypatch.context() as patched:
                patched.setattr(atomic, "os", intercepted)
                with contextlib.suppress(Killed):
                    publish(path)
            if len(intercepted.calls) < k:
                break
            assert seen(path) in (old, NEW)
            watching = Intercepted()
            watching.watch = only_old_or_new(path, seen(path), NEWER)
            with monkeypatch.context() as patched:
                patched.setattr(atomic, "os", watching)
                publish(path, NEWER, mtime_s=2001)
            assert_converged(path, NEWER)
        assert k > 40, "the sweep must reach the end of a whole publish"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("build", SWEPT)
def test_a1_a_call_that_fails_leaves_old_or_new_and_no_litter(
    fast_path: Path, build: Build, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for late in (False, True):
        for k in itertools.count(1):
            path = fast_path / f"{late}-{k}"
            path.mkdir()
            build(path)
            old = seen(path)
            intercepted = Intercepted(at=k, failure=OSError(number, os.strerror(number)), late=late)
            failed = None
            with monkeypatch.context() as patched:
                patched.setattr(atomic, "os", intercepted)
                try:
                    publish(path)
                except errors.PublishError as error:
                    failed = error
            if len(intercepted.calls) < k:
                break
            assert failed is None or failed.errno in (number, None)
            if failed is None or failed.flipped:
                assert seen(path) == NEW
            else:
                assert seen(path) == old
            if failed:
                assert failed.step in set(generation.Step)
                assert str(failed.path).startswith(str(path))
                assert failed.flipped == (failed.generation is not None)
            if k > 1:  # the first call opens CONFIG_DIR
                _assert_no_litter(path)
            publish(path, NEWER, mtime_s=2001)
            assert_converged(path, NEWER)


def _assert_no_litter(path: Path) -> None:
    look = config_dir.observe(path)
    assert look.leftovers == ()
    assert len(look.generations) <= 2


def test_a4_a_failed_sync_is_never_tried_again_on_the_same_file(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the syncs fails once; the attempt ends there, and only syncs of the clean-up's directory could follow."""
    for k in itertools.count(1):
        path = fast_path / str(k)
        path.mkdir()
        published(path)
        synced: list[tuple[int, int]] = []

        def sync(fd: int, *, k: int = k, synced: list[tuple[int, int]] = synced) -> None:
            synced.append((os.fstat(fd).st_dev, os.fstat(fd).st_ino))
            if len(synced) == k:
                raise OSError(errno.EIO, "Input/output error")

        intercepted = Intercepted()
        intercepted.fsync = sync  # type: ignore[attr-defined]  # found before `__getattr__` is asked
        with monkeypatch.context() as patched:
            patched.setattr(atomic, "os", intercepted)
            try:
                publish(path)
                break
            except errors.PublishError as error:
                assert error.errno == errno.EIO
        assert len(synced) == k, "nothing is synced after a failed sync"
        assert seen(path) in (OLD, NEW)
    assert k >= 7, "three documents, their generation, CONFIG_DIR before and after the switch"


@pytest.mark.parametrize("build", [empty, published, plain])
@pytest.mark.parametrize("failure", [RuntimeError("failpoint"), Killed()], ids=["raise", "kill"])
def test_a2_every_named_step_can_fail_or_be_the_last(fast_path: Path, build: Build, failure: BaseException) -> None:
    for k in itertools.count(1):
        path = fast_path / str(k)
        path.mkdir()
        build(path)
        old = seen(path)
        reached: list[str] = []

        def on_step(step: str, *, k: int = k, reached: list[str] = reached) -> None:
            reached.append(step)
            if len(reached) == k:
                raise failure

        try:
            generation.publish(path, NEW, number=1, mtime_s=2000, on_step=on_step)
            break
        except (RuntimeError, Killed):
            pass
        assert seen(path) in (old, NEW)
        if isinstance(failure, RuntimeError):
            _assert_no_litter(path)
        publish(path, NEWER)
        assert_converged(path, NEWER)
    snapshot = {"snapshot-write", "snapshot-switch"}
    expected = set(generation.Step) - {"confirm", "sweep"} - (set() if build is plain else snapshot)
    assert set(reached) >= expected - ({"drop-generations"} if build is not published else set())


def test_a_failed_first_publish_leaves_no_dangling_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_step(step: str) -> None:
        if step == generation.Step.SWITCH:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        generation.publish(tmp_path, NEW, number=1, mtime_s=1, on_step=on_step)
    assert names(tmp_path) == set()


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


# --- others at work --------------------------------------------------------------------------------------------------


def test_a8_readers_never_miss_a_file_and_never_see_a_torn_one(tmp_path: Path) -> None:
    publish(tmp_path, OLD)
    whole = [{OLD[document], NEW[document]} for document in items.Document]
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                got = [(tmp_path / document).read_bytes() for document in items.Document]
            except OSError as error:
                wrong.append(error)
            else:
                wrong.extend(content for content, allowed in zip(got, whole, strict=True) if content not in allowed)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for round_ in range(60):
        publish(tmp_path, NEW if round_ % 2 else OLD, mtime_s=3000 + round_)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a7_an_older_applier_that_clears_and_copies_meanwhile_is_survived(fast_path: Path) -> None:
    source = fast_path / "source"
    target = fast_path / "target"
    source.mkdir()
    target.mkdir()
    plain(source)
    done = threading.Event()

    def clear_and_copy() -> None:
        while not done.is_set():
            for file in list(target.iterdir()):
                try:
                    shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
                except OSError:
                    continue
            for document in items.Document:
                try:
                    shutil.copy2(source / document, target / document)
                except OSError:
                    continue

    applier = threading.Thread(target=clear_and_copy)
    applier.start()
    try:
        for round_ in range(100):
            try:
                publish(target, NEW, mtime_s=3000 + round_)
            except errors.PublishError as error:
                assert error.step in set(generation.Step)
    finally:
        done.set()
        applier.join()
    publish(target, NEWER, mtime_s=4000)
    assert_converged(target, NEWER)


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


# --- real file systems -----------------------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small tmpfs with the given options."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"mount-{len(places)}"
        place.mkdir()
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a tmpfs cannot be mounted here (needs root and mount): {error}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


BIG = {document: b"x" * 40_000 for document in items.Document}


@pytest.mark.parametrize(("options", "documents"), [("size=64k", BIG), ("nr_inodes=10", NEW)], ids=["bytes", "inodes"])
def test_a9_a_full_disk_leaves_the_old_set_and_heals(
    mounted: Callable[[str], Path], options: str, documents: Mapping[items.Document, bytes]
) -> None:
    path = mounted(options)
    published(path)  # 9 inodes: root, three links, switch, generation, three files
    with pytest.raises(errors.PublishError, match=r"No space left on device \(errno 28\)") as caught:
        publish(path, documents)
    assert not caught.value.flipped
    assert seen(path) == OLD
    _assert_no_litter(path)
    subprocess.run(["mount", "-o", "remount,size=10m,nr_inodes=1000", path], check=True)
    publish(path, documents)
    assert_converged(path, documents)


def test_a9_a_read_only_file_system_is_an_error_with_path_and_errno(mounted: Callable[[str], Path]) -> None:
    path = mounted("size=1m")
    published(path)
    subprocess.run(["mount", "-o", "remount,ro", path], check=True)
    with pytest.raises(errors.PublishError, match=rf"step make-generation: {path}/\S+: Read-only file system"):
        publish(path)
    assert seen(path) == OLD
