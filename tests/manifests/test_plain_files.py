"""The mode `files`: each document replaced whole, links and generations of the other mode turned into plain files."""

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core import items, observed
from manifests import config_dir, errors, generation, plain_files

FUNCTIONS, ROUTING, RESOURCES = items.Document
OLD = {document: f"{document}: old\n".encode() for document in items.Document}
NEW = {document: f"{document}: new\n".encode() for document in items.Document}
DOCUMENT_NAMES = {document.value for document in items.Document}

Seen = Mapping[items.Document, bytes | None]
Build = Callable[[Path], None]


def ignore(step: str) -> None:
    del step


def publish(path: Path, documents: Mapping[items.Document, bytes] = NEW, *, mtime_s: int = 2000) -> None:
    plain_files.publish(path, documents, mtime_s=mtime_s, on_step=ignore)


def seen(path: Path) -> Seen:
    return {each: (path / each).read_bytes() if (path / each).exists() else None for each in items.Document}


def assert_converged(path: Path) -> None:
    look = config_dir.observe(path)
    assert seen(path) == NEW
    assert {state.presence for state in look.documents.values()} == {observed.Presence.PLAIN}
    assert not any((path / document).is_symlink() for document in items.Document)
    assert look.leftovers == ()
    assert look.generations == ()
    assert look.generation is None


def empty(path: Path) -> None:
    del path


def plain(path: Path) -> None:
    for document in items.Document:
        (path / document).write_bytes(OLD[document])


def generations(path: Path) -> None:
    for round_ in range(2):
        generation.publish(path, OLD, number=1, mtime_s=1000 + round_, on_step=ignore)


def generations_with_one_plain(path: Path) -> None:
    generations(path)
    (path / ROUTING).unlink()
    (path / ROUTING).write_bytes(OLD[ROUTING])


def generations_cut_off(path: Path) -> None:
    generations(path)
    shutil.copytree(path / "..gen-000001", path / "..gen-000009")
    (path / "..data_tmp").symlink_to("..gen-000009")
    (path / "..routing.yml_tmp").write_bytes(b"torn")


def foreign_links(path: Path) -> None:
    for document in items.Document:
        (path / f"their-{document}").write_bytes(OLD[document])
        (path / document).symlink_to(f"their-{document}")


STATES = (empty, plain, generations, generations_with_one_plain, generations_cut_off, foreign_links)


@pytest.mark.parametrize("build", STATES)
def test_a6_every_state_becomes_plain_files(tmp_path: Path, build: Build) -> None:
    build(tmp_path)
    publish(tmp_path)
    assert_converged(tmp_path)


def test_a6_what_foreign_links_name_is_not_written(tmp_path: Path) -> None:
    foreign_links(tmp_path)
    publish(tmp_path)
    assert {(tmp_path / f"their-{document}").read_bytes() for document in items.Document} == set(OLD.values())


def test_a10_mode_and_time_are_given_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        publish(tmp_path, mtime_s=4_070_908_800)
    finally:
        os.umask(before)
    found = [(tmp_path / document).stat() for document in items.Document]
    assert {stat.S_IMODE(each.st_mode) for each in found} == {0o644}
    assert {each.st_mtime_ns for each in found} == {4_070_908_800 * 10**9}


@pytest.mark.parametrize("build", STATES)
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("failpoint")], ids=["kill", "raise"])
def test_a1_every_file_is_old_or_new_at_every_step_and_the_next_publish_converges(
    tmp_path: Path, build: Build, failure: BaseException
) -> None:
    """The order of replacing is resources, functions, routing: what is new at any moment is a prefix of it."""
    steps: list[str] = []
    for k in itertools.count(1):
        path = tmp_path / str(k)
        path.mkdir()
        build(path)
        old = seen(path)
        steps.clear()

        def on_step(step: str, *, k: int = k, path: Path = path, old: Seen = old) -> None:
            steps.append(step)
            _assert_prefix_of_order(seen(path), old)
            if len(steps) == k:
                raise failure

        try:
            plain_files.publish(path, NEW, mtime_s=2000, on_step=on_step)
        except (KeyboardInterrupt, RuntimeError):
            _assert_prefix_of_order(seen(path), old)
        if len(steps) < k:
            break
        publish(path)
        assert_converged(path)
    assert set(plain_files.Step) <= set(steps)


def _assert_prefix_of_order(now: Seen, old: Seen) -> None:
    replaced = [now[document] == NEW[document] for document in plain_files.ORDER]
    assert replaced == sorted(replaced, reverse=True)
    assert all(now[document] in (old[document], NEW[document]) for document in items.Document)


def test_p2_a_failure_before_the_first_file_is_not_flipped_and_leaves_no_temps(tmp_path: Path) -> None:
    plain(tmp_path)

    def on_step(step: str) -> None:
        if step == plain_files.Step.REPLACE:
            (tmp_path / "..resources.yml_tmp").unlink()

    with pytest.raises(errors.PublishError, match=r"step replace-file: .*resources.yml: No such file") as caught:
        plain_files.publish(tmp_path, NEW, mtime_s=1, on_step=on_step)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.generation is None
    assert {file.name for file in tmp_path.iterdir()} == DOCUMENT_NAMES
    assert seen(tmp_path) == OLD


def test_a6_an_obstacle_is_an_error_before_anything_is_changed(tmp_path: Path) -> None:
    generations_cut_off(tmp_path)
    (tmp_path / FUNCTIONS).unlink()
    (tmp_path / FUNCTIONS).mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(errors.ObstructedError, match=r"functions.yml: is a directory"):
        publish(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_p5_what_does_not_read_back_is_an_error(tmp_path: Path) -> None:
    def on_step(step: str) -> None:
        if step == plain_files.Step.VERIFY:
            (tmp_path / ROUTING).write_bytes(b"flipped bits")

    with pytest.raises(errors.PublishError, match="does not read back") as caught:
        plain_files.publish(tmp_path, NEW, mtime_s=1, on_step=on_step)
    assert caught.value.flipped


def test_going_back_to_generations_adopts_the_plain_files(tmp_path: Path) -> None:
    publish(tmp_path)
    assert generation.publish(tmp_path, OLD, number=1, mtime_s=3000, on_step=ignore) == 2
    look = config_dir.observe(tmp_path)
    assert {state.presence for state in look.documents.values()} == {observed.Presence.LINK}
    assert seen(tmp_path) == OLD
