"""Looking at CONFIG_DIR: every state is a value, nothing blocks, nothing is written."""

import os
import socket
from pathlib import Path

import pytest

from core import digest, items, observed
from manifests import config_dir, errors

FUNCTIONS, ROUTING, RESOURCES = items.Document


def generation(path: Path, number: int, *, mtime_s: int = 100) -> Path:
    folder = path / f"..gen-{number:06d}"
    folder.mkdir()
    for document in items.Document:
        (folder / document).write_bytes(f"{document} {number}\n".encode())
        os.utime(folder / document, (mtime_s, mtime_s))
    return folder


def layout(path: Path, *numbers: int) -> None:
    for number in numbers:
        generation(path, number, mtime_s=100 + number)
    (path / "..data").symlink_to(f"..gen-{numbers[-1]:06d}")
    for document in items.Document:
        (path / document).symlink_to(f"..data/{document}")


def presence(path: Path, document: items.Document = FUNCTIONS) -> str:
    return config_dir.observe(path).documents[document].presence


def test_our_layout_is_seen_as_links_with_digests_times_and_generation(tmp_path: Path) -> None:
    layout(tmp_path, 41, 42)
    look = config_dir.observe(tmp_path)
    assert look.exists
    assert look.generation == 42
    assert look.generations == (41, 42)
    assert look.newest_mtime_s == 142
    assert look.leftovers == look.foreign_files == ()
    for document, state in look.documents.items():
        assert state == observed.DocumentState(
            observed.Presence.LINK, digest.of_bytes(f"{document} 42\n".encode()), mtime_s=142
        )


def test_a_missing_directory_is_a_result(tmp_path: Path) -> None:
    look = config_dir.observe(tmp_path / "nowhere")
    assert not look.exists
    assert {state.presence for state in look.documents.values()} == {observed.Presence.MISSING}
    assert config_dir.read_documents(tmp_path / "nowhere") == dict.fromkeys(items.Document)


def test_a_link_to_the_directory_is_followed(tmp_path: Path) -> None:
    layout(tmp_path, 1)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert config_dir.observe(link).generation == 1


def test_a9_not_a_directory_is_an_error_with_path_and_errno(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for call in (config_dir.observe, config_dir.read_documents):
        with pytest.raises(errors.ConfigDirError, match=r"file: Not a directory \(errno 20\)"):
            call(file)


def test_a9_a_directory_without_permission_is_an_error(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    root = os.geteuid() == 0  # root may look everywhere, so it looks as somebody else
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(errors.ConfigDirError, match=r"closed: Permission denied \(errno 13\)"):
            config_dir.observe(closed)
    finally:
        if root:
            os.seteuid(0)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    layout(tmp_path, 1, 2)
    before = {file: os.lstat(file) for file in tmp_path.rglob("*")}
    config_dir.observe(tmp_path)
    config_dir.read_documents(tmp_path)
    after = {file: os.lstat(file) for file in tmp_path.rglob("*")}
    assert {file: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for file, s in before.items()} == {
        file: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for file, s in after.items()
    }


def test_plain_files_and_foreign_links_are_plain(tmp_path: Path) -> None:
    (tmp_path / FUNCTIONS).write_text("plain")
    (tmp_path / "elsewhere").write_text("foreign")
    (tmp_path / ROUTING).symlink_to("elsewhere")
    look = config_dir.observe(tmp_path)
    assert [state.presence for state in look.documents.values()] == ["plain", "plain", "missing"]
    assert look.documents[ROUTING].digest == digest.of_bytes(b"foreign")
    assert config_dir.read_documents(tmp_path) == {FUNCTIONS: b"plain", ROUTING: b"foreign", RESOURCES: None}


@pytest.mark.parametrize("target", ["nowhere", FUNCTIONS.value, "file/below"])
def test_a6_a_foreign_link_to_nothing_shows_nothing(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / FUNCTIONS).symlink_to(target)
    assert presence(tmp_path) == "missing"


def test_a6_our_link_without_a_generation_dangles_and_still_tells_the_number(tmp_path: Path) -> None:
    (tmp_path / "..data").symlink_to("..gen-000007")
    (tmp_path / FUNCTIONS).symlink_to("..data/functions.yml")
    look = config_dir.observe(tmp_path)
    assert look.documents[FUNCTIONS].presence == "dangling"
    assert look.generation == 7
    assert look.leftovers == ()


def test_a6_a_foreign_switch_names_no_generation_and_makes_its_files_foreign(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / FUNCTIONS).write_text("theirs")
    (tmp_path / "..data").symlink_to("theirs")
    (tmp_path / FUNCTIONS).symlink_to("..data/functions.yml")
    look = config_dir.observe(tmp_path)
    assert look.generation is None
    assert look.documents[FUNCTIONS].presence == "plain"
    assert look.foreign_files == ("theirs",)
    assert look.leftovers == ()


def _directory(place: Path) -> None:
    place.mkdir()


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _link_to_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def _link_to_fifo(place: Path) -> None:
    os.mkfifo(place.parent / "fifo")
    place.symlink_to("fifo")


def _huge(place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(items.MAX_DOCUMENT_BYTES + 1)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # A relative name: the whole path may be longer than a socket's name can be.
        before = Path.cwd()
        os.chdir(place.parent)
        try:
            listener.bind(place.name)
        finally:
            os.chdir(before)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("build", "obstacle"),
    [
        (_directory, "a directory"),
        (_fifo, "a FIFO"),
        (_link_to_device, "a device"),
        (_link_to_fifo, "a FIFO"),
        (_huge, "larger than"),
        (_socket, "a socket"),
    ],
)
def test_a6_g1_what_is_no_regular_file_is_an_obstacle_and_never_blocks(
    tmp_path: Path, build: object, obstacle: str
) -> None:
    assert callable(build)
    build(tmp_path / FUNCTIONS)
    state = config_dir.observe(tmp_path).documents[FUNCTIONS]
    assert state.presence == "obstructed"
    assert obstacle in state.obstacle
    assert state.digest is None
    assert config_dir.read_documents(tmp_path)[FUNCTIONS] is None


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a6_a_switch_that_is_no_link_obstructs_everything(tmp_path: Path, kind: str) -> None:
    switch = tmp_path / "..data"
    if kind == "directory":
        switch.mkdir()
    else:
        switch.touch()
    look = config_dir.observe(tmp_path)
    assert {state.obstacle for state in look.documents.values()} == {f"..data is a {kind}, not a link"}
    assert {state.presence for state in look.documents.values()} == {"obstructed"}


def test_something_odd_inside_our_generation_is_no_obstacle(tmp_path: Path) -> None:
    layout(tmp_path, 1)
    (tmp_path / "..gen-000001" / FUNCTIONS).unlink()
    os.mkfifo(tmp_path / "..gen-000001" / FUNCTIONS)
    assert presence(tmp_path) == "dangling"


def test_a1_what_interrupted_publishes_leave_is_listed_and_nothing_else(tmp_path: Path) -> None:
    layout(tmp_path, 3, 5, 7, 9)
    (tmp_path / "..data").unlink()
    (tmp_path / "..data").symlink_to("..gen-000007")
    (tmp_path / "..data_tmp").symlink_to("..gen-000009")
    (tmp_path / "..functions.yml_tmp").touch()
    (tmp_path / "..notes_tmp").touch()
    (tmp_path / "..gen-keep").mkdir()
    look = config_dir.observe(tmp_path)
    assert look.leftovers == ("..data_tmp", "..functions.yml_tmp", "..gen-000003", "..gen-000009")
    assert look.foreign_files == ("..gen-keep", "..notes_tmp")


def test_a6_without_a_link_through_it_the_switch_and_its_generation_are_leftovers(tmp_path: Path) -> None:
    layout(tmp_path, 1)
    for document in items.Document:
        (tmp_path / document).unlink()
        (tmp_path / document).write_text("plain")
    assert config_dir.observe(tmp_path).leftovers == ("..data", "..gen-000001")


@pytest.mark.parametrize(
    "target", ["{root}/..data/functions.yml", "./..data/functions.yml", "..gen-000001/functions.yml"]
)
def test_p1_a_generation_that_a_foreign_link_shows_is_never_a_leftover(tmp_path: Path, target: str) -> None:
    layout(tmp_path, 1, 2, 3)
    shown = 1 if "gen" in target else 3
    for document in items.Document:
        (tmp_path / document).unlink()
    (tmp_path / FUNCTIONS).symlink_to(target.format(root=tmp_path))
    look = config_dir.observe(tmp_path)
    assert f"..gen-{shown:06d}" not in look.leftovers
    assert look.documents[FUNCTIONS].digest == digest.of_bytes(f"functions.yml {shown}\n".encode())
    assert ("..data" in look.leftovers) == (shown != 3)


def test_known_names_are_not_reported_and_unknown_ones_are_printable(tmp_path: Path) -> None:
    for name in (".controller", ".artifact-merge.lock", "lost+found", ".gitkeep"):
        (tmp_path / name).mkdir()
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"bad\xff"))
    (tmp_path / "notes.txt").touch()
    assert config_dir.observe(tmp_path).foreign_files == ("bad\\xff", "notes.txt")


def test_gw2_the_newest_time_counts_kept_generations_and_plain_files(tmp_path: Path) -> None:
    layout(tmp_path, 1, 2)
    os.utime(tmp_path / "..gen-000001" / ROUTING, (5000, 5000))
    assert config_dir.observe(tmp_path).newest_mtime_s == 5000
    (tmp_path / FUNCTIONS).unlink()
    (tmp_path / FUNCTIONS).touch()
    os.utime(tmp_path / FUNCTIONS, (9000, 9000))
    assert config_dir.observe(tmp_path).newest_mtime_s == 9000


def test_owner_and_mode_do_not_count(tmp_path: Path) -> None:
    layout(tmp_path, 1)
    before = config_dir.observe(tmp_path)
    for document in items.Document:
        (tmp_path / "..gen-000001" / document).chmod(0o600)
    assert config_dir.observe(tmp_path) == before
