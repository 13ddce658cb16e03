"""G4: what an image is built from is known by its bytes, refused when it is no plain tree, and copied inert."""

import os
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from core import digest, identity
from manifests import build_context, checkout, contents, context_tree, fingerprint, source_errors

SECRET = b"sentinel-that-must-never-be-seen"
LATER_NS = 4_000_000_000 * 1_000_000_000
"""A clock far ahead of every file: nothing is too fresh to be trusted."""
ENTRY = identity.entry_id("/src/a.yaml")

_before_open: list[Callable[[str, int], None]] = []


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _before_open and isinstance(arguments[2], int):
        for callback in tuple(_before_open):
            callback(str(arguments[0]), arguments[2])


sys.addaudithook(_on_audit)


class Artifact:
    """A source with one entry and its function `fn`, which is built."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.root = self.source / "svc"
        self.context = self.root / "functions" / "fn"
        self.into = folder / "into"
        self.store = fingerprint.MemoryStore()
        self.rules = checkout.Rules()
        (self.root / "config").mkdir(parents=True)
        (self.root / "config/functions.yml").write_text("functions: {fn: {image: 'registry:5010/fn:1'}}")
        (self.root / "config/routing.yml").write_text("routes: []")
        (self.source / "artifact.yml").write_text(
            'schema_version: "1"\nproject: p\nenv: e\nmode: docker\nartifacts:\n'
            f"  - id: {ENTRY}\n    artifact_root: svc\n    runtime_config_dir: config\n"
            "    source_template: {path: /src/a.yaml}\n"
        )
        (self.context / "src").mkdir(parents=True)
        self.write("Dockerfile", b"FROM base\nCOPY functions/fn/src/ /app/\n")
        self.write("src/app.py", b"print(1)\n")

    def write(self, path: str, content: bytes = b"") -> Path:
        target = self.context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def link(self, path: str, target: str) -> None:
        (self.context / path).parent.mkdir(parents=True, exist_ok=True)
        (self.context / path).symlink_to(target)

    def scan(self, store: fingerprint.Store | None = None, **options: Callable[[], int]) -> checkout.Checkout:
        now_ns = options.get("now_ns", lambda: LATER_NS)
        return checkout.scan(checkout.Source(self.source), store or self.store, now_ns=now_ns, rules=self.rules)

    def digest(self) -> str:
        return checkout.context_of(self.scan(), ENTRY, "fn").digest

    def copied(self) -> Path:
        build_context.copy(self.scan(), ENTRY, "fn", self.into)
        return self.into / "functions" / "fn"

    def invalid(self) -> list[str]:
        with pytest.raises(source_errors.ArtifactInvalid) as refused:
            self.scan()
        assert {each.key for each in refused.value.problems} == {"artifacts[0].artifact_root"}
        assert all(each.line for each in refused.value.problems)
        return [each.message for each in refused.value.problems]


@pytest.fixture
def artifact(tmp_path: Path) -> Iterator[Artifact]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield Artifact(tmp_path)
    assert sorted(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


def _everything(root: Path) -> dict[str, tuple[int, str, int]]:
    """Type and mode, bytes or target, and time, of everything below a folder, and of the folder itself."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (".", *folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            content = os.readlink(path) if path.is_symlink() else "" if path.is_dir() else path.read_bytes().hex()
            found[str(path.relative_to(root))] = (status.st_mode, content, status.st_mtime_ns)
    return found


# What the digest covers


def _edit(one: Artifact) -> None:
    one.write("src/app.py", b"print(2)\n")


def _edit_dockerfile(one: Artifact) -> None:
    one.write("Dockerfile", b"FROM other\n")


def _rename(one: Artifact) -> None:
    (one.context / "src/app.py").rename(one.context / "src/main.py")


def _executable(one: Artifact) -> None:
    (one.context / "src/app.py").chmod(0o755)


def _folder_mode(one: Artifact) -> None:
    (one.context / "src").chmod(0o750)


def _own_mode(one: Artifact) -> None:
    one.context.chmod(0o750)


def _new_file(one: Artifact) -> None:
    one.write("src/.hidden")


def _empty_folder(one: Artifact) -> None:
    (one.context / "empty").mkdir()


def _new_link(one: Artifact) -> None:
    one.link("latest", "src")


def _ignore_file(one: Artifact) -> None:
    """An ordinary file: nobody who hashes or copies obeys it."""
    one.write(".dockerignore", b"**\n")


CHANGES = [
    _edit,
    _edit_dockerfile,
    _rename,
    _executable,
    _folder_mode,
    _own_mode,
    _new_file,
    _empty_folder,
    _new_link,
    _ignore_file,
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_moves_digest_and_revision(artifact: Artifact, change: Callable[[Artifact], None]) -> None:
    revision, digest = artifact.scan().revision, artifact.digest()
    change(artifact)
    assert artifact.scan().revision != revision
    assert artifact.digest() != digest
    assert artifact.scan(fingerprint.MemoryStore()).revision == artifact.scan().revision, "the store only saves time"


def test_a_link_counts_by_what_it_says(artifact: Artifact) -> None:
    artifact.link("latest", "src/app.py")
    before = artifact.digest()
    (artifact.context / "latest").unlink()
    artifact.link("latest", "src/./app.py")
    assert artifact.digest() != before


def test_times_and_set_user_id_do_not_count(artifact: Artifact) -> None:
    before = artifact.digest()
    os.utime(artifact.context / "src/app.py", (1, 1))
    (artifact.context / "src/app.py").chmod(0o4000 | stat.S_IMODE((artifact.context / "src/app.py").stat().st_mode))
    (artifact.context / "src").chmod(0o2755)
    assert artifact.digest() == before


def test_functions_without_a_dockerfile_have_no_context(artifact: Artifact) -> None:
    (artifact.context / "Dockerfile").unlink()
    os.mkfifo(artifact.context / "src/fifo")
    assert artifact.scan().entries[0].contexts == ()


def test_file_and_link_and_folder_never_look_the_same(artifact: Artifact) -> None:
    digests = set()
    target = artifact.context / "thing"
    target.write_text("x")
    target.chmod(0o777)
    digests.add(artifact.digest())
    target.unlink()
    target.symlink_to("x")
    digests.add(artifact.digest())
    target.unlink()
    target.mkdir()
    target.chmod(0o777)
    digests.add(artifact.digest())
    assert len(digests) == 3


def test_an_unchanged_context_opens_no_file(artifact: Artifact) -> None:
    artifact.scan()
    opened: list[str] = []

    def note(path: str, flags: int) -> None:
        if not flags & os.O_DIRECTORY:
            opened.append(path)

    _before_open.append(note)
    try:
        artifact.scan()
        assert opened == []
        artifact.write("src/app.py", b"print(2)\n")
        opened.clear()
        artifact.scan()
        assert opened == ["app.py"]
    finally:
        _before_open.remove(note)


def test_files_of_a_context_are_not_held_in_memory(artifact: Artifact) -> None:
    artifact.write("src/big", b"x" * (3 << 20))
    assert max(map(len, artifact.scan().held.values())) < 1000


def test_blocks_have_the_digest_of_the_whole(artifact: Artifact) -> None:
    read = contents.Sum()
    for block in (b"print", b"", b"(1)\n"):
        read.add(block)
    found = artifact.scan()
    status = (artifact.context / "src/app.py").stat()
    seen = fingerprint.of_stat(str(artifact.context / "src/app.py"), status)
    assert artifact.store.digest_of(seen) == read.digest
    assert found.held


# What may not be in a context: G4


def _socket(one: Artifact) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(one.context, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{folder}/it")
        os.close(folder)


def _deep(one: Artifact) -> None:
    path = one.context
    for _ in range(context_tree.MAX_DEPTH + 1):
        path /= "d"
    path.mkdir(parents=True)


def _up_behind_a_link(one: Artifact) -> None:
    one.write("d/x")
    one.link("src/top", "../d")
    one.link("it", "src/top/../../x")


def _shared_dockerfile(one: Artifact) -> None:
    (one.context / "Dockerfile").rename(one.root / "shared")
    one.link("Dockerfile", "../../shared")


REFUSED: dict[str, tuple[Callable[[Artifact], object], str]] = {
    "absolute link": (lambda one: one.link("it", "/etc/passwd"), "svc/functions/fn/it: leaves the folder"),
    "absolute link inside": (lambda one: one.link("it", str(one.context)), "svc/functions/fn/it: leaves the folder"),
    "link to the neighbour": (lambda one: one.link("it", "../other/file"), "svc/functions/fn/it: leaves the folder"),
    "link out and back": (lambda one: one.link("it", "../fn/src"), "svc/functions/fn/it: leaves the folder"),
    "link up late": (lambda one: one.link("it", "src/../../x"), "svc/functions/fn/it: leaves the folder"),
    "link from below": (lambda one: one.link("src/it", "../../x"), "svc/functions/fn/src/it: leaves the folder"),
    "up behind a link": (
        _up_behind_a_link,
        "svc/functions/fn/it: leaves the folder",
    ),
    "Dockerfile from outside": (
        _shared_dockerfile,
        "svc/functions/fn/Dockerfile: leaves the folder",
    ),
    "FIFO": (lambda one: os.mkfifo(one.context / "it"), "svc/functions/fn/it: is a FIFO, must be a file"),
    "socket": (_socket, "svc/functions/fn/it: is a socket, must be a file"),
    "sparse 10 GB": (
        lambda one: os.truncate(one.write("it"), 10 << 30),
        "svc/functions/fn: holds files of more than 1073741824 bytes together",
    ),
    "not UTF-8": (
        lambda one: os.close(os.open(os.fsencode(one.context) + b"/\xffit", os.O_CREAT)),
        "svc/functions/fn/\\xffit: has a name",
    ),
    "folder not UTF-8": (
        lambda one: shutil.copytree(one.context, os.fsdecode(os.fsencode(one.context.parent) + b"/\xff\n")),
        "svc/functions/\\xff\\n: has a name",
    ),
    "Dockerfile of no UTF-8 folder is none": (
        lambda one: os.makedirs(os.fsencode(one.context.parent) + b"/\xff/Dockerfile"),
        "svc/functions/\\xff/Dockerfile: is a directory",
    ),
    "target not UTF-8": (lambda one: one.link("it", "\udcff"), "svc/functions/fn/it: has a name"),
    "too deep": (_deep, "svc/functions/fn/d/d/d"),
    "Dockerfile too large": (
        lambda one: os.truncate(one.context / "Dockerfile", 9 << 20),
        "svc/functions/fn/Dockerfile: has 9437184 bytes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_g4_what_no_image_is_built_from_is_refused_by_its_path(artifact: Artifact, case: str) -> None:
    make, words = REFUSED[case]
    make(artifact)
    found = artifact.invalid()
    assert len(found) == 1
    assert found[0].startswith(words)
    found[0].encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_g4_a_device_is_refused(artifact: Artifact) -> None:
    try:
        os.mknod(artifact.context / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container may not make devices")
    assert "is a character device" in artifact.invalid()[0]


def test_g4_everything_that_is_wrong_is_said_up_to_a_bound(artifact: Artifact) -> None:
    for number in range(50):
        artifact.link(f"l{number:02}", "/x")
    os.mkfifo(artifact.context / "fifo")
    found = artifact.invalid()
    assert len(found) == context_tree.MAX_SHOWN
    assert found[0].startswith("svc/functions/fn/fifo")


def test_g4_many_names_are_refused(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_tree, "MAX_NAMES", 10)
    for number in range(7):
        artifact.write(f"more/{number}")
    assert "holds more than 10 files" in artifact.invalid()[0]
    (artifact.context / "more/0").unlink()
    assert artifact.scan().entries[0].contexts, "ten names are ten: Dockerfile, src, src/app.py, more and six in it"


def test_g4_the_limit_is_a_rule(artifact: Artifact) -> None:
    size = sum(path.stat().st_size for path in artifact.context.rglob("*") if path.is_file())
    artifact.rules = checkout.Rules(max_context_bytes=size)
    assert artifact.scan().entries[0].contexts
    artifact.rules = checkout.Rules(max_context_bytes=size - 1)
    assert f"more than {size - 1} bytes" in artifact.invalid()[0]
    assert checkout.Rules(max_context_bytes=size).rules_digest != artifact.rules.rules_digest


INERT = {
    "inside": "src/app.py",
    "up inside": "src/../Dockerfile",
    "dangling": "nowhere/at/all",
    "dangling up": "nowhere/../x",
    "itself": "it",
    "folder": "./src//",
    "dot": ".",
}


@pytest.mark.parametrize("target", INERT.values(), ids=INERT.keys())
def test_g4_links_inside_are_kept_as_links(artifact: Artifact, target: str) -> None:
    """D5: loops among them are not followed."""
    artifact.link("it", target)
    artifact.link("src/up", "..")
    copied = artifact.copied()
    assert os.readlink(copied / "it") == target
    assert os.readlink(copied / "src/up") == ".."


def test_d5_the_deepest_context_that_is_allowed(artifact: Artifact) -> None:
    path = "/".join(["d"] * context_tree.MAX_DEPTH + ["file"])
    artifact.write(path, b"deep")
    assert (artifact.copied() / path).read_bytes() == b"deep"


# The Dockerfile


def test_the_dockerfile_comes_with_its_path(artifact: Artifact) -> None:
    found = artifact.scan()
    content, shown = checkout.dockerfile(found, artifact.store, ENTRY, "fn")
    assert (content, shown) == ((artifact.context / "Dockerfile").read_bytes(), "svc/functions/fn/Dockerfile")
    with pytest.raises(KeyError):
        checkout.dockerfile(found, artifact.store, ENTRY, "other")
    with pytest.raises(KeyError):
        checkout.dockerfile(found, artifact.store, "other", "fn")


def test_a_dockerfile_may_be_a_link_inside_its_context(artifact: Artifact) -> None:
    (artifact.context / "Dockerfile").rename(artifact.write("docker/prod"))
    artifact.link("Dockerfile", "docker/prod")
    content, shown = checkout.dockerfile(artifact.scan(), artifact.store, ENTRY, "fn")
    assert (content[:9], shown) == (b"FROM base", "svc/functions/fn/Dockerfile")


def test_c6_a_dockerfile_that_changed_since_is_unstable(artifact: Artifact) -> None:
    found = artifact.scan()
    artifact.write("Dockerfile", b"FROM elsewhere\n")
    with pytest.raises(source_errors.SourceUnstable):
        checkout.dockerfile(found, artifact.store, ENTRY, "fn")
    (artifact.context / "Dockerfile").unlink()
    with pytest.raises(source_errors.SourceUnstable):
        checkout.dockerfile(found, artifact.store, ENTRY, "fn")


# Copies


def test_h9_another_context_has_other_times_although_no_size_changed() -> None:
    """BuildKit asks only for files whose size or time differ from what it was sent last."""
    digests = [digest.of_value(number) for number in range(1000)]
    times = [build_context.mtime_ns(each) for each in digests]
    assert len({time // 10**9 for time in times}) > 990, "also where a file system keeps whole seconds"
    assert len(set(times)) == len(times)
    assert times == [build_context.mtime_ns(each) for each in digests]
    assert min(times) >= 315_532_800 * 10**9, "a zip archive holds no time before 1980"


def test_a_copy_is_the_context(artifact: Artifact) -> None:
    artifact.write("src/run.sh", b"#!/bin/sh\n").chmod(0o555)
    artifact.write(".dockerignore", b"*\n")
    artifact.write("src/odd \n$(name)", b"").chmod(0o4600)
    (artifact.context / "empty").mkdir(mode=0o555)
    before = _everything(artifact.source)
    umask = os.umask(0o077)
    try:
        copied = artifact.copied()
    finally:
        os.umask(umask)
    assert _everything(artifact.source) == before, "contract.md section 10.5"
    found = _everything(copied)
    original = _everything(artifact.context)
    assert {path: each[1] for path, each in found.items()} == {path: each[1] for path, each in original.items()}
    times = {each[2] for each in _everything(artifact.into).values()}
    assert times == {build_context.mtime_ns(artifact.scan().entries[0].contexts[0].digest)}
    assert stat.S_IMODE(found["src/run.sh"][0]) == 0o555
    assert stat.S_IMODE(found["src/odd \n$(name)"][0]) == 0o600
    assert stat.S_IMODE(found["empty"][0]) == 0o755, "what is in it can be removed"
    assert [stat.S_IMODE((artifact.into / each).stat().st_mode) for each in (".", "functions")] == [0o755, 0o755]
    shutil.rmtree(artifact.into)


def test_two_copies_are_the_same(artifact: Artifact, tmp_path: Path) -> None:
    artifact.copied()
    shutil.copytree(artifact.source, tmp_path / "moved")
    for path in (tmp_path / "moved/svc/functions").rglob("*"):
        os.utime(path, (7, 7))
    shutil.rmtree(artifact.source)
    (tmp_path / "moved").rename(artifact.source)
    first = _everything(artifact.into)
    shutil.rmtree(artifact.into)
    artifact.copied()
    assert _everything(artifact.into) == first


def test_holes_stay_holes(artifact: Artifact) -> None:
    big = artifact.write("sparse", b"head")
    os.truncate(big, 64 << 20)
    with open(big, "r+b") as file:
        file.seek(32 << 20)
        file.write(b"middle")
    copied = artifact.copied() / "sparse"
    assert copied.stat().st_blocks * 512 < 8 << 20
    assert copied.read_bytes() == big.read_bytes()


def test_the_folder_of_a_function_may_be_a_link_inside_the_artifact(artifact: Artifact) -> None:
    artifact.context.rename(artifact.root / "made")
    artifact.context.symlink_to("../made")
    assert (artifact.copied() / "src/app.py").read_bytes() == b"print(1)\n"
    assert not (artifact.into / "functions/fn").is_symlink()


def test_one_copy_for_each_function(artifact: Artifact) -> None:
    shutil.copytree(artifact.context, artifact.context.parent / "other")
    assert [path.name for path in artifact.copied().parent.iterdir()] == ["fn"]


def _linked_folder(one: Artifact) -> None:
    shutil.rmtree(one.context / "src")
    one.link("src", "../../config")


MOVES: list[Callable[[Artifact], object]] = [
    *CHANGES,
    lambda one: shutil.rmtree(one.context),
    lambda one: shutil.rmtree(one.root),
    lambda one: os.mkfifo(one.context / "fifo"),
    lambda one: one.link("evil", "/etc/passwd"),
    _linked_folder,
]


@pytest.mark.parametrize("move", MOVES)
def test_c6_what_changed_since_the_scan_is_not_copied(artifact: Artifact, move: Callable[[Artifact], object]) -> None:
    found = artifact.scan()
    move(artifact)
    with pytest.raises(source_errors.SourceUnstable):
        build_context.copy(found, ENTRY, "fn", artifact.into)


def test_c6_a_change_back_is_no_change(artifact: Artifact) -> None:
    found = artifact.scan()
    content = (artifact.context / "src/app.py").read_bytes()
    (artifact.context / "src/app.py").unlink()
    artifact.write("src/app.py", content)
    build_context.copy(found, ENTRY, "fn", artifact.into)
    assert [copied.read_bytes() for copied in artifact.into.rglob("app.py")] == [content]


def test_b4_a_store_with_a_wrong_digest_heals(artifact: Artifact) -> None:
    artifact.scan()
    path = artifact.context / "src/app.py"
    artifact.store.remember(fingerprint.of_stat(str(path), path.stat()), "sha256:" + "0" * 64)
    wrong = artifact.scan()
    with pytest.raises(source_errors.SourceUnstable):
        build_context.copy(wrong, ENTRY, "fn", artifact.into, store=artifact.store)
    assert artifact.scan().revision == artifact.scan(fingerprint.MemoryStore()).revision


def test_nothing_is_copied_into_an_artifact_root(artifact: Artifact, tmp_path: Path) -> None:
    """contract.md section 10.5, through a link too."""
    found = artifact.scan()
    (tmp_path / "way").symlink_to(artifact.root)
    before = _everything(artifact.source)
    for into in (artifact.root / "into", tmp_path / "way" / "into", artifact.root):
        with pytest.raises(ValueError, match="below the artifact root"):
            build_context.copy(found, ENTRY, "fn", into)
    assert _everything(artifact.source) == before


def test_a_full_disk_is_not_the_fault_of_the_source(artifact: Artifact) -> None:
    found = artifact.scan()
    artifact.into.write_text("a file in the way")
    with pytest.raises(FileExistsError):
        build_context.copy(found, ENTRY, "fn", artifact.into)


@pytest.mark.parametrize("what", ["file", "folder", "parent"])
def test_g1_a_link_swapped_between_look_and_open_is_not_followed(artifact: Artifact, what: str, tmp_path: Path) -> None:
    """G1: at the last moment before each open of the name, it becomes a link to a secret, and then stays one."""
    found = artifact.scan()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "app.py").write_bytes(SECRET)
    swapped = {"file": "src/app.py", "folder": "src", "parent": "."}[what]
    target = artifact.context / swapped
    name = target.name
    where = outside / "app.py" if what == "file" else outside

    def swap(path: str, flags: int) -> None:
        if path == name and not target.is_symlink() and (what != "file" or not flags & os.O_DIRECTORY):
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            target.symlink_to(where)

    _before_open.append(swap)
    try:
        with pytest.raises(source_errors.SourceError):
            build_context.copy(found, ENTRY, "fn", artifact.into)
    finally:
        _before_open.remove(swap)
    assert target.is_symlink(), "it was swapped"
    assert SECRET.hex() not in str(_everything(artifact.into))


def test_g1_a_race_never_shows_anything_else(artifact: Artifact, tmp_path: Path) -> None:
    """A thread swaps a folder for a link out of the tree as fast as it can: each copy is right, or refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "app.py").write_bytes(SECRET)
    target, ended = artifact.context / "src", threading.Event()
    found = artifact.scan()
    outcomes = set()

    def swapping() -> None:
        while not ended.is_set():
            target.rename(artifact.root / "aside")
            target.symlink_to(outside)
            target.unlink()
            (artifact.root / "aside").rename(target)

    thread = threading.Thread(target=swapping)
    thread.start()
    try:
        for _ in range(150):
            shutil.rmtree(artifact.into, ignore_errors=True)
            try:
                build_context.copy(found, ENTRY, "fn", artifact.into)
                outcomes.add((artifact.into / "functions/fn/src/app.py").read_bytes())
            except source_errors.SourceUnstable:
                assert SECRET.hex() not in str(_everything(artifact.into))
    finally:
        ended.set()
        thread.join()
    assert outcomes <= {b"print(1)\n"}


# C6 while scanning


def _clock_that(change: Callable[[int], object]) -> Callable[[], int]:
    calls = iter(range(1, 10_000))

    def now_ns() -> int:
        change(next(calls))
        return 0

    return now_ns


WRITERS: dict[str, Callable[[Artifact, int], object]] = {
    "bytes": lambda one, call: one.write("src/app.py", b"%d" % call),
    "new file": lambda one, call: one.write(f"src/{call}"),
    "mode": lambda one, call: (one.context / "src").chmod(0o700 + call % 8),
    "link": lambda one, call: one.link(f"l{call}", "src"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_c6_an_editor_that_never_stops_makes_the_source_unstable(artifact: Artifact, writer: str) -> None:
    with pytest.raises(source_errors.SourceUnstable, match="3 times in a row"):
        artifact.scan(now_ns=_clock_that(lambda call: WRITERS[writer](artifact, call)))


def test_c6_an_editor_that_stops_is_waited_for(artifact: Artifact) -> None:
    last = 4  # the file's turn in the first attempt
    now_ns = _clock_that(lambda call: call <= last and artifact.write("src/app.py", b"%d" % call))
    assert artifact.scan(now_ns=now_ns).revision == artifact.scan(fingerprint.MemoryStore()).revision


def test_c6_files_changed_just_now_are_read_again(artifact: Artifact) -> None:
    """Their fingerprints are not trusted: a second change within the same tick of the clock would not show."""
    artifact.scan(now_ns=lambda: 0)
    path = artifact.context / "src/app.py"
    assert artifact.store.digest_of(fingerprint.of_stat(str(path), path.stat())) is None
    artifact.scan()
    assert artifact.store.digest_of(fingerprint.of_stat(str(path), path.stat())) is not None


# Any tree

_NAMES = strategies.text(strategies.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..", "Dockerfile", "src") and len(name.encode()) < 200
)
_TREES = strategies.dictionaries(
    _NAMES,
    strategies.recursive(
        strategies.tuples(strategies.binary(max_size=50), strategies.sampled_from([0o644, 0o755, 0o400])),
        lambda inner: strategies.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@hypothesis.given(tree=_TREES)
@hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_any_tree_comes_out_as_it_went_in(artifact: Artifact, tree: object) -> None:
    shutil.rmtree(artifact.context / "any", ignore_errors=True)
    shutil.rmtree(artifact.into, ignore_errors=True)
    _write_tree(artifact.context / "any", tree)
    copied, original = _everything(artifact.copied()), _everything(artifact.context)
    assert {path: each[:2] for path, each in copied.items()} == {path: each[:2] for path, each in original.items()}


def _write_tree(path: Path, tree: object) -> None:
    if isinstance(tree, tuple):
        path.write_bytes(tree[0])
        path.chmod(tree[1])
        return
    path.mkdir()
    assert isinstance(tree, dict)
    for name, inner in tree.items():
        _write_tree(path / name, inner)


@hypothesis.given(
    place=strategies.lists(strategies.sampled_from(["a", "b"]), max_size=3),
    target=strategies.lists(strategies.sampled_from(["..", ".", "a", "b", "link", ""]), min_size=1, max_size=6),
)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_g4_no_accepted_link_leads_out(artifact: Artifact, place: list[str], target: list[str]) -> None:
    """By the word of the operating system, with another link to go through."""
    shutil.rmtree(artifact.context)
    artifact.write("Dockerfile", b"FROM base\n")
    for path in ("a/a/a", "a/b/b", "b/a/a", "b/b"):
        (artifact.context / path).mkdir(parents=True)
    artifact.link("b/a/a/link", "../../../a")
    artifact.link("a/link", "..")
    where = "/".join([*place, "subject"])
    said = "/".join(target) or "."
    artifact.link(where, said.lstrip("/") or ".")
    try:
        artifact.scan()
    except source_errors.ArtifactInvalid:
        return
    real = os.path.realpath(artifact.context / where)
    assert real == str(artifact.context) or real.startswith(f"{artifact.context}/")
