"""G1: nothing outside a root is opened, whatever its links say and whenever they are swapped."""

import ast
import contextlib
import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from manifests import beneath, source_errors
from tests.fakes import tools

PROJECT = Path(__file__).parents[2]
SECRET = b"root:$6$sentinel-that-must-never-be-seen\n"
LIMIT = 1000

_before_open: list[Callable[[str, int], None]] = []


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _before_open and isinstance(arguments[2], int):
        for callback in tuple(_before_open):
            callback(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "", arguments[2])


sys.addaudithook(_on_audit)


@contextlib.contextmanager
def before_open(callback: Callable[[str, int], None]) -> Iterator[None]:
    """Call back at the last moment before each `open` of this process: the moment between check and use."""
    _before_open.append(callback)
    try:
        yield
    finally:
        _before_open.remove(callback)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """`inside/` is the root, `outside/` has the sentinel; no descriptor may be left open afterwards."""
    (tmp_path / "inside" / "a" / "b").mkdir(parents=True)
    (tmp_path / "inside" / "a" / "file").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(SECRET)
    (tmp_path / "inside-too").mkdir()
    (tmp_path / "inside-too" / "file").write_bytes(SECRET)
    before = sorted(os.listdir("/proc/self/fd"))
    yield tmp_path
    assert sorted(os.listdir("/proc/self/fd")) == before


def link(path: Path, target: str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


ESCAPES = {
    "traversal": "../outside/file",
    "traversal from below": "a/../../outside/file",
    "file link": "file-link",
    "absolute file link": "absolute-link",
    "folder link": "folder-link/file",
    "absolute folder link": "absolute-folder-link/file",
    "chain of links": "chain-1/file",
    "link below a link": "a/b/up/up/up/outside/file",
    "sibling whose name begins the same": "sibling-link/file",
    "leaves and comes back": "boomerang",
    "root of the machine": "slash/etc/passwd",
    "proc": "environ-link",
    "stdin": "stdin-link",
}


@pytest.fixture
def hostile(world: Path) -> Path:
    inside = world / "inside"
    link(inside / "file-link", "../outside/file")
    link(inside / "absolute-link", world / "outside" / "file")
    link(inside / "folder-link", "../outside")
    link(inside / "absolute-folder-link", world / "outside")
    link(inside / "chain-1", "a/chain-2")
    link(inside / "a" / "chain-2", "b/chain-3")
    link(inside / "a" / "b" / "chain-3", "../../../outside")
    link(inside / "a" / "b" / "up", "..")
    link(inside / "a" / "up", "..")
    link(inside / "up", "..")
    link(inside / "sibling-link", world / "inside-too")
    link(inside / "boomerang", "../inside/a/file")
    link(inside / "slash", "/")
    link(inside / "environ-link", "/proc/self/environ")
    link(inside / "stdin-link", "/dev/stdin")
    return world


@pytest.mark.parametrize("path", ESCAPES.values(), ids=ESCAPES.keys())
def test_g1_an_escape_is_refused_by_every_way_in(hostile: Path, path: str) -> None:
    with beneath.Root(hostile / "inside") as root:
        for way in (root.stat, lambda each: root.read_file(each, max_bytes=LIMIT), root.open_dir, root.names):
            with pytest.raises(source_errors.PathEscapes) as refused:
                way(path)
            assert str(refused.value).startswith(os.path.normpath(path))
            assert "sentinel" not in str(refused.value)


@pytest.mark.parametrize(
    "path", ["a/file", "./a//b/../file", "to-file", "to-folder/file", "absolute/file", "real/file", "long-way"]
)
def test_links_that_stay_inside_are_followed(world: Path, path: str) -> None:
    inside = world / "inside"
    link(inside / "to-file", "a/file")
    link(inside / "to-folder", "./a/b/..")
    link(inside / "absolute", inside / "a")
    link(world / "alias", "inside")
    link(inside / "real", os.path.realpath(inside / "a"))
    link(inside / "long-way", "a/b/../b/../../to-folder/../to-file")
    with beneath.Root(world / "alias") as root:
        content, found = root.read_file(path, max_bytes=LIMIT)
        assert content == b"inside"
        assert os.path.samestat(found, (inside / "a" / "file").stat())
        assert os.path.samestat(root.stat(path), found)


def test_an_inner_root_may_not_climb_to_the_outer_one(world: Path) -> None:
    link(world / "inside" / "a" / "b" / "neighbour", "../file")
    link(world / "inside" / "a" / "b" / "absolute", world / "inside" / "a" / "file")
    with beneath.Root(world / "inside") as root:
        assert root.read_file("a/b/neighbour", max_bytes=LIMIT).content == b"inside"
        assert root.read_file("a/b/absolute", max_bytes=LIMIT).content == b"inside"
        with root.open_dir("a/b") as inner:
            for name in ("neighbour", "absolute", "../file"):
                with pytest.raises(source_errors.PathEscapes):
                    inner.read_file(name, max_bytes=LIMIT)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("loop", source_errors.LinkLoop), ("ping", source_errors.LinkLoop), ("gone", source_errors.PathMissing)],
)
def test_g1_loops_and_dangling_links_end(world: Path, target: str, expected: type[Exception]) -> None:
    inside = world / "inside"
    link(inside / "loop", "loop")
    link(inside / "ping", "pong")
    link(inside / "pong", "ping/x")
    link(inside / "gone", "nowhere")
    with beneath.Root(inside) as root:
        for path in (target, f"{target}/file"):
            with pytest.raises(expected):
                root.stat(path)


def test_g1_a_maze_of_climbing_links_ends(world: Path) -> None:
    """Each of 40 links goes down and up again hundreds of times from a deep place: millions of steps, if allowed."""
    deep = "/".join(["d"] * 500)
    (world / "inside" / deep).mkdir(parents=True)
    link(world / "inside" / deep / "maze", "../d/" * 700 + "maze")
    with beneath.Root(world / "inside") as root, pytest.raises(source_errors.LinkLoop):
        root.stat(f"{deep}/maze")
    shutil.rmtree(world / "inside" / "d")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):
        bound.bind(path.name)


def _device(path: Path) -> None:
    if os.geteuid() != 0:
        tools.absent("only root can make a device")
    os.mknod(path, 0o20666, os.makedev(1, 5))  # the endless zeroes of /dev/zero


@pytest.mark.parametrize(
    ("make", "words"),
    [(_fifo, "a FIFO"), (_socket, "a socket"), (_device, "a character device"), (Path.mkdir, "a directory")],
)
@pytest.mark.parametrize("through_link", [False, True])
def test_g1_only_regular_files_are_opened(
    world: Path, make: Callable[[Path], None], words: str, through_link: bool
) -> None:
    make(world / "inside" / "special")
    link(world / "inside" / "to-special", "special")
    opened: list[str] = []
    refused = pytest.raises(source_errors.NotPlain, match=f"special: is {words}, must be a regular file")
    with beneath.Root(world / "inside") as root, before_open(lambda path, _: opened.append(path)), refused:
        root.read_file("to-special" if through_link else "special", max_bytes=LIMIT)
    assert opened == []


@pytest.mark.parametrize("path", ["proc/self/environ", "proc/self/cmdline"])
def test_g1_files_of_the_kernel_are_no_files(path: str) -> None:
    """Even where the whole machine is allowed: they say that they are empty, and are not."""
    with beneath.Root(Path("/")) as root, pytest.raises(source_errors.Moved):
        root.read_file(path, max_bytes=LIMIT)


def test_g1_stdin_is_no_file() -> None:
    child = subprocess.run(
        [sys.executable, "-c", _READ_STDIN], input=SECRET, capture_output=True, check=False, timeout=30, cwd=PROJECT
    )
    assert child.stdout in (b"PathMissing\n", b"NotPlain\n"), child.stderr


_READ_STDIN = """
from pathlib import Path
from manifests import beneath, source_errors
with beneath.Root(Path("/")) as root:
    try:
        print(root.read_file("dev/stdin", max_bytes=1000).content)
    except source_errors.PathError as error:
        print(type(error).__name__)
"""


def test_g1_a_hard_link_is_a_file_like_any_other(world: Path) -> None:
    """It cannot be told from one. What is in it is never shown: tests of the documents' readers."""
    os.link(world / "outside" / "file", world / "inside" / "hard")
    with beneath.Root(world / "inside") as root:
        assert root.read_file("hard", max_bytes=LIMIT).content == SECRET


def _to_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parents[2] / "outside" / "file")


def _to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_other_file(path: Path) -> None:
    path.with_name("new").write_bytes(b"other!")
    path.with_name("new").rename(path)


def _to_longer(path: Path) -> None:
    with path.open("ab") as opened:
        opened.write(b"more")


def _to_nothing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("swap", [_to_link, _to_fifo, _to_folder, _to_other_file, _to_nothing, _to_longer])
def test_g1_a_file_swapped_between_check_and_open_is_not_read(world: Path, swap: Callable[[Path], None]) -> None:
    target = world / "inside" / "a" / "file"
    swapped: list[str] = []

    def callback(path: str, flags: int) -> None:
        if path == "file" and not flags & os.O_DIRECTORY and not swapped:
            swapped.append(path)
            swap(target)

    with beneath.Root(world / "inside") as root, before_open(callback), pytest.raises(source_errors.Moved) as refused:
        root.read_file("a/file", max_bytes=LIMIT)
    assert swapped
    if swap is _to_link:
        cause = refused.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno == errno.ELOOP, "the kernel must refuse to open the link, not we the file behind it"


def test_g1_a_folder_swapped_for_a_link_on_the_way_is_not_followed(world: Path) -> None:
    def callback(path: str, flags: int) -> None:
        if path == "a" and not (world / "inside" / "was-a").exists():
            (world / "inside" / "a").rename(world / "inside" / "was-a")
            (world / "inside" / "a").symlink_to(world / "outside")

    with beneath.Root(world / "inside") as root, before_open(callback), pytest.raises(source_errors.PathEscapes):
        root.read_file("a/file", max_bytes=LIMIT)


_RACE = """
import os, sys, threading
from pathlib import Path
from manifests import beneath, source_errors

world, rounds = Path(sys.argv[1]), int(sys.argv[2])
inside, going = world / "inside", True
(inside / "good").symlink_to("a/file")

def swap() -> None:
    while going:
        for target in (world / "outside" / "file", "../outside/file", "a/file"):
            os.symlink(target, inside / "next")
            os.rename(inside / "next", inside / "racing")
        os.rename(inside / "a", inside / "kept")
        os.symlink("../outside", inside / "a")
        os.unlink(inside / "a")
        os.rename(inside / "kept", inside / "a")

thread = threading.Thread(target=swap)
thread.start()
seen = {}
try:
    with beneath.Root(inside) as root:
        for _ in range(rounds):
            for path in ("racing", "a/file"):
                try:
                    outcome = root.read_file(path, max_bytes=1000).content.decode()
                except source_errors.PathError as error:
                    outcome = type(error).__name__
                seen[outcome] = seen.get(outcome, 0) + 1
finally:
    going = False
    thread.join()
print(sorted(seen))
"""
_RACE_OUTCOMES = {"inside", "PathEscapes", "PathMissing", "Moved", "NotPlain"}


def test_g1_race_never_gives_content_of_the_outside(world: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _RACE, str(world), "3000"], capture_output=True, check=True, timeout=60, cwd=PROJECT
    )
    outcomes = set(ast.literal_eval(child.stdout.decode()))
    assert outcomes <= _RACE_OUTCOMES
    assert {"inside", "PathEscapes"} <= outcomes, "the race did not take place"


def test_g1_race_never_opens_the_outside(world: Path) -> None:
    """The same under strace, which shows what each open really opened."""
    trace = world / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=open,openat,openat2", "-o", str(trace)]
    if (
        shutil.which("strace") is None
        or subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    ):
        tools.absent("strace is missing or may not trace here")
    subprocess.run(
        [*command, sys.executable, "-c", _RACE, str(world), "300"],
        check=True,
        capture_output=True,
        timeout=120,
        cwd=PROJECT,
    )
    text = trace.read_text()
    assert f"<{world}/inside/a/file>" in text, "strace does not show what was opened"
    assert f"<{world}/outside" not in text


def test_a_stat_opens_folders_only(world: Path) -> None:
    flags: list[int] = []
    with beneath.Root(world / "inside") as root, before_open(lambda _, each: flags.append(each)):
        root.stat("a/file")
        root.stat("a/b")
        with root.open_dir("a") as inner:
            inner.modes_of("file", ["b"])
            root.names("a")
    assert flags
    assert all(each & os.O_DIRECTORY for each in flags)


def test_a_file_above_the_limit_is_not_opened(world: Path) -> None:
    (world / "inside" / "big").write_bytes(b"x" * (LIMIT + 1))
    opened: list[str] = []
    with beneath.Root(world / "inside") as root, before_open(lambda path, _: opened.append(path)):
        with pytest.raises(source_errors.TooLarge, match="1001 bytes, the limit is 1000"):
            root.read_file("big", max_bytes=LIMIT)
        assert opened == []
        assert len(root.read_file("big", max_bytes=LIMIT + 1).content) == LIMIT + 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("gone", source_errors.PathMissing),
        ("a/gone/file", source_errors.PathMissing),
        ("a/file/below", source_errors.NotPlain),
        ("a/\0", source_errors.PathImpossible),
        ("a/\ud800", source_errors.PathImpossible),
        ("n" * 300, source_errors.PathImpossible),
    ],
)
def test_paths_that_lead_nowhere(world: Path, path: str, expected: type[source_errors.PathError]) -> None:
    with beneath.Root(world / "inside") as root:
        for way in (root.stat, lambda each: root.read_file(each, max_bytes=LIMIT)):
            with pytest.raises(expected):
                way(path)


def test_messages_show_the_path_as_typed(world: Path) -> None:
    with beneath.Root(world / "inside", shown="../svc") as root:
        with pytest.raises(source_errors.PathMissing, match=r"^\.\./svc/gone: no such file or directory$"):
            root.stat("gone")
        with root.open_dir("a") as inner, pytest.raises(source_errors.PathMissing, match=r"^\.\./svc/a/gone: "):
            inner.stat("gone")
        with (
            root.open_dir("a", shown="typed") as inner,
            pytest.raises(source_errors.PathMissing, match=r"^typed/gone: "),
        ):
            inner.stat("gone")


def test_l4_a_deep_walk_needs_few_descriptors(world: Path) -> None:
    """L4: 64 descriptors for the whole process. A walk holds two, however deep it goes."""
    deep = "/".join(["d"] * 60)
    (world / "inside" / deep).mkdir(parents=True)
    (world / "inside" / deep / "file").write_bytes(b"deep")
    most = 0

    def count(_: str, __: int) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))

    with beneath.Root(world / "inside") as root:
        start = len(os.listdir("/proc/self/fd"))
        with before_open(count):
            assert root.read_file(f"{deep}/file", max_bytes=LIMIT).content == b"deep"
    assert most - start <= 2


_NAMES = strategies.sampled_from(["a", "b", "c"])
_TARGETS = strategies.lists(strategies.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=5).map("/".join)
_TREES = strategies.dictionaries(
    strategies.lists(_NAMES, min_size=1, max_size=3).map("/".join),
    strategies.one_of(strategies.just(""), _TARGETS),
    max_size=6,
)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(tree=_TREES, path=_TARGETS)
def test_g1_a_walk_arrives_where_the_kernel_does_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, str], path: str
) -> None:
    top = tmp_path_factory.mktemp("walk")
    inside = top / "x" / "inside"
    inside.mkdir(parents=True)
    for place, target in tree.items():
        with contextlib.suppress(OSError):
            (inside / place).parent.mkdir(parents=True, exist_ok=True)
            (inside / place).symlink_to(target) if target else (inside / place).mkdir()
    try:
        expected = os.stat(inside / path)
    except OSError:
        expected = None
    arrived = None
    with beneath.Root(inside) as root, contextlib.suppress(source_errors.PathError):
        arrived = root.stat(path)
    if arrived is not None:
        assert expected is not None
        assert os.path.samestat(arrived, expected)
        assert (os.path.realpath(inside / path) + "/").startswith(f"{os.path.realpath(inside)}/")
    elif expected is not None:
        assert ".." in path.split("/") or any(".." in target for target in tree.values())
    shutil.rmtree(top)


def test_names_are_sorted_and_tell_links_from_folders(world: Path) -> None:
    link(world / "inside" / "a" / "link", "b")
    with beneath.Root(world / "inside") as root:
        assert root.names("a") == (
            beneath.Name("b", folder=True, link=False),
            beneath.Name("file", folder=False, link=False),
            beneath.Name("link", folder=False, link=True),
        )


def test_reading_in_threads_shares_nothing(world: Path) -> None:
    wrong: list[bytes] = []
    with beneath.Root(world / "inside") as root:

        def read() -> None:
            for _ in range(200):
                content = root.read_file("a/b/../file", max_bytes=LIMIT).content
                if content != b"inside":
                    wrong.append(content)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


# Plain roots: what a build context is read through


def test_g1_a_plain_root_follows_no_link_at_all(world: Path) -> None:
    """The way to it may be links; below it, not even one that stays inside is followed, nor from a folder of it."""
    inside = world / "inside"
    link(inside / "way", "a")
    link(inside / "a" / "to-file", "file")
    link(inside / "a" / "to-folder", "b")
    link(inside / "a" / "b" / "again", ".")
    with beneath.Root(inside) as root, root.open_dir("way", plain=True) as plain:
        assert plain.read_file("file", max_bytes=LIMIT).content == b"inside"
        for path in ("to-file", "to-folder/again", "b/again"):
            with pytest.raises(source_errors.Moved):
                plain.read_file(path, max_bytes=LIMIT)
        with plain.open_dir("b") as below, pytest.raises(source_errors.Moved):
            below.open_dir("again")


def test_a_listing_shows_links_themselves_and_stops_in_time(world: Path) -> None:
    folder = world / "inside" / "a"
    link(folder / "a-link", "../outside")
    with beneath.Root(folder) as root:
        listed = root.listing(".", most=10)
        assert [(each.name, each.target) for each in listed] == [("a-link", "../outside"), ("b", ""), ("file", "")]
        assert [each.stat.st_ino for each in listed] == [(folder / each.name).lstat().st_ino for each in listed]
        assert len(root.listing(".", most=2)) == 2


def test_blocks_are_small_and_what_the_sink_raises_is_its_own(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "BLOCK_BYTES", 4)
    blocks: list[bytes] = []

    def full(_: bytes) -> None:
        raise OSError(errno.ENOSPC, "disk full")

    with beneath.Root(world / "inside") as root:
        root.read_blocks("a/file", blocks.append, max_bytes=LIMIT)
        assert blocks == [b"insi", b"de"]
        with pytest.raises(OSError, match="disk full"):
            root.read_blocks("a/file", full, max_bytes=LIMIT)
