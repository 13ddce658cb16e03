"""CONFIG_DIR in every state that it can be found in, readers that know nothing of links, and a failing `os`.

For the tests of publishing. A state is a function that builds it in an empty directory.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core import items, observed
from manifests import config_dir, generation

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


def links_that_would_show_half_a_generation(path: Path) -> None:
    """Nothing is visible, but each of the missing links would show something of the old generation."""
    published(path)
    (path / "..gen-000001" / FUNCTIONS).unlink()
    (path / ROUTING).unlink()
    (path / RESOURCES).unlink()


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
    links_that_would_show_half_a_generation,
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
        ["open", "write", "read", "fsync", "close", "fchmod", "utime", "mkdir", "symlink", "rename", "unlink", "stat"]
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


def only_old_or_new(path: Path, old: Seen, new: Seen = NEW) -> Callable[[], None]:
    def check() -> None:
        assert seen(path) in (old, new)

    return check


def seen_or_folder(path: Path) -> Seen:
    try:
        return seen(path)
    except IsADirectoryError:
        return {}


def assert_no_litter(path: Path) -> None:
    look = config_dir.observe(path)
    assert look.leftovers == ()
    assert len(look.generations) <= 2
