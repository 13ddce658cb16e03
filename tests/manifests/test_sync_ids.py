"""`manifest sync-ids`: the computed ids, and not one byte more."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import identity
from manifests import artifact_file, atomic, source_errors, sync_ids, yaml_edit

A = identity.entry_id("/src/a.yaml")
B = identity.entry_id("/src/b.yaml", {"Stage": "dev"})
TEXT = """\
# who keeps this file
schema_version: '1'   # quoted by hand
project: "p"
env: dev
mode: docker
artifacts:
  # the first
  - id: "wrong-00000000"  # set by a tool
    artifact_root: svc-a
    runtime_config_dir: config
    source_template: {path: /src/a.yaml}

  - artifact_root: 'svc-b'
    runtime_config_dir: config
    source_template:
      parameters: {Stage: dev}
      path: /src/b.yaml   # last
"""
WANTED = TEXT.replace("wrong-00000000", A).replace(
    "  - artifact_root: 'svc-b'", f"  - id: {B}\n    artifact_root: 'svc-b'"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "artifact.yml"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def _stamp(path: Path) -> tuple[int, int, bytes]:
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


DIFFERENCES = (sync_ids.Difference(0, 8, "wrong-00000000", A), sync_ids.Difference(1, 13, "", B))


def test_check_names_every_difference_and_writes_nothing(file: Path) -> None:
    before = _stamp(file)
    assert sync_ids.check(file) == DIFFERENCES
    assert _stamp(file) == before


def test_sync_changes_the_ids_and_nothing_else(file: Path) -> None:
    assert sync_ids.sync(file) == DIFFERENCES
    assert file.read_text() == WANTED
    assert file.stat().st_mode & 0o777 == 0o640
    assert os.listdir(file.parent) == ["artifact.yml"]
    assert artifact_file.read(file.read_bytes(), file="artifact.yml").manifest is not None


def test_nothing_is_written_when_nothing_differs(file: Path) -> None:
    sync_ids.sync(file)
    before = _stamp(file)
    assert sync_ids.check(file) == ()
    assert sync_ids.sync(file) == ()
    assert _stamp(file) == before


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("link.yml")
    link.symlink_to("artifact.yml")
    sync_ids.sync(link)
    assert link.is_symlink()
    assert file.read_text() == WANTED


def test_other_faults_of_the_manifest_are_no_obstacle(file: Path) -> None:
    file.write_text(TEXT.replace("mode: docker", "mode: podman"))
    assert len(sync_ids.sync(file)) == 2


def test_the_second_generation_gets_ids_of_its_roots(file: Path) -> None:
    file.write_text("artifacts:\n  - artifact_root: ../svc-a/dev\n    runtime_config_dir: c\n")
    with pytest.raises(source_errors.ArtifactInvalid) as refused:
        sync_ids.check(file)
    assert (refused.value.problems[0].line, refused.value.problems[0].key) == (2, "artifacts[0]")
    wanted = identity.id_of_root("../svc-a/dev")
    assert sync_ids.sync(file, require_ids=False) == (sync_ids.Difference(0, 2, "", wanted),)
    assert file.read_text().startswith(f"artifacts:\n  - id: {wanted}\n    artifact_root")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("artifacts: [", "artifacts"),
        ("", "artifacts"),
        ("artifacts: []", "artifacts"),
        ("artifacts: 7", "artifacts"),
        ("artifacts: [7]", "artifacts[0]"),
        ("artifacts: [{source_template: {}}]", "artifacts[0]"),
        ("artifacts: [{source_template: {path: a, parameters: {n: 1}}}]", "artifacts[0]"),
        ("artifacts: [{source_template: {path: a}}, {source_template: {path: ./a}}]", "artifacts[1]"),
    ],
)
def test_ids_that_cannot_be_computed_are_named_and_nothing_is_written(file: Path, text: str, key: str) -> None:
    file.write_text(text)
    before = _stamp(file)
    for action in (sync_ids.check, sync_ids.sync):
        with pytest.raises(source_errors.ArtifactInvalid) as refused:
            action(file)
        assert refused.value.problems[0].file == str(file)
        assert refused.value.problems[0].key == key
    assert _stamp(file) == before


def test_a_layout_that_cannot_be_edited_is_refused(file: Path) -> None:
    file.write_text("x: &e {id: old-00000000, source_template: {path: a}}\nartifacts: [*e]\n")
    before = _stamp(file)
    with pytest.raises(source_errors.ArtifactInvalid, match=r"by hand|in place"):
        sync_ids.sync(file)
    assert _stamp(file) == before


def test_somebody_elses_change_is_not_overwritten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = yaml_edit.edit

    def slow(content: bytes, change: Callable[[Any], bool]) -> bytes | None:
        file.write_text(TEXT + "# added meanwhile\n")
        return edit(content, change)

    monkeypatch.setattr(yaml_edit, "edit", slow)
    with pytest.raises(source_errors.SourceUnstable, match="run the command again"):
        sync_ids.sync(file)
    assert file.read_text() == TEXT + "# added meanwhile\n"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_g1_only_regular_files_are_read(file: Path, make: object) -> None:
    file.unlink()
    make(file)  # type: ignore[operator] # one of the two above
    with pytest.raises(source_errors.NotPlain):
        sync_ids.check(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(source_errors.PathMissing, match=r"gone\.yml: no such file"):
        sync_ids.sync(tmp_path / "gone.yml")


def test_a9_a_file_that_cannot_be_replaced_stays_as_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(atomic, "replace_file", full)
    with pytest.raises(source_errors.PathUnreadable, match=r"artifact.yml: No space left on device \(errno 28\)"):
        sync_ids.sync(file)
    assert file.read_text() == TEXT
