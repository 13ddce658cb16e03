"""From a source's folder to a revision and entries: what is read, when, and what is refused."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import identity, problems
from manifests import checkout, fingerprint, source_errors, yaml_builder, yaml_text

PROJECT = Path(__file__).parents[2]
LATER_NS = 4_000_000_000 * 1_000_000_000
"""A clock far ahead of every file: nothing is too fresh to be trusted."""

FUNCTIONS = "functions:\n  {name}:\n    image: registry:5010/{name}:1\n"
ROUTING = "routes:\n  - path: /{name}\n    function: {name}\n"


@dataclasses.dataclass
class Built:
    """A source on disk with entries `svc-<name>`, each with one function, one route and a Dockerfile-less root."""

    root: Path
    names: tuple[str, ...]
    head: str = 'schema_version: "1"\nproject: p\nenv: dev\nmode: docker\n'
    extra: dict[str, str] = dataclasses.field(default_factory=dict)
    roots: dict[str, str] = dataclasses.field(default_factory=dict)

    def write(self) -> "Built":
        """Write everything, and give back itself."""
        for name in self.names:
            config = self.root / f"svc-{name}" / "config"
            config.mkdir(parents=True, exist_ok=True)
            (config / "functions.yml").write_text(FUNCTIONS.format(name=name))
            (config / "routing.yml").write_text(ROUTING.format(name=name))
        self.write_manifest()
        return self

    def write_manifest(self) -> None:
        """Write artifact.yml as the fields say."""
        (self.root / "artifact.yml").write_text(self.head + "artifacts:\n" + "".join(map(self._entry, self.names)))

    def _entry(self, name: str) -> str:
        path = f"/src/{name}.yaml"
        return (
            f"  - id: {identity.entry_id(path)}\n"
            f"    artifact_root: {self.roots.get(name, f'svc-{name}')}\n"
            f"    runtime_config_dir: config\n{self.extra.get(name, '')}"
            f"    source_template: {{path: {path}}}\n"
        )

    def file(self, name: str, document: str = "functions.yml") -> Path:
        """One document of one entry."""
        return self.root / f"svc-{name}" / "config" / document

    def scan(self, store: fingerprint.Store | None = None, **options: object) -> checkout.Checkout:
        """Scan with a clock that trusts every file, unless told otherwise."""
        now_ns = options.pop("now_ns", lambda: LATER_NS)
        source = checkout.Source(self.root, **options)  # type: ignore[arg-type] # options of the test
        return checkout.scan(source, store or fingerprint.MemoryStore(), now_ns=now_ns)  # type: ignore[arg-type] # same

    def invalid(self, **options: object) -> tuple[problems.Problem, ...]:
        """Scan, and give the problems that it must end with."""
        with pytest.raises(source_errors.ArtifactInvalid) as refused:
            self.scan(**options)  # type: ignore[arg-type] # options of the test
        return refused.value.problems


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Built]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield Built(tmp_path / "source", ("a", "b", "c")).write()
    assert sorted(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


_opened_files: list[str] = []


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[2], int) and not arguments[2] & os.O_DIRECTORY:
        _opened_files.append(str(arguments[0]))


sys.addaudithook(_on_audit)


@contextlib.contextmanager
def opened_files() -> Iterator[list[str]]:
    """The names of all files that are opened inside."""
    _opened_files.clear()
    yield _opened_files


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed, in order."""
    seen: list[str] = []
    parse = yaml_text.parse

    def counting(content: bytes, **options: object) -> yaml_text.Parsed:
        if options.get("file"):
            seen.append(str(options["file"]))
        return parse(content, **options)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(yaml_text, "parse", counting)
    return seen


# What a checkout says


def test_a_source_becomes_a_checkout_and_entries(built: Built) -> None:
    built.extra = {
        "a": "    required_secret_env: [TOKEN, PASS]\n",
        "b": "    required_secret_env: [PASS, OTHER]\n",
    }
    built.head += 'runtime_stack: {api_version: "1.0", mode: docker, esb_version: latest}\nnote: unknown\n'
    built.write_manifest()
    store = fingerprint.MemoryStore()
    found = built.scan(store)
    assert (found.project, found.env, found.mode) == ("p", "dev", "docker")
    assert found.runtime_stack is not None
    assert found.required_secrets == ("TOKEN", "PASS", "OTHER")
    assert [(each.line, each.key) for each in found.warnings] == [(6, "note")]
    assert [entry.config_dir for entry in found.entries] == ["svc-a/config", "svc-b/config", "svc-c/config"]
    entries = checkout.load_entries(found, store)
    assert [entry.id for entry in entries] == [entry.id for entry in found.entries]
    assert [item.key.name for item in entries[1].content.items] == ["b", "/b:GET"]


def test_the_revision_does_not_depend_on_where_the_source_stands(built: Built, tmp_path: Path) -> None:
    revision = built.scan().revision
    assert built.scan(allow_outside=True).revision == revision
    shutil.copytree(built.root, tmp_path / "copy")
    assert Built(tmp_path / "copy", built.names).scan().revision == revision


def _edit_function(built: Built) -> None:
    built.file("b").write_text(FUNCTIONS.format(name="b2"))


def _add_resources(built: Built) -> None:
    built.file("b", "resources.yml").write_text("")


def _add_dockerfile(built: Built) -> None:
    (built.root / "svc-b/functions/b").mkdir(parents=True)
    (built.root / "svc-b/functions/b/Dockerfile").touch()


def _add_to_context(built: Built) -> None:
    (built.root / "svc-c/functions/c/new").touch()


def _edit_manifest(built: Built) -> None:
    built.head += "# comment\n"
    built.write_manifest()


def _swap_entries(built: Built) -> None:
    built.names = ("b", "a", "c")
    built.write_manifest()


def _swap_files(built: Built) -> None:
    built.file("a").rename(built.root / "swap")
    built.file("b").rename(built.file("a"))
    (built.root / "swap").rename(built.file("b"))


@pytest.mark.parametrize(
    "change",
    [_edit_function, _add_resources, _add_dockerfile, _add_to_context, _edit_manifest, _swap_entries, _swap_files],
)
def test_every_change_moves_the_revision(built: Built, change: Callable[[Built], None]) -> None:
    """What is in a build context: tests/manifests/test_build_context.py."""
    (built.root / "svc-c/functions/c").mkdir(parents=True)
    (built.root / "svc-c/functions/c/Dockerfile").touch()
    store = fingerprint.MemoryStore()
    before = built.scan(store).revision
    change(built)
    after = built.scan(store).revision
    assert after != before
    assert built.scan().revision == after, "the store changes nothing but time"


def test_c7_the_revision_does_not_depend_on_hash_seeds(built: Built) -> None:
    """C7: eight processes, eight seeds, with builds, links and several names in play."""
    for name in ("x", "y", "z", "q"):
        (built.root / f"svc-a/functions/{name}").mkdir(parents=True)
        (built.root / f"svc-a/functions/{name}/Dockerfile").touch()
    script = (
        "import sys; from pathlib import Path; from manifests import checkout, fingerprint\n"
        "store = fingerprint.MemoryStore(); rules = checkout.Rules(allowed_names=frozenset('abcdefgh'))\n"
        "found = checkout.scan(checkout.Source(Path(sys.argv[1])), store, now_ns=lambda: 0, rules=rules)\n"
        "print(found.revision, rules.rules_digest, checkout.load_entries(found, store))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script, str(built.root)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
            cwd=PROJECT,
        ).stdout
        for seed in range(8)
    }
    assert len(answers) == 1


# Paths: contract.md section 2


def test_paths_are_shown_as_the_user_would_type_them(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    built.file("b").unlink()
    inside = built.invalid()
    assert (inside[0].file, inside[0].line, inside[0].column) == ("artifact.yml", 12, 5)
    assert inside[0].key == "artifacts[1].runtime_config_dir"
    assert inside[0].message == "svc-b/config/functions.yml: no such file or directory"
    monkeypatch.chdir(built.root.parent)
    typed = Built(Path("source"), built.names).invalid(allow_outside=True)
    assert typed[0].file == "source/artifact.yml"
    assert typed[0].message == "source/svc-b/config/functions.yml: no such file or directory"


@pytest.mark.parametrize("way", ["../elsewhere", "{absolute}", "svc-a/../../elsewhere", "link", "link-to-link"])
def test_an_artifact_root_may_leave_the_source_only_where_that_is_allowed(built: Built, way: str) -> None:
    elsewhere = built.root.parent / "elsewhere"
    (built.root / "svc-b").rename(elsewhere)
    (built.root / "link").symlink_to(elsewhere)
    (built.root / "link-to-link").symlink_to("link")
    built.roots["b"] = way.format(absolute=elsewhere)
    built.write_manifest()
    found = built.invalid()
    assert [problem.key for problem in found] == ["artifacts[1].artifact_root"]
    assert "leaves the folder" in found[0].message
    store = fingerprint.MemoryStore()
    outside = built.scan(store, allow_outside=True)
    assert [item.key.name for item in checkout.load_entries(outside, store)[1].content.items] == ["b", "/b:GET"]


@pytest.mark.parametrize("way", ["./svc-b/", "x/../svc-b", "{absolute}", "{real}", "inner-link"])
def test_an_artifact_root_may_be_written_in_many_ways(built: Built, way: str) -> None:
    alias = built.root.parent / "alias"
    alias.symlink_to(built.root)
    (built.root / "inner-link").symlink_to(alias / "svc-b")
    built.roots["b"] = way.format(absolute=alias / "svc-b", real=built.root / "svc-b")
    built.write_manifest()
    aliased = Built(alias, built.names)
    assert [document.digest for document in aliased.scan().entries[1].documents] == [
        document.digest for document in built.scan(allow_outside=True).entries[1].documents
    ]


def test_a_manifest_in_a_folder_counts_paths_from_there(built: Built) -> None:
    (built.root / "env").mkdir()
    built.roots = {name: f"../svc-{name}" for name in built.names}
    built.write_manifest()
    (built.root / "artifact.yml").rename(built.root / "env" / "artifact.yml")
    assert built.scan(manifest="env/artifact.yml").entries[0].config_dir == "svc-a/config"
    assert built.scan(manifest="env/artifact.yml", allow_outside=True).entries[2].documents


def _escaping_document(built: Built) -> str:
    (built.root / "other.yml").write_text("functions: {topsecret: 1}")
    built.file("b").unlink()
    built.file("b").symlink_to("../../other.yml")
    return "svc-b/config/functions.yml: leaves the folder"


def _escaping_config(built: Built) -> str:
    (built.root / "svc-b/config").rename(built.root / "moved")
    (built.root / "svc-b/config").symlink_to(built.root / "moved")
    return "svc-b/config: leaves the folder"


def _fifo(built: Built) -> str:
    built.file("b", "resources.yml").unlink(missing_ok=True)
    os.mkfifo(built.file("b", "resources.yml"))
    return "svc-b/config/resources.yml: is a FIFO, must be a regular file"


def _folder(built: Built) -> str:
    built.file("b").unlink()
    built.file("b").mkdir()
    return "svc-b/config/functions.yml: is a directory, must be a regular file"


def _no_routing(built: Built) -> str:
    built.file("b", "routing.yml").unlink()
    return "svc-b/config/routing.yml: no such file"


def _no_config(built: Built) -> str:
    shutil.rmtree(built.root / "svc-b/config")
    return "svc-b/config: no such file or directory"


def _no_root(built: Built) -> str:
    shutil.rmtree(built.root / "svc-b")
    return "svc-b: no such file or directory"


def _root_is_a_file(built: Built) -> str:
    shutil.rmtree(built.root / "svc-b")
    (built.root / "svc-b").write_text("")
    return "svc-b: is something else, must be a directory"


def _too_big(built: Built) -> str:
    built.file("b").write_text("#" * (yaml_builder.DEFAULT_LIMITS.max_bytes + 1))
    return "svc-b/config/functions.yml: has 8388609 bytes, the limit is 8388608"


def _missing_bundle(built: Built) -> str:
    built.extra["b"] = "    bundle_manifest: bundle/manifest.json\n"
    built.write_manifest()
    return "svc-b/bundle/manifest.json: no such file"


def _escaping_bundle(built: Built) -> str:
    built.extra["b"] = "    bundle_manifest: bundle.json\n"
    built.write_manifest()
    (built.root / "svc-b/bundle.json").symlink_to(built.root / "artifact.yml")
    return "svc-b/bundle.json: leaves the folder"


def _escaping_dockerfile(built: Built) -> str:
    (built.root / "svc-b/functions/b").mkdir(parents=True)
    (built.root / "svc-b/functions/b/Dockerfile").symlink_to(built.root / "artifact.yml")
    return "svc-b/functions/b/Dockerfile: leaves the folder"


def _dockerfile_is_a_folder(built: Built) -> str:
    (built.root / "svc-b/functions/b/Dockerfile").mkdir(parents=True)
    return "svc-b/functions/b/Dockerfile: is a directory"


BROKEN = [
    _escaping_document,
    _escaping_config,
    _fifo,
    _folder,
    _no_routing,
    _no_config,
    _no_root,
    _root_is_a_file,
    _too_big,
    _missing_bundle,
    _escaping_bundle,
    _escaping_dockerfile,
    _dockerfile_is_a_folder,
]


@pytest.mark.parametrize("break_it", BROKEN)
@pytest.mark.parametrize("allow_outside", [False, True])
def test_g1_what_is_wrong_with_a_path_is_said_at_the_key_that_names_it(
    built: Built, break_it: Callable[[Built], str], allow_outside: bool
) -> None:
    """G1, and contract.md section 9: missing files. Nothing leaves an artifact root, whatever is allowed."""
    words = break_it(built)
    found = built.invalid(allow_outside=allow_outside)
    assert len(found) == 1
    assert found[0].key.startswith("artifacts[1].")
    assert found[0].line > 0
    assert found[0].message.removeprefix(f"{built.root}/").startswith(words)
    assert "topsecret" not in str(found)


def test_all_problems_of_all_entries_are_reported_at_once(built: Built) -> None:
    """contract.md section 9: paths of one entry, documents of the others."""
    built.file("a").write_text("functions: {a: {}}")
    built.file("b").unlink()
    built.file("b", "routing.yml").unlink()
    built.file("c", "routing.yml").write_text("routes: 7")
    assert [(each.file, each.key) for each in built.invalid()] == [
        ("artifact.yml", "artifacts[1].runtime_config_dir"),
        ("artifact.yml", "artifacts[1].runtime_config_dir"),
        ("svc-a/config/functions.yml", "functions.a"),
        ("svc-c/config/routing.yml", "routes"),
    ]


def test_all_problems_of_all_documents_are_reported_at_once(built: Built) -> None:
    for name in built.names:
        built.file(name).write_text("functions: {a: {}, b: {image: 7}}")
    store = fingerprint.MemoryStore()
    with pytest.raises(source_errors.ArtifactInvalid) as refused:
        checkout.load_entries(built.scan(store), store)
    assert len(refused.value.problems) == 6
    assert refused.value.message.startswith("the artifact breaks the contract: 6 problems; first: svc-a/config/")


def test_functions_with_a_dockerfile_are_builds(built: Built) -> None:
    functions = built.root / "svc-b/functions"
    for name in ("b", "undeclared"):
        (functions / name).mkdir(parents=True)
        (functions / name / "Dockerfile").touch()
    (functions / "no-dockerfile").mkdir()
    (functions / "Dockerfile").touch()
    (built.root / "svc-c/functions").symlink_to("made")
    (built.root / "svc-c/made").mkdir()
    (built.root / "svc-c/made/c").symlink_to("../elsewhere")
    (built.root / "svc-c/elsewhere").mkdir()
    (built.root / "svc-c/elsewhere/Dockerfile").touch()
    store = fingerprint.MemoryStore()
    found = built.scan(store)
    assert [entry.builds for entry in found.entries] == [(), ("b", "undeclared"), ("c",)]
    assert [entry.builds for entry in checkout.load_entries(found, store)] == [(), ("b",), ("c",)]


@pytest.mark.parametrize("allow_outside", [False, True])
def test_artifact_roots_are_known_by_absolute_paths(
    built: Built, allow_outside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """contract.md section 10.5: whoever writes can tell where not to. Each once, wherever the manifest says it."""
    real = built.root.rename(built.root.parent / "real")
    built.root.symlink_to("real")
    built.roots = {"b": str(built.root / "svc-b"), "c": "./svc-a/../svc-a"}
    built.write_manifest()
    monkeypatch.chdir(built.root.parent)
    found = Built(Path(built.root.name), built.names).scan(allow_outside=allow_outside)
    assert [os.path.realpath(root) for root in found.artifact_roots] == [str(real / "svc-a"), str(real / "svc-b")]
    assert all(os.path.isabs(root) for root in found.artifact_roots)


def test_runtime_base_is_never_looked_at(built: Built) -> None:
    """contract.md section 10, invariant 1."""
    os.mkfifo(built.root / "svc-a" / "runtime-base")
    assert built.scan().entries


# Sources that are not there: C1, P6


def _gone(root: Path) -> None:
    shutil.rmtree(root)


def _is_a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("")


def _emptied(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def _formatted(root: Path) -> None:
    _emptied(root)
    (root / "lost+found").mkdir()


def _without_manifest(root: Path) -> None:
    (root / "artifact.yml").rename(root / "artifact.yml.bak")


def _dangling_manifest(root: Path) -> None:
    _without_manifest(root)
    (root / "artifact.yml").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("do", "expected", "words"),
    [
        (_gone, source_errors.SourceMissing, "no such file or directory"),
        (_is_a_file, source_errors.SourceMissing, "is a file: pass its folder, or use `deploy --artifact`"),
        (_emptied, source_errors.SourceEmpty, "is empty, or not mounted"),
        (_formatted, source_errors.SourceEmpty, "is empty, or not mounted"),
        (_without_manifest, source_errors.NoManifest, "has no artifact.yml"),
        (_dangling_manifest, source_errors.NoManifest, "has no artifact.yml"),
    ],
)
@pytest.mark.parametrize("allow_outside", [False, True])
def test_c1_a_source_that_is_not_there(
    built: Built, do: Callable[[Path], None], expected: type[source_errors.SourceError], words: str, allow_outside: bool
) -> None:
    store = fingerprint.MemoryStore()
    built.scan(store, allow_outside=allow_outside)
    do(built.root)
    with pytest.raises(expected, match=words) as refused:
        built.scan(store, allow_outside=allow_outside)
    assert refused.value.reason == expected.__name__
    assert str(built.root) in refused.value.message


def test_c1_a_manifest_without_artifacts_is_invalid(built: Built) -> None:
    built.names = ()
    (built.root / "artifact.yml").write_text(built.head + "artifacts: []\n")
    assert built.invalid()[0].key == "artifacts"


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Root may read everything; nobody may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


CONTEXT_PATHS = ["svc-b/functions", "svc-b/functions/b", "svc-b/functions/b/src", "svc-b/functions/b/src/app.py"]


@pytest.mark.parametrize(
    "path", [".", "artifact.yml", "svc-b", "svc-b/config", "svc-b/config/functions.yml", *CONTEXT_PATHS]
)
def test_c1_a_source_that_may_not_be_read(built: Built, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.root.parent)  # whose own parents nobody may enter
    built.root.parent.chmod(0o755)
    (built.root / "svc-b/functions/b/src").mkdir(parents=True)
    (built.root / "svc-b/functions/b/src/app.py").touch()
    (built.root / "svc-b/functions/b/Dockerfile").touch()
    (built.root / path).chmod(0)
    with without_privileges(), pytest.raises(source_errors.SourceUnreadable) as refused:
        Built(Path("source"), built.names).scan()
    (built.root / path).chmod(0o755)
    assert "ermission denied (errno 13)" in refused.value.message
    assert os.path.basename("source" if path == "." else path) in refused.value.message


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_g1_a_manifest_that_is_no_file(built: Built, make: Callable[[Path], None]) -> None:
    (built.root / "artifact.yml").unlink()
    make(built.root / "artifact.yml")
    found = built.invalid()
    assert (found[0].file, found[0].line) == ("artifact.yml", 0)
    assert "must be a regular file" in found[0].message


def test_g1_a_manifest_outside_of_the_source(built: Built) -> None:
    (built.root / "artifact.yml").rename(built.root.parent / "artifact.yml")
    (built.root / "artifact.yml").symlink_to("../artifact.yml")
    assert "leaves the folder" in built.invalid()[0].message
    assert built.scan(allow_outside=True).entries
    outside = built.invalid(manifest="../artifact.yml")
    assert (outside[0].file, "leaves the folder" in outside[0].message) == ("../artifact.yml", True)


# C6: a source that changes while it is read


def _clock_that(change: Callable[[int], None]) -> Callable[[], int]:
    """A clock, asked before each file is read, that changes the source while it is at it."""
    calls = 0

    def now_ns() -> int:
        nonlocal calls
        calls += 1
        change(calls)
        return LATER_NS

    return now_ns


def test_c6_a_change_while_reading_starts_over(built: Built) -> None:
    def change(call: int) -> None:
        if call == 5:  # the third entry's turn: the first has been read
            built.file("a").write_text(FUNCTIONS.format(name="renamed"))

    store = fingerprint.MemoryStore()
    found = built.scan(store, now_ns=_clock_that(change))
    assert found.revision == built.scan().revision
    assert checkout.load_entries(found, store)[0].content.items[0].key.name == "renamed"


@pytest.mark.parametrize("disturb", ["document", "manifest", "new", "dockerfile", "gone"])
def test_c6_a_source_that_never_stands_still_is_unstable(built: Built, disturb: str) -> None:
    def change(call: int) -> None:
        match disturb:
            case "document":
                built.file("a").write_text(FUNCTIONS.format(name=f"n{call}"))
            case "manifest":
                (built.root / "artifact.yml").write_text(f"{built.head}artifacts: []\n# {call}\n")
            case "new":
                target = built.file("a", "resources.yml")
                target.unlink() if target.exists() else target.touch()
            case "dockerfile":
                (built.root / "svc-a/functions" / str(call)).mkdir(parents=True)
                (built.root / "svc-a/functions" / str(call) / "Dockerfile").touch()
            case _:
                shutil.rmtree(built.root / "svc-c", ignore_errors=True)

    now_ns = _clock_that(change)
    if disturb == "gone":
        assert built.invalid(now_ns=now_ns)[0].key == "artifacts[2].artifact_root"
        return
    with pytest.raises(source_errors.SourceUnstable, match="3 times in a row"):
        built.scan(now_ns=lambda: now_ns() and 0)


def test_c6_a_volume_that_is_switched_while_reading_is_never_mixed(built: Built) -> None:
    """All files stay as they are; only the link that leads to them is moved."""
    generations = built.root.parent / "generations"
    generations.mkdir()
    built.root.rename(generations / "1")
    other = Built(generations / "2", ("a", "b", "c")).write()
    other.file("c").write_text(FUNCTIONS.format(name="new"))
    other.file("a").write_text(FUNCTIONS.format(name="new"))
    (generations / "current").symlink_to("1")

    def change(call: int) -> None:
        if call == 4:
            (generations / "next").symlink_to("2")
            (generations / "next").rename(generations / "current")

    (generations / "artifact.yml").write_text(
        (generations / "1/artifact.yml").read_text().replace("svc-", "current/svc-")
    )
    switched = Built(generations, built.names)
    found = switched.scan(now_ns=_clock_that(change))
    store = fingerprint.MemoryStore()
    names = [entry.content.items[0].key.name for entry in checkout.load_entries(found, store)]
    assert names == ["new", "b", "new"]


def test_c6_a_change_between_scan_and_load_is_unstable(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.contents.HELD_BYTES", 0)
    store = fingerprint.MemoryStore()
    found = built.scan(store)
    assert found.held == {}
    built.file("b").write_text(FUNCTIONS.format(name="late"))
    with pytest.raises(source_errors.SourceUnstable):
        checkout.load_entries(found, store)
    assert checkout.load_entries(built.scan(store), store)[1].content.items[0].key.name == "late"


def test_c6_files_changed_just_now_are_read_again(built: Built) -> None:
    """Their fingerprints are not trusted: a second change within the same tick of the clock would not show."""
    store = fingerprint.MemoryStore()
    built.scan(store, now_ns=lambda: 0)
    with opened_files() as opened:
        built.scan(store, now_ns=lambda: 0)
    assert opened.count("functions.yml") == 2 * len(built.names), "once, and once more to be sure"


def test_b4_a_store_with_a_wrong_digest_heals(built: Built) -> None:
    store = fingerprint.MemoryStore()
    built.scan(store)
    found = built.file("b").stat()
    store.remember(fingerprint.of_stat(str(built.file("b")), found), "sha256:" + "0" * 64)
    wrong = built.scan(store)
    with pytest.raises(source_errors.SourceUnstable):
        checkout.load_entries(wrong, store)
    right = built.scan(store)
    assert right.revision == built.scan().revision
    assert len(checkout.load_entries(right, store)) == 3


# Incremental by content


def test_an_unchanged_source_opens_no_file(built: Built, parses: list[str]) -> None:
    store = fingerprint.MemoryStore()
    first = checkout.load_entries(built.scan(store), store)
    parses.clear()
    with opened_files() as opened:
        second = checkout.load_entries(built.scan(store), store)
    assert opened == []
    assert parses == []
    assert second == first


def test_a_changed_entry_is_the_only_one_that_is_read_and_parsed(built: Built, parses: list[str]) -> None:
    store = fingerprint.MemoryStore()
    checkout.load_entries(built.scan(store), store)
    parses.clear()
    built.file("b").write_text(FUNCTIONS.format(name="changed"))
    with opened_files() as opened:
        entries = checkout.load_entries(built.scan(store), store)
    assert parses == ["svc-b/config/functions.yml", "svc-b/config/routing.yml"]
    assert opened.count("functions.yml") == 1
    assert entries[1].content.items[0].key.name == "changed"


def test_bytes_are_read_once(built: Built) -> None:
    store = fingerprint.MemoryStore()
    with opened_files() as opened:
        checkout.load_entries(built.scan(store), store)
    assert len(opened) == 1 + 2 * len(built.names)


def test_f2_a_bad_document_that_did_not_change_is_not_parsed_again(built: Built, parses: list[str]) -> None:
    built.file("b").write_text("functions: [" * 70)
    store = fingerprint.MemoryStore()
    for _ in range(2):
        with pytest.raises(source_errors.ArtifactInvalid):
            checkout.load_entries(built.scan(store), store)
    assert parses.count("svc-b/config/functions.yml") == 1
    (built.root / "artifact.yml").write_text("[")
    found = [built.invalid(store=store) for _ in range(2)]
    assert found[0] == found[1]
    assert parses.count("artifact.yml") == 2, "once when it was good, once when it was bad"


def test_p11_a_mended_document_is_seen_at_once(built: Built) -> None:
    store = fingerprint.MemoryStore()
    good = built.file("b").read_text()
    built.file("b").write_text("functions: 7")
    with pytest.raises(source_errors.ArtifactInvalid):
        checkout.load_entries(built.scan(store), store)
    built.file("b").write_text(good)
    assert len(checkout.load_entries(built.scan(store), store)) == 3


def test_other_rules_read_everything_again(built: Built, parses: list[str]) -> None:
    store = fingerprint.MemoryStore()
    source = checkout.Source(built.root)
    digests = set()
    for rules in (
        checkout.Rules(),
        checkout.Rules(require_ids=False),
        checkout.Rules(allowed_names=frozenset({"X"})),
        checkout.Rules(limits=yaml_builder.Limits(max_bytes=5000)),
        checkout.Rules(max_context_bytes=5000),
    ):
        parses.clear()
        found = checkout.scan(source, store, now_ns=lambda: LATER_NS, rules=rules)
        checkout.load_entries(found, store)
        digests.add(rules.rules_digest)
        assert len(parses) == 1 + 2 * len(built.names)
    assert len(digests) == 5


def test_equal_documents_are_parsed_once_wherever_they_stand(built: Built, parses: list[str]) -> None:
    for document in ("functions.yml", "routing.yml"):
        for name in ("a", "b"):
            built.file(name, document).write_bytes(built.file("c", document).read_bytes())
    store = fingerprint.MemoryStore()
    entries = checkout.load_entries(built.scan(store), store)
    assert parses == ["artifact.yml", "svc-a/config/functions.yml", "svc-a/config/routing.yml"]
    assert entries[0].content == entries[2].content


def test_l4_a_large_source_needs_few_descriptors(tmp_path: Path) -> None:
    """L4: 64 descriptors for the whole process, which is one that has nothing else open."""
    built = Built(tmp_path / "source", tuple(f"n{number}" for number in range(80))).write()
    for name in built.names:
        (built.root / f"svc-{name}/functions/{name}/deep" / "/".join("d" * 50)).mkdir(parents=True)
        (built.root / f"svc-{name}/functions/{name}/Dockerfile").touch()
    script = (
        "import resource, sys; from pathlib import Path; from manifests import checkout, fingerprint\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "found = checkout.scan(checkout.Source(Path(sys.argv[1])), fingerprint.MemoryStore(), now_ns=lambda: 0)\n"
        "print(len(found.entries))"
    )
    words = [sys.executable, "-c", script, str(built.root)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert (ended.returncode, ended.stdout) == (0, "80\n"), ended.stderr


def test_nothing_below_the_source_is_written(built: Built) -> None:
    """contract.md section 10, invariant 5."""

    def stamps() -> list[tuple[str, int, int]]:
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(built.root.rglob("*"))]

    before = stamps()
    store = fingerprint.MemoryStore()
    checkout.load_entries(built.scan(store), store)
    assert stamps() == before
