"""File events as a hint: what asks for a look, and how the listening survives everything that befalls it."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from controller import runs, triggers, watched_tree
from tests.fakes import daemons, tools
from tests.fakes.command import ROOT, Shop, child_environment
from tests.fakes.loops import FakeClock

DEADLINE_S = 120.0
MODIFIED, ADDED = watched_tree.MODIFIED, 1

Batch = Collection[watched_tree.Change] | Exception | Callable[[], object]


@dataclass
class Ear:
    """Who is told, and who is asked for a look."""

    modes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: int = 0
    events: int = 0
    asked: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def _note(self, name: str) -> None:
        with self.changed:
            setattr(self, name, getattr(self, name) + 1)
            self.changed.notify_all()

    def watch_event(self) -> None:
        self._note("events")

    def watch_error(self) -> None:
        self._note("errors")

    def watching(self, mode: str) -> None:
        with self.changed:
            self.modes.append(mode)
            self.changed.notify_all()

    def ask(self) -> None:
        self._note("asked")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Fails when that does not come about."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout=DEADLINE_S), self


@dataclass
class Script:
    """A watch function that follows a script: for every time that it is begun, what it yields, raises or calls."""

    turns: list[Sequence[Batch]]
    wishes: list[triggers.Wish] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self, wish: triggers.Wish) -> Generator[Collection[watched_tree.Change], None, None]:
        if not self.turns:
            self.over.set()
            wish.stop.wait(DEADLINE_S)
            return
        self.wishes.append(wish)
        for batch in self.turns.pop(0):
            if isinstance(batch, Exception):
                raise batch
            if callable(batch):
                batch()
            else:
                yield batch


@dataclass
class Heard:
    """What came of a script."""

    ear: Ear
    script: Script
    pauses: list[float]


def play(root: Path, *turns: Sequence[Batch], ear: Ear | None = None, machine: FakeClock | None = None) -> Heard:
    """Watch `root` by a script until that is over; nothing sleeps."""
    ear, script, pauses = ear or Ear(), Script(list(turns)), []
    machine = machine or FakeClock()

    def pause(stop: threading.Event, seconds: float) -> None:
        del stop
        machine.sleep(seconds)
        if seconds != triggers.QUIET_S:
            pauses.append(seconds)

    plumbing = triggers.Plumbing(script, ear.warnings.append, pause, machine)  # type: ignore[arg-type]  # a clock by its methods
    watcher = triggers.Watcher(root, ignored=(), wanted=ear.ask, told=ear, plumbing=plumbing)
    watcher.start()
    try:
        assert script.over.wait(DEADLINE_S)
    finally:
        watcher.stop()
    return Heard(ear, script, pauses)


@dataclass
class Listening:
    """The real watching of a folder, with all that it reported."""

    root: Path
    ear: Ear = field(default_factory=Ear)
    batches: list[watched_tree.Change] = field(default_factory=list)
    ignored: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        plumbing = triggers.Plumbing(self._watch, self.ear.warnings.append)
        self.watcher = triggers.Watcher(
            self.root, ignored=self.ignored, wanted=self.ear.ask, told=self.ear, plumbing=plumbing
        )

    def _watch(self, wish: triggers.Wish) -> Generator[Collection[watched_tree.Change], None, None]:
        for batch in triggers.watch_files(wish):
            self.batches += batch
            yield batch

    def __enter__(self) -> Self:
        self.watcher.start()
        self.ear.wait_for(lambda: self.ear.asked > 0)
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.stop()

    def hears(self, path: Path) -> None:
        """A file that is written now makes it ask. When it listens anew, the first write may be too early to be heard
        as an event: then it is the new beginning that asks."""
        before = self.ear.asked
        path.write_text("new")
        self.ear.wait_for(lambda: self.ear.asked > before)


# What asks for a look


def test_d4_it_asks_once_it_listens_whatever_the_first_batch_is(tmp_path: Path) -> None:
    """D4: a change between the first scan and the first watch is found, because a look follows every beginning."""
    heard = play(tmp_path, [()], [()])
    assert heard.ear.asked >= 2  # one for each beginning
    assert heard.ear.events == 0


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("functions.yml", True),
        ("artifact.yml", True),
        ("handler.py", True),
        (".hidden", True),
        ("functions.yml~", False),
        (".functions.yml.swp", False),
        (".functions.yml.swx", False),
        ("artifact.yml.bak", False),
        ("artifact.yml.tmp", False),
        ("4913", False),
        ("49131", True),
        (".#functions.yml", False),
        ("#functions.yml#", False),
        ("#functions.yml", True),
        (".git", False),
        (".gitignore", True),
    ],
)
def test_c5_droppings_of_editors_alone_ask_for_nothing(tmp_path: Path, name: str, asks: bool) -> None:
    """C5: the scan decides by exact names anyway; a dropping is not even worth a look."""
    heard = play(tmp_path, [(), [(ADDED, str(tmp_path / name))]])
    assert heard.ear.events == int(asks)
    together = play(tmp_path, [(), [(ADDED, str(tmp_path / name)), (ADDED, str(tmp_path / "functions.yml"))]])
    assert together.ear.events == 1


def test_d3_a_storm_is_one_request_at_a_time(tmp_path: Path) -> None:
    """D3: however many events come, one run waits; and between two requests there is a pause."""
    asked, machine = runs.Runs(), FakeClock()
    ear = Ear()
    ids: set[str] = set()
    ear.ask = lambda: ids.add(asked.request(runs.Cause.FILES))  # type: ignore[method-assign]  # the requests are looked at
    storm = [[(MODIFIED, f"{tmp_path}/functions.yml"), (ADDED, f"{tmp_path}/{number}")] for number in range(1000)]
    play(tmp_path, [(), *storm], ear=ear, machine=machine)
    assert ear.events == 1000
    assert len(ids) == 1
    assert machine.now - 1000.0 >= 1000 * triggers.QUIET_S


def test_d3_a_real_storm_asks_no_more_often_than_the_pause_allows(tmp_path: Path) -> None:
    """D3: 5,000 writes are one event for every pause at most, and the last of them is heard."""
    with Listening(tmp_path) as listening:
        for number in range(5000):
            (tmp_path / f"file-{number % 50}").write_text(str(number))
        listening.hears(tmp_path / "functions.yml")
        listening.ear.wait_for(lambda: any(path.endswith("functions.yml") for _, path in listening.batches))
        assert 1 <= listening.ear.events < 1000


# D1: blind spots


def _renamed(root: Path) -> None:
    os.rename(root, root.with_name("old"))
    _made(root)


def _recreated(root: Path) -> None:
    shutil.rmtree(root)
    _made(root)


def _made(root: Path) -> None:
    (root / "config").mkdir(parents=True)


def _undecodable(root: Path) -> None:
    os.close(os.open(os.fsencode(root) + b"/\xff", os.O_CREAT | os.O_WRONLY))


def _folder_replaced(root: Path) -> None:
    shutil.rmtree(root / "config")
    (root / "config").mkdir()


def _folder_moved_in(root: Path) -> None:
    (root.parent / "elsewhere").mkdir()
    os.rename(root / "config", root / "previous")
    os.rename(root.parent / "elsewhere", root / "config")


@pytest.mark.parametrize(
    "happens", [_renamed, _recreated, _undecodable, _folder_replaced, _folder_moved_in], ids=lambda one: one.__name__
)
def test_d1_it_hears_again_after(tmp_path: Path, happens: Callable[[Path], None]) -> None:
    """D1: the root replaced, deleted and made anew, a name that is no text, and folders in the place of others."""
    root = tmp_path / "source"
    _made(root)
    with Listening(root) as listening:
        before = listening.ear.asked
        happens(root)
        listening.ear.wait_for(lambda: listening.ear.asked > before)
        _hears_in(listening, root / "config")


def _hears_in(listening: Listening, folder: Path) -> None:
    """An event of its own for a file in this folder, once the listening has begun anew."""
    for number in range(50):
        listening.hears(folder / f"again-{number}.yml")
        if any(path.startswith(f"{folder}/again-") for _, path in listening.batches):
            return
    pytest.fail("no event from there")


def test_d1_a_link_that_is_flipped_is_followed(tmp_path: Path) -> None:
    """D1: `current` leads to another release now: another root."""
    for name in ("one", "two"):
        _made(tmp_path / name)
    link = tmp_path / "current"
    link.symlink_to("one")
    with Listening(link) as listening:
        (tmp_path / "next").symlink_to("two")
        before = listening.ear.asked
        os.replace(tmp_path / "next", link)
        listening.ear.wait_for(lambda: listening.ear.asked > before)
        _hears_in(listening, link / "config")


def test_d1_a_root_that_comes_later_is_found(tmp_path: Path) -> None:
    """D1: told once that it is missing, then looked for; when it is there it is listened to."""
    root = tmp_path / "later"
    with Listening(root) as listening:
        assert listening.ear.modes == ["deaf"]
        assert listening.ear.errors == 1
        assert "later: there is no such folder" in listening.ear.warnings[0]
        _made(root)
        listening.ear.wait_for(lambda: "events" in listening.ear.modes)
        _hears_in(listening, root / "config")
    assert listening.ear.errors == 1


def test_d1_while_the_root_is_missing_it_is_looked_for_every_second(tmp_path: Path) -> None:
    root, machine = tmp_path / "later", FakeClock()
    pauses: list[float] = []
    ear = Ear()

    def pause(stop: threading.Event, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 10:
            stop.set()
            ear.watching("over")

    plumbing = triggers.Plumbing(Script([]), ear.warnings.append, pause, machine)  # type: ignore[arg-type]  # a clock by its methods
    watcher = triggers.Watcher(root, ignored=(), wanted=ear.ask, told=ear, plumbing=plumbing)
    watcher.start()
    ear.wait_for(lambda: "over" in ear.modes)
    watcher.stop()
    assert pauses == [triggers.QUIET_S, 0.2, 0.4, 0.8, *[1.0] * 6]
    assert (ear.errors, ear.asked, len(ear.warnings)) == (1, 1, 1)


@pytest.mark.parametrize(
    "failure",
    [RuntimeError("Unable to decode path"), OSError(errno.EIO, "broken"), KeyError("bug"), None],
    ids=["a name that is no text", "the kernel", "a bug", "it just ends"],
)
def test_d1_every_failure_is_counted_and_listening_begins_anew_with_growing_pauses(
    tmp_path: Path, failure: Exception | None
) -> None:
    """D1: never a crash, never a busy loop; and what happened meanwhile is looked for."""
    turn: list[Batch] = [()] if failure is None else [(), failure]
    heard = play(tmp_path, *[turn] * 10)
    assert heard.ear.errors == 10
    assert heard.pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])
    assert heard.ear.asked >= 20


def test_d1_after_listening_for_long_the_pause_is_short_again(tmp_path: Path) -> None:
    machine = FakeClock()
    fails: list[Batch] = [RuntimeError("broken")]
    heard = play(tmp_path, fails, fails, fails, [(), lambda: machine.sleep(30.0), *fails], fails, machine=machine)
    assert heard.pauses == pytest.approx([0.2, 0.4, 0.8, 0.2, 0.4])


def test_new_folders_are_included_once_nothing_moves_or_after_a_second(tmp_path: Path) -> None:
    machine, new = FakeClock(), tmp_path / "new"
    new.mkdir()
    grown: Batch = [(ADDED, str(new))]
    quiet = play(tmp_path, [(), grown, grown, (), RuntimeError("not reached")])
    assert quiet.ear.errors == 0
    busy = play(tmp_path, [(), grown, lambda: machine.sleep(1.0), grown, RuntimeError("not reached")], machine=machine)
    assert busy.ear.errors == 0
    assert busy.script.wishes[0].folders == [str(tmp_path), str(new)]


# D2: nothing left to listen with


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        OSError("OS file watch limit reached. about [...]"),
        RuntimeError("Error creating recommended watcher: Too many open files (os error 24)"),
    ],
    ids=str,
)
def test_d2_without_events_it_looks_on_a_timer_with_one_warning(tmp_path: Path, failure: Exception) -> None:
    """D2: watches or instances exhausted; after ten minutes events are tried again, and no second warning is given."""
    machine, file = FakeClock(), [(MODIFIED, f"{tmp_path}/functions.yml")]
    heard = play(tmp_path, [failure], [(), file, lambda: machine.sleep(600.0), ()], [failure], [()], machine=machine)
    assert [wish.poll_ms for wish in heard.script.wishes] == [None, 1000, None, 1000]
    assert heard.ear.modes == ["polling", "deaf"]  # the script's last turn ended by itself
    assert len([text for text in heard.ear.warnings if "no file events" in text]) == 1
    assert heard.ear.events == 1


def test_d2_events_that_are_back_are_told(tmp_path: Path) -> None:
    machine = FakeClock()
    exhausted = OSError(errno.ENOSPC, "No space left on device")
    heard = play(
        tmp_path, [exhausted], [(), lambda: machine.sleep(600.0), ()], [(), RuntimeError("end")], machine=machine
    )
    assert heard.ear.modes == ["polling", "events", "deaf"]


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_d2_for_real(tmp_path: Path, limit: str) -> None:
    """D2: a user that may have none of them hears of a change all the same."""
    unshare = shutil.which("unshare")
    if unshare is None:
        tools.absent("unshare is needed")
    ended = subprocess.run(
        [unshare, "-U", "-r", sys.executable, "-c", _EXHAUSTED, limit, str(tmp_path)],
        env=child_environment(),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=daemons.PATIENCE_S,
        text=True,
    )
    if ended.returncode == 77 or "unshare failed" in ended.stderr:
        tools.absent("a user namespace with a limit of its own is not allowed here")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["polling", "1"]


_EXHAUSTED = """
import sys, threading
from pathlib import Path
from typing import Self
from controller import triggers
try:
    Path("/proc/sys/user", sys.argv[1]).write_text("0")
except OSError:
    sys.exit(77)
root = Path(sys.argv[2])
modes, warnings, event = [], [], threading.Event()
class Ear:
    def watch_event(self): event.set()
    def watch_error(self): pass
    def watching(self, mode): modes.append(mode)
def ask():
    if modes:
        (root / "functions.yml").write_text("new")
watcher = triggers.Watcher(root, ignored=(), wanted=ask, told=Ear(), plumbing=triggers.Plumbing(warn=warnings.append))
watcher.start()
heard = event.wait(50)
watcher.stop()
print(*modes, len(warnings))
sys.exit(not heard)
"""


# Which folders


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for folder in ("orders/config", "orders/functions/a", ".git/objects", "config/.controller", "config/generations"):
        (root / folder).mkdir(parents=True)
    return root


def listened(root: Path, *ignored: Path) -> set[str]:
    return {os.path.relpath(folder, root) for folder in watched_tree.survey(str(root), ignored).folders}


ARTIFACT = {".", "orders", "orders/config", "orders/functions", "orders/functions/a"}


def test_d6_what_is_written_here_is_not_listened_to(tree: Path) -> None:
    """D6: CONFIG_DIR, the state and a repository's own folder; by whatever names they go."""
    (tree.parent / "alias").symlink_to(tree)
    assert listened(tree, tree / "config") == ARTIFACT
    assert listened(tree, tree.parent / "alias" / "config") == ARTIFACT
    assert listened(tree.parent / "alias", tree / "config", tree / "not-yet") == ARTIFACT
    assert listened(tree, tree / "config" / ".controller") == {*ARTIFACT, "config", "config/generations"}


def test_d6_a_root_inside_of_an_ignored_folder_is_listened_to(tree: Path) -> None:
    """Somebody has CONFIG_DIR above the artifacts, or as the same folder: that must not make it deaf."""
    assert listened(tree / "orders", tree, tree / "orders") == {".", "config", "functions", "functions/a"}


def test_d6_own_writes_below_the_tree_wake_nobody(tmp_path: Path) -> None:
    """D6: state and documents in a CONFIG_DIR beside the artifacts; a pass over them is heard by nobody."""
    shop = Shop(tmp_path)
    config = shop.source / "live"
    with Listening(shop.source, ignored=(config,)) as listening:
        before = listening.ear.events
        ended = shop.run("reconcile", "--once", "--source", shop.source, "--config-dir", config)
        assert ended.code == 0, ended.text
        assert listening.ear.events == before
        _hears_in(listening, shop.source)
        strays = {path for _, path in listening.batches if "again-" not in path} - {str(config)}
        assert strays == set()


def test_d5_links_are_not_followed_and_loops_end(tree: Path) -> None:
    """D5: a link to the root, one to itself, one to everything, and one that leads nowhere."""
    (tree / "orders" / "loop").symlink_to(tree)
    (tree / "self").symlink_to("self")
    (tree / "everything").symlink_to("/")
    (tree / "nowhere").symlink_to("missing")
    assert listened(tree, tree / "config") == ARTIFACT


def test_d5_a_deep_and_wide_tree(tmp_path: Path) -> None:
    """D5: depth 64 and 2,000 folders: every one once."""
    deep = tmp_path / "source"
    deep.joinpath(*["d"] * 64).mkdir(parents=True)
    for number in range(2000):
        (deep / f"wide-{number}").mkdir()
    found = watched_tree.survey(str(deep), ()).folders
    assert len(found) == len(set(found)) == 1 + 64 + 2000


def test_d5_too_many_folders_are_listened_to_in_part_with_a_warning(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_tree, "MOST_FOLDERS", 3)
    found = watched_tree.survey(str(tree), (tree / "config",))
    assert found.partly
    assert set(found.folders) == {str(tree), str(tree / "orders"), found.folders[2]}
    heard = play(tree, [()])
    assert "only 3 folders are listened to" in heard.ear.warnings[0]


def test_d1_a_folder_whose_name_is_no_text_is_left_to_the_timer(tree: Path) -> None:
    os.mkdir(os.fsencode(tree) + b"/\xff")
    assert listened(tree, tree / "config") == ARTIFACT


def test_a_folder_that_cannot_be_read_is_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses to listen to it, and that would end the listening to all others."""
    real = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("functions"):
            raise PermissionError(errno.EACCES, "no", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert listened(tree, tree / "config") == ARTIFACT - {"orders/functions", "orders/functions/a"}
    with pytest.raises(watched_tree.Absent, match="functions: this folder cannot be read"):
        listened(tree / "orders" / "functions")


def test_it_ends_at_once(tmp_path: Path) -> None:
    """Stopping does not wait for an event, and ends the thread."""
    with Listening(tmp_path):
        assert "watch" in {thread.name for thread in threading.enumerate()}
    daemons.until(lambda: "watch" not in {thread.name for thread in threading.enumerate()})


def test_stopping_what_never_began_is_fine(tmp_path: Path) -> None:
    triggers.Watcher(tmp_path, ignored=(), wanted=lambda: None, told=Ear()).stop()
