"""Content that is being written is left alone until it rests, and every look finds what no event told of."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import clock, errors, reconciler, report, settings, target, world
from controller.sources import settling
from tests.fakes.command import Shop
from tests.fakes.loops import FakeClock

DEBOUNCE_S, PATIENCE_S = 0.1, 10.0


@dataclass
class Source:
    """A source of which every look is known beforehand; the last one repeats. An error is one too."""

    looks: Sequence[str | Exception]
    machine: FakeClock = field(default_factory=FakeClock)
    stamps: list[str] = field(default_factory=lambda: ["still"])
    looked: int = 0
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settling = settling.Settling(
            "/artifacts",
            debounce_s=DEBOUNCE_S,
            patience_s=PATIENCE_S,
            stamp=lambda: self.stamps[min(self.looked, len(self.stamps)) - 1],
            machine=self.machine,  # type: ignore[arg-type]  # a clock by its methods
        )

    def look(self) -> str:
        seen = self.looks[min(self.looked, len(self.looks) - 1)]
        self.looked += 1
        if isinstance(seen, Exception):
            raise seen
        return seen

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.machine.sleep(seconds)

    def settled(self) -> str:
        return self.settling.settled(self.look, identity=lambda seen: f"id of {seen}", pause=self.pause)


def _error(reason: str = "ArtifactInvalid", message: str = "half a document") -> errors.ControllerError:
    return errors.ControllerError(reason, message)


# Two looks


def test_c5_new_content_is_taken_when_two_looks_agree() -> None:
    """C5: after a restart too, once."""
    source = Source(["one"])
    assert source.settled() == "one"
    assert (source.looked, source.pauses) == (2, [DEBOUNCE_S])


def test_c5_known_content_is_taken_at_once() -> None:
    """An idle pass costs one look and no wait."""
    source = Source(["one"])
    source.settled()
    assert [source.settled() for _ in range(3)] == ["one"] * 3
    assert (source.looked, source.pauses) == (5, [DEBOUNCE_S])


def test_c5_content_that_moves_is_waited_for() -> None:
    source = Source(["one", "two", "three", "four", "four"])
    assert source.settled() == "four"
    assert source.pauses == [DEBOUNCE_S] * 4


def test_c5_content_that_comes_back_to_what_is_known_needs_no_second_look() -> None:
    """Somebody wrote beside it and took that back: what was known is there again."""
    source = Source(["one", "one", "two", "one"])
    source.settled()
    assert source.settled() == "one"
    assert source.looked == 4


@pytest.mark.parametrize("reason", ["ArtifactInvalid", "NoManifest", "SourceMissing", "SourceEmpty"])
def test_c5_what_is_wrong_is_told_only_when_a_second_look_agrees(reason: str) -> None:
    """C5: half a tree breaks the contract in some way at every moment of the copying; that is no failed pass."""
    source = Source([_error(reason), _error(reason, "another"), "whole"])
    assert source.settled() == "whole"


def test_what_stays_wrong_is_told_after_one_pause_and_at_once_from_then_on() -> None:
    source = Source([_error()])
    for _ in range(3):
        with pytest.raises(errors.ControllerError, match="half a document"):
            source.settled()
    assert (source.looked, source.pauses) == (4, [DEBOUNCE_S])


def test_c5_a_tree_that_is_wrong_in_one_way_after_the_other_is_waited_for() -> None:
    """C5: the same words twice, but something was written between."""
    source = Source([_error(), _error(), _error(), "whole"], stamps=["one file", "two files", "three files"])
    assert source.settled() == "whole"


def test_c6_looks_that_saw_two_states_never_agree() -> None:
    """C6: `SourceUnstable` twice is no content that rests."""
    source = Source([_error("SourceUnstable")] * 5 + ["one"])
    assert source.settled() == "one"
    assert source.looked == 7


@pytest.mark.parametrize("moving", ["content", "unstable"])
def test_c5_patience_ends(moving: str) -> None:
    """C5, D3: one file that is rewritten for ever is told, with how long it was waited for; trying again may help."""
    source = Source([_error("SourceUnstable") if moving == "unstable" else str(number) for number in range(1000)])
    with pytest.raises(errors.ControllerError) as told:
        source.settled()
    assert told.value.reason == "SourceUnstable"
    assert told.value.meaning.disposition is errors.Disposition.TRANSIENT
    assert re.fullmatch(r"/artifacts: no two looks 0\.1 s apart saw the same for 10\.[01] s", told.value.message)
    assert sum(source.pauses) == pytest.approx(PATIENCE_S, abs=DEBOUNCE_S * 1.5)


def test_what_is_wrong_is_told_when_patience_ends_whatever_else_is_written() -> None:
    """A log file among the artifacts must not hide that the manifest is broken."""
    source = Source([_error()], stamps=[str(number) for number in range(1000)])
    with pytest.raises(errors.ControllerError, match="half a document"):
        source.settled()
    assert sum(source.pauses) == pytest.approx(PATIENCE_S, abs=DEBOUNCE_S * 1.5)


def test_slow_looks_end_too() -> None:
    """With looks that take longer than all patience there are still two of them."""
    source = Source(["one", "one"])
    slow = source.look

    def look() -> str:
        source.machine.sleep(PATIENCE_S * 2)
        return slow()

    assert source.settling.settled(look, identity=str, pause=source.pause) == "one"


def test_a_wish_for_an_end_cuts_the_wait() -> None:
    source = Source([str(number) for number in range(1000)])

    def cut(seconds: float) -> None:
        raise errors.Interrupted(15)

    with pytest.raises(errors.Interrupted):
        source.settling.settled(source.look, identity=str, pause=cut)


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), min_size=1, max_size=5))
def test_c5_nothing_is_taken_that_was_not_seen_twice(passes: list[list[str]]) -> None:
    """C5, for any sequence of looks: what is taken was seen by two looks in a row, or is what was taken last."""
    source, taken = Source(["a"]), None
    for looks in passes:
        source.looks, source.looked = list(looks), 0
        found = source.settled()
        seen = [*looks, *looks[-1:] * source.looked][: source.looked]
        assert found == seen[-1]
        assert found == taken or seen[-2:] == [found, found]
        taken = found


# Real files


@dataclass(frozen=True, slots=True)
class Scripted(clock.Clock):
    """Every wait lets somebody else write the next bit; only waits take time."""

    writers: list[Iterator[None]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def monotonic_s(self) -> float:
        """The sum of the waits."""
        return sum(self.waits)

    def sleep(self, seconds: float) -> None:
        """The other one's turn."""
        self.waits.append(seconds)
        for writer in self.writers:
            next(writer, None)


class Followed:
    """A shop whose source is waited for, as in the loop: every pass opens the target anew."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.machine = Scripted()
        flags = {("source", "directory", "path"): shop.source, ("config_dir",): shop.config}
        self.configured = settings.load(None, flags)
        self.settle = settling.of_directories(self.configured, self.machine)

    def reconciled(self, *writers: Iterator[None]) -> report.Report:
        """A pass while the writers go on."""
        self.machine.writers[:] = writers
        with self.opened() as opened:
            return reconciler.reconcile_once(opened, world.Request(opened.rules))

    def opened(self, *, patient: bool = True) -> target.Target:
        """A new target that keeps the patience of the last."""
        return target.Target(self.configured, settle=self.settle if patient else None, machine=self.machine)


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(Shop(tmp_path))


def _written(path: Path, content: bytes, *, size: int) -> Iterator[None]:
    """Written in place, `size` bytes at every wait."""
    path.write_bytes(b"")
    for start in range(0, len(content), size):
        with path.open("ab") as stream:
            stream.write(content[start : start + size])
        yield


@pytest.mark.parametrize("name", ["artifact.yml", "orders/config/functions.yml", "orders/config/routing.yml"])
def test_c5_a_slow_writer_never_gets_half_of_it_published(followed: Followed, name: str) -> None:
    """C5: a file that is rewritten bit by bit: the pass waits, does not fail, and publishes the whole."""
    path = followed.shop.source / name
    content = path.read_bytes() + b"# the end\n"
    first = followed.reconciled()
    assert not first.failed, first.message
    before = followed.shop.documents()
    writer = _written(path, content, size=len(content) // 40)
    next(writer)
    ended = followed.reconciled(writer)
    assert not ended.failed, ended.message
    assert next(writer, "over") == "over"
    assert path.read_bytes() == content
    assert followed.shop.documents() == before  # only a comment is new


def test_c5_a_tree_that_is_copied_file_by_file(followed: Followed) -> None:
    """C5: from no folder at all to all of it, seen by a single pass that succeeds."""
    shop = followed.shop
    complete = shop.folder / "complete"
    shop.source.rename(complete)

    def copied() -> Iterator[None]:
        for path in sorted(complete.rglob("*")):
            copy = shop.source / path.relative_to(complete)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                shutil.copy(path, copy)
                yield

    ended = followed.reconciled(copied())
    assert not ended.failed, ended.message
    assert ended.changed
    alone = Shop(shop.folder / "alone").published()
    assert shop.documents() == alone.documents()


def test_c5_a_writer_that_never_ends_leaves_the_old_content_live(followed: Followed) -> None:
    shop = followed.shop
    followed.reconciled()
    before = shop.documents()
    path = shop.document("orders", "functions.yml")

    def rewritten() -> Iterator[None]:
        for number in range(10_000):
            path.write_text(path.read_text() + f"# {number}\n")
            yield

    writer = rewritten()
    next(writer)
    ended = followed.reconciled(writer)
    assert ended.reason == "SourceUnstable"
    assert shop.documents() == before
    assert followed.reconciled().failed is False


@pytest.mark.parametrize(
    "name", ["artifact.yml.bak", "artifact.yml~", "functions.yml~", ".functions.yml.swp", "4913", "#routing.yml#"]
)
def test_c5_droppings_are_no_content(followed: Followed, name: str) -> None:
    """C5: exact names only."""
    with followed.opened() as opened:
        before = opened.fetch().revision
        for folder in (followed.shop.source, followed.shop.source / "orders" / "config"):
            (folder / name).write_text("not: [valid")
        assert opened.fetch().revision == before


def test_a_pass_without_patience_takes_the_first_look(followed: Followed) -> None:
    """`--once` stays as it is."""
    with followed.opened(patient=False) as opened:
        opened.fetch()
    assert followed.machine.waits == []
    with followed.opened() as opened:
        opened.fetch()
    assert followed.machine.waits == [DEBOUNCE_S]


# D1: nobody tells, and it is found


def _edited(shop: Shop, source: Path) -> None:
    shop.edit("orders", "functions.yml", "functions:", "# new\nfunctions:")


def _renamed(shop: Shop, source: Path) -> None:
    shutil.copytree(source, shop.folder / "next")
    _changed(shop.folder / "next")
    os.rename(source, shop.folder / "previous")
    os.rename(shop.folder / "next", source)


def _recreated(shop: Shop, source: Path) -> None:
    shutil.copytree(source, shop.folder / "next")
    shutil.rmtree(source)
    shutil.copytree(shop.folder / "next", source)
    _changed(source)


def _flipped(shop: Shop, source: Path) -> None:
    shutil.copytree(source, shop.folder / "next")
    _changed(shop.folder / "next")
    os.rename(source, shop.folder / "previous")
    source.symlink_to("next")


def _undecodable(shop: Shop, source: Path) -> None:
    os.close(os.open(os.fsencode(source) + b"/\xff", os.O_CREAT | os.O_WRONLY))
    _changed(source)


def _backdated(shop: Shop, source: Path) -> None:
    path = source / "orders" / "config" / "functions.yml"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"timeout: 30", b"timeout: 31", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _changed(source: Path) -> None:
    path = source / "orders" / "config" / "functions.yml"
    path.write_bytes(path.read_bytes() + b"# new\n")


@pytest.mark.parametrize(
    "happens",
    [_edited, _renamed, _recreated, _flipped, _undecodable, _backdated],
    ids=lambda one: one.__name__.strip("_"),
)
def test_d1_a_look_finds_what_no_event_told_of(followed: Followed, happens: Callable[[Shop, Path], None]) -> None:
    """D1: with no watcher at all, the next look sees the new content in every case (P10)."""
    with followed.opened() as opened:
        before = opened.fetch().revision
    happens(followed.shop, followed.shop.source)
    with followed.opened() as opened:
        assert opened.fetch().revision != before


# D5: much that is no content


def test_d5_a_large_tree_costs_no_opened_file_more(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    """D5: thousands of files in hundreds of folders, 64 deep, with links in circles, beside the artifact: a look ends,
    and opens the artifact's own files only."""
    source = followed.shop.source
    with followed.opened() as opened:
        revision = opened.fetch().revision
    deep = source / "unrelated"
    deep.joinpath(*["d"] * 64).mkdir(parents=True)
    (deep / "circle").symlink_to(source)
    (deep / "self").symlink_to("self")
    for number in range(200):
        folder = deep / str(number)
        folder.mkdir()
        for file in range(25):
            os.close(os.open(f"{folder}/{file}", os.O_CREAT | os.O_WRONLY))
    opened_files: list[str] = []
    real = os.open

    def counting(path: str, flags: int, *more: int, **named: Any) -> int:
        if not flags & (os.O_DIRECTORY | getattr(os, "O_PATH", 0)):
            opened_files.append(str(path))
        return real(path, flags, *more, **named)

    with followed.opened() as opened:
        monkeypatch.setattr(os, "open", counting)
        assert opened.fetch().revision == revision
        monkeypatch.undo()
    assert not [path for path in opened_files if path.isdigit()]
    assert len(opened_files) < 200
