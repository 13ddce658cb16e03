"""Which artifact.yml files there are below a folder, and which of them is meant."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manifests import beneath, discovery, source_errors

TEXT = "project: {project}\nenv: {env}\nmode: docker\n"


def put(root: Path, folder: str, *, project: str = "p", env: str = "dev", name: str = "artifact.yml") -> Path:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEXT.format(project=project, env=env))
    return path


def _paths(root: Path) -> list[str]:
    return [each.path for each in discovery.candidates(root)]


def test_manifests_are_found_in_the_order_of_their_paths(tmp_path: Path) -> None:
    put(tmp_path, "b", env="prod")
    put(tmp_path, "a/.esb/dev")
    put(tmp_path, "")
    assert discovery.candidates(tmp_path) == (
        discovery.Candidate("a/.esb/dev/artifact.yml", "p", "dev", "docker"),
        discovery.Candidate("artifact.yml", "p", "dev", "docker"),
        discovery.Candidate("b/artifact.yml", "p", "prod", "docker"),
    )


@pytest.mark.parametrize(
    "name",
    [
        "artifact.yml.bak",
        "artifact.yml~",
        ".artifact.yml.swp",
        "artifact.yaml",
        "Artifact.yml",
        "4913",
        "xartifact.yml",
    ],
)
def test_c5_only_the_exact_name_counts(tmp_path: Path, name: str) -> None:
    put(tmp_path, "", name=name)
    assert _paths(tmp_path) == []


def test_d5_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "real")
    (tmp_path / "real" / "loop").symlink_to("..")
    (tmp_path / "alias").symlink_to("real")
    assert _paths(tmp_path) == ["real/artifact.yml"]


def test_a_volume_in_the_kubernetes_layout_has_one_manifest(tmp_path: Path) -> None:
    put(tmp_path, "..2026_02_20")
    (tmp_path / "..data").symlink_to("..2026_02_20")
    (tmp_path / "artifact.yml").symlink_to("..data/artifact.yml")
    assert discovery.candidates(tmp_path) == (discovery.Candidate("artifact.yml", "p", "dev", "docker"),)


def test_git_is_skipped_and_other_hidden_folders_are_not(tmp_path: Path) -> None:
    put(tmp_path, ".git")
    put(tmp_path, "sub/.git/modules")
    put(tmp_path, ".github")
    assert _paths(tmp_path) == [".github/artifact.yml"]


def test_d5_a_tree_of_64_levels_is_searched_and_no_deeper(tmp_path: Path) -> None:
    put(tmp_path, "/".join(["d"] * 64))
    put(tmp_path, "/".join(["e"] * 65))
    assert [path[0] for path in _paths(tmp_path)] == ["d"]


def test_d5_a_wide_tree_is_searched(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"d{number}" / "x").mkdir(parents=True)
    put(tmp_path, "d77/x")
    assert _paths(tmp_path) == ["d77/x/artifact.yml"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"env: dev\n", "has no project, mode"),
        (b"", "has no project, env, mode"),
        (b"[]", "has no project, env, mode"),
        (b"project: [", "bad/artifact.yml:"),
        (b"project: 7\nenv: e\nmode: docker\n", "has no project"),
        (b"\xff", "bad/artifact.yml:"),
    ],
)
def test_p11_a_bad_manifest_does_not_hide_the_others(tmp_path: Path, content: bytes, words: str) -> None:
    put(tmp_path, "good")
    put(tmp_path, "bad").write_bytes(content)
    bad, good = discovery.candidates(tmp_path)
    assert words in bad.problem
    assert good.problem == ""
    assert discovery.select((bad, good), project="p", env="dev") is good


def test_g1_what_bears_the_name_but_is_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    put(tmp_path, "outside", project="topsecret")
    root = tmp_path / "root"
    for name in ("escape", "fifo", "folder"):
        (root / name).mkdir(parents=True)
    (root / "escape" / "artifact.yml").symlink_to("../../outside/artifact.yml")
    os.mkfifo(root / "fifo" / "artifact.yml")
    (root / "folder" / "artifact.yml").mkdir()
    found = {each.path: each.problem for each in discovery.candidates(root)}
    assert list(found) == ["escape/artifact.yml", "fifo/artifact.yml"]
    assert "leaves the folder" in found["escape/artifact.yml"]
    assert "is a FIFO" in found["fifo/artifact.yml"]


def test_f2_names_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    put(tmp_path, os.fsdecode(b"\xff\xfe"))
    assert len(_paths(tmp_path)) == 1


# Choosing one

DEV = discovery.Candidate("dev/artifact.yml", "p", "dev", "docker")
PROD = discovery.Candidate("prod/artifact.yml", "p", "prod", "docker")
OTHER = discovery.Candidate("other/artifact.yml", "q", "dev", "docker")
BAD = discovery.Candidate("bad/artifact.yml", problem="has no project")


@pytest.mark.parametrize(
    ("found", "project", "env", "chosen"),
    [
        ((DEV,), None, None, DEV),
        ((DEV, PROD), None, "prod", PROD),
        ((DEV, OTHER), "q", None, OTHER),
        ((DEV, PROD, OTHER), "p", "dev", DEV),
        ((BAD,), None, None, BAD),
        ((BAD, DEV), "p", None, DEV),
    ],
)
def test_project_and_env_choose(
    found: tuple[discovery.Candidate, ...], project: str | None, env: str | None, chosen: discovery.Candidate
) -> None:
    assert discovery.select(found, project=project, env=env) is chosen


def test_ambiguity_lists_the_candidates() -> None:
    with pytest.raises(source_errors.AmbiguousManifest) as refused:
        discovery.select((DEV, PROD, OTHER, BAD), project="p")
    assert refused.value.message == (
        "2 manifests would do: dev/artifact.yml (project p, env dev, mode docker); "
        "prod/artifact.yml (project p, env prod, mode docker)"
    )


def test_no_match_lists_what_there_is() -> None:
    with pytest.raises(source_errors.NoManifest, match="no manifest has been found; there are: none"):
        discovery.select(())
    with pytest.raises(source_errors.NoManifest) as refused:
        discovery.select((DEV, BAD), project="x", env="y")
    assert "project x and env y" in refused.value.message
    assert (
        "dev/artifact.yml (project p, env dev, mode docker); bad/artifact.yml (has no project)" in refused.value.message
    )


Finder = Callable[[Path], object]
FINDERS: list[Finder] = [discovery.only, discovery.required]


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("volume", [False, True])
def test_c1_a_folder_without_any_name_is_an_empty_source(tmp_path: Path, find: Finder, volume: bool) -> None:
    """C1: as a volume that is not mounted, or that was just formatted, looks."""
    if volume:
        (tmp_path / "lost+found").mkdir()
    with pytest.raises(source_errors.SourceEmpty, match="empty, or not mounted") as refused:
        find(tmp_path)
    assert str(tmp_path) in refused.value.message
    assert discovery.candidates(tmp_path) == ()


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("name", ["notes.txt", "artifact.yaml", "folder/", ".git/", "lost+found"])
def test_p6_a_folder_of_other_things_is_a_mistyped_source(tmp_path: Path, find: Finder, name: str) -> None:
    """P6: were it empty, policy.allow_empty would take everything away. A file `lost+found` is somebody's, too."""
    (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    with pytest.raises(source_errors.NoManifest) as refused:
        find(tmp_path)
    assert refused.value.message == f"{tmp_path} has no artifact.yml (exactly this name), in it or below it"


@contextlib.contextmanager
def _without_privileges() -> Iterator[None]:
    """Root may enter every folder; nobody may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that anybody can reach, by a relative path: the parents of the test's own folder nobody may enter."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    put(tmp_path, "source/open")
    return Path("source")


@contextlib.contextmanager
def _closed(path: Path) -> Iterator[None]:
    path.chmod(0)
    try:
        with _without_privileges():
            yield
    finally:
        path.chmod(0o755)


@pytest.mark.parametrize("env", [None, "dev", "prod"])
@pytest.mark.parametrize("closed", ["shut", "shut/deeper", "shut/artifact.yml"])
def test_p6_nothing_is_chosen_beside_what_may_not_be_read(source: Path, closed: str, env: str | None) -> None:
    """P6: it may hold the manifest that is meant, or make the choice ambiguous. No change, and what it is."""
    put(source, "shut", env="prod")
    put(source, "shut/deeper", env="prod")
    with _closed(source / closed), pytest.raises(source_errors.SourceUnreadable) as refused:
        discovery.only(source, env=env)
    assert f"{closed}{'' if closed.endswith('.yml') else '/'}: Permission denied (errno 13)" in refused.value.message


def test_p6_a_folder_that_may_not_be_read_is_not_one_without_a_manifest(source: Path) -> None:
    (source / "open/artifact.yml").unlink()
    with _closed(source / "open"):
        with pytest.raises(source_errors.SourceUnreadable, match="open/: Permission denied"):
            discovery.only(source)
        assert discovery.required(source)[0].unreadable


def test_p11_a_folder_that_may_not_be_read_is_listed_with_the_others(source: Path) -> None:
    put(source, "shut")
    with _closed(source / "shut"):
        found = discovery.candidates(source)
    assert [(each.path, each.unreadable, each.problem) for each in found] == [
        ("open/artifact.yml", False, ""),
        ("shut/", True, "Permission denied (errno 13)"),
    ]


def test_a_volumes_lost_and_found_is_in_nobodys_way(source: Path) -> None:
    (source / "lost+found").mkdir()
    with _closed(source / "lost+found"):
        assert discovery.only(source) == "open/artifact.yml"


@pytest.mark.parametrize("becomes", ["nothing", "a file"])
def test_c6_a_folder_that_is_gone_meanwhile_is_passed_over(
    source: Path, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "passing").mkdir()
    names = beneath.Root.names

    def listing(root: beneath.Root, relative: str) -> tuple[beneath.Name, ...]:
        listed = names(root, relative)
        if relative == ".":
            (source / "passing").rmdir()
            if becomes == "a file":
                (source / "passing").touch()
        return listed

    monkeypatch.setattr(beneath.Root, "names", listing)
    assert discovery.only(source) == "open/artifact.yml"


def test_c1_a_file_is_no_source_and_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(source_errors.SourceMissing) as refused:
        discovery.only(put(tmp_path, ""))
    assert "is a file: pass its folder, or use `deploy --artifact`" in refused.value.message
    with pytest.raises(source_errors.SourceMissing, match="no such file"):
        discovery.only(tmp_path / "gone")


def test_c1_a_missing_folder_is_a_missing_source(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", put(tmp_path, "")):
        with pytest.raises(source_errors.SourceMissing):
            discovery.candidates(path)
