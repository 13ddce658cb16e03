"""Publishing a generation while something goes wrong: every way to be cut off, others at work, full disks.

Whatever happens, readers see the old set or the new one, and the next publish converges.
"""

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from core import items
from manifests import atomic, errors, generation
from tests.fakes import tools
from tests.fakes.config_dirs import (
    FUNCTIONS,
    NEW,
    NEWER,
    OLD,
    SWEPT,
    Build,
    Intercepted,
    Killed,
    assert_converged,
    assert_no_litter,
    empty,
    names,
    only_old_or_new,
    plain,
    publish,
    published,
    seen,
)


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A folder in memory where there is one: the sweeps sync thousands of times."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


# --- crashes and failing calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", SWEPT)
def test_a1_a_process_that_ends_at_any_call_leaves_old_or_new_and_the_next_publish_converges(
    fast_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in itertools.count(1):
        path = fast_path / str(k)
        path.mkdir()
        build(path)
        old = seen(path)
        intercepted = Intercepted(at=k, failure=Killed())
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


@pytest.mark.parametrize(
    ("number", "late"),
    [(errno.EIO, False), (errno.EIO, True), (errno.ENOSPC, False)],
    ids=["EIO", "EIO-late", "ENOSPC"],
)
@pytest.mark.parametrize("build", SWEPT)
def test_a1_a_call_that_fails_leaves_old_or_new_and_no_litter(
    fast_path: Path, build: Build, number: int, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """A late failure is one whose effect took place: a rename that reports an error and has renamed."""
    for k in itertools.count(1):
        path = fast_path / str(k)
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
        assert seen(path) == (old if failed and not failed.flipped else NEW)
        if failed:
            assert os.strerror(number) in str(failed)
            assert failed.step in set(generation.Step)
            assert str(failed.path).startswith(str(path))
            assert failed.flipped == (failed.generation is not None)
        if k > 1:  # the first call opens CONFIG_DIR
            assert_no_litter(path)
        publish(path, NEWER, mtime_s=2001)
        assert_converged(path, NEWER)
    assert k > 40, "the sweep must reach the end of a whole publish"


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
    reached: list[str] = []
    for k in itertools.count(1):
        path = fast_path / str(k)
        path.mkdir()
        build(path)
        old = seen(path)
        reached.clear()

        def on_step(step: str, *, k: int = k) -> None:
            reached.append(step)
            if len(reached) == k:
                raise failure

        with contextlib.suppress(RuntimeError, Killed):
            generation.publish(path, NEW, number=1, mtime_s=2000, on_step=on_step)
        if len(reached) < k:
            break
        assert seen(path) in (old, NEW)
        if isinstance(failure, RuntimeError):
            assert_no_litter(path)
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


def test_cd2_a_link_that_is_replaced_during_the_publish_is_put_back(tmp_path: Path) -> None:
    published(tmp_path)

    def on_step(step: str) -> None:
        if step == generation.Step.SWITCH:
            (tmp_path / FUNCTIONS).unlink()
            (tmp_path / FUNCTIONS).write_bytes(b"older applier\n")

    generation.publish(tmp_path, NEW, number=1, mtime_s=2000, on_step=on_step)
    assert_converged(tmp_path)


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
            tools.absent(f"a tmpfs cannot be mounted here (needs root and mount): {error}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


BIG = dict.fromkeys(items.Document, b"x" * 40_000)


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
    assert_no_litter(path)
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
